//! What is kept of one node and of its `NodeProbe`: some two kilobytes, most of them labels.
//!
//! In: what was observed. Out: the same, small. It must not decide anything. Pure: data.

use std::sync::Arc;

use probelet_crds::Origin;

use crate::content::Content;
use crate::labels::Labels;
use crate::pace::Millis;
use crate::placement::Taint;
use crate::queue::ConfigId;
use crate::seen::{ProbeOwner, Said};

/// A node, its `NodeProbe`, or both.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// The node itself; `None` while only a `NodeProbe` has its name.
    pub object: Option<Object>,
    /// Its `NodeProbe`.
    pub probe: Option<Probe>,
    /// The configurations that match it, the winner first.
    pub matches: Vec<ConfigId>,
    /// The content that it may be given without a further token.
    pub admitted: Option<Arc<Content>>,
    /// The configuration whose token it waits for.
    pub waiting: Option<ConfigId>,
    /// Why the API server refused the last write.
    pub refused: Option<Box<str>>,
    /// Whether it was assigned something long ago and never answered.
    pub silent: bool,
    /// Whether an agent that has spoken has not been heard of for longer than it may be silent.
    pub deaf: bool,
    /// Whether no agent is wanted here.
    pub absent: bool,
    /// Since when it has been assigned something and has not answered.
    pub(crate) waits_since: Option<Millis>,
    /// When it is to be looked at again.
    pub(crate) look_at: Option<Millis>,
    /// The how manieth node it was that a person should look at, if it is one.
    pub(crate) bad_since: Option<u64>,
    /// When the agent was last heard of.
    pub heard: Millis,
    /// When it was last assigned something else, while it was heard of: from then on it has time to say so.
    pub(crate) assigned: Millis,
    /// When the node went, or no agent was wanted on it any more, while its `NodeProbe` stayed.
    pub orphan_since: Millis,
    pub(crate) object_listed: u32,
    pub(crate) probe_listed: u32,
}

/// What is kept of a node object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its uid.
    pub uid: Box<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Box<[Taint]>,
    /// Whether the node itself is down.
    pub down: bool,
}

/// What is kept of a `NodeProbe`.
#[derive(Debug, Clone)]
pub struct Probe {
    /// Its uid.
    pub uid: Box<str>,
    /// Counts the changes of its spec.
    pub generation: i64,
    /// Whose it is.
    pub owner: ProbeOwner,
    /// Who won when it was written.
    pub origin: Option<Arc<Origin>>,
    /// What the agent is assigned; `None` if it cannot be read.
    pub content: Option<Arc<Content>>,
    /// The word for it, by which the agent acknowledges.
    pub hash: Box<str>,
    /// Whether the rest is as we would write it.
    pub sound: bool,
    /// What the agent says.
    pub said: Said,
}

impl Node {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            object: None,
            probe: None,
            matches: Vec::new(),
            admitted: None,
            waiting: None,
            refused: None,
            silent: false,
            deaf: false,
            absent: false,
            waits_since: None,
            look_at: None,
            bad_since: None,
            heard: 0,
            assigned: 0,
            orphan_since: 0,
            object_listed: 0,
            probe_listed: 0,
        }
    }

    /// Whether its agent was heard of within its own interval of reporting.
    #[must_use]
    pub fn is_alive(&self, now: Millis) -> bool {
        self.speaks().is_some_and(|probe| !probe.said.marked) && now < self.heard_until()
    }

    /// Its `NodeProbe`, if an agent has answered in it.
    pub(crate) fn speaks(&self) -> Option<&Probe> {
        self.probe.as_ref().filter(|probe| probe.said.anything)
    }

    /// Until when the last word of its agent counts.
    pub(crate) fn heard_until(&self) -> Millis {
        let content = self.probe.as_ref().and_then(|probe| probe.content.as_ref());
        let refresh = content
            .map_or(600, |content| content.config.reporting.refresh_interval.duration().as_secs());
        // Agents refresh after half to one and a half intervals; a minute more is for the way.
        self.heard.max(self.assigned) + refresh * 1500 + 60_000
    }
}
