//! What only the leader does: rollouts begin, are judged and end; nodes get their turn.
//!
//! In: that this process leads now, the time. Out: nodes in the queue. A rollout that another process began is taken up
//! where its status says it is: the content before is found in the `NodeProbes` that still carry it. Pure: the time is an
//! argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use probelet_crds::{Phase, condition};

use super::want::{carried, is_by};
use super::{Config, ConfigId, Counts, Force, Node, State, World};
use crate::pace::Millis;
use crate::queue::{Key, NodeId};
use crate::rollout::{Carried, Edition, Rollout, Stage, Verdict};

/// So many contents of a configuration are kept apart, the most carried ones.
const CONTENTS: usize = 16;

/// What a rollout begins from.
#[derive(Default)]
struct Past {
    previous: Option<Edition>,
    /// Older contents by their hashes, which nodes keep until their turn.
    kept: BTreeSet<String>,
    /// Taken up where another process left it, with so many canaries.
    resumed: Option<(Phase, i64)>,
    /// The same content is on its way or in force already.
    same: Option<Stage>,
}

impl World {
    /// From now on this process decides; everything was listed before.
    pub fn lead(&mut self, now: Millis) {
        self.leads = true;
        self.now = self.now.max(now);
        let configs: Vec<ConfigId> = self.configs.ids().collect();
        for id in configs {
            self.begin(id, now);
            self.mark(Some(id));
        }
        let nodes: Vec<NodeId> = self.nodes.ids().collect();
        for id in nodes {
            self.look(id, None);
            self.touch(id);
        }
    }

    /// Starts the rollout of what is in force of one configuration, or takes it up.
    pub(super) fn begin(&mut self, id: ConfigId, now: Millis) {
        let Some(config) = self.configs.get(id) else { return };
        let Some(force) = config.force.clone() else { return };
        let Past { previous, mut kept, resumed, same } = self.past(config, &force);
        let target = Edition { content: Arc::clone(&force.content), generation: force.generation };
        let mut rollout = Rollout::new(target, previous, &force.rules, now);
        // To go back to what was in force before needs no canaries.
        let known = kept.remove(&force.content.hash)
            || rollout.previous.as_ref().is_some_and(|p| p.content == force.content);
        rollout.kept = kept;
        match (resumed, same) {
            (Some((phase, count)), _) => {
                self.take_up(id, &mut rollout, &force, (phase, count), now);
            }
            (None, Some(stage @ Stage::Canary(_))) => {
                rollout.stage = stage;
                if let Some(old) = &config.rollout {
                    rollout.trial = old.trial.clone();
                }
            }
            (None, Some(stage)) if !self.is_change(id, &stage, now) => rollout.stage = stage,
            (None, _) if self.pending(id, now) && !known && !rollout.urgent => {
                let share = self.canaries_wanted(id, &force);
                let canaries = self.fresh(id, force.generation, share, &rollout, now);
                rollout.watch(canaries.iter().filter_map(|&id| self.said(id)), now);
                if let Some(old) = &config.rollout {
                    rollout.inherit(old);
                }
            }
            (None, _) => {}
        }
        if let Some(config) = self.configs.get_mut(id) {
            config.rollout = Some(rollout);
            config.waiting.clear();
        }
        for node in self.effective(id) {
            if let Some(node) = self.nodes.get_mut(node) {
                (node.admitted, node.waiting) = (None, None);
            }
            self.report(node);
            self.touch(node);
        }
    }

    /// How many canaries there are to be: those that wait for tokens themselves would be watched before they know.
    fn canaries_wanted(&self, id: ConfigId, force: &Force) -> usize {
        let most = usize::try_from(force.rules.max_nodes_per_minute).unwrap_or(1);
        self.share(id, &force.rules).min(most)
    }

    /// Whether a content that is on its way, or in force, is a change for nodes that have come under the configuration, or
    /// for any where all had it.
    fn is_change(&self, id: ConfigId, stage: &Stage, now: Millis) -> bool {
        match stage {
            Stage::Rolling => self.has_newcomers(id, now),
            _ => self.pending(id, now),
        }
    }

    /// Goes on where another process was.
    fn take_up(
        &self,
        id: ConfigId,
        rollout: &mut Rollout,
        force: &Force,
        (phase, count): (Phase, i64),
        now: Millis,
    ) {
        let Some(config) = self.configs.get(id) else { return };
        let count = match phase {
            Phase::Complete => {
                rollout.stage = Stage::Complete;
                return;
            }
            Phase::Rolling => return,
            // All of them had fallen silent, and there were no others.
            Phase::Canary if count == 0 => self.canaries_wanted(id, force).max(1),
            _ => usize::try_from(count).unwrap_or(0),
        };
        // Who has it already was one, no matter who is alive by now; where it is no other content than before, who has it
        // by this edit.
        let by_edit = |node: &Node| {
            let origin = node.probe.as_ref().and_then(|probe| probe.origin.as_ref());
            origin.is_some_and(|origin| origin.generation == force.generation)
        };
        let canaries = self.canaries(id, force.generation, count, |node| {
            self.is_assigned(node) && (rollout.previous.is_some() || by_edit(node))
        });
        if phase == Phase::Canary {
            rollout.watch(canaries.iter().filter_map(|&id| self.said(id)), now);
            rollout.were_well();
            let more = count.saturating_sub(canaries.len());
            let others = self.fresh(id, force.generation, more, rollout, now);
            if canaries.is_empty() {
                rollout.expect(count, now);
            }
            let others = others.iter().filter_map(|&id| self.said(id));
            others.for_each(|(id, said)| rollout.join(id, said, now));
        } else {
            let message = condition::get(&config.status.conditions, condition::DEGRADED);
            let why = message.map_or(String::new(), |degraded| degraded.message.clone());
            let canaries = canaries.into_iter().collect();
            rollout.stage = Stage::RolledBack { canaries, why };
        }
    }

    fn past(&self, config: &Config, force: &Force) -> Past {
        let hash = force.content.hash.as_str();
        // By the word of whichever release wrote it: some node carries it under that, or we would use the same.
        let carried = |word: &str| {
            let mut probes = self.nodes.iter().filter_map(|(_, node)| node.probe.as_ref());
            probes.find(|probe| *probe.hash == *word)?.content.clone()
        };
        let edition = |word: &str, generation| {
            let content = self.contents.find(word).or_else(|| carried(word))?;
            Some(Edition { content, generation })
        };
        if let Some(old) = &config.rollout {
            return after(old, hash);
        }
        let Some(status) = &config.status.rollout else { return Past::default() };
        let before = status.previous_hash.as_deref();
        let generation = status.generation - 1;
        let kept = || Edition::kept(status, generation);
        let before = before.and_then(|word| edition(word, generation).or_else(kept));
        let resumed = (status.generation == force.generation && status.hash == hash)
            .then_some((status.phase, status.canaries));
        let passed = matches!(status.phase, Phase::Rolling | Phase::Complete);
        let (previous, same) = match status.phase {
            _ if resumed.is_some() => (before, None),
            // Whether all had got it is not known.
            Phase::Rolling if status.hash == hash => (before, Some(Stage::Rolling)),
            Phase::Complete if status.hash == hash => (None, Some(Stage::Rolling)),
            Phase::Rolling | Phase::Complete => (edition(&status.hash, status.generation), None),
            Phase::Canary | Phase::RolledBack => (before, None),
        };
        let mut kept = self.carried_by(config);
        if !passed {
            // What was tried and had not passed is taken back.
            kept.remove(&status.hash);
        }
        kept.remove(hash);
        if let Some(previous) = &previous {
            kept.remove(&previous.content.hash);
        }
        Past { previous, kept, resumed, same }
    }

    /// The contents that nodes carry by order of a configuration, the most carried ones; edits by hand are none.
    fn carried_by(&self, config: &Config) -> BTreeSet<String> {
        let mut carried: BTreeMap<&str, usize> = BTreeMap::new();
        let probes = self.nodes.iter().filter_map(|(_, node)| node.probe.as_ref());
        for probe in probes.filter(|probe| is_by(config, probe) && !self.is_edited(probe)) {
            if let Some(content) = &probe.content {
                *carried.entry(&content.hash).or_default() += 1;
            }
        }
        let mut carried: Vec<(usize, &str)> = carried.into_iter().map(|(h, n)| (n, h)).collect();
        carried.sort_unstable_by(|a, b| b.cmp(a));
        carried.into_iter().take(CONTENTS).map(|(_, hash)| hash.to_owned()).collect()
    }

    /// Whether a live agent works by another configuration yet.
    fn has_newcomers(&self, id: ConfigId, now: Millis) -> bool {
        let Some(config) = self.configs.get(id) else { return false };
        self.effective(id).into_iter().any(|node| {
            self.nodes
                .get(node)
                .is_some_and(|node| carried(config, node) == Carried::Others && node.is_alive(now))
        })
    }

    /// Whether a live agent works by another content than the configuration's newest.
    fn pending(&self, id: ConfigId, now: Millis) -> bool {
        self.effective(id).into_iter().any(|node| {
            let node = self.nodes.get(node);
            node.is_some_and(|node| !self.is_assigned(node) && node.is_alive(now))
        })
    }

    /// Nodes on which the configuration wins.
    pub(super) fn effective(&self, id: ConfigId) -> Vec<NodeId> {
        let wins = |(_, node): &(NodeId, &Node)| node.matches.first() == Some(&id) && !node.absent;
        self.nodes.iter().filter(wins).map(|(id, _)| id).collect()
    }

    pub(super) fn said(&self, id: NodeId) -> Option<(NodeId, &crate::seen::Said)> {
        Some((id, &self.nodes.get(id)?.probe.as_ref()?.said))
    }

    /// Notifies the rollout that watches this node, if one does, how it is.
    pub(super) fn report(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(id) else { return };
        let (Some(probe), Some(verdict)) = (&node.probe, self.verdict(node)) else { return };
        let Some(config) = node.matches.first().and_then(|&id| self.configs.get_mut(id)) else {
            return;
        };
        if let Some(rollout) = config.rollout.as_mut().filter(|rollout| rollout.watches(id)) {
            let state = verdict.state;
            rollout.report(id, &probe.said, state == State::Applied, state == State::Failed);
        }
    }

    /// What time brings about: canaries are judged, silences noticed. Returns the configurations whose
    /// rollout was stopped.
    pub fn tick(&mut self, now: Millis) -> Vec<ConfigId> {
        self.now = self.now.max(now);
        self.find_silent(now);
        let configs: Vec<ConfigId> = self.configs.ids().collect();
        let mut stopped = Vec::new();
        for id in configs {
            if self.judge(id, now) == Some(Verdict::Failed) {
                stopped.push(id);
            }
            self.retry(id, now);
        }
        stopped
    }

    /// A rollout is complete once every node carries what it brought, whatever nodes come later.
    pub fn complete(&mut self, id: ConfigId, counts: &Counts) {
        if let Some(rollout) = self.configs.get_mut(id).and_then(|config| config.rollout.as_mut())
            && matches!(rollout.stage, Stage::Rolling)
            && counts.assigned == counts.effective
        {
            rollout.stage = Stage::Complete;
        }
    }

    /// What to look at next: what something happened to, else a node that gets a token for it. A node that needs one is
    /// planned for once it has it; a token is taken no sooner than there is room for the write, so that what a minute may
    /// see does not pile up before an API server that is slow for a while.
    pub fn next(&mut self, now: Millis) -> Option<Key> {
        while let Some(key) = self.queue.pop(now) {
            let Key::Probe(id) = key else { return Some(key) };
            let Some(config) = self.takes_token(id) else { return Some(key) };
            self.wait_for_token(id, config);
        }
        let configs: Vec<ConfigId> = self.configs.ids().collect();
        configs.into_iter().find_map(|id| {
            loop {
                let node = self.give_token(id, now)?;
                self.queue.offer(Key::Probe(node), now);
                // One that is being written, or waits out a failure, comes again when that has ended.
                if let Some(key) = self.queue.pop(now) {
                    break Some(key);
                }
            }
        })
    }

    /// Gives a token to the first node that waits for one of this configuration.
    fn give_token(&mut self, id: ConfigId, now: Millis) -> Option<NodeId> {
        loop {
            let config = self.configs.get(id).filter(|config| !config.rollout_paused)?;
            let &first = config.waiting.front()?;
            let waits = self.nodes.get(first).is_some_and(|node| node.waiting == Some(id));
            let takes = waits && self.takes_token(first) == Some(id);
            let config = self.configs.get_mut(id)?;
            let rollout = config.rollout.as_mut()?;
            if takes && !rollout.tokens.take(now) {
                return None;
            }
            config.waiting.pop_front();
            let Some(node) = self.nodes.get_mut(first).filter(|_| waits) else { continue };
            node.waiting = None;
            if takes {
                node.admitted = Some(Arc::clone(&rollout.target.content));
                return Some(first);
            }
        }
    }

    /// When [`World::next`] will have something, if nothing happens before.
    #[must_use]
    pub(crate) fn next_at(&self) -> Option<Millis> {
        let tokens = self.configs.iter().filter_map(|(_, config)| {
            let gives = !config.waiting.is_empty() && !config.rollout_paused;
            config.rollout.as_ref().filter(|_| gives).map(|rollout| rollout.tokens.next())
        });
        tokens.chain(self.queue.next()).min()
    }

    /// When [`World::tick`] may bring something about.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let rollouts = || self.configs.iter().filter_map(|(_, config)| config.rollout.as_ref());
        let trials =
            rollouts().filter_map(|r| r.trial.deadline(self.now, super::canaries::lasting(r)));
        let silent = self.deadlines.first().map(|(at, _)| *at);
        rollouts().filter_map(Rollout::deadline).chain(trials).chain(silent).min()
    }
}

/// What an edit begins from that finds a rollout under way; `hash` is that of its content.
fn after(old: &Rollout, hash: &str) -> Past {
    let was_same = old.target.content.hash == hash;
    let (target, previous) = (Some(old.target.clone()), old.previous.clone());
    let mut kept = old.kept.clone();
    match &old.stage {
        // Other rules for the same content: it goes on.
        stage @ (Stage::Canary(_) | Stage::Rolling) if was_same => {
            Past { previous, kept, same: Some(stage.clone()), resumed: None }
        }
        // Nothing new for those that have it; others may have come under it.
        Stage::Complete if was_same => Past { same: Some(Stage::Complete), ..Past::default() },
        Stage::Complete => Past { previous: target, ..Past::default() },
        Stage::Rolling => {
            // It passed, and has not reached all.
            if kept.len() < CONTENTS {
                kept.extend(previous.map(|previous| previous.content.hash.clone()));
            }
            kept.remove(&old.target.content.hash);
            Past { previous: target, kept, ..Past::default() }
        }
        Stage::Canary(_) | Stage::RolledBack { .. } => Past { previous, kept, ..Past::default() },
    }
}
