//! Events: what a person should act on, told once.
//!
//! In: the status before and after. Out: events of the API (events.k8s.io/v1), at most a few a minute. What turned bad is
//! told when it turns; what stays bad is in the status. It must not be relied on: an event that cannot be written is
//! lost.
//!
//! I/O: one request an event.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use probelet_crds::condition::{ACCEPTED, CONFLICTED, DEGRADED, degraded, get};
use probelet_crds::{API_VERSION, OPERATOR, PROBE_CONFIG, ProbeConfigStatus};
use tokio::time::timeout;
use tracing::debug;

use crate::pace::{Bucket, Millis};

/// So many in a minute, the same number at once.
const PER_MINUTE: u32 = 20;
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
    /// A sentence.
    pub message: String,
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
        })
    });
    turned.collect()
}

/// Agents that refuse or need too much are in the status; somebody has to act when we cannot go on.
fn is_for_people(condition: &Condition) -> bool {
    condition.type_ != DEGRADED
        || [degraded::ROLLED_BACK, degraded::WRITES_REFUSED].contains(&condition.reason.as_str())
}

/// Writes notes as events.
pub struct Teller {
    recorder: Recorder,
    bucket: Bucket,
}

impl Teller {
    /// Tells in the name of this process.
    #[must_use]
    pub fn new(client: Client, identity: String, now: Millis) -> Self {
        let reporter = Reporter { controller: OPERATOR.to_owned(), instance: Some(identity) };
        let bucket = Bucket::new(PER_MINUTE, 60_000, PER_MINUTE, now);
        Self { recorder: Recorder::new(client, reporter), bucket }
    }

    /// The work of telling, to be run beside everything else; `None` if too much was told already.
    pub fn tell(&mut self, note: Note, now: Millis) -> Option<impl Future<Output = ()> + use<>> {
        if !self.bucket.take(now) {
            return None;
        }
        let recorder = self.recorder.clone();
        Some(async move {
            let Note { name, uid, reason, message } = note;
            let about = ObjectReference {
                api_version: Some(API_VERSION.to_owned()),
                kind: Some(PROBE_CONFIG.to_owned()),
                name: Some(name),
                uid,
                ..ObjectReference::default()
            };
            let event = Event {
                type_: EventType::Warning,
                reason,
                note: Some(message),
                action: "Reconcile".to_owned(),
                secondary: None,
            };
            let published = timeout(LIMIT, recorder.publish(&event, &about)).await;
            debug!(?published, "event");
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::jiff::Timestamp;
    use probelet_crds::condition::{accepted, set};

    fn status(kind: &str, holds: bool, reason: &str) -> ProbeConfigStatus {
        let mut status = ProbeConfigStatus::default();
        set(&mut status.conditions, kind, holds.into(), reason, "m", 1, Timestamp::UNIX_EPOCH);
        status
    }

    #[test]
    fn what_turns_bad_is_told_once() {
        let good = status(ACCEPTED, true, accepted::VALID);
        let bad = status(ACCEPTED, false, accepted::INVALID);

        assert_eq!(notes("c", "u", &good, &bad).len(), 1);
        assert_eq!(notes("c", "u", &bad, &bad), []);
        assert_eq!(notes("c", "u", &bad, &good), []);
    }

    #[test]
    fn agents_over_their_budget_are_no_event() {
        let over = status(DEGRADED, true, degraded::NODES_OVER_BUDGET);
        let refused = status(DEGRADED, true, degraded::WRITES_REFUSED);

        assert_eq!(notes("c", "u", &ProbeConfigStatus::default(), &over), []);
        assert_eq!(notes("c", "u", &over, &refused).len(), 1);
    }
}
