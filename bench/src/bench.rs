//! Which measurements there are, in which order they run, and under which load each.
//!
//! In: the agent to measure and which measurements are wanted. Out: a filled [`Table`]. A measurement that cannot be
//! made says why in its rows; it never stops the others. I/O: through the box, the load and the agent.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{
    agent::{Agent, Serving, Setup},
    goals,
    load::{self, Load, Running},
    table::Table,
};

mod cost;
mod ends;
mod sight;

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Seconds before a measurement of CPU, so that start-up and the first filling of the budget are past.
    pub warm_up: u64,
    /// Seconds of a measurement of CPU.
    pub seconds: u64,
    /// Connections of a measurement of freshness.
    pub connections: usize,
    /// Rounds with and without the agent.
    pub rounds: usize,
}

impl Pace {
    /// The pace that docs/benchmarks.md is made at.
    pub const FULL: Self = Self { warm_up: 30, seconds: 60, connections: 80, rounds: 20 };
    /// A look, not a figure to quote.
    pub const QUICK: Self = Self { warm_up: 8, seconds: 20, connections: 30, rounds: 6 };
}

/// A bench that runs, inside the box.
#[derive(Debug)]
pub struct Bench {
    /// The agent to measure.
    pub agent: PathBuf,
    /// How long things take.
    pub pace: Pace,
    /// Where the truth, the log and the configuration go.
    pub dir: PathBuf,
    standing: Option<(Load, Running)>,
}

impl Bench {
    /// A bench with no load yet.
    #[must_use]
    pub fn new(agent: PathBuf, pace: Pace, dir: PathBuf) -> Self {
        Self { agent, pace, dir, standing: None }
    }

    /// Runs the measurements that `wanted` names (none: all) and notifies `out` of each as it ends.
    pub fn run(&mut self, wanted: &[String], out: &mut impl Write) -> anyhow::Result<Table> {
        let mut table = Table::new(goals::rows());
        for name in goals::measurements() {
            if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
                continue;
            }
            if let Err(error) = self.measure(name, &mut table) {
                table.fail(name, format!("{error:#}"));
            }
            out.write_all(table.text(Some(name)).as_bytes())?;
            out.flush()?;
        }
        self.standing = None;
        Ok(table)
    }

    fn measure(&mut self, name: &str, table: &mut Table) -> anyhow::Result<()> {
        match name {
            "cold" => sight::cold(self, table),
            "fresh" => sight::fresh(self, table),
            "new-process" => sight::new_process(self, table),
            "short" => sight::short(self, table),
            "directions" => sight::directions(self, table),
            "coverage" => sight::coverage(self, table),
            "slowdown" => cost::slowdown(self, table),
            "budget" => cost::budget(self, table),
            "churn" => cost::churn(self, table),
            "storm" => ends::storm(self, table),
            "ends" => ends::quiet(self, table),
            variant => match variant
                .strip_prefix("tier-")
                .and_then(|t| goals::TIERS.into_iter().find(|tier| *tier == t))
            {
                Some(tier) => cost::tier(self, tier, table),
                None => cost::variant(self, variant, table),
            },
        }
    }

    /// Makes sure that `load` stands, and only it.
    fn stand(&mut self, load: &Load) -> anyhow::Result<&Path> {
        if self.standing.as_ref().is_none_or(|(standing, _)| standing != load) {
            self.standing = None; // before the next: two loads would share names
            self.standing = Some((load.clone(), load::start(load, &self.dir.join("load"))?));
        }
        self.standing.as_ref().map(|(_, running)| running.dir()).context("no load stands")
    }

    /// Starts the agent and waits for its first report; without one there is nothing to see.
    fn agent(&self, source: &'static str, config: Option<&'static str>) -> anyhow::Result<Agent> {
        let (agent, serving) = self.start(source, config)?;
        match serving {
            Serving::Reports => Ok(agent),
            Serving::Refuses(status) => bail!("the report answered {status}"),
        }
    }

    /// Starts the agent, whether or not it gives its report.
    fn start(
        &self,
        source: &'static str,
        config: Option<&'static str>,
    ) -> anyhow::Result<(Agent, Serving)> {
        let setup = Setup { program: self.agent.clone(), source, config };
        let mut agent = Agent::start(&setup, &self.dir)?;
        let serving = agent.wait_until_it_serves(source)?;
        Ok((agent, serving))
    }
}

fn sleep(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}

/// The load of a variant, by its name.
fn load_of(variant: &str) -> anyhow::Result<Load> {
    let words: &[&str] = match variant {
        "conns" => &["fds=250", "conns=20000"],
        "fds" => &["fds=400"],
        "netns" => &["procs=400", "fds=50", "netns=100"],
        "skew" => &["big=60000"],
        "empty" => &["procs=0", "conns=0", "netns=0", "host=0"],
        _ => &[],
    };
    Load::parse(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_a_load_that_can_be() {
        for name in ["conns", "fds", "netns", "skew", "empty", "churn"] {
            load_of(name).unwrap();
        }
        assert_eq!(load_of("churn").unwrap(), Load::default());
    }
}
