//! Random clusters with random connections, reported as agents report them.
//!
//! In: numbers. Out: pods and Services as the API server has them, flows as reports have them, and what is true. Pure: data.

use std::collections::BTreeMap;

use kubectl_probelet::seen::Service;
use kubectl_probelet::seen::pod::Pod;
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) type Labels = BTreeMap<String, String>;

/// A pod as it is.
#[derive(Debug, Clone)]
pub(crate) struct Real {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) workload: usize,
    pub(crate) labels: Labels,
    pub(crate) host: bool,
    pub(crate) ip: String,
    pub(crate) ports: [(&'static str, u16); 2],
}

#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) namespace: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) labels: Vec<(&'static str, &'static str)>,
    pub(crate) replicas: usize,
    pub(crate) host: bool,
    pub(crate) ports: u16,
}

/// A Service for a workload: by how many of its labels, and to which port its port 80 leads.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    pub(crate) workload: usize,
    pub(crate) labels: usize,
    pub(crate) target: u8,
}

/// Who talks to whom, and how its agents tell it.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is drawn by itself")]
pub(crate) struct Talk {
    pub(crate) client: u8,
    pub(crate) server: u8,
    pub(crate) via: Option<usize>,
    /// The second port of the server.
    pub(crate) second: bool,
    /// How a node names the other end.
    pub(crate) hidden: u8,
    pub(crate) udp: bool,
    /// Agents say which end they report, and count at the source.
    pub(crate) modern: bool,
    /// The port is not known.
    pub(crate) portless: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) kinds: Vec<Owner>,
    pub(crate) fronts: Vec<Front>,
    pub(crate) talks: Vec<Talk>,
    pub(crate) blind: bool,
}

pub(crate) const OUTSIDE: [&str; 3] = ["203.0.113.9", "198.51.100.7", "2001:db8::7"];
pub(crate) const GROUP: (&str, &str) = ("192.0.2.77", "192.0.2.0/24");
pub(crate) const NODE: &str = "10.0.0.1";

pub(crate) fn kinds() -> impl Strategy<Value = Owner> {
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
        .prop_map(|(namespace, kind, labels, replicas, host, ports)| Owner {
            namespace,
            kind,
            labels,
            replicas,
            host,
            ports,
        })
}

pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let front = (0..6_usize, 0..4_usize, 0..5_u8).prop_map(|(workload, labels, target)| Front {
        workload,
        labels,
        target,
    });
    let talk =
        (
            any::<u8>(),
            any::<u8>(),
            prop::option::of(0..3_usize),
            any::<bool>(),
            any::<u8>(),
            any::<bool>(),
            any::<bool>(),
            prop::bool::weighted(0.1),
        )
            .prop_map(|(client, server, via, second, hidden, udp, modern, portless)| {
                Talk { client, server, via, second, hidden, udp, modern, portless }
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
    pub(crate) fn name(&self, at: usize) -> String {
        let kind = &self.kinds[at];
        format!(
            "{}/{}/w{at}{}",
            kind.namespace,
            kind.kind,
            if kind.kind == "Pod" { "-0" } else { "" }
        )
    }

    /// The pods of a release: its number is in everything that a release changes.
    pub(crate) fn pods(&self, release: usize) -> Vec<Real> {
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

    pub(crate) fn objects(&self, pods: &[Real]) -> (Vec<Pod>, Vec<Service>) {
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

    pub(crate) fn kind_of(&self, front: usize) -> &Owner {
        &self.kinds[self.fronts[front].workload % self.kinds.len()]
    }

    pub(crate) fn selector(&self, front: usize) -> Labels {
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
    pub(crate) fn behind<'a>(&self, front: usize, pods: &'a [Real]) -> Vec<&'a Real> {
        let (selector, namespace) = (self.selector(front), self.kind_of(front).namespace);
        let is = |pod: &&Real| {
            !selector.is_empty() && pod.namespace == namespace && holds(&selector, &pod.labels)
        };
        pods.iter().filter(is).collect()
    }
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn holds(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// An end of a connection as it is.
#[derive(Debug, Clone)]
pub(crate) enum Side {
    Pod(Real),
    Address(String),
    Node,
}

#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) port: u16,
    pub(crate) protocol: &'static str,
}

/// Who an end is, by a number.
pub(crate) fn side(number: u8, pods: &[Real]) -> Side {
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
    pub(crate) fn connection(
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
        let flow = |source: Value, destination: Value, port: u16, reporter: &str| {
            let port = if talk.portless { 0 } else { port };
            let mut flow = json!({"source": source, "destination": destination, "port": port, "protocol": protocol, "opened": 1});
            if talk.modern {
                flow["reporter"] = reporter.into();
                let at_a_node = reporter == "destination" && matches!(from, Side::Pod(_));
                flow["sourceNode"] = if at_a_node { "n1".into() } else { Value::Null };
            }
            flow
        };
        let own = |pod: &Real| json!({"kind": "workload", "name": self.name(pod.workload)});
        let mut flows = Vec::new();
        // The node of the server: it knows the true port.
        if let Side::Pod(server) = &to
            && (is(&to) || talk.hidden & 1 == 0)
        {
            flows.push(flow(self.other(&from, talk), own(server), port, "destination"));
        }
        // The node of the client: it may know the Service only, or its port only.
        if let Side::Pod(client) = &from
            && (is(&from) || talk.hidden & 2 == 0)
        {
            let destination = match (via, &to) {
                (Some(front), Side::Pod(server)) if talk.hidden & 4 == 0 || self.blind => {
                    let _ = server;
                    (
                        json!({"kind": "service", "name": format!("{}/s{front}", self.kind_of(front).namespace)}),
                        80,
                    )
                }
                (Some(_), to) => (self.other(to, talk), 80),
                (None, to) => (self.other(to, talk), port),
            };
            // Newer agents say which port answers.
            let dialled = if talk.modern { port } else { destination.1 };
            flows.push(flow(own(client), destination.0, dialled, "source"));
        }
        Some((Connection { from, to, port, protocol }, flows))
    }

    /// Whether a Service was dialled that a workload is behind.
    pub(crate) fn may_have_answered(&self, subject: usize) -> bool {
        let pods = self.pods(1);
        let mut fronts = self.talks.iter().filter_map(|talk| talk.via);
        fronts.any(|front| {
            front < self.fronts.len()
                && self.behind(front, &pods).iter().any(|pod| pod.workload == subject)
        })
    }

    /// How a node names an end that is not its own.
    pub(crate) fn other(&self, side: &Side, talk: &Talk) -> Value {
        match side {
            Side::Pod(pod) if pod.host && talk.hidden & 8 == 0 => {
                json!({"kind": "node", "name": "n1"})
            }
            Side::Pod(pod) if talk.hidden & 16 == 0 => {
                json!({"kind": "pod", "name": format!("{}/{}", pod.namespace, pod.name)})
            }
            Side::Pod(pod) if talk.hidden & 32 == 0 => {
                json!({"kind": "external", "name": pod.ip})
            }
            Side::Pod(pod) => json!({"kind": "workload", "name": self.name(pod.workload)}),
            Side::Address(ip) if ip == GROUP.0 => json!({"kind": "group", "name": "office"}),
            Side::Address(ip) => json!({"kind": "external", "name": ip}),
            Side::Node if talk.hidden & 64 == 0 => json!({"kind": "node", "name": "n1"}),
            Side::Node if talk.hidden & 128 == 0 => json!({"kind": "process", "name": "kubelet"}),
            Side::Node => json!({"kind": "unresolved"}),
        }
    }
}
