//! The world: all nodes, configurations and `NodeProbes`, and what follows from them.
//!
//! In: what was observed, one change at a time. Out: who wins on which node, and the queue of nodes to plan for and of
//! configurations whose status may have changed. A change touches only what it can change: a report of an agent one node, a
//! label one node and the configurations, an edit the nodes that it matches or matched. Figures are counted when someone
//! asks ([`World::counts`]). It must not write or wait, and nothing may be planned before [`World::lead`]. Pure: the time is
//! an argument.

mod agents;
mod canaries;
mod configs;
mod counts;
mod lead;
mod nodes;
mod outcome;
mod relist;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod want;

pub use configs::{Config, Force};
pub use counts::{Counts, State, Verdict};
pub use nodes::{Node, Object, Probe};
pub use relist::Kind;
pub use want::Want;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use probelet_crds::NodeConfig;

use crate::content::{Content, Contents};
use crate::judged::{Judged, Valid};
use crate::pace::Millis;
use crate::placement::Placement;
pub(crate) use crate::queue::ConfigId;
use crate::queue::{Key, NodeId, Queue};
use crate::seen::{SeenConfig, SeenNode, SeenProbe};
use relist::Epochs;
use table::Table;

/// Everything that is known.
pub struct World {
    nodes: Table<Node>,
    configs: Table<Config>,
    contents: Contents,
    builtin: Arc<Content>,
    /// Node objects.
    present: u32,
    /// Of these no agent is wanted.
    absent: u32,
    placement: Placement,
    /// When nodes are to be looked at again though nothing happens to them.
    deadlines: BTreeSet<(Millis, NodeId)>,
    /// Numbers the nodes that a person should look at, in the order in which they became such.
    turned_bad: u64,
    /// When the watch of `NodeProbes` last failed, if nothing came by it since.
    pub broken: Option<Millis>,
    /// The latest time that was given.
    now: Millis,
    /// Nodes to plan for, configurations whose status may have changed.
    pub queue: Queue,
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
            present: 0,
            absent: 0,
            placement: Placement::default(),
            deadlines: BTreeSet::new(),
            turned_bad: 0,
            broken: None,
            now: 0,
            queue: Queue::default(),
            leads: false,
            seeding: false,
            epochs: Epochs::default(),
        }
    }
}

/// A watch that is broken fails again sooner; one that does not fail may have nothing to say.
const BROKEN: Millis = 120_000;

impl World {
    /// Whether no one can be heard: then no silence of an agent counts.
    fn is_blind(&self, now: Millis) -> bool {
        self.broken.is_some_and(|last| now < last + BROKEN)
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
    }

    /// A node is gone.
    pub(crate) fn node_gone(&mut self, name: &str, now: Millis) {
        let Some(id) = self.nodes.find(name) else { return };
        self.now = self.now.max(now);
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
        self.assign(id, Vec::new());
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
        let before = self.nodes.get(id).and_then(|node| self.verdict(node));
        let Some(node) = self.nodes.get_mut(id) else { return };
        let listed = self.epochs.lists_probe(std::mem::replace(&mut node.probe_listed, epoch));
        // The answer to our own write may be ahead of the watch.
        let old = node.probe.as_ref().filter(|old| *old.uid == *uid);
        if !listed && old.is_some_and(|old| old.generation > generation) {
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
        let is_other = old.is_some_and(|old| old.content != content);
        let by = origin.as_ref().map(|origin| origin.uid.clone());
        let old_by = old.and_then(|old| old.origin.as_ref()).map(|origin| origin.uid.clone());
        // By a shorter interval it would be silent before it could know of it.
        if is_other && node.is_alive(now) {
            node.assigned = now;
        }
        node.probe =
            Some(Probe { uid: uid.into(), generation, owner, origin, content, hash, sound, said });
        self.place_agent(id);
        if by != old_by && self.configs.iter().any(|(_, config)| config.is_held()) {
            self.rematch(id);
        } else {
            self.look(id, before.as_ref());
        }
        self.report(id);
        self.touch(id);
    }

    /// A `NodeProbe` is gone. One that was made again since then stays.
    pub(crate) fn probe_gone(&mut self, name: &str, uid: Option<&str>, now: Millis) {
        let Some(id) = self.nodes.find(name) else { return };
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.probe.as_ref().is_none_or(|probe| uid.is_some_and(|uid| *probe.uid != *uid)) {
            return;
        }
        (node.probe, node.deaf) = (None, false);
        self.now = self.now.max(now);
        self.place_agent(id);
        self.rematch(id);
        self.tidy(name);
    }

    /// A configuration is there, or anything about it changed.
    pub fn config(&mut self, Judged { seen, verdict }: Judged, now: Millis) {
        self.now = self.now.max(now);
        let known = self.configs.find(&seen.name).and_then(|id| self.configs.get(id));
        if known.is_some_and(|config| config.uid != seen.uid) {
            self.config_gone(&seen.name);
        }
        let SeenConfig { name, uid, generation, created, rollout_paused, status, spec: _ } = seen;
        let epoch = self.epochs.configs;
        let found = self.configs.find(&name);
        if let Some(config) = found.and_then(|id| self.configs.get_mut(id)) {
            let listed = self.epochs.lists_config(std::mem::replace(&mut config.seen, epoch));
            config.status = status.clone();
            config.rollout_paused = rollout_paused;
            let older = config.generation > generation;
            if config.generation == generation || (older && !listed) {
                self.mark(found);
                return;
            }
        }
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
                rollout: None,
                waiting: VecDeque::new(),
                seen: epoch,
            };
            self.configs.insert(name, config)
        });
        match verdict {
            Ok(valid) => self.put_in_force(id, generation, valid, now),
            Err(rejected) => {
                let Some(config) = self.configs.get_mut(id) else { return };
                (config.generation, config.rejected) = (generation, Some(rejected));
                if config.is_held() {
                    self.reassign(id);
                }
            }
        }
        self.mark(Some(id));
    }

    /// A configuration is gone.
    pub(crate) fn config_gone(&mut self, name: &str) {
        let Some(id) = self.configs.find(name) else { return };
        drop(self.configs.remove(name));
        self.reassign(id);
        self.queue.forget(Key::Status(id));
    }

    fn put_in_force(&mut self, id: ConfigId, generation: i64, valid: Valid, now: Millis) {
        let Valid { priority, selector, names, config: content, rollout: rules } = valid;
        let content = self.contents.content(content);
        let Some(config) = self.configs.get_mut(id) else { return };
        (config.generation, config.rejected) = (generation, None);
        config.force = Some(Force { generation, priority, selector, names, content, rules });
        self.reassign(id);
        if self.leads {
            self.begin(id, now);
        }
    }

    /// Looks at all configurations for one node.
    fn rematch(&mut self, id: NodeId) {
        let matches = self.configs.ids().filter(|&config| self.is_match(id, config));
        let mut matches: Vec<ConfigId> = matches.collect();
        matches.sort_by_key(|&config| self.configs.get(config).map(Config::rank));
        self.assign(id, matches);
    }

    /// Looks at all nodes for one configuration, which may be gone.
    fn reassign(&mut self, config: ConfigId) {
        let rank = |id: ConfigId| self.configs.get(id).map(Config::rank);
        let mut changed = Vec::new();
        for (id, node) in self.nodes.iter() {
            let is = self.is_match(id, config);
            if !is && !node.matches.contains(&config) {
                continue;
            }
            let others = node.matches.iter().copied().filter(|&other| other != config);
            let mut matches: Vec<ConfigId> = others.collect();
            if is {
                let at = matches.partition_point(|&other| rank(other) < rank(config));
                matches.insert(at, config);
            }
            changed.push((id, matches));
        }
        for (id, matches) in changed {
            self.assign(id, matches);
        }
    }

    /// These configurations match the node from now on, the winner first; it waits for no token of another any more.
    fn assign(&mut self, id: NodeId, matches: Vec<ConfigId>) {
        let Some(node) = self.nodes.get_mut(id) else { return };
        let old = std::mem::replace(&mut node.matches, matches.clone());
        (node.admitted, node.waiting) = (None, None);
        self.mark(old.into_iter().chain(matches));
        self.look(id, None);
        self.touch(id);
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
        if self.nodes.get(id).is_some_and(empty) && !self.queue.is_flying(Key::Probe(id)) {
            self.unlook(id);
            self.queue.forget(Key::Probe(id));
            self.nodes.remove(name);
        }
    }

    fn touch(&mut self, id: NodeId) {
        if self.leads {
            self.queue.offer(Key::Probe(id), self.now);
        }
    }

    /// The status of these configurations may have changed.
    fn mark(&mut self, configs: impl IntoIterator<Item = ConfigId>) {
        if self.leads {
            for id in configs {
                self.queue.offer(Key::Status(id), self.now);
            }
        }
    }
}
