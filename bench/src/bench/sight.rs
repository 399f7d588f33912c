//! What the agent sees, and how soon: cold start, coverage, freshness, short connections, directions.
//!
//! In: a bench. Out: rows of the table. All at W, by the best source, with the default budget: what changed in the
//! report is asked for as soon as it has, and the agent pays for that out of the same budget. I/O: the load, the agent.

use std::time::{Duration, Instant};

use probelet_core::hash::HashMap;

use super::{Bench, sleep};
use crate::{
    agent::{Agent, Setup},
    cover::{Cover, cover},
    fresh::{Outcome, Script, open, percent, quantile},
    load::{Load, ends::End, topology},
    report::Client,
    table::{Cell, Table},
    watch::{Ask, Direction, Watch},
};

/// The best source: the goals are its.
const SOURCE: &str = "bpf";
/// The report is asked for more often than anybody should; the rest is default, the budget included.
const CONFIG: Option<&str> = Some("limits:\n  reportRequestsPerSecond: 1000\n");

/// From the start of the program to a report with every end of the load.
pub(super) fn cold(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    let load = Load::default();
    let dir = bench.stand(&load)?.to_owned();
    let (clients, servers) = (End::read(&dir.join("truth"))?, End::read(&dir.join("server"))?);
    let inodes = inodes(&load)?;
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let setup = Setup { program: bench.agent.clone(), source: SOURCE, config: CONFIG };
        let mut agent = Agent::start(&setup, &bench.dir)?;
        agent.wait_for(|report| {
            let inode = |name: &str| inodes.get(name).copied();
            report.connections.len() >= clients.len() + servers.len()
                && cover(report, &clients, Direction::Outbound, inode).present == clients.len()
                && cover(report, &servers, Direction::Inbound, inode).present == servers.len()
        })?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let (least, most) = (times[0], times[times.len() - 1]);
    table.figure("cold", most, format!("the slowest of {}; the fastest {least:.2} s", times.len()));
    Ok(())
}

/// Of the ends of W, how many are in the report, right.
pub(super) fn coverage(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    let load = Load::default();
    let dir = bench.stand(&load)?.to_owned();
    let inodes = inodes(&load)?;
    let inode = |name: &str| inodes.get(name).copied();
    let _agent = bench.agent(SOURCE, CONFIG)?;
    sleep(bench.pace.warm_up.min(10));
    let report = Client::new(Agent::address()).report()?;
    let clients = cover(&report, &End::read(&dir.join("truth"))?, Direction::Outbound, inode);
    let servers = cover(&report, &End::read(&dir.join("server"))?, Direction::Inbound, inode);
    let share = |side: &Cover| percent(side.present, side.ends);
    table.figure("coverage.clients", share(&clients), words(&clients));
    table.figure("coverage.servers", share(&servers), words(&servers));
    let pids = percent(clients.right_pid + servers.right_pid, clients.ends + servers.ends);
    table.figure(
        "coverage.pids",
        pids,
        format!("clients {}, servers {}", clients.right_pid, servers.right_pid),
    );
    table.figure("coverage.wrong", count(clients.wrong_direction + servers.wrong_direction), "");
    Ok(())
}

/// New connections of processes that the agent knows, and how long they are shown once closed.
pub(super) fn fresh(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    let script = Script {
        count: bench.pace.connections,
        gap: Duration::from_millis(500),
        hold: Duration::from_secs(6),
        known: true,
        ephemeral: false,
    };
    let outcome = watched(bench, &script, Ask::Changes)?;
    put_quantile(table, "fresh.median", &outcome, &outcome.latency, 50);
    put_quantile(table, "fresh.p95", &outcome, &outcome.latency, 95);
    table.figure(
        "fresh.share",
        outcome.reported_percent(),
        format!(
            "{} of {}, {} of {} requests refused",
            outcome.reported, outcome.opened, outcome.refused, outcome.requests
        ),
    );
    table.figure("fresh.pids", percent(outcome.right_pid, outcome.opened), "");
    put_quantile(table, "closed.median", &outcome, &outcome.stale, 50);
    put_quantile(table, "closed.p95", &outcome, &outcome.stale, 95);
    let whole = watched(bench, &script, Ask::Whole)?;
    put_quantile(table, "whole.median", &whole, &whole.latency, 50);
    put_quantile(table, "whole.p95", &whole, &whole.latency, 95);
    Ok(())
}

/// New connections of processes that are new too.
pub(super) fn new_process(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    let script = Script {
        count: bench.pace.connections,
        gap: Duration::from_millis(500),
        hold: Duration::from_secs(6),
        known: false,
        ephemeral: false,
    };
    let outcome = watched(bench, &script, Ask::Changes)?;
    put_quantile(table, "new.median", &outcome, &outcome.latency, 50);
    put_quantile(table, "new.p95", &outcome, &outcome.latency, 95);
    table.figure(
        "new.pids",
        percent(outcome.right_pid, outcome.opened),
        format!("{} of {}", outcome.right_pid, outcome.opened),
    );
    Ok(())
}

/// Connections that are gone before most passes come by.
pub(super) fn short(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    for (key, hold) in [("short.200ms", 200), ("short.1s", 1000)] {
        let script = Script {
            count: 60.min(bench.pace.connections),
            gap: Duration::from_millis(500),
            hold: Duration::from_millis(hold),
            known: true,
            ephemeral: false,
        };
        let outcome = watched(bench, &script, Ask::Changes)?;
        let median = quantile(&outcome.latency, 50).unwrap_or(f64::NAN);
        let detail = format!(
            "{} of {}, median after {median:.2} s, right pid {}",
            outcome.reported, outcome.opened, outcome.right_pid
        );
        table.figure(key, outcome.reported_percent(), detail);
    }
    Ok(())
}

/// Listeners with a port of the ephemeral range: the port says nothing about who called.
pub(super) fn directions(bench: &mut Bench, table: &mut Table) -> anyhow::Result<()> {
    let script = Script {
        count: 60.min(bench.pace.connections),
        gap: Duration::from_millis(100),
        hold: Duration::from_secs(10),
        known: true,
        ephemeral: true,
    };
    let outcome = watched(bench, &script, Ask::Changes)?;
    table.figure(
        "directions.wrong",
        count(outcome.wrong_direction),
        format!("of {} reported", outcome.reported),
    );
    table.figure("directions.unknown", count(outcome.unknown_direction), "");
    anyhow::ensure!(outcome.reported > 0, "no connection was reported, so none could be wrong");
    Ok(())
}

/// Runs a script while the report is polled, and goes on polling until what was closed is gone.
fn watched(bench: &mut Bench, script: &Script, ask: Ask) -> anyhow::Result<Outcome> {
    let load = Load::default();
    bench.stand(&load)?;
    let _agent = bench.agent(SOURCE, CONFIG)?;
    sleep(5);
    let watch = Watch::start(Agent::address(), ask);
    let opened = open(script, load.netns)?;
    sleep(4);
    let sights = watch.finish()?;
    Ok(Outcome::new(&opened, &sights))
}

fn put_quantile(
    table: &mut Table,
    key: &str,
    outcome: &Outcome,
    values: &[f64],
    hundredths: usize,
) {
    let Outcome { refused, requests, .. } = outcome;
    let cell = match (quantile(values, hundredths), values.last()) {
        (Some(value), Some(most)) => {
            let detail = format!(
                "of {}, max {most:.2} s, {refused} of {requests} requests refused",
                values.len()
            );
            Cell::Figure(value, detail)
        }
        _ => Cell::Not(format!(
            "no connection was reported; {refused} of {requests} requests were refused"
        )),
    };
    table.put(key, cell);
}

fn inodes(load: &Load) -> anyhow::Result<HashMap<String, u64>> {
    let names = (0..load.netns).map(Some).chain([None]).map(topology::name);
    names.map(|name| topology::inode(&name).map(|inode| (name, inode))).collect()
}

fn words(side: &Cover) -> String {
    let Cover { ends, present, right_pid: _, right_direction, wrong_direction: _ } = side;
    format!("{present} of {ends}, right direction {right_direction}")
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
fn count(value: usize) -> f64 {
    value as f64
}
