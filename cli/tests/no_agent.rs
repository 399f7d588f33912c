//! What `explain` and `doctor` say of a node without an agent, such as one of Windows: not that there is no such node.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::process::Command;

use probelet_fake_api::socket::{kubeconfig, serve};
use serde_json::json;

/// What the program says of a node, where `win` is the only one that is there and `linux` has the only agent.
fn said(words: [&str; 2]) -> String {
    let pod = json!({
        "metadata": {"name": "probelet-agent-x", "namespace": "probelet", "ownerReferences": [{"kind": "DaemonSet", "name": "probelet-agent", "controller": true}]},
        "spec": {"nodeName": "linux", "serviceAccountName": "probelet-agent"}, "status": {"phase": "Running"},
    });
    let address = serve(move |_, path, _| match path {
        "/api/v1/nodes/win" => (200, json!({"metadata": {"name": "win"}})),
        path if path.contains("/pods?") && !path.contains("spec.nodeName") => {
            (200, json!({"metadata": {}, "items": [pod]}))
        }
        path if path.contains('?') => (200, json!({"metadata": {}, "items": []})),
        _ => (
            404,
            json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}),
        ),
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(&format!("http://{address}"), "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    let output = command.arg("--kubeconfig").arg(file).args(words).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_node_without_an_agent_is_no_unknown_node() {
    for words in [["explain", "win"], ["doctor", "node/win"]] {
        let text = said(words);

        assert!(text.contains("no agent runs on the node win"), "{words:?}: {text}");
        assert!(text.contains("kubectl -n probelet get daemonset probelet-agent"), "{text}");
    }
}

#[test]
fn a_node_that_is_not_there_is_unknown() {
    let text = said(["explain", "nowhere"]);

    assert!(text.contains("no such node: nowhere"), "{text}");
}
