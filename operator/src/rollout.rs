//! Rollout: which content a node of one configuration is given while a change makes its way.
//!
//! In: what changed, which nodes there are, what canaries report, the time. Out: for each node the new content, the one
//! before or none of the two; the phase for the status; whether the canaries passed. It must not know how anything is
//! written. Pure: the time is an argument.
//!
//! ```text
//! begin -> Canary -> Rolling -> Complete        no canaries (small, paused, nothing to protect): begin -> Rolling
//!             \-> RolledBack                    until the next edit
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use probelet_crds::{NodeConfig, Phase, Rollout as Rules, RolloutStatus};
use serde_json::Value;

use crate::content::Content;
use crate::pace::{Millis, Minute};
use crate::queue::NodeId;
use crate::seen::Said;

/// How long all canaries must be well after the last of them acknowledged.
const SOAK: Millis = 10_000;
/// How long canaries may take to answer.
const PATIENCE: Millis = 120_000;
/// More nodes than this are not named in the message of a stopped rollout.
const NAMED: usize = 3;

/// A content and the generation of the configuration that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// What agents are assigned.
    pub content: Arc<Content>,
    /// The generation of the `ProbeConfig`.
    pub generation: i64,
}

impl Edition {
    /// What is kept of it in a status, so that a person or a successor can put it back when no node carries it any more.
    fn value(&self) -> Value {
        self.content.config.written()
    }

    /// The content before, as a status has kept it, whichever release wrote that.
    #[must_use]
    pub fn kept(status: &RolloutStatus, generation: i64) -> Option<Self> {
        let (config, _) = NodeConfig::read(status.previous.as_ref()?)?;
        Some(Self { content: Arc::new(Content::new(config)), generation })
    }
}

/// How far a change has come.
#[derive(Debug, Clone)]
pub enum Stage {
    /// The first few nodes have it and are watched.
    Canary(Watch),
    /// The others are getting it.
    Rolling,
    /// All were assigned.
    Complete,
    /// It was taken back; why.
    RolledBack {
        /// The nodes that had it, so that they and only they are taken back.
        canaries: BTreeSet<NodeId>,
        /// Which of them failed and why.
        why: String,
    },
}

/// Canaries under watch.
#[derive(Debug, Clone)]
pub struct Watch {
    canaries: BTreeMap<NodeId, Canary>,
    /// So many there should be.
    wanted: usize,
    began: Millis,
    /// When the last of them acknowledged, and all were well.
    well_since: Option<Millis>,
    failed: Vec<(NodeId, String)>,
    /// One of them refused it, which nothing but the change can have brought about.
    refused: bool,
}

/// One canary: how it was before, and whether it has answered.
#[derive(Debug, Clone, Copy, Default)]
struct Canary {
    was_within: bool,
    was_ready: bool,
    acknowledged: bool,
}

impl Canary {
    fn of(said: &Said) -> Self {
        Self {
            was_within: said.within != Some(false),
            was_ready: said.ready != Some(false),
            acknowledged: false,
        }
    }
}

/// What a node works by before it is given anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried<'a> {
    /// It has no `NodeProbe`.
    Nothing,
    /// Another configuration's, or the built-in one.
    Others,
    /// A content of this configuration, by its hash, or one that cannot be read.
    Own(Option<&'a str>),
}

/// What a node is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Give {
    /// The new content.
    Target,
    /// The one before.
    Previous(Edition),
    /// What it has: an older content, from which the one before had not reached it yet.
    Keep,
    /// Neither: whatever the next configuration says.
    Nothing,
}

/// What the watch over canaries came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are well: go on.
    Passed,
    /// They are not: everything is taken back.
    Failed,
}

/// A change on its way.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// What is rolled out.
    pub target: Edition,
    /// What was in force before.
    pub previous: Option<Edition>,
    /// Older contents, by their hashes: nodes that carry one were not reached by what followed, and keep it until their turn.
    pub kept: BTreeSet<String>,
    /// How far it has come.
    pub stage: Stage,
    /// The kill switch was pulled: no node waits for a token.
    pub urgent: bool,
    /// How many nodes may get the change.
    pub tokens: Minute,
    /// Whether what stopped it goes on without it.
    pub trial: Trial,
}

impl Rollout {
    /// A change that needs no canaries.
    #[must_use]
    pub fn new(target: Edition, previous: Option<Edition>, rules: &Rules, now: Millis) -> Self {
        let paused = |edition: &Edition| edition.content.config.paused;
        let urgent = paused(&target) && !previous.as_ref().is_some_and(paused);
        let per_minute = u32::try_from(rules.max_nodes_per_minute).unwrap_or(1);
        let tokens = Minute::new(per_minute, now);
        let (stage, trial) = (Stage::Rolling, Trial::default());
        Self { target, previous, kept: BTreeSet::new(), stage, urgent, tokens, trial }
    }

    /// Watches these nodes first, each with what it said before.
    pub fn watch<'a>(&mut self, canaries: impl Iterator<Item = (NodeId, &'a Said)>, now: Millis) {
        let canaries: BTreeMap<_, _> = canaries.map(|(id, said)| (id, Canary::of(said))).collect();
        if !canaries.is_empty() {
            self.expect(canaries.len(), now);
            if let Stage::Canary(watch) = &mut self.stage {
                watch.canaries = canaries;
            }
        }
    }

    /// So many nodes are to go first; which ones is not known yet.
    pub fn expect(&mut self, wanted: usize, now: Millis) {
        self.stage = Stage::Canary(Watch {
            canaries: BTreeMap::new(),
            wanted,
            began: now,
            well_since: None,
            failed: Vec::new(),
            refused: false,
        });
    }

    /// Nodes whose watch another edit broke off are as they were before the first one: what that did to them is not
    /// how they are by themselves.
    pub(crate) fn inherit(&mut self, old: &Self) {
        let (Stage::Canary(new), Stage::Canary(old)) = (&mut self.stage, &old.stage) else {
            return;
        };
        for (id, canary) in &mut new.canaries {
            if let Some(&Canary { was_within, was_ready, .. }) = old.canaries.get(id) {
                (canary.was_within, canary.was_ready) = (was_within, was_ready);
            }
        }
    }

    /// The canaries were well when they were chosen, as another process saw: how they are now may be the change's doing.
    pub(crate) fn were_well(&mut self) {
        if let Stage::Canary(watch) = &mut self.stage {
            for canary in watch.canaries.values_mut() {
                (canary.was_within, canary.was_ready) = (true, true);
            }
        }
    }

    /// The canaries, and how many more there should be.
    #[must_use]
    pub fn canaries(&self) -> (Vec<NodeId>, usize) {
        match &self.stage {
            Stage::Canary(watch) => {
                let ids: Vec<NodeId> = watch.canaries.keys().copied().collect();
                (ids, watch.wanted.saturating_sub(watch.canaries.len()))
            }
            _ => (Vec::new(), 0),
        }
    }

    /// Whether a canary works by the new content.
    #[must_use]
    pub(crate) fn has_answered(&self, id: NodeId) -> bool {
        matches!(&self.stage, Stage::Canary(watch)
            if watch.canaries.get(&id).is_some_and(|canary| canary.acknowledged))
    }

    /// One more canary, in the place of one that can prove nothing.
    pub fn join(&mut self, id: NodeId, said: &Said, now: Millis) {
        if let Stage::Canary(watch) = &mut self.stage {
            watch.canaries.insert(id, Canary::of(said));
            (watch.began, watch.well_since) = (now, None);
        }
    }

    /// What a node is given.
    #[must_use]
    pub fn give(&self, id: NodeId, carried: Carried<'_>) -> Give {
        let before = || self.previous.clone().map_or(Give::Nothing, Give::Previous);
        let has_target = carried == Carried::Own(Some(self.target.content.hash.as_str()));
        match &self.stage {
            Stage::Rolling | Stage::Complete => Give::Target,
            // No one is protected by keeping the configuration from a node that has none.
            _ if carried == Carried::Nothing && self.previous.is_none() => Give::Target,
            Stage::Canary(watch) if has_target || watch.canaries.contains_key(&id) => Give::Target,
            Stage::RolledBack { canaries, .. }
                if has_target && self.previous.is_none() && !canaries.contains(&id) =>
            {
                Give::Target
            }
            _ if matches!(carried, Carried::Own(Some(hash)) if self.kept.contains(hash)) => {
                Give::Keep
            }
            // It has come under the configuration by the edit that is tried, and goes on by what it has.
            Stage::Canary(_) if carried == Carried::Others => Give::Nothing,
            Stage::Canary(_) | Stage::RolledBack { .. } => before(),
        }
    }

    /// Whether what this node reports is of interest.
    #[must_use]
    pub fn watches(&self, id: NodeId) -> bool {
        matches!(&self.stage, Stage::Canary(watch) if watch.canaries.contains_key(&id))
    }

    /// A canary reported; `acknowledged` and `refused` are about the new content.
    pub fn report(&mut self, id: NodeId, said: &Said, acknowledged: bool, refused: bool) {
        let Stage::Canary(watch) = &mut self.stage else { return };
        let Some(canary) = watch.canaries.get_mut(&id) else { return };
        canary.acknowledged |= acknowledged;
        let pausing = self.target.content.config.paused;
        let worse = (canary.acknowledged && canary.was_within && said.within == Some(false))
            || (canary.acknowledged && canary.was_ready && said.ready == Some(false) && !pausing);
        watch.refused |= refused;
        if (refused || worse) && !watch.failed.iter().any(|(node, _)| *node == id) {
            watch.failed.push((id, said.reason.to_string()));
        }
    }

    /// A node is gone: it cannot answer.
    pub fn forget(&mut self, id: NodeId) {
        match &mut self.stage {
            Stage::Canary(watch) => {
                watch.canaries.remove(&id);
                watch.failed.retain(|(node, _)| *node != id);
            }
            Stage::RolledBack { canaries, .. } => drop(canaries.remove(&id)),
            Stage::Rolling | Stage::Complete => {}
        }
    }

    /// Judges the canaries; `name` gives a node's name.
    pub fn judge(&mut self, now: Millis, name: impl Fn(NodeId) -> String) -> Option<Verdict> {
        let Stage::Canary(watch) = &mut self.stage else { return None };
        let acknowledged = watch.canaries.values().filter(|canary| canary.acknowledged).count();
        let late = now >= watch.began + PATIENCE;
        let why = if !watch.failed.is_empty() {
            Some(tell(&watch.failed, name))
        } else if late && acknowledged == 0 && !watch.canaries.is_empty() {
            Some(format!("none of {} canaries answered in 2 minutes", watch.canaries.len()))
        } else {
            None
        };
        if let Some(why) = why {
            let canaries = watch.canaries.keys().copied().collect();
            let unsure = !watch.refused && !watch.failed.is_empty();
            let suspects: Vec<NodeId> = watch.failed.iter().map(|(id, _)| *id).collect();
            self.trial.open(if unsure { suspects } else { Vec::new() });
            self.stage = Stage::RolledBack { canaries, why };
            return Some(Verdict::Failed);
        }
        // Those that stayed silent for so long do not hold up the rest.
        let all = watch.canaries.values().all(|canary| canary.acknowledged || late);
        if !all {
            watch.well_since = None;
            return None;
        }
        let since = *watch.well_since.get_or_insert(now);
        if now < since + SOAK {
            return None;
        }
        self.stage = Stage::Rolling;
        Some(Verdict::Passed)
    }

    /// A person holds the rollout: canaries without an assignment cannot answer, and their time does not run.
    pub fn hold(&mut self, now: Millis) {
        if let Stage::Canary(watch) = &mut self.stage {
            (watch.began, watch.well_since) = (now, None);
        }
    }

    /// When [`Rollout::judge`] may come to something without a report.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let Stage::Canary(watch) = &self.stage else { return None };
        let patience = watch.began + PATIENCE;
        Some(watch.well_since.map_or(patience, |since| since + SOAK))
    }

    /// For the status of the configuration.
    #[must_use]
    pub fn status(&self) -> RolloutStatus {
        let (phase, canaries) = match &self.stage {
            Stage::Canary(watch) => (Phase::Canary, watch.canaries.len()),
            Stage::Rolling => (Phase::Rolling, 0),
            Stage::Complete => (Phase::Complete, 0),
            Stage::RolledBack { canaries, .. } => (Phase::RolledBack, canaries.len()),
        };
        RolloutStatus {
            generation: self.target.generation,
            hash: self.target.content.hash.clone(),
            previous_hash: self.previous.as_ref().map(|edition| edition.content.hash.clone()),
            previous: self.previous.as_ref().map(Edition::value),
            phase,
            canaries: i64::try_from(canaries).unwrap_or(i64::MAX),
        }
    }
}

fn tell(failed: &[(NodeId, String)], name: impl Fn(NodeId) -> String) -> String {
    let mut words: Vec<String> =
        failed.iter().take(NAMED).map(|(id, reason)| format!("{} ({reason})", name(*id))).collect();
    if failed.len() > NAMED {
        words.push(format!("{} more", failed.len() - NAMED));
    }
    words.join(", ")
}

mod trial;
pub use trial::{Outcome, Trial};

#[cfg(test)]
mod tests;
