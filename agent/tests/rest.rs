//! How often an agent wakes that has nothing to do: counted by the kernel, not timed.
//!
//! In: the real agent in namespaces of its own, alone with a few sleepers. Out: a verdict on how often its threads waited and
//! were woken. Needs root and BPF.
//!
//! I/O: yes.
#![allow(clippy::print_stderr, clippy::unwrap_used, reason = "tests, and a skipped one says so")]

#[path = "bpf/sandbox.rs"]
#[allow(dead_code, reason = "shared with the tests of one pass")]
mod sandbox;

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;

use program::Agent;
use sandbox::in_sandbox;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

/// How long is counted, seconds, and how often: a machine that is busy makes a thread wait for more than its timer, for its
/// own code for example, so the calmest of these says how often it has to wake.
const SECONDS: u64 = 6;
const TIMES: usize = 4;

/// A running agent that reads everything so often, once it has come to rest.
fn rested(short_lived: &str, bytes: &str) -> Agent {
    // A budget in which nothing waits, whatever an unoptimised build takes.
    let config = format!(
        "budget: {{cpu: \"1\"}}\nintervals: {{bytes: {bytes}}}\nshortLived: {short_lived}\n"
    );
    let agent = Agent::start(&["--source", "bpf"], &config);
    sleep(Duration::from_secs(4));
    agent
}

/// How often its threads have waited for something.
fn waits(agent: &Agent) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
    let of = |path: std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    tasks.map(|task| of(task.unwrap().path())).sum()
}

/// What of its own file is in its memory, kilobytes.
fn program_kilobytes(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// What of BPF maps is in its memory, kilobytes.
fn windows(agent: &Agent) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{}/smaps", agent.child.id())).unwrap();
    let (mut inside, mut sum) = (false, 0);
    for line in maps.lines() {
        if let Some(rss) = line.strip_prefix("Rss:").filter(|_| inside) {
            sum += rss.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
            inside = line.ends_with("bpf-map");
        }
    }
    sum
}

fn counted(short_lived: &str) -> (u64, u64) {
    let agent = rested(short_lived, "10s");
    let counts = (0..TIMES).map(|_| {
        let before = waits(&agent);
        sleep(Duration::from_secs(SECONDS));
        waits(&agent) - before
    });
    (counts.min().unwrap(), windows(&agent))
}

#[test]
#[ignore = "needs root and BPF"]
fn with_nothing_to_do_it_wakes_once_a_second_and_maps_few_windows() {
    in_sandbox("with_nothing_to_do_it_wakes_once_a_second_and_maps_few_windows", || {
        let (waits, kilobytes) = counted("Exact");

        assert!(waits <= SECONDS * 3 / 2, "{waits} in {SECONDS} s");
        assert!(waits >= SECONDS / 2, "{waits} in {SECONDS} s: it looks no more");
        assert!((1..=256).contains(&kilobytes), "{kilobytes} kB of windows");
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn where_ends_are_not_reported_it_looks_twice_a_second() {
    in_sandbox("where_ends_are_not_reported_it_looks_twice_a_second", || {
        let (waits, _) = counted("Counters");

        assert!((SECONDS * 3 / 2..=SECONDS * 5 / 2).contains(&waits), "{waits} in {SECONDS} s");
    });
}

fn answer(agent: &Agent, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(agent.serves).unwrap();
    let asked = format!(
        "GET /{path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: zstd\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// A release has 12 MiB of code, of which its work takes 3 once the start is forgotten.
#[test]
#[ignore = "needs root and BPF"]
fn what_a_reader_needed_of_the_program_leaves_memory_after_a_while() {
    in_sandbox("what_a_reader_needed_of_the_program_leaves_memory_after_a_while", || {
        let agent = rested("Exact", "1s");
        let mut most = 0;
        for path in ["metrics", "v1/report", "healthz"] {
            // On a busy machine its first report takes a while.
            let mut answers = (0..100).map(|_| {
                sleep(Duration::from_millis(100));
                answer(&agent, path)
            });
            let well = answers.any(|answer| answer.starts_with(b"HTTP/1.1 200 "));
            assert!(well, "{path}: {}", String::from_utf8_lossy(&answer(&agent, path)));
            most = most.max(program_kilobytes(&agent));
        }

        let left = (0..40).map(|_| {
            sleep(Duration::from_secs(1));
            program_kilobytes(&agent)
        });
        let least = left.min().unwrap();
        assert!(least + 64 < most, "{most} kB after an answer, {least} at last");
    });
}
