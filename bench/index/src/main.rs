//! The label-selector index against what others do with labels, on the same clusters.
//!
//! In: a folder. `generate` writes the clusters there, for rivals in other languages to read;
//! `measure` reads what those found, times the index and the rivals written in Rust, and prints
//! one table (`--write FILE` keeps it). All have to find the same pairs of pod and Service, or the
//! bench fails. I/O: files in the folder, standard output, the CPU clock of this thread.

mod clock;
mod incremental;
mod lookups;
mod rivals;
mod scale;
mod table;
mod truth;

#[path = "../../../index/tests/index_gates/cluster.rs"]
mod cluster; // the gates of the index count on the same clusters

use anyhow::{Context, Result, bail, ensure};
use scale::{SCALES, Scale};
use std::io::Write;
use std::num::NonZero;
use std::path::Path;
use std::{env, fs, io, thread};
use table::Figures;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["generate", folder] => generate(Path::new(folder)),
        ["measure", folder] => measure(Path::new(folder), None),
        ["measure", folder, "--write", file] => measure(Path::new(folder), Some(Path::new(file))),
        ["profile", name] => profile(name),
        _ => bail!(
            "usage: probelet-index-bench generate FOLDER | measure FOLDER [--write FILE] | profile SCALE"
        ),
    }
}

fn generate(folder: &Path) -> Result<()> {
    for size in &SCALES {
        let folder = folder.join(size.name);
        fs::create_dir_all(&folder)?;
        Scale::of(size).write(&folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}

fn measure(folder: &Path, file: Option<&Path>) -> Result<()> {
    let mut columns = Vec::new();
    for size in &SCALES {
        let scale = Scale::of(size);
        let mut figures = Figures::default();
        let truth = lookups::measure(&scale, &mut figures)?;
        rivals::measure(&scale, &truth, &mut figures)?;
        incremental::measure(&scale, &mut figures)?;
        let others = folder.join(size.name).join("go.tsv");
        if others.exists() {
            let text = fs::read_to_string(&others)?;
            read_go(&text, &truth, &mut figures).with_context(|| others.display().to_string())?;
        }
        columns.push((size.name, figures));
        writeln!(io::stderr(), "measured {}", size.name)?;
    }
    let text = table::render(&columns, &machine());
    if let Some(file) = file {
        fs::write(file, &text)?;
    }
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// One scale and no rivals, for a profiler to look at.
fn profile(name: &str) -> Result<()> {
    let size = SCALES.iter().find(|size| size.name == name).context("no such scale")?;
    let (scale, mut figures) = (Scale::of(size), Figures::default());
    lookups::measure(&scale, &mut figures)?;
    incremental::measure(&scale, &mut figures)?;
    io::stdout().write_all(table::render(&[(size.name, figures)], &machine()).as_bytes())?;
    Ok(())
}

/// How busy the machine is with this and other things.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("unknown").to_owned();
    format!(
        "This table: {cores} cores, load {load} over the last five minutes, of which the bench is 1."
    )
}

/// What the Go program measured, and the pairs that each of its rivals found.
fn read_go(text: &str, truth: &truth::Truth, figures: &mut Figures) -> Result<()> {
    for line in text.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["figure", name, value] => figures.set(name, value.parse()?),
            ["pairs", name, pods, pairs, hash] => {
                let found = truth::Pairs { count: pairs.parse()?, hash: hash.parse()? };
                truth.check(name, pods.parse()?, found)?;
            }
            _ => bail!("a line that is neither figure nor pairs: {line}"),
        }
    }
    ensure!(text.contains("pairs"), "the Go program did not say what it found");
    Ok(())
}
