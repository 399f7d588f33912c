//! Agents: on which nodes one is wanted, and which of them has fallen silent.
//!
//! In: the placement of the agents, what they say, the time. Out: nodes that are absent, nodes that are deaf, each counted
//! as what it is. A report costs nothing here: a node is looked at again when its last word is too old, not when it comes.
//! Pure: the time is an argument.

use super::World;
use crate::pace::Millis;
use crate::placement::Placement;
use crate::queue::NodeId;

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
            if self.place_agent(id) {
                self.rematch(id);
                self.touch(id);
            }
        }
    }

    /// Looks whether an agent is wanted on a node; says whether that changed. Who calls it counts the node anew.
    pub(super) fn place_agent(&mut self, id: NodeId) -> bool {
        let Some(node) = self.nodes.get(id) else { return false };
        let Some(object) = &node.object else { return false };
        let runs = node.speaks().is_some();
        let absent = !self.placement.wants(&node.name, &object.labels, &object.taints, runs);
        if absent == node.absent {
            return false;
        }
        // Out of the counts as what it was counted in.
        self.retract(id);
        let now = self.now;
        let Some(node) = self.nodes.get_mut(id) else { return false };
        node.absent = absent;
        if absent {
            node.orphan_since = now;
            self.absent += 1;
        } else {
            self.absent -= 1;
        }
        true
    }

    /// Nodes on which an agent is wanted.
    #[must_use]
    pub fn wanted(&self) -> u32 {
        self.present - self.absent
    }

    /// Sees to it that a node that has spoken is looked at again.
    pub(super) fn listen(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.deaf_at.is_some() || node.deaf || node.speaks().is_none() {
            return;
        }
        let at = node.heard_until();
        node.deaf_at = Some(at);
        self.deadlines.insert((at, id));
    }

    pub(super) fn unlisten(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        if let Some(at) = node.deaf_at.take() {
            self.deadlines.remove(&(at, id));
        }
    }

    /// Notices who has not been heard of for too long.
    pub(super) fn find_deaf(&mut self, now: Millis) {
        while let Some(&(at, id)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            // While nobody can be heard, nobody's silence means anything.
            let blind = self.blind;
            let Some(node) = self.nodes.get_mut(id) else { continue };
            node.deaf_at = None;
            if blind {
                node.heard = now;
            }
            if node.speaks().is_some() && !node.is_alive(now) {
                node.deaf = true;
                self.refresh(id, now);
                self.touch(id);
            } else {
                self.listen(id);
            }
        }
    }
}
