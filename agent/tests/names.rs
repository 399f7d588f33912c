//! Names of pods and Services where people see them: report, deltas, filters, metrics, `once`.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too, may fail a test by panicking")]
#![allow(dead_code, reason = "the helpers are shared with other tests")]

#[path = "http/client.rs"]
mod client;
#[path = "http/node.rs"]
mod node;

use client::{Server, start};
use probelet_agent::once;
use probelet_agent::snapshot::Snapshot;
use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Phase, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, Grain, Settings};
use probelet_core::display::ContainerNames;
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Socket, State, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Entry, Limits, Now, Report, Translated};
use serde_json::{Value, json};
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ID: &str = "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";
const UID: &str = "8dbc6577-d0e2-4706-8787-57d52c03ddf2";

/// A node with one container that listens and is connected to a Service.
struct World {
    report: Report,
    facts: Facts,
    second: u64,
}

impl World {
    fn new(grain: Grain) -> Self {
        let mut report = Report::new(Limits::default(), PortRange::default());
        report.watch(Cluster::new(Settings { grain, ..Settings::default() }, 1));
        let container =
            Container { id: ID.into(), pod_uid: Some(UID.into()), ..Container::default() };
        let process = Process {
            pid: 42,
            start_ns: 5,
            netns: 7,
            comm: Comm::new(b"nginx"),
            container: Some(ContainerId(0)),
            cpu_ns: 2_000_000_000,
            open_fds: Some(9),
            ..Process::default()
        };
        let at = |d, port| Endpoint::v4([10, 1, 0, d].into(), port);
        let service = Endpoint::v4([10, 96, 0, 7].into(), 80);
        let socket = |inode, state, local, remote| Socket {
            netns: 7,
            inode,
            pid: 42,
            state,
            local,
            remote,
            ..Socket::default()
        };
        let listener = socket(1, State::Listen, at(0, 8080), Endpoint::v4([0; 4].into(), 0));
        let client = socket(2, State::Established, at(5, 40_000), service);
        let facts = Facts {
            fresh: Some(Want::Everything),
            processes: vec![process],
            sockets: vec![listener, client],
            netns: vec![Netns { inode: 7, ..Netns::default() }],
            containers: vec![container],
            ..Facts::default()
        };
        let sockets = facts.sockets.clone();
        let mut world = Self { report, facts, second: 0 };
        world.pass(&[]);
        world.pass(&sockets);
        world
    }

    fn now(&self) -> Now {
        Now { unix_ms: 1_700_000_000_000 + self.second * 1000, mono_ms: 9000 + self.second * 1000 }
    }

    fn pass(&mut self, sockets: &[Socket]) {
        self.second += 1;
        self.facts.sockets = sockets.to_vec();
        self.report.update(&self.facts, self.now());
    }

    fn apply(&mut self, events: impl IntoIterator<Item = Event>) {
        let now = self.now();
        for event in events {
            self.report.cluster().unwrap().apply(event, now.mono_ms);
        }
        self.report.rename(now);
    }

    /// All that the API server knows.
    fn everything(&mut self) {
        self.apply(Kind::ALL.map(Event::Listing));
        self.apply([Event::Pod(pod()), Event::Service(cart()), Event::EndpointSlice(slice())]);
        self.apply(Kind::ALL.map(Event::Listed));
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(node::snapshot(self.report.picture(self.now())))
    }
}

fn pod() -> Pod {
    Pod {
        uid: UID.into(),
        namespace: "shop".into(),
        name: "web-7d9f8c6b5-x2x4k".into(),
        labels: vec![
            ("app".into(), "web".into()),
            ("pod-template-hash".into(), "7d9f8c6b5".into()),
        ],
        controller: Some(("ReplicaSet".into(), "web-7d9f8c6b5".into())),
        phase: Phase::Running,
        ready: true,
        ips: vec!["10.1.0.5".parse().unwrap()],
        containers: vec![(ID.into(), "nginx".into())],
        ..Pod::default()
    }
}

fn cart() -> Service {
    Service {
        namespace: "shop".into(),
        name: "cart".into(),
        selector: vec![("app".into(), "web".into())],
        cluster_ips: vec!["10.96.0.7".parse().unwrap()],
        ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
        ..Service::default()
    }
}

fn slice() -> EndpointSlice {
    let backend = Backend {
        addresses: vec!["10.1.7.5".parse().unwrap()],
        ready: true,
        pod: Some(("shop".into(), "cart-abc".into(), "u".into())),
        node: Some("far".into()),
        ..Backend::default()
    };
    EndpointSlice {
        namespace: "shop".into(),
        name: "cart-1".into(),
        service: "cart".into(),
        endpoints: vec![backend],
        ports: vec![SlicePort { port: 8080, ..SlicePort::default() }],
        ..EndpointSlice::default()
    }
}

async fn report(server: &Server, query: &str) -> Value {
    server.get(&format!("/v1/report{query}")).await.json()
}

#[tokio::test]
async fn the_report_names_both_ends_and_lists_the_pods() {
    let mut world = World::new(Grain::Workload);
    world.everything();
    let server = start(world.snapshot()).await;

    let report = report(&server, "").await;

    let connection = &report["connections"][0];
    assert_eq!(connection["pod"], "shop/web-7d9f8c6b5-x2x4k");
    let service = json!({"kind": "service", "name": "shop/cart", "pod": null,
        "service": "shop/cart", "workload": null});
    assert_eq!(connection["peer"], service);
    assert_eq!(report["listeners"][0]["pod"], "shop/web-7d9f8c6b5-x2x4k");
    assert_eq!(report["processes"][0]["pod"], "shop/web-7d9f8c6b5-x2x4k");
    assert_eq!(report["containers"][0]["name"], "nginx");
    let pod = &report["pods"][0];
    assert_eq!((&pod["namespace"], &pod["uid"]), (&json!("shop"), &json!(UID)));
    assert_eq!(pod["name"], "web-7d9f8c6b5-x2x4k");
    assert_eq!(pod["services"], json!(["shop/cart"]));
    assert_eq!(pod["workload"], "shop/Deployment/web");
    assert_eq!(pod["ips"], json!(["10.1.0.5"]));
    let flow = &report["flows"][0];
    assert_eq!(flow["source"], json!({"kind": "workload", "name": "shop/Deployment/web"}));
    assert_eq!(flow["destination"], json!({"kind": "service", "name": "shop/cart"}));
    assert_eq!(report["unresolved"]["unknown_address"], 0);
    assert_eq!(report["cluster"]["pods"], json!({"known": 1, "synced": true, "refused": 0}));
}

#[tokio::test]
async fn a_backend_that_the_kernel_named_is_the_peer() {
    let mut world = World::new(Grain::Workload);
    world.everything();
    let questions = world.report.unanswered(10);
    let (client, service) = (questions[0].local, questions[0].remote);
    let backend = Endpoint::v4([10, 1, 7, 5].into(), 8080);
    let entry = Translated::Entry(Entry { client, service, backend, seen: client });
    world.report.answer(&[(questions[0], entry)], world.now());
    let server = start(world.snapshot()).await;

    let peer = report(&server, "").await["connections"][0]["peer"].clone();

    assert_eq!(peer["pod"], "shop/cart-abc");
    assert_eq!((&peer["kind"], &peer["service"]), (&json!("pod"), &json!("shop/cart")));
}

#[tokio::test]
async fn names_that_come_late_reach_clients_of_deltas() {
    let mut world = World::new(Grain::Workload);
    let server = start(world.snapshot()).await;
    let before = report(&server, "").await;
    assert_eq!(before["connections"][0]["pod"], Value::Null);
    assert_eq!(before["unresolved"]["no_pod_for_container"], 0, "not synced is another reason");
    assert_eq!(before["unresolved"]["not_synced"], 2);

    world.everything();
    server.snapshots.send_replace(world.snapshot());
    let delta = report(&server, &format!("?since={}", before["epoch"])).await;

    assert_eq!(delta["full"], false);
    let name = "shop/web-7d9f8c6b5-x2x4k";
    for list in ["connections", "listeners", "processes"] {
        assert_eq!(delta[list][0]["pod"], name, "{list}");
    }
    assert_eq!(delta["pods"][0]["services"], json!(["shop/cart"]));
    let quiet = report(&server, &format!("?since={}", delta["epoch"])).await;
    assert_eq!((&quiet["pods"], &quiet["processes"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_pod_that_serves_something_else_or_goes_is_in_the_delta() {
    let mut world = World::new(Grain::Workload);
    world.everything();
    let server = start(world.snapshot()).await;
    let first = report(&server, "").await;
    world.apply([Event::ServiceGone("shop".into(), "cart".into())]);
    server.snapshots.send_replace(world.snapshot());

    let delta = report(&server, &format!("?since={}", first["epoch"])).await;
    assert_eq!(delta["pods"][0]["services"], json!([]));
    assert_eq!(delta["connections"][0]["peer"]["kind"], "external");

    world.apply([Event::PodGone("shop".into(), pod().name, UID.into())]);
    server.snapshots.send_replace(world.snapshot());
    let delta = report(&server, &format!("?since={}", delta["epoch"])).await;
    assert_eq!(delta["removed"]["pods"], json!([first["pods"][0]["id"]]));
}

#[tokio::test]
async fn pods_and_namespaces_filter_everything_that_is_theirs() {
    let mut world = World::new(Grain::Workload);
    world.everything();
    let server = start(world.snapshot()).await;

    for (query, found) in [
        ("?namespace=shop", 1),
        ("?namespace=other", 0),
        ("?pod=shop/web-7d9f8c6b5-x2x4k", 1),
        ("?pod=shop/web", 0),
    ] {
        let report = report(&server, query).await;
        for list in ["pods", "connections", "listeners", "processes"] {
            assert_eq!(report[list].as_array().unwrap().len(), found, "{query} {list}");
        }
    }
    let bad = server.get("/v1/report?pod=web").await;
    let message = "`pod=web` is not understood: it takes `namespace/name`";
    assert_eq!((bad.status, bad.error()), (400, message.to_owned()));
}

#[tokio::test]
async fn metrics_name_workloads_services_and_pods_as_configured() {
    for (grain, workload, flow) in [
        (Grain::Workload, "shop/Deployment/web", "shop/Deployment/web"),
        (Grain::Service, "shop/Deployment/web", "shop/Deployment/web"),
        (Grain::Pod, "shop/Pod/web-7d9f8c6b5-x2x4k", "shop/Pod/web-7d9f8c6b5-x2x4k"),
    ] {
        let mut world = World::new(grain);
        world.everything();
        let server = start(world.snapshot()).await;

        let text = String::from_utf8(server.get("/metrics").await.body).unwrap();

        let flow = format!(
            "probelet_flows{{destination_namespace=\"shop\",destination_service=\"shop/cart\",\
             destination_workload=\"\",port=\"8080\",protocol=\"tcp\",reporter=\"source\",\
             service_port=\"80\",source_namespace=\"shop\",source_node=\"\",\
             source_workload=\"{flow}\"}} 1"
        );
        let fds = format!("probelet_workload_open_fds{{workload=\"{workload}\"}} 9");
        for line in [&*flow, &fds, "probelet_agent_unresolved{reason=\"unknown_address\"} 0"] {
            assert!(text.contains(line), "{grain:?}: {line}\n{text}");
        }
        let own =
            text.lines().filter(|l| l.starts_with("probelet_flows{") || l.contains("_workload_"));
        assert!(own.into_iter().all(|l| !l.contains("10.1.") && !l.contains("10.96.")), "{text}");
    }
}

#[tokio::test]
async fn without_a_cluster_nothing_is_said_of_one() {
    let server = start(node::Node::new(3).pass(0)).await;

    let report = report(&server, "").await;
    let metrics = String::from_utf8(server.get("/metrics").await.body).unwrap();

    assert_eq!((&report["pods"], &report["unresolved"]), (&json!([]), &Value::Null));
    assert!(!metrics.contains("probelet_agent_unresolved"));
}

#[test]
fn a_look_in_the_terminal_shows_workloads_and_pods() {
    let mut world = World::new(Grain::Workload);
    world.everything();

    let text = once::render(&world.snapshot(), &ContainerNames::default());

    assert!(text.contains("shop/Deployment/web"), "{text}");
    assert!(text.contains("shop/Service/cart"), "{text}");
    assert!(text.contains("shop/web-7d9f8c6b5-x2x4k"), "{text}");
}
