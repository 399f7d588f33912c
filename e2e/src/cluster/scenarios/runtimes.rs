//! Workloads as other people write them: Go's net/http, which listens by MPTCP, Python, a pool of threads with one that has
//! files of its own, and MPTCP at both ends.
//!
//! In: the programs of `e2e/runtimes` on every node, each with a connection to a Service of each. Out: whether every
//! listener and both ends of every connection are in the reports with the right pods, and nothing that the kernel counts is
//! missing there. I/O: kubectl, curl.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::cluster::{
    Scenario, World, look,
    probe::{list, number, text},
    wait::until,
};

const WORKLOAD: &str = "e2e/runtimes/workload.yaml";
/// Each runtime, what it listens on, and whether a process is known to hold that.
const LISTEN: [(&str, u16, bool); 5] = [
    ("go", 7001, true),
    ("python", 7002, true),
    ("threads", 7003, true),
    ("threads", 7004, false),
    ("mptcp", 7005, true),
];
const RUNTIMES: [&str; 4] = ["go", "python", "threads", "mptcp"];
/// A reading of everything is made every ten seconds, and what two of them miss is missing.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |says: &str, run: fn(&mut World) -> anyhow::Result<()>| {
        Scenario::new("runtimes", says, run)
    };
    vec![
        scenario(
            "listeners of Go, Python, a pool of threads, a thread with files of its own and MPTCP are seen with their pods",
            |world| {
                make(world)?;
                until("the listeners", PATIENCE, || listeners(&reports(world)?))
            },
        ),
        scenario(
            "both ends of every connection between them are seen with the right pods",
            |world| until("both ends", PATIENCE, || connections(&reports(world)?)),
        ),
        scenario("of all sockets that the kernel counts none is unseen on any node", |world| {
            until("nothing unseen", PATIENCE, || {
                for (node, report) in reports(world)? {
                    let unseen = &report["coverage"]["unseen"];
                    ensure!(unseen == 0, "{node}: {unseen} of source {}", report["source"]);
                    let status = look::probe(&world.kube, &node)?;
                    let reported = number(&status, "/status/quality/unseen");
                    ensure!(reported == 0, "{node} says {reported} in its status");
                }
                Ok(())
            })
        }),
        scenario("the workload of these runtimes is gone", |world| {
            let words = ["delete", "namespace", "runtimes", "--timeout=60s"];
            world.kube.kubectl(&words).map(drop)
        }),
    ]
}

/// Makes the Services, then the servers with their addresses, and waits until they run.
fn make(world: &World) -> anyhow::Result<()> {
    let kube = &world.kube;
    let workload = fs::read_to_string(WORKLOAD).with_context(|| WORKLOAD.to_owned())?;
    let (services, servers) =
        workload.split_once("---\n# servers").context("the workload has no servers")?;
    kube.kubectl_with(&["apply", "-f", "-"], services)?;
    let mut servers = servers.to_owned();
    for name in RUNTIMES {
        let service = kube.get(&format!("/api/v1/namespaces/runtimes/services/{name}"))?;
        let place = format!("@{}@", name.to_uppercase());
        servers = servers.replace(&place, text(&service, "/spec/clusterIP"));
    }
    kube.kubectl_with(&["apply", "-f", "-"], &servers)?;
    for name in RUNTIMES {
        let object = format!("daemonset/{name}");
        let words = ["-n", "runtimes", "rollout", "status", &object, "--timeout=60s"];
        kube.kubectl(&words)?;
    }
    Ok(())
}

/// The report of each node.
fn reports(world: &World) -> anyhow::Result<BTreeMap<String, Value>> {
    let kube = &world.kube;
    let token = look::token(kube, "probelet-viewer")?;
    let agents = look::pods(kube, "agent")?;
    ensure!(agents.len() > 1, "{} agents", agents.len());
    agents.iter().map(|pod| Ok((pod.node.clone(), look::report(pod, &token)?))).collect()
}

/// The runtime that a pod is of.
fn runtime(pod: &str) -> Option<&str> {
    let name = pod.strip_prefix("runtimes/")?.rsplit_once('-')?.0;
    RUNTIMES.into_iter().find(|runtime| *runtime == name)
}

fn port(end: &str) -> Option<u16> {
    end.rsplit(':').next()?.parse().ok()
}

fn listeners(reports: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    for (node, report) in reports {
        for (name, on, held) in LISTEN {
            let is_it = |l: &&Value| {
                runtime(text(l, "/pod")) == Some(name)
                    && port(text(l, "/local")) == Some(on)
                    && l["pid"].is_u64() == held
            };
            let found = list(report, "/listeners").iter().filter(is_it).count();
            ensure!(found == 1, "{node}: {found} listeners of {name} on {on}");
        }
        // The thread's own connection, both ends of it.
        let own = list(report, "/connections").iter().filter(|c| {
            runtime(text(c, "/pod")) == Some("threads")
                && [text(c, "/local"), text(c, "/remote")].map(port).contains(&Some(7004))
        });
        ensure!(own.count() == 2, "{node}: the ends of a thread's own connection are not two");
    }
    Ok(())
}

fn connections(reports: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    let of_runtimes = |c: &&Value| runtime(text(c, "/pod")).is_some();
    let all: Vec<&Value> = reports
        .values()
        .flat_map(|report| list(report, "/connections"))
        .filter(|c| text(c, "/state") == "established")
        .filter(of_runtimes)
        .collect();
    let is_client = |c: &Value| text(c, "/remote").ends_with(":80");
    let clients: Vec<_> = all.iter().filter(|c| is_client(c)).collect();
    let expected = reports.len() * RUNTIMES.len() * RUNTIMES.len();
    ensure!(clients.len() == expected, "{} clients, not {expected}", clients.len());
    for client in clients {
        let (pod, peer) = (text(client, "/pod"), text(client, "/peer/pod"));
        let what = format!("{pod} {} to {} {peer}", client["local"], client["remote"]);
        let service = text(client, "/peer/service");
        let serves = runtime(peer).with_context(|| format!("{what}: no pod serves it"))?;
        ensure!(service == format!("runtimes/{serves}"), "{what}: by {service}");
        ensure!(client["direction"] == "outbound", "{what}: {}", client["direction"]);
        ensure!(client["pid"].is_u64(), "{what}: no process");
        // Who reaches itself by its Service is masqueraded on the way, and sees its node's address.
        let within = |c: &Value| text(c, "/local").starts_with("127.");
        let itself =
            |c: &Value| pod == peer && text(c, "/peer/pod") == pod && !is_client(c) && !within(c);
        let ends = all.iter().filter(|c| c["remote"] == client["local"] || itself(c));
        let ends: Vec<_> = ends.filter(|c| text(c, "/pod") == peer).collect();
        ensure!(ends.len() == 1, "{what}: {} servers' ends", ends.len());
        let (end, client) = (ends[0], pod);
        ensure!(end["direction"] == "inbound", "{what}: its server's is {}", end["direction"]);
        ensure!(end["pid"].is_u64(), "{what}: no process serves it");
        let seen = text(end, "/peer/pod");
        ensure!(seen == client, "{what}: its server sees {seen:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Two nodes; every client is served on the other one, but for one that is served by itself.
    fn well() -> BTreeMap<String, Value> {
        let pod = |runtime: &str, node: usize| format!("runtimes/{runtime}-pod{node}");
        let mut all: [Vec<Value>; 2] = Default::default();
        for (node, from) in (0..2).flat_map(|node| RUNTIMES.map(|from| (node, from))) {
            for (n, to) in RUNTIMES.into_iter().enumerate() {
                let itself = from == to && ["go", "threads"].contains(&from);
                let there = if itself { node } else { 1 - node };
                let (mine, its) = (pod(from, node), pod(to, there));
                let own = format!("10.1.{node}.{}:4000{n}", from.len());
                let seen = if itself { "10.1.0.1:40000" } else { &own };
                all[node].push(json!({"state": "established", "pod": mine, "pid": 7, "direction": "outbound",
                    "local": own, "remote": "10.96.0.7:80", "peer": {"pod": its, "service": format!("runtimes/{to}")}}));
                all[there].push(
                    json!({"state": "established", "pod": its, "pid": 8, "direction": "inbound",
                    "local": "10.1.9.9:7001", "remote": seen, "peer": {"pod": mine}}),
                );
            }
        }
        let named = |(node, connections): (usize, Vec<Value>)| {
            let listener = |(runtime, port, held): (&str, u16, bool)| {
                let pid = if held { json!(5) } else { Value::Null };
                json!({"pod": pod(runtime, node), "local": format!("0.0.0.0:{port}"), "pid": pid})
            };
            let mut connections = connections;
            for (local, remote) in
                [("127.0.0.1:7004", "127.0.0.1:5"), ("127.0.0.1:5", "127.0.0.1:7004")]
            {
                connections.push(
                    json!({"pod": pod("threads", node), "state": "established", "local": local,
                    "remote": remote, "peer": {"pod": pod("threads", node)}}),
                );
            }
            (
                format!("node{node}"),
                json!({"listeners": LISTEN.map(listener), "connections": connections}),
            )
        };
        all.into_iter().enumerate().map(named).collect()
    }

    #[test]
    fn what_is_as_it_should_be_passes() {
        listeners(&well()).unwrap();
        connections(&well()).unwrap();
    }

    #[test]
    fn a_missing_end_a_wrong_pod_and_a_missing_listener_do_not_pass() {
        let count = list(&well()["node0"], "/connections").len();
        for n in 0..count {
            let mut missing = well();
            let gone =
                missing.get_mut("node0").unwrap()["connections"].as_array_mut().unwrap().remove(n);
            assert!(connections(&missing).and(listeners(&missing)).is_err(), "{gone}");
            let mut wrong = well();
            wrong.get_mut("node0").unwrap()["connections"][n]["pod"] =
                "runtimes/python-other".into();
            assert!(connections(&wrong).and(listeners(&wrong)).is_err(), "{gone}");
        }
        let mut missing = well();
        missing.get_mut("node1").unwrap()["listeners"].as_array_mut().unwrap().remove(3);
        assert!(listeners(&missing).is_err());
    }
}
