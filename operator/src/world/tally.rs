//! Tally: which counts a node belongs to, and when it moves between them.
//!
//! In: a node that changed, before and after. Out: the counts of the configurations that match it. A node is taken out
//! with what it was counted in with, so that nothing has to be counted again. Pure: the time is an argument.

use super::nodes::Share;
use super::{Config, ConfigId, Node, State, Verdict, World};
use crate::pace::Millis;
use crate::queue::NodeId;

/// An agent that was told so long ago and has not answered is silent.
const SILENCE: Millis = 300_000;

impl World {
    /// Takes a node out of all counts.
    pub(super) fn retract(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let Some(share) = node.share.take() else { return };
        let matches = node.matches.clone();
        self.tally(id, &matches, &share, false);
        self.quiet(id);
    }

    /// Puts a node into all counts that it belongs to.
    pub(super) fn count(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(id) else { return };
        if node.object.is_none() {
            return;
        }
        let matches = node.matches.clone();
        let priority = |id: &ConfigId| self.configs.get(*id).map(Config::priority);
        let losers = matches.iter().skip(1);
        let equals = matches
            .first()
            .map_or(0, |winner| losers.take_while(|id| priority(id) == priority(winner)).count());
        let share = Share { equals, verdict: self.verdict(node), absent: node.absent };
        self.tally(id, &matches, &share, true);
        if let Some(node) = self.nodes.get_mut(id) {
            node.share = Some(share);
        }
    }

    fn tally(&mut self, id: NodeId, matches: &[ConfigId], share: &Share, is: bool) {
        let &Share { equals, ref verdict, absent } = share;
        let add = |n: &mut u32| if is { *n += 1 } else { *n -= 1 };
        if absent {
            let winner = matches.first().copied();
            let config = winner.and_then(|id| self.configs.get_mut(id));
            add(&mut config.map_or(&mut self.unmatched, |config| &mut config.counts).absent);
            self.dirty.extend(winner);
            return;
        }
        let (winner, losers) =
            matches.split_first().map_or((None, matches), |(w, l)| (Some(*w), l));
        for (at, &loser) in losers.iter().enumerate() {
            let Some(config) = self.configs.get_mut(loser) else { continue };
            add(&mut config.counts.matched);
            match winner.filter(|_| at < equals) {
                Some(winner) => config.counts.conflict(winner, is),
                None => add(&mut config.counts.overridden),
            }
            self.dirty.insert(loser);
        }
        let Some(winner) = winner else {
            return if is {
                self.unmatched.add(id, verdict);
            } else {
                self.unmatched.take(id, verdict);
            };
        };
        let Some(config) = self.configs.get_mut(winner) else { return };
        add(&mut config.counts.matched);
        for &loser in &losers[..equals] {
            config.counts.conflict(loser, is);
        }
        if is {
            config.counts.add(id, verdict);
        } else {
            config.counts.take(id, verdict);
        }
        self.dirty.insert(winner);
    }

    /// Looks at one node again, whose configurations are the same.
    pub(super) fn refresh(&mut self, id: NodeId, now: Millis) {
        let Some(node) = self.nodes.get(id) else { return };
        let Some(share) = node.share.as_ref().filter(|share| !share.absent) else { return };
        let mut verdict = self.verdict(node);
        let waits = verdict.told && verdict.state == State::Pending;
        let silent = node.silent && waits;
        verdict.silent = silent;
        verdict.unheard = node.deaf && !silent;
        let (silent_at, winner) = (node.silent_at, node.matches.first().copied());
        if verdict != share.verdict {
            let counts = match winner {
                Some(winner) => self.configs.get_mut(winner).map(|config| &mut config.counts),
                None => Some(&mut self.unmatched),
            };
            if let Some(counts) = counts {
                counts.replace(id, &share.verdict, &verdict);
            }
            self.dirty.extend(winner);
        }
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.silent = silent;
        if let Some(share) = &mut node.share {
            share.verdict = verdict;
        }
        if waits && silent_at.is_none() && !node.silent {
            node.silent_at = Some(now + SILENCE);
            self.silences.insert((now + SILENCE, id));
        } else if !waits {
            self.quiet(id);
        }
    }

    /// The node's silence is not waited for any more.
    pub(super) fn quiet(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.silent = false;
        if let Some(at) = node.silent_at.take() {
            self.silences.remove(&(at, id));
        }
    }

    fn verdict(&self, node: &Node) -> Verdict {
        let Some(config) = node.matches.first().and_then(|&id| self.configs.get(id)) else {
            return Verdict::of(node, Some(&self.builtin.hash), None);
        };
        let hash = config.force.as_ref().map(|force| force.content.hash.as_str());
        Verdict::of(node, hash, Some(&config.uid))
    }
}
