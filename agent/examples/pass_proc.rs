//! What a pass of the tiers `netlink` and `procfs` costs on this machine, in CPU time.
//!
//! In: nothing. Out: a table: per tier and kind of pass, the least and the median of some passes.
//!
//! I/O: reads this node through the sources, prints.
#![allow(clippy::print_stdout, reason = "a table for a person is what this program is for")]

use std::path::Path;
use std::time::Duration;

use probelet_agent::discover::containers::Containers;
use probelet_agent::discover::containers::usage::Usage;
use probelet_agent::discover::{Limits, Source, Unpaced, netlink, procfs};
use probelet_core::facts::{Facts, Want};
use rustix::time::{ClockId, clock_gettime};

const LIMITS: Limits = Limits { max_sockets: 65_536, max_processes: 16_384 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Ok(mut source) = netlink::load(LIMITS).map_err(|error| println!("{error}")) {
        table(&mut source)?;
    }
    table(&mut procfs::load(LIMITS)?)
}

fn table(source: &mut dyn Source) -> Result<(), Box<dyn std::error::Error>> {
    let mut facts = Facts::default();
    let tier = source.tier().name();
    println!("{tier}: CPU ms per pass, least .. median (spaced 50 ms)");
    let (pass, first) = cpu_ms(|| source.pass(Want::Sockets, &mut facts, &mut Unpaced));
    pass?;
    println!("  first Sockets {first:8.2}    {}", summary(&facts));
    for (name, want, passes) in [
        ("Counters", Want::Counters, 40),
        ("Processes", Want::Processes, 40),
        ("Sockets", Want::Sockets, 40),
        ("Everything", Want::Everything, 20),
    ] {
        let mut costs = Vec::new();
        facts.losses = probelet_core::facts::Losses::default();
        for _ in 0..passes {
            std::thread::sleep(Duration::from_millis(50));
            let (pass, cost) = cpu_ms(|| source.pass(want, &mut facts, &mut Unpaced));
            pass?;
            costs.push(cost);
        }
        costs.sort_by(f64::total_cmp);
        println!(
            "  {name:<13} {:8.2} .. {:.2}    {}",
            costs[0],
            costs[passes / 2],
            summary(&facts)
        );
    }
    let mut containers = Containers::new(Path::new("/proc"))?;
    for name in ["first resolve", "resolve"] {
        let ((), cost) = cpu_ms(|| containers.resolve(&mut facts));
        println!("  {name:<13} {cost:8.2}");
    }
    let mut usage = Usage::new()?;
    for name in ["first usage", "usage"] {
        let (read, cost) = cpu_ms(|| usage.read(&facts.containers).len());
        println!("  {name:<13} {cost:8.2}    {read} of {} containers", facts.containers.len());
    }
    Ok(())
}

/// What the work returned, and the CPU time it took.
fn cpu_ms<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let before = now();
    let result = work();
    (result, now().saturating_sub(before).as_secs_f64() * 1e3)
}

fn summary(facts: &Facts) -> String {
    let losses: Vec<_> = facts.losses.iter().filter(|(_, n)| *n > 0).collect();
    let fds: u64 = facts.processes.iter().filter_map(|p| p.open_fds).map(u64::from).sum();
    format!(
        "processes {} fds {fds} sockets {} owned {} closed {} netns {} {losses:?}",
        facts.processes.len(),
        facts.sockets.len(),
        facts.sockets.iter().filter(|socket| socket.pid != 0).count(),
        facts.closed.len(),
        facts.netns.len(),
    )
}
