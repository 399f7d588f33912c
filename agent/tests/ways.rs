//! Addresses that a real kernel translates, and a namespace number that it gives away again: each connection
//! is one flow between those who talk.
//!
//! In: namespaces with veth pairs and rules as Docker and kube-proxy write them. Out: a verdict on the report of
//! an agent that runs beside them, in a box of its own (pid, mount and network namespaces).
//!
//! I/O: yes; needs root and iptables.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and in a box says on standard error how it went"
)]

use serde_json::Value;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod sandbox;
use program::Agent;
use sandbox::in_sandbox;

const TIERS: [&str; 4] = ["procfs", "netlink", "bpf-compat", "bpf"];
/// A debug build needs several times the CPU.
const BUDGET: &str = "budget: {cpu: 500m}\n";

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A Python program under a name of its own in a namespace of its own; it goes on when it is asked to.
struct Place(Child);

impl Place {
    fn start(name: &str, program: &str) -> Self {
        let program = format!(
            "import socket,sys,time\nopen('/proc/self/comm','w').write('{name}')\nsys.stdin.readline()\n{program}\ntime.sleep(600)"
        );
        let child = Command::new("unshare")
            .args(["-n", "python3", "-c", &program])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let place = Self(child);
        until(|| place.netns() != netns("self"));
        place
    }

    /// With an address, and a way to the box, whose end of it is `gateway`.
    fn at(name: &str, program: &str, ip: &str, gateway: &str, n: u32) -> Self {
        let place = Self::start(name, program);
        let pid = place.0.id();
        sh(&format!(
            "ip link add q{n} type veth peer name r{n}; ip addr add {gateway}/32 dev q{n}; ip link set q{n} up
             ip route replace {ip} dev q{n}; ip link set r{n} netns {pid}
             nsenter -n -t {pid} sh -ec 'ip link set lo up; ip addr add {ip}/32 dev r{n}; ip link set r{n} up
               ip route add {gateway} dev r{n}; ip route add default via {gateway}'"
        ));
        place
    }

    fn go(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }

    fn netns(&self) -> u64 {
        netns(&self.0.id().to_string())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn netns(pid: &str) -> u64 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const SERVER: &str = "l=socket.create_server(('0.0.0.0',80));k=[]\nwhile 1:k.append(l.accept())";

/// The flows to these ports, as soon as they are what is expected; what they are in the end.
fn flows(agent: &Agent, ports: &[u64], expected: &[&str]) -> Vec<String> {
    let began = Instant::now();
    loop {
        let report = agent.report().unwrap_or_default();
        let end = |flow: &Value, end: &str| flow[end]["name"].as_str().unwrap_or("?").to_owned();
        let mut flows: Vec<_> = report["flows"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|flow| dialled(flow).is_some_and(|port| ports.contains(&port)))
            .filter(|flow| flow["current"] != 0)
            .map(|flow| {
                let (source, destination) = (end(flow, "source"), end(flow, "destination"));
                let (dialled, port) = (dialled(flow).unwrap_or(0), &flow["port"]);
                format!("{source} {destination}:{dialled} at {port} {}", flow["current"])
            })
            .collect();
        flows.sort();
        if flows == expected {
            return flows;
        }
        if began.elapsed() > Duration::from_secs(25) {
            let connections = report["connections"].as_array().into_iter().flatten();
            connections.for_each(|connection| eprintln!("{connection}"));
            return flows;
        }
        // A report costs a share of the budget, and of a debug build a large one.
        std::thread::sleep(Duration::from_millis(1100));
    }
}

/// The port that the client dialled.
fn dialled(flow: &Value) -> Option<u64> {
    flow["servicePort"].as_u64().or_else(|| flow["port"].as_u64())
}

fn nat(rules: &[&str]) {
    sh("sysctl -qw net.ipv4.ip_forward=1");
    for rule in rules {
        sh(&format!("iptables -w -t nat -A {rule}"));
    }
}

#[test]
#[ignore = "needs root and iptables"]
fn a_published_port_leads_past_who_holds_it_to_its_container() {
    in_sandbox("a_published_port_leads_past_who_holds_it_to_its_container", || {
        for (round, source_kind) in (0..).zip(TIERS) {
            let Some(agent) = Agent::with_source(&[], source_kind, BUDGET) else { continue };
            let (first, second) = (10 * round, 10 * round + 1);
            let mut server = Place::at("backend", SERVER, "172.18.2.2", "172.18.2.1", first);
            let client = "c=[socket.create_connection(('172.18.1.1',p)) for p in (8080,8081)]";
            let mut client = Place::at("client", client, "172.18.1.2", "172.18.1.1", second);
            nat(&[
                "PREROUTING -p tcp -d 172.18.1.1 --dport 8080 -j DNAT --to-destination 172.18.2.2:80",
                "PREROUTING -p tcp -d 172.18.1.1 --dport 8081 -j DNAT --to-destination 172.18.2.2:80",
            ]);
            // As docker-proxy does; and the node uses its own address, as every node does.
            let _held = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
            let own = std::net::TcpListener::bind("172.18.1.1:9999").unwrap();
            let _used = (TcpStream::connect("172.18.1.1:9999").unwrap(), own.accept().unwrap());
            std::thread::sleep(Duration::from_millis(1500));
            server.go();
            client.go();

            let expected = ["client backend:8080 at 80 1", "client backend:8081 at 80 1"];
            assert_eq!(flows(&agent, &[80, 8080, 8081], &expected), expected, "{source_kind}");
            sh("iptables -w -t nat -F");
        }
    });
}

#[test]
#[ignore = "needs root and iptables"]
fn a_masqueraded_connection_is_one_flow_between_its_two_ends() {
    in_sandbox("a_masqueraded_connection_is_one_flow_between_its_two_ends", || {
        for (round, source_kind) in (0..).zip(TIERS) {
            let Some(agent) = Agent::with_source(&[], source_kind, BUDGET) else { continue };
            let (first, second) = (10 * round, 10 * round + 1);
            // To the Service of its own (hairpin), and from elsewhere to a port of the node.
            let program = SERVER.replace("k=[]", "k=[]\nimport threading")
                .replace("while 1:k.append(l.accept())", "threading.Thread(target=lambda:[k.append(l.accept()) for _ in range(99)],daemon=True).start()\nc=[socket.create_connection(('10.96.0.11',80)) for _ in range(4)]");
            let mut server = Place::at("cart", &program, "10.244.0.7", "10.244.0.1", first);
            let client = "d=[socket.create_connection(('10.96.0.10',80)) for _ in range(2)]+[socket.create_connection(('192.168.7.7',30080)) for _ in range(3)]";
            let mut client = Place::at("web", client, "10.244.0.6", "10.244.0.1", second);
            sh("ip addr replace 192.168.7.7/32 dev lo");
            nat(&[
                "PREROUTING -p tcp -d 10.96.0.10 --dport 80 -j DNAT --to-destination 10.244.0.7:80",
                "PREROUTING -p tcp -d 10.96.0.11 --dport 80 -j DNAT --to-destination 10.244.0.7:80",
                "PREROUTING -p tcp -d 192.168.7.7 --dport 30080 -j DNAT --to-destination 10.244.0.7:80",
                "POSTROUTING -m conntrack --ctorigdst 10.96.0.11 -j MASQUERADE",
                "POSTROUTING -m conntrack --ctorigdst 192.168.7.7 -j MASQUERADE",
            ]);
            // The node uses its own addresses, as every node does: its probes come from the gateway's.
            let own = std::net::TcpListener::bind("0.0.0.0:9999").unwrap();
            let used = |at| (TcpStream::connect(at).unwrap(), own.accept().unwrap());
            let _used = ["192.168.7.7:9999", "10.244.0.1:9999"].map(used);
            std::thread::sleep(Duration::from_millis(1500));
            server.go();
            client.go();

            // Nine connections; a Service's address is no one's outside of a cluster, and is who answers.
            let expected =
                ["cart cart:80 at 80 4", "web cart:30080 at 80 3", "web cart:80 at 80 2"];
            assert_eq!(flows(&agent, &[80, 30_080], &expected), expected, "{source_kind}");
            sh("iptables -w -t nat -F");
        }
    });
}

/// What the chart asks for, by whether the pod has a network of its own; `e2e/chart/checks/agent_pod.py` has the same lists.
const CHART: [(bool, &str); 2] = [
    (true, "-all,+bpf,+perfmon,+net_admin,+net_broadcast,+setpcap,+sys_admin,+sys_ptrace"),
    (false, "-all,+bpf,+perfmon,+net_admin,+net_broadcast,+setpcap"),
];

#[test]
#[ignore = "needs root, BPF and iptables"]
fn the_rights_that_the_chart_asks_for_name_who_is_behind_a_service() {
    in_sandbox("the_rights_that_the_chart_asks_for_name_who_is_behind_a_service", || {
        for (round, (apart, set)) in (0..).zip(CHART) {
            let bounding = format!("--bounding-set={set}");
            let start = [
                "sh",
                "-c",
                r#"ip link set lo up; exec setpriv "$0" --inh-caps=-all --no-new-privs -- "$@""#,
                &bounding,
            ];
            let own = ["unshare", "--net", "--"];
            let before: Vec<_> = own.into_iter().filter(|_| apart).chain(start).collect();
            let Some(agent) = Agent::with_source(&before, "bpf", BUDGET) else { continue };
            let (first, second) = (10 * round, 10 * round + 1);
            let mut server = Place::at("backend", SERVER, "172.18.2.2", "172.18.2.1", first);
            let client = "c=[socket.create_connection(('172.18.1.1',8080))]";
            let mut client = Place::at("client", client, "172.18.1.2", "172.18.1.1", second);
            nat(&[
                "PREROUTING -p tcp -d 172.18.1.1 --dport 8080 -j DNAT --to-destination 172.18.2.2:80",
            ]);
            std::thread::sleep(Duration::from_millis(1500));
            server.go();
            client.go();

            let expected = ["client backend:8080 at 80 1"];
            assert_eq!(flows(&agent, &[80, 8080], &expected), expected, "{set}");
            let report = agent.report().unwrap();
            let short_lived = &report["shortLived"];
            assert_eq!(short_lived["mode"], "Exact", "{set}: {short_lived}");
            let rights = report["agent"]["rights"].clone();
            let held = serde_json::json!([{"thread": "connection-tracking", "capabilities": ["NET_ADMIN"]}]);
            assert_eq!(rights["held"], held, "{set}: {rights}");
            assert!(
                rights["protections"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .take(4)
                    .all(|one| one["inForce"] == true),
                "{rights}"
            );
            assert_eq!(rights["refusedCalls"], 0, "{rights}");
            sh("iptables -w -t nat -F");
        }
    });
}

#[test]
#[ignore = "needs root"]
fn a_namespace_number_that_is_used_again_takes_no_address_along() {
    in_sandbox("a_namespace_number_that_is_used_again_takes_no_address_along", || {
        for (round, source_kind) in (0..).zip(TIERS) {
            let Some(agent) = Agent::with_source(&[], source_kind, BUDGET) else { continue };
            let (first, second) = (10 * round, 10 * round + 1);
            let mut old = Place::at("old", SERVER, "10.1.1.5", "10.1.0.1", first);
            old.go();
            let number = old.netns();
            // As soon as someone listens there.
            let connect = || loop {
                if let Ok(made) = TcpStream::connect("10.1.1.5:80") {
                    return made;
                }
                std::thread::sleep(Duration::from_millis(50));
            };
            std::fs::write("/proc/self/comm", "tester").unwrap();
            let before = connect();
            let expected = ["tester old:80 at 80 1"];
            assert_eq!(flows(&agent, &[80], &expected), expected, "{source_kind}");
            drop(before);
            drop(old);
            // All of them stay: the kernel gives the lowest number that is free, which another one may be.
            let mut made: Vec<Place> = Vec::new();
            while made.len() < 60 && made.last().is_none_or(|last| last.netns() != number) {
                made.push(Place::start("other", ""));
                std::thread::sleep(Duration::from_millis(20));
            }
            if made.last().is_none_or(|last| last.netns() != number) {
                eprintln!("SKIP: this machine: the kernel gives other numbers to new namespaces");
                return;
            }
            std::thread::sleep(Duration::from_millis(2500));
            let mut new = Place::at("new", SERVER, "10.1.1.5", "10.1.0.1", second);
            new.go();
            let _connections = [connect(), connect()];

            let expected = ["tester new:80 at 80 2"];
            assert_eq!(flows(&agent, &[80], &expected), expected, "{source_kind}");
            let report = agent.report().unwrap();
            let ours = report["connections"].as_array().unwrap().iter();
            let ours = ours.filter(|c| c["remote"] == "10.1.1.5:80" && c["state"] == "established");
            for connection in ours {
                assert_eq!(connection["direction"], "outbound", "{source_kind}");
                assert_eq!(connection["peer"]["name"], "new", "{source_kind}");
            }
        }
    });
}
