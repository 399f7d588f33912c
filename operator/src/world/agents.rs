//! Agents: on which nodes one is wanted, and which of them has fallen silent.
//!
//! In: the placement of the agents, what they say, the time. Out: nodes that are absent, nodes that are deaf, each counted
//! as what it is. A report costs nothing here: a node is looked at again when its last word is too old, not when it comes.
//! Pure: the time is an argument.

use super::{State, Verdict, World};
use crate::pace::Millis;
use crate::placement::Placement;
use crate::queue::NodeId;

/// An agent that was assigned something so long ago and has not answered is silent.
const SILENCE: Millis = 300_000;

impl World {
    /// The agents are wanted elsewhere from now on.
    pub fn placement(&mut self, placement: Placement, now: Millis) {
        self.now = self.now.max(now);
        if self.placement == placement {
            return;
        }
        self.placement = placement;
        let ids: Vec<NodeId> = self.nodes.ids().collect();
        for id in ids {
            self.place_agent(id);
        }
    }

    /// Looks whether an agent is wanted on a node.
    pub(super) fn place_agent(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(id) else { return };
        let Some(object) = &node.object else { return };
        let runs = node.speaks().is_some();
        let absent = !self.placement.wants(&node.name, &object.labels, &object.taints, runs);
        if absent == node.absent {
            return;
        }
        let now = self.now;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.absent = absent;
        if absent {
            node.orphan_since = now;
            self.absent += 1;
        } else {
            self.absent -= 1;
        }
        let matches = node.matches.clone();
        self.assign(id, matches);
    }

    /// Nodes on which an agent is wanted.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.present - self.absent
    }

    /// Looks at one node after something about it changed: what a person should see of it, and when to look again. `before`
    /// is what was to be said of it then.
    pub(super) fn look(&mut self, id: NodeId, before: Option<&Verdict>) {
        let Some(node) = self.nodes.get(id) else { return };
        let verdict = self.verdict(node);
        let waits = verdict.as_ref().is_some_and(|v| v.assigned && v.state == State::Pending);
        let now = self.now;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.waits_since = waits.then(|| node.waits_since.unwrap_or(now));
        node.silent &= waits;
        let verdict = verdict.map(|verdict| verdict.heard(node));
        if !verdict.as_ref().is_some_and(Verdict::is_bad) {
            node.bad_since = None;
        } else if node.bad_since.is_none() {
            self.turned_bad += 1;
            node.bad_since = Some(self.turned_bad);
        }
        let winner = node.matches.first().copied().filter(|_| verdict.as_ref() != before);
        let silent = node.waits_since.filter(|_| !node.silent).map(|since| since + SILENCE);
        let deaf = node.speaks().filter(|_| !node.deaf).map(|_| node.heard_until());
        // A report moves nothing here: anyone who is looked at too soon is looked at again.
        let at = silent.into_iter().chain(deaf).min();
        if let Some(at) = at.filter(|&at| node.look_at.is_none_or(|sooner| sooner > at)) {
            let old = node.look_at.replace(at);
            self.deadlines.insert((at, id));
            old.map(|old| self.deadlines.remove(&(old, id)));
        }
        self.mark(winner);
    }

    /// The node is not to be looked at any more.
    pub(super) fn unlook(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if let Some(at) = node.look_at.take() {
            self.deadlines.remove(&(at, id));
        }
    }

    /// Notices who has not answered, and who has not been heard of, for too long.
    pub(super) fn find_silent(&mut self, now: Millis) {
        while let Some(&(at, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            let before = self.nodes.get(id).and_then(|node| self.verdict(node));
            let blind = self.is_blind(now);
            let Some(node) = self.nodes.get_mut(id) else { continue };
            node.look_at = None;
            // While no one can be heard, no one's silence means anything.
            if blind {
                node.heard = now;
            }
            node.silent |= node.waits_since.is_some_and(|since| now >= since + SILENCE);
            let deaf = node.speaks().is_some() && !node.is_alive(now);
            let turned = std::mem::replace(&mut node.deaf, deaf) != deaf;
            self.look(id, before.as_ref());
            if turned {
                self.touch(id);
            }
        }
    }
}
