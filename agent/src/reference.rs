//! The pages of `docs/user/reference` that the code writes, and the test that they still say what the code does.
//!
//! In: the name of a page and its text. Out: the file, when `make reference` runs the tests; else a failure if the file
//! says something else.
//!
//! I/O: reads or writes the page.

use std::fs;
use std::path::Path;

/// Set by `make reference`.
const WRITE: &str = "PROBELET_WRITE_REFERENCE";
/// The second line of every page that is written.
pub(crate) const WRITTEN: &str = "<!-- written by make reference -->";

/// Holds the page to this text, or writes it.
pub(crate) fn hold(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/user/reference").join(page);
    if std::env::var_os(WRITE).is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(text.lines()).find(|(old, new)| old != new);
    assert!(
        there == text,
        "docs/user/reference/{page} does not say what the code does (first difference: {differs:?}); run `make reference` and commit the page"
    );
}

/// A text in one cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").split_whitespace().collect::<Vec<_>>().join(" ")
}
