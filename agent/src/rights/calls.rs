//! The system calls of the agent: which it makes when it runs, which only its start makes.
//!
//! In: nothing. Out: names and numbers. This is the one home of the list: the filter ([`super::filter`]), the profile for container runtimes
//! in the chart (`charts/probelet/files/seccomp.json`) and docs/threat-model.md are made of it or checked against it. It must not
//! say what the kernel does with the others.
//!
//! Found with strace over the agent's own tests, in every way to run: each source, alone and in a cluster, TLS, reloads, profiles.
//! What no such run makes stays for one of these reasons only: it is another machine's form of a call that one makes (glibc has `epoll_wait`,
//! `poll`, `rename` and `unlink` on x86_64, and what is in their place on aarch64), looking up a name (`sendmmsg`, `recvmsg`, `connect`, `uname`,
//! `poll`, `bind`), memory under pressure or a lock (`mremap`, `brk`, `sched_yield`), a signal in the middle of a call (`restart_syscall`), a
//! configuration that is replaced with its directory (`inotify_*`), saving one (`fsync`, renames), another source after one that failed (`fstatfs`).
//!
//! Pure: no I/O.

/// A system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// As its manual page is called.
    pub name: &'static str,
    /// Its number on this machine; `None` where this kind of machine has no such call.
    pub number: Option<i64>,
}

macro_rules! calls {
    ($(#[$doc:meta])* $list:ident: $($name:ident)*; x86_64: $($old:ident)*; aarch64: $($new:ident)*) => {
        $(#[$doc])*
        pub const $list: &[Call] = &[
            $(Call { name: stringify!($name), number: Some(number!($name)) },)*
            $(Call {
                name: stringify!($old),
                #[cfg(target_arch = "x86_64")]
                number: Some(number!($old)),
                #[cfg(not(target_arch = "x86_64"))]
                number: None,
            },)*
            $(Call {
                name: stringify!($new),
                #[cfg(target_arch = "aarch64")]
                number: Some(number!($new)),
                #[cfg(not(target_arch = "aarch64"))]
                number: None,
            },)*
        ];
    };
}

macro_rules! number {
    ($name:ident) => {
        numbers::$name
    };
}

/// libc's names without their prefix.
#[allow(non_upper_case_globals, reason = "they are named as manual pages are")]
mod numbers {
    macro_rules! from_libc {
        ($($name:ident = $libc:ident,)*) => { $(pub(super) const $name: i64 = libc::$libc;)* };
    }
    from_libc! {
        accept4 = SYS_accept4, bind = SYS_bind, bpf = SYS_bpf, brk = SYS_brk, capget = SYS_capget, capset = SYS_capset,
        clock_gettime = SYS_clock_gettime, clock_nanosleep = SYS_clock_nanosleep, clone = SYS_clone, clone3 = SYS_clone3,
        close = SYS_close, connect = SYS_connect, epoll_create1 = SYS_epoll_create1, epoll_ctl = SYS_epoll_ctl,
        eventfd2 = SYS_eventfd2, execve = SYS_execve, exit = SYS_exit, exit_group = SYS_exit_group,
        fchdir = SYS_fchdir, fcntl = SYS_fcntl, fstat = SYS_fstat,
        fstatfs = SYS_fstatfs, fsync = SYS_fsync, futex = SYS_futex, getcwd = SYS_getcwd,
        getdents64 = SYS_getdents64, getpeername = SYS_getpeername, getpid = SYS_getpid, getrandom = SYS_getrandom,
        getrusage = SYS_getrusage, getsockname = SYS_getsockname, getsockopt = SYS_getsockopt, gettid = SYS_gettid,
        getuid = SYS_getuid, geteuid = SYS_geteuid, getgid = SYS_getgid, getegid = SYS_getegid, inotify_add_watch = SYS_inotify_add_watch,
        inotify_init1 = SYS_inotify_init1, ioctl = SYS_ioctl,
        landlock_add_rule = SYS_landlock_add_rule, landlock_create_ruleset = SYS_landlock_create_ruleset,
        landlock_restrict_self = SYS_landlock_restrict_self, listen = SYS_listen, lseek = SYS_lseek, madvise = SYS_madvise,
        memfd_create = SYS_memfd_create, mmap = SYS_mmap, mprotect = SYS_mprotect, mremap = SYS_mremap, munmap = SYS_munmap,
        newfstatat = SYS_newfstatat, openat = SYS_openat, pipe2 = SYS_pipe2,
        prctl = SYS_prctl, pread64 = SYS_pread64, prlimit64 = SYS_prlimit64, read = SYS_read,
        readlinkat = SYS_readlinkat, recvfrom = SYS_recvfrom, recvmmsg = SYS_recvmmsg, recvmsg = SYS_recvmsg,
        restart_syscall = SYS_restart_syscall, rseq = SYS_rseq, rt_sigaction = SYS_rt_sigaction,
        rt_sigprocmask = SYS_rt_sigprocmask, rt_sigreturn = SYS_rt_sigreturn, sched_getaffinity = SYS_sched_getaffinity,
        sched_yield = SYS_sched_yield, seccomp = SYS_seccomp, sendmmsg = SYS_sendmmsg, sendto = SYS_sendto,
        set_robust_list = SYS_set_robust_list, set_tid_address = SYS_set_tid_address, setitimer = SYS_setitimer, setns = SYS_setns,
        setsockopt = SYS_setsockopt, shutdown = SYS_shutdown, sigaltstack = SYS_sigaltstack, socket = SYS_socket,
        socketpair = SYS_socketpair, statfs = SYS_statfs, statx = SYS_statx, tgkill = SYS_tgkill, uname = SYS_uname,
        write = SYS_write, writev = SYS_writev,
    }
    #[cfg(target_arch = "x86_64")]
    from_libc! {
        access = SYS_access, arch_prctl = SYS_arch_prctl, creat = SYS_creat, epoll_wait = SYS_epoll_wait,
        open = SYS_open, poll = SYS_poll, readlink = SYS_readlink, rename = SYS_rename, unlink = SYS_unlink,
    }
    #[cfg(target_arch = "aarch64")]
    from_libc! {
        epoll_pwait = SYS_epoll_pwait, ppoll = SYS_ppoll, renameat = SYS_renameat, unlinkat = SYS_unlinkat,
    }
}

calls! {
    /// Made by the running agent, whatever their arguments.
    RUNNING:
    read futex clock_gettime write openat close statx newfstatat fstat pread64 readlinkat getdents64 lseek getrusage
    recvfrom sendto recvmsg recvmmsg sendmmsg writev accept4 connect bind getsockopt setsockopt getsockname getpeername shutdown
    epoll_ctl madvise munmap mremap brk getrandom sched_yield clock_nanosleep
    rt_sigreturn rt_sigaction rt_sigprocmask sigaltstack restart_syscall exit exit_group getpid gettid
    sched_getaffinity set_robust_list rseq fcntl fsync uname fstatfs inotify_init1 inotify_add_watch;
    x86_64: epoll_wait poll open readlink rename unlink;
    aarch64: epoll_pwait ppoll renameat unlinkat
}

calls! {
    /// Made by the running agent, with the arguments that [`super::filter`] names and no others.
    LIMITED: bpf clone socket prctl ioctl mmap mprotect tgkill seccomp;
    x86_64:;
    aarch64:
}

calls! {
    /// Made by the running agent only where something asks for it: the source `netlink`, profiles.
    SOMETIMES: setns setitimer pipe2 memfd_create;
    x86_64: creat;
    aarch64:
}

calls! {
    /// Made by the start alone: the kernel starts the program, the runtime sets itself up, rights are given back.
    START: epoll_create1 eventfd2 execve capget capset clone3 listen landlock_create_ruleset landlock_add_rule landlock_restrict_self
    set_tid_address socketpair getuid geteuid getgid getegid getcwd fchdir statfs prlimit64;
    x86_64: arch_prctl access;
    aarch64:
}

calls! {
    /// Made by the thread that asks connection tracking, after it gave back all but NET_ADMIN.
    TRACKING: futex sendto recvfrom setsockopt fcntl close clock_gettime madvise munmap mremap brk getrandom sched_yield
    rt_sigreturn rt_sigprocmask sigaltstack restart_syscall exit exit_group getpid gettid write;
    x86_64:;
    aarch64:
}

/// The name of a call, for people.
#[must_use]
pub fn name(number: i64) -> Option<&'static str> {
    const OTHERS: &[(&str, i64)] = &[
        ("ptrace", libc::SYS_ptrace),
        ("unshare", libc::SYS_unshare),
        ("mount", libc::SYS_mount),
        ("kill", libc::SYS_kill),
        ("process_vm_readv", libc::SYS_process_vm_readv),
        ("process_vm_writev", libc::SYS_process_vm_writev),
        ("execveat", libc::SYS_execveat),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
        ("io_uring_setup", libc::SYS_io_uring_setup),
    ];
    let ours = [RUNNING, LIMITED, SOMETIMES, START];
    let ours = ours.into_iter().flatten().find(|call| call.number == Some(number));
    let other = || OTHERS.iter().find(|other| other.1 == number).map(|other| other.0);
    ours.map(|call| call.name).or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A list that grows is a decision: say in the module's text what makes the call, and in docs/threat-model.md that it is there.
    #[test]
    fn a_running_agent_may_make_sixty_calls_and_no_more() {
        let here = RUNNING.iter().filter(|call| call.number.is_some()).count();

        assert!(here <= 60, "{here}");
    }

    #[test]
    fn no_call_stands_in_two_lists() {
        let all: Vec<_> = [RUNNING, LIMITED, SOMETIMES, START].into_iter().flatten().collect();
        let names: BTreeSet<_> = all.iter().map(|call| call.name).collect();

        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn the_thread_that_asks_connection_tracking_makes_no_call_that_the_agent_does_not() {
        assert!(TRACKING.iter().all(|call| RUNNING.contains(call)));
    }

    #[test]
    fn what_takes_a_machine_over_is_not_among_what_a_running_agent_may_call() {
        let running: Vec<_> = [RUNNING, LIMITED].into_iter().flatten().map(|c| c.name).collect();

        for call in ["execve", "execveat", "setns", "unshare", "ptrace", "mount", "kill", "capset"]
        {
            assert!(!running.contains(&call), "{call}");
        }
    }
}
