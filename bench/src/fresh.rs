//! How long until a new connection is in the report, and until a closed one is out of it; which short ones are seen
//! at all; which directions are right.
//!
//! In: how many connections, how far apart, how long held. Out: [`Outcome`]. The analysis is pure; [`open`] does the
//! I/O: it starts processes of `probelet-load` in the namespaces of a load.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};

use crate::{
    load::{program, topology},
    watch::{Direction, Sight, Sights},
};

/// First listening port of these connections, away from those of the load.
const FIRST_PORT: u16 = 15_000;

/// What to open.
#[derive(Debug, Clone)]
pub struct Script {
    /// Connections, each by a process of its own, both ends in it.
    pub count: usize,
    /// Time from one to the next; the moment within it varies, so that no rhythm of the agent is met.
    pub gap: Duration,
    /// How long each is held before the client closes it by FIN.
    pub hold: Duration,
    /// Whether the process exists before (its connection is all that is new), or is started for it.
    pub known: bool,
    /// Whether the listener has a port of the ephemeral range too.
    pub ephemeral: bool,
}

/// What was opened, with times of the monotonic clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Just before `connect()`.
    pub at: f64,
    /// Just before `close()`.
    pub closed: f64,
    /// Inode of the namespace.
    pub netns: u64,
    /// The process that holds both ends.
    pub pid: u32,
    /// Address of the client's end.
    pub client: String,
    /// Address of the server's end.
    pub server: String,
}

/// What the reports said about what was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// Connections opened.
    pub opened: usize,
    /// Requests for the report that the agent refused meanwhile.
    pub refused: u64,
    /// Requests in all.
    pub requests: u64,
    /// Of them in any report.
    pub reported: usize,
    /// Of them with the right pid at one end at least.
    pub right_pid: usize,
    /// Of them with a wrong direction at either end.
    pub wrong_direction: usize,
    /// Of them with no direction at either end.
    pub unknown_direction: usize,
    /// Seconds from open to the first report, ascending.
    pub latency: Vec<f64>,
    /// Seconds from close to the last report that shows it open, ascending.
    pub stale: Vec<f64>,
}

impl Outcome {
    /// Compares what was opened with what was seen.
    #[must_use]
    pub fn new(opened: &[Opened], sights: &Sights) -> Self {
        let mut outcome = Self {
            opened: opened.len(),
            refused: sights.refused,
            requests: sights.polls + sights.refused,
            ..Self::default()
        };
        for connection in opened {
            outcome.add(connection, sights);
        }
        outcome.latency.sort_by(f64::total_cmp);
        outcome.stale.sort_by(f64::total_cmp);
        outcome
    }

    fn add(&mut self, opened: &Opened, sights: &Sights) {
        let Opened { at, closed, netns, pid, client, server } = opened;
        let find = |local: &String, remote: &String| -> Option<&Sight> {
            // A report before it was opened can only show an older connection of the same addresses.
            sights
                .by_end
                .get(&(Some(*netns), local.clone(), remote.clone()))
                .filter(|sight| sight.last_open >= *at || sight.first >= *at)
        };
        let ends = [
            (find(client, server), Direction::Outbound),
            (find(server, client), Direction::Inbound),
        ];
        let seen: Vec<(&Sight, Direction)> =
            ends.into_iter().filter_map(|(s, d)| s.map(|s| (s, d))).collect();
        let Some(first) = seen.iter().map(|(sight, _)| sight.first).reduce(f64::min) else {
            return;
        };
        let last = seen.iter().map(|(sight, _)| sight.last_open).fold(0.0, f64::max);
        self.reported += 1;
        self.latency.push((first - at).max(0.0));
        self.stale.push((last - closed).max(0.0));
        self.right_pid += usize::from(seen.iter().any(|(sight, _)| sight.pid == Some(*pid)));
        self.wrong_direction += usize::from(
            seen.iter().any(|(sight, want)| sight.direction.is_some_and(|d| d != *want)),
        );
        self.unknown_direction +=
            usize::from(seen.iter().all(|(sight, _)| sight.direction.is_none()));
    }

    /// Share of what was opened that was reported, in percent.
    #[must_use]
    pub fn reported_percent(&self) -> f64 {
        percent(self.reported, self.opened)
    }
}

/// `part` of `whole` in percent; nothing of nothing is 0.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// The value that `hundredths` of the ascending `values` do not exceed.
#[must_use]
pub fn quantile(values: &[f64], hundredths: usize) -> Option<f64> {
    let rank = (values.len() * hundredths).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}

/// Opens what the script says in namespaces `wl0` to `wl(netns-1)`, and returns when the last is closed. The processes
/// are kept until then, so that a pid never comes twice.
pub fn open(script: &Script, netns: usize) -> anyhow::Result<Vec<Opened>> {
    let mut random = Random(7);
    let places: Vec<usize> = (0..script.count).map(|_| random.below(netns)).collect();
    let mut processes = Vec::with_capacity(script.count);
    if script.known {
        for (nth, place) in places.iter().enumerate() {
            processes.push(Process::start(*place, script.port(nth))?);
        }
        std::thread::sleep(Duration::from_secs(3)); // until the agent knows them
    }
    let start = Instant::now();
    for (nth, place) in places.iter().enumerate() {
        let within = script.gap.mul_f64(0.9 * f64::from(u8::try_from(random.below(100))?) / 100.0);
        let due = script.gap * u32::try_from(nth)? + within;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        if !script.known {
            processes.push(Process::start(*place, script.port(nth))?);
        }
        writeln!(processes[nth].orders, "{}", script.hold.as_millis())?;
    }
    processes.iter_mut().map(Process::answer).collect()
}

impl Script {
    fn port(&self, nth: usize) -> u16 {
        if self.ephemeral { 0 } else { FIRST_PORT + u16::try_from(nth).unwrap_or(0) }
    }
}

struct Process {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
    netns: u64,
}

impl Process {
    fn start(netns: usize, port: u16) -> anyhow::Result<Self> {
        let name = topology::name(Some(netns));
        let netns = topology::inode(&name)?;
        let mut child = Command::new(program()?)
            .args(["pair", &name, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a process of the load")?;
        let orders = child.stdin.take().context("a process without input")?;
        let mut replies = BufReader::new(child.stdout.take().context("a process without output")?);
        let mut line = String::new();
        replies.read_line(&mut line)?;
        ensure!(line == "listening\n", "a process did not come up in {name}");
        Ok(Self { child, orders, replies, netns })
    }

    fn answer(&mut self) -> anyhow::Result<Opened> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        let mut closed = String::new();
        self.replies.read_line(&mut closed)?;
        let mut words = line.split_whitespace();
        let mut word = || words.next().with_context(|| format!("a process said {line:?}"));
        Ok(Opened {
            at: word()?.parse()?,
            pid: word()?.parse()?,
            client: word()?.to_owned(),
            server: word()?.to_owned(),
            closed: closed.trim().parse().with_context(|| format!("a process said {closed:?}"))?,
            netns: self.netns,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            // Reaped elsewhere.
        }
    }
}

/// A fixed sequence: every run opens in the same places at the same moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // Constants of Knuth's MMIX generator; the high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_report::{Connection, Report};

    fn opened() -> Opened {
        Opened {
            at: 10.0,
            closed: 20.0,
            netns: 7,
            pid: 12,
            client: "127.0.0.1:40000".into(),
            server: "127.0.0.1:41000".into(),
        }
    }

    fn end(local: &str, remote: &str, direction: &str) -> Connection {
        let state = "established".into();
        let (local, remote, direction) = (local.into(), remote.into(), direction.into());
        Connection {
            protocol: "tcp".into(),
            state,
            local,
            remote,
            netns: Some(7),
            pid: Some(12),
            direction,
            ..Connection::default()
        }
    }

    fn seen(ends: Vec<Connection>, times: &[f64]) -> Sights {
        let mut sights = Sights::default();
        sights.report(times[0], &Report { connections: ends, full: true, ..Report::default() });
        times[1..].iter().for_each(|&at| sights.unchanged(at));
        sights
    }

    #[test]
    fn latency_runs_from_connect_and_staleness_from_close() {
        let sights =
            seen(vec![end("127.0.0.1:40000", "127.0.0.1:41000", "outbound")], &[10.5, 20.75]);

        let outcome = Outcome::new(&[opened()], &sights);

        assert_eq!((outcome.latency, outcome.stale), (vec![0.5], vec![0.75]));
        assert_eq!(
            (
                outcome.reported,
                outcome.right_pid,
                outcome.wrong_direction,
                outcome.unknown_direction
            ),
            (1, 1, 0, 0)
        );
    }

    #[test]
    fn a_server_end_called_outbound_is_a_wrong_direction() {
        let sights = seen(vec![end("127.0.0.1:41000", "127.0.0.1:40000", "outbound")], &[10.5]);

        assert_eq!(Outcome::new(&[opened()], &sights).wrong_direction, 1);
    }

    #[test]
    fn an_older_connection_of_the_same_addresses_is_not_this_one() {
        let sights = seen(vec![end("127.0.0.1:40000", "127.0.0.1:41000", "outbound")], &[3.0]);

        assert_eq!(Outcome::new(&[opened()], &sights).reported, 0);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=80).map(f64::from).collect();

        assert_eq!(
            (quantile(&values, 50), quantile(&values, 95), quantile(&values, 100)),
            (Some(40.0), Some(76.0), Some(80.0))
        );
        assert_eq!(quantile(&[], 50), None);
    }
}
