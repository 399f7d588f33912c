//! An agent that runs in the box, and what its report says.
//!
//! In: a source. Out: flows with which something is wrong, and risks.
//!
//! I/O: one process, HTTP on loopback.

use serde_json::Value;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const ADDRESS: &str = "127.0.0.1:19466";

/// A running agent; it ends when dropped.
pub struct Agent {
    process: Child,
    address: &'static str,
    #[allow(dead_code, reason = "removed when dropped")]
    config: tempfile::NamedTempFile,
}

impl Agent {
    pub fn start(words: &[&str]) -> Self {
        // Readers have a part of the budget, and these look often.
        let mut config = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
        config.write_all(b"budget: {cpu: \"1\"}\n").unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_probelet-agent"))
            .args(["--listen", ADDRESS, "--docker", "off"])
            .arg("--config")
            .arg(config.path())
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process: child, address: ADDRESS, config }
    }

    /// With this source, unless the kernel refuses it.
    pub fn start_with(source: &str) -> Option<Self> {
        let mut agent = Self::start(&["--source", source]);
        let began = Instant::now();
        while agent.report().is_none() {
            if agent.process.try_wait().unwrap().is_some() {
                eprintln!("SKIP: no BPF: {source} is refused");
                return None;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{source}: no report");
            thread::sleep(Duration::from_millis(50));
        }
        Some(agent)
    }

    pub fn report(&self) -> Option<Value> {
        crate::reading::report(TcpStream::connect(self.address).ok()?)
    }

    /// A report, even if the agent is busy for a moment.
    fn must_report(&self) -> Value {
        let began = Instant::now();
        loop {
            if let Some(report) = self.report() {
                return report;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no report");
            thread::sleep(Duration::from_millis(200));
        }
    }

    pub fn wait_for(&self, list: &str, n: usize, most: Duration) {
        let began = Instant::now();
        while self.must_report()[list].as_array().unwrap().len() < n {
            assert!(began.elapsed() < most, "fewer than {n} {list}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Flows with which something is wrong: port and what.
    pub fn sick(&self) -> Vec<(u64, String)> {
        let report = self.must_report();
        let flows = report["flows"].as_array().unwrap();
        let of = |flow: &Value| {
            let port = flow["port"].as_u64().unwrap();
            let all = flow["problems"].as_array().unwrap().iter();
            all.map(|p| (port, p.as_str().unwrap().to_owned())).collect::<Vec<_>>()
        };
        flows.iter().flat_map(of).collect()
    }

    /// What is about to run full: what, the port, how much.
    pub fn risks(&self) -> Vec<(String, Option<u16>, u64)> {
        let report = self.must_report();
        let of = |risk: &Value| {
            let port = risk["port"].as_u64().map(|port| u16::try_from(port).unwrap());
            let what = risk["risk"].as_str().unwrap().to_owned();
            (what, port, risk["used"].as_u64().unwrap())
        };
        report["risks"].as_array().unwrap().iter().map(of).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
