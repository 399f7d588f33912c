//! A policy that `netpol` prints never forbids what was observed, neither now nor after the next release.
//!
//! In: random clusters with random connections, told as agents tell them. The judge is an evaluator of NetworkPolicies that
//! knows nothing of how they are made. Pure: values only.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;
use std::net::IpAddr;

use kubectl_probelet::answer::map::Names;
use kubectl_probelet::answer::netpol::{Ends, Policy, Refusal, Subject};
use kubectl_probelet::seen::Service;
use kubectl_probelet::seen::pod::Pod;
use kubectl_probelet::seen::report::Report;
use proptest::prelude::*;
use serde_json::{Value, json};

type Labels = BTreeMap<String, String>;

/// A pod as it is.
#[derive(Debug, Clone)]
struct Real {
    namespace: String,
    name: String,
    workload: usize,
    labels: Labels,
    host: bool,
    ip: String,
    ports: [(&'static str, u16); 2],
}

#[derive(Debug, Clone)]
struct Kind {
    namespace: &'static str,
    kind: &'static str,
    labels: Vec<(&'static str, &'static str)>,
    replicas: usize,
    host: bool,
    ports: u16,
}

/// A Service for a workload: by how many of its labels, and to which port its port 80 leads.
#[derive(Debug, Clone)]
struct Front {
    workload: usize,
    labels: usize,
    target: u8,
}

/// Who talks to whom, and how its agents tell it.
#[derive(Debug, Clone)]
struct Talk {
    client: u8,
    server: u8,
    via: Option<usize>,
    /// The second port of the server.
    second: bool,
    /// How a node names the other end.
    told: u8,
    udp: bool,
}

#[derive(Debug, Clone)]
struct World {
    kinds: Vec<Kind>,
    fronts: Vec<Front>,
    talks: Vec<Talk>,
    blind: bool,
}

const OUTSIDE: [&str; 3] = ["203.0.113.9", "198.51.100.7", "2001:db8::7"];
const GROUP: (&str, &str) = ("192.0.2.77", "192.0.2.0/24");
const NODE: &str = "10.0.0.1";

fn kinds() -> impl Strategy<Value = Kind> {
    let label = prop::sample::select(vec![
        ("app", "a"),
        ("app", "b"),
        ("app", "on"),
        ("tier", "1e3"),
        ("tier", "x"),
        ("app.kubernetes.io/name", "a"),
        ("app.kubernetes.io/instance", "i"),
        ("y", "no"),
        ("track", "canary"),
        ("role", "primary"),
    ]);
    (
        prop::sample::select(vec!["shop", "shop", "shop", "db"]),
        prop::sample::select(vec![
            "Deployment",
            "Rollout",
            "StatefulSet",
            "DaemonSet",
            "Cluster",
            "Pod",
        ]),
        prop::collection::vec(label, 0..4),
        1..4_usize,
        prop::bool::weighted(0.1),
        0..3_u16,
    )
        .prop_map(|(namespace, kind, labels, replicas, host, ports)| Kind {
            namespace,
            kind,
            labels,
            replicas,
            host,
            ports,
        })
}

fn worlds() -> impl Strategy<Value = World> {
    let front = (0..6_usize, 0..4_usize, 0..5_u8).prop_map(|(workload, labels, target)| Front {
        workload,
        labels,
        target,
    });
    let talk = (
        any::<u8>(),
        any::<u8>(),
        prop::option::of(0..3_usize),
        any::<bool>(),
        any::<u8>(),
        any::<bool>(),
    )
        .prop_map(|(client, server, via, second, told, udp)| Talk {
            client,
            server,
            via,
            second,
            told,
            udp,
        });
    (
        prop::collection::vec(kinds(), 1..6),
        prop::collection::vec(front, 0..4),
        prop::collection::vec(talk, 0..8),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(kinds, fronts, talks, blind)| World { kinds, fronts, talks, blind })
}

impl World {
    fn name(&self, at: usize) -> String {
        let kind = &self.kinds[at];
        format!(
            "{}/{}/w{at}{}",
            kind.namespace,
            kind.kind,
            if kind.kind == "Pod" { "-0" } else { "" }
        )
    }

    /// The pods of a release: its number is in everything that a release changes.
    fn pods(&self, release: usize) -> Vec<Real> {
        let mut all = Vec::new();
        for (at, kind) in self.kinds.iter().enumerate() {
            let replicas = if kind.kind == "Pod" { 1 } else { kind.replicas };
            for replica in 0..replicas {
                let mut labels: Labels =
                    kind.labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
                let hash = if kind.kind == "Rollout" {
                    "rollouts-pod-template-hash"
                } else {
                    "pod-template-hash"
                };
                for key in [hash, "helm.sh/chart", "app.kubernetes.io/version"] {
                    labels.insert(key.to_owned(), format!("{at}x{release}"));
                }
                labels.insert(
                    "statefulset.kubernetes.io/pod-name".to_owned(),
                    format!("w{at}-{replica}"),
                );
                for key in ["track", "role"] {
                    if let Some(value) = labels.get_mut(key) {
                        *value = format!("{value}{}{replica}", release * 7);
                    }
                }
                all.push(Real {
                    namespace: kind.namespace.to_owned(),
                    name: format!("w{at}-{replica}"),
                    workload: at,
                    labels,
                    host: kind.host,
                    ip: if kind.host {
                        NODE.to_owned()
                    } else {
                        format!("10.244.{at}.{}", replica + 2)
                    },
                    ports: [("http", 8080 + kind.ports), ("admin", 9000)],
                });
            }
        }
        all
    }

    fn objects(&self, pods: &[Real]) -> (Vec<Pod>, Vec<Service>) {
        let pod = |pod: &Real| {
            let kind = self.kinds[pod.workload].kind;
            let owner = format!("w{}", pod.workload);
            let owners = match kind {
                "Pod" => json!([]),
                "Deployment" | "Rollout" => json!([{"kind": "ReplicaSet", "controller": true,
                    "name": format!("{owner}-{}", pod.labels["helm.sh/chart"])}]),
                kind => json!([{"kind": kind, "controller": true, "name": owner}]),
            };
            let ports: Vec<Value> = pod
                .ports
                .iter()
                .map(|(name, n)| json!({"name": name, "containerPort": n}))
                .collect();
            read(json!({
                "metadata": {"namespace": pod.namespace, "name": pod.name, "labels": pod.labels, "ownerReferences": owners},
                "spec": {"nodeName": "n1", "hostNetwork": pod.host, "containers": [{"ports": ports}]},
                "status": {"phase": "Running", "podIPs": [{"ip": pod.ip}]},
            }))
        };
        let services = (0..self.fronts.len()).map(|at| {
            let (front, kind) = (&self.fronts[at], self.kind_of(at));
            let target = match front.target {
                0 => json!(8080 + kind.ports),
                1 => json!("http"),
                2 => json!("nowhere"),
                3 => json!(0),
                _ => Value::Null,
            };
            read(json!({"metadata": {"namespace": kind.namespace, "name": format!("s{at}")},
                "spec": {"selector": self.selector(at), "ports": [{"port": 80, "targetPort": target}]}}))
        });
        (pods.iter().map(pod).collect(), services.collect())
    }

    fn kind_of(&self, front: usize) -> &Kind {
        &self.kinds[self.fronts[front].workload % self.kinds.len()]
    }

    fn selector(&self, front: usize) -> Labels {
        let labels = self.kind_of(front).labels.iter().take(self.fronts[front].labels);
        // The last of two labels with one key is the pod's.
        let all: Labels = self
            .kind_of(front)
            .labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        labels
            .filter(|(key, _)| !["track", "role"].contains(key))
            .map(|(key, _)| ((*key).to_owned(), all[*key].clone()))
            .collect()
    }

    /// Which pods are behind a Service.
    fn behind<'a>(&self, front: usize, pods: &'a [Real]) -> Vec<&'a Real> {
        let (selector, namespace) = (self.selector(front), self.kind_of(front).namespace);
        let is = |pod: &&Real| {
            !selector.is_empty() && pod.namespace == namespace && holds(&selector, &pod.labels)
        };
        pods.iter().filter(is).collect()
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn holds(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// An end of a connection as it is.
#[derive(Debug, Clone)]
enum Side {
    Pod(Real),
    Address(String),
    Node,
}

#[derive(Debug, Clone)]
struct Connection {
    from: Side,
    to: Side,
    port: u16,
    protocol: &'static str,
}

/// Who an end is, by a number.
fn side(number: u8, pods: &[Real]) -> Side {
    match usize::from(number) % (pods.len() * 2 + 5) {
        at if at < pods.len() * 2 => Side::Pod(pods[at / 2].clone()),
        at => match at - pods.len() * 2 {
            0..3 => Side::Address(OUTSIDE[at - pods.len() * 2].to_owned()),
            3 => Side::Address(GROUP.0.to_owned()),
            _ => Side::Node,
        },
    }
}

impl World {
    /// A connection, and the flows that the agents of both ends make of it.
    fn connection(
        &self,
        talk: &Talk,
        pods: &[Real],
        subject: usize,
    ) -> Option<(Connection, Vec<Value>)> {
        let from = side(talk.client, pods);
        let mut to = side(talk.server, pods);
        let protocol = if talk.udp { "udp" } else { "tcp" };
        let mut via = None;
        if let Some(front) = talk.via.filter(|front| *front < self.fronts.len()) {
            let behind = self.behind(front, pods);
            if let Some(pod) = behind.get(usize::from(talk.server) % behind.len().max(1)) {
                to = Side::Pod((*pod).clone());
                via = Some(front);
            }
        }
        let port = match (&to, via) {
            (Side::Pod(pod), Some(front)) => match self.fronts[front].target {
                0 => 8080 + self.kind_of(front).ports,
                1 => pod.ports[0].1,
                2 => return None,
                _ => 80,
            },
            (Side::Pod(pod), None) => pod.ports[usize::from(talk.second)].1,
            _ => 443,
        };
        let is = |side: &Side| matches!(side, Side::Pod(pod) if pod.workload == subject);
        let flow = |source: Value, destination: Value, port: u16| json!({"source": source, "destination": destination, "port": port, "protocol": protocol, "opened": 1});
        let own = |pod: &Real| json!({"kind": "workload", "name": self.name(pod.workload)});
        let mut flows = Vec::new();
        // The node of the server: it knows the true port.
        if let Side::Pod(server) = &to
            && (is(&to) || talk.told & 1 == 0)
        {
            flows.push(flow(self.other(&from, talk), own(server), port));
        }
        // The node of the client: it may know the Service only, or its port only.
        if let Side::Pod(client) = &from
            && (is(&from) || talk.told & 2 == 0)
        {
            let destination = match (via, &to) {
                (Some(front), Side::Pod(server)) if talk.told & 4 == 0 || self.blind => {
                    let _ = server;
                    (
                        json!({"kind": "service", "name": format!("{}/s{front}", self.kind_of(front).namespace)}),
                        80,
                    )
                }
                (Some(_), to) => (self.other(to, talk), 80),
                (None, to) => (self.other(to, talk), port),
            };
            flows.push(flow(own(client), destination.0, destination.1));
        }
        Some((Connection { from, to, port, protocol }, flows))
    }

    /// How a node names an end that is not its own.
    fn other(&self, side: &Side, talk: &Talk) -> Value {
        match side {
            Side::Pod(pod) if pod.host && talk.told & 8 == 0 => {
                json!({"kind": "node", "name": "n1"})
            }
            Side::Pod(pod) if talk.told & 16 == 0 => {
                json!({"kind": "pod", "name": format!("{}/{}", pod.namespace, pod.name)})
            }
            Side::Pod(pod) if talk.told & 32 == 0 && !pod.host => {
                json!({"kind": "external", "name": pod.ip})
            }
            Side::Pod(pod) => json!({"kind": "workload", "name": self.name(pod.workload)}),
            Side::Address(ip) if ip == GROUP.0 => json!({"kind": "group", "name": "office"}),
            Side::Address(ip) => json!({"kind": "external", "name": ip}),
            Side::Node if talk.told & 64 == 0 => json!({"kind": "node", "name": "n1"}),
            Side::Node if talk.told & 128 == 0 => json!({"kind": "process", "name": "kubelet"}),
            Side::Node => json!({"kind": "unresolved"}),
        }
    }
}

/// Whether a policy lets a connection through, by the rules of `networking.k8s.io/v1`.
fn allows(policy: &Value, connection: &Connection) -> bool {
    let spec = &policy["spec"];
    let is = |side: &Side| {
        let Side::Pod(pod) = side else { return false };
        let labels: Labels =
            serde_json::from_value(spec["podSelector"]["matchLabels"].clone()).unwrap_or_default();
        !pod.host
            && policy["metadata"]["namespace"] == pod.namespace.as_str()
            && holds(&labels, &pod.labels)
    };
    let rules = |direction: &str, key: &str, peers: &str, other: &Side| {
        let ruled = spec["policyTypes"].as_array().unwrap().iter().any(|word| word == direction);
        !ruled
            || spec[key].as_array().into_iter().flatten().any(|rule| {
                let port = rule["ports"].as_array().is_none_or(|ports| {
                    ports.iter().any(|port| {
                        port["port"] == connection.port
                            && port["protocol"]
                                .as_str()
                                .unwrap()
                                .eq_ignore_ascii_case(connection.protocol)
                    })
                });
                let peer = rule[peers].as_array();
                port && peer.is_none_or(|peers| peers.iter().any(|peer| stands(peer, other)))
            })
    };
    (!is(&connection.to) || rules("Ingress", "ingress", "from", &connection.from))
        && (!is(&connection.from) || rules("Egress", "egress", "to", &connection.to))
}

/// Whether a peer of a policy stands for an end. Nothing but everyone stands for a node and its host network.
fn stands(peer: &Value, side: &Side) -> bool {
    let block = peer["ipBlock"]["cidr"].as_str();
    match (side, block) {
        (Side::Address(ip), Some(cidr)) => contains(cidr, ip),
        (Side::Pod(pod), None) if !pod.host => {
            let named = &peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
            let labels: Labels = serde_json::from_value(peer["podSelector"]["matchLabels"].clone())
                .unwrap_or_default();
            *named == pod.namespace.as_str() && holds(&labels, &pod.labels)
        }
        _ => false,
    }
}

fn contains(cidr: &str, ip: &str) -> bool {
    let (network, bits) = cidr.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match (network.parse().unwrap(), ip.parse().unwrap()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a) ^ u32::from(b)).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a) ^ u128::from(b)).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn policy(world: &World, subject: usize) -> (Result<Policy, Refusal>, Vec<Connection>) {
    let pods = world.pods(1);
    let talks: Vec<_> =
        world.talks.iter().filter_map(|talk| world.connection(talk, &pods, subject)).collect();
    let (objects, services) = world.objects(&pods);
    let listed: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let behind = |front: &usize| {
                world.behind(*front, &pods).iter().any(|one| one.name == pod.name && one.namespace == pod.namespace)
            };
            let services: Vec<String> = (0..world.fronts.len())
                .filter(behind)
                .map(|front| format!("{}/s{front}", world.kind_of(front).namespace))
                .collect();
            json!({"namespace": pod.namespace, "name": pod.name, "workload": world.name(pod.workload),
                "hostNetwork": pod.host, "ips": [pod.ip], "services": services})
        })
        .collect();
    let flows: Vec<&Value> = talks.iter().flat_map(|(_, flows)| flows).collect();
    // Not every node is asked: of some pods no report speaks.
    let listed: Vec<Value> =
        listed.into_iter().enumerate().filter(|(at, _)| at % 3 != 1).map(|(_, pod)| pod).collect();
    let reports: Vec<Report> = vec![read(json!({"node": "n1", "flows": flows, "pods": listed}))];
    let services = if world.blind { Vec::new() } else { services };
    let names = Names::of(&reports, &services);
    let mut ends = Ends::of(&objects, &services);
    ends.group("office", std::iter::once(GROUP.1.to_owned()));
    if world.blind {
        ends.be_blind();
    }
    let subject = Subject::workload(&world.name(subject));
    let policy = Policy::of(&subject, &reports, &names, &ends);
    (policy, talks.into_iter().map(|(connection, _)| connection).collect())
}

/// The same end after a release.
fn after(side: &Side, pods: &[Real]) -> Side {
    match side {
        Side::Pod(old) => Side::Pod(
            pods.iter()
                .find(|pod| pod.name == old.name && pod.namespace == old.namespace)
                .unwrap()
                .clone(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_observed_goes_on_now_and_after_the_next_release(world in worlds(), subject in 0..6_usize) {
        let subject = subject % world.kinds.len();
        let (policy, connections) = policy(&world, subject);
        let Ok(policy) = policy else { return Ok(()) };
        let next = world.pods(2);
        for connection in connections {
            prop_assert!(allows(&policy.object, &connection), "cuts {connection:?}\n{}", policy.text());
            let later = Connection {
                from: after(&connection.from, &next), to: after(&connection.to, &next), ..connection
            };
            prop_assert!(allows(&policy.object, &later), "cuts after a release {later:?}\n{}", policy.text());
        }
    }

    #[test]
    fn a_refusal_has_its_reason(world in worlds(), subject in 0..6_usize) {
        let subject = subject % world.kinds.len();
        let (policy, connections) = policy(&world, subject);
        let is = |side: &Side| matches!(side, Side::Pod(pod) if pod.workload == subject);
        let observed = connections.iter().any(|c| is(&c.from) || is(&c.to));
        match policy {
            Ok(_) => prop_assert!(observed),
            Err(Refusal::Unobserved(_)) => prop_assert!(!observed),
            Err(Refusal::HostNetwork(_)) => prop_assert!(world.kinds[subject].host),
            Err(Refusal::NoPods(_)) => prop_assert!(false, "it has pods"),
            Err(Refusal::Shared { .. }) => {
                let lasts = |(key, _): &&(&str, &str)| !["track", "role"].contains(key);
                let labels = |kind: &Kind| -> BTreeMap<&str, &str> {
                    let all: BTreeMap<&str, &str> = kind.labels.iter().copied().collect();
                    all.into_iter().filter(|one| lasts(&one)).collect()
                };
                let mine = labels(&world.kinds[subject]);
                let shared = world.kinds.iter().enumerate().any(|(at, kind)| {
                    let theirs = labels(kind);
                    at != subject && !kind.host && kind.namespace == world.kinds[subject].namespace
                        && mine.iter().all(|(key, value)| theirs.get(key) == Some(value))
                });
                prop_assert!(shared || mine.is_empty());
            }
        }
    }

    #[test]
    fn what_is_printed_is_the_object(world in worlds(), subject in 0..6_usize) {
        let subject = subject % world.kinds.len();
        if let (Ok(policy), _) = policy(&world, subject) {
            let read: Value = serde_saphyr::from_str(&policy.text()).unwrap();
            prop_assert_eq!(&read, &policy.object);
        }
    }
}

#[test]
fn labels_that_yaml_takes_for_something_else_are_quoted() {
    let world = World {
        kinds: vec![Kind {
            namespace: "shop",
            kind: "StatefulSet",
            labels: vec![("app", "on"), ("tier", "1e3"), ("y", "no")],
            replicas: 1,
            host: false,
            ports: 0,
        }],
        fronts: Vec::new(),
        talks: vec![Talk { client: 0, server: 2, via: None, second: false, told: 0, udp: false }],
        blind: false,
    };

    let text = policy(&world, 0).0.unwrap().text();

    let quoted =
        |word: &str| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'"));
    assert!(quoted("on"), "{text}");
}
