//! Answers from a part of the cluster: a node that does not answer, a pod that is not ready, one that ended, another agent.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeSet;

use kubectl_probelet::answer::checkup::Checkup;
use kubectl_probelet::answer::conns::{Conns, Which};
use kubectl_probelet::answer::map::Map;
use kubectl_probelet::answer::naming::{Asked, Names};
use kubectl_probelet::answer::netpol::{Ends, Policy, Subject};
use kubectl_probelet::answer::top::{Look, Top};
use kubectl_probelet::args::Ranking;
use kubectl_probelet::seen::Service;
use kubectl_probelet::seen::pod::Pod;
use kubectl_probelet::seen::report::Report;
use kubectl_probelet::show::Answer as _;
use kubectl_probelet::target::Target;
use serde_json::{Value, json};

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The report of a node with connections of the pod `shop/db-0`, by their numbers and remote ports.
fn connected(node: &str, instance: &str, connections: &[(u64, u16)]) -> Report {
    let connection = |&(id, port): &(u64, u16)| {
        json!({"id": id, "pod": "shop/db-0", "direction": "inbound", "protocol": "tcp", "state": "established",
            "local": "10.0.0.1:5432", "remote": format!("10.0.0.9:{port}"), "peer": {"kind": "pod", "name": "shop/web-0"}})
    };
    read(json!({"node": node, "instance": instance,
        "pods": [{"namespace": "shop", "name": "db-0", "workload": "shop/StatefulSet/db"}],
        "connections": connections.iter().map(connection).collect::<Vec<_>>()}))
}

fn conns(reports: &[Report], silent: &[&str]) -> Conns {
    let target = Target::Workload("shop/StatefulSet/db".to_owned());
    let mut conns = Conns::of(&target, reports, Which::default());
    conns.unasked =
        silent.iter().map(|node| ((*node).to_owned(), "it is busy".to_owned())).collect();
    conns
}

#[test]
fn connections_of_a_node_that_does_not_answer_have_not_closed() {
    let both = [connected("n1", "a", &[(1, 40_001)]), connected("n2", "b", &[(1, 40_002)])];
    let first = conns(&both, &[]);
    let second = conns(&both[..1], &["n2"]);

    assert_eq!(second.since(&first, false), "INCOMPLETE: n2 did not respond: it is busy\n");
    let second = second.keeping(first);
    let third = conns(&both[..1], &["n2"]);
    assert_eq!(third.since(&second, false), "", "it is said once");
    let third = third.keeping(second);
    let fourth = [both[0].clone(), connected("n2", "b", &[(2, 40_003)])];
    let text = conns(&fourth, &[]).since(&third, false);
    assert_eq!(text.lines().map(|line| &line[..1]).collect::<String>(), "-+", "{text}");
}

#[test]
fn connections_of_a_node_that_answers_first_have_not_opened() {
    let both = [connected("n1", "a", &[(1, 40_001)]), connected("n2", "b", &[(1, 40_002)])];

    let text = conns(&both, &[]).since(&conns(&both[..1], &["n2"]), false);

    assert_eq!(text.lines().map(|line| &line[..1]).collect::<String>(), " ", "{text}");
}

#[test]
fn numbers_of_another_agent_are_of_other_connections() {
    let before = conns(&[connected("n1", "a", &[(1, 40_001), (2, 40_002)])], &[]);

    let text =
        conns(&[connected("n1", "b", &[(1, 40_002), (2, 40_003)])], &[]).since(&before, false);

    assert_eq!(text.lines().map(|line| &line[..1]).collect::<String>(), "-+", "{text}");
}

#[test]
fn a_pod_that_is_not_ready_is_still_one_of_its_service() {
    let report: Report = read(json!({"node": "n1",
        "pods": [{"namespace": "shop", "name": "api-0", "workload": "shop/StatefulSet/api", "services": []}],
        "risks": [{"risk": "accept-queue", "pod": "shop/api-0", "used": 128, "limit": 128}]}));
    let selected = BTreeSet::from(["shop/api-0".to_owned()]);
    let target = Target::Service("shop/api".to_owned(), selected);

    let checkup = Checkup::of(&target, &[report]);

    let text = checkup.page(false).text(false);
    assert!(text.contains("BAD   accept-queue 128 of 128"), "{text}");
}

#[expect(clippy::needless_pass_by_value, reason = "objects are written where they are passed")]
fn flow(source: &str, destination: Value, port: u16, protocol: &str) -> Value {
    json!({"source": {"kind": "workload", "name": source}, "destination": destination, "port": port,
        "protocol": protocol, "reporter": "source", "opened": 10, "current": 1})
}

#[test]
fn a_service_is_a_workload_only_where_no_node_can_have_another_one() {
    let to = json!({"kind": "service", "name": "es/es"});
    let report: Report = read(json!({"node": "n1",
        "pods": [{"namespace": "es", "name": "ingest-0", "workload": "es/StatefulSet/ingest", "services": ["es/es"]}],
        "flows": [flow("shop/Deployment/web", to, 9200, "tcp")]}));
    let reports = [report];
    let service: Service = read(
        json!({"metadata": {"namespace": "es", "name": "es"}, "spec": {"selector": {"app": "es"}}}),
    );
    let to = |names: &Names| Map::of(&reports, names, None, true).edges[0].to.clone();
    let of = |asked: Asked| to(&Names::of(&reports, &[], asked));

    assert_eq!(of(Asked::Every), "es/StatefulSet/ingest");
    assert_eq!(of(Asked::Namespace("es".to_owned())), "es/StatefulSet/ingest");
    assert_eq!(of(Asked::Namespace("shop".to_owned())), "es/Service/es");
    assert_eq!(of(Asked::Some), "es/Service/es");
    // A node that did not answer has a pod of it.
    let silent: Pod =
        read(json!({"metadata": {"namespace": "es", "name": "data-0", "labels": {"app": "es"},
        "ownerReferences": [{"kind": "StatefulSet", "name": "data", "controller": true}]}}));
    let mut names = Names::of(&reports, &[], Asked::Every);
    names.also(&[silent], &[service]);
    assert_eq!(to(&names), "es/Service/es");
}

#[test]
fn the_address_of_a_pod_that_ended_is_that_of_who_has_it_now() {
    let end = json!({"kind": "external", "name": "10.244.0.9"});
    let listed = |name: &str, phase: &str| json!({"namespace": "shop", "name": name, "workload": format!("shop/Pod/{name}"), "phase": phase, "ips": ["10.244.0.9"]});
    let report: Report = read(
        json!({"node": "n1", "pods": [listed("new", "Running"), listed("old", "Ended")],
        "flows": [{"source": end, "destination": {"kind": "workload", "name": "shop/StatefulSet/db"},
            "port": 5432, "protocol": "tcp", "reporter": "destination", "opened": 1}]}),
    );
    let reports = [report];

    let names = Names::of(&reports, &[], Asked::Every);

    let from = names.name(&reports[0].flows[0].source);
    assert_eq!(from.as_deref(), Some("shop/Pod/new"));

    // The same of what the API server lists.
    let pod = |namespace: &str, name: &str, phase: &str, ip: &str| -> Pod {
        read(json!({"metadata": {"namespace": namespace, "name": name, "labels": {"app": name},
                "ownerReferences": [{"kind": "StatefulSet", "name": name, "controller": true}]},
            "status": {"phase": phase, "podIPs": [{"ip": ip}]}}))
    };
    let pods = [
        pod("aaa", "job", "Succeeded", "10.244.0.9"),
        pod("zzz", "client", "Running", "10.244.0.9"),
        pod("shop", "db", "Running", "10.244.0.1"),
    ];
    let names = Names::of(&[], &[], Asked::Some);
    let subject = Subject::workload("shop/StatefulSet/db");
    let policy = Policy::of(&subject, &reports, &names, &Ends::of(&pods, &[])).unwrap().text();
    assert!(policy.contains("kubernetes.io/metadata.name: zzz"), "{policy}");
    assert!(!policy.contains("aaa"), "{policy}");
}

#[test]
fn attempts_that_all_failed_open_no_port_and_no_policy_has_port_0() {
    let report: Report = read(json!({"node": "n1", "flows": [
        flow("shop/Deployment/web", json!({"kind": "workload", "name": "shop/StatefulSet/db"}), 5432, "tcp"),
        {"source": {"kind": "workload", "name": "shop/Deployment/cron"}, "destination": {"kind": "workload", "name": "shop/StatefulSet/db"},
            "port": 0, "protocol": "tcp", "reporter": "source", "failed": 3}]}));
    let pod = |name: &str, kind: &str, owner: &str| -> Pod {
        read(json!({"metadata": {"namespace": "shop", "name": name, "labels": {"app": name},
            "ownerReferences": [{"kind": kind, "name": owner, "controller": true}]}}))
    };
    let pods = [
        pod("db", "StatefulSet", "db"),
        pod("web", "ReplicaSet", "web-67b6d7cc47"),
        pod("cron", "ReplicaSet", "cron-67b6d7cc47"),
    ];
    let reports = [report];
    let names = Names::of(&reports, &[], Asked::Some);

    let subject = Subject::workload("shop/StatefulSet/db");
    let text = Policy::of(&subject, &reports, &names, &Ends::of(&pods, &[])).unwrap().text();

    assert!(text.contains("port: 5432") && !text.contains("port: 0"), "{text}");
    assert!(!text.contains("app: cron"), "{text}");
}

#[test]
fn rates_of_flows_are_of_one_protocol_and_of_the_same_agents() {
    let dns = || json!({"kind": "workload", "name": "kube-system/Deployment/coredns"});
    let look = |later: f64, instance: &str| {
        let mut tcp = flow("shop/Deployment/web", dns(), 53, "tcp");
        tcp["opened"] = json!(1000);
        let report: Report =
            read(json!({"node": "n1", "instance": instance, "time": 100.0 + later,
            "flows": [tcp, flow("shop/Deployment/web", dns(), 53, "udp")]}));
        Look { reports: vec![report], whole: true, asked: Asked::Every, ..Look::default() }
    };
    let rates = |before: &Look, now: &Look| -> Vec<Value> {
        let top = serde_json::to_value(Top::of(Ranking::Flows, now, Some(before), 9)).unwrap();
        top["rows"].as_array().unwrap().iter().map(|row| row["openedPerSecond"].clone()).collect()
    };

    assert_eq!(rates(&look(0.0, "a"), &look(2.0, "a")), [json!(0.0), json!(0.0)]);
    assert_eq!(rates(&look(0.0, "a"), &look(2.0, "b")), [Value::Null, Value::Null]);
}
