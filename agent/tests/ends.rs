//! Ends that the kernel tells, on the running kernel: every source, every way to end, counted as often as it happened.
//!
//! In: connections in network namespaces of our own. Out: assertions about what the report counts of them.
//!
//! I/O: namespaces, veth pairs, sockets; a child of this test is the node, so that nothing else of the machine is heard.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_agent::discover::ends::{Ends, ROOM};
use probelet_agent::discover::{Limits, Pass, Source, Unpaced, choose};
use probelet_core::coverage::Count;
use probelet_core::facts::{Facts, Loss, Losses, Tier, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{self, Now, Picture, Report};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { max_sockets: 65_536, max_processes: 16_384 };

/// A node of its own: a pid, mount and network namespace, in which this test runs again with `NODE` set; two pods in it.
///
/// The pods are shells in namespaces of their own, joined by veth pairs with a bridge of the node.
fn in_a_node(name: &str, work: impl FnOnce()) {
    if std::env::var_os("NODE").is_some() {
        work();
        return;
    }
    let status = Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env("NODE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its node");
}

fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// A program in a namespace of its own that does what it is told, a line each, and answers with a line.
struct Pod {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

const PROGRAM: &str = r#"
import socket, struct, sys, threading, os, time
LINGER = struct.pack('ii', 1, 0)
servers, held = {}, []
def serve(port, how, family):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('', port)); s.listen(4096)
    def run():
        while True:
            a, _ = s.accept()
            if how == 'first':
                a.close()
                continue
            if how == 'reset':
                a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER); a.close()
                continue
            if how == 'hold':
                held.append(a)
                continue
            if how == 'half':
                while a.recv(65536): pass
                a.send(b'bye'); a.close()
                continue
            while True:
                try:
                    if not a.recv(65536): break
                except ConnectionResetError:
                    break
            a.close()
    threading.Thread(target=run, daemon=True).start()
def talk(ip, port, count, how, pause):
    family = socket.AF_INET6 if ':' in ip else socket.AF_INET
    for _ in range(count):
        c = socket.socket(family, socket.SOCK_STREAM)
        try:
            c.connect((ip, port))
        except ConnectionRefusedError:
            c.close(); continue
        try:
            if how == 'first':
                c.recv(1)
            elif how == 'reset':
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            elif how == 'half':
                c.send(b'x' * 1000); c.shutdown(socket.SHUT_WR)
                while c.recv(100): pass
            elif how == 'wait':
                c.recv(1)
            elif how == 'keep':
                held.append(c); continue
            else:
                c.send(b'x' * 1000)
        except ConnectionResetError:
            pass
        c.close()
        if pause: time.sleep(pause)
print('ready', flush=True)
for line in sys.stdin:
    w = line.split()
    if w[0] == 'serve': serve(int(w[1]), w[2], socket.AF_INET6 if w[3] == '6' else socket.AF_INET)
    elif w[0] == 'talk': talk(w[1], int(w[2]), int(w[3]), w[4], float(w[5]))
    elif w[0] == 'drop':
        for h in held: h.close()
        held.clear()
    print('done', flush=True)
"#;

impl Pod {
    /// Number `n` of the node: 10.9.0.n, fd09::n.
    fn start(n: u8) -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo $$; read go; exec python3 -uc \"$0\"", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut pid = String::new();
        stdout.read_line(&mut pid).unwrap();
        let pid: u32 = pid.trim().parse().unwrap();
        sh(&format!(
            "ip link add v{n} type veth peer name eth0 netns {pid}; ip link set v{n} master br0 up
             nsenter -t {pid} -n sh -ec 'ip link set lo up; ip addr add 10.9.0.{n}/24 dev eth0
             ip addr add fd09::{n}/64 dev eth0 nodad; ip link set eth0 up'"
        ));
        stdin.write_all(b"go\n").unwrap();
        let mut pod = Self { child, stdin, stdout };
        assert_eq!(pod.answer(), "ready");
        pod
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn ask(&mut self, line: &str) {
        self.tell(line);
        assert_eq!(self.answer(), "done", "{line}");
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn bridge() {
    sh("ip link set lo up; ip link add br0 type bridge; ip link set br0 up
        ip addr add 10.9.0.254/24 dev br0; ip addr add fd09::fe/64 dev br0 nodad");
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
    fn start(tier: Tier, room: u32) -> Self {
        let mut ends = Ends::open(Path::new("/proc"), room).unwrap();
        ends.listen(true, mono_ms()).unwrap();
        let mut agent = Self {
            source: choose::load(tier, LIMITS).unwrap(),
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
        self.report.update(&self.facts, self.now());
    }

    fn now(&self) -> Now {
        let mono_ms = mono_ms();
        Now { unix_ms: 1_700_000_000_000 + mono_ms, mono_ms }
    }

    /// Passes until nothing is told any more: on a busy machine the kernel's worker is late.
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
        self.report.picture(self.now())
    }

    fn total(&self) -> Count {
        self.picture().coverage[1]
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
        println!("{:?} in {:?}, told {:?}", self.total(), self.began.elapsed(), self.facts.told);
        println!("losses {losses:?}, {} overruns", self.overruns);
    }
}

fn every_end_is_counted(tier: Tier) {
    bridge();
    let (mut server, mut client) = (Pod::start(1), Pod::start(2));
    for (port, how) in [(81, "second"), (82, "first"), (83, "reset"), (84, "half")] {
        server.ask(&format!("serve {port} {how} 4"));
        server.ask(&format!("serve {} {how} 6", port + 100));
    }
    let mut agent = Agent::start(tier, ROOM);
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
    in_a_node("bpf_counts_every_end_once", || every_end_is_counted(Tier::Bpf));
}

#[test]
#[ignore = "needs root"]
fn netlink_counts_every_end_once() {
    in_a_node("netlink_counts_every_end_once", || every_end_is_counted(Tier::Netlink));
}

#[test]
#[ignore = "needs root"]
fn procfs_counts_every_end_once() {
    in_a_node("procfs_counts_every_end_once", || every_end_is_counted(Tier::Procfs));
}

#[test]
#[ignore = "needs root and BPF"]
fn payload_of_short_connections_is_counted_to_the_byte() {
    in_a_node("payload_of_short_connections_is_counted_to_the_byte", || {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 84 half 4");
        let mut agent = Agent::start(Tier::Bpf, ROOM);

        client.ask("talk 10.9.0.1 84 200 half 0");
        agent.settle();

        let picture = agent.picture();
        let flow = picture.flows.iter().find(|flow| flow.key.port == 84).unwrap();
        assert_eq!((flow.bytes_sent, flow.bytes_received), (200 * 1000, 200 * 3));
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_pod_that_is_killed_with_open_connections_is_counted() {
    in_a_node("a_pod_that_is_killed_with_open_connections_is_counted", || {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 85 hold 4");
        let mut agent = Agent::start(Tier::Bpf, ROOM);
        client.ask("talk 10.9.0.1 85 40 keep 0");
        agent.pass();
        assert_eq!(agent.counted(85), (40, 0));
        // These nobody sees before their namespace is gone with them.
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

        // The server's last words reach nobody: its ends of the killed pod's connections are there for minutes.
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
    in_a_node("an_overrun_is_counted_and_repaired_and_never_too_much", || {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        let mut agent = Agent::start(Tier::Bpf, 64 * 1024);

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
    in_a_node("a_storm_of_resets_is_counted_whole", || {
        bridge();
        let (mut server, mut client) = (Pod::start(1), Pod::start(2));
        server.ask("serve 81 second 4");
        let mut agent = Agent::start(Tier::Bpf, ROOM);

        client.tell("talk 10.9.0.1 81 20000 reset 0");
        let began = Instant::now();
        let told = std::thread::scope(|scope| {
            let answer = scope.spawn(|| client.answer());
            while !answer.is_finished() {
                std::thread::sleep(Duration::from_millis(50));
                agent.pass();
            }
            answer.join().unwrap()
        });
        assert_eq!(told, "done");
        println!("20,000 connections in {:?} at most", began.elapsed());
        agent.settle();

        assert_eq!(agent.overruns, 0);
        assert_eq!(agent.total(), Count { opened: 40_000, observed: 40_000 });
        // A few clients that reset forgot the port, and are told before anything of the server is seen.
        let (known, forgot) = (agent.counted(81), agent.counted(0));
        assert_eq!((known.0 + forgot.0, known.1 + forgot.1), (20_000, 20_000));
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn what_failed_or_was_never_connected_is_no_connection() {
    in_a_node("what_failed_or_was_never_connected_is_no_connection", || {
        bridge();
        let (server, mut client) = (Pod::start(1), Pod::start(2));
        let mut agent = Agent::start(Tier::Bpf, ROOM);

        client.ask("talk 10.9.0.1 9 100 second 0");
        agent.settle();

        assert_eq!(agent.total(), Count::default());
        assert!(agent.picture().flows.iter().all(|flow| flow.opened == 0));
        server.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_namespace_without_a_number_stays_with_what_the_kernel_keeps() {
    in_a_node("a_namespace_without_a_number_stays_with_what_the_kernel_keeps", || {
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
        let mut agent = Agent::start(Tier::Bpf, ROOM);

        pod.ask("talk 127.0.0.1 81 50 second 0");
        agent.settle();

        assert!(agent.facts.told.len() == 1, "the node's own: {:?}", agent.facts.told);
        assert_eq!(agent.total(), Count { opened: 100, observed: 100 });
        assert_eq!(agent.counted(81), (50, 50));
        pod.kill();
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_that_happens_is_one_system_call_a_look_and_nothing_of_a_pod_is_held() {
    in_a_node(
        "nothing_that_happens_is_one_system_call_a_look_and_nothing_of_a_pod_is_held",
        || {
            bridge();
            let mut pod = Pod::start(1);
            pod.ask("serve 81 second 4");
            let mut agent = Agent::start(Tier::Bpf, ROOM);
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
        },
    );
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
