//! A policy that `netpol` prints never forbids what was observed, neither now nor after the next release.
//!
//! In: random clusters (`world`). Out: what an evaluator of policies (`judge`) says to each connection. Pure: values only.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[path = "policies/judge.rs"]
mod judge;
#[path = "policies/world.rs"]
mod world;

use std::collections::BTreeMap;

use kubectl_probelet::answer::naming::{Asked, Names};
use kubectl_probelet::answer::netpol::{Ends, Policy, Refusal, Subject};
use kubectl_probelet::seen::report::Report;
use proptest::prelude::*;
use serde_json::{Value, json};

use judge::allows;
use world::{Connection, GROUP, Owner, Real, Side, Talk, World, read, worlds};

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
    let names = Names::of(&reports, &services, Asked::Some);
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
            // Who answered behind a Service may not be known.
            Ok(_) => prop_assert!(observed || world.may_have_answered(subject)),
            Err(Refusal::Unobserved(_)) => prop_assert!(!observed),
            Err(Refusal::HostNetwork(_)) => prop_assert!(world.kinds[subject].host),
            Err(Refusal::NoPods(_)) => prop_assert!(false, "it has pods"),
            Err(Refusal::Shared { .. }) => {
                let lasts = |(key, _): &&(&str, &str)| !["track", "role"].contains(key);
                let labels = |kind: &Owner| -> BTreeMap<&str, &str> {
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
        kinds: vec![Owner {
            namespace: "shop",
            kind: "StatefulSet",
            labels: vec![("app", "on"), ("tier", "1e3"), ("y", "no")],
            replicas: 1,
            host: false,
            ports: 0,
        }],
        fronts: Vec::new(),
        talks: vec![Talk {
            client: 0,
            server: 2,
            via: None,
            second: false,
            hidden: 0,
            udp: false,
            modern: false,
            portless: false,
        }],
        blind: false,
    };

    let text = policy(&world, 0).0.unwrap().text();

    let quoted =
        |word: &str| text.contains(&format!("\"{word}\"")) || text.contains(&format!("'{word}'"));
    assert!(quoted("on"), "{text}");
}
