//! What a shell reads of a program: a manual page for it and each subcommand, and completions.
//!
//! In: its command. Out: files below `tools/release/generated`, which an archive of a release takes as they are but for
//! [`VERSION`]. It must not know a flag by name.
//!
//! I/O: reads or writes these files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Command;
use clap_complete::{Shell, generate};

use crate::WRITE;

/// Stands for the version, so that a new version changes no file here.
const VERSION: &str = "@VERSION@";

/// Holds the manual pages and completions of a program to its command, or writes them; what is there besides is deleted or
/// a failure.
pub fn hold_shell_files(command: Command) {
    let name = command.get_name().to_owned();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../release/generated").join(&name);
    let wanted = files(command);
    if std::env::var_os(WRITE).is_some() {
        fs::remove_dir_all(&folder).ok();
        for (path, text) in &wanted {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        return;
    }
    let mut there = BTreeMap::new();
    read(&folder, &folder, &mut there);
    let differ: Vec<_> = wanted
        .iter()
        .filter(|(path, text)| there.get(*path) != Some(text))
        .map(|(path, _)| path)
        .chain(there.keys().filter(|path| !wanted.contains_key(*path)))
        .collect();
    assert!(
        differ.is_empty(),
        "tools/release/generated/{name} does not say what the code does ({differ:?}); run `make reference` and commit it"
    );
}

/// `man/NAME.1`, `man/NAME-SUBCOMMAND.1`, `completions/…`
fn files(command: Command) -> BTreeMap<PathBuf, Vec<u8>> {
    let name = command.get_name().to_owned();
    let mut command = command.version(VERSION);
    let mut found = BTreeMap::new();
    for (shell, file) in [
        (Shell::Bash, format!("{name}.bash")),
        (Shell::Zsh, format!("_{name}")),
        (Shell::Fish, format!("{name}.fish")),
    ] {
        let mut text = Vec::new();
        generate(shell, &mut command, &name, &mut text);
        found.insert(PathBuf::from("completions").join(file), text);
    }
    command.build();
    pages(&command, &name, &mut found);
    found
}

fn pages(command: &Command, name: &str, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .source(format!("probelet {VERSION}"))
        .render(&mut text)
        .unwrap();
    found.insert(PathBuf::from(format!("man/{name}.1")), text);
    for child in
        command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        pages(child, &format!("{name}-{}", child.get_name()), found);
    }
}

fn read(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), fs::read(&path).unwrap());
        }
    }
}
