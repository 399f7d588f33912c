//! When was each connection in the report? Polls it and notes first and last sight.
//!
//! In: the address of an agent, what to ask for. Out: [`Sight`] per connection end. A record in `TIME_WAIT` counts
//! for "seen", never for "still there". The polling costs the agent CPU: no CPU is measured meanwhile.
//! I/O: one thread, one HTTP connection.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use probelet_core::hash::HashMap;
use probelet_report::{Connection, Report};

use crate::{load::short::now, report::Client};

/// The pause between two requests: the figure of freshness includes up to this much.
pub const EVERY: Duration = Duration::from_millis(50);

/// How long the agent may hold a request for changes back until there are any; below the client's own patience.
const WAIT: u32 = 2;

/// A connection end by namespace (as the agent gave it), local and remote address.
pub type Key = (Option<u64>, String, String);

/// What the reports said about one connection end, in seconds of the monotonic clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Sight {
    /// First report that has it.
    pub first: f64,
    /// Last report that has it open.
    pub last_open: f64,
    /// The last pid that was given.
    pub pid: Option<u32>,
    /// The last direction that was not `unknown`.
    pub direction: Option<Direction>,
}

/// Which end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It called.
    Outbound,
    /// It was called.
    Inbound,
}

impl Direction {
    /// Reads the report's word; `None` is `unknown`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "outbound" => Some(Self::Outbound),
            "inbound" => Some(Self::Inbound),
            _ => None,
        }
    }
}

/// All sights of a watch.
#[derive(Debug, Default)]
pub struct Sights {
    /// By connection end.
    pub by_end: HashMap<Key, Sight>,
    /// Answers in all.
    pub polls: u64,
    /// Answers with a new body.
    pub bodies: u64,
    /// Requests that the agent refused: over its budget, or over its limit.
    pub refused: u64,
    open: HashMap<u64, Key>,
    epoch: u64,
}

impl Sights {
    /// Notes a new report, or what changed since the last one.
    pub fn report(&mut self, at: f64, report: &Report) {
        self.bodies += 1;
        self.epoch = report.epoch;
        if report.full {
            self.open.clear();
        }
        for id in report.removed.iter().flat_map(|removed| &removed.connections) {
            self.open.remove(id);
        }
        for connection in report.connections.iter().filter(|c| c.protocol == "tcp") {
            self.connection(at, connection);
        }
        self.polls += 1;
    }

    /// Notes that the last report still holds.
    pub fn unchanged(&mut self, at: f64) {
        for key in self.open.values() {
            if let Some(sight) = self.by_end.get_mut(key) {
                sight.last_open = at;
            }
        }
    }

    fn connection(&mut self, at: f64, connection: &Connection) {
        let Connection { id, state, local, remote, netns, pid, direction, .. } = connection;
        let key = (*netns, local.clone(), remote.clone());
        let new = Sight { first: at, last_open: at, pid: None, direction: None };
        let sight = self.by_end.entry(key.clone()).or_insert(new);
        sight.pid = pid.or(sight.pid);
        sight.direction = Direction::parse(direction).or(sight.direction);
        if state.to_ascii_lowercase().contains("time") {
            self.open.remove(id);
        } else {
            self.open.insert(*id, key);
        }
    }
}

/// What a watch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The whole report, whenever it is not the last one.
    Whole,
    /// What changed since the last one, as soon as anything has: what the report's readers are meant to do.
    Changes,
}

/// A watch that runs on a thread of its own.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<Sights>>,
}

impl Watch {
    /// Starts to poll.
    #[must_use]
    pub fn start(server: SocketAddr, ask: Ask) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || poll(server, ask, &seen));
        Self { stop, thread }
    }

    /// Stops and gives what was seen.
    pub fn finish(self) -> anyhow::Result<Sights> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the watching thread panicked"))?
    }
}

fn poll(server: SocketAddr, ask: Ask, stop: &AtomicBool) -> anyhow::Result<Sights> {
    let mut client = Client::new(server);
    let mut sights = Sights::default();
    let mut etag: Option<String> = None;
    while !stop.load(Ordering::Relaxed) {
        let path = match (ask, &etag) {
            (Ask::Changes, Some(_)) => format!("/v1/report?since={}&wait={WAIT}", sights.epoch),
            _ => "/v1/report".to_owned(),
        };
        let reply = client.get(&path, etag.as_deref()).context("polling the report")?;
        match reply.status {
            200 => {
                let report = serde_json::from_slice(&reply.body).context("the report")?;
                let at = now();
                sights.unchanged(at); // until this answer the last one held
                sights.report(at, &report);
                etag = reply.etag;
            }
            304 => {
                sights.unchanged(now());
                sights.polls += 1;
            }
            // The next poll asks again, and the freshness shows the delay.
            429 | 503 => sights.refused += 1,
            status => bail!("the report answered {status}"),
        }
        std::thread::sleep(EVERY);
    }
    Ok(sights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_report::Removed;

    fn report(state: &str, direction: &str) -> Report {
        let connection = Connection {
            id: 5,
            protocol: "tcp".into(),
            state: state.into(),
            local: "127.0.0.1:40000".into(),
            remote: "127.0.0.1:80".into(),
            netns: Some(7),
            pid: Some(12),
            direction: direction.into(),
            ..Connection::default()
        };
        Report { connections: vec![connection], full: true, ..Report::default() }
    }

    fn gone(id: u64) -> Report {
        Report {
            removed: Some(Removed { connections: vec![id] }),
            full: false,
            ..Report::default()
        }
    }

    fn only(sights: &Sights) -> &Sight {
        sights.by_end.values().next().unwrap()
    }

    #[test]
    fn an_unchanged_report_keeps_its_connections_open() {
        let mut sights = Sights::default();

        sights.report(1.0, &report("established", "outbound"));
        sights.unchanged(2.5);

        assert_eq!((only(&sights).first, only(&sights).last_open), (1.0, 2.5));
    }

    #[test]
    fn changes_leave_a_connection_open_until_they_name_it_as_gone() {
        let mut sights = Sights::default();

        sights.report(1.0, &report("established", "outbound"));
        sights.report(2.0, &gone(9));
        sights.unchanged(3.0);
        sights.report(3.0, &gone(5));
        sights.unchanged(4.0);

        assert!((only(&sights).last_open - 3.0).abs() < 1e-9);
    }

    #[test]
    fn time_wait_is_seen_but_not_open() {
        let mut sights = Sights::default();

        sights.report(1.0, &report("established", "outbound"));
        sights.report(2.0, &report("time-wait", "unknown"));
        sights.unchanged(3.0);

        assert!((only(&sights).last_open - 1.0).abs() < 1e-9);
        assert_eq!(only(&sights).direction, Some(Direction::Outbound));
    }
}
