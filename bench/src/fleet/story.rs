//! What each simulated node was assigned and what it answered, with times.
//!
//! In: entries, as agents make them. Out: answers to the questions of the measurement: who has applied, when the last
//! one did, how fast a change went out, who ever saw it, what was written without success. Pure but for its lock: the time is
//! an argument.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many complaints are kept: the first say it all.
const COMPLAINTS: usize = 5;

/// What happened to one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum What {
    /// A spec came: its generation and hash.
    Saw(i64, u64),
    /// The object is gone.
    Gone,
    /// A status was written: the generation judged, the hash that is in force, whether that is what was asked, seconds
    /// the PATCH took.
    Wrote(i64, u64, bool, f64),
    /// The server answered a write with this code; 0 is no answer.
    Refused(u16),
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Seconds since the beginning.
    pub at: f64,
    /// Which node.
    pub node: usize,
    /// What.
    pub what: What,
}

/// How a node stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Node {
    /// The generation of its spec; 0 without an object.
    pub generation: i64,
    /// The hash in its spec.
    pub hash: u64,
    /// The generation that its agent judged last.
    pub judged: i64,
    /// The hash that its agent works by.
    pub applied: u64,
}

impl Node {
    /// It works by `hash`, and has reported so.
    #[must_use]
    pub fn applies(&self, hash: u64) -> bool {
        self.hash == hash && self.applied == hash && self.judged == self.generation
    }
}

/// The whole of it.
#[derive(Debug)]
pub struct Story(Mutex<Record>);

#[derive(Debug)]
struct Record {
    nodes: Vec<Node>,
    /// Since the last [`Story::chapter`].
    entries: Vec<Entry>,
    /// The first things that went wrong, in words.
    complaints: Vec<String>,
}

impl Story {
    /// Of nodes to which nothing has happened.
    #[must_use]
    pub fn new(nodes: usize) -> Self {
        Self(Mutex::new(Record {
            nodes: vec![Node::default(); nodes],
            entries: Vec::new(),
            complaints: Vec::new(),
        }))
    }

    /// Adds to it.
    pub fn tell(&self, entry: Entry) {
        let mut record = self.record();
        let Some(node) = record.nodes.get_mut(entry.node) else { return };
        match entry.what {
            What::Saw(generation, hash) => (node.generation, node.hash) = (generation, hash),
            What::Gone => *node = Node::default(),
            What::Wrote(judged, applied, ..) => (node.judged, node.applied) = (judged, applied),
            What::Refused(_) => {}
        }
        record.entries.push(entry);
    }

    /// Keeps what went wrong, if it is among the first.
    pub fn complain(&self, text: impl FnOnce() -> String) {
        let complaints = &mut self.record().complaints;
        if complaints.len() < COMPLAINTS {
            complaints.push(text());
        }
    }

    /// What went wrong first.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.record().complaints.clone()
    }

    /// How many nodes hold to this.
    pub fn count(&self, holds: impl Fn(&Node) -> bool) -> usize {
        self.record().nodes.iter().filter(|node| holds(node)).count()
    }

    /// How the nodes stand.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.record().nodes.clone()
    }

    /// Forgets what happened, not how the nodes stand.
    pub fn begin_chapter(&self) {
        self.record().entries.clear();
    }

    /// What happened since the chapter began.
    #[must_use]
    pub fn chapter(&self) -> Chapter {
        Chapter { entries: self.record().entries.clone() }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the story.
#[derive(Debug, Clone, Default)]
pub struct Chapter {
    entries: Vec<Entry>,
}

impl Chapter {
    /// When the last of those nodes that work by `hash` first said so.
    #[must_use]
    pub fn last_applied(&self, hash: u64) -> Option<f64> {
        let mut record = BTreeSet::new();
        let first = self.entries.iter().filter(|entry| {
            matches!(entry.what, What::Wrote(_, applied, true, _) if applied == hash)
                && record.insert(entry.node)
        });
        first.map(|entry| entry.at).reduce(f64::max)
    }

    /// The nodes that were ever asked to work by `hash`.
    #[must_use]
    pub fn were_assigned(&self, hash: u64) -> BTreeSet<usize> {
        let saw = |entry: &&Entry| matches!(entry.what, What::Saw(_, h) if h == hash);
        self.entries.iter().filter(saw).map(|entry| entry.node).collect()
    }

    /// How many specs each node was given, the most and all together.
    #[must_use]
    pub fn specs(&self) -> (usize, usize) {
        let mut by_node = std::collections::BTreeMap::<usize, BTreeSet<i64>>::new();
        for entry in &self.entries {
            if let What::Saw(generation, _) = entry.what {
                by_node.entry(entry.node).or_default().insert(generation);
            }
        }
        let most = by_node.values().map(BTreeSet::len).max().unwrap_or(0);
        (most, by_node.values().map(BTreeSet::len).sum())
    }

    /// The most specs that went out within `span` seconds.
    #[must_use]
    pub fn fastest(&self, span: f64) -> usize {
        let saw = self.entries.iter().filter(|entry| matches!(entry.what, What::Saw(..)));
        most_within(saw.map(|entry| entry.at).collect(), span)
    }

    /// How long each PATCH took, seconds, shortest first.
    #[must_use]
    pub fn latencies(&self) -> Vec<f64> {
        let took = |entry: &Entry| match entry.what {
            What::Wrote(.., seconds) => Some(seconds),
            _ => None,
        };
        let mut all: Vec<f64> = self.entries.iter().filter_map(took).collect();
        all.sort_by(f64::total_cmp);
        all
    }

    /// Writes of agents that the server refused or did not answer.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.what, What::Refused(_))).count()
    }
}

/// The most of `times` within any `span`.
fn most_within(mut times: Vec<f64>, span: f64) -> usize {
    times.sort_by(f64::total_cmp);
    let mut from = 0;
    let mut most = 0;
    for (to, time) in times.iter().enumerate() {
        while time - times[from] > span {
            from += 1;
        }
        most = most.max(to + 1 - from);
    }
    most
}

/// The value that `share` of a sorted list does not exceed.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "an index of a list in memory"
)]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[((last as f64 * share).ceil() as usize).min(last)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(entries: &[(f64, usize, What)]) -> Story {
        let story = Story::new(3);
        for &(at, node, what) in entries {
            story.tell(Entry { at, node, what });
        }
        story
    }

    #[test]
    fn a_node_applies_only_once_its_agent_has_judged_this_very_generation() {
        let story = story(&[(0.0, 0, What::Saw(1, 7)), (0.1, 0, What::Wrote(1, 7, true, 0.01))]);
        assert_eq!(story.count(|node| node.applies(7)), 1);

        story.tell(Entry { at: 0.2, node: 0, what: What::Saw(2, 7) });

        assert_eq!(story.count(|node| node.applies(7)), 0);
    }

    #[test]
    fn a_refresh_after_the_acknowledgement_does_not_count_as_late() {
        let story = story(&[
            (1.0, 0, What::Wrote(1, 7, true, 0.01)),
            (2.0, 1, What::Wrote(1, 7, true, 0.01)),
            (9.0, 0, What::Wrote(1, 7, true, 0.01)),
        ]);

        assert_eq!(story.chapter().last_applied(7), Some(2.0));
    }

    #[test]
    fn a_node_that_was_assigned_twice_is_seen_and_a_repeated_event_is_not_a_write() {
        let story = story(&[
            (0.0, 0, What::Saw(2, 8)),
            (0.1, 0, What::Saw(2, 8)),
            (0.2, 1, What::Saw(2, 8)),
            (0.3, 1, What::Saw(3, 7)),
        ]);

        assert_eq!(story.chapter().specs(), (2, 3));
        assert_eq!(story.chapter().were_assigned(7), BTreeSet::from([1]));
    }

    #[test]
    fn the_fastest_span_may_begin_anywhere() {
        let story = story(&[
            (0.0, 0, What::Saw(1, 1)),
            (9.0, 1, What::Saw(1, 1)),
            (10.5, 2, What::Saw(1, 1)),
            (10.6, 2, What::Refused(429)),
        ]);

        assert_eq!(story.chapter().fastest(10.0), 2);
        assert_eq!(story.chapter().refused(), 1);
    }

    #[test]
    fn a_quantile_is_a_value_of_the_list() {
        let list = [1.0, 2.0, 3.0, 4.0];

        assert_eq!((quantile(&list, 0.5), quantile(&list, 0.99)), (Some(3.0), Some(4.0)));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
