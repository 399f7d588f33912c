//! The pages of the manual that the code writes, and the test that they still say what the code does.
//!
//! In: what clap knows of a program's flags, the metric families of a scrape. Out: Markdown; [`hold`] compares it with the
//! page, or writes the page when `make reference` runs the tests. It must not know a flag or a metric by name, and is
//! a dependency of tests only.
//!
//! I/O: reads or writes a page.
#![allow(clippy::unwrap_used, reason = "only tests call this: a failure is a failed test")]
#![allow(clippy::missing_panics_doc, reason = "the same")]

mod metrics;
mod plugin;
mod program;
mod shell;

use std::{fs, path::Path};

pub use metrics::row;
pub use plugin::subcommands;
pub use program::flags;
pub use shell::hold_shell_files;

/// Set by `make reference`.
const WRITE: &str = "PROBELET_WRITE_REFERENCE";
/// The second line of every page that is written whole.
pub const WRITTEN: &str = "<!-- written by make reference -->";

/// Holds a page, named by its path below `docs/user`, to this text, or writes it.
pub fn hold(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user").join(page);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        there == text,
        "docs/user/{page} does not say what the code does (first difference: {differs:?}); run `make reference` and commit the page"
    );
}

/// [`hold`] for a page of which only the part between two lines is written.
pub fn hold_part(page: &str, begin: &str, end: &str, part: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/user").join(page);
    let there = fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(begin).expect("the page has the line where it begins");
    let (_, after) = rest.split_once(end).expect("the page has the line where it ends");
    hold(page, &format!("{before}{begin}\n{part}{end}{after}"));
}

/// A text in one cell of a table.
#[must_use]
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}
