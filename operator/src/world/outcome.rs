//! How writes ended, and what a person or a scrape wants to know.
//!
//! In: answers of the API server. Out: the same effect as if the watch had brought them, and figures. Pure: values only.

use std::sync::Arc;

use super::{Config, ConfigId, Node, World};
use crate::pace::Millis;
use crate::queue::{Key, NodeId};
use crate::seen::SeenProbe;

impl World {
    /// A `NodeProbe` was written; this is how it is now.
    pub fn wrote(&mut self, id: NodeId, seen: SeenProbe, now: Millis) {
        self.forgive(id);
        self.queue.done(Key::Probe(id), self.now);
        // The watch may have been quicker, and may have brought what the agent said to it.
        let known = self.nodes.get(id).and_then(|node| node.probe.as_ref());
        let newer = known
            .is_some_and(|probe| *probe.uid == *seen.uid && probe.generation >= seen.generation);
        if !newer {
            self.probe(seen, now);
        }
    }

    /// A `NodeProbe` was deleted.
    pub fn deleted(&mut self, id: NodeId, uid: &str, now: Millis) {
        self.forgive(id);
        self.queue.done(Key::Probe(id), self.now);
        if let Some(name) = self.nodes.get(id).map(|node| Arc::clone(&node.name)) {
            self.probe_gone(&name, Some(uid), now);
            self.tidy(&name);
        }
    }

    /// That an agent is silent was written, or the agent spoke meanwhile: the watch will tell.
    pub fn marked(&mut self, id: NodeId) {
        self.forgive(id);
        if let Some(probe) = self.nodes.get_mut(id).and_then(|node| node.probe.as_mut()) {
            probe.said.marked = true;
        }
        self.queue.done(Key::Probe(id), self.now);
    }

    /// A write failed. `refused` says why if the API server would not have it; then a person has to act.
    pub fn failed(
        &mut self,
        id: NodeId,
        refused: Option<&str>,
        not_before: Millis,
        now: Millis,
        chance: u8,
    ) {
        self.now = self.now.max(now);
        self.queue.failed(Key::Probe(id), not_before, now, chance);
        if let (Some(why), Some(node)) = (refused, self.nodes.get_mut(id)) {
            node.refused = Some(why.into());
            self.look(id, None);
        }
    }

    fn forgive(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(id)
            && node.refused.take().is_some()
        {
            self.look(id, None);
        }
    }

    /// The node waits for a token of this configuration from now on.
    pub(super) fn wait_for_token(&mut self, id: NodeId, config: ConfigId) {
        self.queue.idle(Key::Probe(id), self.now);
        let Some(node) = self.nodes.get_mut(id) else { return };
        if node.waiting.replace(config) != Some(config)
            && let Some(config) = self.configs.get_mut(config)
        {
            config.waiting.push_back(id);
        }
    }

    /// Nothing is to be written for the node.
    pub fn idle(&mut self, id: NodeId) {
        self.queue.idle(Key::Probe(id), self.now);
        if let Some(name) = self.nodes.get(id).map(|node| Arc::clone(&node.name)) {
            self.tidy(&name);
        }
    }

    /// The node at a place.
    #[must_use]
    pub fn node_at(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// The configuration at a place.
    #[must_use]
    pub(crate) fn config_at(&self, id: ConfigId) -> Option<&Config> {
        self.configs.get(id)
    }

    /// The configuration of this name.
    #[must_use]
    pub(crate) fn config_named(&self, name: &str) -> Option<&Config> {
        self.configs.get(self.configs.find(name)?)
    }

    /// All configurations, by name.
    pub(crate) fn all_configs(&self) -> impl Iterator<Item = (ConfigId, &Config)> {
        self.configs.iter()
    }

    /// All nodes and `NodeProbes`, by name.
    pub fn all_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter()
    }

    /// Names of nodes and of `NodeProbes` together.
    #[must_use]
    pub fn names(&self) -> usize {
        self.nodes.len()
    }

    /// The built-in configuration.
    #[must_use]
    pub(crate) fn builtin(&self) -> &Arc<super::Content> {
        &self.builtin
    }

    /// Node objects.
    #[must_use]
    pub fn present(&self) -> u32 {
        self.present
    }

    /// Looks at the nodes that nothing matches: what they are given has changed.
    pub(crate) fn offer_unmatched(&mut self) {
        let ids: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.matches.is_empty())
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.touch(id);
        }
    }
}
