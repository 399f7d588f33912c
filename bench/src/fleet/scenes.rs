//! The play: one scene after the other, each with what it measured and what it checked.
//!
//! In: a stage. Out: a filled table and lines that begin with PASS or FAIL. A check is about counters and holds on any
//! machine; figures of time and CPU go into the table and fail nothing. I/O: through the stage; one writer for lines.

mod calm;
mod change;
mod ends;

use std::io::Write;

use anyhow::Context as _;

use crate::{
    fleet::{
        figures,
        meter::{OPERATOR, Span},
        stage::{Setup, Stage},
    },
    table::Table,
};

/// A play in progress.
pub struct Play<'a> {
    stage: Stage,
    table: Table,
    out: &'a mut (dyn Write + Send),
    failed: usize,
    /// What the scenes have to tell each other.
    kept: Kept,
}

/// Figures that more than one scene needs.
#[derive(Debug, Default)]
struct Kept {
    rest_rss: f64,
    rest_cpu: f64,
    /// The most memory that any of the operator's processes had.
    peak_rss: f64,
}

impl<'a> Play<'a> {
    /// Before the first scene.
    pub async fn new(setup: Setup, out: &'a mut (dyn Write + Send)) -> anyhow::Result<Self> {
        let (stage, table) = (Stage::new(setup).await?, Table::new(figures::rows()));
        Ok(Self { stage, table, out, failed: 0, kept: Kept::default() })
    }

    /// All scenes. One that cannot go on ends the play, for each needs what the last one left; its reason stands in
    /// the table and counts as a failed check.
    pub async fn run(mut self) -> anyhow::Result<(Table, usize)> {
        if let Err(why) = Box::pin(self.scenes()).await {
            self.check(false, &format!("the play went on to its end: {why:#}"))?;
            for complaint in self.stage.story.complaints() {
                self.say(&complaint)?;
            }
            for by in [
                "rest", "fill", "edit", "idle", "steady", "canary", "restart", "selector", "end",
                "paper",
            ] {
                self.table.fail(by, format!("{why:#}"));
            }
        }
        Ok((self.table, self.failed))
    }

    async fn scenes(&mut self) -> anyhow::Result<()> {
        self.rest().await.context("rest")?;
        self.fill().await.context("first fill")?;
        self.whole_edit().await.context("edit")?;
        self.idle().await.context("idle")?;
        self.steady().await.context("steady state")?;
        self.canary().await.context("canary")?;
        self.restart().await.context("restart")?;
        self.selector().await.context("selector")?;
        self.last().await.context("end")
    }

    /// Writes down whether something holds.
    fn check(&mut self, holds: bool, check: &str) -> anyhow::Result<()> {
        self.failed += usize::from(!holds);
        writeln!(self.out, "{}: {check}", if holds { "PASS" } else { "FAIL" })?;
        Ok(self.out.flush()?)
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.out, "      {line}")?;
        Ok(self.out.flush()?)
    }

    /// Enters the operator's CPU.
    fn operator_cpu(&mut self, key: &str, span: &Span) {
        if let Some(cpu) = span.cpu(OPERATOR) {
            self.table.figure(key, cpu, format!("over {:.0} s; {}", span.seconds, span.words()));
        }
        self.remember(span);
    }

    /// The operator's memory at its peak; each of its processes has one of its own.
    fn remember(&mut self, span: &Span) {
        let peak = span.memory.get(OPERATOR).map_or(0.0, |(_, peak)| *peak);
        self.kept.peak_rss = self.kept.peak_rss.max(peak);
    }

    fn count(&self) -> usize {
        self.stage.setup.nodes
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of nodes and requests")]
fn float(count: usize) -> f64 {
    count as f64
}
