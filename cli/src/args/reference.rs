//! The table of subcommands and flags for the user's manual.
//!
//! In: clap's definition. Out: Markdown that cannot say anything else than `--help`. Pure: values only.

use clap::{Arg, Command};

/// Where the generated part begins and ends in the page.
const BEGIN: &str =
    "<!-- flags: written by WRITE_DOCS=1 cargo test -p kubectl-probelet --test docs -->\n";
const END: &str = "<!-- end of flags -->\n";

/// The page with the generated part in its place; `None` if it has no such place.
#[must_use]
pub fn reference(page: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", tables(&super::command())))
}

fn tables(root: &Command) -> String {
    let mut out = String::new();
    let mut all = Vec::new();
    leaves("", root, &mut all);
    out.push_str("| command | what it does |\n|---|---|\n");
    for (path, command) in &all {
        let usage: Vec<String> = command.get_positionals().map(positional).collect();
        let usage = [vec![path.clone()], usage].concat().join(" ");
        put(&mut out, &usage, &about(command));
    }
    out.push_str("\n| flag | of | default | what it is for |\n|---|---|---|---|\n");
    for arg in root.get_arguments().filter(|arg| is_flag(arg)) {
        flag(&mut out, arg, "all");
    }
    for (path, command) in &all {
        for arg in command.get_arguments().filter(|arg| is_flag(arg)) {
            flag(&mut out, arg, &format!("`{path}`"));
        }
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
    let name = arg.get_id().as_str().to_uppercase();
    if arg.is_required_set() { name } else { format!("[{name}]") }
}

fn is_flag(arg: &Arg) -> bool {
    !arg.is_positional() && !["help", "version"].contains(&arg.get_id().as_str())
}

fn flag(out: &mut String, arg: &Arg, of: &str) {
    let short = arg.get_short().map_or(String::new(), |short| format!("`-{short}`, "));
    let value = match arg.get_value_names() {
        Some([name, ..]) if arg.get_action().takes_values() => format!(" {name}"),
        _ => String::new(),
    };
    let long = arg.get_long().unwrap_or_default();
    let default: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !words.is_empty() {
        text = format!("{text}: {}", words.join(", "));
    }
    let (default, text) = (default.join(", "), text.replace('|', "\\|"));
    crate::show::put(
        out,
        format_args!("| {short}`--{long}{value}` | {of} | {default} | {text} |\n"),
    );
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn put(out: &mut String, usage: &str, text: &str) {
    crate::show::put(out, format_args!("| `{usage}` | {} |\n", text.replace('|', "\\|")));
}
