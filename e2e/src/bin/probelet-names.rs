//! Compares the names that agents report with what the API server says, and prints a line for each check.
//!
//! In: the objects of the cluster as a file, the agents' addresses. Out: lines that begin with PASS or FAIL, and an exit
//! code. I/O: one file, HTTP to the agents.

use anyhow::{Context as _, ensure};
use clap::Parser;
use probelet_bench::report::Client;
use probelet_e2e::names::{Node, Scene, check};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Names come with the first list of the API server, sockets with the first pass; this is far more than both.
const PATIENCE: Duration = Duration::from_mins(1);

/// Compares the names that agents report with what the API server says.
#[derive(Debug, Parser)]
struct Args {
    /// `kubectl get pods,services -A -o json`.
    #[arg(long)]
    truth: PathBuf,
    /// A node and where its agent listens: `node1=10.1.2.3:9466`.
    #[arg(long = "node", required = true)]
    nodes: Vec<String>,
    /// The ClusterIP of the Service `web`.
    #[arg(long)]
    web: String,
    /// An address outside, in the group `control-plane`.
    #[arg(long)]
    outside: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let truth = serde_json::from_slice(&std::fs::read(&args.truth).context("reading the truth")?)?;
    let mut nodes: Vec<(String, SocketAddr, Client)> = Vec::new();
    for word in &args.nodes {
        let (name, address) = word.split_once('=').context("--node takes NAME=ADDRESS:PORT")?;
        let address: SocketAddr = address.parse().context("--node takes NAME=ADDRESS:PORT")?;
        nodes.push((name.to_owned(), address, Client::new(address)));
    }
    let began = Instant::now();
    let checks = loop {
        let checks = look(&args, &truth, &mut nodes);
        let done = checks.as_ref().is_ok_and(|checks| checks.iter().all(|c| c.wrong.is_none()));
        if done || began.elapsed() > PATIENCE {
            break checks?;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    let mut out = std::io::stdout().lock();
    for check in &checks {
        writeln!(out, "{check}")?;
    }
    let good = checks.iter().all(|check| check.wrong.is_none());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(
    args: &Args,
    truth: &serde_json::Value,
    nodes: &mut [(String, SocketAddr, Client)],
) -> anyhow::Result<Vec<probelet_e2e::names::Check>> {
    let mut reports = Vec::new();
    for (name, address, client) in nodes.iter_mut() {
        let reply = client.get("/v1/report", None).with_context(|| format!("asking {name}"))?;
        ensure!(reply.status == 200, "{name} answered {}", reply.status);
        reports.push((
            name.as_str(),
            address.ip().to_string(),
            serde_json::from_slice(&reply.body)?,
        ));
    }
    let nodes: Vec<Node<'_>> =
        reports.iter().map(|(name, address, report)| Node { name, address, report }).collect();
    Ok(check(truth, &nodes, &Scene { web: &args.web, outside: &args.outside }))
}
