//! Sockets that no ordinary file of a process leads to, and connections whose ports tell nothing: every
//! source shows them, and with the right direction.
//!
//! In: Python programs in network namespaces of their own. Out: a verdict on one reading of each source.
//!
//! I/O: yes; needs root.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that cannot run says so"
)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
use program::{Agent, once};

const TIERS: [&str; 4] = ["procfs", "netlink", "bpf-compat", "bpf"];
const BPF: [&str; 2] = ["bpf-compat", "bpf"];

/// What nothing met is counted for the whole machine, so that those who count it do so one after the other.
static COUNTING: Mutex<()> = Mutex::new(());

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
    fn rows(&self, source_kind: &str) -> Option<(BTreeSet<Row>, Value)> {
        let report = once(source_kind)?;
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

/// What a running agent serves under this path, as soon as it satisfies.
fn served(source_kind: &str, path: &str, satisfied: impl Fn(&str) -> bool) -> String {
    // A debug build needs several times the CPU.
    let agent = Agent::start(&["--source", source_kind], "budget: {cpu: 500m}\n");
    let mut text = String::new();
    for _ in 0..60 {
        std::thread::sleep(Duration::from_millis(500));
        let Ok(mut client) = TcpStream::connect(agent.serves) else { continue };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        text.clear();
        if client.read_to_string(&mut text).is_ok() && satisfied(&text) {
            return text;
        }
    }
    panic!("{source_kind} {path}: {text}");
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
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };

        let mut expected = BTreeSet::from([row(7001, 0, "listener", true)]);
        for client in [whole, plain] {
            expected.insert(row(7001, client, "inbound", true));
            expected.insert(row(client, 7001, "outbound", true));
        }
        assert_eq!(rows, expected, "{source_kind}");
    }
}

#[test]
#[ignore = "needs root"]
fn sockets_in_the_file_table_of_one_thread_are_seen_without_an_owner() {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let there = Elsewhere::start(
        "said=[]\nready=threading.Event()\ndef t():\n assert ctypes.CDLL(None).unshare(0x400)==0\n l=socket.create_server(('127.0.0.1',7011));c=socket.create_connection(('127.0.0.1',7011));a,_=l.accept();u=socket.socket(2,2);u.bind(('127.0.0.1',7012));said.append(c.getsockname()[1]);ready.set();threading.Event().wait()\nthreading.Thread(target=t,daemon=True).start();ready.wait()",
    );
    let client = there.said.parse().unwrap();
    for source_kind in TIERS {
        let Some((rows, report)) = there.rows(source_kind) else { continue };

        let expected = BTreeSet::from([
            row(7011, 0, "listener", false),
            row(7012, 0, "listener", false),
            row(7011, client, "inbound", false),
            row(client, 7011, "outbound", false),
        ]);
        assert_eq!(rows, expected, "{source_kind}");
        // A walk over files that other processes open and close meanwhile may have to come again.
        let loss = |name: &str| report["losses"][name].as_u64().unwrap();
        assert!(
            loss("no_owner") + loss("owner_pending") >= 4,
            "{source_kind}: {}",
            report["losses"]
        );
        assert_eq!(report["losses"]["unseen"], 0, "{source_kind}");
        if BPF.contains(&source_kind) {
            assert_eq!(report["coverage"]["unseen"], 0, "{source_kind}");
        }
    }
}

/// A direct descriptor stands in no table of files.
#[test]
#[ignore = "needs root"]
fn a_connection_in_a_direct_descriptor_of_io_uring_is_seen_without_an_owner() {
    let there = Elsewhere::start(
        "import mmap,struct\nL=ctypes.CDLL(None);p=ctypes.create_string_buffer(120);r=L.syscall(425,8,p)\nif r<0: print('none',flush=True);sys.exit()\nu=lambda o:struct.unpack_from('I',p.raw,o)[0]\nq=mmap.mmap(r,u(64)+u(0)*4);e=mmap.mmap(r,u(0)*64,offset=0x10000000)\nassert L.syscall(427,r,2,(ctypes.c_int*4)(-1,-1,-1,-1),4)==0\nl=socket.create_server(('127.0.0.1',7031));c=socket.create_connection(('127.0.0.1',7031))\ne[0:64]=struct.pack('BBHiQQIIQHHI16x',13,0,0,l.fileno(),0,0,0,0,0,0,0,1)\nq[u(64):u(64)+4]=bytes(4);q[u(44):u(44)+4]=struct.pack('I',1)\nassert L.syscall(426,r,1,1,1,None,0)==1\nsaid=[c.getsockname()[1]]",
    );
    if there.said == "none" {
        return println!("SKIP: this machine: io_uring is switched off");
    }
    let client = there.said.parse().unwrap();
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };

        let expected = BTreeSet::from([
            row(7031, 0, "listener", true),
            row(7031, client, "inbound", false),
            row(client, 7031, "outbound", true),
        ]);
        assert_eq!(rows, expected, "{source_kind}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_connection_on_its_way_over_a_unix_socket_is_seen_without_an_owner() {
    let there = Elsewhere::start(
        "import array\nl=socket.create_server(('127.0.0.1',7041));c=socket.create_connection(('127.0.0.1',7041));a,_=l.accept();s,t=socket.socketpair()\ns.sendmsg([b'x'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[a.fileno()]))]);a.close()\nsaid=[c.getsockname()[1]]",
    );
    let client = there.said.parse().unwrap();
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };

        let expected = BTreeSet::from([
            row(7041, 0, "listener", true),
            row(7041, client, "inbound", false),
            row(client, 7041, "outbound", true),
        ]);
        assert_eq!(rows, expected, "{source_kind}");
    }
}

#[test]
#[ignore = "needs root"]
fn a_socket_of_the_kernels_own_is_seen_without_an_owner() {
    let there = Elsewhere::start(
        "said=[os.system('ip link add vx0 type vxlan id 7 dstport 7051 local 127.0.0.1 2>/dev/null && ip link set vx0 up')]",
    );
    if there.said != "0" {
        return println!("SKIP: this machine: the kernel has no VXLAN");
    }
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };

        assert!(rows.contains(&row(7051, 0, "listener", false)), "{source_kind}: {rows:?}");
    }
}

/// A list of what no file leads to holds 2,048 sockets: of more than that the rest is seen by nothing.
#[test]
#[ignore = "needs root"]
fn sockets_that_the_kernel_counts_and_nothing_met_are_said_everywhere() {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let there = Elsewhere::start(
        "import resource as r\nr.setrlimit(r.RLIMIT_NOFILE,(4096,4096))\nsaid=[1];ready=threading.Event()\ndef t():\n assert ctypes.CDLL(None).unshare(0x400)==0\n k=[socket.socket(2,2) for _ in range(2148)]\n for s in k: s.bind(('127.0.0.1',0))\n ready.set();threading.Event().wait()\nthreading.Thread(target=t,daemon=True).start();ready.wait()",
    );
    for source_kind in BPF {
        let Some((rows, report)) = there.rows(source_kind) else { continue };
        // Other tests hide some sockets, too, some of them from the list.
        let some = |n: u64| (100..200).contains(&n);

        assert!(rows.len() > 1900, "{source_kind}: {}", rows.len());
        for unseen in [&report["losses"]["unseen"], &report["coverage"]["unseen"]] {
            assert!(some(unseen.as_u64().unwrap()), "{source_kind}: {unseen}");
        }
        let lost = served(source_kind, "/metrics", |text| {
            let line = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)?.parse().ok());
            line("probelet_agent_unseen_sockets ").is_some_and(some)
                && line("probelet_agent_losses_total{reason=\"unseen\"} ").is_some_and(some)
        });
        assert!(lost.contains("probelet_agent_unseen_sockets"));
    }
}

#[test]
#[ignore = "needs root"]
fn a_namespace_that_only_a_thread_is_in_is_seen() {
    let there = Elsewhere::start(
        "said=[];ready=threading.Event()\ndef t():\n assert ctypes.CDLL(None).unshare(0x40000000)==0\n os.system('ip link set lo up')\n s=socket.create_server(('127.0.0.1',7021));said.append(os.readlink('/proc/thread-self/ns/net')[5:-1]);ready.set();threading.Event().wait()\nthreading.Thread(target=t,daemon=True).start();ready.wait()",
    );
    let netns: u64 = there.said.parse().unwrap();
    for source_kind in TIERS {
        let Some((_, report)) = there.rows(source_kind) else { continue };
        let mut listeners = report["listeners"].as_array().unwrap().iter();
        let found = listeners.find(|row| row["netns"] == netns).map(|row| row["local"].clone());

        assert_eq!(found, Some("127.0.0.1:7021".into()), "{source_kind}");
    }
}

#[test]
#[ignore = "needs root"]
fn who_dials_from_the_port_that_it_listens_on_is_never_taken_for_a_server() {
    let there = Elsewhere::start(
        "def s(port):\n s=socket.socket();s.setsockopt(1,2,1);s.setsockopt(1,15,1);s.bind(('127.0.0.1',port));return s\nl=s(4001);l.listen();o=s(80);o.listen();q=s(4001);q.connect(('127.0.0.1',80));a,_=o.accept();said=[1]",
    );
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };
        let of = |local| rows.iter().find(|r| r.0 == local && r.1 != 0).unwrap().2.as_str();

        assert_ne!(of(4001), "inbound", "{source_kind}");
        assert_ne!(of(80), "outbound", "{source_kind}");
        if BPF.contains(&source_kind) {
            assert_eq!((of(4001), of(80)), ("outbound", "inbound"), "{source_kind}");
        }
    }
}

#[test]
#[ignore = "needs root"]
fn the_range_of_ports_is_the_namespaces_own() {
    // connected UDP sockets: nothing but their ports shows who dialled
    let there = Elsewhere::start(
        "open('/proc/sys/net/ipv4/ip_local_port_range','w').write('10000 20000')\nu=socket.socket(2,2);u.connect(('127.0.0.1',50051));said=[u.getsockname()[1]]",
    );
    let own: u16 = there.said.parse().unwrap();
    for source_kind in TIERS {
        let Some((rows, _)) = there.rows(source_kind) else { continue };

        let direction = if source_kind == "procfs" { "unknown" } else { "outbound" };
        assert_eq!(rows, BTreeSet::from([row(own, 50_051, direction, true)]), "{source_kind}");
    }
}
