//! The manual's table of flags says what `--help` says.
//!
//! `WRITE_DOCS=1 cargo test -p kubectl-probelet --test docs` writes it. I/O: reads and perhaps writes the page.

use std::{fs, path::Path};

#[test]
fn the_manual_lists_every_flag_as_help_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/user/kubectl-probelet.md");
    let page = fs::read_to_string(&path).unwrap();

    let wanted = kubectl_probelet::args::reference(&page).expect("the page has a place for it");

    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "out of date: WRITE_DOCS=1 cargo test -p kubectl-probelet --test docs"
        );
    }
}
