//! The real program in shells as people have them: a list of kubeconfigs of which one is missing, a reader that has gone, an API
//! server on loopback.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use probelet_fake_api::socket::{kubeconfig, serve};
use serde_json::json;

/// The program with a kubeconfig of a server that has one `ProbeConfig`, whose rollout does not end.
fn program(folder: &Path) -> Command {
    let status = json!({"observedGeneration": 1, "rollout": {"phase": "Rolling", "updated": 1, "total": 9},
        "nodes": {"matched": 9, "effective": 9, "applied": 1, "pending": 8}});
    let one =
        json!({"metadata": {"name": "far-away", "generation": 1}, "spec": {}, "status": status});
    let server = serve(move |_, _, _| (200, json!({"metadata": {}, "items": [one]})));
    let file = folder.join("there");
    std::fs::write(&file, kubeconfig(&format!("http://{server}"), "")).unwrap();
    let list = std::env::join_paths([folder.join("missing"), file]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    command.env("KUBECONFIG", list).args(["--timeout", "5s", "rollout", "status"]);
    command
}

#[test]
fn a_kubeconfig_of_the_list_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();

    let output = program(folder.path()).output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("far-away"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_goes_on_until_it_is_stopped_ends_when_its_reader_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = program(folder.path()).arg("--watch").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());

    let until = Instant::now() + Duration::from_secs(30);
    let mut ended = None;
    while ended.is_none() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        ended = child.try_wait().unwrap();
    }
    child.kill().ok();
    child.wait().unwrap();

    assert!(ended.is_some(), "it goes on although no one reads");
}
