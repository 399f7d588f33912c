//! Runs the scenarios on a cluster that `e2e/cluster/run` made, and prints a line for each.
//!
//! In: the cluster's folder, the chart. Out: lines that begin with PASS or FAIL, figures, an exit code; for each failure a
//! folder with what is known. I/O: everything that the scenarios do.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;
use probelet_e2e::cluster::{Figures, Kube, Scenario, Verdict, World, diagnosis, scenarios};

/// Runs the scenarios on a real cluster.
#[derive(Debug, Parser)]
struct Args {
    /// `$CLUSTER_DIR`: a cluster of two nodes, with the images loaded.
    #[arg(long)]
    dir: PathBuf,
    /// The program that made it.
    #[arg(long, default_value = "e2e/dev-cluster/cluster")]
    tool: PathBuf,
    /// The chart.
    #[arg(long, default_value = "charts/probelet")]
    chart: PathBuf,
    /// Only these groups (comma-separated; --list names them)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// All but these groups
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Seconds that the API server is away
    #[arg(long, default_value_t = 60)]
    outage: u64,
    /// Print groups and checks, and end
    #[arg(long)]
    list: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let all = scenarios::all();
    let mut out = std::io::stdout().lock();
    if args.list {
        for scenario in &all {
            writeln!(out, "{:10} {}", scenario.group, scenario.says)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in args.only.iter().chain(&args.without) {
        ensure!(all.iter().any(|scenario| scenario.group == name), "there is no group {name}");
    }
    let folder = args.dir.join("e2e");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut world = World {
        kube: Kube::new(&args.dir, &args.tool.canonicalize()?)?,
        figures: Figures::default(),
        chart: args.chart.clone(),
        folder,
        outage: Duration::from_secs(args.outage),
    };
    let asked = |scenario: &&Scenario| {
        let group = scenario.group.to_owned();
        (args.only.is_empty() || args.only.contains(&group)) && !args.without.contains(&group)
    };
    let (began, mut failed, mut shown) = (Instant::now(), 0, 0);
    for scenario in all.iter().filter(asked) {
        let good = one(&mut world, scenario, failed, &mut out)?;
        for line in world.figures.lines(&mut shown) {
            writeln!(out, "{line}")?;
        }
        failed += usize::from(!good);
        if !good && scenario.vital {
            writeln!(out, "nothing else was tried: all that follows needs this")?;
            break;
        }
    }
    let path = world.folder.join("figures.json");
    world.figures.write(&path)?;
    let seconds = began.elapsed().as_secs();
    writeln!(out, "scenarios took {seconds} s; figures are in {}", path.display())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs one, and shows what became of it.
fn one(
    world: &mut World,
    scenario: &Scenario,
    failed: usize,
    out: &mut impl std::io::Write,
) -> anyhow::Result<bool> {
    let began = Instant::now();
    let wrong = (scenario.run)(world).err().map(|why| format!("{why:#}"));
    let verdict = Verdict { says: &scenario.says, took: began.elapsed(), wrong };
    writeln!(out, "{verdict}")?;
    if verdict.wrong.is_some() {
        let folder = world.folder.join(format!("{:02}-{}", failed + 1, scenario.group));
        for line in diagnosis::write(&world.kube, &folder) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(verdict.wrong.is_none())
}
