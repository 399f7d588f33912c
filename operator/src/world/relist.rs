//! Relists: what a watch that began again did not name any more is gone.
//!
//! In: the beginning and end of each complete list. Out: the same calls as if each object had been deleted. Nothing is
//! forgotten before a list is complete, so that a list that broke off takes nothing away. Pure: values only.

use std::sync::Arc;

use super::{Config, Node, World};
use crate::pace::Millis;

/// How often each kind was listed.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    pub(super) nodes: u32,
    pub(super) probes: u32,
    pub(super) configs: u32,
    /// Which of `NodeProbes` and configurations are being listed.
    listing: (bool, bool),
}

impl Epochs {
    /// Whether a `NodeProbe` that was last heard of in this epoch is named by a list now: it is as it is said to be, even if
    /// its generation went back, as in a cluster whose etcd was restored from a backup.
    pub(super) fn lists_probe(&self, last: u32) -> bool {
        self.listing.0 && last != self.probes
    }

    /// The same of a configuration.
    pub(super) fn lists_config(&self, last: u32) -> bool {
        self.listing.1 && last != self.configs
    }

    fn set_listing(&mut self, kind: Kind, is: bool) {
        match kind {
            Kind::Probes => self.listing.0 = is,
            Kind::Configs => self.listing.1 = is,
            Kind::Nodes | Kind::Agents => {}
        }
    }
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Nodes, Self::Probes, Self::Configs, Self::Agents];
}

/// A kind that is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nodes.
    Nodes,
    /// `NodeProbes`.
    Probes,
    /// `ProbeConfigs`.
    Configs,
    /// The agents' `DaemonSet`.
    Agents,
}

impl World {
    /// A list of all objects of a kind begins.
    pub(crate) fn list_begins(&mut self, kind: Kind) {
        self.epochs.set_listing(kind, true);
        match kind {
            Kind::Nodes => self.epochs.nodes += 1,
            Kind::Probes => self.epochs.probes += 1,
            Kind::Configs => self.epochs.configs += 1,
            // One object, of which only the newest counts.
            Kind::Agents => {}
        }
    }

    /// It is complete.
    pub(crate) fn list_ends(&mut self, kind: Kind, now: Millis) {
        self.epochs.set_listing(kind, false);
        let (nodes, probes, configs) = (self.epochs.nodes, self.epochs.probes, self.epochs.configs);
        match kind {
            Kind::Nodes => {
                for name in self.nodes_where(|n| n.object.is_some() && n.object_listed != nodes) {
                    self.node_gone(&name, now);
                }
            }
            Kind::Probes => {
                for name in self.nodes_where(|n| n.probe.is_some() && n.probe_listed != probes) {
                    self.probe_gone(&name, None, now);
                }
            }
            Kind::Configs => {
                let gone = |config: &&Config| config.seen != configs;
                let all = self.configs.iter().map(|(_, config)| config).filter(gone);
                for name in all.map(|config| Arc::clone(&config.name)).collect::<Vec<_>>() {
                    self.config_gone(&name);
                }
            }
            Kind::Agents => {}
        }
    }

    fn nodes_where(&self, is: impl Fn(&Node) -> bool) -> Vec<Arc<str>> {
        let all = self.nodes.iter().map(|(_, node)| node);
        all.filter(|node| is(node)).map(|node| Arc::clone(&node.name)).collect()
    }
}
