//! The load generator: `probelet-load run --dir DIR procs=200 conns=2000 …` makes the load and holds it until stdin ends.
//! The other subcommands are the processes that it and the bench start.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use probelet_bench::load::{Load, short, worker};

/// A static load of processes, open files and connections, with the truth about it.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Make the load in this namespace, say `ready`, hold it until stdin ends
    Run {
        /// Where `truth` and `server` go
        #[arg(long)]
        dir: PathBuf,
        /// procs=200 fds=100 conns=2000 netns=20 cross=30 host=20 big=0
        size: Vec<String>,
    },
    /// One process of the load
    #[command(hide = true)]
    Worker {
        #[arg(long)]
        index: usize,
        #[arg(long)]
        dir: PathBuf,
        size: Vec<String>,
    },
    /// One connection on command
    #[command(hide = true)]
    Pair { netns: String, port: u16 },
    /// A steady stream of connections
    #[command(hide = true)]
    Stream { netns: String, per_second: u32 },
    /// A steady stream of connections that end by FIN and by RST of either side, counted
    #[command(hide = true)]
    Ends { netns: String, per_second: u32 },
    /// As many connections as possible
    #[command(hide = true)]
    Storm { netns: String },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().role {
        Role::Run { dir, size } => worker::coordinate(&Load::parse(&size)?, &dir),
        Role::Worker { index, dir, size } => worker::run(&Load::parse(&size)?, index, &dir),
        Role::Pair { netns, port } => short::pair(&netns, port),
        Role::Stream { netns, per_second } => short::stream(&netns, per_second),
        Role::Ends { netns, per_second } => short::ends(&netns, per_second),
        Role::Storm { netns } => short::storm(&netns),
    }
}
