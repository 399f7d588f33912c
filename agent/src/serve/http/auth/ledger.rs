//! Whether to ask the API server about a token, or what is known already.
//!
//! In: keys, verdicts, failures. Out: what to do next. Reviews are limited: anyone who invents tokens shall neither make
//! thousands of agents ask the API server without end, nor use up this one's CPU budget. While the API server is away
//! who was good stays good for a while, so that scrapes go on in an outage; no one else becomes it.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::cache::{Cache, Key, Known, Terms};
use crate::kube::Verdict;
use crate::serve::http::fair::Fair;
use probelet_core::budget::Limiter;
use std::net::IpAddr;
use std::time::Duration;

/// Reviews a second of tokens that nothing is known of: of one peer, and of all.
const STRANGERS_EACH: u32 = 5;
const STRANGERS: u32 = 10;
/// Reviews a second of tokens that were good: no one can invent these.
const RENEWALS: u32 = 8;
/// After a failure the API server is left alone for so long, unless it says how long, and at most so long.
const AWAY: Duration = Duration::from_secs(5);
const MAX_AWAY: Duration = Duration::from_mins(1);

/// What to do about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is known.
    Known(Verdict),
    /// Ask.
    Ask,
    /// There are too many questions; after that time there is room.
    Limited(Duration),
    /// No one can be asked; after that time it is tried again.
    Away(Duration),
}

/// What is known, and what may be asked.
pub(super) struct Ledger {
    cache: Cache,
    strangers: Fair,
    renewals: Limiter,
    away_until: Duration,
}

impl Ledger {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            cache: Cache::new(terms),
            strangers: Fair::new(STRANGERS_EACH, STRANGERS),
            renewals: Limiter::new(RENEWALS),
            away_until: Duration::ZERO,
        }
    }

    /// What is as good as asking; costs nothing.
    pub(super) fn fresh(&self, key: &Key, now: Duration) -> Option<Verdict> {
        match self.cache.find(key, now) {
            Known::Fresh(verdict) => Some(verdict),
            Known::Late | Known::WasGood | Known::Nothing => None,
        }
    }

    /// What to do; [`Next::Ask`] counts as asked.
    pub(super) fn next(&mut self, key: &Key, peer: IpAddr, now: Duration) -> Next {
        let ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let away = self.away_until.saturating_sub(now);
        match self.cache.find(key, now) {
            Known::Fresh(verdict) => Next::Known(verdict),
            Known::Late | Known::WasGood if !away.is_zero() => Next::Known(Verdict::Allowed),
            Known::Late | Known::WasGood if self.renewals.take(ns, 1) == 1 => Next::Ask,
            Known::Late => Next::Known(Verdict::Allowed),
            Known::Nothing if !away.is_zero() => Next::Away(away),
            Known::Nothing if self.strangers.take(peer, ns) => Next::Ask,
            Known::WasGood | Known::Nothing => Next::Limited(Duration::from_secs(1)),
        }
    }

    /// The API server answered.
    pub(super) fn learn(&mut self, key: Key, verdict: Verdict, now: Duration) {
        self.cache.keep(key, verdict, now);
        self.away_until = Duration::ZERO;
    }

    /// The API server did not answer; it is left alone for the time that is returned.
    pub(super) fn fail(&mut self, retry_after: Option<Duration>, now: Duration) -> Duration {
        let away = retry_after.unwrap_or(AWAY).clamp(Duration::from_secs(1), MAX_AWAY);
        self.away_until = now + away;
        away
    }

    /// Whether this token is good as long as no one can be asked.
    pub(super) fn holds(&self, key: &Key, now: Duration) -> bool {
        self.bears_waiting(key, now) || self.cache.find(key, now) == Known::WasGood
    }

    /// Whether this token is good while it waits to be asked about.
    pub(super) fn bears_waiting(&self, key: &Key, now: Duration) -> bool {
        matches!(self.cache.find(key, now), Known::Late | Known::Fresh(Verdict::Allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const ALICE: Key = [1; 32];
    const BOB: Key = [2; 32];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    /// Alice was allowed at the start, somewhat more than fifty seconds ago.
    fn known() -> (Ledger, Duration) {
        let mut ledger = Ledger::new(Terms::default());
        ledger.learn(ALICE, Verdict::Allowed, at(0));
        (ledger, at(55))
    }

    #[test]
    fn who_is_known_is_not_asked_about() {
        let (mut ledger, _) = known();

        assert_eq!(ledger.next(&ALICE, PEER, at(49)), Next::Known(Verdict::Allowed));
        assert_eq!(ledger.next(&ALICE, PEER, at(50)), Next::Ask);
    }

    #[test]
    fn in_an_outage_who_was_good_stays_so_for_an_hour() {
        let (mut ledger, now) = known();
        ledger.fail(None, now);

        assert_eq!(ledger.next(&ALICE, PEER, now), Next::Known(Verdict::Allowed));
        assert!(ledger.holds(&ALICE, at(50 + 3599)));
        assert!(!ledger.holds(&ALICE, at(50 + 3600)));
    }

    #[test]
    fn in_an_outage_no_one_becomes_good() {
        let (mut ledger, now) = known();
        ledger.fail(None, now);

        assert_eq!(ledger.next(&BOB, PEER, now), Next::Away(AWAY));
        assert!(!ledger.holds(&BOB, now));
    }

    #[test]
    fn in_an_outage_who_was_bad_is_not_held_to_be_anything() {
        let mut ledger = Ledger::new(Terms::default());
        ledger.learn(BOB, Verdict::Unknown, at(0));
        ledger.fail(None, at(11));

        assert_eq!(ledger.next(&BOB, PEER, at(11)), Next::Away(AWAY));
        assert!(!ledger.holds(&BOB, at(5)));
    }

    #[test]
    fn after_a_failure_the_server_is_left_alone_for_as_long_as_it_wants_and_not_for_ever() {
        let mut ledger = Ledger::new(Terms::default());

        ledger.fail(Some(Duration::from_secs(20)), at(0));
        assert_eq!(ledger.next(&BOB, PEER, at(19)), Next::Away(Duration::from_secs(1)));
        assert_eq!(ledger.next(&BOB, PEER, at(20)), Next::Ask);

        assert_eq!(ledger.fail(Some(Duration::from_hours(9)), at(30)), MAX_AWAY);
    }

    #[test]
    fn the_first_answer_after_an_outage_ends_it_for_all() {
        let (mut ledger, now) = known();
        ledger.fail(None, now);

        ledger.learn(ALICE, Verdict::Allowed, now);

        assert_eq!(ledger.next(&BOB, PEER, now), Next::Ask);
    }

    #[test]
    fn invented_tokens_are_limited_and_do_not_keep_a_known_one_from_being_renewed() {
        let (mut ledger, now) = known();
        let invented = |n: u8| [n; 32];

        let asked =
            (10..110).filter(|&n| ledger.next(&invented(n), PEER, now) == Next::Ask).count();

        assert_eq!(asked, 5);
        assert_eq!(ledger.next(&invented(200), PEER, now), Next::Limited(Duration::from_secs(1)));
        assert_eq!(ledger.next(&ALICE, PEER, now), Next::Ask);
    }

    #[test]
    fn a_known_token_that_must_wait_for_its_renewal_is_good_until_its_minute_is_over() {
        let (mut ledger, now) = known();
        for _ in 0..RENEWALS {
            assert_eq!(ledger.next(&ALICE, PEER, now), Next::Ask);
        }

        assert_eq!(ledger.next(&ALICE, PEER, now), Next::Known(Verdict::Allowed));
        let later = at(60);
        while ledger.next(&ALICE, PEER, later) == Next::Ask {}
        assert_eq!(ledger.next(&ALICE, PEER, later), Next::Limited(Duration::from_secs(1)));
    }
}
