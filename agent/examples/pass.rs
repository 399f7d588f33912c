//! Developer tool: loads one source, runs passes, prints their CPU time or what the last one saw.
//!
//! In: `pass TIER WANT [RUNS] [dump]`, TIER as `--source` takes it, WANT = `counters|processes|sockets|everything`.
//! Out: text. It must not be a second agent: no budget, no names.
//!
//! I/O: yes.
#![allow(clippy::print_stdout, reason = "a tool that prints")]

use std::{process::ExitCode, time::Instant};

use anyhow::{Context as _, bail};
use probelet_agent::discover::{Limits, Unpaced, choose::load};
use probelet_core::facts::{Facts, SourceKind, Want};
use rustix::time::{ClockId, clock_gettime};

fn cpu_us() -> u64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(t.tv_sec * 1_000_000 + t.tv_nsec / 1_000).unwrap_or(0)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let arg = |n: usize| args.get(n).map_or("", String::as_str);
    let source_kind = SourceKind::ALL.into_iter().find(|source_kind| source_kind.name() == arg(0));
    let source_kind = source_kind.with_context(|| format!("no source {:?}", arg(0)))?;
    let want = match arg(1) {
        "counters" => Want::Counters,
        "processes" => Want::Processes,
        "sockets" => Want::Sockets,
        "everything" => Want::Everything,
        other => bail!("want {other:?}"),
    };
    let runs: usize = arg(2).parse().unwrap_or(1).max(1);
    let (wall, cpu) = (Instant::now(), cpu_us());
    let mut source = load(source_kind, Limits { max_sockets: 1_000_000, max_processes: 100_000 })?;
    println!("loaded {}: {} us CPU, {:?}", arg(0), cpu_us() - cpu, wall.elapsed());
    let mut facts = Facts::default();
    source.pass(Want::Everything, &mut facts, &mut Unpaced)?; // warm up
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let cpu = cpu_us();
        source.pass(want, &mut facts, &mut Unpaced).context("pass")?;
        times.push(cpu_us() - cpu);
    }
    times.sort_unstable();
    println!(
        "{} {}: min {} median {} max {} us CPU of {runs} passes; {} processes, {} sockets, {} closed, {} netns",
        arg(0),
        arg(1),
        times[0],
        times[runs / 2],
        times[runs - 1],
        facts.processes.len(),
        facts.sockets.len(),
        facts.closed.len(),
        facts.netns.len(),
    );
    if args.iter().any(|a| a == "dump") {
        dump(&facts);
    }
    Ok(())
}

fn dump(facts: &Facts) {
    for p in &facts.processes {
        println!("P {p:?}");
    }
    for s in &facts.sockets {
        println!("S {} {} {} {s:?}", s.state.name(), s.local, s.remote);
    }
    for c in &facts.closed {
        println!("C {} {} {c:?}", c.local, c.remote);
    }
    for n in &facts.netns {
        println!("N {n:?}");
    }
    for (loss, n) in facts.losses.iter().filter(|l| l.1 > 0) {
        println!("L {} {n}", loss.name());
    }
}
