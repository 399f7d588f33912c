//! Canaries: which nodes try a change first, and what they prove.
//!
//! In: a rollout, its nodes as they are, the time. Out: canaries, others in the place of those that can prove nothing any
//! more, and what the watch over them came to. Only what the change itself did counts: a node that is gone, down, under
//! another configuration or without an agent is none of it, and while no one can be heard, no one is late. Pure: the
//! time is an argument.

use probelet_crds::Rollout as Rules;

use super::{ConfigId, Node, World};
use crate::pace::Millis;
use crate::queue::NodeId;
use crate::rollout::{Outcome, Rollout, Stage, Verdict};

/// Beyond two windows of the budget, the way of a report.
const GRACE: Millis = 90_000;

/// How long a canary must work by the content before until its budget says something about that.
pub(super) fn lasting(rollout: &Rollout) -> Millis {
    let window = rollout
        .previous
        .as_ref()
        .map_or(60, |previous| previous.content.config.budget.window.duration().as_secs());
    window * 2000 + GRACE
}

impl World {
    /// The same nodes for the same edit, no matter who leads.
    pub(super) fn canaries(
        &self,
        id: ConfigId,
        generation: i64,
        count: usize,
        fits: impl Fn(&Node) -> bool,
    ) -> Vec<NodeId> {
        let Some(config) = self.configs.get(id) else { return Vec::new() };
        let candidates = self.effective(id).into_iter().filter_map(|id| {
            let node = self.nodes.get(id).filter(|node| node.probe.is_some() && fits(node))?;
            Some((lot(&node.name, &config.uid, generation), id))
        });
        let mut candidates: Vec<_> = candidates.collect();
        candidates.sort_unstable();
        candidates.into_iter().take(count).map(|(_, id)| id).collect()
    }

    /// How many canaries a change is to have by its rules: of the nodes that it is a change for.
    pub(super) fn share(&self, id: ConfigId, rules: &Rules) -> usize {
        let nodes = self.effective(id).into_iter().filter_map(|id| self.nodes.get(id));
        let changes = nodes.filter(|node| !self.is_assigned(node)).count();
        changes * usize::try_from(rules.canary_percent).unwrap_or(0) / 100
    }

    /// Whether a node has been given the newest content.
    pub(super) fn is_assigned(&self, node: &Node) -> bool {
        self.verdict(node).is_some_and(|verdict| verdict.assigned)
    }

    /// Canaries for a rollout that has none of them yet: agents that live and do not have the content, those that are well
    /// before others, for only they can get worse.
    pub(super) fn fresh(
        &self,
        id: ConfigId,
        generation: i64,
        count: usize,
        rollout: &Rollout,
        now: Millis,
    ) -> Vec<NodeId> {
        let (taken, _) = rollout.canaries();
        let can = |node: &Node| {
            let place = self.nodes.find(&node.name);
            let free = place.is_some_and(|id| !taken.contains(&id) && !rollout.trial.excuses(id));
            free && !self.is_assigned(node) && node.is_alive(now) && !is_down(node)
        };
        let well = |node: &Node| {
            let said = node.speaks().map(|probe| &probe.said);
            said.is_some_and(|said| said.within != Some(false) && said.ready != Some(false))
        };
        let mut chosen = self.canaries(id, generation, count, |node| can(node) && well(node));
        if chosen.len() < count {
            let more = count - chosen.len();
            chosen.extend(self.canaries(id, generation, more, |node| can(node) && !well(node)));
        }
        chosen
    }

    /// Puts others in the place of canaries that can prove nothing.
    fn renew(&mut self, id: ConfigId, now: Millis) {
        let Some(config) = self.configs.get(id) else { return };
        let Some(rollout) = &config.rollout else { return };
        let (own, (canaries, _)) = (id, rollout.canaries());
        let proves = |&id: &NodeId| {
            self.nodes.get(id).is_some_and(|node| {
                // One that falls silent once it has the change may do so because of it.
                let shows =
                    node.is_alive(now) || rollout.has_answered(id) || self.is_assigned(node);
                node.matches.first() == Some(&own) && !node.absent && !is_down(node) && shows
            })
        };
        let lost: Vec<NodeId> = canaries.iter().copied().filter(|id| !proves(id)).collect();
        let generation = rollout.target.generation;
        if let Some(rollout) = self.configs.get_mut(id).and_then(|config| config.rollout.as_mut()) {
            for &id in &lost {
                rollout.forget(id);
            }
        }
        let Some(rollout) = self.configs.get(id).and_then(|config| config.rollout.as_ref()) else {
            return;
        };
        let (_, missing) = rollout.canaries();
        if missing == 0 {
            return;
        }
        let others = self.fresh(id, generation, missing, rollout, now);
        for other in others {
            let said = self.said(other).map(|(_, said)| said.clone());
            let rollout = self.configs.get_mut(id).and_then(|config| config.rollout.as_mut());
            if let (Some(rollout), Some(said)) = (rollout, said) {
                rollout.join(other, &said, now);
                self.touch(other);
            }
        }
    }

    /// Whether a canary has not been assigned anything yet: it waits for a token, or the API server refuses it.
    fn waits(&self, id: ConfigId) -> bool {
        let Some(rollout) = self.configs.get(id).and_then(|config| config.rollout.as_ref()) else {
            return false;
        };
        let assigned = |id: &NodeId| {
            let verdict = self.nodes.get(*id).and_then(|node| self.verdict(node));
            verdict.is_none_or(|verdict| verdict.assigned)
        };
        !rollout.canaries().0.iter().all(assigned)
    }

    /// Whether there are nodes for the change, and none of them can show what it does: all agents are silent. The next one
    /// that speaks is a canary.
    fn is_untried(&self, id: ConfigId) -> bool {
        let rollout = self.configs.get(id).and_then(|config| config.rollout.as_ref());
        rollout.is_some_and(|rollout| rollout.canaries().0.is_empty())
            && !self.effective(id).is_empty()
    }

    pub(super) fn judge(&mut self, id: ConfigId, now: Millis) -> Option<Verdict> {
        let rollout = self.configs.get(id)?.rollout.as_ref()?;
        if !matches!(rollout.stage, Stage::Canary(_)) {
            return None;
        }
        self.renew(id, now);
        let hold = self.is_blind(now) || self.waits(id) || self.is_untried(id);
        let nodes = &self.nodes;
        let config = self.configs.get_mut(id)?;
        let rollout = config.rollout.as_mut()?;
        if config.rollout_paused || hold {
            rollout.hold(now);
        }
        let name = |id| nodes.get(id).map_or(String::new(), |node| node.name.to_string());
        let verdict = rollout.judge(now, name)?;
        self.mark(Some(id));
        for node in self.effective(id) {
            self.touch(node);
        }
        Some(verdict)
    }

    /// Tries a change again on others that was taken back for the sake of canaries which are no better off without it.
    pub(super) fn retry(&mut self, id: ConfigId, now: Millis) {
        let nodes = &self.nodes;
        let Some(config) = self.configs.get_mut(id) else { return };
        let Some(rollout) = config.rollout.as_mut() else { return };
        let (Stage::RolledBack { .. }, Some(before)) = (&rollout.stage, &rollout.previous) else {
            return;
        };
        let before = std::sync::Arc::clone(&before.content);
        let lasting = lasting(rollout);
        let is = |node: NodeId| {
            let node = nodes.get(node).filter(|node| node.matches.first() == Some(&id));
            let Some(probe) = node.and_then(Node::speaks) else { return Outcome::Gone };
            let said = &probe.said;
            let works = probe.content.as_ref() == Some(&before)
                && said.generation == probe.generation
                && said.hash == probe.hash
                && said.applied == Some(true);
            if !works {
                Outcome::Waits
            } else if said.within == Some(false) || said.ready == Some(false) {
                Outcome::Bad
            } else {
                Outcome::Well
            }
        };
        if !rollout.trial.look(now, lasting, is) {
            return;
        }
        let generation = rollout.target.generation;
        let rules = config.force.as_ref().map(|force| force.rules.clone());
        let count = rules.map_or(0, |rules| self.share(id, &rules)).max(1);
        let Some(rollout) = self.configs.get(id).and_then(|config| config.rollout.as_ref()) else {
            return;
        };
        let canaries = self.fresh(id, generation, count, rollout, now);
        let said: Vec<_> = canaries
            .iter()
            .filter_map(|&id| self.said(id))
            .map(|(id, said)| (id, said.clone()))
            .collect();
        if let Some(rollout) = self.configs.get_mut(id).and_then(|config| config.rollout.as_mut()) {
            rollout.watch(said.iter().map(|(id, said)| (*id, said)), now);
        }
        self.mark(Some(id));
        for (node, _) in said {
            self.touch(node);
        }
    }

    /// Whether someone edited by hand what is assigned: it stands under a word of ours for something else.
    pub(crate) fn is_edited(&self, probe: &super::Probe) -> bool {
        let known = self.contents.find(&probe.hash);
        known.is_some_and(|known| probe.content.as_ref() != Some(&known))
    }
}

fn is_down(node: &Node) -> bool {
    node.object.as_ref().is_none_or(|object| object.down)
}

/// A node's lot in the draw of canaries.
fn lot(name: &str, uid: &str, generation: i64) -> u64 {
    let bytes = uid.bytes().chain(generation.to_le_bytes()).chain(name.bytes());
    let mixed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last letters of a name reach only the low bits: spread them.
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}
