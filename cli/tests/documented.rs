//! Every command of the plugin that the manual shows is one that it takes.
//!
//! In: the code of `docs/user`. Out: what the definition of the arguments says to each line. I/O: reads the manual.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use kubectl_probelet::args;

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
}

/// The words of a command, up to what the shell does with its output.
fn words(line: &str) -> Vec<&str> {
    let command = line.trim_start().trim_start_matches("$ ");
    let Some(rest) = command.strip_prefix("kubectl probelet ") else { return Vec::new() };
    let goes_on = |word: &&str| !word.starts_with(['|', '>', '#', '&', ';', '\\']);
    let value = |word| if word == "PORT" { "80" } else { word };
    rest.split_whitespace().take_while(goes_on).map(value).collect()
}

/// What stands in blocks of code and between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").enumerate().flat_map(|(at, part)| {
        let is_block = at % 2 == 1;
        let pieces = if is_block { part.split('\n') } else { part.split('`') };
        // Of a block each line, of a text every second piece.
        pieces.enumerate().filter(move |(at, _)| is_block || at % 2 == 1).map(|(_, piece)| piece)
    })
}

#[test]
fn every_command_of_the_manual_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/user");
    let mut all = Vec::new();
    pages(&root, &mut all);
    let (mut tried, mut wrong) = (0, Vec::new());
    for page in all {
        let text = fs::read_to_string(&page).unwrap();
        for line in code(&text) {
            let words = words(line);
            // Quotes, variables and what may be left away are for readers and shells.
            if words.is_empty() || line.contains(['\'', '"', '$', '[', '<', '…', '`']) {
                continue;
            }
            tried += 1;
            let parsed =
                args::command().try_get_matches_from(["kubectl-probelet"].iter().chain(&words));
            // A text may name a subcommand without all that it needs.
            let known = |error: &clap::Error| {
                matches!(
                    error.kind(),
                    ErrorKind::DisplayHelp
                        | ErrorKind::DisplayVersion
                        | ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                )
            };
            let is_flag = words == ["version"];
            if !is_flag && !parsed.as_ref().err().is_none_or(known) {
                wrong.push(format!("{}: {line}", page.display()));
            }
        }
    }

    assert!(tried > 30, "{tried} lines");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
