//! Answers as people read them, from what a real cluster said.
//!
//! The fixtures are two agents' reports and a NodeProbe of the demo. `WRITE_GOLDEN=1 cargo test -p kubectl-probelet --test
//! answers` writes what is expected; read the difference before you commit it. I/O: reads and perhaps writes files.

#![allow(clippy::needless_pass_by_value, reason = "objects are written where they are passed")]
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "answers/explain.rs"]
mod explained;
#[path = "answers/status.rs"]
mod status;

use std::collections::BTreeSet;
use std::{fs, path::Path};

use jiff::Timestamp;
use kubectl_probelet::answer::conns::{Conns, Which};
use kubectl_probelet::answer::doctor::Diagnosis;
use kubectl_probelet::answer::dry_run::DryRun;
use kubectl_probelet::answer::effective::Effective;
use kubectl_probelet::answer::explain::{self, Explanation};
use kubectl_probelet::answer::map::Map;
use kubectl_probelet::answer::naming::{Asked, Names};
use kubectl_probelet::answer::netpol::{Ends, Policy, Subject};
use kubectl_probelet::answer::procs::Procs;
use kubectl_probelet::answer::rollout::Rollouts;
use kubectl_probelet::answer::status::{Seen, Status};
use kubectl_probelet::answer::top::{Look, Top};
use kubectl_probelet::args::{Format, Ranking};
use kubectl_probelet::seen::config::Config;
use kubectl_probelet::seen::pod::Pod;
use kubectl_probelet::seen::probe::Probe;
use kubectl_probelet::seen::report::{Report, Rtt};
use kubectl_probelet::seen::{DaemonCounts, Lease, Node, Service};
use kubectl_probelet::show::Answer;
use kubectl_probelet::target::Target;
use serde_json::{Value, json};

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(path, text).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{name} is now:\n{text}\nand was:\n{wanted}");
}

fn shown(answer: &impl Answer) -> String {
    answer.page(false).text(false)
}

fn reports() -> Vec<Report> {
    [include_str!("fixtures/report-node1.json"), include_str!("fixtures/report-node2.json")]
        .map(|text| serde_json::from_str(text).unwrap())
        .into()
}

fn services() -> Vec<Service> {
    let service = |name: &str, ports: Value| {
        json!({"metadata": {"namespace": "shop", "name": name},
            "spec": {"selector": {"app": name}, "ports": ports}})
    };
    [
        service(
            "api",
            json!([{"port": 80, "targetPort": 8080}, {"port": 9000, "targetPort": 9000}]),
        ),
        service("db", json!([{"port": 5432, "targetPort": 5432}])),
        service("frontend", json!([{"port": 80, "targetPort": 8080}])),
    ]
    .map(|object| serde_json::from_value(object).unwrap())
    .into()
}

fn object() -> Value {
    serde_json::from_str(include_str!("fixtures/nodeprobe.json")).unwrap()
}

/// A node like the real one, but for what is set at these paths.
fn probe(name: &str, changes: &[(&str, Value)]) -> Probe {
    let mut object = object();
    object["metadata"]["name"] = name.into();
    for (path, value) in changes {
        let (parent, key) = path.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-23T12:00:00Z"})
}

fn config(name: &str, spec: Value, status: Value) -> Config {
    serde_json::from_value(json!({
        "metadata": {"name": name, "uid": name, "generation": 3,
            "creationTimestamp": "2026-11-23T12:00:00Z"},
        "spec": spec, "status": status,
    }))
    .unwrap()
}

fn complete(nodes: i64) -> Value {
    json!({"observedGeneration": 3, "nodes": {"matched": nodes, "effective": nodes, "applied": nodes},
        "fleet": {"cpu": "5600u"},
        "rollout": {"generation": 3, "hash": "f525201dc7cf2765", "phase": "Complete"}})
}

fn lease(renewed: &str) -> Lease {
    let spec = json!({"holderIdentity": "probelet-operator-1", "leaseDurationSeconds": 15,
        "renewTime": renewed});
    serde_json::from_value(json!({ "spec": spec })).unwrap()
}

fn seen(probes: Vec<Probe>, configs: Vec<Config>) -> Seen {
    let nodes = probes.len() as u64;
    Seen {
        server: "https://10.72.0.1:6443".to_owned(),
        place: ("probelet".to_owned(), "probelet".to_owned()),
        probes,
        nodes: Some(nodes),
        configs,
        lease: Ok(Some(lease("2026-11-23T13:00:00Z"))),
        operators: Ok(Vec::new()),
        daemons: Some(DaemonCounts { desired_number_scheduled: nodes, number_ready: nodes }),
        down: Vec::new(),
        now: "2026-11-23T13:00:02Z".parse::<Timestamp>().unwrap(),
    }
}

#[test]
fn connections_of_a_workload_are_named_on_both_nodes() {
    let target = Target::Workload("shop/Deployment/api".to_owned());

    golden("conns-workload.txt", &shown(&Conns::of(&target, &reports(), Which::default())));
}

#[test]
fn connections_of_a_service_are_those_that_come_in() {
    let target = Target::Service("shop/db".to_owned(), BTreeSet::new());
    let which = Which { closed: true, port: None };

    golden("conns-service.txt", &shown(&Conns::of(&target, &reports(), which)));
}

#[test]
fn what_opened_and_what_closed_is_reported_between_two_looks() {
    let target = Target::Workload("shop/StatefulSet/db".to_owned());
    let mut now = reports();
    let before = Conns::of(&target, &now, Which::default());
    let mut gone = now[0].connections.iter().position(|c| c.pod.as_deref() == Some("shop/db-0"));
    now[0].connections[gone.take().unwrap()].id = 9_999;

    let text = Conns::of(&target, &now, Which::default()).since(&before, false);

    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("- shop/db-0 ← ") && text.contains("\n+ shop/db-0 ← "), "{text}");
}

#[test]
fn processes_of_a_pod_are_listed_with_their_sockets() {
    let target = Target::Pod("shop/db-0".to_owned());

    golden("procs-pod.txt", &shown(&Procs::of(&target, &reports())));
}

#[test]
fn a_map_joins_what_both_nodes_say_of_a_flow() {
    let reports = reports();
    let names = Names::of(&reports, &services(), Asked::Every);

    let map = Map::of(&reports, &names, Some("shop"), false);

    golden("map.txt", &shown(&map));
    golden("map.dot", &map.picture(Format::Dot).unwrap());
    golden("map.mmd", &map.picture(Format::Mermaid).unwrap());
    golden("map.svg", &map.picture(Format::Svg).unwrap());
    let twice = |port| {
        map.edges.iter().filter(|e| e.from == "shop/Deployment/api" && e.port == port).count()
    };
    assert_eq!(twice(5432), 1, "{:?}", map.edges);
}

#[test]
fn a_sick_edge_says_so_and_a_wide_map_has_its_figures() {
    let mut reports = reports();
    let sick = reports[0].flows.iter_mut().find(|flow| flow.port == 5432).unwrap();
    sick.problems = vec!["lossy".to_owned(), "no <word>".to_owned()];
    sick.retransmitted_share = Some(0.021);
    sick.rtt_seconds = Some(Rtt { min: 0.0001, median: 0.0205, p99: 0.3 });
    let names = Names::of(&reports, &services(), Asked::Every);
    let map = Map::of(&reports, &names, Some("shop"), false);

    let line = |wide| {
        let text = map.page(wide).text(false);
        text.lines().find(|line| line.contains("lossy")).unwrap().to_owned()
    };
    assert!(line(false).contains("5432") && !line(false).contains("20.5ms"), "{}", line(false));
    assert!(line(true).contains("0.1ms") && line(true).contains("20.5ms"), "{}", line(true));
    assert!(line(true).contains("2.1%") && !line(true).contains("<word>"), "{}", line(true));
}

#[test]
fn a_policy_allows_what_was_seen_and_says_what_was_not() {
    let reports = reports();
    let names = Names::of(&reports, &services(), Asked::Every);
    let pod = |name: &str, app: &str, owner: Value| {
        json!({"metadata": {"namespace": "shop", "name": name, "labels": {"app": app, "pod-template-hash": "67b6d7cc47"},
            "ownerReferences": [owner]}})
    };
    let replicas = |name: &str| json!({"kind": "ReplicaSet", "name": format!("{name}-67b6d7cc47"), "controller": true});
    let pods: Vec<Pod> = [
        pod("api-67b6d7cc47-pfg82", "api", replicas("api")),
        pod("api-67b6d7cc47-cm7hp", "api", replicas("api")),
        pod("frontend-67b6d7cc47-x", "frontend", replicas("frontend")),
        pod("db-0", "db", json!({"kind": "StatefulSet", "name": "db", "controller": true})),
    ]
    .map(|object| serde_json::from_value(object).unwrap())
    .into();

    let subject = Subject::workload("shop/Deployment/api");
    let policy = Policy::of(&subject, &reports, &names, &Ends::of(&pods, &services())).unwrap();

    golden("netpol.yaml", &policy.text());
}

#[test]
fn what_is_in_force_says_where_each_value_comes_from() {
    let mut stored = object();
    stored["spec"]["config"]["intervals"]["sockets"] = "2s".into();
    let probe: Probe = serde_json::from_value(stored.clone()).unwrap();
    let node: Node =
        serde_json::from_value(json!({"metadata": {"name": "node1", "labels": {"pool": "gpu"}}}))
            .unwrap();
    let configs = [
        config("default", json!({"intervals": {"sockets": "2s"}, "priority": 1}), complete(2)),
        config("gpu", json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}}}), complete(0)),
    ];

    let effective = Effective::of(&stored, &probe, Some(&node), &configs, true);

    golden("effective.txt", &shown(&effective));
}

#[test]
fn a_dry_run_shows_which_nodes_change_and_what_it_would_cost() {
    let node = |name: &str, pool: &str| {
        serde_json::from_value::<Node>(
            json!({"metadata": {"name": name, "labels": {"pool": pool}}}),
        )
        .unwrap()
    };
    let nodes = [("node1", "gpu"), ("node2", "web"), ("node3", "gpu"), ("windows", "gpu")]
        .map(|(name, pool)| node(name, pool));
    let probes = ["node1", "node2", "node3"].map(|name| probe(name, &[]));
    let live = [config("default", json!({}), complete(3))];
    let mut new = config(
        "gpu",
        json!({"priority": 5, "nodeSelector": {"matchLabels": {"pool": "gpu"}},
            "intervals": {"sockets": "500ms"}, "budget": {"cpu": "20m"}}),
        Value::Null,
    );
    new.metadata.creation_timestamp = None;

    let answer = DryRun::of(&[new], &live, &nodes, &probes);

    golden("dry-run.txt", &shown(&answer));
    assert!(answer.refused.is_empty());
}

#[test]
fn a_dry_run_of_a_bad_file_says_what_would_be_right() {
    let live = [config("default", json!({}), complete(1))];
    let bad = config("default", json!({"budget": {"cpu": "0.1m"}, "intervls": {}}), Value::Null);

    let answer = DryRun::of(&[bad], &live, &[], &[]);

    golden("dry-run-refused.txt", &shown(&answer));
}

#[test]
fn rollouts_say_how_far_they_are_and_whether_they_are_paused() {
    let mut held = config(
        "gpu",
        json!({}),
        json!({"observedGeneration": 3, "nodes": {"effective": 40, "applied": 8, "pending": 32},
            "rollout": {"generation": 3, "hash": "ab", "previousHash": "cd", "phase": "Rolling"}}),
    );
    held.metadata.annotations.insert("probelet.io/rollout".to_owned(), "paused".to_owned());

    let rollouts = Rollouts::of(&[config("default", json!({}), complete(2)), held]);

    golden("rollouts.txt", &shown(&rollouts));
    assert_eq!(rollouts.ended(), None);
}

#[test]
fn what_the_operator_has_not_seen_yet_cannot_have_failed() {
    let ended = |generation: i64| {
        let status = json!({"observedGeneration": 3, "nodes": {"effective": 4, "failed": 1}});
        let object = json!({"metadata": {"name": "fast", "generation": generation}, "spec": {}, "status": status});
        Rollouts::of(&[serde_json::from_value(object).unwrap()]).ended()
    };

    assert_eq!((ended(3), ended(4)), (Some(false), None));
}

fn pod(ready: bool) -> Pod {
    let status = if ready { "True" } else { "False" };
    serde_json::from_value(
        json!({"metadata": {"namespace": "probelet", "name": "probelet-agent-snjvz"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}],
            "containerStatuses": [{"restartCount": 0}]}}),
    )
    .unwrap()
}

#[test]
fn of_flows_the_sick_ones_come_first_with_what_is_wrong() {
    let mut reports = reports();
    let quiet = reports[0]
        .flows
        .iter_mut()
        .find(|flow| flow.reporter == "source" && flow.destination.name.is_some())
        .unwrap();
    quiet.problems = vec!["lossy".to_owned()];
    quiet.retransmitted_share = Some(0.021);
    quiet.failed = 7;
    quiet.current = 0;

    let look = Look { reports, whole: true, ..Look::default() };
    let text = shown(&Top::of(Ranking::Flows, &look, None, 10));

    let first = text.lines().nth(1).unwrap();
    assert!(first.contains("2.1%") && first.ends_with("lossy"), "{text}");
}

#[test]
fn an_agent_without_room_is_a_loss_whatever_its_name_and_another_silence_a_fault() {
    let mark = |busy, why: &str| {
        let report = Err(explain::Unreported { why: why.to_owned(), busy, next: None });
        let seen = explain::Seen {
            node: "busybox-pool-1",
            place: ("probelet", "probelet"),
            probe: None,
            pod: None,
            config: None,
            report,
            operated: None,
        };
        let text = serde_json::to_value(Diagnosis::of(&seen)).unwrap();
        let findings = text["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["about"] == "report").unwrap()["mark"].clone()
    };

    assert_ne!(
        mark(false, "the agent of busybox-pool-1 does not answer"),
        mark(true, "the agent of busybox-pool-1 has nothing left of its budget")
    );
}

#[test]
fn the_doctor_says_what_is_lost_and_how_to_get_it_back() {
    let missing =
        condition("PermissionsOK", "False", "CapabilitiesMissing", "BPF, PERFMON are missing");
    let probe = probe("node1", &[("/status/conditions", json!([missing]))]);
    let mut report = reports().swap_remove(0);
    report.source = "netlink".to_owned();
    report.agent.refused =
        vec!["bpf: the kernel refuses to load programs (EPERM): CAP_BPF is missing".to_owned()];
    let pod = pod(true);

    let answer = Diagnosis::of(&explain::Seen {
        node: "node1",
        place: ("probelet", "probelet"),
        probe: Some(&probe),
        pod: Some(&pod),
        config: None,
        report: Ok(&report),
        operated: None,
    });

    golden("doctor.txt", &shown(&answer));
}

#[test]
fn the_ranking_of_nodes_flows_and_processes_needs_two_looks_for_rates() {
    let look = |later: f64| {
        let mut reports = reports();
        for report in &mut reports {
            report.time += later;
            for process in &mut report.processes {
                process.cpu_seconds += later * 0.01;
            }
            for flow in &mut report.flows {
                flow.opened += 4;
            }
        }
        Look {
            probes: vec![probe("node1", &[]), probe("node2", &[])],
            reports,
            whole: true,
            unasked: Vec::new(),
            asked: Asked::Every,
        }
    };
    let (first, mut second) = (look(0.0), look(2.0));
    second.reports[0].flows[0].opened += 4;

    for (ranking, name) in [
        (Ranking::Nodes, "top-nodes.txt"),
        (Ranking::Flows, "top-flows.txt"),
        (Ranking::Procs, "top-procs.txt"),
    ] {
        golden(name, &shown(&Top::of(ranking, &second, Some(&first), 8)));
    }
}
