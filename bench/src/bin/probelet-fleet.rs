//! `make fleet`: the operator before thousands of simulated nodes, at a real API server.
//!
//! In: who is who (bench/fleet/run knows). Out: lines that begin with PASS or FAIL, one table against the goals, the page
//! that `--write` names. I/O: the API server, the operator's process, one page.
#![allow(clippy::print_stdout, reason = "the table is this program's output")]

use std::{io::stdout, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, ensure};
use clap::Parser;
use probelet_bench::{
    fleet::{meter::Processes, operator::Launch, scenes::Play, stage::Setup},
    machine,
    measure::Busy,
    page,
};

/// Measures the operator with simulated nodes and agents. Start it with bench/fleet/run.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Nodes
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=20_000))]
    nodes: u32,
    /// How agents watch: each its own object, or one watch for all of them
    #[arg(long, default_value = "own", value_parser = ["own", "shared"])]
    watch: String,
    /// Seconds that the steady state is measured for
    #[arg(long, default_value_t = 180)]
    steady: u64,
    /// Seconds in which nothing may be written
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// Kubeconfig of an administrator
    #[arg(long)]
    admin: PathBuf,
    /// Kubeconfig of the agents
    #[arg(long)]
    agent: PathBuf,
    /// Kubeconfig of the operator
    #[arg(long)]
    operator_kubeconfig: PathBuf,
    /// The operator's binary
    #[arg(long)]
    operator: PathBuf,
    /// The operator's log
    #[arg(long)]
    operator_log: PathBuf,
    /// The namespace of its lease
    #[arg(long, default_value = "probelet")]
    namespace: String,
    /// Where the operator serves its own metrics
    #[arg(long, default_value = "127.0.0.1:9467")]
    listen: String,
    /// A process of the control plane whose cost is measured: `etcd=1234`
    #[arg(long = "process", value_name = "NAME=PID")]
    processes: Vec<String>,
    /// Write the table to this page as well
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut processes = Processes::new();
    for word in &args.processes {
        let (name, pid) = word.split_once('=').context("--process takes NAME=PID")?;
        processes.insert(name.to_owned(), pid.parse().context("--process takes NAME=PID")?);
    }
    ensure!(args.operator.is_file(), "no operator at {}", args.operator.display());
    let setup = Setup {
        nodes: usize::try_from(args.nodes)?,
        shared_watch: args.watch == "shared",
        steady: args.steady,
        idle: args.idle,
        admin: args.admin.clone(),
        agent: args.agent.clone(),
        launch: Launch {
            binary: args.operator.clone(),
            kubeconfig: args.operator_kubeconfig.clone(),
            log: args.operator_log.clone(),
            namespace: args.namespace.clone(),
            listen: args.listen.clone(),
        },
        processes,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Box::pin(perform(&args, setup)))
}

async fn perform(args: &Args, setup: Setup) -> anyhow::Result<ExitCode> {
    let busy = Busy::now()?;
    let mut out = stdout();
    let (table, failed) = Play::new(setup, &mut out).await?.run().await?;

    let machine = machine::describe();
    let watch =
        if args.watch == "own" { "a watch of its own each" } else { "one watch for all agents" };
    let how = format!(
        "{} simulated nodes, {watch}. The API server, etcd (in memory), the garbage collector, the operator and the \
         simulator share the machine, which was busy {:.0} % of one core on average.",
        args.nodes,
        busy.percent_since()?
    );
    println!("{machine}\n{how}\n{}", table.text(None));
    let (yes, no, open, not) = table.tally();
    println!("{yes} goals hold, {no} do not, {open} open, {not} rows not measured");
    if let Some(path) = &args.write {
        let text = format!(
            "# Benchmarks of the operator\n\nWritten by `make fleet`; not edited by hand above the notes. What is \
             simulated and what is real: [bench/src/fleet.rs](../bench/src/fleet.rs).\n\n{machine}. {how}\n\n{}",
            table.rows_as_markdown()
        );
        page::write(path, &text)?;
    }
    // A goal that is missed is a finding; a check that fails is a failure.
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
