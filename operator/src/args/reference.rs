//! The page of all flags, written from what clap knows of them.
//!
//! In: the command. Out: Markdown. It must not know a flag by name.
//!
//! I/O: the page.

use super::Typed;
use crate::reference::{WRITTEN, cell, hold};
use clap::{Arg, Command, CommandFactory as _};
use std::fmt::Write as _;

fn flags(page: &mut String, command: &Command) {
    let is_ours =
        |arg: &&Arg| arg.get_long().is_some_and(|long| !["help", "version"].contains(&long));
    let args: Vec<_> = command.get_arguments().filter(is_ours).collect();
    if args.is_empty() {
        return;
    }
    page.push_str("\n| flag | environment | default | what it is for |\n|---|---|---|---|\n");
    for arg in args {
        let takes = arg.get_action().takes_values();
        let value = arg
            .get_value_names()
            .filter(|_| takes)
            .map_or(String::new(), |names| format!(" {}", names[0]));
        let env = arg.get_env().map_or(String::new(), |env| format!("`{}`", env.to_string_lossy()));
        let default: Vec<_> =
            arg.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy())).collect();
        let mut help = cell(&arg.get_long_help().or(arg.get_help()).unwrap().to_string());
        let words: Vec<_> =
            arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
        if takes && !words.is_empty() && !arg.is_hide_possible_values_set() {
            write!(help, ". One of {}", words.join(", ")).unwrap();
        }
        let long = arg.get_long().unwrap();
        writeln!(page, "| `--{long}{value}` | {env} | {} | {help} |", default.join(", ")).unwrap();
    }
}

#[test]
fn the_page_of_flags_says_what_clap_takes() {
    let command = Typed::command();
    let name = command.get_name();
    let about = command.get_long_about().or(command.get_about()).unwrap();
    let mut page = format!(
        "# Flags of {name}\n{WRITTEN}\n\n{about}\n\nA flag wins over its variable in the environment.\n"
    );
    flags(&mut page, &command);
    for sub in command.get_subcommands() {
        let about = cell(&sub.get_about().unwrap().to_string());
        write!(page, "\n## {name} {}\n{about}.\n", sub.get_name()).unwrap();
        flags(&mut page, sub);
    }
    write!(page, "\n## Examples and exit codes\n```\n{}\n```\n", command.get_after_help().unwrap())
        .unwrap();

    hold(&format!("flags-{}.md", name.trim_start_matches("probelet-")), &page);
}
