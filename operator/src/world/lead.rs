//! What only the leader does: rollouts begin, are judged and end; nodes get their turn.
//!
//! In: that this process leads now, the time. Out: nodes in the queue. A rollout that another process began is taken up
//! where its status says it is: the content before is found in the `NodeProbes` that still carry it. Pure: the time is an
//! argument.

use std::sync::Arc;

use probelet_crds::{Phase, condition};

use super::{Config, ConfigId, Counts, Force, Node, State, World};
use crate::pace::Millis;
use crate::queue::{Key, NodeId};
use crate::rollout::{Edition, Rollout, Stage, Verdict};

/// What a rollout begins from.
struct Past {
    previous: Option<Edition>,
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
        let Past { previous, resumed, same } = self.past(config, &force);
        let target = Edition { content: Arc::clone(&force.content), generation: force.generation };
        let mut rollout = Rollout::new(target, previous, &force.rules, now);
        let old = config.rollout.clone();
        // Canaries that wait for tokens themselves would be watched before they know.
        let most = usize::try_from(force.rules.max_nodes_per_minute).unwrap_or(1);
        let share = self.share(id, &force.rules).min(most);
        let message = condition::get(&config.status.conditions, condition::DEGRADED)
            .map_or(String::new(), |degraded| degraded.message.clone());
        match resumed {
            Some((Phase::Complete, _)) => rollout.stage = Stage::Complete,
            Some((Phase::Rolling, _)) => {}
            Some((phase, count)) => {
                // All of them had fallen silent, and there were no others.
                let none = phase == Phase::Canary && count == 0;
                let count = if none { share.max(1) } else { usize::try_from(count).unwrap_or(0) };
                // Who has it already was one, no matter who is alive by now.
                let canaries = self.canaries(id, force.generation, count, |node| {
                    self.verdict(node).is_some_and(|verdict| verdict.assigned)
                });
                if phase == Phase::Canary {
                    rollout.watch(canaries.iter().filter_map(|&id| self.said(id)), now);
                    rollout.were_well();
                    let more = count.saturating_sub(canaries.len());
                    let others = self.fresh(id, force.generation, more, &rollout, now);
                    if canaries.is_empty() {
                        rollout.expect(count, now);
                    }
                    let others = others.iter().filter_map(|&id| self.said(id));
                    others.for_each(|(id, said)| rollout.join(id, said, now));
                } else {
                    let canaries = canaries.into_iter().collect();
                    rollout.stage = Stage::RolledBack { canaries, why: message };
                }
            }
            None => {
                let known = rollout.previous.as_ref().is_some_and(|p| p.content == force.content);
                let pending = self.pending(id, now);
                if let Some(stage) = same.filter(|_| !pending) {
                    rollout.stage = stage;
                } else if pending && !known && !rollout.urgent {
                    let canaries = self.fresh(id, force.generation, share, &rollout, now);
                    rollout.watch(canaries.iter().filter_map(|&id| self.said(id)), now);
                    if let Some(old) = &old {
                        rollout.inherit(old);
                    }
                }
            }
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
            let was_same = old.target.content.hash == hash;
            return match old.stage.clone() {
                // Nothing new for those that have it; others may have come under it.
                stage @ (Stage::Rolling | Stage::Complete) if was_same => {
                    Past { previous: None, resumed: None, same: Some(stage) }
                }
                Stage::Rolling | Stage::Complete => {
                    Past { previous: Some(old.target.clone()), resumed: None, same: None }
                }
                Stage::Canary(_) | Stage::RolledBack { .. } => {
                    Past { previous: old.previous.clone(), resumed: None, same: None }
                }
            };
        }
        let Some(status) = &config.status.rollout else {
            return Past { previous: None, resumed: None, same: None };
        };
        let before = status.previous_hash.as_deref();
        let generation = status.generation - 1;
        let kept = || Edition::kept(status, generation);
        let before = before.and_then(|word| edition(word, generation).or_else(kept));
        if status.generation == force.generation && status.hash == hash {
            let resumed = Some((status.phase, status.canaries));
            return Past { previous: before, resumed, same: None };
        }
        match status.phase {
            Phase::Rolling | Phase::Complete if status.hash == hash => {
                let stage = Stage::Rolling;
                Past { previous: None, resumed: None, same: Some(stage) }
            }
            Phase::Rolling | Phase::Complete => {
                let previous = edition(&status.hash, status.generation);
                Past { previous, resumed: None, same: None }
            }
            Phase::Canary | Phase::RolledBack => {
                Past { previous: before, resumed: None, same: None }
            }
        }
    }

    /// Whether a live agent works by another content than the configuration's newest.
    fn pending(&self, id: ConfigId, now: Millis) -> bool {
        self.effective(id).into_iter().any(|node| {
            self.nodes.get(node).is_some_and(|node| {
                let assigned = self.verdict(node).is_some_and(|verdict| verdict.assigned);
                !assigned && node.is_alive(now)
            })
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
        let trials = rollouts().filter_map(|r| r.trial.deadline(super::canaries::lasting(r)));
        let silent = self.deadlines.first().map(|(at, _)| *at);
        rollouts().filter_map(Rollout::deadline).chain(trials).chain(silent).min()
    }
}
