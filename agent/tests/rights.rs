//! A running agent owns nothing: what its threads may do once it has made its first full report, and that it goes on seeing all.
//!
//! In: the agent's program, started as a user would, and its engine in a process of its own. Out: verdicts by what the kernel says of the
//! threads, by what an attacker inside the process can do, and by the report.
//!
//! I/O: yes; needs root.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and one that is run in a process of its own says so on standard output"
)]

use program::Agent;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[path = "rights/attack.rs"]
mod attack;
#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod sandbox;

const NET_ADMIN: u64 = 1 << 12;
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const DAC_READ_SEARCH: u64 = 1 << 2;

fn until_given_back(agent: &mut Agent) -> Value {
    agent.until("the rights are given back", |report| protection(report, "no-new-privileges"))
}

/// Lines of `/proc/PID/task/TID/status` by thread.
fn threads(agent: &Agent) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
    let threads: Vec<_> = tasks.filter_map(|task| Thread::read(&task.ok()?.path())).collect();
    assert!(threads.len() >= 4, "{threads:?}");
    threads
}

fn protection(report: &Value, name: &str) -> bool {
    let all = report["agent"]["rights"]["protections"].as_array();
    all.into_iter().flatten().any(|one| one["name"] == name && one["inForce"] == true)
}

/// What a thread has.
#[derive(Debug)]
struct Thread {
    name: String,
    /// Permitted, effective, inheritable, ambient and bounding, in this order.
    sets: [u64; 5],
    no_new_privileges: bool,
    filtered: bool,
}

impl Thread {
    fn read(task: &std::path::Path) -> Option<Self> {
        let text = fs::read_to_string(task.join("status")).ok()?;
        let line = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t")).unwrap()
        };
        let set = |name| u64::from_str_radix(line(name), 16).unwrap();
        Some(Self {
            name: line("Name").to_owned(),
            sets: ["CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"].map(set),
            no_new_privileges: line("NoNewPrivs") == "1",
            filtered: line("Seccomp") == "2",
        })
    }

    fn holds(&self, set: u64) -> bool {
        self.sets == [set, set, 0, 0, 0] && self.no_new_privileges && self.filtered
    }
}

/// A process in control groups that are named as Docker names them: of the second version, and of the first one's memory.
struct Contained(Child, Vec<PathBuf>);

impl Contained {
    fn start(id: &str, program: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let ours =
            fields.filter(|mount| mount[2] == "cgroup2" || mount[1].ends_with("/cgroup/memory"));
        let groups: Vec<_> =
            ours.map(|mount| PathBuf::from(mount[1]).join(format!("docker-{id}.scope"))).collect();
        let child = Command::new("unshare")
            .args(["--net", "python3", "-c", program])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        for group in &groups {
            fs::create_dir_all(group).unwrap();
            fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        Self(child, groups)
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        for group in &self.1 {
            fs::remove_dir(group).unwrap();
        }
    }
}

const BUDGET: &str = "budget: {cpu: 500m}\n";
/// A connection inside a namespace of its own.
const TALKS: &str = "import socket,subprocess,time
open('/proc/self/comm','w').write('latecomer')
subprocess.run(['ip','link','set','lo','up'])
l=socket.create_server(('127.0.0.1',7117)); c=socket.create_connection(('127.0.0.1',7117)); s=l.accept()
time.sleep(600)";

#[test]
#[ignore = "needs root and BPF"]
fn no_thread_has_a_right_a_second_after_the_first_full_report_and_what_begins_then_is_seen_whole() {
    let mut agent = Agent::start(&["--source", "bpf"], BUDGET);
    agent.until("the first full report", |report| report["epoch"].as_u64() > Some(0));
    std::thread::sleep(Duration::from_secs(1));

    for thread in threads(&agent) {
        let kept = if thread.name == "probelet-track" { NET_ADMIN } else { 0 };
        assert!(thread.holds(kept), "{thread:?}");
    }
    let report = until_given_back(&mut agent);
    let rights = &report["agent"]["rights"];
    assert_eq!(rights["held"].as_array().unwrap().len(), 1, "{rights}");
    assert_eq!(rights["held"][0]["thread"], "connection-tracking");
    for name in ["capabilities", "bounding-set", "seccomp"] {
        assert!(protection(&report, name), "{rights}");
    }

    let id = format!("{:064x}", 0x000d_0b0e_u64);
    let late = Contained::start(&id, TALKS);
    let report = agent.until("a connection of a new container", |report| {
        let all = report["connections"].as_array().into_iter().flatten();
        all.filter(|one| one["comm"] == "latecomer" && one["state"] == "established").count() == 2
    });
    let named = |one: &&Value| one["comm"] == "latecomer" && one["remote"] == "127.0.0.1:7117";
    let one = report["connections"].as_array().unwrap().iter().find(named).unwrap();
    assert_eq!(one["direction"], "outbound");
    if !late.1.is_empty() {
        assert_eq!(one["container"], id.as_str());
        agent.until("the container's memory", |report| {
            let all = report["containers"].as_array().into_iter().flatten();
            all.filter(|one| one["id"] == id.as_str()).any(|one| !one["memoryBytes"].is_null())
        });
    }
    let report = agent.report().unwrap();
    assert_eq!(report["agent"]["rights"]["refusedCalls"], 0, "{}", report["agent"]["rights"]);
}

#[test]
#[ignore = "needs root"]
fn a_source_that_needs_rights_keeps_those_on_its_own_thread_and_no_other_does() {
    let needs = DAC_READ_SEARCH | SYS_PTRACE;
    for (source, kept) in [("netlink", needs | SYS_ADMIN), ("procfs", needs)] {
        let mut agent = Agent::start(&["--source", source], BUDGET);
        let report = until_given_back(&mut agent);

        for thread in threads(&agent) {
            let kept = match thread.name.as_str() {
                "probelet-track" => NET_ADMIN,
                "probelet-engine" => kept,
                _ => 0,
            };
            assert!(thread.holds(kept), "{source}: {thread:?}");
        }
        assert!(!protection(&report, "landlock-files"), "it looks into other processes");
        let late = Contained::start(&format!("{:064x}", 0x000d_0b0f_u64), TALKS);
        agent.until("a connection of a new process", |report| {
            let all = report["connections"].as_array().into_iter().flatten();
            all.filter(|one| one["comm"] == "latecomer").count() >= 2
        });
        drop(late);
        let report = agent.report().unwrap();
        assert_eq!(report["agent"]["rights"]["refusedCalls"], 0, "{source}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn another_source_ends_the_agent_with_a_code_of_its_own_and_the_same_by_its_name_does_not() {
    let mut agent = Agent::start(&[], BUDGET);
    let report = until_given_back(&mut agent);
    if report["source"] != "bpf" {
        return println!("SKIP: no BPF: {}", report["agent"]["refused"]);
    }

    let pinned = format!("{BUDGET}source: Bpf\n");
    fs::write(agent.config(), pinned).unwrap();
    agent.until("the edit", |report| report["agent"]["configGeneration"].as_u64() > Some(1));
    let other = format!("{BUDGET}source: Netlink\n");
    fs::write(agent.config(), other).unwrap();

    let (code, said) = agent.ended();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("netlink instead of bpf"), "{said}");
}

#[test]
#[ignore = "needs root"]
fn all_is_kept_when_that_is_asked_for() {
    let mut agent = Agent::start(&["--rights", "keep", "--source", "procfs"], BUDGET);
    let report = agent.until("a report", |report| report["epoch"].as_u64() > Some(0));
    std::thread::sleep(Duration::from_millis(500));

    assert!(!protection(&report, "seccomp"));
    let own = Thread::read(std::path::Path::new("/proc/self")).unwrap();
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
    let thread = Thread::read(&tasks.flatten().next().unwrap().path()).unwrap();
    assert_eq!(thread.sets[0], own.sets[0]);
    agent.end();
}

/// A process may be forbidden what the agent asks for: it goes on, and says what is not in force.
#[test]
#[ignore = "needs root"]
fn who_cannot_give_back_goes_on_and_says_what_is_not_in_force() {
    // Without SETPCAP the bounding set stays.
    let before = ["setpriv", "--bounding-set=-setpcap", "--inh-caps=-all"];
    let mut agent = Agent::start_by(&before, &["--source", "procfs"], BUDGET).unwrap();
    let report = until_given_back(&mut agent);

    assert!(!protection(&report, "bounding-set") && protection(&report, "capabilities"));
    let all = report["agent"]["rights"]["protections"].as_array().unwrap();
    let why = all.iter().find(|one| one["name"] == "bounding-set").unwrap();
    assert!(why["why"].as_str().is_some_and(|why| why.contains("permitted")), "{why}");
}

/// In a sandbox, where the picture has the same size each time.
#[test]
#[ignore = "needs root and BPF"]
fn giving_back_takes_little_memory() {
    let anonymous = |rights: &str| {
        let mut agent = Agent::start(&["--rights", rights], BUDGET);
        agent.until("a report", |report| report["epoch"].as_u64() > Some(0));
        std::thread::sleep(Duration::from_secs(3));
        let text = fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<i64>().unwrap()
    };
    let median = |rights: &str| {
        let mut all = [0; 3].map(|_| anonymous(rights));
        all.sort_unstable();
        all[1]
    };

    sandbox::in_sandbox("giving_back_takes_little_memory", || {
        let (kept, given) = (median("keep"), median("drop"));
        println!("anonymous memory: {kept} KiB with all rights, {given} KiB without");
        assert!(given - kept <= 256, "{given} - {kept}");
    });
}
