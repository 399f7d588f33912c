//! The sources `bpf` and `bpf-compat` against the kernel that runs the test.
//!
//! In: sockets and processes made here. Out: a verdict. Most tests run in a box, a child in pid,
//! mount and network namespaces of its own, so that nothing else is in the picture. They need root and
//! are ignored unless asked for, as `make test` does; where the kernel refuses the programs, they say SKIP.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]

#[path = "bpf/sandbox.rs"]
mod sandbox;
#[path = "bpf/sources.rs"]
mod sources;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
};

use probelet_agent::discover::{
    Limits, Pace, Pass, Source, Unpaced,
    bpf::{Bpf, load},
};
use probelet_core::facts::{
    Facts, Loss, Netns, Process, Protocol, Socket, SourceKind, State, Want,
};
use sandbox::in_sandbox;
use sources::each_source;

fn pass(source: &mut Bpf, want: Want) -> Facts {
    let mut facts = Facts::default();
    assert_eq!(source.pass(want, &mut facts, &mut Unpaced).unwrap(), Pass::Complete);
    facts
}

fn find(facts: &Facts, local: SocketAddr, remote: Option<SocketAddr>) -> Vec<Socket> {
    let same = |s: &&Socket| {
        s.local.to_string() == local.to_string()
            && remote.is_none_or(|r| s.remote.to_string() == r.to_string())
    };
    facts.sockets.iter().filter(same).copied().collect()
}

/// One established connection over loopback: listener, client, accepted end.
fn connection(address: &str) -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap().0;
    (listener, client, accepted)
}

fn netns_of_self() -> u32 {
    u32::try_from(std::fs::metadata("/proc/self/ns/net").unwrap().ino()).unwrap()
}

#[test]
#[ignore = "needs root and BPF"]
fn both_ends_and_the_listener_of_a_connection_are_seen() {
    in_sandbox("both_ends_and_the_listener_of_a_connection_are_seen", || {
        let (listener, mut client, mut accepted) = connection("127.0.0.1:0");
        client.write_all(b"12345").unwrap();
        accepted.read_exact(&mut [0; 5]).unwrap();
        let (server, dialer) = (listener.local_addr().unwrap(), client.local_addr().unwrap());

        each_source(|source| {
            let facts = pass(source, Want::Everything);

            let [outgoing] = find(&facts, dialer, Some(server))[..] else {
                panic!("{:?}", facts.sockets)
            };
            let [taken] = find(&facts, server, Some(dialer))[..] else {
                panic!("{:?}", facts.sockets)
            };
            let listening = facts.sockets.iter().filter(|s| s.state == State::Listen).count();
            assert_eq!(
                (outgoing.state, outgoing.protocol, outgoing.pid),
                (State::Established, Protocol::Tcp, 1)
            );
            assert_eq!((outgoing.netns, taken.netns), (netns_of_self(), netns_of_self()));
            assert_eq!(taken.bytes_received, Some(5));
            assert_eq!(listening, 1);
            assert_eq!(facts.sockets.len(), 3);
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_v4_peer_of_a_v6_socket_is_shown_as_v4() {
    in_sandbox("a_v4_peer_of_a_v6_socket_is_shown_as_v4", || {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let client = TcpStream::connect(server).unwrap();
        let _accepted = listener.accept().unwrap();

        each_source(|source| {
            let facts = pass(source, Want::Sockets);

            let [taken] = find(&facts, server, Some(client.local_addr().unwrap()))[..] else {
                panic!("{facts:?}")
            };
            assert!(taken.local.is_v4() && taken.remote.is_v4());
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn an_ipv6_connection_has_its_addresses() {
    in_sandbox("an_ipv6_connection_has_its_addresses", || {
        let (listener, client, _accepted) = connection("[::1]:0");
        let (server, dialer) = (listener.local_addr().unwrap(), client.local_addr().unwrap());

        each_source(|source| {
            let facts = pass(source, Want::Sockets);

            assert_eq!(find(&facts, dialer, Some(server)).len(), 1, "{:?}", facts.sockets);
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_udp_socket_is_seen_once_it_is_bound() {
    in_sandbox("a_udp_socket_is_seen_once_it_is_bound", || {
        let bound = UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = UdpSocket::bind("[::1]:0").unwrap();
        connected.connect("[::1]:9").unwrap();

        each_source(|source| {
            let facts = pass(source, Want::Sockets);

            let [one] = find(&facts, bound.local_addr().unwrap(), None)[..] else {
                panic!("{facts:?}")
            };
            let [two] = find(&facts, connected.local_addr().unwrap(), None)[..] else {
                panic!("{facts:?}")
            };
            assert_eq!(
                (one.protocol, one.state, one.bytes_sent),
                (Protocol::Udp, State::Close, None)
            );
            assert_eq!((two.state, two.remote.port), (State::Established, 9));
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_is_as_proc_shows_it() {
    in_sandbox("a_process_is_as_proc_shows_it", || {
        let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(std::thread::park)).collect();
        each_source(|source| {
            let facts = pass(source, Want::Processes);
            let me = procfs::process::Process::myself().unwrap();
            let stat = me.stat().unwrap();

            let [seen] = facts.processes[..] else {
                panic!("only this process: {:?}", facts.processes)
            };

            assert_eq!((seen.pid, seen.ppid), (1, 0));
            assert_eq!(seen.start_ns / 10_000_000, stat.starttime);
            assert_eq!(i64::from(seen.threads), stat.num_threads);
            assert_eq!(
                seen.open_fds,
                Some(u32::try_from(me.fd_count().unwrap() - 1).unwrap()),
                "one is the look itself"
            );
            assert_eq!(seen.netns, netns_of_self());
            assert_eq!(seen.comm.to_string(), stat.comm);
            let pages = stat.rss.abs_diff(seen.rss_bytes / procfs::page_size());
            assert!(pages < 512, "rss differs by {pages} pages");
            let cpu_ms = (stat.utime + stat.stime) * 10;
            assert!(
                (seen.cpu_ns / 1_000_000).abs_diff(cpu_ms) < 60,
                "{} ns, {cpu_ms} ms",
                seen.cpu_ns
            );
        });
        drop(threads);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn the_process_list_is_that_of_proc_zombies_included() {
    in_sandbox("the_process_list_is_that_of_proc_zombies_included", || {
        let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut zombie = std::process::Command::new("true").spawn().unwrap();
        while !std::fs::read_to_string(format!("/proc/{}/stat", zombie.id()))
            .unwrap()
            .contains(") Z ")
        {
            std::thread::yield_now();
        }

        each_source(|source| {
            let facts = pass(source, Want::Processes);
            let mut seen: Vec<_> = facts.processes.iter().map(|p| (p.pid, p.ppid)).collect();
            seen.sort_unstable();

            assert_eq!(seen, [(1, 0), (sleeper.id(), 1), (zombie.id(), 1)]);
            let netns = facts.processes.iter().find(|p| p.pid == zombie.id()).map(|p| p.netns);
            assert_eq!(netns, Some(0), "/proc has no ns/net of a zombie either");
        });
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        zombie.wait().unwrap();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_closed_connection_is_reported_by_one_pass_only() {
    in_sandbox("a_closed_connection_is_reported_by_one_pass_only", || {
        each_source(|source| {
            pass(source, Want::Sockets);
            let mut seen = Vec::new();
            for _ in 0..5 {
                let (_listener, client, accepted) = connection("127.0.0.1:0");
                let ends = (
                    client.local_addr().unwrap().to_string(),
                    client.peer_addr().unwrap().to_string(),
                );
                drop(client);
                drop(accepted);
                let closed = pass(source, Want::Sockets).closed;
                seen.extend(closed.iter().map(|c| (c.local.to_string(), c.remote.to_string())));
                assert_eq!(seen.last(), Some(&ends));
                assert!(
                    closed.iter().all(|c| (58_000..=60_000).contains(&c.remaining_ms)),
                    "{closed:?}"
                );
            }
            assert_eq!(pass(source, Want::Sockets).closed, []);

            assert_eq!(seen.len(), 5);
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_that_waits_to_be_accepted_has_no_owner() {
    in_sandbox("a_connection_that_waits_to_be_accepted_has_no_owner", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();

        each_source(|source| {
            let facts = pass(source, Want::Sockets);

            let [waiting] = find(&facts, server, Some(client.local_addr().unwrap()))[..] else {
                panic!("{facts:?}")
            };
            assert_eq!((waiting.pid, waiting.inode, waiting.state), (0, 0, State::Established));
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_connection_that_its_owner_closed_half_way_has_no_owner() {
    in_sandbox("a_connection_that_its_owner_closed_half_way_has_no_owner", || {
        let (listener, client, _accepted) = connection("127.0.0.1:0");
        let (server, dialer) = (listener.local_addr().unwrap(), client.local_addr().unwrap());
        drop(client);

        each_source(|source| {
            let facts = pass(source, Want::Sockets);

            let [orphan] = find(&facts, dialer, Some(server))[..] else { panic!("{facts:?}") };
            assert_eq!((orphan.pid, orphan.state), (0, State::FinWait2));
            assert_eq!(find(&facts, server, Some(dialer))[0].state, State::CloseWait);
        });
    });
}

/// Counts the slices.
#[derive(Default)]
struct Slices(usize);

impl Pace for Slices {
    fn breathe(&mut self) -> bool {
        self.0 += 1;
        true
    }

    fn take(&mut self, _: probelet_agent::discover::Limiter, n: u32) -> u32 {
        n
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_of_many_fds_is_read_whole_in_several_slices() {
    in_sandbox("a_process_of_many_fds_is_read_whole_in_several_slices", || {
        sandbox::allow_files(20_000);
        let sockets: Vec<_> = (0..6_000).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let files: Vec<_> =
            (0..13_000).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();

        each_source(|source| {
            let (mut facts, mut slices) = (Facts::default(), Slices::default());
            source.pass(Want::Sockets, &mut facts, &mut slices).unwrap();

            let [me] = facts.processes[..] else { panic!("{:?}", facts.processes) };
            let listed = std::fs::read_dir("/proc/self/fd").unwrap().count() - 1;
            assert_eq!(me.open_fds, u32::try_from(listed).ok());
            assert_eq!(facts.sockets.len(), sockets.len());
            assert!(slices.0 > 2, "{} slices", slices.0);
        });
        drop(files);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_socket_held_by_two_fds_comes_once() {
    in_sandbox("a_socket_held_by_two_fds_comes_once", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let _again = socket.try_clone().unwrap();

        each_source(|source| assert_eq!(pass(source, Want::Sockets).sockets.len(), 1));
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn what_is_beyond_the_limits_is_counted() {
    in_sandbox("what_is_beyond_the_limits_is_counted", || {
        let _sockets =
            [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        let Ok(mut source) =
            load(SourceKind::BpfCompat, Limits { max_sockets: 1, max_processes: 0 })
        else {
            return eprintln!("SKIP: no BPF: bpf-compat is refused");
        };

        let facts = pass(&mut source, Want::Sockets);

        assert_eq!((facts.sockets.len(), facts.losses.get(Loss::SocketsFull)), (1, 1));
        assert_eq!((facts.processes.len(), facts.losses.get(Loss::ProcessesFull)), (0, 1));
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn both_builds_see_the_same() {
    in_sandbox("both_builds_see_the_same", || {
        let _open = (
            connection("127.0.0.1:0"),
            connection("[::1]:0"),
            UdpSocket::bind("127.0.0.1:0").unwrap(),
        );
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let mut seen = Vec::new();
        each_source(|source| {
            // the first run of a program faults its windows in, which the process's memory shows
            let mut facts = pass(source, Want::Everything);
            facts.sockets.sort_unstable_by_key(|s| s.inode);
            let still = |p: &Process| Process { cpu_ns: 0, rss_bytes: 0, open_fds: None, ..*p };
            let processes: Vec<_> = facts.processes.iter().map(still).collect();
            SEEN.lock().unwrap().push((processes, facts.sockets, facts.netns));
        });
        child.kill().unwrap();
        child.wait().unwrap();
        seen.append(&mut SEEN.lock().unwrap());

        if let [one, two] = &seen[..] {
            assert_eq!(one, two);
        }
    });
}

type Seen = (Vec<Process>, Vec<Socket>, Vec<Netns>);
static SEEN: std::sync::Mutex<Vec<Seen>> = std::sync::Mutex::new(Vec::new());

#[test]
#[ignore = "needs root and BPF"]
fn the_counters_are_those_of_proc_and_move_with_a_connection() {
    in_sandbox("the_counters_are_those_of_proc_and_move_with_a_connection", || {
        each_source(|source| {
            let before = pass(source, Want::Counters).netns;
            let _open = (connection("127.0.0.1:0"), connection("[::1]:0"));
            let _udp =
                (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("[::1]:0").unwrap());
            let after = pass(source, Want::Counters).netns;

            let ([before], [after]) = (&before[..], &after[..]) else {
                panic!("{before:?} {after:?}")
            };
            assert_eq!(after.active_opens - before.active_opens, 2);
            assert_eq!(after.passive_opens - before.passive_opens, 2);
            assert_eq!(after.curr_estab - before.curr_estab, 4);
            // /proc does not tell a namespace's birth.
            assert_ne!(after.cookie, 0);
            let reported = sandbox::counters_of_proc(netns_of_self());
            assert_eq!(*after, Netns { cookie: after.cookie, ..reported });
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_of_another_pid_namespace_is_seen() {
    in_sandbox("nothing_of_another_pid_namespace_is_seen", || {
        let mut inner = sandbox::other_pid_namespace();

        each_source(|source| {
            let facts = pass(source, Want::Processes);
            let mut seen: Vec<_> = facts.processes.iter().map(|p| p.pid).collect();
            seen.sort_unstable();

            // a nested namespace's processes have a pid here too; those outside have none
            assert_eq!(seen, sandbox::pids_of_proc());
            assert!(seen.len() < 10, "{seen:?}");
        });
        inner.kill().unwrap();
        inner.wait().unwrap();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_stopped_pass_leaves_the_source_usable_and_repeats_what_closed() {
    struct Stop;
    impl Pace for Stop {
        fn breathe(&mut self) -> bool {
            false
        }

        fn take(&mut self, _: probelet_agent::discover::Limiter, n: u32) -> u32 {
            n
        }
    }
    in_sandbox("a_stopped_pass_leaves_the_source_usable_and_repeats_what_closed", || {
        let (_listener, client, accepted) = connection("127.0.0.1:0");
        drop(client);
        drop(accepted);
        each_source(|source| {
            let mut facts = Facts::default();
            assert_eq!(source.pass(Want::Sockets, &mut facts, &mut Stop).unwrap(), Pass::Abandoned);
            assert_eq!(facts.fresh, None);

            assert_eq!(pass(source, Want::Sockets).closed.len(), 1);
        });
    });
}
