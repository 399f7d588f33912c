//! Who may import whom: the rules that keep the core pure and the parts apart.
//!
//! In: `cargo metadata`. Out: a failing test that names the import. I/O: runs cargo, offline.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// What the pure crates may be given. Nothing on these lists can open a file, a socket or a clock by itself.
const INDEX_MAY_USE: &[&str] = &["foldhash", "thiserror", "hashbrown", "smallvec"];
const CORE_MAY_USE: &[&str] = &["probelet-index", "foldhash", "thiserror", "hashbrown"];
const CRDS_MAY_USE: &[&str] =
    &["serde", "thiserror", "serde_json", "serde-saphyr", "schemars", "kube", "k8s-openapi"];

/// Normal dependencies of every crate of the workspace, by name.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(normal_dependencies).collect()
}

fn normal_dependencies(package: &Value) -> (String, BTreeSet<String>) {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let names = dependencies
        .filter(|d| d["kind"].is_null())
        .map(|d| d["name"].as_str().unwrap().to_owned());
    (package["name"].as_str().unwrap().to_owned(), names.collect())
}

fn ours(names: &BTreeSet<String>) -> BTreeSet<&str> {
    names.iter().map(String::as_str).filter(|name| name.contains("probelet")).collect()
}

fn beyond<'a>(names: &'a BTreeSet<String>, allowed: &[&str]) -> Vec<&'a str> {
    names.iter().map(String::as_str).filter(|name| !allowed.contains(name)).collect()
}

#[test]
fn core_and_index_are_given_nothing_to_do_io_with() {
    assert_eq!(beyond(&imports()["probelet-index"], INDEX_MAY_USE), Vec::<&str>::new());
    assert_eq!(beyond(&imports()["probelet-core"], CORE_MAY_USE), Vec::<&str>::new());
}

#[test]
fn the_objects_are_given_nothing_to_do_io_with() {
    assert_eq!(beyond(&imports()["probelet-crds"], CRDS_MAY_USE), Vec::<&str>::new());
}

#[test]
fn what_the_programs_share_imports_the_core_alone() {
    let imports = imports();
    assert_eq!(ours(&imports["probelet-runtime"]), BTreeSet::from(["probelet-core"]));
}

#[test]
fn the_programs_import_what_they_share_and_never_each_other() {
    let allowed =
        BTreeSet::from(["probelet-core", "probelet-crds", "probelet-report", "probelet-runtime"]);
    for (name, dependencies) in imports() {
        if ["probelet-agent", "probelet-operator", "kubectl-probelet"].contains(&name.as_str()) {
            assert!(
                ours(&dependencies).is_subset(&allowed),
                "{name} imports {:?}",
                ours(&dependencies)
            );
        }
    }
}

#[test]
fn no_one_imports_what_is_for_tests() {
    for (name, dependencies) in imports() {
        for of_tests in [
            "probelet-bench",
            "probelet-e2e",
            "probelet-reference",
            "probelet-allocations",
            "probelet-fake-api",
            "probelet-fuzz",
        ] {
            // e2e reads reports as the bench does.
            let allowed = (name.as_str(), of_tests) == ("probelet-e2e", "probelet-bench");
            assert!(allowed || !dependencies.contains(of_tests), "{name} imports {of_tests}");
        }
    }
}

#[test]
fn the_rules_see_the_crates_that_they_are_about() {
    let imports = imports();

    assert!(
        imports["probelet-agent"].contains("probelet-core"),
        "the agent imports the core, so the parser works"
    );
    assert!(imports.contains_key("probelet-e2e"));
    assert!(imports["kubectl-probelet"].contains("probelet-crds"));
}
