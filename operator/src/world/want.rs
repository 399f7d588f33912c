//! Want: what a node should work by, and whether its next write takes a token of a rollout.
//!
//! In: the world. Out: the content and whose order it is. It must not compare it with the rest of the `NodeProbe`: that is
//! `plan`'s work. Pure: values only.

use std::sync::Arc;

use probelet_crds::Origin;

use super::{Config, ConfigId, Content, Node, Probe, World};
use crate::queue::NodeId;
use crate::rollout::{Carried, Edition, Give};
use crate::seen::ProbeOwner;

/// What a node should work by.
#[derive(Debug)]
pub struct Want<'a> {
    /// What it is assigned.
    pub content: &'a Arc<Content>,
    /// Who won.
    pub origin: Option<Origin>,
    /// The configuration whose token a change to it takes.
    token: Option<ConfigId>,
}

impl World {
    /// What a node should work by; `None` if that is whatever it works by now.
    #[must_use]
    pub fn want<'a>(&'a self, id: NodeId, node: &'a Node) -> Option<Want<'a>> {
        for &place in &node.matches {
            let Some(config) = self.config_at(place) else { continue };
            let (force, rollout) = (config.force.as_ref()?, config.rollout.as_ref()?);
            let carried = carried(config, node);
            match rollout.give(id, carried) {
                Give::Keep => return None,
                Give::Target => {
                    let origin = Some(origin(config, force.generation));
                    let token = (!rollout.urgent).then_some(place);
                    return Some(Want { content: &force.content, origin, token });
                }
                Give::Previous(Edition { generation, .. }) => {
                    let Some(previous) = &rollout.previous else { continue };
                    let origin = Some(origin(config, generation));
                    // To be taken back is urgent; to come under the configuration is not.
                    let token = (carried == Carried::Others).then_some(place);
                    return Some(Want { content: &previous.content, origin, token });
                }
                Give::Nothing => {}
            }
        }
        let builtin = Want { content: self.builtin(), origin: None, token: None };
        (!self.seeding).then_some(builtin)
    }

    /// The configuration whose token the node needs before it is planned for. What puts right an edit by hand needs none.
    pub(super) fn takes_token(&self, id: NodeId) -> Option<ConfigId> {
        let node = self.nodes.get(id).filter(|node| !node.absent)?;
        let (object, probe) = (node.object.as_ref()?, node.probe.as_ref()?);
        let Want { content, token, .. } = self.want(id, node)?;
        let others = matches!(&probe.owner, ProbeOwner::Node(uid) if *uid != object.uid);
        let same = probe.content.as_deref() == Some(&**content);
        let admitted = node.admitted.as_deref() == Some(&**content);
        let sound = probe.sound && !self.is_edited(probe);
        token.filter(|_| sound && !others && !same && !admitted)
    }
}

/// What a node works by, as the rollout of a configuration sees it.
pub(super) fn carried<'a>(config: &Config, node: &'a Node) -> Carried<'a> {
    let Some(probe) = &node.probe else { return Carried::Nothing };
    if !is_by(config, probe) {
        return Carried::Others;
    }
    Carried::Own(probe.content.as_ref().map(|content| content.hash.as_str()))
}

/// Whether a `NodeProbe` was written by order of this configuration.
pub(super) fn is_by(config: &Config, probe: &Probe) -> bool {
    probe.origin.as_ref().is_some_and(|origin| origin.uid == config.uid)
}

fn origin(config: &Config, generation: i64) -> Origin {
    Origin { name: config.name.to_string(), uid: config.uid.clone(), generation }
}
