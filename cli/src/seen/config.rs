//! A `ProbeConfig` as people wrote it, and what the operator says of it.
//!
//! In: the object. Out: [`Config`], judged by the rules that agents and operator judge by. Pure: values only.

use probelet_core::selector::{self, Expression, Labels, Selector};
use probelet_crds::{LabelSelector, NodeConfig, ProbeConfigSpec, ProbeConfigStatus, Rank};
use serde::Deserialize;
use serde_json::Value;

use super::{Meta, Node};

/// A `ProbeConfig`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Config {
    /// Name, age, generation.
    pub metadata: Meta,
    /// As people wrote it.
    #[serde(default)]
    pub spec: Value,
    /// What the operator says; the default if it cannot be read.
    #[serde(default)]
    status: Value,
}

/// A configuration that may be in force.
#[derive(Debug, Clone)]
pub struct Valid {
    /// Complete, with its defaults.
    pub spec: ProbeConfigSpec,
    /// The nodes that it is for.
    pub selector: Selector,
}

/// The labels of a node, for selectors.
struct OfNode<'a>(&'a Node);

impl Labels for OfNode<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.metadata.labels.get(key).map(String::as_str)
    }
}

impl Config {
    /// What the operator says.
    #[must_use]
    pub fn status(&self) -> ProbeConfigStatus {
        serde_json::from_value(self.status.clone()).unwrap_or_default()
    }

    /// The configuration, or what is wrong with it, a message each.
    pub fn valid(&self) -> Result<Valid, Vec<String>> {
        let spec = ProbeConfigSpec::from_value(&self.spec)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let selector = compile(&spec.node_selector)
            .map_err(|error| vec![format!("spec.nodeSelector: {error}")])?;
        Ok(Valid { spec, selector })
    }

    /// What decides between it and others; one that was never made is the youngest of all.
    #[must_use]
    pub fn rank(&self, priority: i32) -> Rank<'_> {
        let created = self.metadata.creation_timestamp.map_or(i64::MAX, jiff::Timestamp::as_second);
        Rank::new(priority, created, &self.metadata.name)
    }
}

impl Valid {
    /// Whether it is for this node.
    #[must_use]
    pub fn matches(&self, node: &Node) -> bool {
        let names = &self.spec.node_names;
        (names.is_empty() || names.contains(&node.metadata.name))
            && self.selector.matches(&OfNode(node))
    }

    /// What agents are assigned.
    #[must_use]
    pub fn content(&self) -> NodeConfig {
        self.spec.clone().into()
    }
}

fn compile(selector: &LabelSelector) -> Result<Selector, selector::Error> {
    let expressions = selector.match_expressions.iter().map(|requirement| Expression {
        key: &requirement.key,
        operator: requirement.operator.as_str(),
        values: &requirement.values,
    });
    Selector::from_requirements(&selector.match_labels, expressions)
}

/// The configuration that wins on a node, of those that are valid.
#[must_use]
pub fn winner<'a>(configs: &'a [(&'a Config, Valid)], node: &Node) -> Option<usize> {
    let matching = configs.iter().enumerate().filter(|(_, (_, valid))| valid.matches(node));
    matching.min_by_key(|(_, (config, valid))| config.rank(valid.spec.priority)).map(|(at, _)| at)
}
