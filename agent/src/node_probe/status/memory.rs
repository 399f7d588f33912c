//! What the writer remembers from look to look, and what it makes of what it sees.
//!
//! In: what the `NodeProbe` asks for, scenes. Out: the status as it is now, and what writing it would be good for. It must
//! not write, nor decide when.
//!
//! I/O: reads the clock.

use super::conditions::{Judge, Scene, Verdict};
use super::due::{Ask, Due};
use super::nameless::Nameless;
use super::{context, digest, top};
use crate::capabilities::Capability;
use crate::kube::random;
use crate::node_probe::follow::{Assigned, Assignment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use probelet_crds::condition::{config_applied, node_ready};
use probelet_crds::{NodeProbeStatus, condition};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// An engine that has not taken up a configuration for so long is stuck, which is reported.
const PENDING: Duration = Duration::from_secs(30);

/// What the server has of ours.
pub(super) struct Stored {
    pub(super) uid: String,
    /// As it was sent.
    pub(super) status: NodeProbeStatus,
    /// The version that our write made, and what the server made of our status.
    pub(super) version: Option<u64>,
    pub(super) hash: u64,
}

/// What is remembered from look to look.
pub(super) struct Memory {
    pub(super) began: Instant,
    pub(super) lacking: Vec<Capability>,
    pub(super) due: Due,
    pub(super) judge: Judge,
    pub(super) nameless: Nameless,
    pub(super) tops: top::Tops,
    pub(super) conditions: Vec<Condition>,
    pub(super) stored: Option<Stored>,
    /// What was sent and not answered yet.
    pub(super) under_way: Option<NodeProbeStatus>,
    /// The object that is written, and its generation when it was first seen.
    pub(super) first: Option<(String, i64)>,
    /// The generation that the status answers for.
    pub(super) judged: i64,
    /// How often the server had come back when last looked at.
    pub(super) returns: u64,
    /// Events about the object that had been seen at the last look.
    pub(super) events: u64,
    /// The engine worked by the configuration in force at the last look.
    pub(super) applied: bool,
    /// Since when the engine has not applied.
    pub(super) pending: Option<Duration>,
    /// The server said that there is no such object, when so many events had been seen.
    pub(super) missing: Option<u64>,
    pub(super) failures: u32,
    /// A failure was logged that is not over yet.
    pub(super) logged: bool,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            lacking: context::lacking(),
            due: Due::default(),
            judge: Judge::default(),
            nameless: Nameless::default(),
            tops: top::Tops::default(),
            conditions: Vec::new(),
            stored: None,
            under_way: None,
            first: None,
            judged: 0,
            returns: 0,
            events: 0,
            applied: false,
            pending: None,
            missing: None,
            failures: 0,
            logged: false,
        }
    }

    /// The object, if it can be written now; notes what many agents see at the same moment.
    pub(super) fn writable<'a>(&mut self, assignment: &'a Assignment) -> Option<&'a Assigned> {
        let assigned = assignment.object.as_ref()?;
        let now = self.began.elapsed();
        if self.missing.is_some_and(|events| events != assignment.events) {
            self.missing = None;
            self.due.cleared();
        }
        if self.first.as_ref().is_none_or(|(uid, _)| *uid != assigned.uid) {
            self.first = Some((assigned.uid.clone(), assigned.generation));
            self.stored = None;
            self.under_way = None;
            self.judged = 0;
            self.conditions = conditions_of(&assigned.status);
            self.due.forget();
            self.due.spread(now, assigned.cluster_size, random());
        } else if self.returns != assignment.returns {
            self.due.cleared();
            self.due.spread(now, assigned.cluster_size, random());
        }
        self.returns = assignment.returns;
        self.events = assignment.events;
        // While the server is away every attempt would only fail; the watch shows when it is back.
        assignment.up.then_some(assigned)
    }

    pub(super) fn uid(&self) -> &str {
        self.first.as_ref().map_or("", |(uid, _)| uid)
    }

    /// The conditions as they are now. That the engine has not applied yet is not said while it may still be about to.
    fn verdicts(&mut self, scene: &Scene<'_>) -> Vec<Verdict> {
        let mut verdicts = Vec::from(self.judge.look(scene));
        if scene.applied {
            self.pending = None;
        }
        let pending = verdicts.iter().position(|v| v.reason == config_applied::PENDING);
        if let Some(at) = pending {
            let since = *self.pending.get_or_insert(scene.now);
            let known = condition::get(&self.conditions, condition::CONFIG_APPLIED).is_some();
            if known && scene.now.saturating_sub(since) < PENDING {
                verdicts.remove(at);
            }
        }
        verdicts
    }

    /// What was written last, and that the agent is stopping; `None` if nothing was. A write that the end broke off may have
    /// arrived, so that it counts.
    pub(super) fn last_words(&mut self) -> Option<NodeProbeStatus> {
        let stored = self.stored.take().map(|stored| stored.status);
        let mut status = self.under_way.take().or(stored)?;
        condition::set(
            &mut status.conditions,
            condition::READY,
            false.into(),
            node_ready::STOPPING,
            "the agent is stopping",
            status.observed_generation,
            Timestamp::now(),
        );
        status.last_report = Some(seconds());
        Some(status.fit())
    }

    /// The status as it is now, and what writing it would be good for.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> (NodeProbeStatus, Ask) {
        let assigned = scene.assigned;
        let verdicts = self.verdicts(scene);
        // A configuration is answered for when it was refused or when the engine works by it, not before.
        if assigned.refusal.is_some() || scene.applied {
            self.judged = assigned.generation;
        }
        let judged = self.judged;
        self.conditions.retain(|c| condition::OF_NODE_PROBE.contains(&c.type_.as_str()));
        let gaps = scene.snapshot.picture.cluster.as_ref().map(|cluster| cluster.gaps);
        let nameless = self.nameless.look(scene.now, gaps.unwrap_or_default());
        let time = Timestamp::now();
        for Verdict { kind, status, reason, message } in &verdicts {
            condition::set(&mut self.conditions, kind, *status, reason, message, judged, time);
        }
        let status = NodeProbeStatus {
            observed_generation: judged,
            applied_config_hash: scene.snapshot.vitals.config_hash.clone(),
            conditions: self.conditions.clone(),
            ..digest::of(scene, &nameless)
        };
        let ask = match &self.stored {
            None => {
                let first = self.first.as_ref().map(|(_, generation)| *generation);
                Ask { acknowledge: judged != 0 && Some(judged) != first, ..Ask::default() }
            }
            Some(stored) => Ask {
                acknowledge: judged != stored.status.observed_generation
                    || status.applied_config_hash != stored.status.applied_config_hash,
                transition: digest::turned(&stored.status, &verdicts),
                change: stored.is_edited(assigned)
                    || digest::changed(&stored.status, &status, &verdicts),
            },
        };
        (status, ask)
    }
}

impl Stored {
    /// Whether someone else wrote the status after us. What the server made of ours is compared, not what we sent: an
    /// older schema drops what it does not know, and that is no one's edit.
    fn is_edited(&self, assigned: &Assigned) -> bool {
        let (Some(ours), Some(seen)) = (self.version, version(Some(&assigned.version))) else {
            return false;
        };
        seen > ours && self.uid == assigned.uid && hash(&assigned.status) != self.hash
    }
}

/// Now, in whole seconds, as the API server keeps times.
pub(super) fn seconds() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Versions are numbers that grow, as the API promises for comparing them.
pub(super) fn version(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

/// Equal for equal values: maps are sorted.
pub(super) fn hash(value: &Value) -> u64 {
    probelet_core::hash::of(value.to_string().as_bytes())
}

/// The conditions of an earlier run, for the sake of their times.
fn conditions_of(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}
