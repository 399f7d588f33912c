//! Plan: what is to be written for one node, if anything.
//!
//! In: the world. Out: one [`Step`]. A `NodeProbe` is written if its content, its origin, its owner or its label are not
//! what they should be; another generation of the origin, another size of the cluster or another word for the same content
//! is no reason by itself: an edit that changes no content rewrites no node, nor does another release of ours. Pure: values
//! only.

use std::sync::Arc;

use probelet_crds::Origin;

use crate::content::Content;
use crate::pace::Millis;
use crate::queue::NodeId;
use crate::seen::ProbeOwner;
use crate::world::{Node, Probe, Want, World};

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
    /// What the agent is assigned.
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
    /// Write its `NodeProbe`.
    Apply(Box<Order>),
    /// Delete its `NodeProbe`: it is another node's, or no one's.
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

/// Plans for one node, which has the token that it needs ([`World::next`]).
#[must_use]
pub fn plan(world: &World, id: NodeId, now: Millis) -> Step {
    let Some(node) = world.node_at(id) else { return Step::Nothing };
    let delete =
        |probe: &Probe| Step::Delete { name: Arc::clone(&node.name), uid: probe.uid.clone() };
    let Some(object) = node.object.as_ref().filter(|_| !node.absent) else {
        return match &node.probe {
            // No nodes at all is no cluster but a view of one that something is wrong with.
            Some(_) if world.present() == 0 => Step::Nothing,
            Some(probe) if now >= node.orphan_since + ORPHAN => delete(probe),
            Some(_) => Step::Later(node.orphan_since + ORPHAN),
            None => Step::Nothing,
        };
    };
    let owned = match &node.probe {
        Some(probe) => match &probe.owner {
            // The node was made again under its old name.
            ProbeOwner::Node(uid) if *uid != object.uid => return delete(probe),
            ProbeOwner::Node(_) => true,
            ProbeOwner::NoOne => false,
        },
        None => false,
    };
    let Some(Want { content, origin, .. }) = world.want(id, node) else { return silence(node) };
    if let Some(probe) = &node.probe {
        let same = probe.content.as_deref() == Some(&**content);
        let good = owned && probe.sound && fits(probe.origin.as_deref(), origin.as_ref());
        if same && good && !is_misnamed(probe, content) {
            return silence(node);
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

/// Nothing is to be assigned; perhaps something is to be said about whom no one hears.
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
