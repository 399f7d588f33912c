//! Connections that end in every way: which share is counted, and what that costs the agent and the kernel.
//!
//! In: a bench. Out: rows of the table. The truth is what the processes of the load count themselves; whatever the report
//! says beyond it is a row of its own, for which no share makes up. I/O: the load, the agent.

use anyhow::{Context, ensure};
use probelet_report::Report;

use super::{Bench, cost::FREE, sleep};
use crate::{
    agent::Agent, churn::Ends, goals, load::Load, measure::usage, report::Client, table::Table,
};

/// Namespaces that the connections are spread over.
const PLACES: u32 = 20;
/// The last ends are in the report by then: two passes of a second, and the kernel's worker.
const AFTER: u64 = 5;
/// The budget of [`FREE`] with nothing reported.
const COUNTERS: Option<&str> = Some("budget:\n  cpu: \"1\"\nshortLived: Counters\n");

/// At each rate: a fresh agent, the stream for as long as CPU is measured, then what it counted.
pub(super) fn storm(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    bench.stand(&Load::default())?;
    for rate in goals::RATES {
        let agent = bench.agent("bpf", FREE)?;
        sleep(bench.pace.warm_up.min(AFTER));
        let (before, from) = (counted(&Client::new(Agent::address()).report()?), worker()?);
        let ends = Ends::start(PLACES, rate)?;
        let used = usage(agent.pid(), bench.pace.seconds)?;
        let spent = worker()? - from;
        let truth = ends.stop()?;
        ensure!(truth > 0, "the load opened nothing");
        sleep(AFTER);
        let report = Client::new(Agent::address()).report()?;
        let more = counted(&report) - before;
        let short = &report.short_lived;
        let note = format!(
            "{more} of {truth}; {}, {} messages, {} overruns",
            short.mode, short.received, short.overruns
        );
        table.figure(&format!("storm.{rate}.seen"), 100.0 * share(more, truth), note);
        let over = u32::try_from((more - i64::try_from(truth)?).max(0))?;
        table.figure(&format!("storm.{rate}.over"), f64::from(over), "");
        let busy = format!("machine busy {:.0} %", used.busy_percent);
        table.figure(&format!("storm.{rate}.cpu"), used.cpu_percent, busy);
        let seconds = f64::from(u32::try_from(bench.pace.seconds)?);
        table.figure(&format!("storm.{rate}.worker"), 100.0 * spent / seconds, "");
    }
    Ok(())
}

/// CPU at W by one agent after the other, with the kernel's reports of ends and without them.
pub(super) fn quiet(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    // A storm leaves a hundred thousand TIME_WAITs for a minute, which go with its namespaces.
    bench.standing = None;
    bench.stand(&Load::default())?;
    for (key, config, mode) in
        [("ends.exact", FREE, "Exact"), ("ends.counters", COUNTERS, "Counters")]
    {
        let agent = bench.agent("bpf", config)?;
        sleep(bench.pace.warm_up);
        let waits = || switches(agent.pid());
        let before = waits()?;
        let used = usage(agent.pid(), bench.pace.seconds)?;
        let per_second = (waits()? - before) / f64::from(u32::try_from(bench.pace.seconds)?);
        let report = Client::new(Agent::address()).report()?;
        ensure!(report.short_lived.mode == mode, "it counts by {}", report.short_lived.mode);
        let note = format!("{per_second:.1} wake-ups/s, machine busy {:.0} %", used.busy_percent);
        table.figure(key, used.cpu_percent, note);
    }
    Ok(())
}

/// Connections of all flows; the bench's own to the agent are not the load's.
fn counted(report: &Report) -> i64 {
    let own = Agent::address().port();
    let flows = report.flows.iter().filter(|flow| flow.port != own);
    flows.map(|flow| i64::try_from(flow.opened).unwrap_or(i64::MAX)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a share; a run has fewer than 2^52 connections")]
fn share(counted: i64, truth: u64) -> f64 {
    counted as f64 / truth as f64
}

/// Seconds that the kernel's worker spent for the agent, by its own estimate.
fn worker() -> anyhow::Result<f64> {
    let reply = Client::new(Agent::address()).get("/metrics", None)?;
    ensure!(reply.status == 200, "the metrics answered {}", reply.status);
    let text = String::from_utf8(reply.body)?;
    let line = text.lines().find(|line| line.contains("mode=\"kernel_worker\""));
    // It has no series before there was any.
    line.map_or(Ok(0.0), |line| {
        let value = line.rsplit(' ').next().context("a line without a value")?;
        Ok(value.parse()?)
    })
}

/// How often the threads of a process waited for something and were woken.
fn switches(pid: u32) -> anyhow::Result<f64> {
    let mut all = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path();
        let status = std::fs::read_to_string(path.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += line.context("no switches in status")?.trim().parse::<f64>()?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bench_itself_opens_is_not_counted() {
        let flow = |port, opened| probelet_report::Flow {
            port,
            opened,
            ..probelet_report::Flow::default()
        };
        let report = Report {
            flows: vec![flow(80, 7), flow(Agent::address().port(), 100), flow(81, 3)],
            ..Report::default()
        };

        assert_eq!(counted(&report), 10);
        assert!((share(10, 10) - 1.0).abs() < 1e-9);
    }
}
