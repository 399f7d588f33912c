//! Health of flows, and what is about to run full, against the kernel that runs the test.
//!
//! In: sockets made here, in a box: a child in pid, mount and network namespaces of its own. Out: a verdict,
//! by `ss` of iproute2 and by the agent's own report. They need root and are ignored unless asked for, as
//! `make test` does; where the kernel refuses the programs, they say SKIP.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]
#![allow(unreachable_pub, reason = "shared by the modules of one test binary")]

#[path = "health/agent.rs"]
mod agent;
#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "bpf/sandbox.rs"]
mod sandbox;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use agent::Agent;
use probelet_agent::discover::ceilings::Ceilings;
use probelet_agent::discover::{Limits, Pass, Source, Unpaced, bpf, netlink};
use probelet_core::facts::{Facts, PortRange, Quality, SourceKind, Want};
use probelet_core::records::Risk;
use probelet_core::report::{self, Now, Report};
use sandbox::{allow_files, in_sandbox};

/// Passes come each second and read everything every ten: in the first one after its interval, with the second
/// look that some need, and the time to start.
const NAMED: Duration = Duration::from_secs(14);

fn run(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Both ends of so many connections to a listener, over loopback.
fn connect(to: &TcpListener, n: usize) -> Vec<(TcpStream, TcpStream)> {
    let one = |_| (TcpStream::connect(to.local_addr().unwrap()).unwrap(), to.accept().unwrap().0);
    (0..n).map(one).collect()
}

/// Sends something there and back.
fn talk((a, b): &mut (TcpStream, TcpStream), rounds: usize) {
    for _ in 0..rounds {
        a.write_all(&[7; 2000]).unwrap();
        b.read_exact(&mut [0; 2000]).unwrap();
        b.write_all(&[7; 10]).unwrap();
        a.read_exact(&mut [0; 10]).unwrap();
    }
}

/// What `ss -ti` says, by local and remote address.
fn by_ss() -> BTreeMap<(String, String), Quality> {
    let text = run("ss", &["-tinHO", "state", "established"]);
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |prefix: &str| {
            let word = words.iter().find_map(|word| word.strip_prefix(prefix))?;
            word.parse::<u32>().ok()
        };
        let rtt = words.iter().find_map(|word| word.strip_prefix("rtt:")).unwrap();
        let rtt: f64 = rtt.split('/').next().unwrap().parse().unwrap();
        let again = words.iter().find_map(|word| word.strip_prefix("retrans:"));
        let again = again.map_or(0, |word| word.split('/').nth(1).unwrap().parse().unwrap());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "microseconds")]
        let quality = Quality {
            rtt_us: (rtt * 1000.0).round() as u32,
            retransmitted: again,
            segments: number("data_segs_out:").unwrap_or(0),
        };
        ((words[2].to_owned(), words[3].to_owned()), quality)
    };
    text.lines().map(line).collect()
}

/// What a source says of the same, and for how many of them.
fn by_source(source: &mut dyn Source) -> BTreeMap<(String, String), Quality> {
    let mut facts = Facts::default();
    assert_eq!(source.pass(Want::Everything, &mut facts, &mut Unpaced).unwrap(), Pass::Complete);
    let reported = facts.sockets.iter().filter_map(|socket| Some((socket, socket.tcp.quality()?)));
    reported.map(|(s, quality)| ((s.local.to_string(), s.remote.to_string()), quality)).collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn every_socket_fares_as_ss_says() {
    in_sandbox("every_socket_fares_as_ss_says", || {
        // The retransmissions are real: two in a hundred packets to one port are lost.
        let lossy = TcpListener::bind("127.0.0.1:7001").unwrap();
        let sound = TcpListener::bind("127.0.0.1:7002").unwrap();
        let statistic = ["-m", "statistic", "--mode", "random", "--probability", "0.05"];
        let rule =
            ["-A", "INPUT", "-p", "tcp", "--dport", "7001", "-m", "length", "--length", "100:"];
        let mut pairs = connect(&lossy, 40);
        pairs.extend(connect(&sound, 40));
        run("iptables", &[&rule[..], &statistic, &["-j", "DROP"]].concat());
        for pair in &mut pairs {
            talk(pair, 20);
        }
        // Let delayed acknowledgements go first.
        thread::sleep(Duration::from_millis(300));
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        let limits = Limits { max_sockets: 4096, max_processes: 4096 };
        sources.push(Box::new(netlink::load(limits).unwrap()));
        for source_kind in [SourceKind::Bpf, SourceKind::BpfCompat] {
            match bpf::load(source_kind, limits) {
                Ok(source) => sources.push(Box::new(source)),
                Err(error) => eprintln!("SKIP: no BPF: {}: {error}", source_kind.name()),
            }
        }

        for source in &mut sources {
            for _ in 0..2 {
                let (seen, said) = (by_source(&mut **source), by_ss());
                assert_eq!(said.len(), 160);
                assert!(said.values().any(|quality| quality.retransmitted > 0), "nothing was lost");
                let differ: Vec<_> = said
                    .iter()
                    .filter(|(ends, quality)| seen.get(*ends) != Some(*quality))
                    .collect();
                assert!(differ.is_empty(), "{}: {differ:?} {seen:?}", source.kind().name());
            }
        }
    });
}

/// Connections over one of two veth pairs, that send small messages to and fro until the box ends.
fn chat(server: &str, connections: usize) {
    let address: SocketAddr = server.parse().unwrap();
    for _ in 0..connections {
        thread::spawn(move || {
            let mut client = TcpStream::connect(address).unwrap();
            loop {
                client.write_all(b"12345678").unwrap();
                client.read_exact(&mut [0; 8]).unwrap();
                thread::sleep(Duration::from_millis(2));
            }
        });
    }
}

/// Echoes whatever comes, in the namespace of that process.
fn echo(pid: u32, address: &str) {
    let address: SocketAddr = address.parse().unwrap();
    let (ready, listening) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let space = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        let network = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&space), network)
            .unwrap();
        let listener = TcpListener::bind(address).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 8];
                while stream.read_exact(&mut bytes).is_ok() && stream.write_all(&bytes).is_ok() {}
            });
        }
    });
    listening.recv().unwrap();
}

#[test]
#[ignore = "needs root and iptables"]
fn of_two_paths_the_one_that_loses_two_in_a_hundred_is_named_within_half_a_minute() {
    in_sandbox(
        "of_two_paths_the_one_that_loses_two_in_a_hundred_is_named_within_half_a_minute",
        || {
            let mut other =
                Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap();
            let pid = other.id();
            let own = std::fs::read_link("/proc/self/ns/net").unwrap();
            while std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap() == own {
                thread::sleep(Duration::from_millis(5));
            }
            let inside = pid.to_string();
            for n in ["1", "2"] {
                let (here, there) = (format!("a{n}"), format!("b{n}"));
                run(
                    "ip",
                    &[
                        "link", "add", &here, "type", "veth", "peer", "name", &there, "netns",
                        &inside,
                    ],
                );
                run("ip", &["addr", "add", &format!("10.9.{n}.1/24"), "dev", &here]);
                run("ip", &["link", "set", &here, "up"]);
                let enter = ["-t", &inside, "-n", "ip"];
                run(
                    "nsenter",
                    &[&enter[..], &["addr", "add", &format!("10.9.{n}.2/24"), "dev", &there]]
                        .concat(),
                );
                run("nsenter", &[&enter[..], &["link", "set", &there, "up"]].concat());
            }
            for n in [1, 2] {
                echo(pid, &format!("10.9.{n}.2:700{n}"));
                chat(&format!("10.9.{n}.2:700{n}"), 6);
            }
            let agent = Agent::start();
            agent.wait_for("flows", 2, Duration::from_secs(15));
            thread::sleep(Duration::from_secs(11));
            assert!(agent.sick().is_empty(), "{:?}", agent.sick());
            let statistic = ["-m", "statistic", "--mode", "random", "--probability", "0.02"];
            run(
                "iptables",
                &[&["-A", "INPUT", "-i", "a1"][..], &statistic, &["-j", "DROP"]].concat(),
            );

            let began = Instant::now();
            while agent.sick() != [(7001, "lossy".to_owned())] {
                let (took, sick) = (began.elapsed(), agent.sick());
                assert!(took < Duration::from_secs(30), "{sick:?}");
                assert!(sick.iter().all(|(port, _)| *port == 7001), "{sick:?}");
                thread::sleep(Duration::from_millis(250));
            }
            eprintln!("named after {:?}", began.elapsed());
            for _ in 0..24 {
                assert!(agent.sick().iter().all(|(port, _)| *port == 7001), "{:?}", agent.sick());
                thread::sleep(Duration::from_millis(500));
            }
            other.kill().unwrap();
            other.wait().unwrap();
        },
    );
}

/// Tries each source that runs here: who is named, and for how long it took.
fn named(risk: &str, port: Option<u16>, provoke: impl Fn() -> Box<dyn std::any::Any>) {
    for source in ["bpf", "netlink"] {
        let Some(agent) = Agent::start_with(source) else { continue };
        agent.wait_for("processes", 1, Duration::from_secs(15));
        assert!(agent.risks().is_empty(), "{source}: {:?}", agent.risks());
        let began = Instant::now();
        let held = provoke();
        let is = |found: &(String, Option<u16>, u64)| found.0 == risk && found.1 == port;
        while !agent.risks().iter().any(is) {
            assert!(began.elapsed() < NAMED, "{source}: {:?}", agent.risks());
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!("{risk} by {source} after {:?}", began.elapsed());
        assert!(agent.risks().iter().all(is), "{source}: {:?}", agent.risks());
        drop(held);
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_full_accept_queue_is_named() {
    in_sandbox("a_full_accept_queue_is_named", || {
        named("accept-queue", Some(9100), || {
            let listener = TcpListener::bind("127.0.0.1:9100").unwrap();
            rustix::net::listen(&listener, 16).unwrap();
            let to = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..17)
                .filter_map(|_| TcpStream::connect_timeout(&to, Duration::from_millis(300)).ok())
                .collect();
            Box::new((listener, clients))
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn connections_left_in_close_wait_are_named() {
    in_sandbox("connections_left_in_close_wait_are_named", || {
        named("close-wait", Some(9101), || {
            let listener = TcpListener::bind("127.0.0.1:9101").unwrap();
            let left: Vec<_> =
                connect(&listener, 150).into_iter().map(|(client, _)| client).collect();
            Box::new((listener, left))
        });
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_near_its_limit_of_open_files_is_named() {
    in_sandbox("a_process_near_its_limit_of_open_files_is_named", || {
        named("open-files", None, || {
            let many = "import os, resource, time\n\
                resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n\
                for _ in range(170): os.open('/dev/null', 0)\n\
                time.sleep(600)";
            Box::new(Killed(Command::new("python3").args(["-c", many]).spawn().unwrap()))
        });
    });
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn ports_that_are_nearly_used_up_for_one_destination_are_named() {
    in_sandbox("ports_that_are_nearly_used_up_for_one_destination_are_named", || {
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40199").unwrap();
        named("ephemeral-ports", Some(9102), || {
            let listener = TcpListener::bind("127.0.0.1:9102").unwrap();
            let held = connect(&listener, 170);
            for (client, _) in &held {
                // Ended by a reset they leave no TIME_WAIT, which would use the ports up for the next source.
                rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO)).unwrap();
            }
            Box::new((listener, held))
        });
    });
}

#[test]
#[ignore = "needs root and iptables"]
fn connection_tracking_that_is_nearly_full_is_named() {
    in_sandbox("connection_tracking_that_is_nearly_full_is_named", || {
        run("iptables", &["-A", "OUTPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"]);
        // The limit is the machine's; another one stands in its place, the count is the kernel's.
        let proc = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc/1", proc.path().join("1")).unwrap();
        std::fs::create_dir_all(proc.path().join("sys/net/netfilter")).unwrap();
        std::fs::write(proc.path().join("sys/net/netfilter/nf_conntrack_max"), "100\n").unwrap();
        let mut ceilings = Ceilings::new(proc.path()).unwrap();
        let before = ceilings.tracked().unwrap().now;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for port in 1..=85 {
            socket.send_to(b"x", ("127.0.0.1", 20_000 + port)).ok();
        }

        let tracked = ceilings.tracked().unwrap();
        assert!(tracked.now - before >= 80, "{before} {tracked:?}");
        let mut report = Report::new(report::Limits::default(), PortRange::default());
        let fresh = Some(Want::Everything);
        let facts = Facts { fresh, conntrack: Some(tracked), ..Facts::default() };
        report.update(&facts, Now { unix_ms: 1, mono_ms: 1 });
        let risks: Vec<_> = report.picture(Now::default()).risks.iter().map(|r| r.risk).collect();
        assert_eq!(risks, [Risk::Conntrack]);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_healthy_load_is_neither_sick_nor_at_risk() {
    in_sandbox("a_healthy_load_is_neither_sick_nor_at_risk", || {
        allow_files(4096);
        let listener = TcpListener::bind("127.0.0.1:9103").unwrap();
        let churn = TcpListener::bind("127.0.0.1:9104").unwrap();
        let mut held = connect(&listener, 200);
        let agent = Agent::start();
        let until = Instant::now() + Duration::from_secs(25);
        let mut opened = 0;
        while Instant::now() < until {
            for pair in &mut held {
                talk(pair, 1);
            }
            // Bursts, and the server closes first: the clients are in CLOSE_WAIT for a moment.
            for (client, server) in connect(&churn, 50) {
                drop(server);
                drop(client);
                opened += 1;
            }
            thread::sleep(Duration::from_millis(100));
            assert!(agent.risks().is_empty(), "{:?}", agent.risks());
            assert!(agent.sick().is_empty(), "{:?}", agent.sick());
        }
        assert!(opened > 1000);
    });
}
