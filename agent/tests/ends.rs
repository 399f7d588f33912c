//! Ends that the kernel reports, on the running kernel: every source, every way to end, counted as often as it happened.
//!
//! In: connections in network namespaces of our own. Out: assertions about what the report counts of them.
//!
//! I/O: namespaces, veth pairs, sockets; a child of this test is the node, so that nothing else of the machine is heard.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::print_stdout, reason = "what was counted stands beside a failure")]

#[path = "ends/attempts.rs"]
mod attempts;
#[path = "ends/node.rs"]
mod node;
#[path = "ends/reuse.rs"]
mod reuse;

use node::{PROGRAM, Pod, bridge, in_a_node, sh};
use probelet_agent::discover::ends::{Ends, ROOM};
use probelet_agent::discover::{Limits, Pass, Source, Unpaced, choose};
use probelet_core::coverage::Count;
use probelet_core::facts::{Facts, Loss, Losses, SourceKind, Want};
use probelet_core::join::PortRange;
use probelet_core::records::FlowRecord;
use probelet_core::report::{self, Now, Picture, Report};
use rustix::thread::CapabilitySet;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { max_sockets: 65_536, max_processes: 16_384 };

/// Gives up a capability of this thread, for good.
fn without(capability: CapabilitySet) {
    let mut sets = rustix::thread::capabilities(None).unwrap();
    sets.effective.remove(capability);
    sets.permitted.remove(capability);
    sets.inheritable.remove(capability);
    rustix::thread::set_capabilities(None, sets).unwrap();
}

/// An agent without an engine: it reads ends, then the node, and reports.
struct Agent {
    source: Box<dyn Source>,
    ends: Ends,
    facts: Facts,
    report: Report,
    began: Instant,
    overruns: u64,
    messages: u64,
}

fn mono_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap() * 1000 + u64::try_from(now.tv_nsec).unwrap() / 1_000_000
}

impl Agent {
    fn start(source_kind: SourceKind, room: u32) -> Self {
        let mut ends = Ends::open(Path::new("/proc"), room).unwrap();
        ends.listen(true, mono_ms()).unwrap();
        let mut agent = Self {
            source: choose::load(source_kind, LIMITS).unwrap(),
            ends,
            facts: Facts::default(),
            report: Report::new(report::Limits::default(), PortRange::UNKNOWN),
            began: Instant::now(),
            overruns: 0,
            messages: 0,
        };
        agent.pass();
        agent
    }

    fn pass(&mut self) {
        self.facts.losses = Losses::default();
        let heard = self.ends.read();
        self.overruns += heard.overruns;
        self.messages += heard.messages;
        let pass = self.source.pass(Want::Everything, &mut self.facts, &mut Unpaced).unwrap();
        assert_eq!(pass, Pass::Complete);
        self.ends.hand_over(&mut self.facts, mono_ms());
        self.report.update(&self.facts, Self::now());
    }

    fn now() -> Now {
        let mono_ms = mono_ms();
        Now { unix_ms: 1_700_000_000_000 + mono_ms, mono_ms }
    }

    /// Passes until nothing is reported any more: on a busy machine the kernel's worker is late.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 8 {
            std::thread::sleep(Duration::from_millis(150));
            let before = self.messages;
            self.pass();
            quiet = if self.messages == before { quiet + 1 } else { 0 };
        }
    }

    fn picture(&self) -> Picture {
        self.report.picture(Self::now())
    }

    fn total(&self) -> Count {
        self.picture().coverage[1]
    }

    /// Resets that flows to this port count.
    fn resets(&self, port: u16) -> u64 {
        let picture = self.picture();
        let flows = picture.flows.iter().filter(|flow| flow.key.port == port);
        flows.map(|flow| flow.health.resets).sum()
    }

    /// Failed attempts that flows to this port count.
    fn failed(&self, port: u16) -> u64 {
        let picture = self.picture();
        let flows = picture.flows.iter().filter(|flow| flow.key.port == port);
        flows.map(|flow| flow.health.failed).sum()
    }

    /// Connections that flows to this port count.
    fn counted(&self, port: u16) -> (u64, u64) {
        let picture = self.picture();
        let flows = picture.flows.iter().filter(|flow| flow.key.port == port);
        flows.fold((0, 0), |sum, flow| (sum.0 + flow.opened, sum.1 + flow.closed))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for flow in self.picture().flows.iter() {
            println!("{:?} {} {}/{}/{}", flow.key, flow.id, flow.opened, flow.current, flow.closed);
        }
        let losses = self.picture().losses;
        let losses: Vec<_> = losses.iter().filter(|(_, n)| *n > 0).collect();
        println!(
            "{:?} in {:?}, reported {:?}",
            self.total(),
            self.began.elapsed(),
            self.facts.reported
        );
        println!("losses {losses:?}, {} overruns", self.overruns);
    }
}

fn every_end_is_counted(source_kind: SourceKind) {
    bridge();
    let (mut server, mut client) = (Pod::start(1), Pod::start(2));
    for (port, how) in [(81, "second"), (82, "first"), (83, "reset"), (84, "half")] {
        server.ask(&format!("serve {port} {how} 4"));
        server.ask(&format!("serve {} {how} 6", port + 100));
    }
    let mut agent = Agent::start(source_kind, ROOM);
    agent.settle();
    let before = agent.total();
    let mut all = 0;
    for (port, how) in [(81, "second"), (82, "first"), (81, "reset"), (83, "wait"), (84, "half")] {
        for (ip, port) in [("10.9.0.1", port), ("fd09::1", port + 100)] {
            client.tell(&format!("talk {ip} {port} 50 {how} 0.002"));
            for _ in 0..3 {
                std::thread::sleep(Duration::from_millis(40));
                agent.pass();
            }
            assert_eq!(client.answer(), "done");
            all += 50;
        }
    }
    // A connection within one namespace, whose two ends are the same pod's.
    server.ask("talk 127.0.0.1 81 50 second 0");
    agent.settle();

    let total = agent.total();
    let (opened, observed) = (total.opened - before.opened, total.observed - before.observed);
    assert_eq!((opened, observed), (2 * (all + 50), 2 * (all + 50)), "ends");
    for (port, count) in [(81, 150), (181, 100), (82, 50), (182, 50), (83, 50), (84, 50), (184, 50)]
    {
        assert_eq!(agent.counted(port), (count, count), "port {port}");
    }
    // 100 resets by the client, one by the server each; nothing that ended by a FIN is one.
    assert_eq!([82, 84, 182, 184].map(|port| agent.resets(port)), [0; 4]);
    assert_eq!([81, 181, 83, 183].map(|port| agent.resets(port)), [50; 4]);
    let losses = agent.picture().losses;
    for loss in [Loss::Overcounted, Loss::EndsLost, Loss::EndsElsewhere] {
        assert_eq!(losses.get(loss), 0, "{loss:?}");
    }
    server.kill();
    client.kill();
}

#[test]
#[ignore = "needs root and BPF"]
fn bpf_counts_every_end_once() {
    in_a_node(|| every_end_is_counted(SourceKind::Bpf));
}

#[test]
#[ignore = "needs root"]
fn netlink_counts_every_end_once() {
    in_a_node(|| every_end_is_counted(SourceKind::Netlink));
}

#[test]
#[ignore = "needs root"]
fn procfs_counts_every_end_once() {
    in_a_node(|| every_end_is_counted(SourceKind::Procfs));
}

#[test]
#[ignore = "needs root and BPF"]
fn payload_of_short_connections_is_counted_to_the_byte() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 84 half 4");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        agent.settle();

        client.ask("talk 10.9.0.1 84 200 half 0");
        // The kernel's worker reports ends when it has time; a round-trip time is that of the last minute.
        let rtt = (0..40).find_map(|_| {
            std::thread::sleep(Duration::from_millis(25));
            agent.pass();
            let flows = agent.picture().flows;
            flows.iter().map(|flow| flow.health.rtt.median_us).max().filter(|&median| median > 0)
        });
        agent.settle();

        let picture = agent.picture();
        // One whose server's end is reported a pass later than its client's has a flow of its own until then.
        let flows: Vec<_> = picture.flows.iter().filter(|flow| flow.key.port == 84).collect();
        let sum = |of: fn(&FlowRecord) -> u64| flows.iter().map(|flow| of(flow)).sum::<u64>();
        let bytes = (sum(|flow| flow.bytes_sent), sum(|flow| flow.bytes_received));
        assert_eq!(bytes, (200 * 1000, 200 * 3), "{flows:?}");
        assert_eq!(sum(|flow| flow.opened), 200, "{flows:?}");
        assert!(sum(|flow| flow.health.segments) >= 200, "{flows:?}");
        assert_eq!(sum(|flow| flow.health.resets + flow.health.failed), 0, "{flows:?}");
        assert!(rtt.is_some(), "of connections that no pass saw");
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_pod_that_is_killed_with_open_connections_is_counted() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 85 hold 4");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        client.ask("talk 10.9.0.1 85 40 keep 0");
        agent.pass();
        assert_eq!(agent.counted(85), (40, 0));
        // These no scan sees before their namespace is gone with them.
        client.ask("talk 10.9.0.1 85 60 keep 0");

        client.kill();
        // The next pod gets the same short number of the kernel's at once.
        let mut next = Pod::start(3);
        next.ask("talk 10.9.0.1 85 20 keep 0");
        agent.settle();
        server.ask("drop");
        agent.settle();
        next.ask("drop");
        agent.settle();

        // The server's last words reach no one: its ends of the killed pod's connections are there for minutes.
        let (opened, closed) = agent.counted(85);
        let picture = agent.picture();
        let open: u64 = picture.flows.iter().map(|flow| u64::from(flow.current)).sum();
        assert_eq!((opened, closed + open), (120, 120));
        let total = agent.total();
        assert!(total.observed <= total.opened, "{total:?}");
        assert_eq!(agent.picture().losses.get(Loss::Overcounted), 0);
        server.kill();
        next.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn an_overrun_is_counted_and_repaired_and_never_too_much() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        let mut agent = Agent::start(SourceKind::Bpf, 64 * 1024);

        client.ask("talk 10.9.0.1 81 3000 reset 0");
        agent.settle();
        client.ask("talk 10.9.0.1 81 20 second 0.01");
        agent.settle();

        assert!(agent.overruns > 0, "a small buffer overflows");
        let (total, losses) = (agent.total(), agent.picture().losses);
        assert_eq!(total.opened, 2 * 3020);
        assert!(total.observed < total.opened, "{total:?}");
        assert_eq!(losses.get(Loss::EndsLost), total.opened - total.observed);
        assert_eq!(losses.get(Loss::Overcounted), 0);
        let (opened, closed) = agent.counted(81);
        assert!(opened <= 3020 && closed == opened, "{opened} {closed}");
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_storm_of_resets_is_counted_whole() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        // Room for what comes while this test waits for a core: it is about what is made of ends, not about lost ones.
        let mut agent = Agent::start(SourceKind::Bpf, 8 * ROOM);
        agent.settle();

        client.tell("talk 10.9.0.1 81 20000 reset 0");
        let began = Instant::now();
        let reported = std::thread::scope(|scope| {
            let answer = scope.spawn(|| client.answer());
            while !answer.is_finished() {
                std::thread::sleep(Duration::from_millis(50));
                agent.pass();
            }
            answer.join().unwrap()
        });
        assert_eq!(reported, "done");
        println!("20,000 connections in {:?} at most", began.elapsed());
        agent.settle();

        assert_eq!(agent.overruns, 0);
        // Beside a busy machine one or two of those that a pass met while they were being connected are missing; none is too much.
        let Count { opened, observed } = agent.total();
        assert_eq!(opened, 40_000);
        assert!((39_990..=40_000).contains(&observed), "{observed}: {:?}", agent.picture().losses);
        // A few clients that reset forgot the port, and are reported before anything of the server is seen.
        let (known, forgot) = (agent.counted(81), agent.counted(0));
        for counted in [known.0 + forgot.0, known.1 + forgot.1] {
            assert!((19_995..=20_000).contains(&counted), "{known:?} {forgot:?}");
        }
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn without_net_admin_a_burst_overflows_and_that_is_said_and_counted() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        without(CapabilitySet::NET_ADMIN);
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        assert!(agent.ends.lacks().unwrap().contains("CAP_NET_ADMIN"));

        for _ in 0..5 {
            client.ask("talk 10.9.0.1 81 20 second 0");
            agent.settle();
        }
        assert_eq!(agent.total(), Count { opened: 200, observed: 200 });
        assert_eq!(agent.overruns, 0);

        // What anybody may have is the machine's own: a few hundred ends by default.
        let most: u64 =
            std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let ends = 2 * most / 1300;
        client.ask(&format!("talk 10.9.0.1 81 {} reset 0", ends.min(25_000)));
        // The kernel's worker may be behind, and what is read meanwhile makes room.
        std::thread::sleep(Duration::from_secs(1));
        agent.settle();
        assert!(agent.overruns > 0 || ends > 25_000, "room for {ends} ends");
        let (total, losses) = (agent.total(), agent.picture().losses);
        assert_eq!(losses.get(Loss::EndsLost), total.opened - total.observed);
        assert_eq!(losses.get(Loss::Overcounted), 0);
        server.kill();
        client.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn without_net_broadcast_pods_stay_with_what_the_kernel_keeps() {
    in_a_node(|| {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        without(CapabilitySet::NET_BROADCAST);
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        assert!(agent.ends.lacks().unwrap().contains("CAP_NET_BROADCAST"));

        client.ask("talk 10.9.0.1 81 50 second 0");
        agent.settle();

        assert_eq!(agent.facts.reported.len(), 1, "the node's own: {:?}", agent.facts.reported);
        // The server's ends leave nothing, and no scan met one that says whose the address is.
        let total = agent.total();
        assert!(total.opened == 100 && (50..=100).contains(&total.observed), "{total:?}");
        assert_eq!(agent.counted(81), (50, 50));
        server.kill();
        client.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_namespace_without_a_number_stays_with_what_the_kernel_keeps() {
    in_a_node(|| {
        sh("ip link set lo up");
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up; exec python3 -uc \"$0\"", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut pod = Pod { child, stdin, stdout: BufReader::new(stdout) };
        assert_eq!(pod.answer(), "ready");
        pod.ask("serve 81 second 4");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);

        pod.ask("talk 127.0.0.1 81 50 second 0");
        agent.settle();

        assert!(agent.facts.reported.len() == 1, "the node's own: {:?}", agent.facts.reported);
        assert_eq!(agent.total(), Count { opened: 100, observed: 100 });
        assert_eq!(agent.counted(81), (50, 50));
        pod.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_that_happens_is_one_system_call_a_look_and_nothing_of_a_pod_is_held() {
    in_a_node(|| {
        bridge();
        let mut pod = Pod::start(1);
        pod.ask("serve 81 second 4");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        agent.settle();

        let (before, cpu) = (switches(), cpu_ns());
        for _ in 0..1000 {
            assert_eq!(agent.ends.read().messages, 0);
        }
        let (after, cpu) = (switches(), cpu_ns() - cpu);

        assert_eq!(after, before, "a look waits for nothing");
        assert!(cpu < 20_000_000, "{cpu} ns for a thousand looks");
        pod.kill();
        let began = Instant::now();
        // The last one in it: the veth goes with its namespace if nothing holds that.
        while Path::new("/sys/class/net/v1").exists() || links().contains("v1") {
            assert!(began.elapsed() < Duration::from_secs(10), "the namespace is held");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn where_ends_are_heard_of_again_what_ended_before_is_past() {
    let mut agent = Agent::start(SourceKind::Netlink, ROOM);
    let first_ms = agent.facts.heard_ms;
    agent.ends.listen(false, mono_ms()).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    let again_ms = mono_ms();
    agent.ends.listen(true, again_ms).unwrap();
    agent.pass();

    assert!(first_ms > 0 && first_ms < again_ms);
    assert_eq!(agent.facts.heard_ms, again_ms);
}

fn links() -> String {
    String::from_utf8(Command::new("ip").args(["-br", "link"]).output().unwrap().stdout).unwrap()
}

/// Times that this thread waited for something.
fn switches() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}
