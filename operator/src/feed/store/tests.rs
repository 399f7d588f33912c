//! Whatever happens, an agent that follows its node ends up with what is there; and nothing grows without bound.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::super::pod::{Peer, write};
use super::*;

fn pod(key: &str, uid: &str, node: &str, more: &str) -> Trimmed {
    let (namespace, name) = key.split_once('/').unwrap();
    let text = format!(
        r#""name":"{name}","namespace":"{namespace}","uid":"{uid}"}},"status":{{"phase":"{more}"}}}}"#
    );
    Trimmed {
        key: key.into(),
        uid: uid.into(),
        node: node.into(),
        text: text.into_bytes().into(),
        peer: Peer::default(),
        hosts: Vec::new(),
    }
}

fn listed() -> Store {
    let mut store = Store::new(Bounds::default());
    store.begin();
    store.end(10);
    store
}

/// What an agent makes of the changes: by name, its uid and what it is like.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Agent {
    pods: BTreeMap<String, (String, String)>,
    version: u64,
}

impl Agent {
    fn take(&mut self, change: &Change) {
        let mut text = Vec::new();
        write(&mut text, change.version, &change.text);
        let object: Value = serde_json::from_slice(&text).unwrap();
        let of = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
        let key = format!("{}/{}", of("namespace"), of("name"));
        self.version = of("resourceVersion").parse().unwrap();
        if change.verb != Verb::Deleted {
            let phase = object["status"]["phase"].as_str().unwrap().to_owned();
            self.pods.insert(key, (of("uid"), phase));
        } else if self.pods.get(&key).is_some_and(|(uid, _)| *uid == of("uid")) {
            // As the agent does: who has another uid is another one.
            self.pods.remove(&key);
        }
    }

    fn take_all(&mut self, changes: &[Change]) {
        for change in changes {
            self.take(change);
        }
    }
}

fn names(changes: &[Change]) -> Vec<(Verb, u64)> {
    changes.iter().map(|change| (change.verb, change.version)).collect()
}

#[test]
fn a_node_hears_of_its_own_pods_and_of_no_others() {
    let mut store = listed();
    let (_, mut one) = store.list("one");
    let (_, mut other) = store.list("other");

    store.apply(pod("n/a", "u", "one", "Running"), 11);

    assert_eq!(names(&store.pending("one", &mut one, 1000).unwrap()), [(Verb::Added, 11)]);
    assert!(store.pending("other", &mut other, 1000).unwrap().is_empty());
    assert_eq!(store.list("one").0.len(), 1);
    assert!(store.list("other").0.is_empty());
}

#[test]
fn what_no_agent_reads_changes_nothing() {
    let mut store = listed();
    store.apply(pod("n/a", "u", "one", "Running"), 11);
    let (_, mut cursor) = store.list("one");

    assert_eq!(store.apply(pod("n/a", "u", "one", "Running"), 12), Outcome::Same);

    assert!(store.pending("one", &mut cursor, 1000).unwrap().is_empty());
    assert_eq!(store.version(), Some(12));
}

#[test]
fn another_pod_of_the_same_name_is_first_the_end_of_the_one_before() {
    let mut store = listed();
    store.apply(pod("n/a", "u-1", "one", "Running"), 11);
    let (_, mut one) = store.list("one");
    let (_, mut other) = store.list("other");

    store.apply(pod("n/a", "u-2", "other", "Running"), 15);

    assert_eq!(names(&store.pending("one", &mut one, 1000).unwrap()), [(Verb::Deleted, 14)]);
    assert_eq!(names(&store.pending("other", &mut other, 1000).unwrap()), [(Verb::Added, 15)]);
}

#[test]
fn who_comes_back_gets_what_was_missed_and_who_was_away_too_long_a_new_list() {
    let mut store = listed();
    store.apply(pod("n/a", "u", "one", "Pending"), 11);
    store.apply(pod("n/b", "u", "one", "Running"), 12);
    let mut cursor = store.resume("one", 11).unwrap();
    assert_eq!(names(&store.pending("one", &mut cursor, 1000).unwrap()), [(Verb::Added, 12)]);

    assert_eq!(store.resume("one", 9).unwrap_err(), Lost::Expired, "before the first list");
    for version in 13..13 + LOG as u64 {
        store.apply(pod("n/a", "u", "one", &format!("{version}")), version);
    }

    assert_eq!(store.resume("one", 11).unwrap_err(), Lost::Expired);
    assert!(store.resume("one", 13).is_ok());
    assert!(store.resume("other", 11).is_ok(), "a quiet node is not concerned");
}

#[test]
fn a_reader_that_is_too_slow_is_lost_and_no_queue_grows() {
    let mut store = listed();
    let (_, mut cursor) = store.list("one");

    for version in 11..12 + LOG as u64 {
        store.apply(pod("n/a", "u", "one", &format!("{version}")), version);
    }

    assert_eq!(store.nodes["one"].log.len(), LOG);
    assert_eq!(store.pending("one", &mut cursor, 1000).unwrap_err(), Lost::Expired);
}

#[test]
fn a_chunk_is_bounded_and_the_rest_follows() {
    let mut store = listed();
    let (_, mut cursor) = store.list("one");
    for version in 11..21 {
        store.apply(pod(&format!("n/p{version}"), "u", "one", "Running"), version);
    }

    let first = store.pending("one", &mut cursor, 200).unwrap();
    let rest = store.pending("one", &mut cursor, 100_000).unwrap();

    assert!(first.len() < 5, "{}", first.len());
    assert_eq!(first.len() + rest.len(), 10);
}

#[test]
fn what_a_new_list_does_not_name_is_gone_and_versions_before_it_are_of_no_use() {
    let mut store = listed();
    store.apply(pod("n/a", "u", "one", "Running"), 11);
    store.apply(pod("n/b", "u", "one", "Running"), 12);
    let (_, mut cursor) = store.list("one");

    store.begin();
    store.apply(pod("n/b", "u", "one", "Running"), 12);
    assert_eq!(store.resume("one", 12).unwrap_err(), Lost::Expired, "half a list");
    store.end(40);

    assert_eq!(names(&store.pending("one", &mut cursor, 1000).unwrap()), [(Verb::Deleted, 40)]);
    assert_eq!(store.resume("one", 12).unwrap_err(), Lost::Expired);
    assert!(store.resume("one", 40).is_ok());
}

#[test]
fn what_does_not_fit_is_left_out_and_what_no_longer_fits_is_gone() {
    let text = pod("n/a", "u", "one", "").text.len();
    let mut store = Store::new(Bounds { pods: 2, nodes: 10, bytes: 3 * text });
    store.begin();
    store.end(10);
    store.apply(pod("n/a", "u", "one", ""), 11);
    store.apply(pod("n/b", "u", "one", ""), 12);

    assert_eq!(store.apply(pod("n/c", "u", "one", ""), 13), Outcome::Full);
    assert_eq!(store.apply(pod("n/a", "u", "one", &"x".repeat(3 * text)), 14), Outcome::Full);

    assert_eq!(store.held(), (1, text));
    assert_eq!(store.list("one").0.len(), 1);
}

#[test]
fn nodes_without_pods_and_readers_give_way_and_who_comes_back_to_one_lists_again() {
    let mut store = Store::new(Bounds { pods: 100, nodes: 3, bytes: 1 << 20 });
    store.begin();
    store.end(10);
    store.apply(pod("n/a", "u", "one", ""), 11);
    store.remove("n/a", 12);

    for node in ["two", "three", "four"] {
        store.list(node);
    }

    assert!(store.nodes.len() <= 3, "{}", store.nodes.len());
    assert_eq!(store.resume("one", 11).unwrap_err(), Lost::Expired);
}

#[test]
fn an_address_is_the_pods_that_has_it_alone_and_no_ones_once_that_is_gone() {
    let with = |key: &str, uid: &str, ips: &[&str]| {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Trimmed { peer: Peer { ips, ..Peer::default() }, ..pod(key, uid, "one", "Running") }
    };
    let at = |store: &Store, ip: &str| store.at(ip.parse().unwrap()).map(|at| at.uid.to_owned());
    let mut store = listed();
    store.apply(with("n/a", "a", &["10.0.0.1", "fd::1"]), 11);
    assert_eq!((at(&store, "10.0.0.1"), at(&store, "fd::1")), (Some("a".into()), Some("a".into())));

    store.apply(with("n/b", "b", &["10.0.0.1"]), 12);
    assert_eq!(at(&store, "10.0.0.1"), None, "both say so");
    store.remove("n/a", 13);
    assert_eq!((at(&store, "10.0.0.1"), at(&store, "fd::1")), (Some("b".into()), None));
    store.apply(Trimmed { text: (*b"other").into(), ..with("n/b", "b", &[]) }, 14);

    assert_eq!(at(&store, "10.0.0.1"), None, "it has ended");
    assert!(store.addresses.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Apply {
        pod: u8,
        uid: u8,
        node: u8,
        phase: u8,
    },
    Remove(u8),
    /// A list again, during which these were lost.
    Relist(Vec<u8>),
    /// The agent reads what there is, so many bytes.
    Read(usize),
    /// The agent's connection breaks, and it comes back.
    Break,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..6_u8, 0..3_u8, 0..2_u8, 0..3_u8)
            .prop_map(|(pod, uid, node, phase)| Step::Apply { pod, uid, node, phase }),
        2 => (0..6_u8).prop_map(Step::Remove),
        1 => proptest::collection::vec(0..6_u8, 0..3).prop_map(Step::Relist),
        3 => (1..400_usize).prop_map(Step::Read),
        1 => Just(Step::Break),
    ]
}

proptest! {
    /// The cluster as it is, and an agent that reads, breaks off and comes back: at the end it has the node's pods.
    #[test]
    fn an_agent_that_follows_has_what_is_there(steps in proptest::collection::vec(step(), 0..60)) {
        let mut truth: BTreeMap<String, (String, u8, String)> = BTreeMap::new();
        let mut store = listed();
        let mut version = 10;
        let mut agent = Agent { version: 10, ..Agent::default() };
        let (_, mut cursor) = store.list("0");
        for step in steps {
            version += 1;
            match step {
                Step::Apply { pod: name, uid, node, phase } => {
                    let (key, uid, phase) = (format!("n/{name}"), format!("{name}-{uid}"), phase.to_string());
                    // A pod stays on its node.
                    let node = match truth.get(&key) {
                        Some((same, node, _)) if *same == uid => *node,
                        _ => node,
                    };
                    store.apply(pod(&key, &uid, &node.to_string(), &phase), version);
                    truth.insert(key, (uid, node, phase));
                }
                Step::Remove(name) => {
                    let key = format!("n/{name}");
                    truth.remove(&key);
                    store.remove(&key, version);
                }
                Step::Relist(lost) => {
                    for name in lost {
                        truth.remove(&format!("n/{name}"));
                    }
                    store.begin();
                    for (key, (uid, node, phase)) in &truth {
                        store.apply(pod(key, uid, &node.to_string(), phase), version - 1);
                    }
                    store.end(version);
                }
                Step::Read(most) => {
                    if let Ok(changes) = store.pending("0", &mut cursor, most) {
                        agent.take_all(&changes);
                    }
                }
                Step::Break => match store.resume("0", agent.version) {
                    Ok(resumed) => cursor = resumed,
                    Err(Lost::Expired) => {
                        let (pods, listed) = store.list("0");
                        agent = Agent::default();
                        agent.take_all(&pods);
                        agent.version = store.version().unwrap();
                        cursor = listed;
                    }
                },
            }
        }
        loop {
            let changes = store.pending("0", &mut cursor, 1000).unwrap();
            if changes.is_empty() {
                break;
            }
            agent.take_all(&changes);
        }
        let here = truth.into_iter().filter(|(_, (_, node, _))| *node == 0);
        let here: BTreeMap<_, _> = here.map(|(key, (uid, _, phase))| (key, (uid, phase))).collect();
        prop_assert_eq!(agent.pods, here);
        let bytes: usize = store.pods.values().map(|entry| entry.text.len()).sum();
        prop_assert_eq!(store.held(), (store.pods.len(), bytes));
    }
}

#[test]
fn the_address_of_a_node_is_its_own_as_long_as_it_has_pods() {
    let mut store = listed();
    let ip: IpAddr = "192.168.0.2".parse().unwrap();
    let on =
        |node: &str, name: &str| Trimmed { hosts: vec![ip], ..pod(name, name, node, "Running") };
    assert_eq!(store.host(ip), None);

    store.apply(on("one", "n/a"), 11);
    assert_eq!((store.host(ip), store.at(ip).is_none()), (Some("one"), true));

    store.remove("n/a", 12);
    assert_eq!(store.host(ip), None, "it may be another's");
    store.apply(on("two", "n/b"), 13);
    assert_eq!(store.host(ip), Some("two"));
}
