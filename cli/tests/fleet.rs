//! `status` on 5,000 nodes: how many pages are asked for, and how much memory that takes.
//!
//! An API server in memory serves 5,000 NodeProbes that are copies of a real one. Time is not judged here: machines
//! differ; what is counted does not. I/O: none.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use kubectl_probelet::answer::status::{Seen, Status};
use kubectl_probelet::ask::Ask;
use kubectl_probelet::show::Answer as _;
use probelet_allocations::{Counting, forget_peak, live, peak};
use probelet_fake_api::scripted;
use serde_json::Value;

const NODES: usize = 5_000;
const PAGE: usize = 500;
/// A page as text and as values, and 5,000 rows: measured 6.2 MiB, of which 2.6 stay.
const MOST: usize = 12 << 20;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One page of the list, made when it is asked for.
fn page(template: &Value, from: usize) -> Vec<u8> {
    let mut text = br#"{"apiVersion":"probelet.io/v1alpha1","items":["#.to_vec();
    let to = (from + PAGE).min(NODES);
    for node in from..to {
        if node > from {
            text.push(b',');
        }
        let mut object = template.clone();
        object["metadata"]["name"] = format!("node-{node:04}").into();
        if node % 100 == 7 {
            object["status"]["agent"]["level"] = "Stretched".into();
            object["status"]["agent"]["levelReason"] =
                "needs 9m for 1s freshness at 41200 sockets".into();
        }
        if node % 1000 == 3 {
            object["status"]["observedGeneration"] = 0.into();
        }
        text.extend(object.to_string().bytes());
    }
    text.extend_from_slice(br#"],"kind":"NodeProbeList","metadata":{"resourceVersion":"1""#);
    if to < NODES {
        text.extend(format!(r#","continue":"{to}","remainingItemCount":{}"#, NODES - to).bytes());
    }
    text.extend_from_slice(b"}}");
    text
}

fn server(asked: Arc<Mutex<Vec<String>>>) -> kube::Client {
    let template: Value = serde_json::from_str(include_str!("fixtures/nodeprobe.json")).unwrap();
    scripted(move |request| {
        let uri = request.uri().to_string();
        let from = uri.split_once("continue=").map_or(0, |(_, token)| token.parse().unwrap());
        asked.lock().unwrap().push(uri);
        (200, page(&template, from))
    })
}

#[test]
fn five_thousand_nodes_are_read_in_ten_pages_and_little_memory() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let ask = Ask::through(server(Arc::clone(&asked)), Duration::from_mins(1));
    let before = live();
    forget_peak();

    let read = runtime.block_on(ask.probes(false)).unwrap();
    let held = live() - before;
    let status = Status::of(
        &Seen {
            server: "https://example:6443".to_owned(),
            place: ("probelet".to_owned(), "probelet".to_owned()),
            probes: read.items,
            nodes: Some(NODES as u64),
            configs: Vec::new(),
            lease: Err("not asked".to_owned()),
            operators: Err("not asked".to_owned()),
            daemons: None,
            down: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
        },
        10,
    );
    let text = status.page(false).text(false);

    let peak = peak() - before;
    assert_eq!((asked.lock().unwrap().len(), read.pages), (NODES / PAGE, NODES / PAGE));
    assert!(peak <= MOST, "the peak was {peak} bytes, {held} were held");
    assert!(held <= 4 << 20, "{held} bytes are held for {NODES} nodes");
    assert!(text.contains("Full 4950, Stretched 50"), "{text}");
    assert!(text.contains("config not applied yet"), "{text}");
    assert!(text.lines().count() < 40, "one screen:\n{text}");
}
