//! How long the feed waits: between attempts, for answers, for signs of life.
//!
//! In: how often something failed, a random number. Out: a length of time. Thousands of agents ask the same server,
//! so every wait that a failure of the server could begin at once on all of them ends at a random time.
//!
//! Pure: no clock; the random number is an argument, save for [`random`].

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;
use std::time::Duration;

/// No server is taken at its word beyond this.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// All waits of the feed.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Agents of a new release start over minutes, a node's own pods are wanted at once: little.
    pub start: Duration,
    /// A new list is needed on many nodes at the same moment: more.
    pub relist: Duration,
    /// The first wait after a failure, and what the doubled ones end at.
    pub retry: Range<Duration>,
    /// What waits for the operator end at: it serves no one but agents, and their names age meanwhile.
    pub operator: Duration,
    /// How often a kind that is forbidden is asked for, give or take a half.
    pub forbidden: Duration,
    /// The server's limit of a watch, in seconds.
    pub watch: Range<u64>,
    /// A watch that lived so long was a good one: the failures before it are forgotten.
    pub steady: Duration,
    /// How long an answer may take to begin, and a list to go on.
    pub silence: Duration,
    /// What a watch may outlive its limit by.
    pub grace: Duration,
    /// A server that refused a streaming list is asked again after so long: it may be a newer one by then.
    pub streaming: Duration,
    /// News that come one by one are read together after so long.
    pub gather: Duration,
    /// How often the nodes are listed, give or take a half; `None` is never.
    pub nodes: Option<Duration>,
    /// Credentials that were refused are read again at most so often.
    pub renew: Duration,
    /// How often the operator is asked for pods by their addresses at most, give or take a half.
    pub interest: Duration,
    /// How long the operator's feed may be away before the API server is asked instead.
    pub fallback: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(1),
            relist: Duration::from_secs(10),
            retry: Duration::from_millis(800)..Duration::from_mins(1),
            operator: Duration::from_secs(20),
            forbidden: Duration::from_mins(5),
            watch: 290..580,
            steady: Duration::from_secs(30),
            silence: Duration::from_secs(30),
            grace: Duration::from_secs(20),
            streaming: Duration::from_hours(1),
            gather: Duration::from_millis(700),
            nodes: Some(Duration::from_hours(1)),
            renew: Duration::from_secs(5),
            interest: Duration::from_secs(5),
            fallback: Duration::from_mins(1),
        }
    }
}

impl Timing {
    /// The wait after so many failures in a row: anything up to a bound that doubles.
    pub(crate) fn retry(&self, failures: u32, random: u64) -> Duration {
        self.within(self.retry.end, failures, random)
    }

    /// The same for the operator.
    pub(crate) fn retry_operator(&self, failures: u32, random: u64) -> Duration {
        self.within(self.operator, failures, random)
    }

    fn within(&self, most: Duration, failures: u32, random: u64) -> Duration {
        let bound = self.retry.start.saturating_mul(2_u32.saturating_pow(failures.min(16)));
        let least = self.retry.start / 8;
        least + share(bound.min(most).saturating_sub(least), random)
    }

    /// The wait that the server asked for, and up to a quarter more.
    pub(crate) fn asked(asked: Duration, random: u64) -> Duration {
        let asked = asked.min(MAX_RETRY_AFTER);
        asked + share(asked / 4, random)
    }

    /// The limit of the next watch.
    pub(crate) fn watch(&self, random: u64) -> u64 {
        self.watch.start + random % (self.watch.end - self.watch.start).max(1)
    }
}

/// Anything between nothing and `whole`.
pub(crate) fn share(whole: Duration, random: u64) -> Duration {
    whole.mul_f64(f64::from(u32::try_from(random % 1024).unwrap_or(0)) / 1024.0)
}

/// A random number that differs from call to call and from node to node: the seed of the standard hash maps, which
/// needs no crate and is quite good enough to spread waits.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_never_in_step() {
        let timing = Timing::default();
        let most = |failures| timing.retry(failures, 1023).as_millis();

        assert_eq!(
            (0..9).map(most).collect::<Vec<_>>(),
            [799, 1598, 3196, 6393, 12_787, 25_575, 51_150, 59_941, 59_941]
        );
        assert_eq!(timing.retry(40, 0).as_millis(), 100);
        assert!(timing.retry_operator(40, 1023) <= Duration::from_secs(20), "it is back soon");
        assert_eq!(timing.retry(3, 512).as_millis(), 3250);
    }

    #[test]
    fn a_server_that_asks_for_a_year_is_asked_again_within_minutes() {
        assert_eq!(Timing::asked(Duration::from_hours(9000), 0), MAX_RETRY_AFTER);
        assert!(Timing::asked(Duration::from_secs(4), 700) > Duration::from_secs(4));
    }

    #[test]
    fn random_numbers_differ() {
        let numbers: std::collections::BTreeSet<u64> = (0..100).map(|_| random() % 1024).collect();
        assert!(numbers.len() > 50, "{numbers:?}");
    }
}
