//! The agent's program, started as a user starts it, on a free port of loopback.
//!
//! In: its flags and its configuration. Out: where it serves, its report, its log and its exit code. It ends when it is dropped.
//!
//! I/O: one process and its log, a file, HTTP on loopback.

use crate::reading;
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// For the first report: a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what a report is to show.
const LONGEST: Duration = Duration::from_secs(30);

/// One reading of this machine by one source; `None` when this kernel refuses the source.
pub(crate) fn once(source_kind: &str) -> Option<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_probelet-agent"))
        .args(["once", "--json", "--docker", "off", "--source", source_kind])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) {
        eprintln!("SKIP: no BPF: {source_kind} is refused: {error}");
        return None;
    }
    assert!(output.status.success(), "{source_kind}: {error}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// A running agent.
pub(crate) struct Agent {
    pub(crate) child: Child,
    pub(crate) serves: SocketAddr,
    /// Where it answers probes, if `--probe-listen` is among its flags.
    pub(crate) probes: Option<SocketAddr>,
    config: tempfile::NamedTempFile,
    /// Reads its log to the end.
    log: Option<JoinHandle<String>>,
}

impl Agent {
    pub(crate) fn start(words: &[&str], config: &str) -> Self {
        Self::start_by(&[], words, config).unwrap()
    }

    /// As [`Self::start_by`], with what is done to the process before it becomes the agent.
    pub(crate) fn start_under(
        words: &[&str],
        config: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        Self::begin(&[], words, config, prepare).unwrap()
    }

    /// Started by `before`, such as `setpriv` with its arguments; `None` if it ended before it served.
    pub(crate) fn start_by(before: &[&str], words: &[&str], config: &str) -> Option<Self> {
        Self::begin(before, words, config, |_| {})
    }

    fn begin(
        before: &[&str],
        words: &[&str],
        config: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> Option<Self> {
        let mut file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let program: Vec<_> =
            before.iter().copied().chain([env!("CARGO_BIN_EXE_probelet-agent")]).collect();
        let mut command = Command::new(program[0]);
        prepare(&mut command);
        let mut child = command
            .args(&program[1..])
            .args(["--listen", "127.0.0.1:0", "--docker", "off", "--node-name", "box"])
            .args(words)
            .arg("--config")
            .arg(file.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut serves, mut probes, mut said) = (None, None, String::new());
        while serves.is_none() {
            let mut line = String::new();
            if log.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                eprintln!("{said}");
                return None;
            }
            let address = || {
                let plain = line.split("address=").nth(1).unwrap();
                plain.split_whitespace().next().unwrap().parse().unwrap()
            };
            if line.contains("answering probes") {
                probes = Some(address());
            } else if line.contains("serving") {
                serves = Some(address());
            }
            said.push_str(&line);
        }
        let log = thread::spawn(move || {
            log.read_to_string(&mut said).unwrap();
            said
        });
        Some(Self { child, serves: serves.unwrap(), probes, config: file, log: Some(log) })
    }

    /// One with this source that has made its first report, unless the kernel refuses the source.
    pub(crate) fn with_source(before: &[&str], source: &str, config: &str) -> Option<Self> {
        let mut agent = Self::start_by(before, &["--source", source], config);
        let began = Instant::now();
        while let Some(running) = &mut agent {
            if running.child.try_wait().unwrap().is_some() {
                break;
            }
            if running.report().is_some_and(|report| report["epoch"].as_u64() > Some(0)) {
                return agent;
            }
            assert!(began.elapsed() < PATIENCE, "{source}: no report");
            thread::sleep(Duration::from_millis(100));
        }
        eprintln!("SKIP: no BPF: {source} is refused");
        None
    }

    /// The file with its configuration.
    pub(crate) fn config(&self) -> &Path {
        self.config.path()
    }

    pub(crate) fn report(&self) -> Option<Value> {
        reading::report(self.connect()?)
    }

    /// The first report in which this holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let report = self.report().unwrap_or_default();
            if holds(&report) {
                return report;
            }
            let late = began.elapsed() > LONGEST;
            let works = !late && self.child.try_wait().unwrap().is_none();
            assert!(works, "{what}: never; {}\n{}", report["agent"], self.end().1);
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it, if it has not ended: its code and its log.
    pub(crate) fn end(&mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        self.ended()
    }

    /// Waits for its end: its code and its log.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        let log = self.log.take().map(|log| log.join().unwrap());
        (code, log.unwrap_or_default())
    }

    /// A connection from inside its network, if that is not ours: threads have namespaces of their own, so only one moves.
    fn connect(&self) -> Option<TcpStream> {
        let network = |pid: &str| format!("/proc/{pid}/ns/net");
        let theirs = network(&self.child.id().to_string());
        let link = |path| fs::read_link(path).ok();
        let serves = self.serves;
        if link(theirs.clone())? == link(network("self"))? {
            return TcpStream::connect(serves).ok();
        }
        let space = fs::File::open(theirs).ok()?;
        let inside = move || {
            let network = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(space.as_fd(), network).ok()?;
            TcpStream::connect(serves).ok()
        };
        thread::spawn(inside).join().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed.
        _ = self.child.kill();
        self.child.wait().unwrap();
    }
}
