//! Lease: who leads, judged by one's own clock.
//!
//! In: what the Lease object says, and when it was read. Out: whether to take it, renew it or wait. The times inside the
//! object are other machines' and are never compared: a holder is gone if the object has not changed for its duration
//! while we watched, however the clocks stand. Pure: the time is an argument.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use crate::pace::Millis;

/// How long others wait after the last renewal, seconds.
pub const DURATION: i32 = 15;
/// A holder that could not renew for so long stops: well before the others stop waiting.
pub(crate) const DEADLINE: Millis = 10_000;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Write our name into it.
    Take,
    /// It is ours: say that we live.
    Renew,
    /// It is another's.
    Wait,
}

/// One candidate's view of the Lease.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    seen: Option<(LeaseSpec, Millis)>,
}

impl Candidate {
    /// A candidate that has seen nothing.
    #[must_use]
    pub fn new(identity: String) -> Self {
        Self { identity, seen: None }
    }

    /// Who held it when it was last read.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.seen.as_ref().and_then(|(spec, _)| spec.holder_identity.as_deref()).unwrap_or("")
    }

    /// Reads the object and decides.
    pub fn decide(&mut self, lease: &Lease, now: Millis) -> Decision {
        let spec = lease.spec.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == spec => *since,
            _ => now,
        };
        let holder = spec.holder_identity.as_deref().unwrap_or("");
        let duration = spec.lease_duration_seconds.unwrap_or(DURATION).clamp(1, 3600);
        let over = now >= since + u64::from(duration.unsigned_abs()) * 1000;
        let decision = match holder {
            "" => Decision::Take,
            holder if holder == self.identity => Decision::Renew,
            _ if over => Decision::Take,
            _ => Decision::Wait,
        };
        self.seen = Some((spec, since));
        decision
    }

    /// The object with us as its holder.
    #[must_use]
    pub fn held(&self, mut lease: Lease, now: Timestamp) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.identity) {
            spec.holder_identity = Some(self.identity.clone());
            spec.acquire_time = Some(MicroTime(now));
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(-1).saturating_add(1));
        }
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = Some(DURATION);
        lease
    }

    /// The object with no one as its holder.
    #[must_use]
    pub fn released(&self, mut lease: Lease, now: Timestamp) -> Lease {
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = Some(1);
        lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held_by(name: &str, renewed: i64) -> Lease {
        Candidate::new(name.to_owned()).held(Lease::default(), at(renewed))
    }

    #[test]
    fn a_free_lease_is_taken() {
        let mut we = Candidate::new("a".into());

        assert_eq!(we.decide(&Lease::default(), 0), Decision::Take);
        let released = we.released(held_by("b", 5), at(6));
        assert_eq!(we.decide(&released, 1), Decision::Take);
    }

    #[test]
    fn a_holder_that_renews_keeps_it_however_wrong_its_clock_is() {
        let mut we = Candidate::new("a".into());

        for second in 0..100 {
            // Its clock stands decades back.
            let lease = held_by("b", second);
            assert_eq!(we.decide(&lease, second.unsigned_abs() * 5000), Decision::Wait);
        }
    }

    #[test]
    fn a_holder_that_is_silent_for_its_duration_loses_it() {
        let mut we = Candidate::new("a".into());
        // Its clock is far ahead.
        let lease = held_by("b", 4_000_000_000);

        assert_eq!(we.decide(&lease, 1000), Decision::Wait);
        assert_eq!(we.decide(&lease, 15_999), Decision::Wait);
        assert_eq!(we.decide(&lease, 16_000), Decision::Take);
    }

    #[test]
    fn a_newcomer_waits_the_whole_duration() {
        let mut late = Candidate::new("a".into());

        assert_eq!(late.decide(&held_by("b", 0), 1_000_000), Decision::Wait);
    }

    #[test]
    fn only_a_new_holder_counts_as_a_transition() {
        let we = Candidate::new("a".into());
        let first = we.held(held_by("b", 0), at(1));
        let second = we.held(first.clone(), at(2));

        let transitions = |lease: &Lease| lease.spec.as_ref().unwrap().lease_transitions;
        assert_eq!((transitions(&first), transitions(&second)), (Some(1), Some(1)));
    }
}
