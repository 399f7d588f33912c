//! Sockets that no ordinary file of a process leads to, and connections whose ports tell nothing: every
//! source shows them, and with the right direction.
//!
//! In: Python programs in network namespaces of their own. Out: a verdict on one reading of each tier.
//!
//! I/O: yes; needs root.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, one that cannot run says so"
)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

const TIERS: [&str; 4] = ["procfs", "netlink", "bpf-compat", "bpf"];
const BPF: [&str; 2] = ["bpf-compat", "bpf"];

/// A program in a namespace of its own; it says a line when it is ready.
/// Own port, other port, direction, whether our process holds it.
type Row = (u16, u16, String, bool);

struct Elsewhere {
    child: Child,
    said: String,
}

impl Elsewhere {
    fn start(program: &str) -> Self {
        let program = format!(
            "import os,socket,sys,threading,ctypes\n{program}\nprint(*said, flush=True)\nsys.stdin.read()"
        );
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up; exec python3 -c \"$0\"", &program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        Self { child, said: said.trim().to_owned() }
    }

    /// The rows of this namespace.
    fn rows(&self, tier: &str) -> Option<(BTreeSet<Row>, Value)> {
        let output = Command::new(env!("CARGO_BIN_EXE_probelet-agent"))
            .args(["once", "--json", "--docker", "off", "--source", tier])
            .output()
            .unwrap();
        if output.status.code() == Some(3) {
            println!(
                "SKIP: no BPF: {tier} is refused here: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            return None;
        }
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let path = format!("/proc/{}/ns/net", self.child.id());
        let netns = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
        let port = |end: &Value| {
            end.as_str().and_then(|e| e.rsplit(':').next()?.parse().ok()).unwrap_or(0)
        };
        let all = ["listeners", "connections"].map(|list| report[list].as_array().unwrap());
        let ours = all.into_iter().flatten().filter(|row| row["netns"] == netns);
        let rows = ours.map(|row| {
            let direction = row["direction"].as_str().unwrap_or("listener").to_owned();
            let held = row["pid"] == u64::from(self.child.id());
            (port(&row["local"]), port(&row["remote"]), direction, held)
        });
        Some((rows.collect(), report))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn row(local: u16, remote: u16, direction: &str, held: bool) -> (u16, u16, String, bool) {
    (local, remote, direction.to_owned(), held)
}

#[test]
#[ignore = "needs root"]
fn an_mptcp_listener_and_both_ends_of_a_connection_have_their_process() {
    let there = Elsewhere::start(
        "l=socket.socket(2,1,262);l.bind(('127.0.0.1',7001));l.listen()\nc=socket.socket(2,1,262);c.connect(('127.0.0.1',7001));a,_=l.accept();p=socket.create_connection(('127.0.0.1',7001));b,_=l.accept()\nsaid=[c.getsockname()[1],p.getsockname()[1]]",
    );
    let mut ports = there.said.split(' ').map(|port| port.parse::<u16>().unwrap());
    let (whole, plain) = (ports.next().unwrap(), ports.next().unwrap());
    for tier in TIERS {
        let Some((rows, _)) = there.rows(tier) else { continue };

        let mut expected = BTreeSet::from([row(7001, 0, "listener", true)]);
        for client in [whole, plain] {
            expected.insert(row(7001, client, "inbound", true));
            expected.insert(row(client, 7001, "outbound", true));
        }
        assert_eq!(rows, expected, "{tier}");
    }
}

#[test]
#[ignore = "needs root"]
fn sockets_in_the_file_table_of_one_thread_are_seen_without_an_owner() {
    let there = Elsewhere::start(
        "said=[]\nready=threading.Event()\ndef t():\n assert ctypes.CDLL(None).unshare(0x400)==0\n l=socket.create_server(('127.0.0.1',7011));c=socket.create_connection(('127.0.0.1',7011));a,_=l.accept();u=socket.socket(2,2);u.bind(('127.0.0.1',7012));said.append(c.getsockname()[1]);ready.set();threading.Event().wait()\nthreading.Thread(target=t,daemon=True).start();ready.wait()",
    );
    let client = there.said.parse().unwrap();
    for tier in TIERS {
        let Some((rows, report)) = there.rows(tier) else { continue };

        let expected = BTreeSet::from([
            row(7011, 0, "listener", false),
            row(7012, 0, "listener", false),
            row(7011, client, "inbound", false),
            row(client, 7011, "outbound", false),
        ]);
        assert_eq!(rows, expected, "{tier}");
        // A walk over files that other processes open and close meanwhile may have to come again.
        let loss = |name: &str| report["losses"][name].as_u64().unwrap();
        assert!(loss("no_owner") + loss("owner_pending") >= 4, "{tier}: {}", report["losses"]);
        assert_eq!(report["losses"]["unseen"], 0, "{tier}");
    }
}

#[test]
#[ignore = "needs root"]
fn who_dials_from_the_port_that_it_listens_on_is_never_taken_for_a_server() {
    let there = Elsewhere::start(
        "def s(port):\n s=socket.socket();s.setsockopt(1,2,1);s.setsockopt(1,15,1);s.bind(('127.0.0.1',port));return s\nl=s(4001);l.listen();o=s(80);o.listen();q=s(4001);q.connect(('127.0.0.1',80));a,_=o.accept();said=[1]",
    );
    for tier in TIERS {
        let Some((rows, _)) = there.rows(tier) else { continue };
        let of = |local| rows.iter().find(|r| r.0 == local && r.1 != 0).unwrap().2.as_str();

        assert_ne!(of(4001), "inbound", "{tier}");
        assert_ne!(of(80), "outbound", "{tier}");
        if BPF.contains(&tier) {
            assert_eq!((of(4001), of(80)), ("outbound", "inbound"), "{tier}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn the_range_of_ports_is_the_namespaces_own() {
    // connected UDP sockets: nothing but their ports tells who dialled
    let there = Elsewhere::start(
        "open('/proc/sys/net/ipv4/ip_local_port_range','w').write('10000 20000')\nu=socket.socket(2,2);u.connect(('127.0.0.1',50051));said=[u.getsockname()[1]]",
    );
    let own: u16 = there.said.parse().unwrap();
    for tier in TIERS {
        let Some((rows, _)) = there.rows(tier) else { continue };

        let direction = if tier == "procfs" { "unknown" } else { "outbound" };
        assert_eq!(rows, BTreeSet::from([row(own, 50_051, direction, true)]), "{tier}");
    }
}
