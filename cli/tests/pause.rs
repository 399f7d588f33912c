//! `pause --node` means one node, or nothing happens: against API servers of several releases.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::process::Command;
use std::sync::{Arc, Mutex};

use probelet_fake_api::socket::{kubeconfig, serve};
use serde_json::{Value, json};

/// How a server takes a configuration.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// As it is.
    Whole,
    /// Without fields that it does not know, as servers did before they could be strict.
    Prunes,
    /// Not at all, if there is such a field.
    Refuses,
}

type Log = Arc<Mutex<Vec<(String, Value)>>>;

/// What a server that takes configurations so says.
fn answer(
    (method, path): (&str, &str),
    mut body: Value,
    takes: Takes,
    hosts: &[(&str, &str)],
) -> (u16, Value) {
    let node = |(name, host): &(&str, &str)| json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": host}}});
    let named = !body["spec"]["nodeNames"].is_null();
    match (method, path) {
        ("POST", path) if named && takes == Takes::Refuses && path.contains("=Strict") => (
            400,
            json!({"kind": "Status", "code": 400, "reason": "BadRequest", "message": "das Feld kenne ich nicht"}),
        ),
        ("POST", _) => {
            if takes != Takes::Whole {
                body["spec"].as_object_mut().unwrap().remove("nodeNames");
            }
            (201, body)
        }
        ("GET", path) if path.starts_with("/api/v1/nodes?") => {
            (200, json!({"metadata": {}, "items": hosts.iter().map(node).collect::<Vec<_>>()}))
        }
        ("GET", path) if path.starts_with("/api/v1/nodes/") => (200, node(&hosts[0])),
        _ => (200, json!({"spec": {"config": {"budget": {"cpu": "7m"}}}})),
    }
}

/// What the program says, and what it wrote.
fn pause(takes: Takes, hosts: &'static [(&str, &str)]) -> (bool, String, Vec<(String, Value)>) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let address = serve(move |method, path, body| {
        if method != "GET" && !path.contains("dryRun=All") {
            kept.lock().unwrap().push((format!("{method} {path}"), body.clone()));
        }
        answer((method, path), body, takes, hosts)
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let text = kubeconfig(&format!("http://{address}"), "");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    let output =
        command.arg("--kubeconfig").arg(file).args(["pause", "--node", "n1"]).output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let log = log.lock().unwrap().clone();
    (output.status.success(), said, log)
}

const TWINS: &[(&str, &str)] = &[("n1", "localhost"), ("n2", "localhost")];
const OTHERS: &[(&str, &str)] = &[("n1", "n1"), ("n2", "n2")];

#[test]
fn a_node_is_paused_by_its_name_whatever_its_machine_calls_itself() {
    let (well, said, wrote) = pause(Takes::Whole, TWINS);

    assert!(well && said.contains("node/n1 paused"), "{said}");
    assert_eq!(wrote.len(), 1);
    let spec = &wrote[0].1["spec"];
    assert_eq!(
        (&spec["nodeNames"], &spec["paused"], &spec["budget"]["cpu"]),
        (&json!(["n1"]), &json!(true), &json!("7m"))
    );
    assert!(spec["nodeSelector"].is_null() || spec["nodeSelector"] == json!({}), "{spec}");
}

#[test]
fn an_older_definition_is_asked_by_the_label_that_only_this_node_has() {
    for takes in [Takes::Refuses, Takes::Prunes] {
        let (well, said, wrote) = pause(takes, OTHERS);

        assert!(well, "{said}");
        let last = &wrote.last().unwrap().1["spec"];
        assert_eq!(last["nodeSelector"]["matchLabels"], json!({"kubernetes.io/hostname": "n1"}));
        assert_eq!(
            wrote.len(),
            1,
            "nothing that would pause all nodes was there for a moment: {wrote:?}"
        );
    }
}

#[test]
fn where_neither_means_one_node_nothing_stays_paused() {
    for takes in [Takes::Refuses, Takes::Prunes] {
        let (well, said, wrote) = pause(takes, TWINS);

        assert!(!well && said.contains("n2 has the same label"), "{said}");
        assert!(wrote.is_empty(), "{wrote:?}");
    }
}
