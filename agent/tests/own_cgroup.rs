//! The real agent where its own cgroup namespace hides where it is, as in every pod with cgroup v2.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and one that cannot run says so"
)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
use program::Agent;

const OWN: [&str; 2] = [
    "8dbc6577-d0e2-4706-8787-57d52c03ddf2",
    "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e",
];
const OTHER: [&str; 2] = [
    "11111111-d0e2-4706-8787-57d52c03ddf2",
    "aa1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3dff",
];

/// Cgroups as a kubelet makes them; they go with it.
struct Pods(PathBuf);

impl Pods {
    fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let v2 = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?;
        let root = Path::new(v2.split(' ').nth(1)?).join("kubepods-of-a-test");
        for pod in [OWN, OTHER] {
            fs::create_dir_all(Self::directory(&root, pod))
                .expect("needs root: cgroups of its own");
        }
        Some(Self(root))
    }

    fn directory(root: &Path, [uid, container]: [&str; 2]) -> PathBuf {
        root.join("burstable").join(format!("pod{uid}")).join(container)
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        // Who was in there was killed, and may take a moment.
        for _ in 0..50 {
            for pod in [OWN, OTHER] {
                let inner = Self::directory(&self.0, pod);
                inner.ancestors().take(4).for_each(|cgroup| drop(fs::remove_dir(cgroup)));
            }
            if !self.0.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The container of a process.
fn container_of(report: &Value, pid: u32) -> Option<&Value> {
    let find = |list: &str, key: &str, value: &Value| {
        report[list].as_array()?.iter().find(|one| one[key] == *value)
    };
    let process = find("processes", "pid", &pid.into())?;
    find("containers", "id", &process["container"])
        .or_else(|| find("containers", "name", &process["container"]))
}

#[test]
#[ignore = "needs root and cgroup v2"]
fn in_a_cgroup_namespace_the_agent_knows_its_own_pod_and_the_figures_of_others() {
    let Some(pods) = Pods::new() else {
        return eprintln!("SKIP: this machine: no cgroup v2 is mounted");
    };
    let other = Running(Command::new("sleep").arg("60").spawn().unwrap());
    let procs = |pod| Pods::directory(&pods.0, pod).join("cgroup.procs");
    fs::write(procs(OTHER), other.0.id().to_string()).unwrap();
    let enter = format!("echo $$ > {} && exec unshare -C \"$@\"", procs(OWN).display());
    let words = ["--source", "procfs", "--kubernetes", "off"];
    let agent =
        Agent::start_by(&["sh", "-c", &enter, "sh"], &words, "budget: {cpu: \"1\"}").unwrap();

    let began = Instant::now();
    let [own, theirs] = loop {
        let report = agent.report().unwrap_or_default();
        let found = [agent.child.id(), other.0.id()].map(|pid| container_of(&report, pid).cloned());
        if let [Some(own), Some(theirs)] = found {
            break [own, theirs];
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{}", report["containers"]);
        thread::sleep(Duration::from_millis(300));
    };

    assert_eq!((&own["podUid"], &own["id"]), (&OWN[0].into(), &OWN[1].into()));
    assert_eq!((&theirs["podUid"], &theirs["id"]), (&OTHER[0].into(), &OTHER[1].into()));
    assert!(own["cpuSeconds"].is_number() && theirs["cpuSeconds"].is_number(), "{own} {theirs}");
}
