//! Moving loads: a steady stream of connections to measure the agent under, and a storm to measure what the agent
//! costs its neighbours.
//!
//! In: namespaces of a load. Out: processes; rates with and without the agent, and what can be concluded from them.
//! The statistics are pure. I/O: processes of `probelet-load`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::load::{program, topology};

/// Connections opened and closed at a steady rate until this is dropped.
#[derive(Debug)]
pub struct Stream(Vec<Child>);

impl Stream {
    /// `each` per second in every one of the first `netns` namespaces.
    pub fn start(netns: usize, each: u32) -> anyhow::Result<Self> {
        let mut stream = Self(Vec::new());
        for index in 0..netns {
            let child = Command::new(program()?)
                .args(["stream", &topology::name(Some(index)), &each.to_string()])
                .stdin(Stdio::null())
                .spawn()
                .context("starting a stream of connections")?;
            stream.0.push(child);
        }
        Ok(stream)
    }

    /// How many of its processes still run: all, unless something failed.
    pub fn alive(&mut self) -> usize {
        self.0.iter_mut().filter_map(|child| child.try_wait().ok()).filter(Option::is_none).count()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        for child in &mut self.0 {
            if child.kill().is_ok() && child.wait().is_err() {
                // Reaped elsewhere.
            }
        }
    }
}

/// Connections that end in every way, at a steady rate, counted by who makes them.
#[derive(Debug)]
pub struct Ends(Vec<Child>);

impl Ends {
    /// `rate` per second in all, spread evenly over the first `netns` namespaces.
    pub fn start(netns: u32, rate: u32) -> anyhow::Result<Self> {
        let mut ends = Self(Vec::new());
        let places = netns.min(rate);
        for index in 0..places {
            let each = rate / places + u32::from(index < rate % places);
            let name = topology::name(Some(usize::try_from(index)?));
            let child = Command::new(program()?)
                .args(["ends", &name, &each.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("starting connections that end in every way")?;
            ends.0.push(child);
        }
        Ok(ends)
    }

    /// Ends it: how many connections there were.
    pub fn stop(mut self) -> anyhow::Result<u64> {
        self.0.iter_mut().for_each(|child| drop(child.stdin.take()));
        let mut count = 0;
        for child in &mut self.0 {
            let mut line = String::new();
            let out = child.stdout.take().context("a process without output")?;
            BufReader::new(out).read_line(&mut line)?;
            count += line.trim().parse::<u64>().with_context(|| format!("it said {line:?}"))?;
        }
        Ok(count)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for child in &mut self.0 {
            if child.kill().is_ok() && child.wait().is_err() {
                // Reaped elsewhere.
            }
        }
    }
}

/// A process that opens and closes as many connections as it can, on command.
#[derive(Debug)]
pub struct Storm {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Storm {
    /// Starts it in namespace `wl0`; it sleeps until asked.
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(program()?)
            .args(["storm", &topology::name(Some(0))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a storm of connections")?;
        let orders = child.stdin.take().context("a process without input")?;
        let replies = BufReader::new(child.stdout.take().context("a process without output")?);
        Ok(Self { child, orders, replies })
    }

    /// Connections per second over `span`.
    pub fn rate(&mut self, span: Duration) -> anyhow::Result<f64> {
        writeln!(self.orders, "{}", span.as_millis())?;
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        let (count, seconds) =
            line.trim().split_once(' ').with_context(|| format!("the storm said {line:?}"))?;
        Ok(count.parse::<f64>()? / seconds.parse::<f64>()?)
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            // Reaped elsewhere.
        }
    }
}

/// Slowdown in percent: median over rounds, and the interval that holds the true median with ≥ 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slowdown {
    /// Positive: the agent costs throughput.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Slowdown {
    /// From pairs (rate without, rate with) taken side by side; `None` below six pairs, which cannot give 95 %.
    #[must_use]
    pub fn new(pairs: &[(f64, f64)]) -> Option<Self> {
        let mut losses: Vec<f64> =
            pairs.iter().map(|(without, with)| 100.0 * (1.0 - with / without)).collect();
        losses.sort_by(f64::total_cmp);
        let from = sign_test_rank(losses.len())?;
        let middle = losses.len() / 2;
        let median = if losses.len() % 2 == 1 {
            losses[middle]
        } else {
            f64::midpoint(losses[middle - 1], losses[middle])
        };
        Some(Self { median, low: losses[from], high: losses[losses.len() - 1 - from] })
    }
}

/// How many of `n` ordered values may be cut from each side so that the median lies between with ≥ 95 %: the sign test,
/// which asks nothing of the distribution.
fn sign_test_rank(n: usize) -> Option<usize> {
    let half_to_the_n = 0.5f64.powi(i32::try_from(n).ok()?);
    let mut term = half_to_the_n; // C(n, k) / 2^n
    let mut tail = 0.0;
    let mut cut = None;
    for k in 0..n / 2 {
        tail += term;
        if 2.0 * tail > 0.05 {
            break;
        }
        cut = Some(k);
        let (n, k) = (u32::try_from(n).ok()?, u32::try_from(k).ok()?);
        term *= f64::from(n - k) / f64::from(k + 1);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranks_are_those_of_the_sign_test_tables() {
        assert_eq!(
            [5, 6, 8, 9, 12, 20].map(sign_test_rank),
            [None, Some(0), Some(0), Some(1), Some(2), Some(5)]
        );
    }

    #[test]
    fn the_slowdown_is_the_median_of_side_by_side_rounds() {
        let pairs = [
            (100.0, 99.0),
            (200.0, 196.0),
            (100.0, 97.0),
            (100.0, 98.0),
            (100.0, 98.0),
            (50.0, 49.0),
        ];

        let slowdown = Slowdown::new(&pairs).unwrap();

        assert!(
            (slowdown.median - 2.0).abs() < 1e-9
                && (slowdown.low - 1.0).abs() < 1e-9
                && (slowdown.high - 3.0).abs() < 1e-9
        );
    }
}
