//! Lists the runbooks of the manual, so that a page is in the plugin by being in its folder.
//!
//! In: docs/user/runbooks. Out: `runbooks.rs`, a slice of (name, text) by name. It must not change what a page says.
//! I/O: reads the folder, writes to OUT_DIR.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/user/runbooks");
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).expect("the manual has runbooks");
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    // The order in which folders are listed differs between machines; the program must not.
    names.sort();
    let mut list = String::from("&[\n");
    for name in &names {
        let path = folder.join(name).with_extension("md");
        writeln!(list, "    ({name:?}, include_str!({:?})),", path.display().to_string())
            .expect("writing to memory does not fail");
    }
    list.push_str("]\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("runbooks.rs"), list).expect("OUT_DIR can be written");
}
