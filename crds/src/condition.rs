//! Conditions: their types, their reasons, and how one is set.
//!
//! In: what is so now. Out: the list of conditions that says it, each with the time when its status last turned. Who
//! sets one decides when; who reads one must not invent other words. Pure: the time is an argument.

mod reasons;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

pub use reasons::{
    accepted, config_applied, conflicted, connections_healthy, data_complete, degraded, node_ready,
    overridden, permissions_ok, ready, within_budget,
};

/// `ProbeConfig`: the configuration is valid and in force where it wins.
pub const ACCEPTED: &str = "Accepted";
/// `ProbeConfig`: all its nodes have applied it. `NodeProbe`: the agent has a picture of its node.
pub const READY: &str = "Ready";
/// `ProbeConfig`: some of its nodes have not applied it or cannot hold their budget, or its rollout was stopped.
pub const DEGRADED: &str = "Degraded";
/// `ProbeConfig`: on some of the nodes that it matches another one wins by its priority.
pub const OVERRIDDEN: &str = "Overridden";
/// `ProbeConfig`: another one of the same priority matches some of the same nodes; the older one wins.
pub const CONFLICTED: &str = "Conflicted";
/// `NodeProbe`: the agent has applied the configuration of the spec.
pub const CONFIG_APPLIED: &str = "ConfigApplied";
/// `NodeProbe`: the agent has stayed within its CPU budget, whatever it had to give up for it.
pub const WITHIN_BUDGET: &str = "WithinBudget";
/// `NodeProbe`: the report holds everything that the agent should see.
pub const DATA_COMPLETE: &str = "DataComplete";
/// `NodeProbe`: the agent may do what the chosen source needs.
pub const PERMISSIONS_OK: &str = "PermissionsOK";
/// `NodeProbe`: no flow of the node is lossy or failing, and nothing there is about to run full. This is about
/// workloads, not about the agent.
pub const CONNECTIONS_HEALTHY: &str = "ConnectionsHealthy";

/// The types of a `ProbeConfig`, in the order in which a person wants to read them.
pub const OF_PROBE_CONFIG: [&str; 5] = [ACCEPTED, READY, DEGRADED, OVERRIDDEN, CONFLICTED];
/// The types of a `NodeProbe`, likewise.
pub const OF_NODE_PROBE: [&str; 6] =
    [READY, CONFIG_APPLIED, WITHIN_BUDGET, DATA_COMPLETE, PERMISSIONS_OK, CONNECTIONS_HEALTHY];

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known yet.
    Unknown,
}

impl Status {
    /// The word in the object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What the word in a condition says: whether it holds, if that is known.
#[must_use]
pub fn holds(status: &str) -> Option<bool> {
    match status {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    }
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Sets the condition `kind` and says whether that changed anything. The time of its last transition stays while its
/// status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: i64,
    now: Timestamp,
) -> bool {
    let mut new = Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.into(),
        observed_generation: Some(generation),
        // Whole seconds, as the API server keeps it: what is read back is what was written.
        last_transition_time: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
    };
    let Some(old) = get_mut(conditions, kind) else {
        conditions.push(new);
        return true;
    };
    if old.status == new.status {
        new.last_transition_time = old.last_transition_time.clone();
    }
    let changed = *old != new;
    *old = new;
    changed
}

/// The condition `kind`.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether the condition `kind` is there and `False`.
#[must_use]
pub fn is_false(conditions: &[Condition], kind: &str) -> bool {
    get(conditions, kind).is_some_and(|condition| condition.status == Status::False.as_str())
}

fn get_mut<'a>(conditions: &'a mut [Condition], kind: &str) -> Option<&'a mut Condition> {
    conditions.iter_mut().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(second, 500_000_000).unwrap()
    }

    fn since(conditions: &[Condition]) -> i64 {
        conditions[0].last_transition_time.0.as_second()
    }

    #[test]
    fn a_condition_that_was_not_there_is_a_change() {
        let mut conditions = vec![];

        assert!(set(&mut conditions, READY, Status::True, node_ready::REPORTING, "", 3, at(100)));

        assert_eq!(get(&conditions, READY).unwrap().status, "True");
        assert!(!is_false(&conditions, READY));
        assert_eq!(conditions[0].observed_generation, Some(3));
        assert_eq!(conditions[0].last_transition_time.0, Timestamp::from_second(100).unwrap());
    }

    #[test]
    fn the_same_again_is_no_change_and_keeps_its_time() {
        let mut conditions = vec![];
        set(&mut conditions, READY, Status::True, node_ready::REPORTING, "fine", 3, at(100));

        assert!(!set(
            &mut conditions,
            READY,
            Status::True,
            node_ready::REPORTING,
            "fine",
            3,
            at(200)
        ));

        assert_eq!(since(&conditions), 100);
    }

    #[test]
    fn another_message_or_generation_is_a_change_but_no_transition() {
        let mut conditions = vec![];
        set(&mut conditions, READY, Status::True, node_ready::REPORTING, "a", 3, at(100));

        assert!(set(&mut conditions, READY, Status::True, node_ready::REPORTING, "b", 3, at(200)));
        assert!(set(&mut conditions, READY, Status::True, node_ready::REPORTING, "b", 4, at(300)));

        assert_eq!((conditions.len(), since(&conditions)), (1, 100));
    }

    #[test]
    fn another_status_is_a_transition() {
        let mut conditions = vec![];
        set(&mut conditions, READY, Status::Unknown, node_ready::STARTING, "", 3, at(100));

        assert!(set(&mut conditions, READY, false.into(), node_ready::PAUSED, "", 3, at(200)));

        assert!(is_false(&conditions, READY));
        assert_eq!(since(&conditions), 200);
    }
}
