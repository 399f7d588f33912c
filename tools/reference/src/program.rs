//! The page of all flags of a program.
//!
//! In: its command. Out: Markdown. Pure: values only.

use crate::{WRITTEN, cell};
use clap::{Arg, Command};
use std::fmt::Write as _;

/// The whole page: flags of the program, then of each subcommand, then examples and exit codes.
#[must_use]
pub fn flags(command: &Command) -> String {
    let name = command.get_name();
    let about = command.get_long_about().or(command.get_about()).unwrap();
    let mut page = format!(
        "# Flags of {name}\n{WRITTEN}\n\n{about}\n\nA flag wins over its variable in the environment.\n"
    );
    table(&mut page, command);
    for sub in command.get_subcommands() {
        let about = cell(&sub.get_about().unwrap().to_string());
        write!(page, "\n## {name} {}\n{about}.\n", sub.get_name()).unwrap();
        table(&mut page, sub);
    }
    write!(page, "\n## Examples and exit codes\n```\n{}\n```\n", command.get_after_help().unwrap())
        .unwrap();
    page
}

fn table(page: &mut String, command: &Command) {
    let is_ours =
        |arg: &&Arg| arg.get_long().is_some_and(|long| !["help", "version"].contains(&long));
    let args: Vec<_> = command.get_arguments().filter(is_ours).collect();
    if args.is_empty() {
        return;
    }
    page.push_str("\n| flag | environment | default | what it is for |\n|---|---|---|---|\n");
    for arg in args {
        let long = arg.get_long().unwrap();
        let env = arg.get_env().map_or(String::new(), |env| format!("`{}`", env.to_string_lossy()));
        let mut help = cell(&arg.get_long_help().or(arg.get_help()).unwrap().to_string());
        let words = words(arg);
        if !words.is_empty() && !arg.is_hide_possible_values_set() {
            write!(help, ". One of {words}").unwrap();
        }
        let (value, default) = (value(arg), default(arg));
        writeln!(page, "| `--{long}{value}` | {env} | {default} | {help} |").unwrap();
    }
}

/// What stands behind the flag, with a space before it; empty for a switch.
pub(crate) fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    names.map_or(String::new(), |names| format!(" {}", names[0]))
}

pub(crate) fn default(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let values = arg.get_default_values().iter().filter(|_| takes);
    values.map(|value| format!("`{}`", value.to_string_lossy())).collect::<Vec<_>>().join(", ")
}

/// The words that may stand behind the flag; empty if it may be any.
pub(crate) fn words(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let words = arg.get_possible_values().into_iter().filter(|_| takes);
    words.map(|word| format!("`{}`", word.get_name())).collect::<Vec<_>>().join(", ")
}
