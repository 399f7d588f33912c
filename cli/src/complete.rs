//! Complete: what may follow words that are half typed, for `kubectl probelet <TAB>`.
//!
//! In: the words behind `kubectl probelet`, the last of them unfinished and often empty. Out: lines as kubectl reads them of
//! a program called `kubectl_complete-probelet`: a word, a tab, what it means; and at the end a colon with what else the
//! shell may offer. Only flags, subcommands and values that are fixed are known: it must not ask a cluster. Pure: values
//! only.

use clap::{Arg, Command};

/// What the script `kubectl_complete-probelet` puts before the words.
pub(crate) const WORD: &str = "__complete";

/// Words that stand for a flag of all subcommands, and what they do.
pub(crate) const HELP: (&str, &str) = ("help", "What the program or a subcommand does");
pub(crate) const VERSION: (&str, &str) = ("version", "The version of this program");

/// The shell may offer files as well.
const FILES: u8 = 0;
/// It may not.
const NOTHING_ELSE: u8 = 4;

/// Where a line of words has come to.
struct At<'a> {
    command: &'a Command,
    /// The flag that waits for its value.
    flag: Option<&'a Arg>,
    /// How many words without a flag stand behind the subcommand.
    positional: usize,
    /// `--` was typed: no flag follows.
    words_only: bool,
}

/// The lines for these words.
#[must_use]
pub(crate) fn complete(mut command: Command, words: &[String]) -> String {
    command.build();
    // `help config diff` is asked about what may follow `config diff`.
    let (words, first) = match words {
        [help, rest @ ..] if help == HELP.0 && !rest.is_empty() => (rest, false),
        words => (words, words.len() < 2),
    };
    let (last, before) = words.split_last().map_or(("", words), |(last, rest)| (last, rest));
    let mut at = At { command: &command, flag: None, positional: 0, words_only: false };
    for word in before {
        at.pass(word);
    }
    let (mut found, rest) = at.offers(last);
    let more = [HELP, VERSION].into_iter().filter(|(word, _)| first && word.starts_with(last));
    found.extend(more.map(|(word, help)| (word.to_owned(), help.to_owned())));
    let lines = found.into_iter().map(|(word, help)| format!("{word}\t{help}\n"));
    lines.chain([format!(":{rest}\n")]).collect()
}

impl<'a> At<'a> {
    /// Takes a whole word.
    fn pass(&mut self, word: &str) {
        if self.flag.take().is_some() {
            return;
        }
        if !self.words_only && word == "--" {
            self.words_only = true;
        } else if !self.words_only && word.len() > 1 && word.starts_with('-') {
            self.flag = self.flag(word).filter(|flag| takes_value(flag));
        } else if let Some(next) = self.command.find_subcommand(word) {
            *self = At { command: next, positional: 0, ..*self };
        } else {
            self.positional += 1;
        }
    }

    /// The flag of a word that waits for a value: not if the value is in the word.
    fn flag(&self, word: &str) -> Option<&'a Arg> {
        let mut flags = self.command.get_arguments();
        if let Some(long) = word.strip_prefix("--") {
            return flags.find(|flag| flag.get_long() == Some(long));
        }
        let mut letters = word.chars().skip(1);
        let (short, value) = (letters.next(), letters.next());
        flags
            .find(|flag| value.is_none() && flag.get_short().is_some() && flag.get_short() == short)
    }

    /// What the last word may become, and what else the shell may offer.
    fn offers(&self, last: &str) -> (Vec<(String, String)>, u8) {
        if let Some(flag) = self.flag {
            return values(flag, last);
        }
        if !self.words_only && last.starts_with('-') {
            // The shell keeps what stands before the equals sign.
            if let Some((name, value)) = last.split_once('=') {
                return self.flag(name).map_or((Vec::new(), NOTHING_ELSE), |it| values(it, value));
            }
            let flags = self.command.get_arguments().filter(|flag| !flag.is_hide_set());
            let flags = flags.filter_map(|flag| {
                let long = format!("--{}", flag.get_long()?);
                long.starts_with(last).then(|| (long, help(flag.get_help())))
            });
            return (flags.collect(), NOTHING_ELSE);
        }
        let commands = self.command.get_subcommands().filter(|it| !it.is_hide_set());
        let commands = commands.filter(|it| it.get_name().starts_with(last));
        let mut found: Vec<_> =
            commands.map(|it| (it.get_name().to_owned(), help(it.get_about()))).collect();
        let mut rest = NOTHING_ELSE;
        if let Some(arg) = self.command.get_positionals().nth(self.positional) {
            let (more, files) = values(arg, last);
            found.extend(more);
            rest = files;
        }
        (found, rest)
    }
}

/// Whether the next word is its value: of a flag that is on or off it only stands behind an equals sign.
fn takes_value(flag: &Arg) -> bool {
    flag.get_num_args().is_some_and(|range| range.min_values() > 0)
}

/// The fixed values of an argument, or files if it is one.
fn values(arg: &Arg, last: &str) -> (Vec<(String, String)>, u8) {
    let file = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == "FILE"));
    let found = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    let found = found.filter(|value| value.get_name().starts_with(last));
    let found = found.map(|value| (value.get_name().to_owned(), help(value.get_help())));
    (found.collect(), if file { FILES } else { NOTHING_ELSE })
}

/// The first line of what it means: a line is a candidate, and a tab its end.
fn help(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    text.lines().next().unwrap_or_default().replace('\t', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        complete(crate::args::command(), &words).lines().map(str::to_owned).collect()
    }

    /// Without what they mean.
    fn names(words: &[&str]) -> Vec<String> {
        let name = |line: String| line.split('\t').next().unwrap().to_owned();
        lines(words).into_iter().map(name).collect()
    }

    #[test]
    fn subcommands_come_with_what_they_do() {
        assert_eq!(
            lines(&["ex"]),
            [
                "explain\tWhy an agent is at its level or does not follow its configuration, and what it would take",
                ":4"
            ]
        );
        assert_eq!(names(&["config", ""]), ["effective", "diff", "dry-run", ":4"]);
        assert!(names(&[""]).contains(&"status".to_owned()) && names(&[]).len() > 15);
        assert_eq!(names(&["rollout", "re"]), ["resume", ":4"]);
    }

    #[test]
    fn help_and_version_are_offered_in_the_first_place_and_help_has_subcommands() {
        assert_eq!(lines(&["he"]), ["help\tWhat the program or a subcommand does", ":4"]);
        assert!(names(&[""]).contains(&"version".to_owned()));
        assert_eq!(names(&["help", "config", "di"]), ["diff", ":4"]);
        assert_eq!(names(&["help", "expl"]), ["explain", ":4"]);
        assert_eq!(names(&["status", "he"]), [":4"]);
        assert_eq!(names(&["conns", "he"]), [":4"]);
    }

    #[test]
    fn flags_are_those_of_the_subcommand_and_those_of_all() {
        assert_eq!(names(&["conns", "--w"]), ["--watch", ":4"]);
        assert_eq!(names(&["status", "--w"]), [":4"]);
        assert_eq!(names(&["conns", "web", "--na"]), ["--namespace", ":4"]);
        assert_eq!(names(&["conns", "--", "--na"]), [":4"]);
    }

    #[test]
    fn values_of_a_flag_are_offered_where_they_are_fixed() {
        assert_eq!(names(&["map", "-o", "s"]), ["svg", ":4"]);
        assert_eq!(names(&["map", "--output", "m"]), ["mermaid", ":4"]);
        // The shell keeps what stands before the equals sign.
        assert_eq!(names(&["map", "--output=m"]), ["mermaid", ":4"]);
        assert_eq!(names(&["--color", "al"]), ["always", ":4"]);
        assert_eq!(names(&["-n", ""]), [":4"], "a namespace is no subcommand");
        assert_eq!(names(&["-n", "map", "sta"]), ["status", ":4"]);
        assert_eq!(names(&["-nshop", "sta"]), ["status", ":4"]);
        assert_eq!(names(&["--disable-compression", "sta"]), ["status", ":4"]);
    }

    #[test]
    fn words_of_a_subcommand_are_offered_in_their_place() {
        assert_eq!(names(&["top", ""]), ["nodes", "flows", "procs", ":4"]);
        assert_eq!(names(&["top", "nodes", ""]), [":4"]);
        assert_eq!(names(&["completion", "z"]), ["zsh", ":4"]);
    }

    #[test]
    fn where_a_file_is_wanted_the_shell_offers_files() {
        assert_eq!(names(&["config", "dry-run", "-f", ""]), [":0"]);
        assert_eq!(names(&["--kubeconfig=/etc/"]), [":0"]);
        assert_eq!(names(&["dump", "--file", "a"]), [":0"]);
    }
}
