//! The agent under test: started with a source and a budget, stopped when dropped.
//!
//! In: a program that takes `--listen --source --config`. Out: its pid and its address. It must not leave an agent
//! behind. I/O: a child process, its log file, its configuration file.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::report::Client;
use probelet_report::Report;

/// Where the agent under test listens: the box has a loopback of its own, so the port is free.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 9466);
/// The wait for a first answer; Scope's was 45 s.
const START: Duration = Duration::from_mins(1);

/// The wait for a report of an agent that answers, but refuses.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether an agent that runs gives its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// It does, and it runs on the source that was asked for.
    Reports,
    /// It answers with this status; which source it runs on is not confirmed.
    Refuses(u16),
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// `bpf`, `bpf-compat`, `netlink` or `procfs`.
    pub source: &'static str,
    /// What the configuration file says; `None` is no file: the agent's defaults.
    pub config: Option<&'static str>,
}

/// An agent that runs.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    log: PathBuf,
    config: PathBuf,
}

impl Agent {
    /// Starts it; log and configuration go to `dir`.
    pub fn start(setup: &Setup, dir: &Path) -> anyhow::Result<Self> {
        let Setup { program, source, config } = setup;
        let log = dir.join("agent.log");
        let mut command = Command::new(program);
        command.args(["--listen", &Self::address().to_string(), "--source", source]);
        let file = dir.join("config.yaml");
        if let Some(text) = config {
            fs::write(&file, text)?;
            command.arg("--config").arg(&file);
        }
        let output = fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        Ok(Self { child, log, config: file })
    }

    /// Gives an agent that was started with a configuration another one, and waits until it counts ends in that mode.
    pub fn count_by(&self, mode: &str, config: &str) -> anyhow::Result<()> {
        fs::write(&self.config, config)?;
        self.counts_by(mode)
    }

    /// Waits until it counts ends in this mode.
    pub fn counts_by(&self, mode: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        while Client::new(Self::address()).report()?.short_lived.mode != mode {
            if start.elapsed() > PATIENCE {
                bail!("it does not count by {mode} after {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address() -> SocketAddr {
        LISTEN.into()
    }

    /// Its pid, in the namespace of the box.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Polls every 5 ms until a report satisfies `enough`.
    pub fn wait_for(&mut self, enough: impl Fn(&Report) -> bool) -> anyhow::Result<Report> {
        let start = Instant::now();
        let mut client = Client::new(Self::address());
        let (mut last, mut etag) = (None, None);
        loop {
            self.still_runs()?;
            match client.newer("/v1/report", &mut etag) {
                Ok(Some(report)) if enough(&report) => return Ok(report),
                Ok(None) => {}
                Ok(Some(report)) => {
                    last = Some(format!(
                        "its last report had {} connections",
                        report.connections.len()
                    ));
                }
                Err(error) => last = Some(format!("{error:#}")),
            }
            if start.elapsed() > START {
                bail!(
                    "no sufficient report within {} s: {}",
                    START.as_secs(),
                    last.unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the first report, and refuses to go on if the agent chose another source than was asked for.
    ///
    /// An agent whose budget does not even pay for a report answers 503: it runs, and its CPU can be measured. The
    /// answer says which of the two it was.
    pub fn wait_until_it_serves(&mut self, source: &str) -> anyhow::Result<Serving> {
        let start = Instant::now();
        loop {
            self.still_runs()?;
            match Client::new(Self::address()).get("/v1/report", None) {
                Ok(reply) if reply.status == 200 => {
                    let report: Report =
                        serde_json::from_slice(&reply.body).context("the report")?;
                    ensure!(
                        report.source == source,
                        "the agent runs on {} instead of {source}",
                        report.source
                    );
                    return Ok(Serving::Reports);
                }
                Ok(reply) if start.elapsed() > PATIENCE => {
                    return Ok(Serving::Refuses(reply.status));
                }
                Err(error) if start.elapsed() > START => {
                    return Err(error).context("the agent does not answer");
                }
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn still_runs(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let said = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
        bail!("the agent ended at once ({status}), saying: {said}")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid of 0")?;
        kill_process(pid, signal).context("the agent is gone")
    }

    /// Level that the agent names in its report, or that it gave none.
    #[must_use]
    pub fn level() -> String {
        let report = match Client::new(Self::address()).report() {
            Ok(report) => report,
            Err(error) => return format!("unknown: {error:#}"),
        };
        report.level
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let asked = self.signal(Signal::TERM).is_ok();
        let deadline = Instant::now() + Duration::from_secs(3);
        while asked && Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if matches!(self.child.try_wait(), Ok(None))
            && self.child.kill().is_ok()
            && self.child.wait().is_err()
        {
            // Reaped elsewhere: it is gone, which is what was wanted.
        }
    }
}
