//! What is kept of one `ProbeConfig`: what people want, what is in force, how far it has come.
//!
//! In: what was observed and judged. Out: its rank among the others and what it says to a node. Pure: data.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use probelet_core::selector::Selector;
use probelet_crds::{ProbeConfigStatus, Rank, Rollout as Rules};

use crate::content::Content;
use crate::judged::Rejected;
use crate::labels::Labels;
use crate::queue::NodeId;
use crate::rollout::Rollout;

/// A `ProbeConfig`.
#[derive(Debug)]
pub struct Config {
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: String,
    /// The generation that was observed, in force or not.
    pub generation: i64,
    /// When it was made, Unix seconds.
    pub created: i64,
    /// Why what was observed is not in force.
    pub rejected: Option<Rejected>,
    /// What is in force; `None` if none of it was ever good since this process began.
    pub force: Option<Force>,
    /// Whether a person holds its rollout: no further node gets its token.
    pub rollout_paused: bool,
    /// The status that the API server has.
    pub status: ProbeConfigStatus,
    /// How far its newest content has come; `None` while this process does not lead.
    pub rollout: Option<Rollout>,
    /// Nodes that wait for its token.
    pub(crate) waiting: VecDeque<NodeId>,
    pub(crate) seen: u32,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct Force {
    /// The generation that it came with.
    pub generation: i64,
    /// Which one wins.
    pub priority: i32,
    /// Which nodes it is for.
    pub selector: Selector,
    /// Their names, if it names any.
    pub names: BTreeSet<Box<str>>,
    /// What agents are assigned.
    pub content: Arc<Content>,
    /// How it reaches them.
    pub rules: Rules,
}

impl Force {
    /// Whether it is for a node.
    #[must_use]
    pub fn is_for(&self, name: &str, labels: &Labels) -> bool {
        (self.names.is_empty() || self.names.contains(name)) && self.selector.matches(labels)
    }
}

impl Config {
    /// What decides between configurations; the least wins.
    #[must_use]
    pub fn rank(&self) -> Rank<'_> {
        Rank::new(self.priority(), self.created, &self.name)
    }

    /// The priority in force.
    #[must_use]
    pub fn priority(&self) -> i32 {
        let rejected = || self.rejected.as_ref().map_or(0, |rejected| rejected.priority);
        self.force.as_ref().map_or_else(rejected, |force| force.priority)
    }

    /// Whether what is in force is known only from the `NodeProbes` that carry it: it was broken before this process
    /// began.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.force.is_none()
    }
}
