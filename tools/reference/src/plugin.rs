//! The tables of a program that is all subcommands: one of what each does, one of all flags.
//!
//! In: its command. Out: Markdown. Pure: values only.

use crate::program::{default, value, words};
use clap::{Arg, Command};
use std::{fmt::Write as _, iter};

/// `| command | what it does |` and `| flag | of | default | what it is for |`, in the order of `--help`.
#[must_use]
pub fn subcommands(root: &Command) -> String {
    let mut out = String::from("| command | what it does |\n|---|---|\n");
    let mut all = Vec::new();
    leaves("", root, &mut all);
    for (path, command) in &all {
        let words: Vec<_> =
            iter::once(path.clone()).chain(command.get_positionals().map(positional)).collect();
        let usage = words.join(" ");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "| `{usage}` | {} |", about.replace('|', "\\|")).unwrap();
    }
    out.push_str("\n| flag | of | default | what it is for |\n|---|---|---|---|\n");
    let mut flags = |command: &Command, of: &str| {
        command.get_arguments().filter(|arg| is_flag(arg)).for_each(|arg| flag(&mut out, arg, of));
    };
    flags(root, "all");
    for (path, command) in &all {
        flags(command, &format!("`{path}`"));
    }
    out
}

fn leaves<'a>(path: &str, command: &'a Command, all: &mut Vec<(String, &'a Command)>) {
    for child in command.get_subcommands() {
        let path = format!("{path} {}", child.get_name()).trim().to_owned();
        if child.has_subcommands() {
            leaves(&path, child, all);
        } else {
            all.push((path, child));
        }
    }
}

fn positional(arg: &Arg) -> String {
    let given = arg.get_value_names().and_then(|names| names.first());
    let name = given.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    if arg.is_required_set() { name } else { format!("[{name}]") }
}

fn is_flag(arg: &Arg) -> bool {
    !arg.is_positional() && !["help", "version"].contains(&arg.get_id().as_str())
}

fn flag(out: &mut String, arg: &Arg, of: &str) {
    let short = arg.get_short().map_or(String::new(), |short| format!("`-{short}`, "));
    let long = arg.get_long().unwrap_or_default();
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words = words(arg);
    if !words.is_empty() {
        write!(text, ": {words}").unwrap();
    }
    let (value, default, text) = (value(arg), default(arg), text.replace('|', "\\|"));
    writeln!(out, "| {short}`--{long}{value}` | {of} | {default} | {text} |").unwrap();
}
