//! A container is called the same wherever it is shown: report, page, terminal, metrics and plugin.
//!
//! In: a node with a container of each kind, in a cluster and without one. Out: a verdict. What the report says of the ends of
//! its flows is kept beside the plugin's tests, which hold the plugin to the names that metrics have (`cli/tests/one_name.rs`).

use crate::once;
use crate::serve::{full_report, testing};
use crate::snapshot::Snapshot;
use crate::top::sample;
use probelet_core::cluster::objects::{Event, Kind, Phase, Pod};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::display::{ContainerName, ContainerNames, ends};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Role, Runtime, Socket, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const UID: &str = "6a1c3ff2-2f9d-4c6b-9f5e-3f1d2a7b8c90";
/// What the cgroup of a static pod is called by: the hash of its file.
const HASH: &str = "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1";

/// A container, what its runtime calls it, what a person reads, and what metrics have.
struct Case {
    container: Option<Container>,
    given: Option<ContainerName>,
    shown: &'static str,
    series: &'static str,
}

fn case(id: &str, runtime: Runtime, shown: &'static str, series: &'static str) -> Case {
    let container = Container { id: id.into(), runtime, ..Container::default() };
    Case { container: Some(container), given: None, shown, series }
}

impl Case {
    fn in_pod(mut self, uid: &str) -> Self {
        let of_pod = |container| Container { pod_uid: Some(uid.into()), ..container };
        self.container = self.container.map(of_pod);
        self
    }

    fn given(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let labels = labels.collect();
        self.given = Some(ContainerName { name: name.into(), labels, ..ContainerName::default() });
        self
    }
}

fn id(digit: char) -> String {
    format!("0123456789ab{}", digit.to_string().repeat(52))
}

fn alone() -> Vec<Case> {
    let labels = [
        ("io.kubernetes.pod.name", "web-0"),
        ("io.kubernetes.pod.namespace", "shop"),
        ("io.kubernetes.pod.uid", UID),
    ];
    let k8s = "k8s_web_web-0_shop_0";
    vec![
        case(&id('1'), Runtime::Docker, "web", "web").given("web", &[]),
        case(&id('2'), Runtime::Podman, "db", "db").given("db", &[]),
        // A name that a person chose is not cut, however long it is.
        case("customer-portal-blue", Runtime::Lxc, "customer-portal-blue", "customer-portal-blue"),
        case(&id('3'), Runtime::Containerd, "0123456789ab", "0123456789ab"),
        case(&id('4'), Runtime::Docker, "0123456789ab", "0123456789ab").given("", &[]),
        case(&id('5'), Runtime::Docker, "other", "container/other").given("other", &[]),
        case(&id('6'), Runtime::Docker, "shop/web-0", "shop/Pod/web-0")
            .given(k8s, &labels)
            .in_pod(UID),
        Case { container: None, given: None, shown: "(unknown)", series: "unresolved" },
    ]
}

fn clustered() -> Vec<Case> {
    let web = "shop/Deployment/web";
    let (etcd, etcd_series) = ("kube-system/etcd-node-1", "kube-system/Pod/etcd");
    vec![
        case(&id('1'), Runtime::Containerd, "shop/web-7d9f8c6b5-x2x4k", web).in_pod(UID),
        case(&id('2'), Runtime::Containerd, etcd, etcd_series).in_pod(HASH),
        case(&id('3'), Runtime::Docker, "registry", "registry").given("registry", &[]),
        case(&id('4'), Runtime::CriO, "0123456789ab", "0123456789ab"),
    ]
}

fn pods() -> Vec<Pod> {
    let pod = |namespace: &str, name: &str, uid: &str, controller: (&str, &str)| Pod {
        uid: uid.into(),
        namespace: namespace.into(),
        name: name.into(),
        controller: Some((controller.0.into(), controller.1.into())),
        phase: Phase::Running,
        ready: true,
        ..Pod::default()
    };
    let web = pod("shop", "web-7d9f8c6b5-x2x4k", UID, ("ReplicaSet", "web-7d9f8c6b5"));
    let labels = vec![("pod-template-hash".into(), "7d9f8c6b5".into())];
    let containers = vec![(id('1').into(), "main".into())];
    let etcd = pod("kube-system", "etcd-node-1", "mirror", ("Node", "node-1"));
    vec![Pod { labels, containers, ..web }, Pod { mirrors: Some(HASH.into()), ..etcd }]
}

/// A process of each container, each with one connection to a port of its own.
fn node(cases: &[Case], pods: Vec<Pod>) -> (Arc<Snapshot>, Arc<ContainerNames>) {
    let mut report = Report::new(Limits::default(), PortRange::default());
    if !pods.is_empty() {
        report.watch(Cluster::new(Settings { node: "node-1".into(), ..Settings::default() }, 1));
        let events = pods.into_iter().map(Event::Pod);
        let lists = Kind::ALL.map(Event::Listing).into_iter().chain(events);
        for event in lists.chain(Kind::ALL.map(Event::Listed)) {
            report.cluster().unwrap().apply(event, 0);
        }
    }
    let mut facts = Facts { fresh: Some(Want::Everything), ..Facts::default() };
    facts.containers = cases.iter().filter_map(|case| case.container.clone()).collect();
    let mut sockets = Vec::new();
    for (case, n) in cases.iter().zip(0..) {
        let place = if case.container.is_some() { ContainerId(n) } else { ContainerId::UNKNOWN };
        let (pid, netns, comm) = (100 + n, 1000 + n, Comm::new(b"app"));
        let container = Some(place);
        facts.processes.push(Process {
            pid,
            start_ns: 5,
            netns,
            comm,
            container,
            ..Process::default()
        });
        facts.netns.push(Netns { inode: netns, ..Netns::default() });
        sockets.push(Socket {
            netns,
            inode: n + 1,
            pid,
            local: Endpoint::v4([198, 51, 100, 5].into(), 40_000),
            remote: Endpoint::v4([192, 0, 2, 7].into(), u16::try_from(pid).unwrap()),
            role: Role::Dialled,
            ..Socket::default()
        });
    }
    let at =
        |second: u64| Now { unix_ms: 1_700_000_000_000 + second * 1000, mono_ms: second * 1000 };
    report.update(&facts, at(1));
    facts.sockets = sockets;
    report.rename(at(2));
    report.update(&facts, at(2));
    let names = cases
        .iter()
        .filter_map(|case| Some((case.container.as_ref()?.id.clone(), case.given.clone()?)));
    let snapshot = Snapshot { picture: report.picture(at(2)), ..testing::snapshot() };
    (Arc::new(snapshot), Arc::new(ContainerNames(names.collect())))
}

fn row<'v>(report: &'v Value, list: &str, field: &str, is: &Value) -> &'v Value {
    let rows = report[list].as_array().unwrap();
    rows.iter().find(|row| row[field] == *is).unwrap_or_else(|| panic!("{list}: {field} {is}"))
}

/// As `place` of the page has it.
fn place<'v>(report: &'v Value, record: &'v Value) -> Option<&'v str> {
    let id = &record["container"];
    let called =
        || if id.is_null() { None } else { row(report, "containers", "id", id)["name"].as_str() };
    let unknown = || record["containerUnknown"].as_bool().map(|_| "(unknown)");
    record["pod"].as_str().or_else(called).or_else(unknown)
}

/// Holds every view of a node to its cases; what the plugin reads of it, with the name that it is to show.
fn hold(cases: &[Case], pods: Vec<Pod>) -> Vec<Value> {
    let (snapshot, names) = node(cases, pods);
    let report: Value = serde_json::from_slice(&full_report(&snapshot, &names)).unwrap();
    let metrics = testing::metrics(&snapshot, &names);
    let once = once::render(&snapshot, &names);
    let top = sample::frames(&snapshot, &names).join("\n");
    let mut kept = Vec::new();
    for (case, n) in cases.iter().zip(100..) {
        let Case { shown, series, container, .. } = case;
        for list in ["processes", "connections"] {
            let record = row(&report, list, "pid", &json!(n));
            assert_eq!(place(&report, record), Some(*shown), "the page: {record}");
        }
        let place = container.as_ref().map_or(ContainerId::UNKNOWN, |_| ContainerId(n - 100));
        assert_eq!(ends::container(&snapshot.picture, &names, place), *shown);
        assert!(once.contains(shown), "once: {shown}: {once}");
        assert!(top.contains(shown), "top: {shown}: {top}");
        let uses = format!("probelet_workload_cpu_seconds_total{{workload=\"{series}\"}}");
        assert!(metrics.contains(&uses), "{uses}: {metrics}");
        let mut flows = metrics.lines().filter(|line| line.starts_with("probelet_flows{"));
        let (port, source) = (format!(" {n}\""), format!("source_workload=\"{series}\""));
        let port = port.replace(' ', "port=\"");
        assert!(
            flows.any(|line| line.contains(&port) && line.contains(&source)),
            "{source}: {metrics}"
        );
        let flow = row(&report, "flows", "port", &json!(n));
        kept.push(json!({"end": flow["source"], "series": series}));
    }
    kept
}

#[test]
fn a_container_is_called_the_same_wherever_it_is_shown() {
    let mut kept = hold(&alone(), Vec::new());
    kept.extend(hold(&clustered(), pods()));

    let lines: Vec<String> = kept.iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/tests/fixtures/containers.json");
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        return std::fs::write(path, text).unwrap();
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    assert!(wanted == text, "what the plugin reads is now:\n{text}\nand was:\n{wanted}");
}
