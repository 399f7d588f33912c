//! Contents: what agents are assigned, each distinct one kept once.
//!
//! In: the configuration of a node, as written by us or found in a `NodeProbe`. Out: one shared value per distinct
//! configuration, so that 5,000 nodes under one `ProbeConfig` hold it once, and the content before a change is found
//! again by its hash as long as one node carries it. Pure: values only.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use probelet_crds::{NodeConfig, Origin};

/// Dead entries are swept when a table has grown by so much, at least.
const SWEEP: usize = 64;

/// What agents are assigned, with its hash.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    /// Sixteen hexadecimal digits: the word that we write into `NodeProbe.spec.hash`.
    pub hash: String,
    /// The configuration itself.
    pub config: NodeConfig,
}

impl Content {
    /// Names a configuration by its hash.
    #[must_use]
    pub fn new(config: NodeConfig) -> Self {
        Self { hash: config.hash(), config }
    }
}

/// All contents and origins that someone holds.
#[derive(Debug, Default)]
pub struct Contents {
    configs: BTreeMap<String, Weak<Content>>,
    origins: BTreeMap<(String, String, i64), Weak<Origin>>,
    sweep: usize,
}

impl Contents {
    /// The one shared value for `config`.
    pub fn content(&mut self, config: NodeConfig) -> Arc<Content> {
        let content = Content::new(config);
        if let Some(known) = self.find(&content.hash) {
            return known;
        }
        self.tidy();
        let content = Arc::new(content);
        self.configs.insert(content.hash.clone(), Arc::downgrade(&content));
        content
    }

    /// The content of this hash, if a node or a configuration still holds it.
    #[must_use]
    pub fn find(&self, hash: &str) -> Option<Arc<Content>> {
        self.configs.get(hash).and_then(Weak::upgrade)
    }

    /// The one shared value for `origin`.
    pub fn origin(&mut self, origin: Origin) -> Arc<Origin> {
        let key = (origin.name.clone(), origin.uid.clone(), origin.generation);
        if let Some(known) = self.origins.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        self.tidy();
        let origin = Arc::new(origin);
        self.origins.insert(key, Arc::downgrade(&origin));
        origin
    }

    fn tidy(&mut self) {
        if self.configs.len() + self.origins.len() < self.sweep.max(SWEEP) {
            return;
        }
        self.configs.retain(|_, content| content.strong_count() > 0);
        self.origins.retain(|_, origin| origin.strong_count() > 0);
        self.sweep = 2 * (self.configs.len() + self.origins.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused() -> NodeConfig {
        NodeConfig { paused: true, ..NodeConfig::default() }
    }

    #[test]
    fn equal_configurations_are_one_value() {
        let mut contents = Contents::default();

        let first = contents.content(paused());

        assert!(Arc::ptr_eq(&first, &contents.content(paused())));
        assert!(!Arc::ptr_eq(&first, &contents.content(NodeConfig::default())));
    }

    #[test]
    fn what_no_one_holds_is_forgotten() {
        let mut contents = Contents::default();
        let hash = contents.content(paused()).hash.clone();

        assert_eq!(contents.find(&hash), None);
        for generation in 0..1000 {
            contents.origin(Origin { generation, ..Origin::default() });
        }
        assert!(contents.origins.len() <= SWEEP, "{}", contents.origins.len());
    }
}
