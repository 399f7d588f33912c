//! Names on connections, against what the API server says: the checks of `e2e/names/run`.
//!
//! In: the objects of the API server, and the reports of the agents of two nodes. Out: for each thing that must be
//! named, that it is, or what stands there instead. It must not take an agent's word for what is true.
//!
//! Pure: no I/O.

use serde_json::Value;
use std::fmt;

/// A node of the cluster and what its agent reports.
pub struct Node<'a> {
    /// Name in the cluster.
    pub name: &'a str,
    /// Its address.
    pub address: &'a str,
    /// The whole report of its agent.
    pub report: &'a Value,
}

/// What was expected, and whether it was so.
pub struct Check {
    /// A check.
    pub what: String,
    /// What was seen instead.
    pub wrong: Option<String>,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.wrong {
            None => write!(f, "PASS: {}", self.what),
            Some(seen) => write!(f, "FAIL: {}: {seen}", self.what),
        }
    }
}

/// A pod, as the API server has it.
struct Pod<'a> {
    name: &'a str,
    node: &'a str,
    app: &'a str,
    address: &'a str,
}

/// Its address is everybody's on its node.
fn on_nodes_network(pod: &Pod<'_>) -> bool {
    matches!(pod.app, "hostd" | "hostc")
}

/// Addresses that only the one who made the scene knows.
pub struct Scene<'a> {
    /// The ClusterIP of the Service `web`.
    pub web: &'a str,
    /// An address that is no pod's, in the group `control-plane`.
    pub outside: &'a str,
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// All checks on all nodes.
#[must_use]
pub fn check(truth: &Value, nodes: &[Node<'_>], scene: &Scene<'_>) -> Vec<Check> {
    let pods: Vec<Pod<'_>> = list(truth, "items")
        .iter()
        .filter(|item| text(item, "/kind") == "Pod" && text(item, "/metadata/namespace") == "shop")
        .map(|item| Pod {
            name: text(item, "/metadata/name"),
            node: text(item, "/spec/nodeName"),
            app: text(item, "/metadata/labels/app"),
            address: text(item, "/status/podIP"),
        })
        .collect();
    let mut checks = Vec::new();
    for node in nodes {
        let on = |app: &'static str| {
            pods.iter().filter(move |pod| pod.node == node.name && pod.app == app)
        };
        for client in on("client") {
            checks.extend(client_side(node, client, &pods, nodes, scene));
        }
        for client in on("hostc") {
            let what = format!("{}: a client on the node's network reaches the Service", node.name);
            let remote = format!("{}:80", scene.web);
            let good = |c: &Value| text(c, "/peer/service") == "shop/web";
            checks.push(one(what, &outbound(node, client, &remote), good));
        }
        for server in pods.iter().filter(|pod| pod.node == node.name) {
            checks.extend(server_side(node, server, &pods));
            checks.push(listed(node, server));
        }
        checks.push(flow(node));
        checks.push(no_one_is_called_what_he_is_not(node, &pods));
    }
    checks
}

/// Connections that the pod holds to that address.
fn outbound<'a>(node: &Node<'a>, pod: &Pod<'_>, remote: &str) -> Vec<&'a Value> {
    let own = format!("shop/{}", pod.name);
    let open = |c: &&Value| {
        text(c, "/state") == "established"
            && text(c, "/remote") == remote
            && text(c, "/pod") == own
            && text(c, "/direction") == "outbound"
    };
    list(node.report, "connections").iter().filter(open).collect()
}

/// There is a connection, and all of them are as they should be.
fn one(what: String, found: &[&Value], good: impl Fn(&Value) -> bool) -> Check {
    let wrong = match found.iter().find(|c| !good(c)) {
        Some(bad) => Some(bad.to_string()),
        None => found.is_empty().then(|| "there is no such connection".to_owned()),
    };
    Check { what, wrong }
}

fn client_side(
    node: &Node<'_>,
    client: &Pod<'_>,
    pods: &[Pod<'_>],
    nodes: &[Node<'_>],
    scene: &Scene<'_>,
) -> Vec<Check> {
    let called = |app: &str, name: &str| {
        pods.iter().any(|p| p.app == app && format!("shop/{}", p.name) == name)
    };
    let named = |what: &str, remote: &str, good: &dyn Fn(&Value) -> bool| {
        one(format!("{}: {what}", node.name), &outbound(node, client, remote), good)
    };
    let service = |c: &Value, wanted: &str| text(c, "/peer/service") == wanted;
    let mut checks = vec![
        named(
            "a ClusterIP is the Service, and its backend a pod of it",
            &format!("{}:80", scene.web),
            &|c| service(c, "shop/web") && called("web", text(c, "/peer/pod")),
        ),
        named("a NodePort is the Service", &format!("{}:30080", node.address), &|c| {
            service(c, "shop/web-nodeport")
        }),
        named(
            "an address outside has the name of its group",
            &format!("{}:7777", scene.outside),
            &|c| {
                text(c, "/peer/name") == "control-plane"
                    && text(c, "/peer/pod").is_empty()
                    && text(c, "/peer/service").is_empty()
            },
        ),
    ];
    for db in pods.iter().filter(|pod| pod.app == "db") {
        checks.push(named(
            "a pod behind a headless Service is that pod",
            &format!("{}:5432", db.address),
            &|c| {
                text(c, "/peer/pod") == "shop/db-0"
                    && service(c, "shop/db")
                    // Only the pods of its own node an agent knows so well.
                    && (db.node != node.name || text(c, "/peer/workload") == "shop/StatefulSet/db")
            },
        ));
    }
    for other in nodes {
        let what = format!("a server on {}'s own network has its Service", other.name);
        checks.push(named(&what, &format!("{}:9000", other.address), &|c| {
            let pod = text(c, "/peer/pod");
            service(c, "shop/hostd") && (pod.is_empty() || called("hostd", pod))
        }));
    }
    checks
}

fn server_side(node: &Node<'_>, server: &Pod<'_>, pods: &[Pod<'_>]) -> Option<Check> {
    let port = match server.app {
        "web" => ":8080",
        "db" => ":5432",
        "hostd" => ":9000",
        _ => return None,
    };
    let own = format!("shop/{}", server.name);
    let taken = |c: &&Value| {
        text(c, "/state") == "established"
            && text(c, "/direction") == "inbound"
            && text(c, "/local") == format!("{}{port}", server.address)
    };
    let found: Vec<&Value> = list(node.report, "connections").iter().filter(taken).collect();
    // Which backend a client gets is chance: a server may have none.
    if found.is_empty() && server.app == "web" {
        return None;
    }
    let what = format!(
        "{}: what {own} has accepted is its own, and its clients of this node are known",
        node.name
    );
    let good = |c: &Value| {
        let client = pods.iter().find(|pod| {
            pod.node == node.name
                && !on_nodes_network(pod)
                && text(c, "/remote").starts_with(&format!("{}:", pod.address))
        });
        text(c, "/pod") == own
            && client.is_none_or(|pod| text(c, "/peer/pod") == format!("shop/{}", pod.name))
    };
    Some(one(what, &found, good))
}

/// The pod is in the report's list, with its Services.
fn listed(node: &Node<'_>, pod: &Pod<'_>) -> Check {
    let services: &[&str] = match pod.app {
        "web" => &["shop/web", "shop/web-nodeport"],
        "db" => &["shop/db"],
        "hostd" => &["shop/hostd"],
        _ => &[],
    };
    let what = format!("{}: {} is listed with its Services", node.name, pod.name);
    let entry = list(node.report, "pods").iter().find(|p| text(p, "/name") == pod.name);
    let seen = entry.map(|entry| {
        let mut seen: Vec<&str> =
            list(entry, "services").iter().filter_map(Value::as_str).collect();
        seen.sort_unstable();
        seen
    });
    let wrong = match seen {
        Some(seen) if seen == services => None,
        Some(seen) => Some(format!("{seen:?}")),
        None => Some("it is not listed".to_owned()),
    };
    Check { what, wrong }
}

/// The flow of the clients to the Service, by names alone.
fn flow(node: &Node<'_>) -> Check {
    let what = format!("{}: the clients' flow to the Service is counted", node.name);
    let known = list(node.report, "flows").iter().any(|flow| {
        text(flow, "/source/name") == "shop/DaemonSet/client"
            && text(flow, "/destination/name").starts_with("shop/")
            && text(flow, "/destination/name").ends_with("web")
            && flow.pointer("/current").and_then(Value::as_u64) > Some(0)
    });
    Check {
        what,
        wrong: (!known).then(|| Value::from(list(node.report, "flows").to_vec()).to_string()),
    }
}

/// Every owner's and every peer's pod is one that has that address.
fn no_one_is_called_what_he_is_not(node: &Node<'_>, pods: &[Pod<'_>]) -> Check {
    let wrong = list(node.report, "connections").iter().find(|c| {
        let address = |end: &str| {
            text(c, end)
                .rsplit_once(':')
                .map_or("", |(ip, _)| ip.trim_matches(['[', ']']))
                .to_owned()
        };
        let owner = pods.iter().find(|p| text(c, "/pod") == format!("shop/{}", p.name));
        let peer = pods.iter().find(|p| text(c, "/peer/pod") == format!("shop/{}", p.name));
        let other = |pod: &Pod<'_>, at: &str| {
            pods.iter().any(|p| p.address == at && p.address != pod.address && !on_nodes_network(p))
        };
        owner.is_some_and(|pod| other(pod, &address("/local")))
            || peer.is_some_and(|pod| other(pod, &address("/remote")))
    });
    Check {
        what: format!("{}: no one is called what he is not", node.name),
        wrong: wrong.map(ToString::to_string),
    }
}
