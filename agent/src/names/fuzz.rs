//! What the API server sends, for the fuzzer.
//!
//! In: bytes as they arrive. Out: nothing; a panic is a finding. Pure: no I/O.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use super::wire;
use crate::kube::review;
use crate::kube::split::{Items, Lines, Part};
use probelet_core::cluster::objects::{Event, Kind};
use probelet_core::cluster::{Cluster, Settings};

/// The first byte says what it is, the second in what pieces it arrives.
pub(crate) fn api(data: &[u8]) {
    let [what, size, bytes @ ..] = data else { return };
    let (kind, size) = (Kind::ALL[usize::from(what % 4) % Kind::ALL.len()], usize::from(*size) + 1);
    match what / 4 % 4 {
        0 => {
            let events = lines(kind, bytes, bytes.len().max(1));
            assert_eq!(events, lines(kind, bytes, size), "in pieces it says something else");
            taken_in(&events);
        }
        1 => {
            let events = items(kind, bytes, bytes.len().max(1));
            assert_eq!(events, items(kind, bytes, size), "in pieces it says something else");
            taken_in(&events);
        }
        2 => {
            let nodes = wire::node(bytes).map(|node| Event::Nodes(vec![node]));
            taken_in(&Vec::from_iter(nodes));
        }
        _ => {
            review::fuzz(bytes);
            if let Some(found) = wire::far(bytes, 2000) {
                taken_in(&found.events());
            }
            crate::config::fuzz::node_probe(bytes);
        }
    }
}

fn lines(kind: Kind, bytes: &[u8], size: usize) -> Vec<Event> {
    let (mut lines, mut events, mut version) = (Lines::default(), Vec::new(), String::new());
    for chunk in bytes.chunks(size) {
        lines.feed(chunk, |line| {
            match wire::line(kind, line.unwrap(), &mut version, &mut |_| {}) {
                wire::Line::Change(event) => events.extend(event),
                wire::Line::Bookmark(_) => {}
                wire::Line::Failed(failure) => {
                    _ = (
                        failure.wants_new_list(),
                        failure.is_from_the_future(),
                        failure.retry_after(),
                    );
                }
            }
        });
    }
    events
}

fn items(kind: Kind, bytes: &[u8], size: usize) -> Vec<Event> {
    let (mut items, mut events) = (Items::default(), Vec::new());
    for chunk in bytes.chunks(size) {
        items.feed(chunk, |part| match part {
            Part::Metadata(text) => _ = wire::has_more(text),
            Part::Item(text) => events.extend(wire::item(kind, text.unwrap(), &mut |_| {})),
        });
    }
    _ = items.complete();
    events
}

/// As the engine takes it in: once more for those that change, and as a list in which nothing is.
fn taken_in(events: &[Event]) {
    if events.is_empty() {
        return;
    }
    let mut cluster = Cluster::new(Settings { node: "node-1".into(), ..Settings::default() }, 1);
    for event in events.iter().cloned().chain(events.iter().rev().cloned()) {
        cluster.apply(event, 1000);
    }
    for kind in Kind::ALL {
        cluster.apply(Event::Listing(kind), 2000);
        cluster.apply(Event::Listed(kind), 2000);
    }
    let left = cluster.known().objects;
    assert!(left.iter().all(|&left| left == 0), "{left:?} after empty lists");
}
