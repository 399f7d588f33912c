//! What the agent costs: at W by every source, at the variants, under a budget, and to its neighbours.
//!
//! In: a bench. Out: rows of the table. Nothing polls the agent while its CPU is measured. I/O: the load, the agent.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::{Bench, load_of, sleep};
use crate::{
    agent::{Agent, Serving},
    churn::{Slowdown, Storm, Stream},
    load::{Load, worker},
    measure::{Usage, mean_percent, series, usage, worst_percent},
    table::{Cell, Table},
};

/// The budget that leaves the agent free: a whole core.
pub(super) const FREE: Option<&str> = Some("budget:\n  cpu: \"1\"\n");
/// Each end reported, or none, with a budget that a storm fits into: beyond it the listener rests, and what asks how ends are counted gets no answer.
const EXACT: &str = "shortLived: Exact\nbudget:\n  cpu: \"1\"\n";
const COUNTERS: &str = "shortLived: Counters\nbudget:\n  cpu: \"1\"\n";
/// The smallest budget there is, 0.1 % of a core.
const LEAST: Option<&str> = Some("budget:\n  cpu: 1m\n");
/// `TIME_WAIT` lasts 60 s: after this long a stream of connections has as many of them as it will ever have.
const STEADY: u64 = 65;
/// What a process of the load opens besides its share.
const SPARE_FILES: usize = 100;
/// One side of a round with and without the agent: several passes of the agent fall into it.
const ROUND: Duration = Duration::from_millis(2500);

/// How long a storm runs before it is measured: an agent that decides by itself has left the groups by then.
const SETTLED: Duration = Duration::from_secs(10);

/// CPU and memory at W by one source, with the default budget and without one.
pub(super) fn tier(
    bench: &mut Bench,
    source: &'static str,
    table: &mut Table,
) -> anyhow::Result<()> {
    bench.stand(&Load::default())?;
    let by = format!("tier-{source}");
    // Both are tried: a source that the default budget does not pay for still has a figure without it.
    let bound = used(bench, source, None, bench.pace.warm_up);
    let (free, level) = used(bench, source, FREE, bench.pace.warm_up)?;
    table.figure(&format!("{by}.free"), free.cpu_percent, beside(&free, &level));
    table.figure(&format!("{by}.rss"), free.rss_mib, "");
    table.figure(&format!("{by}.hwm"), free.hwm_mib, "");
    let (used, level) = bound?;
    table.figure(&format!("{by}.cpu"), used.cpu_percent, beside(&used, &level));
    Ok(())
}

/// CPU and memory at a variant of W by the best source, with nothing to hold it back.
pub(super) fn variant(bench: &mut Bench, name: &str, table: &mut Table) -> anyhow::Result<()> {
    let mut load = load_of(name)?;
    let mut note = String::new();
    let most = worker::most_files().saturating_sub(SPARE_FILES);
    if load.big > most {
        // The hard limit of open files is the machine's, and only CAP_SYS_RESOURCE raises it.
        note = format!("ONLY {most} fds, which is the limit here; ");
        load.big = most;
    }
    bench.stand(&load)?;
    let (used, level) = used(bench, "bpf", FREE, bench.pace.warm_up)?;
    table.figure(&format!("{name}.cpu"), used.cpu_percent, note + &beside(&used, &level));
    table.figure(&format!("{name}.rss"), used.rss_mib, format!("peak {:.1}", used.hwm_mib));
    Ok(())
}

/// The same at W while 100 connections a second come and go.
pub(super) fn churn(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.stand(&Load::default())?;
    let mut stream = Stream::start(20, 5)?;
    let (used, level) =
        used(bench, "bpf", FREE, bench.pace.warm_up.max(STEADY.min(bench.pace.seconds + 5)))?;
    ensure!(
        stream.alive() == 20,
        "only {} of 20 processes still opened connections",
        stream.alive()
    );
    table.figure("churn.cpu", used.cpu_percent, beside(&used, &level));
    table.figure("churn.rss", used.rss_mib, format!("peak {:.1}", used.hwm_mib));
    Ok(())
}

/// What 20,000 connections would take, and what a budget of 0.1 % of a core leaves of it.
pub(super) fn budget(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.stand(&load_of("conns")?)?;
    let (free, level) = used(bench, "bpf", FREE, bench.pace.warm_up)?;
    table.figure("budget.need", free.cpu_percent, beside(&free, &level));

    let (agent, _) = bench.start("bpf", LEAST)?;
    let samples = series(agent.pid(), 60 + 60.max(bench.pace.seconds))?;
    let level = Agent::level();
    drop(agent);
    let settled: Vec<_> = samples.iter().copied().filter(|sample| sample.at >= 59.9).collect();
    let worst_settled = worst_percent(&settled, 60.0).context("less than 60 s were measured")?;
    table.figure("budget.mean", worst_settled, format!("after 60 s; level {level}"));
    let worst = worst_percent(&samples, 60.0).context("less than 60 s were measured")?;
    table.figure(
        "budget.worst",
        worst,
        format!("start-up included; mean of all {:.3} %", mean_percent(&samples)),
    );
    Ok(())
}

/// How the agent counts ends while a storm runs beside it.
#[derive(Clone, Copy)]
enum Beside {
    /// As it decides with the default configuration: a storm is beyond the budget, so that ends are not reported.
    Default,
    /// Each end is reported, whatever that takes.
    Exact,
}

/// Connections per second of a storm with and without the agent, in rounds side by side. The agent is stopped by
/// SIGSTOP, when it is not in the groups by which the kernel reports ends: then a stopped agent is an absent one, and
/// rounds can be short enough to pair.
pub(super) fn slowdown(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.stand(&Load::default())?;
    for (id, beside) in [("slowdown", Beside::Default), ("slowdown.exact", Beside::Exact)] {
        let agent = bench.agent("bpf", matches!(beside, Beside::Exact).then_some(EXACT))?;
        rounds(bench, &agent, beside, id, table)?;
    }
    Ok(())
}

fn rounds(
    bench: &Bench,
    agent: &Agent,
    beside: Beside,
    id: &'static str,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut storm = Storm::start()?;
    storm.rate(SETTLED)?;
    let mut pairs = Vec::with_capacity(bench.pace.rounds);
    let mut noise = Vec::with_capacity(bench.pace.rounds);
    for round in 0..bench.pace.rounds {
        // ABBA: a drift of the machine's speed falls on both sides alike.
        let (with, without, again);
        if round % 2 == 0 {
            with = running(agent, beside, &mut storm)?;
            (without, again) =
                (stopped(agent, beside, &mut storm)?, stopped(agent, beside, &mut storm)?);
        } else {
            (again, without) =
                (stopped(agent, beside, &mut storm)?, stopped(agent, beside, &mut storm)?);
            with = running(agent, beside, &mut storm)?;
        }
        pairs.push((without, with));
        noise.push((without, again));
    }
    drop(storm);
    let ended = match beside {
        Beside::Default => {
            // A stopped agent that is in the groups is not an absent one.
            agent.counts_by("Counters")?;
            "ends are not reported in a storm"
        }
        Beside::Exact => "each end is reported",
    };
    let found = Slowdown::new(&pairs).context("too few rounds for an interval")?;
    let noise = Slowdown::new(&noise).context("too few rounds for an interval")?;
    let rate = pairs.iter().map(|pair| pair.0).fold(0.0, f64::max);
    let detail = format!(
        "95 % interval of {} rounds at up to {rate:.0}/s; the same without the agent on either side: {:.2} to {:.2} %; {ended}",
        pairs.len(),
        noise.low,
        noise.high
    );
    table.put(id, Cell::Range(found.median, found.low, found.high, detail));
    Ok(())
}

fn running(agent: &Agent, beside: Beside, storm: &mut Storm) -> anyhow::Result<f64> {
    if matches!(beside, Beside::Exact) {
        agent.count_by("Exact", EXACT)?;
    }
    storm.rate(ROUND)
}

fn stopped(agent: &Agent, beside: Beside, storm: &mut Storm) -> anyhow::Result<f64> {
    if matches!(beside, Beside::Exact) {
        agent.count_by("Counters", COUNTERS)?;
    }
    agent.signal(rustix::process::Signal::STOP)?;
    let rate = storm.rate(ROUND);
    agent.signal(rustix::process::Signal::CONT)?;
    rate
}

fn used(
    bench: &Bench,
    source: &'static str,
    config: Option<&'static str>,
    warm_up: u64,
) -> anyhow::Result<(Usage, String)> {
    let (agent, serving) = bench.start(source, config)?;
    sleep(warm_up);
    let used = usage(agent.pid(), bench.pace.seconds)?;
    let level = Agent::level();
    match serving {
        Serving::Reports => Ok((used, level)),
        // It may be cheap because it does not look: no figure to compare with any other.
        Serving::Refuses(status) => {
            bail!(
                "the report was refused with {status} after the start (CPU then {:.3} %)",
                used.cpu_percent
            )
        }
    }
}

fn beside(used: &Usage, level: &str) -> String {
    let Usage { cpu_percent: _, worst_second_percent, rss_mib: _, hwm_mib: _, busy_percent } = used;
    let level = if level.is_empty() { String::new() } else { format!("level {level}, ") };
    format!("{level}worst second {worst_second_percent:.2} %, machine busy {busy_percent:.0} %")
}
