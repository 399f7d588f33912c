//! The world: all nodes, configurations and `NodeProbes`, and what follows from them.
//!
//! In: what was observed, one change at a time. Out: who wins on which node, counts by configuration, and the lists of
//! nodes to plan for and of configurations whose status may have changed. A change touches only what it can change: a
//! report of an agent one node, a label one node and the configurations, an edit the nodes that it matches or matched.
//! It must not write or wait, and nothing may be planned before [`World::lead`]. Pure: the time is an argument.

mod configs;
mod content;
mod counts;
mod labels;
mod lead;
mod nodes;
mod outcome;
mod relist;
mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use configs::{Config, ConfigId, Force};
pub use content::{Content, Contents};
pub use counts::{Counts, State, Verdict};
pub use labels::Labels;
pub use nodes::{Node, Object, Probe};
pub use relist::Kind;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use probelet_crds::NodeConfig;

use crate::observe::{SeenConfig, SeenNode, SeenProbe};
use crate::pace::Millis;
use crate::queue::{NodeId, Queue};
use crate::validate::{Valid, validate};
use nodes::Share;
use relist::Epochs;
use table::Table;

/// An agent that was told so long ago and has not answered is silent.
const SILENCE: Millis = 300_000;

/// Everything that is known.
pub struct World {
    nodes: Table<Node>,
    configs: Table<Config>,
    contents: Contents,
    builtin: Arc<Content>,
    /// Nodes that no configuration matches.
    unmatched: Counts,
    /// Node objects.
    present: u32,
    /// Configurations of which only the `NodeProbes` know what is in force.
    held: u32,
    silences: BTreeSet<(Millis, NodeId)>,
    /// Nodes to plan for.
    pub queue: Queue,
    /// Configurations whose status may have changed.
    pub dirty: BTreeSet<ConfigId>,
    leads: bool,
    /// Whether `default` is about to be made: nodes that nothing matches are left alone until then.
    pub seeding: bool,
    epochs: Epochs,
}

impl Default for World {
    fn default() -> Self {
        let mut contents = Contents::default();
        Self {
            nodes: Table::default(),
            configs: Table::default(),
            builtin: contents.content(NodeConfig::default()),
            contents,
            unmatched: Counts::default(),
            present: 0,
            held: 0,
            silences: BTreeSet::new(),
            queue: Queue::default(),
            dirty: BTreeSet::new(),
            leads: false,
            seeding: false,
            epochs: Epochs::default(),
        }
    }
}

impl World {
    /// A node is there, or its labels changed.
    pub fn node(&mut self, seen: SeenNode) {
        let SeenNode { name, uid, labels } = seen;
        let id = self.place(&name);
        let epoch = self.epochs.nodes;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.seen_node = epoch;
        let object = Object { uid: uid.into(), labels };
        if node.object.as_ref() == Some(&object) {
            return;
        }
        let known = node.object.replace(object).is_some();
        self.present += u32::from(!known);
        self.rematch(id);
        self.touch(id);
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &str, now: Millis) {
        let Some(id) = self.nodes.find(name) else { return };
        self.retract(id);
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.object.take().is_some() {
            self.present -= 1;
            node.orphan_since = now;
            if let Some(config) = node.matches.first().and_then(|&c| self.configs.get_mut(c))
                && let Some(rollout) = &mut config.rollout
            {
                rollout.forget(id);
            }
        }
        node.matches = Vec::new();
        self.touch(id);
        self.tidy(name);
    }

    /// A `NodeProbe` is there, or anything about it changed.
    pub fn probe(&mut self, seen: SeenProbe, now: Millis) {
        let SeenProbe { name, uid, generation, owner, origin, config, sound, said } = seen;
        let id = self.place(&name);
        let content = config.map(|config| self.contents.content(config));
        let origin = origin.map(|origin| self.contents.origin(origin));
        let epoch = self.epochs.probes;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.seen_probe = epoch;
        // The answer to our own write may be ahead of the watch.
        let old = node.probe.as_ref().filter(|old| *old.uid == *uid);
        if old.is_some_and(|old| old.generation > generation) {
            return;
        }
        if old.is_none_or(|old| old.said != said) {
            node.heard = now;
        }
        if node.object.is_none() && node.probe.is_none() {
            node.orphan_since = now;
        }
        let old = node.probe.as_ref().filter(|old| *old.uid == *uid);
        let carries = origin.as_ref().map(|origin| origin.uid.clone());
        let carried = old.and_then(|old| old.origin.as_ref()).map(|origin| origin.uid.clone());
        node.probe = Some(Probe { uid: uid.into(), generation, owner, origin, content, sound, said });
        if self.held > 0 && carries != carried {
            self.rematch(id);
        } else {
            self.refresh(id, now);
        }
        self.report(id);
        self.touch(id);
    }

    /// A `NodeProbe` is gone. One that was made anew since then stays.
    pub fn probe_gone(&mut self, name: &str, uid: Option<&str>, now: Millis) {
        let Some(id) = self.nodes.find(name) else { return };
        let Some(node) = self.nodes.get_mut(id) else { return };
        if !node.probe.as_ref().is_some_and(|probe| uid.is_none_or(|uid| *probe.uid == *uid)) {
            return;
        }
        node.probe = None;
        self.rematch(id);
        self.refresh(id, now);
        self.touch(id);
        self.tidy(name);
    }

    /// A configuration is there, or anything about it changed.
    pub fn config(&mut self, seen: SeenConfig, now: Millis) {
        let known = self.configs.find(&seen.name).and_then(|id| self.configs.get(id));
        if known.is_some_and(|config| config.uid != seen.uid) {
            self.config_gone(&seen.name);
        }
        let SeenConfig { name, uid, generation, created, spec, status } = seen;
        let epoch = self.epochs.configs;
        let found = self.configs.find(&name);
        if let Some(config) = found.and_then(|id| self.configs.get_mut(id)) {
            config.seen = epoch;
            config.status = status.clone();
            if config.generation >= generation {
                self.dirty.extend(found);
                return;
            }
        }
        let judged = validate(&spec);
        let id = found.unwrap_or_else(|| {
            let name: Arc<str> = name.as_str().into();
            let config = Config {
                name: Arc::clone(&name),
                uid,
                generation,
                created,
                rejected: None,
                force: None,
                status,
                counts: Counts::default(),
                rollout: None,
                waiting: VecDeque::new(),
                seen: epoch,
            };
            self.held += 1;
            self.configs.insert(name, config)
        });
        match judged {
            Ok(valid) => self.put_in_force(id, generation, valid, now),
            Err(rejected) => {
                let Some(config) = self.configs.get_mut(id) else { return };
                (config.generation, config.rejected) = (generation, Some(rejected));
                if config.is_held() {
                    self.rematch_all(id);
                }
            }
        }
        self.dirty.insert(id);
    }

    /// A configuration is gone.
    pub fn config_gone(&mut self, name: &str) {
        let Some(id) = self.configs.find(name) else { return };
        for node in self.matched_by(id) {
            self.unmatch(node, id);
        }
        if let Some(config) = self.configs.remove(name) {
            self.held -= u32::from(config.is_held());
        }
        self.dirty.remove(&id);
    }

    fn put_in_force(&mut self, id: ConfigId, generation: i64, valid: Valid, now: Millis) {
        let Valid { priority, selector, config: content, rollout: rules } = valid;
        let content = self.contents.content(content);
        for node in self.matched_by(id) {
            self.unmatch(node, id);
        }
        let Some(config) = self.configs.get_mut(id) else { return };
        self.held -= u32::from(config.is_held());
        (config.generation, config.rejected) = (generation, None);
        config.force = Some(Force { generation, priority, selector, content, rules });
        self.rematch_all(id);
        if self.leads {
            self.begin(id, now);
        }
    }

    /// Nodes that the configuration matches as far as it is counted.
    fn matched_by(&self, id: ConfigId) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, node)| node.matches.contains(&id)).map(|(id, _)| id).collect()
    }

    /// Takes one configuration from the list of a node, which is as it was when it was counted.
    fn unmatch(&mut self, node: NodeId, config: ConfigId) {
        self.retract(node);
        if let Some(node) = self.nodes.get_mut(node) {
            node.matches.retain(|&other| other != config);
        }
        self.count(node);
        self.admit(node);
        self.touch(node);
    }

    /// Looks at all nodes for one configuration that none of them is counted for.
    fn rematch_all(&mut self, config: ConfigId) {
        let ids: Vec<NodeId> = self.nodes.ids().collect();
        for id in ids {
            if self.is_match(id, config) && !self.has(id, config) {
                self.retract(id);
                self.insert(id, config);
                self.count(id);
                self.admit(id);
                self.touch(id);
            }
        }
    }

    /// Looks at all configurations for one node.
    fn rematch(&mut self, id: NodeId) {
        self.retract(id);
        let configs: Vec<ConfigId> =
            self.configs.ids().filter(|&config| self.is_match(id, config)).collect();
        if let Some(node) = self.nodes.get_mut(id) {
            node.matches = Vec::with_capacity(configs.len());
        }
        for config in configs {
            self.insert(id, config);
        }
        self.count(id);
        self.admit(id);
    }

    fn has(&self, id: NodeId, config: ConfigId) -> bool {
        self.nodes.get(id).is_some_and(|node| node.matches.contains(&config))
    }

    fn is_match(&self, id: NodeId, config: ConfigId) -> bool {
        let (Some(node), Some(config)) = (self.nodes.get(id), self.configs.get(config)) else {
            return false;
        };
        let Some(object) = &node.object else { return false };
        match &config.force {
            Some(force) => force.selector.matches(&object.labels),
            None => node
                .probe
                .as_ref()
                .and_then(|probe| probe.origin.as_ref())
                .is_some_and(|origin| origin.uid == config.uid),
        }
    }

    fn insert(&mut self, id: NodeId, config: ConfigId) {
        let configs = &self.configs;
        let rank = |id: ConfigId| configs.get(id).map(Config::rank);
        let Some(node) = self.nodes.get_mut(id) else { return };
        let at = node.matches.partition_point(|&other| rank(other) < rank(config));
        node.matches.insert(at, config);
    }

    fn place(&mut self, name: &str) -> NodeId {
        self.nodes.find(name).unwrap_or_else(|| {
            let name: Arc<str> = name.into();
            self.nodes.insert(Arc::clone(&name), Node::new(name))
        })
    }

    /// Forgets a name that stands for nothing any more, unless its write is under way.
    fn tidy(&mut self, name: &str) {
        let Some(id) = self.nodes.find(name) else { return };
        let empty = |node: &Node| node.object.is_none() && node.probe.is_none();
        if self.nodes.get(id).is_some_and(empty) && !self.queue.is_flying(id) {
            self.quiet(id);
            self.queue.forget(id);
            self.nodes.remove(name);
        }
    }

    fn touch(&mut self, id: NodeId) {
        if self.leads {
            self.queue.offer(id);
        }
    }

    /// A node that changed hands waits for nobody's token any more.
    fn admit(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id) {
            (node.admitted, node.waiting) = (None, None);
        }
    }

    /// Takes a node out of all counts.
    fn retract(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let Some(Share { equals, verdict }) = node.share.take() else { return };
        let matches = node.matches.clone();
        self.tally(id, &matches, equals, &verdict, false);
        self.quiet(id);
    }

    /// Puts a node into all counts that it belongs to.
    fn count(&mut self, id: NodeId) {
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
        let verdict = self.verdict(node);
        self.tally(id, &matches, equals, &verdict, true);
        if let Some(node) = self.nodes.get_mut(id) {
            node.share = Some(Share { equals, verdict });
        }
    }

    fn tally(&mut self, id: NodeId, matches: &[ConfigId], equals: usize, verdict: &Verdict, is: bool) {
        let add = |n: &mut u32| if is { *n += 1 } else { *n -= 1 };
        let (winner, losers) = matches.split_first().map_or((None, matches), |(w, l)| (Some(*w), l));
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
            return if is { self.unmatched.add(id, verdict) } else { self.unmatched.take(id, verdict) };
        };
        let Some(config) = self.configs.get_mut(winner) else { return };
        add(&mut config.counts.matched);
        for &loser in &losers[..equals] {
            config.counts.conflict(loser, is);
        }
        if is { config.counts.add(id, verdict) } else { config.counts.take(id, verdict) }
        self.dirty.insert(winner);
    }

    /// Looks at one node again, whose configurations are the same.
    fn refresh(&mut self, id: NodeId, now: Millis) {
        let Some(node) = self.nodes.get(id) else { return };
        let Some(share) = &node.share else { return };
        let mut verdict = self.verdict(node);
        let waits = verdict.told && verdict.state == State::Pending;
        verdict.silent &= waits;
        let (silent_at, winner) = (node.silent_at, node.matches.first().copied());
        if verdict != share.verdict {
            let counts = match winner {
                Some(winner) => self.configs.get_mut(winner).map(|config| &mut config.counts),
                None => Some(&mut self.unmatched),
            };
            if let Some(counts) = counts {
                counts.take(id, &share.verdict);
                counts.add(id, &verdict);
            }
            self.dirty.extend(winner);
        }
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.silent = verdict.silent;
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
    fn quiet(&mut self, id: NodeId) {
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
