//! `make bench`: measures an agent at the standard workload W and prints one table against the goals.
//!
//! It runs twice: outside it takes the lock and makes the box, inside it measures. I/O: the box, one lock file, the
//! page that `--write` names.
#![allow(clippy::print_stdout, reason = "the table is this program's output")]

use std::{ffi::OsString, fs::File, path::PathBuf, process::ExitCode};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use probelet_bench::{
    bench::{Bench, Pace},
    goals, machine,
    measure::Busy,
    page, sandbox,
};
use rustix::fs::{FlockOperation, flock};

/// Measures CPU, memory, freshness and coverage of an agent. Needs root, iproute2 and util-linux.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The agent [default: probelet-agent beside this program]
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Only these measurements (comma-separated; --list names them)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Shorter and coarser: a look, not figures to quote
    #[arg(long)]
    quick: bool,
    /// Seconds of each measurement of CPU
    #[arg(long)]
    seconds: Option<u64>,
    /// Write the table to this page as well
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Name the measurements and end
    #[arg(long)]
    list: bool,
    /// Set for process 1 of the box
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let known = goals::measurements();
    if let Some(wrong) = args.only.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("no measurement `{wrong}`; there are: {}", known.join(", "));
    }
    if args.list {
        println!("{}", known.join("\n"));
        return Ok(ExitCode::SUCCESS);
    }
    if args.inside { measure(args) } else { enter() }
}

/// Outside: one bench at a time on this machine, then the box.
fn enter() -> anyhow::Result<ExitCode> {
    if let Err(why) = sandbox::possible() {
        bail!("the bench {why}");
    }
    let path = std::env::temp_dir().join("probelet-bench.lock");
    let lock = File::create(&path).with_context(|| path.display().to_string())?;
    if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        println!("another bench runs on this machine: waiting for it");
        flock(&lock, FlockOperation::LockExclusive)?;
    }
    let mut words: Vec<OsString> = vec![sandbox::INSIDE.into()];
    words.extend(std::env::args_os().skip(1));
    sandbox::run(&std::env::current_exe()?, &words)
}

/// Inside: everything that is asked for, then the table.
fn measure(args: Args) -> anyhow::Result<ExitCode> {
    sandbox::settle()?;
    let agent = match args.agent {
        Some(agent) => agent.canonicalize().with_context(|| agent.display().to_string())?,
        None => std::env::current_exe()?.with_file_name("probelet-agent"),
    };
    ensure!(agent.is_file(), "no agent at {}: cargo build --release", agent.display());
    let mut pace = if args.quick { Pace::QUICK } else { Pace::FULL };
    pace.seconds = args.seconds.unwrap_or(pace.seconds);
    let dir = tempfile::Builder::new().prefix("probelet-bench-").tempdir()?;
    let busy = Busy::now()?;

    let machine = machine::describe();
    println!("{machine}\n{:<58} {:>12}  {:<5} measured", "measure", "goal", "holds");
    let table =
        Bench::new(agent, pace, dir.path().to_owned()).run(&args.only, &mut std::io::stdout())?;

    let (yes, no, open, not) = table.tally();
    println!("{yes} goals hold, {no} do not, {open} open (noise), {not} rows not measured");
    if let Some(path) = args.write {
        let Pace { warm_up, seconds, connections, rounds } = pace;
        let how = format!(
            "CPU in percent of one core: {seconds} s after {warm_up} s of warm-up. {connections} connections for freshness, {rounds} rounds \
             for the slowdown. The whole machine was busy {:.0} % of one core on average, the load's own work included.",
            busy.percent_since()?
        );
        page::write(&path, &table.markdown(&machine, &how))?;
    }
    // A goal that is missed is a finding, not a failure of the bench.
    Ok(ExitCode::SUCCESS)
}
