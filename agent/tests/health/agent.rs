//! What the report of a running agent says of flows and of what runs full.
//!
//! In: a source. Out: flows with which something is wrong, and risks.
//!
//! I/O: one process, HTTP on loopback.

use crate::program;
use serde_json::Value;
use std::thread;
use std::time::{Duration, Instant};

/// Readers have a part of the budget, and these look often.
const BUDGET: &str = "budget: {cpu: \"1\"}\n";

/// A running agent; it ends when dropped.
pub struct Agent(program::Agent);

impl Agent {
    pub fn start() -> Self {
        Self(program::Agent::start(&[], BUDGET))
    }

    /// With this source, unless the kernel refuses it.
    pub fn start_with(source: &str) -> Option<Self> {
        program::Agent::with_source(&[], source, BUDGET).map(Self)
    }

    /// A report, even if the agent is busy for a moment.
    fn must_report(&self) -> Value {
        let began = Instant::now();
        loop {
            if let Some(report) = self.0.report() {
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
