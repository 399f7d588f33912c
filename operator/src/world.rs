//! The world: all nodes, configurations and `NodeProbes`, and what follows from them.
//!
//! In: what was observed, one change at a time. Out: who wins on which node, counts by configuration, and the lists of
//! nodes to plan for and of configurations whose status may have changed. A change touches only what it can change: a
//! report of an agent one node, a label one node and the configurations, an edit the nodes that it matches or matched.
//! It must not write or wait, and nothing may be planned before [`World::lead`]. Pure: the time is an argument.

mod agents;
mod canaries;
mod configs;
mod content;
mod counts;
mod labels;
mod lead;
mod nodes;
mod outcome;
mod relist;
mod table;
mod tally;
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

use probelet_crds::{CpuQuantity, NodeConfig};

use crate::observe::{SeenConfig, SeenNode, SeenProbe};
use crate::pace::Millis;
use crate::placement::Placement;
use crate::queue::{NodeId, Queue};
use crate::validate::{Valid, validate};
use relist::Epochs;
use table::Table;

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
    /// Of these no agent is wanted.
    absent: u32,
    placement: Placement,
    silences: BTreeSet<(Millis, NodeId)>,
    /// When nodes that have spoken are to be looked at again.
    deadlines: BTreeSet<(Millis, NodeId)>,
    /// The most CPU that a configuration may give an agent.
    max_budget: Option<CpuQuantity>,
    /// Whether the watch of `NodeProbes` is broken: nobody can be heard.
    pub blind: bool,
    /// The latest time that was told.
    now: Millis,
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
            absent: 0,
            placement: Placement::default(),
            silences: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            max_budget: None,
            blind: false,
            now: 0,
            queue: Queue::default(),
            dirty: BTreeSet::new(),
            leads: false,
            seeding: false,
            epochs: Epochs::default(),
        }
    }
}

impl World {
    /// A world in which no configuration may give an agent more CPU than this.
    #[must_use]
    pub fn bounded(max_budget: Option<CpuQuantity>) -> Self {
        Self { max_budget, ..Self::default() }
    }

    /// A node is there, or its labels or taints changed.
    pub fn node(&mut self, seen: SeenNode) {
        let SeenNode { name, uid, labels, taints, down } = seen;
        let id = self.place(&name);
        let epoch = self.epochs.nodes;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.object_listed = epoch;
        let object = Object { uid: uid.into(), labels, taints, down };
        if node.object.as_ref() == Some(&object) {
            return;
        }
        let known = node.object.replace(object).is_some();
        self.present += u32::from(!known);
        self.place_agent(id);
        self.rematch(id);
        self.touch(id);
    }

    /// A node is gone.
    pub fn node_gone(&mut self, name: &str, now: Millis) {
        let Some(id) = self.nodes.find(name) else { return };
        self.now = self.now.max(now);
        self.retract(id);
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.object.take().is_some() {
            self.present -= 1;
            self.absent -= u32::from(std::mem::take(&mut node.absent));
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
        let SeenProbe { name, uid, generation, owner, origin, config, hash, sound, said } = seen;
        self.now = self.now.max(now);
        let id = self.place(&name);
        let content = config.map(|config| self.contents.content(config));
        let origin = origin.map(|origin| self.contents.origin(origin));
        let epoch = self.epochs.probes;
        let Some(node) = self.nodes.get_mut(id) else { return };
        node.probe_listed = epoch;
        // The answer to our own write may be ahead of the watch.
        let old = node.probe.as_ref().filter(|old| *old.uid == *uid);
        if old.is_some_and(|old| old.generation > generation) {
            return;
        }
        // That it is silent is our own word.
        if !said.marked && old.is_none_or(|old| old.said != said) {
            node.heard = now;
        }
        node.deaf = said.marked;
        if node.object.is_none() && node.probe.is_none() {
            node.orphan_since = now;
        }
        let old = node.probe.as_ref().filter(|old| *old.uid == *uid);
        let carries = origin.as_ref().map(|origin| origin.uid.clone());
        let before = old.and_then(|old| old.origin.as_ref()).map(|origin| origin.uid.clone());
        node.probe =
            Some(Probe { uid: uid.into(), generation, owner, origin, content, hash, sound, said });
        self.listen(id);
        let moved = self.place_agent(id);
        if moved || (self.held > 0 && carries != before) {
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
        if node.probe.as_ref().is_none_or(|probe| uid.is_some_and(|uid| *probe.uid != *uid)) {
            return;
        }
        (node.probe, node.deaf) = (None, false);
        self.place_agent(id);
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
        let SeenConfig { name, uid, generation, created, rollout_paused, spec, status } = seen;
        let epoch = self.epochs.configs;
        let found = self.configs.find(&name);
        if let Some(config) = found.and_then(|id| self.configs.get_mut(id)) {
            config.seen = epoch;
            config.status = status.clone();
            config.rollout_paused = rollout_paused;
            if config.generation >= generation {
                self.dirty.extend(found);
                return;
            }
        }
        let judged = validate(&spec, self.max_budget);
        let id = found.unwrap_or_else(|| {
            let name: Arc<str> = name.as_str().into();
            let config = Config {
                name: Arc::clone(&name),
                uid,
                generation,
                created,
                rejected: None,
                force: None,
                rollout_paused,
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
        let Valid { priority, selector, names, config: content, rollout: rules } = valid;
        let content = self.contents.content(content);
        for node in self.matched_by(id) {
            self.unmatch(node, id);
        }
        let Some(config) = self.configs.get_mut(id) else { return };
        self.held -= u32::from(config.is_held());
        (config.generation, config.rejected) = (generation, None);
        config.force = Some(Force { generation, priority, selector, names, content, rules });
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
            Some(force) => force.is_for(&node.name, &object.labels),
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
            self.unlisten(id);
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
}
