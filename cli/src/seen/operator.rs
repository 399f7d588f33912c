//! Whether an operator runs.
//!
//! In: its lease, its pods, each or why it may not be seen. Out: [`Operator`]. A lease is a sign of life only where there
//! are elections; without them a ready pod is one. Pure: the time is an argument.

use jiff::Timestamp;

use super::Lease;
use super::pod::Pod;

/// A lease may be older than it says by so much, for clocks differ.
const TOLERANCE: i64 = 5;
/// Turns elections off, on the command line and in the environment.
const FLAG: &str = "--no-leader-election";
const VARIABLE: &str = "PROBELET_NO_LEADER_ELECTION";

/// Who operates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// One holds the lease.
    Leads {
        /// The pod.
        pod: String,
        /// Since it was renewed.
        seconds: i64,
    },
    /// A pod is ready; a lease is not there, or not to be seen.
    Ready {
        /// The pod.
        pod: String,
    },
    /// None.
    Silent {
        /// What shows it.
        why: String,
    },
    /// It cannot be said.
    Unknown {
        /// Why not.
        why: String,
    },
}

impl Operator {
    /// From what may be seen.
    #[must_use]
    pub fn of(
        lease: &Result<Option<Lease>, String>,
        pods: &Result<Vec<Pod>, String>,
        now: Timestamp,
    ) -> Self {
        let ready = |elects: fn(&Pod) -> bool| {
            let pods = pods.as_ref().ok()?;
            let pod = pods.iter().find(|pod| pod.is_ready() && elects(pod))?;
            Some(Self::Ready { pod: pod.metadata.name.clone() })
        };
        match lease {
            Ok(Some(lease)) => held(lease, now)
                // A lease that an installation with elections left behind says nothing.
                .or_else(|| ready(|pod| !elects(pod)))
                .unwrap_or_else(|| Self::Silent { why: let_go(lease, now) }),
            Ok(None) => ready(|_| true).unwrap_or_else(|| silent(pods, "there is no lease")),
            Err(why) => ready(|_| true).unwrap_or_else(|| match pods {
                Ok(_) => silent(pods, "its lease cannot be seen"),
                Err(_) => Self::Unknown { why: why.clone() },
            }),
        }
    }

    /// Whether one does; none if it cannot be said.
    #[must_use]
    pub const fn runs(&self) -> Option<bool> {
        match self {
            Self::Leads { .. } | Self::Ready { .. } => Some(true),
            Self::Silent { .. } => Some(false),
            Self::Unknown { .. } => None,
        }
    }
}

fn age(lease: &Lease, now: Timestamp) -> Option<i64> {
    Some(now.as_second().saturating_sub(lease.spec.renew_time?.as_second()))
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.holder_identity.as_ref().filter(|name| !name.is_empty())
}

fn held(lease: &Lease, now: Timestamp) -> Option<Operator> {
    let most = lease.spec.lease_duration_seconds.unwrap_or(15).saturating_add(TOLERANCE);
    let seconds = age(lease, now).filter(|age| *age <= most)?;
    Some(Operator::Leads { pod: holder(lease)?.clone(), seconds: seconds.max(0) })
}

fn let_go(lease: &Lease, now: Timestamp) -> String {
    let age = age(lease, now).map(|seconds| {
        super::age::age(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    });
    match (holder(lease), age) {
        (Some(holder), Some(age)) => format!("{holder} has not renewed its lease for {age}"),
        (None, Some(age)) => format!("the lease has no holder; it was released {age} ago"),
        _ => "the lease has never had a holder".to_owned(),
    }
}

fn silent(pods: &Result<Vec<Pod>, String>, lease: &str) -> Operator {
    let why = match pods {
        Err(why) => return Operator::Unknown { why: format!("{lease}, and {why}") },
        Ok(pods) => match pods.first() {
            None => format!("{lease}, and no pod of an operator"),
            Some(pod) => {
                let why = pod.why_not().unwrap_or_else(|| "is not ready".to_owned());
                format!("{lease}, and the pod {} {why}", pod.metadata.name)
            }
        },
    };
    Operator::Silent { why }
}

/// Whether a pod's operator stands for elections.
fn elects(pod: &Pod) -> bool {
    let off = |value: &str| {
        let value = value.to_ascii_lowercase();
        !["", "0", "f", "false", "n", "no", "off"].contains(&value.as_str())
    };
    !pod.spec.containers.iter().any(|container| {
        container.args.iter().chain(&container.command).any(|word| word == FLAG)
            || container.env.iter().any(|one| one.name == VARIABLE && off(&one.value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-23T13:00:02Z";

    type Pods = Result<Vec<Pod>, String>;
    type MaybeLease = Result<Option<Lease>, String>;

    #[expect(clippy::unnecessary_wraps, reason = "what is seen, as it is passed on")]
    fn pods(ready: &str, election: Option<&str>) -> Pods {
        let env = election.map(|value| json!({"name": VARIABLE, "value": value}));
        let pod = json!({"metadata": {"name": "op-1"},
            "spec": {"containers": [{"env": env.into_iter().collect::<Vec<_>>()}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}});
        Ok(vec![serde_json::from_value(pod).unwrap()])
    }

    #[expect(clippy::unnecessary_wraps, reason = "what is seen, as it is passed on")]
    fn lease(renewed: &str) -> MaybeLease {
        let spec =
            json!({"holderIdentity": "op-1", "leaseDurationSeconds": 15, "renewTime": renewed});
        Ok(Some(serde_json::from_value(json!({ "spec": spec })).unwrap()))
    }

    fn runs(
        lease: &Result<Option<Lease>, String>,
        pods: &Result<Vec<Pod>, String>,
    ) -> Option<bool> {
        Operator::of(lease, pods, NOW.parse().unwrap()).runs()
    }

    #[test]
    fn a_lease_that_is_held_is_enough() {
        let forbidden = Err("pods are forbidden".to_owned());

        assert_eq!(runs(&lease("2026-11-23T13:00:00Z"), &forbidden), Some(true));
        assert_eq!(runs(&lease("2026-11-23T12:50:00Z"), &forbidden), Some(false));
    }

    #[test]
    fn without_elections_a_ready_pod_is_the_sign_of_life() {
        assert_eq!(runs(&Ok(None), &pods("True", Some("true"))), Some(true));
        assert_eq!(runs(&Ok(None), &pods("False", Some("true"))), Some(false));
        assert_eq!(runs(&Ok(None), &Ok(Vec::new())), Some(false));
        // Elections were turned off later, and the old lease stayed.
        let old = lease("2026-11-23T12:00:00Z");
        assert_eq!(runs(&old, &pods("True", Some("1"))), Some(true));
        assert_eq!(runs(&old, &pods("True", Some("false"))), Some(false));
        assert_eq!(runs(&old, &pods("True", None)), Some(false));
    }

    #[test]
    fn what_may_not_be_seen_is_neither_dead_nor_alive() {
        let no_lease = || Err("leases are forbidden".to_owned());
        let no_pods = || Err("pods are forbidden".to_owned());

        assert_eq!(runs(&no_lease(), &no_pods()), None);
        assert_eq!(runs(&Ok(None), &no_pods()), None);
        assert_eq!(runs(&no_lease(), &pods("True", None)), Some(true));
        assert_eq!(runs(&no_lease(), &pods("False", None)), Some(false));
    }
}
