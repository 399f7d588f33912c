//! What the fuzzer ever found is tried again, on stable Rust and without libFuzzer.
//!
//! In: the files of `corpus/`. Out: a failing test that names the file. Every input is tried whole and cut off, as what comes
//! over a wire or from a full disk is. I/O: reads the corpus.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

type Target = (&'static str, fn(&[u8]));

fn targets() -> impl Iterator<Item = Target> {
    let agent = probelet_agent::fuzz::TARGETS.iter().chain(probelet_core::fuzz::TARGETS);
    agent.chain(probelet_crds::fuzz::TARGETS).chain(kubectl_probelet::fuzz::TARGETS).copied()
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_input_that_was_ever_found_is_a_panic() {
    let mut bad = Vec::new();
    for (name, run) in targets() {
        for file in files(&corpus().join(name)) {
            let data = fs::read(&file).unwrap();
            let cuts = (0..8).map(|eighth| data.len() * eighth / 8).chain([data.len()]);
            let holds = |cut: usize| catch_unwind(AssertUnwindSafe(|| run(&data[..cut]))).is_ok();
            if let Some(cut) = cuts.into_iter().find(|&cut| !holds(cut)) {
                bad.push(format!("{} ({cut} of {} bytes)", file.display(), data.len()));
            }
        }
    }

    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let names: BTreeSet<String> = targets().map(|(name, _)| name.to_owned()).collect();
    let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let folders: BTreeSet<String> = files(&corpus()).into_iter().map(name).collect();

    assert_eq!(names, folders);
    for name in names {
        assert!(files(&corpus().join(&name)).len() > 2, "{name} has hardly an input");
    }
}

#[test]
fn the_corpus_is_small() {
    let size = |file: PathBuf| fs::metadata(file).unwrap().len();
    let all: u64 = files(&corpus()).iter().flat_map(|folder| files(folder)).map(size).sum();

    assert!(all <= 2 << 20, "{all} bytes");
}
