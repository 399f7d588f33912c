//! A child in namespaces of its own, and what its /proc says.
//!
//! In: the name of a test. Out: its body, run as process 1 of new pid, mount and network
//! namespaces. It must not leave anything behind: all of it ends with the child.
//!
//! I/O: yes.

use probelet_agent::discover::netns_counters::embryonic_resets;
use std::{
    fs,
    process::{Child, Command},
};

use probelet_core::facts::Netns;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const INSIDE: &str = "PROBELET_TEST_SANDBOX";

/// Runs `body` in a sandbox: the test calls itself again in new namespaces.
pub(crate) fn in_sandbox(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    assert!(rustix::process::geteuid().is_root(), "new namespaces need root");
    let me = std::env::current_exe().unwrap();
    let mut child = Command::new("unshare");
    child.args([
        "--pid",
        "--net",
        "--mount",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "--",
        "sh",
        "-c",
    ]);
    child.arg(r#"ip link set lo up && exec "$0" "$@""#).arg(me).args([
        "--exact",
        test,
        "--nocapture",
    ]);
    child.args(["--include-ignored", "--test-threads", "1"]).env(INSIDE, "1");
    let output = child.output().expect("unshare of util-linux");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    err.lines().filter(|l| l.starts_with("SKIP")).for_each(|l| eprintln!("{l}"));
    assert!(output.status.success() && out.contains("1 passed"), "in the sandbox:\n{out}\n{err}");
}

/// Raises the limit of open files, as far as it may be.
pub(crate) fn allow_files(n: u64) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(maximum.map_or(n, |m| m.min(n)));
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

/// The pids in /proc.
pub(crate) fn pids_of_proc() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let mut pids: Vec<_> =
        entries.filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// A process in a pid namespace below this one.
pub(crate) fn other_pid_namespace() -> Child {
    let child = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "sleep", "60"])
        .spawn()
        .unwrap();
    // itself, its child, and this process
    while pids_of_proc().len() < 3 {
        std::thread::yield_now();
    }
    child
}

/// /proc/net/snmp and sockstat{,6} of this network namespace.
pub(crate) fn counters_of_proc(inode: u32) -> Netns {
    let snmp = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut tcp = snmp.lines().filter_map(|l| l.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next().unwrap(), tcp.next().unwrap());
    let counter = |name| {
        let pair = names.split(' ').zip(values.split(' ')).find(|p| p.0 == name);
        pair.unwrap().1.parse::<u64>().unwrap()
    };
    let sockstat = fs::read_to_string("/proc/net/sockstat").unwrap()
        + &fs::read_to_string("/proc/net/sockstat6").unwrap();
    let in_use = |name| {
        let line = sockstat.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let netstat = fs::read("/proc/net/netstat").unwrap();
    Netns {
        inode,
        active_opens: counter("ActiveOpens"),
        passive_opens: counter("PassiveOpens"),
        cookie: 0,
        attempt_fails: counter("AttemptFails"),
        embryonic_rsts: embryonic_resets(&netstat).unwrap(),
        estab_resets: counter("EstabResets"),
        curr_estab: counter("CurrEstab"),
        tcp_in_use: in_use("TCP: inuse ") + in_use("TCP6: inuse "),
        udp_in_use: in_use("UDP: inuse ") + in_use("UDP6: inuse "),
        ports: None,
    }
}
