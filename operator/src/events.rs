//! Events: what a person should act on, written once.
//!
//! In: the status before and after. Out: events of the API (events.k8s.io/v1), at most a few a minute. What turned bad is
//! written when it turns; what stays bad is in the status. That a rollout begins and ends, or that collection stops, is reported
//! too: anyone who looks later wants to know when. It must not be relied on: an event that cannot be written is
//! lost.
//!
//! I/O: one request an event.

use std::collections::VecDeque;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use probelet_crds::condition::{ACCEPTED, CONFLICTED, DEGRADED, degraded, get};
use probelet_crds::{API_VERSION, OPERATOR, PROBE_CONFIG, Phase, ProbeConfigStatus};
use tokio::time::timeout;
use tracing::debug;

use crate::pace::{Bucket, Millis};

/// Reasons of events that are no trouble.
const PAUSED: &str = "Paused";
const RESUMED: &str = "Resumed";
const ROLLOUT_STARTED: &str = "RolloutStarted";
const ROLLOUT_COMPLETED: &str = "RolloutCompleted";

/// So many in a minute, the same number at once.
const PER_MINUTE: u32 = 20;
/// So many notes are known again.
const REMEMBERED: usize = 64;
/// The longest that writing one may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The name of the configuration that it is about.
    pub name: String,
    /// Its uid, if it is there.
    pub uid: Option<String>,
    /// One word.
    pub reason: String,
    /// A message.
    pub message: String,
    /// Whether someone should act.
    pub warning: bool,
}

/// What turned bad between two statuses of a configuration.
#[must_use]
pub fn notes(
    name: &str,
    uid: &str,
    before: &ProbeConfigStatus,
    after: &ProbeConfigStatus,
) -> Vec<Note> {
    let bad = [(ACCEPTED, "False"), (DEGRADED, "True"), (CONFLICTED, "True")];
    let turned = bad.into_iter().filter_map(|(kind, bad)| {
        let is = |c: &&Condition| c.status == bad && is_for_people(c);
        let now = get(&after.conditions, kind).filter(is)?;
        let was = get(&before.conditions, kind).filter(is);
        was.is_none_or(|was| was.reason != now.reason).then(|| Note {
            name: name.to_owned(),
            uid: Some(uid.to_owned()),
            reason: now.reason.clone(),
            message: now.message.clone(),
            warning: true,
        })
    });
    turned.collect()
}

/// What happened between two statuses of a configuration that is no trouble; `turned` says whether its newest content stops
/// collection or starts it again.
#[must_use]
pub fn turns(
    name: &str,
    uid: &str,
    before: &ProbeConfigStatus,
    after: &ProbeConfigStatus,
    turned: Option<bool>,
) -> Vec<Note> {
    let make = |reason: &str, message: String| Note {
        name: name.to_owned(),
        uid: Some(uid.to_owned()),
        reason: reason.to_owned(),
        message,
        warning: false,
    };
    let nodes = after.nodes.effective;
    let mut written = Vec::new();
    match turned {
        Some(true) => written.push(make(PAUSED, format!("collection stops on {nodes} nodes"))),
        Some(false) => written.push(make(RESUMED, format!("collection resumes on {nodes} nodes"))),
        None => {}
    }
    let Some(now) = &after.rollout else { return written };
    let was = before
        .rollout
        .as_ref()
        .filter(|old| (old.generation, old.hash.as_str()) == (now.generation, now.hash.as_str()));
    let (generation, canaries) = (now.generation, now.canaries);
    match (now.phase, was.map(|old| old.phase)) {
        (Phase::Canary, None | Some(Phase::RolledBack)) => written.push(make(
            ROLLOUT_STARTED,
            format!("generation {generation}: {canaries} of {nodes} nodes go first"),
        )),
        (Phase::Rolling, None) => {
            let message = format!("generation {generation} is being rolled out to {nodes} nodes");
            written.push(make(ROLLOUT_STARTED, message));
        }
        (Phase::Complete, None | Some(Phase::Canary | Phase::Rolling)) if nodes > 0 => {
            let message = format!("generation {generation}: rolled out to all {nodes} nodes");
            written.push(make(ROLLOUT_COMPLETED, message));
        }
        _ => {}
    }
    written
}

/// Agents that refuse or need too much are in the status; someone has to act when we cannot go on.
fn is_for_people(condition: &Condition) -> bool {
    condition.type_ != DEGRADED
        || [degraded::ROLLED_BACK, degraded::WRITES_REFUSED].contains(&condition.reason.as_str())
}

/// Writes notes as events. What is said again in the same words within a few minutes is counted in the event that is
/// there; what is said in other words is an event of its own.
pub struct Teller {
    client: Client,
    reporter: Reporter,
    /// The latest notes. A recorder distinguishes events by their reason alone and keeps the words of the first one, so that
    /// each note has its own.
    written: VecDeque<(Note, Recorder)>,
    bucket: Bucket,
}

impl Teller {
    /// Shows in the name of this process.
    #[must_use]
    pub fn new(client: Client, identity: String, now: Millis) -> Self {
        let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(identity) };
        let bucket = Bucket::new(PER_MINUTE, 60_000, PER_MINUTE, now);
        Self { client, reporter, written: VecDeque::new(), bucket }
    }

    /// The work of telling, to be run beside everything else; `None` if too much was written already.
    pub fn tell(&mut self, note: Note, now: Millis) -> Option<impl Future<Output = ()> + use<>> {
        if !self.bucket.take(now) {
            return None;
        }
        let recorder = self.recorder(&note);
        Some(async move {
            let Note { name, uid, reason, message, warning } = note;
            let about = ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(PROBE_CONFIG.to_owned()),
                name: Some(name),
                uid,
                ..ObjectReference::default()
            };
            let event = Event {
                type_: if warning { EventType::Warning } else { EventType::Normal },
                reason,
                note: Some(message),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            let published = timeout(LIMIT, recorder.publish(&event, &about)).await;
            debug!(?published, "event");
        })
    }

    fn recorder(&mut self, note: &Note) -> Recorder {
        if let Some((_, recorder)) = self.written.iter().find(|(written, _)| written == note) {
            return recorder.clone();
        }
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        if self.written.len() >= REMEMBERED {
            self.written.pop_front();
        }
        self.written.push_back((note.clone(), recorder.clone()));
        recorder
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;
    use probelet_crds::condition::{accepted, set};
    use probelet_crds::{NodeCounts, RolloutStatus};
    use probelet_fake_api::Fake;

    fn status(kind: &str, holds: bool, reason: &str) -> ProbeConfigStatus {
        let mut status = ProbeConfigStatus::default();
        set(&mut status.conditions, kind, holds.into(), reason, "m", 1, Timestamp::UNIX_EPOCH);
        status
    }

    #[test]
    fn what_turns_bad_is_reported_once() {
        let good = status(ACCEPTED, true, accepted::VALID);
        let bad = status(ACCEPTED, false, accepted::INVALID);

        assert_eq!(notes("c", "u", &good, &bad).len(), 1);
        assert_eq!(notes("c", "u", &bad, &bad), []);
        assert_eq!(notes("c", "u", &bad, &good), []);
    }

    fn rolling(generation: i64, phase: Phase, canaries: i64) -> ProbeConfigStatus {
        let rollout = RolloutStatus {
            generation,
            hash: format!("hash{generation}"),
            previous_hash: None,
            previous: None,
            phase,
            canaries,
        };
        let nodes = NodeCounts { effective: 40, ..NodeCounts::default() };
        ProbeConfigStatus { rollout: Some(rollout), nodes, ..ProbeConfigStatus::default() }
    }

    #[test]
    fn a_rollout_is_reported_when_it_begins_and_when_it_ends() {
        let written = |before: &ProbeConfigStatus, after: &ProbeConfigStatus| {
            let notes = turns("c", "u", before, after, None);
            assert!(notes.iter().all(|note| !note.warning));
            notes.into_iter().map(|note| (note.reason, note.message)).collect::<Vec<_>>()
        };
        let (one, canary) = (rolling(1, Phase::Complete, 0), rolling(2, Phase::Canary, 2));
        let (on, done) = (rolling(2, Phase::Rolling, 0), rolling(2, Phase::Complete, 0));
        let pair = |reason: &str, message: &str| vec![(reason.to_owned(), message.to_owned())];

        let begins = pair("RolloutStarted", "generation 2: 2 of 40 nodes go first");
        assert_eq!(written(&one, &canary), begins);
        assert_eq!(
            written(&one, &on),
            pair("RolloutStarted", "generation 2 is being rolled out to 40 nodes")
        );
        assert_eq!(written(&canary, &on), []);
        let ends = pair("RolloutCompleted", "generation 2: rolled out to all 40 nodes");
        assert_eq!(written(&on, &done), ends);
        assert_eq!(written(&one, &done), ends, "a quick one is written when it has ended");
        assert_eq!(written(&done, &done), []);
        // Taken back for what turned out to be something else.
        assert_eq!(written(&rolling(2, Phase::RolledBack, 2), &canary), begins);
    }

    #[test]
    fn a_pause_is_reported() {
        let notes = turns(
            "c",
            "u",
            &rolling(1, Phase::Complete, 0),
            &rolling(2, Phase::Rolling, 0),
            Some(true),
        );

        let reasons: Vec<&str> = notes.iter().map(|note| note.reason.as_str()).collect();
        assert_eq!(reasons, ["Paused", "RolloutStarted"]);
    }

    #[tokio::test]
    async fn other_words_are_another_event_and_the_same_words_are_counted() {
        let fake = Fake::default();
        let mut teller = Teller::new(fake.client(), "test".into(), 0);
        let note = |message: String| Note {
            name: "c".into(),
            uid: None,
            reason: ROLLOUT_COMPLETED.into(),
            message,
            warning: false,
        };

        for message in ["generation 1", "generation 2", "generation 1"] {
            teller.tell(note(message.into()), 0).unwrap().await;
        }

        let writes = fake.writes();
        let methods: Vec<&str> =
            writes.iter().filter_map(|write| write.split(' ').next()).collect();
        assert_eq!(methods, ["POST", "POST", "PATCH"]);
        for at in 0..1000 {
            if let Some(telling) = teller.tell(note(at.to_string()), at * 60_000) {
                telling.await;
            }
        }
        assert_eq!(teller.written.len(), REMEMBERED);
    }

    #[test]
    fn agents_over_their_budget_are_no_event() {
        let over = status(DEGRADED, true, degraded::NODES_OVER_BUDGET);
        let refused = status(DEGRADED, true, degraded::WRITES_REFUSED);

        assert_eq!(notes("c", "u", &ProbeConfigStatus::default(), &over), []);
        assert_eq!(notes("c", "u", &over, &refused).len(), 1);
    }
}
