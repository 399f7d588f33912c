//! Asking an API server that is scripted: tokens for agents, refusals, busy agents, lists that moved on.
//!
//! I/O: none.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use kubectl_probelet::ask::{Agents, Ask, Error};
use probelet_fake_api::scripted;
use serde_json::{Value, json};

/// What was asked: method, path with query, and the token for an agent.
type Asked = Arc<Mutex<Vec<(Method, String, Option<String>)>>>;

/// An API server that answers by these rules: the n-th request of a path gets `rule(method, path, n)`.
fn server(
    rule: impl Fn(&Method, &str, usize) -> (u16, Value) + Send + Sync + 'static,
) -> (Ask, Asked) {
    let asked: Asked = Arc::default();
    let log = Arc::clone(&asked);
    let client = scripted(move |request| {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let token = request.headers().get("x-probelet-authorization");
        let token = token.map(|value| value.to_str().unwrap().to_owned());
        let mut log = log.lock().unwrap();
        let nth = log.iter().filter(|(_, asked, _)| *asked == path).count();
        let (status, body) = rule(&method, &path, nth);
        log.push((method, path, token));
        (status, body.to_string().into_bytes())
    });
    (Ask::through(client, Duration::from_secs(5)), asked)
}

fn pod() -> Value {
    json!({"metadata": {"name": "probelet-agent-x", "namespace": "obs"},
        "spec": {"nodeName": "node1", "serviceAccountName": "rel-probelet-agent",
            "containers": [{"ports": [{"name": "https", "containerPort": 9500}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
}

fn is_pods(path: &str) -> bool {
    path.contains("/pods?")
}

#[tokio::test]
async fn an_agent_is_shown_a_token_of_the_viewer_and_found_wherever_it_is() {
    let (ask, asked) = server(|method, path, _| match (method, path) {
        (_, path) if is_pods(path) => (200, json!({"items": [pod()]})),
        (&Method::POST, _) => (201, json!({"status": {"token": "short-lived"}})),
        _ => (200, json!({"node": "node1"})),
    });

    let report = async {
        let agents = Agents::find(&ask, None).await?;
        agents.report("node1", "?pod=shop/web").await
    }
    .await;

    assert_eq!(report.unwrap().node, "node1");
    let asked = asked.lock().unwrap();
    let posted = asked.iter().find(|(method, ..)| method == Method::POST).unwrap();
    assert_eq!(posted.1, "/api/v1/namespaces/obs/serviceaccounts/rel-probelet-viewer/token");
    let (_, path, token) = asked.last().unwrap();
    assert_eq!(
        path,
        "/api/v1/namespaces/obs/pods/https:probelet-agent-x:9500/proxy/v1/report?pod=shop/web"
    );
    assert_eq!(token.as_deref(), Some("Bearer short-lived"));
}

#[tokio::test]
async fn without_a_token_the_missing_right_is_named() {
    let (ask, _) = server(|method, path, _| match (method, path) {
        (_, path) if is_pods(path) => (200, json!({"items": [pod()]})),
        (&Method::POST, _) => (403, json!({"message": "serviceaccounts is forbidden"})),
        _ => (401, json!({"error": "a token is needed"})),
    });

    let error = async {
        let agents = Agents::find(&ask, Some("obs")).await?;
        agents.report("node1", "").await
    }
    .await
    .unwrap_err();

    let said = error.to_string();
    assert!(
        said.contains("not allowed to create serviceaccounts/token in the namespace obs"),
        "{said}"
    );
    assert!(
        error.next().unwrap().contains("ClusterRole rel-probelet-viewer"),
        "{:?}",
        error.next()
    );
}

/// An agent that lets see a namespace, and says of the rest what agents say.
fn tenant(path: &str) -> (u16, Value) {
    if path.contains("namespace=shop") {
        return (200, json!({"node": "node1", "namespaces": ["shop"]}));
    }
    (403, json!({"error": "carol may not get nodeprobes/report of the group probelet.io"}))
}

#[tokio::test]
async fn who_may_see_one_namespace_is_given_its_part_and_asks_for_the_whole_only_once() {
    let (ask, asked) = server(|method, path, _| match (method, path) {
        (_, path) if is_pods(path) => (200, json!({"items": [pod()]})),
        (&Method::POST, _) => (403, json!({"message": "serviceaccounts is forbidden"})),
        (_, path) => tenant(path),
    });

    let agents = Agents::find(&ask, Some("obs")).await.unwrap();
    let nodes = ["node1".to_owned()];
    let first = agents.reports(&nodes, "?pid=1&port=1", Some("shop")).await;
    let second = agents.reports(&nodes, "", Some("shop")).await;
    let without = agents.reports(&nodes, "", None).await;

    for fetched in [&first, &second] {
        let report = fetched[0].report.as_ref().ok().unwrap();
        assert_eq!(
            (report.namespaces.as_slice(), report.is_narrow()),
            (&["shop".to_owned()][..], true)
        );
    }
    let refused = without[0].report.as_ref().err().unwrap();
    assert!(refused.next().unwrap().contains("-n NAMESPACE"), "{:?}", refused.next());
    let asked = asked.lock().unwrap();
    let queries: Vec<&str> =
        asked.iter().filter_map(|(_, path, _)| path.split("/v1/report").nth(1)).collect();
    assert_eq!(queries, ["?pid=1&port=1", "?pid=1&port=1&namespace=shop", "?namespace=shop", ""]);
}

#[tokio::test]
async fn agents_are_shown_a_token_that_is_for_agents_alone_and_of_the_account_that_was_named() {
    let bodies: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let log = Arc::clone(&bodies);
    let client = scripted(move |request| {
        let path = request.uri().path().to_owned();
        let body = match path.as_str() {
            _ if path.ends_with("/token") => {
                log.lock().unwrap().push((path, json!(null)));
                json!({"status": {"token": "t"}})
            }
            _ if path.ends_with("/pods") => {
                let mut pod = pod();
                pod["spec"]["containers"][0]["env"] =
                    json!([{"name": "PROBELET_TOKEN_AUDIENCE", "value": "probelet"}]);
                json!({"items": [pod]})
            }
            _ => json!({"node": "node1"}),
        };
        (200, body.to_string().into_bytes())
    });
    let ask = Ask::through(client, Duration::from_secs(5));

    let agents = Agents::find(&ask, Some("obs")).await.unwrap();
    agents.clone().with_account("shop", "reader").report("node1", "").await.unwrap();

    let asked = bodies.lock().unwrap();
    assert_eq!(asked[0].0, "/api/v1/namespaces/shop/serviceaccounts/reader/token");
    assert_eq!(agents.audience(), Some("probelet"));
}

#[tokio::test]
async fn an_agent_that_is_busy_is_asked_again() {
    let (ask, asked) = server(|method, path, nth| match (method, path) {
        (_, path) if is_pods(path) => (200, json!({"items": [pod()]})),
        (&Method::POST, _) => (201, json!({"status": {"token": "t"}})),
        _ if nth == 0 => (503, json!({"error": "the CPU budget has no room"})),
        _ => (200, json!({"node": "node1"})),
    });

    let report = async {
        let agents = Agents::find(&ask, None).await?;
        agents.report("node1", "").await
    }
    .await;

    assert_eq!(report.unwrap().node, "node1");
    let times =
        asked.lock().unwrap().iter().filter(|(_, path, _)| path.contains("/proxy/")).count();
    assert_eq!(times, 2);
}

#[tokio::test]
async fn a_cluster_without_agents_is_distinguished_from_a_right_that_is_missing() {
    let (ask, _) = server(|_, _, _| (200, json!({"items": []})));

    let error = Agents::find(&ask, None).await.err().unwrap();

    assert!(matches!(error, Error::Absent { .. }), "{error}");
    assert!(error.to_string().contains("there is no agent"), "{error}");
}

#[tokio::test]
async fn a_list_whose_position_was_forgotten_is_begun_again_and_has_nothing_twice() {
    let node = |name: &str| json!({"metadata": {"name": name}});
    let (ask, asked) = server(move |_, path, nth| match path.contains("continue=") {
        true if nth == 0 => (410, json!({"message": "the continue token is too old"})),
        true => (200, json!({"metadata": {}, "items": [node("b")]})),
        false => (200, json!({"metadata": {"continue": "x=/1"}, "items": [node("a")]})),
    });

    let nodes = ask.nodes().await.unwrap();

    let names: Vec<&str> = nodes.iter().map(|node| node.metadata.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    assert!(asked[1].1.ends_with("continue=x%3D%2F1"), "{}", asked[1].1);
}

#[tokio::test]
async fn nodes_are_counted_without_reading_them() {
    let (ask, asked) = server(|_, _, _| {
        (200, json!({"metadata": {"remainingItemCount": 4999, "continue": "x"}, "items": [{}]}))
    });

    assert_eq!(ask.count_nodes().await.unwrap(), 5000);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn the_agent_that_runs_is_asked_and_not_the_one_that_was_evicted() {
    let (ask, asked) = server(|method, path, _| match (method, path) {
        (_, path) if is_pods(path) => {
            let mut evicted = pod();
            evicted["metadata"]["name"] = "probelet-agent-evicted".into();
            evicted["status"] = json!({"phase": "Failed", "reason": "Evicted"});
            (200, json!({"items": [evicted, pod()]}))
        }
        (&Method::POST, _) => (201, json!({"status": {"token": "short-lived"}})),
        _ => (200, json!({"node": "node1"})),
    });

    let agents = Agents::find(&ask, None).await.unwrap();
    let report = agents.report("node1", "").await;

    assert_eq!(report.unwrap().node, "node1");
    assert!(asked.lock().unwrap().last().unwrap().1.contains("https:probelet-agent-x:9500"));
}

/// What is said of an agent behind an API server that answers so, and how often it was asked through it.
async fn through(code: u16, body: Value) -> (Error, usize) {
    let (ask, asked) = server(move |method, path, _| match (method, path) {
        (_, path) if is_pods(path) => (200, json!({"items": [pod()]})),
        (&Method::POST, _) => (201, json!({"status": {"token": "t"}})),
        _ => (code, body.clone()),
    });
    let agents = Agents::find(&ask, None).await.unwrap();
    let error = agents.report("node1", "").await.unwrap_err();
    let times =
        asked.lock().unwrap().iter().filter(|(_, path, _)| path.contains("/proxy/")).count();
    (error, times)
}

#[tokio::test]
async fn an_agent_that_the_api_server_cannot_reach_is_not_a_busy_one() {
    for (code, message) in [
        (503, "error trying to reach service: dial tcp 10.0.0.5:9500: i/o timeout"),
        (500, "No agent available"),
        (502, "proxy error from 127.0.0.1:9345 while dialing 10.0.0.5:9500"),
    ] {
        let status =
            json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
        let (error, times) = through(code, status).await;

        let said = error.to_string();
        assert_eq!(
            said,
            format!("the API server cannot reach the agent of node1 (port 9500): {message}")
        );
        assert!(error.next().unwrap().contains("open that port"), "{:?}", error.next());
        assert_eq!(times, 1, "{code}");
    }
}
