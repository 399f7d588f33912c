//! One small cluster as two agents see it: what they say of it in reports and in metrics is kept, so that the plugin's
//! map and the recording rules can be held to the same edges.
//!
//! `cli/tests/edges.rs` makes edges of the reports, `e2e/dashboards/edges.py` of the metrics, by the rules.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, may fail a test by panicking")]
#![allow(dead_code, reason = "the helpers are shared with other tests")]

#[path = "http/client.rs"]
mod client;
#[path = "http/node.rs"]
mod node;

use client::start;
use probelet_agent::snapshot::Snapshot;
use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Phase, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Role, Socket, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Entry, Limits, Now, Report, Translated};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Pods: node, name, controller's kind and name, app, address.
const PODS: [(&str, &str, &str, &str, &str, &str); 6] = [
    ("a", "web-1", "ReplicaSet", "web", "web", "10.1.1.5"),
    ("a", "db-0", "StatefulSet", "db", "db", "10.1.1.6"),
    ("a", "nightly-1", "StatefulSet", "nightly", "nightly", "10.1.1.9"),
    ("b", "web-2", "ReplicaSet", "web", "web", "10.1.2.5"),
    ("b", "api-1", "StatefulSet", "api", "api", "10.1.2.6"),
    ("b", "api-canary-1", "StatefulSet", "api-canary", "api", "10.1.2.7"),
];
/// Services: name, address, port, the port of its pods, app.
const SERVICES: [(&str, &str, u16, u16, &str); 3] = [
    ("web", "10.96.0.1", 80, 8080, "web"),
    ("db", "10.96.0.2", 5432, 5432, "db"),
    ("api", "10.96.0.3", 80, 9000, "api"),
];
/// Connections: who opens, what is dialled, and who answers.
const CONNECTIONS: [(&str, &str, &str); 11] = [
    // From node to node by a Service of one workload, and inside of one.
    ("10.1.2.5:40001", "10.96.0.2:5432", "10.1.1.6:5432"),
    ("10.1.1.5:40002", "10.96.0.2:5432", "10.1.1.6:5432"),
    // By a Service of two workloads, from both nodes.
    ("10.1.1.5:40003", "10.96.0.3:80", "10.1.2.6:9000"),
    ("10.1.2.5:40004", "10.96.0.3:80", "10.1.2.7:9000"),
    // A pod that is dialled itself.
    ("10.1.2.6:40005", "10.1.1.6:5432", "10.1.1.6:5432"),
    // A client without a Service: the other node cannot name it.
    ("10.1.1.9:40006", "10.96.0.1:80", "10.1.2.5:8080"),
    // To and from outside.
    ("10.1.1.5:40007", "203.0.113.9:443", "203.0.113.9:443"),
    ("203.0.113.7:40008", "10.1.2.5:8080", "10.1.2.5:8080"),
    // From a private address that may be of a node.
    ("10.9.9.9:40009", "10.1.1.6:5432", "10.1.1.6:5432"),
    // The API server, and a node without an agent.
    ("10.1.2.6:40010", "10.96.0.99:443", "172.18.0.9:6443"),
    ("10.1.3.5:40011", "10.1.1.6:5432", "10.1.1.6:5432"),
];

fn end(text: &str) -> Endpoint {
    match text.parse().unwrap() {
        SocketAddr::V4(at) => Endpoint::v4(*at.ip(), at.port()),
        SocketAddr::V6(at) => Endpoint::v6(*at.ip(), at.port()),
    }
}

fn address(end: &str) -> &str {
    end.rsplit_once(':').unwrap().0
}

fn uid(name: &str) -> String {
    format!("00000000-0000-0000-0000-{:0>12}", name.bytes().map(u64::from).sum::<u64>())
}

fn labels(app: &str) -> Vec<(Box<str>, Box<str>)> {
    vec![("app".into(), app.into()), ("pod-template-hash".into(), "5d9c".into())]
}

fn objects(node: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for (at, name, kind, owner, app, ip) in PODS.iter().filter(|pod| pod.0 == node) {
        let owner = if *kind == "ReplicaSet" { format!("{owner}-5d9c") } else { (*owner).into() };
        events.push(Event::Pod(Pod {
            uid: uid(name).into(),
            namespace: "shop".into(),
            name: (*name).into(),
            labels: labels(app),
            controller: Some(((*kind).into(), owner.into())),
            phase: Phase::Running,
            ready: true,
            ips: vec![ip.parse().unwrap()],
            host_ips: vec![format!("172.18.0.{}", at.as_bytes()[0]).parse().unwrap()],
            ..Pod::default()
        }));
    }
    for (name, ip, port, target, app) in SERVICES {
        events.push(Event::Service(Service {
            namespace: "shop".into(),
            name: name.into(),
            selector: vec![("app".into(), app.into())],
            cluster_ips: vec![ip.parse().unwrap()],
            ports: vec![ServicePort { port, ..ServicePort::default() }],
            ..Service::default()
        }));
        let pods = PODS.iter().filter(|pod| pod.4 == app).map(|pod| (pod.0, pod.1, pod.5));
        // One more pod of `web`, on a node without an agent.
        let far = (name == "web").then_some(("c", "web-3", "10.1.3.5"));
        let endpoints = pods.chain(far).map(|(node, pod, ip)| Backend {
            addresses: vec![ip.parse().unwrap()],
            ready: true,
            pod: Some(("shop".into(), pod.into(), uid(pod).into())),
            node: Some(node.into()),
            ..Backend::default()
        });
        events.push(Event::EndpointSlice(slice("shop", name, endpoints.collect(), target)));
    }
    events.push(Event::Service(Service {
        namespace: "default".into(),
        name: "kubernetes".into(),
        cluster_ips: vec!["10.96.0.99".parse().unwrap()],
        ports: vec![ServicePort { port: 443, ..ServicePort::default() }],
        ..Service::default()
    }));
    let server = Backend {
        addresses: vec!["172.18.0.9".parse().unwrap()],
        ready: true,
        ..Backend::default()
    };
    events.push(Event::EndpointSlice(slice("default", "kubernetes", vec![server], 6443)));
    events
}

fn slice(namespace: &str, service: &str, endpoints: Vec<Backend>, port: u16) -> EndpointSlice {
    EndpointSlice {
        namespace: namespace.into(),
        name: format!("{service}-abcde").into(),
        service: service.into(),
        endpoints,
        ports: vec![SlicePort { port, ..SlicePort::default() }],
        managed: true,
    }
}

/// A container and a process of each pod of a node, in a namespace of its own.
fn processes(name: &str) -> Facts {
    let mut facts = Facts { fresh: Some(Want::Everything), ..Facts::default() };
    for (n, pod) in (0..).zip(PODS.iter().filter(|pod| pod.0 == name)) {
        let id = format!("{n:x}").repeat(64);
        let pod_uid = Some(uid(pod.1));
        facts.containers.push(Container { id, pod_uid, ..Container::default() });
        facts.processes.push(Process {
            pid: 100 + n,
            start_ns: 5,
            netns: 1000 + n,
            comm: Comm::new(b"app"),
            container: Some(ContainerId(n)),
            ..Process::default()
        });
        facts.netns.push(Netns { inode: 1000 + n, ..Netns::default() });
    }
    facts
}

/// What the agent of a node publishes.
fn snapshot(name: &str) -> Snapshot {
    let mut report = Report::new(Limits::default(), PortRange::default());
    report.watch(Cluster::new(Settings { node: name.into(), ..Settings::default() }, 1));
    let mut facts = processes(name);
    let now =
        |second: u64| Now { unix_ms: 1_700_000_000_000 + second * 1000, mono_ms: 9000 + second };
    let lists = Kind::ALL.map(Event::Listing).into_iter();
    let lists = lists.chain(objects(name)).chain(Kind::ALL.map(Event::Listed));
    lists.for_each(|event| report.cluster().unwrap().apply(event, 0));
    report.rename(now(0));
    report.update(&facts, now(0));

    let place = |ip: &str| PODS.iter().filter(|pod| pod.0 == name).position(|pod| pod.5 == ip);
    for (client, dialled, server) in CONNECTIONS {
        let ends = [(client, dialled, Role::Dialled), (server, client, Role::Accepted)];
        for (local, remote, role) in ends {
            let Some(at) = place(address(local)) else { continue };
            let at = u32::try_from(at).unwrap();
            facts.sockets.push(Socket {
                netns: 1000 + at,
                inode: u32::try_from(facts.sockets.len()).unwrap() + 1,
                pid: 100 + at,
                local: end(local),
                remote: end(remote),
                role,
                ..Socket::default()
            });
        }
    }
    report.update(&facts, now(1));
    loop {
        report.waiting(100_000);
        let questions = report.unanswered(100);
        if questions.is_empty() {
            break;
        }
        let answers = questions.into_iter().map(|question| {
            let known = CONNECTIONS.iter().find(|(client, ..)| end(client) == question.local);
            let entry = |(client, service, backend): &(&str, &str, &str)| Entry {
                client: end(client),
                service: end(service),
                backend: end(backend),
                seen: end(client),
            };
            (question, known.map_or(Translated::Unknown, |known| Translated::Entry(entry(known))))
        });
        let answers: Vec<_> = answers.collect();
        report.answer(&answers, now(1));
    }
    Snapshot { node: name.into(), ..node::snapshot(report.picture(now(1))) }
}

/// Holds what is said to what was kept; with WRITE_GOLDEN it is kept.
fn hold(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/dashboards/edges").join(name);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{name} is now:\n{text}\nand was:\n{kept}");
}

#[tokio::test]
async fn what_two_agents_say_of_one_cluster_is_kept() {
    let families = ["probelet_flows", "probelet_service_pods", "probelet_agent_node_info"]
        .map(|f| format!("{f}{{"));
    for name in ["a", "b"] {
        let server = start(Arc::new(snapshot(name))).await;

        let report: Value = serde_json::from_slice(&server.get("/v1/report").await.body).unwrap();
        let metrics = String::from_utf8(server.get("/metrics").await.body).unwrap();

        let lists = ["pods", "flows"].map(|list| {
            let rows: Vec<String> =
                report[list].as_array().unwrap().iter().map(Value::to_string).collect();
            format!("\"{list}\": [\n{}\n]", rows.join(",\n"))
        });
        hold(&format!("{name}.json"), &format!("{{\"node\": \"{name}\", {}}}\n", lists.join(", ")));
        let lines = metrics.lines().filter(|line| families.iter().any(|f| line.starts_with(f)));
        hold(&format!("{name}.prom"), &(lines.collect::<Vec<_>>().join("\n") + "\n"));
    }
}
