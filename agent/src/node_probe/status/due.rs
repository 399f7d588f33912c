//! When the status is written.
//!
//! In: what a write would be good for, the rules of the configuration, the time, random numbers. Out: write now and why,
//! or how long to wait. It must not look at the status, nor at a clock.
//!
//! Thousands of agents write to one server, so nothing here happens on all of them at once: the first write after a start
//! and after an outage of the server is spread over the size of the cluster, and the refresh of an unchanged status comes
//! at a random time that is rolled again each time. Nothing is queued: anyone who writes, writes the newest.
//!
//! Pure: no I/O, no clock; time and randomness are arguments.

use std::collections::VecDeque;
use std::time::Duration;

/// The limit of writes is one of so long.
const MINUTE: Duration = Duration::from_mins(1);
/// In a cluster of [`MANY`] nodes or more, first writes are spread over so long; in a smaller one over its share of it.
const SPREAD: Duration = Duration::from_mins(1);
const MANY: u32 = 1000;

/// What a write would be good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    /// The operator waits to hear what became of a configuration that was edited while we watched.
    pub(super) acknowledge: bool,
    /// A condition turned.
    pub(super) transition: bool,
    /// Something else changed that someone would want to know, or someone else wrote the status.
    pub(super) change: bool,
}

/// `spec.reporting` and `spec.limits`, as far as they matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) min_interval: Duration,
    pub(super) refresh_interval: Duration,
    pub(super) writes_per_minute: usize,
}

/// Why it is written now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    First,
    Acknowledge,
    Transition,
    Change,
    Refresh,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Write(Why),
    /// Nothing for so long, unless something changes.
    Wait(Duration),
}

/// What is remembered from write to write. Times count from the start of the agent.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Attempts of the last minute.
    attempts: VecDeque<Duration>,
    written: Option<Written>,
    /// Nothing but an acknowledgement is written before this.
    spread: Duration,
    /// Nothing at all is written before this: the server said so, or failed.
    barred: Duration,
}

#[derive(Debug)]
struct Written {
    at: Duration,
    /// The refresh comes after so many thousandths of its interval.
    permille: u32,
}

impl Due {
    /// The start, the end of an outage, or another object: many agents have that at once.
    pub(super) fn spread(&mut self, now: Duration, nodes: u32, random: u64) {
        let share = SPREAD * nodes.min(MANY) / MANY;
        self.spread = now + share * permille(random) / 1000;
    }

    /// Forgets what was written: it was another object's.
    pub(super) fn forget(&mut self) {
        self.written = None;
    }

    /// A write is on its way.
    pub(super) fn attempt(&mut self, now: Duration) {
        self.attempts.push_back(now);
    }

    /// It was taken.
    pub(super) fn wrote(&mut self, now: Duration, random: u64) {
        self.written = Some(Written { at: now, permille: 500 + permille(random) });
    }

    /// It was not, and the next attempt is to wait for so long.
    pub(super) fn refused(&mut self, now: Duration, wait: Duration) {
        self.barred = self.barred.max(now + wait);
    }

    /// Nothing keeps the next write any more: what it was refused for is over.
    pub(super) fn cleared(&mut self) {
        self.barred = Duration::ZERO;
    }

    pub(super) fn decide(&mut self, now: Duration, ask: Ask, rules: Rules) -> Decision {
        while self.attempts.front().is_some_and(|&at| at + MINUTE <= now) {
            self.attempts.pop_front();
        }
        let (why, at) = self.next(now, ask, rules);
        if at <= now { Decision::Write(why) } else { Decision::Wait(at.saturating_sub(now)) }
    }

    /// The next write, and not before when.
    fn next(&self, now: Duration, ask: Ask, rules: Rules) -> (Why, Duration) {
        let limit = rules.writes_per_minute.max(1);
        if ask.acknowledge {
            return (Why::Acknowledge, self.barred.max(self.room(limit)));
        }
        let (why, at) = match &self.written {
            None => (Why::First, Duration::ZERO),
            Some(_) if ask.transition => (Why::Transition, now),
            Some(written) => {
                let refresh = written.at + rules.refresh_interval * written.permille / 1000;
                let change = written.at + rules.min_interval;
                if ask.change && change < refresh {
                    (Why::Change, change)
                } else {
                    (Why::Refresh, refresh)
                }
            }
        };
        // Half of what may be written is kept for acknowledgements: people wait for those.
        let room = self.room(limit - limit / 2);
        (why, at.max(self.spread).max(self.barred).max(room))
    }

    /// When there were fewer than `limit` attempts within a minute.
    fn room(&self, limit: usize) -> Duration {
        let over = self.attempts.len().checked_sub(limit);
        let oldest = over.and_then(|over| self.attempts.get(over));
        oldest.map_or(Duration::ZERO, |&at| at + MINUTE)
    }
}

/// 0 to 1000.
fn permille(random: u64) -> u32 {
    u32::try_from(random % 1001).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        min_interval: Duration::from_secs(30),
        refresh_interval: Duration::from_mins(10),
        writes_per_minute: 6,
    };
    const NOTHING: Ask = Ask { acknowledge: false, transition: false, change: false };
    const EDIT: Ask = Ask { acknowledge: true, ..NOTHING };
    const TURN: Ask = Ask { transition: true, ..NOTHING };
    const CHANGE: Ask = Ask { change: true, ..NOTHING };

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Written once at 100 s, to be refreshed after 10 minutes.
    fn written() -> Due {
        let mut due = Due::default();
        due.attempt(s(100));
        due.wrote(s(100), 500);
        due
    }

    #[test]
    fn without_a_change_nothing_is_written_until_the_refresh() {
        let mut due = written();

        assert_eq!(due.decide(s(101), NOTHING, RULES), Decision::Wait(s(599)));
        assert_eq!(due.decide(s(700), NOTHING, RULES), Decision::Write(Why::Refresh));
    }

    #[test]
    fn the_refresh_comes_after_half_to_one_and_a_half_times_its_interval() {
        for (random, after) in [(0, 300), (1000, 900), (1001, 300)] {
            let mut due = Due::default();
            due.wrote(s(0), random);

            assert_eq!(due.decide(s(0), NOTHING, RULES), Decision::Wait(s(after)), "{random}");
        }
    }

    #[test]
    fn a_change_waits_for_the_least_interval() {
        let mut due = written();

        assert_eq!(due.decide(s(110), CHANGE, RULES), Decision::Wait(s(20)));
        assert_eq!(due.decide(s(130), CHANGE, RULES), Decision::Write(Why::Change));
    }

    #[test]
    fn a_condition_that_turned_does_not_wait() {
        assert_eq!(written().decide(s(101), TURN, RULES), Decision::Write(Why::Transition));
    }

    #[test]
    fn an_edit_is_acknowledged_at_once_even_before_the_first_write() {
        let mut due = Due::default();
        due.spread(s(0), 5000, 1000);

        assert_eq!(due.decide(s(1), EDIT, RULES), Decision::Write(Why::Acknowledge));
        assert_eq!(due.decide(s(1), TURN, RULES), Decision::Wait(s(59)));
    }

    #[test]
    fn the_first_write_is_spread_over_the_size_of_the_cluster() {
        for (nodes, random, wait) in [(1000, 1000, 60_000), (15_000, 500, 30_000), (2, 1000, 120)] {
            let mut due = Due::default();
            due.spread(s(0), nodes, random);

            let decision = due.decide(s(0), NOTHING, RULES);
            assert_eq!(decision, Decision::Wait(Duration::from_millis(wait)), "{nodes}");
        }
        assert_eq!(Due::default().decide(s(0), NOTHING, RULES), Decision::Write(Why::First));
    }

    #[test]
    fn after_an_outage_what_changed_meanwhile_is_spread_too() {
        let mut due = written();
        due.spread(s(900), 1000, 1000);

        assert_eq!(due.decide(s(900), CHANGE, RULES), Decision::Wait(s(60)));
    }

    #[test]
    fn no_minute_has_more_writes_than_allowed() {
        let mut due = written();
        let mut times = vec![];
        for tenth in 0..3000 {
            let now = s(200) + Duration::from_millis(100 * tenth);
            if let Decision::Write(_) = due.decide(now, EDIT, RULES) {
                due.attempt(now);
                due.wrote(now, 0);
                times.push(now);
            }
        }

        assert_eq!(times.len(), 30);
        assert!(times.windows(7).all(|writes| writes[6] >= writes[0] + MINUTE), "{times:?}");
    }

    #[test]
    fn conditions_that_turn_all_the_time_leave_room_for_acknowledgements() {
        let mut due = written();
        for _ in 0..3 {
            assert_eq!(due.decide(s(200), TURN, RULES), Decision::Write(Why::Transition));
            due.attempt(s(200));
            due.wrote(s(200), 0);
        }

        assert_eq!(due.decide(s(201), TURN, RULES), Decision::Wait(s(59)));
        assert_eq!(due.decide(s(201), EDIT, RULES), Decision::Write(Why::Acknowledge));
    }

    #[test]
    fn one_write_a_minute_is_one_of_any_kind() {
        let mut due = written();
        let rules = Rules { writes_per_minute: 1, ..RULES };

        assert_eq!(due.decide(s(110), EDIT, rules), Decision::Wait(s(50)));
        assert_eq!(due.decide(s(160), TURN, rules), Decision::Write(Why::Transition));
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it_from_everything() {
        let mut due = written();
        due.refused(s(120), s(40));

        assert_eq!(due.decide(s(130), EDIT, RULES), Decision::Wait(s(30)));
        assert_eq!(due.decide(s(130), TURN, RULES), Decision::Wait(s(30)));
        due.cleared();
        assert_eq!(due.decide(s(130), EDIT, RULES), Decision::Write(Why::Acknowledge));
    }
}
