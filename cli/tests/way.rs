//! What the program says of the way to agents: an API server that cannot reach one, or waits for one; a server that is not a
//! Kubernetes API server.
//!
//! I/O: sockets on loopback, the program itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use probelet_fake_api::socket::{kubeconfig, listen, request, serve};
use serde_json::{Value, json};

/// What the program prints, with this server.
fn said(server: SocketAddr, words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    std::fs::write(&file, kubeconfig(&format!("http://{server}"), "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-probelet"));
    let output = command.arg("--kubeconfig").arg(file).args(words).output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A cluster with one node, whose agent is ready; the answer of `through` is that of the API server's proxy.
fn cluster(through: impl Fn() -> (u16, Value) + Send + Sync + 'static) -> SocketAddr {
    let pod = json!({
        "metadata": {"name": "probelet-agent-x", "namespace": "probelet"},
        "spec": {"nodeName": "node1", "serviceAccountName": "probelet-agent"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    serve(move |method, path, _| match (method, path) {
        ("POST", _) => (201, json!({"status": {"token": "t"}})),
        (_, path) if path.contains("/proxy/") => through(),
        (_, path) if path.contains("/pods?") => (200, json!({"metadata": {}, "items": [pod]})),
        (_, path) if path.contains('?') => (200, json!({"metadata": {}, "items": []})),
        _ => {
            (404, json!({"kind": "Status", "code": 404, "message": "x", "details": {"name": "x"}}))
        }
    })
}

#[test]
fn explain_says_which_port_the_api_server_cannot_reach_and_what_to_open() {
    let message = "error trying to reach service: dial tcp 10.0.0.5:9466: i/o timeout";
    let server = cluster(move || {
        (503, json!({"kind": "Status", "status": "Failure", "code": 503, "message": message}))
    });

    let text = said(server, &["explain", "node1"]);

    let line = text.lines().find(|line| line.contains("report")).unwrap();
    assert!(line.trim_start().starts_with("BAD"), "{text}");
    assert!(
        line.ends_with(&format!(
            "the API server cannot reach the agent of node1 (port 9466): {message}"
        )),
        "{text}"
    );
    assert!(text.contains("open that port from the control plane to the nodes"), "{text}");
}

#[test]
fn an_api_server_with_too_many_requests_is_no_agent_whose_budget_is_too_small() {
    // Priority and fairness answers with bare text: k8s.io/apiserver, filters/priority-and-fairness.go.
    let server = cluster(|| (429, json!("Too many requests, please try again later.")));

    let text = said(server, &["conns", "node/node1"]);

    assert!(text.contains("answered with 429: \"Too many requests"), "{text}");
    assert!(text.contains("try again in a few seconds"), "{text}");
    assert!(!text.contains("budget") && !text.contains("does not answer"), "{text}");

    let busy = cluster(|| (429, json!({"error": "too many tokens at a time"})));
    let text = said(busy, &["conns", "node/node1"]);
    assert!(text.contains("it is busy: too many tokens"), "{text}");
}

#[test]
fn a_policy_is_not_made_of_the_half_that_could_be_asked_and_says_so_once() {
    let pod = |name: &str, namespace: &str, node: &str| {
        json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"nodeName": node, "serviceAccountName": "probelet-agent"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        })
    };
    let server = serve(move |method, path, _| {
        let node = if path.contains("node2") { "node2" } else { "node1" };
        match (method, path) {
            ("POST", _) => (201, json!({"status": {"token": "t"}})),
            (_, path) if path.contains(":node2:") => (429, json!({"error": "too many tokens"})),
            (_, path) if path.contains(":node1:") => (200, json!({"node": "node1"})),
            (_, path) if path.contains("/namespaces/shop/pods") => {
                let all = [pod("web-0", "shop", "node1"), pod("web-1", "shop", "node2")];
                let owned = all.map(|mut pod| {
                    pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1",
                        "kind": "StatefulSet", "name": "web", "controller": true, "uid": "u"}]);
                    pod
                });
                if path.ends_with("/pods/web-0") {
                    (200, owned[0].clone())
                } else {
                    (200, json!({"metadata": {}, "items": owned}))
                }
            }
            _ => (200, json!({"metadata": {}, "items": [pod(node, "probelet", node)]})),
        }
    });

    // A pod stands for its workload: the policy is for that, and so is the question. Each waits for the agent for a while.
    thread::scope(|scope| {
        for target in ["sts/web", "pod/web-0"] {
            scope.spawn(move || {
                let text = said(server, &["netpol", target, "-n", "shop"]);

                assert!(text.contains("a policy needs the report of every node of "), "{text}");
                let why = ", and the agent of node2 does not answer: it is busy: too many tokens";
                assert!(text.contains(why), "{text}");
                assert!(!text.contains("NetworkPolicy"), "{text}");
            });
        }
        // Where there is no room for it in the answer, it is said beside it.
        for format in ["svg", "dot", "mermaid", "name", "table"] {
            scope.spawn(move || {
                let text = said(server, &["map", "shop", "-o", format]);
                assert!(text.contains("INCOMPLETE: node2 did not respond: "), "{format}: {text}");
            });
        }
    });
}

#[test]
fn a_command_that_looks_again_shows_agents_the_same_token() {
    let tokens = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&tokens);
    let pod = json!({"metadata": {"name": "a", "namespace": "probelet"},
        "spec": {"nodeName": "node1", "serviceAccountName": "probelet-agent"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let server = serve(move |method, path, _| match (method, path) {
        ("POST", _) => {
            made.fetch_add(1, Ordering::Relaxed);
            (201, json!({"status": {"token": "t"}}))
        }
        (_, path) if path.contains("/proxy/") => (200, json!({"node": "node1"})),
        (_, path) if path.contains("nodeprobes") => {
            (200, json!({"metadata": {}, "items": [{"metadata": {"name": "node1"}}]}))
        }
        _ => (200, json!({"metadata": {}, "items": [pod]})),
    });

    let text = said(server, &["top", "flows", "--once", "-o", "json"]);

    assert!(text.contains("\"rows\""), "{text}");
    assert_eq!(tokens.load(Ordering::Relaxed), 1, "{text}");
}

#[test]
fn an_agent_that_is_late_is_not_an_api_server_that_cannot_be_reached() {
    let server = cluster(|| {
        thread::sleep(Duration::from_secs(5));
        (200, json!({}))
    });

    let text = said(server, &["--timeout", "1s", "conns", "node/node1"]);

    assert!(text.contains("the agent of node1 does not answer: "), "{text}");
    assert!(text.contains("through the API server in 1s"), "{text}");
    assert!(text.contains("--timeout") && !text.contains("cannot be reached"), "{text}");
}

/// A server that answers whatever is asked with this status line and these headers, and this body.
fn always(head: &'static str, body: &'static str) -> SocketAddr {
    listen(move |mut stream| {
        while request(&mut stream).is_some() {
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    })
}

#[test]
fn a_server_that_is_not_a_kubernetes_api_server_is_called_so() {
    let page = "<!DOCTYPE html><title>Log in</title>";
    for (head, body, answer) in [
        ("404 Not Found\r\nContent-Type: text/plain", "404 page not found\n", "404, text/plain"),
        (
            "302 Found\r\nLocation: https://sso.example/login",
            "",
            "302, leads to https://sso.example/login",
        ),
        ("502 Bad Gateway\r\nContent-Type: text/html", page, "502, text/html"),
        ("200 OK\r\nContent-Type: text/html; charset=utf-8", page, "200, text/html; charset=utf-8"),
    ] {
        for words in [
            &["rollout", "status"][..],
            &["explain", "node1"],
            &["status"],
            &["conns", "web"],
            &["preflight"],
        ] {
            let server = always(head, body);

            let text = said(server, words);

            let what =
                format!("what answers at http://{server} is not a Kubernetes API server ({answer}");
            assert!(text.contains(&what), "{words:?}: {text}");
            assert!(
                text.contains("check the server's address and path in the kubeconfig"),
                "{text}"
            );
            assert!(text.contains("kubectl version") && !text.contains("not installed"), "{text}");
        }
    }
}

#[test]
fn a_cluster_without_the_definitions_is_still_one_without_probelet() {
    let server = listen(|mut stream| {
        while let Some((lines, _)) = request(&mut stream) {
            let (code, body) = if lines[0].contains("/version") {
                ("200 OK\r\nContent-Type: application/json", "{\"major\": \"1\"}")
            } else {
                ("404 Not Found\r\nContent-Type: text/plain", "404 page not found\n")
            };
            let answer = format!("HTTP/1.1 {code}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });

    let text = said(server, &["rollout", "status"]);

    assert!(text.contains("probelet is not installed in this cluster"), "{text}");
}
