//! The filter of system calls as the kernel runs it: classic BPF over `struct seccomp_data`.
//!
//! In: what this run of the agent needs beside the list. Out: instructions. Calls that are not on the list raise SIGSYS; those that a later
//! C library tries and can do without answer "not known here", as an older kernel would. It must not put itself in force.
//!
//! Pure: no I/O.

use super::calls::{self, Call};
use libc::sock_filter;

/// Offsets in `struct seccomp_data`, of the low halves of the arguments: both machines are little-endian.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const fn argument(n: u32) -> u32 {
    16 + 8 * n
}

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u32 = 0xc000_00b7;

/// No call of Linux 6.18 has this number or a higher one.
const UNKNOWN: u32 = 470;

/// What a run needs beside what all runs do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, and any may go with any"
)]
pub struct Needs {
    /// Entering network namespaces: the source `netlink`.
    pub namespaces: bool,
    /// `sock_diag` sockets: the same source.
    pub diag: bool,
    /// Connections over IP: there is an API server.
    pub network: bool,
    /// Docker's socket.
    pub docker: bool,
    /// Profiles of the agent itself.
    pub profiles: bool,
}

/// The filter of all threads. `pid` is the process: it may send itself a signal, to abort.
#[must_use]
pub fn agent(needs: Needs, pid: u32) -> Vec<sock_filter> {
    let mut program = Program::new();
    program.allow(calls::RUNNING);
    program.when(libc::SYS_bpf, 0, u32::MAX, &[PROG_TEST_RUN]);
    let mut families = vec![constant(libc::AF_NETLINK)];
    families.extend(needs.docker.then_some(constant(libc::AF_UNIX)));
    if needs.network {
        families.extend([constant(libc::AF_INET), constant(libc::AF_INET6)]);
    }
    program.socket(&families, needs.diag);
    program.limited(pid);
    program.threads();
    program.some(needs.namespaces, &[libc::SYS_setns]);
    program.some(needs.profiles, &[libc::SYS_setitimer, libc::SYS_pipe2, libc::SYS_memfd_create]);
    #[cfg(target_arch = "x86_64")]
    program.some(needs.profiles, &[libc::SYS_creat]);
    // The thread that asks connection tracking narrows its own filter after this one is in force.
    program.when(libc::SYS_seccomp, 0, u32::MAX, &[libc::SECCOMP_SET_MODE_FILTER]);
    program.end()
}

/// The filter of the thread that asks connection tracking: no file, no process, no socket but one of netfilter.
#[must_use]
pub fn tracking(pid: u32) -> Vec<sock_filter> {
    let mut program = Program::new();
    program.allow(calls::TRACKING);
    program.socket(&[constant(libc::AF_NETLINK)], false);
    program.limited(pid);
    program.end()
}

/// The command of bpf(2) that runs a program that is loaded.
const PROG_TEST_RUN: u32 = 10;

struct Program(Vec<sock_filter>);

impl Program {
    /// A call of another machine's (32 bits, x32) is none of ours.
    fn new() -> Self {
        Self(vec![
            step(LOAD, 0, 0, MACHINE),
            step(EQUAL, 1, 0, THIS_MACHINE),
            step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | constant(libc::EPERM)),
            step(LOAD, 0, 0, NUMBER),
        ])
    }

    fn allow(&mut self, list: &[Call]) {
        for number in list.iter().filter_map(|call| call.number) {
            self.number(number);
        }
    }

    fn some(&mut self, asked: bool, numbers: &[i64]) {
        for &number in numbers.iter().filter(|_| asked) {
            self.number(number);
        }
    }

    fn number(&mut self, number: i64) {
        self.0.extend([step(EQUAL, 0, 1, low(number)), ALLOW]);
    }

    /// Allows a call if an argument has one of these values under the mask.
    fn when(&mut self, number: i64, nth: u32, mask: u32, values: &[u32]) {
        let checks = u8::try_from(3 + 2 * values.len()).unwrap_or(u8::MAX);
        self.0.push(step(EQUAL, 0, checks, low(number)));
        self.0.extend([step(LOAD, 0, 0, argument(nth)), step(AND, 0, 0, mask)]);
        for &value in values {
            self.0.extend([step(EQUAL, 0, 1, value), ALLOW]);
        }
        self.0.push(REFUSE);
    }

    /// Sockets of these families; of netlink only what answers about connections, and nothing that changes the network. The C library
    /// asks about routes when it sorts addresses of a name, and can do without.
    fn socket(&mut self, families: &[u32], diag: bool) {
        const NETFILTER: u32 = 12;
        const SOCK_DIAG: u32 = 4;
        const ROUTES: u32 = 0;
        let netlink = constant(libc::AF_NETLINK);
        let others: Vec<u32> = families.iter().copied().filter(|one| *one != netlink).collect();
        let mut protocols = vec![NETFILTER];
        protocols.extend(diag.then_some(SOCK_DIAG));
        // It also looks for a cache of names behind a socket of the machine, which need not be there.
        let unix = constant(libc::AF_UNIX);
        let quiet = !others.contains(&unix);
        let checks = 7 + 2 * (protocols.len() + others.len() + usize::from(quiet));
        let checks = u8::try_from(checks).unwrap_or(u8::MAX);
        self.0.push(step(EQUAL, 0, checks, low(libc::SYS_socket)));
        self.0.push(step(LOAD, 0, 0, argument(0)));
        for &family in &others {
            self.0.extend([step(EQUAL, 0, 1, family), ALLOW]);
        }
        if quiet {
            self.0.extend([step(EQUAL, 0, 1, unix), NOT_SUPPORTED]);
        }
        self.0.extend([step(EQUAL, 1, 0, netlink), REFUSE, step(LOAD, 0, 0, argument(2))]);
        for &protocol in &protocols {
            self.0.extend([step(EQUAL, 0, 1, protocol), ALLOW]);
        }
        self.0.extend([step(EQUAL, 0, 1, ROUTES), NOT_SUPPORTED, REFUSE]);
    }

    /// Calls that are harmless with some arguments and not with others.
    fn limited(&mut self, pid: u32) {
        // Memory that can be executed is never made.
        let execute = constant(libc::PROT_EXEC);
        self.when(libc::SYS_mmap, 2, execute, &[0]);
        self.when(libc::SYS_mprotect, 2, execute, &[0]);
        self.when(libc::SYS_tgkill, 0, u32::MAX, &[pid]);
    }

    /// What threads that wait for others need: to start one, to name it, sockets that do not wait.
    fn threads(&mut self) {
        // A thread of this process in its own namespaces, and never a process.
        let spaces = libc::CLONE_NEWNS
            | libc::CLONE_NEWCGROUP
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUSER
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET;
        let thread = constant(libc::CLONE_THREAD);
        self.when(libc::SYS_clone, 0, thread | constant(spaces), &[thread]);
        // The C library then takes clone, whose arguments can be seen from here.
        self.unknown(libc::SYS_clone3);
        self.when(libc::SYS_prctl, 0, u32::MAX, &PRCTL);
        self.when(libc::SYS_ioctl, 1, u32::MAX, &[FIONBIO]);
    }

    fn unknown(&mut self, number: i64) {
        self.0.extend([step(EQUAL, 0, 1, low(number)), NOT_KNOWN]);
    }

    fn end(mut self) -> Vec<sock_filter> {
        self.0.extend([step(AT_LEAST, 0, 1, UNKNOWN), NOT_KNOWN, REFUSE]);
        self.0
    }
}

/// The name of a thread, and that of a piece of memory.
const PRCTL: [u32; 2] = [15, 0x5356_4d41];
/// A socket that does not wait.
const FIONBIO: u32 = 0x5421;

const ALLOW: sock_filter = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
const REFUSE: sock_filter = step(RETURN, 0, 0, libc::SECCOMP_RET_TRAP);
const NOT_KNOWN: sock_filter = step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | constant(libc::ENOSYS));

const NOT_SUPPORTED: sock_filter =
    step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | constant(libc::EAFNOSUPPORT));

const fn step(code: u16, then: u8, otherwise: u8, k: u32) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k }
}

const fn constant(value: i32) -> u32 {
    value.cast_unsigned()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of calls are small"
)]
const fn low(number: i64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with a call: the same instructions, as few as are used here.
    fn judge(program: &[sock_filter], number: i64, arguments: [u32; 3]) -> u32 {
        let word = |offset| match offset {
            NUMBER => low(number),
            MACHINE => THIS_MACHINE,
            _ => arguments[(offset as usize - 16) / 8],
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            let jump = |holds| usize::from(if holds { jt } else { jf });
            at += 1 + match code {
                LOAD => {
                    accumulator = word(k);
                    0
                }
                AND => {
                    accumulator &= k;
                    0
                }
                EQUAL => jump(accumulator == k),
                AT_LEAST => jump(accumulator >= k),
                _ => return k,
            };
        }
    }

    const PID: u32 = 4711;

    fn allows(needs: Needs, number: i64, arguments: [u32; 3]) -> bool {
        judge(&agent(needs, PID), number, arguments) == libc::SECCOMP_RET_ALLOW
    }

    #[test]
    fn a_program_that_is_loaded_may_run_and_none_may_be_loaded() {
        let needs = Needs::default();

        assert!(allows(needs, libc::SYS_bpf, [10, 0, 0]));
        for command in (0..40).filter(|command| *command != 10) {
            assert!(!allows(needs, libc::SYS_bpf, [command, 0, 0]), "{command}");
        }
    }

    #[test]
    fn a_connection_over_ip_needs_an_api_server_and_one_of_docker_its_socket() {
        let socket = |needs, family| allows(needs, libc::SYS_socket, [constant(family), 1, 0]);
        let (alone, docker) = (Needs::default(), Needs { docker: true, ..Needs::default() });
        let cluster = Needs { network: true, ..Needs::default() };

        for family in [libc::AF_INET, libc::AF_INET6] {
            assert!(socket(cluster, family) && !socket(alone, family) && !socket(docker, family));
        }
        assert!(socket(docker, libc::AF_UNIX) && !socket(alone, libc::AF_UNIX));
        let not_supported = libc::SECCOMP_RET_ERRNO | constant(libc::EAFNOSUPPORT);
        let unix = [constant(libc::AF_UNIX), 1, 0];
        assert_eq!(judge(&agent(cluster, PID), libc::SYS_socket, unix), not_supported);
        for needs in [alone, docker, cluster] {
            assert!(!socket(needs, libc::AF_PACKET) && !socket(needs, libc::AF_ALG));
        }
    }

    #[test]
    fn of_netlink_only_the_protocols_that_are_asked_about_connections_are_open() {
        let netlink = constant(libc::AF_NETLINK);
        let diag = Needs { diag: true, ..Needs::default() };
        for protocol in 0..32 {
            let open = allows(Needs::default(), libc::SYS_socket, [netlink, 3, protocol]);
            assert_eq!(open, protocol == 12, "{protocol}");
            let open = allows(diag, libc::SYS_socket, [netlink, 3, protocol]);
            assert_eq!(open, protocol == 12 || protocol == 4, "{protocol}");
            let open = judge(&tracking(PID), libc::SYS_socket, [netlink, 3, protocol]);
            assert_eq!(open == libc::SECCOMP_RET_ALLOW, protocol == 12, "{protocol}");
        }
    }

    #[test]
    fn threads_may_start_and_processes_may_not() {
        let thread = constant(libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND);

        assert!(allows(Needs::default(), libc::SYS_clone, [thread, 0, 0]));
        assert!(!allows(Needs::default(), libc::SYS_clone, [constant(libc::SIGCHLD), 0, 0]));
        let space = thread | constant(libc::CLONE_NEWNET);
        assert!(!allows(Needs::default(), libc::SYS_clone, [space, 0, 0]));
    }

    #[test]
    fn no_memory_becomes_code_and_no_other_process_gets_a_signal() {
        let needs = Needs::default();

        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert!(allows(needs, call, [0, 0, 3]) && !allows(needs, call, [0, 0, 5]));
        }
        assert!(allows(needs, libc::SYS_tgkill, [PID, 1, 6]));
        assert!(!allows(needs, libc::SYS_tgkill, [1, 1, 6]));
    }

    #[test]
    fn what_a_later_library_tries_answers_as_an_older_kernel_would() {
        let not_known = libc::SECCOMP_RET_ERRNO | constant(libc::ENOSYS);
        let program = agent(Needs::default(), PID);

        assert_eq!(judge(&program, libc::SYS_clone3, [0; 3]), not_known);
        assert_eq!(judge(&program, 999, [0; 3]), not_known);
        assert_eq!(judge(&program, libc::SYS_ptrace, [0; 3]), libc::SECCOMP_RET_TRAP);
        assert_eq!(judge(&program, libc::SYS_execve, [0; 3]), libc::SECCOMP_RET_TRAP);
    }

    #[test]
    fn namespaces_are_entered_by_the_source_that_needs_it_alone() {
        let netlink = Needs { namespaces: true, ..Needs::default() };

        assert!(allows(netlink, libc::SYS_setns, [0; 3]));
        assert!(!allows(Needs::default(), libc::SYS_setns, [0; 3]));
        let thread = constant(libc::CLONE_THREAD);
        for call in
            [libc::SYS_setns, libc::SYS_openat, libc::SYS_bpf, libc::SYS_connect, libc::SYS_clone]
        {
            assert_ne!(judge(&tracking(PID), call, [thread, 0, 0]), libc::SECCOMP_RET_ALLOW);
        }
    }

    #[test]
    fn a_filter_is_of_a_size_that_the_kernel_runs_in_no_time() {
        let all =
            Needs { namespaces: true, diag: true, network: true, docker: true, profiles: true };

        assert!(agent(all, PID).len() < 300);
        assert!(tracking(PID).len() < 100);
    }
}
