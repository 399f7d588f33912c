//! Plan: what is to be written for one node, if anything.
//!
//! In: the world. Out: one [`Step`]. A `NodeProbe` is written if its content, its origin, its owner or its label are not
//! what they should be; another generation of the origin, another size of the cluster or another word for the same content
//! is no reason by itself: an edit that changes no content rewrites no node, nor does another release of ours. Pure: values
//! only.

use std::sync::Arc;

use probelet_crds::Origin;

use crate::observe::Owner;
use crate::pace::Millis;
use crate::queue::NodeId;
use crate::rollout::{Edition, Give};
use crate::world::{Config, ConfigId, Content, Node, Probe, World};

/// How long a `NodeProbe` may outlive its node: Kubernetes' own garbage collector is quicker, as a rule.
const ORPHAN: Millis = 30_000;

/// A `NodeProbe` as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The node's name.
    pub name: Arc<str>,
    /// The node's uid.
    pub uid: Box<str>,
    /// Who won.
    pub origin: Option<Origin>,
    /// What the agent is told.
    pub content: Arc<Content>,
    /// Nodes of the cluster, rounded up to a power of two.
    pub cluster_size: i64,
}

/// What is to be done for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// All is as it should be.
    Nothing,
    /// Look again then.
    Later(Millis),
    /// It gets a change when this configuration has a token.
    Wait(ConfigId),
    /// Write its `NodeProbe`.
    Apply(Box<Order>),
    /// Delete its `NodeProbe`: it is another node's, or nobody's.
    Delete {
        /// The node's name.
        name: Arc<str>,
        /// The uid of the `NodeProbe`.
        uid: Box<str>,
    },
    /// Say in its status that its agent is silent.
    Silent {
        /// The node's name.
        name: Arc<str>,
        /// The uid of the `NodeProbe`.
        uid: Box<str>,
    },
}

/// What a node should work by.
enum Want<'a> {
    /// Whatever it works by now.
    Leave,
    Content {
        content: &'a Arc<Content>,
        origin: Option<Origin>,
        token: Option<ConfigId>,
    },
}

/// Plans for one node.
#[must_use]
pub fn plan(world: &World, id: NodeId, now: Millis) -> Step {
    let Some(node) = world.node_at(id) else { return Step::Nothing };
    let delete =
        |probe: &Probe| Step::Delete { name: Arc::clone(&node.name), uid: probe.uid.clone() };
    let Some(object) = &node.object else {
        return match &node.probe {
            // No nodes at all is no cluster but a view of one that something is wrong with.
            Some(_) if world.present() == 0 => Step::Nothing,
            Some(probe) if now >= node.orphan_since + ORPHAN => delete(probe),
            Some(_) => Step::Later(node.orphan_since + ORPHAN),
            None => Step::Nothing,
        };
    };
    if node.absent {
        return match &node.probe {
            Some(probe) if now >= node.orphan_since + ORPHAN => delete(probe),
            Some(_) => Step::Later(node.orphan_since + ORPHAN),
            None => Step::Nothing,
        };
    }
    let owned = match &node.probe {
        Some(probe) => match &probe.owner {
            // The node was made anew under its old name.
            Owner::Node(uid) if *uid != object.uid => return delete(probe),
            Owner::Node(_) => true,
            Owner::Nobody => false,
        },
        None => false,
    };
    let Want::Content { content, origin, token } = want(world, id, node) else {
        return silence(node);
    };
    if let Some(probe) = &node.probe {
        let same = probe.content.as_deref() == Some(&**content);
        let good = owned && probe.sound && fits(probe.origin.as_deref(), origin.as_ref());
        if same && good && !is_misnamed(probe, content) {
            return silence(node);
        }
        let admitted = node.admitted.as_deref() == Some(&**content);
        let sound = probe.sound && !world.is_edited(probe);
        if let Some(config) = token.filter(|_| sound && !same && !admitted) {
            return Step::Wait(config);
        }
    }
    Step::Apply(Box::new(Order {
        name: Arc::clone(&node.name),
        uid: object.uid.clone(),
        origin,
        content: Arc::clone(content),
        cluster_size: i64::from(world.wanted().max(1).next_power_of_two()),
    }))
}

/// An agent that computes the hash itself, as those of 0.1.0 do, refuses a word that its own release would not use.
fn is_misnamed(probe: &Probe, content: &Content) -> bool {
    *probe.hash != *content.hash
        && probe.said.applied == Some(false)
        && probe.said.generation == probe.generation
}

/// Nothing is to be told; perhaps something is to be said about whom nobody hears.
fn silence(node: &Node) -> Step {
    match &node.probe {
        Some(probe) if node.deaf && !probe.said.marked => {
            Step::Silent { name: Arc::clone(&node.name), uid: probe.uid.clone() }
        }
        _ => Step::Nothing,
    }
}

/// An older generation of the same origin is as good: the content was the same.
fn fits(have: Option<&Origin>, want: Option<&Origin>) -> bool {
    match (have, want) {
        (None, None) => true,
        (Some(have), Some(want)) => {
            have.name == want.name && have.uid == want.uid && have.generation <= want.generation
        }
        _ => false,
    }
}

fn want<'a>(world: &'a World, id: NodeId, node: &'a Node) -> Want<'a> {
    for &place in &node.matches {
        let Some(config) = world.config_at(place) else { continue };
        let (Some(force), Some(rollout)) = (&config.force, &config.rollout) else {
            return Want::Leave;
        };
        let probe = node.probe.as_ref();
        let by_it =
            |probe: &&Probe| probe.origin.as_ref().is_some_and(|origin| origin.uid == config.uid);
        let carried = probe.filter(by_it).and_then(|probe| probe.content.as_ref());
        let carried = carried.map(|content| content.hash.as_str());
        let give = rollout.give(id, probe.is_some(), carried);
        match give {
            Give::Target => {
                let origin = Some(origin(config, force.generation));
                let token = (!rollout.urgent).then_some(place);
                return Want::Content { content: &force.content, origin, token };
            }
            Give::Previous(Edition { generation, .. }) => {
                let Some(previous) = &rollout.previous else { continue };
                let origin = Some(origin(config, generation));
                return Want::Content { content: &previous.content, origin, token: None };
            }
            Give::Nothing => {}
        }
    }
    if world.seeding {
        return Want::Leave;
    }
    Want::Content { content: world.builtin(), origin: None, token: None }
}

fn origin(config: &Config, generation: i64) -> Origin {
    Origin { name: config.name.to_string(), uid: config.uid.clone(), generation }
}
