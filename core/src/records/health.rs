//! How the connections of a flow fare: what its record keeps of that, and when that is a problem.
//!
//! In: counts as they grow, the round-trip times of one reading of everything. Out: what is wrong with the flow. It must not
//! compare one flow with another: what is wrong with one is no other's fault.
//!
//! Pure: no I/O.

/// With each reading of everything, recent counts lose a quarter: what is 40 seconds old, at the default
/// interval, counts for a third.
const KEPT: (u32, u32) = (3, 4);
/// Segments sent again lately, below which no share is judged: one lost burst on a quiet flow is no news.
const LEAST_RETRANSMITTED: u32 = 5;
/// Of the segments, in thousands, the share sent again at which a flow is lossy, and below which it is well
/// again. Within a data centre a healthy share is below one.
const LOSSY_PERMILLE: u64 = 10;
const SOUND_PERMILLE: u64 = 5;
/// Attempts that failed lately, from which on a flow is failing.
const FAILING: u32 = 3;

/// Round-trip times of the connections of a flow that are open or ended since the last reading of everything,
/// microseconds; all 0 while none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt {
    /// The least.
    pub min_us: u32,
    /// Of as many connections it is longer as it is shorter.
    pub median_us: u32,
    /// Of 99 in 100 connections it is not longer.
    pub p99_us: u32,
}

/// What is wrong with a flow now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// A noticeable share of what it sends has to be sent again.
    pub lossy: bool,
    /// Attempts to connect fail.
    pub failing: bool,
}

impl Problems {
    /// Whether there is any.
    #[must_use]
    pub const fn any(self) -> bool {
        self.lossy || self.failing
    }

    /// Their names in the report.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.lossy, "lossy"), (self.failing, "failing")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name)
    }
}

/// Counts that fade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Segments sent with data.
    pub segments: u32,
    /// Segments sent again.
    pub retransmitted: u32,
    /// Attempts that failed.
    pub failed: u32,
}

impl Recent {
    /// Of the segments sent lately, the share that was sent again; `None` while none was sent.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        let sent = self.segments.max(self.retransmitted);
        (sent > 0).then(|| f64::from(self.retransmitted) / f64::from(sent))
    }

    fn fade(self) -> Self {
        let less = |n: u32| {
            let kept = u64::from(n) * u64::from(KEPT.0) / u64::from(KEPT.1);
            u32::try_from(kept).unwrap_or(u32::MAX)
        };
        Self {
            segments: less(self.segments),
            retransmitted: less(self.retransmitted),
            failed: less(self.failed),
        }
    }
}

/// How the connections of a flow fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Round-trip times as of the last reading of everything.
    pub rtt: Rtt,
    /// Segments sent with data, as far as the source shows; by the end that is counted, and by the
    /// other one while it has to send again.
    pub segments: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Attempts that ended without a connection, or were not answered for three seconds.
    pub failed: u64,
    /// Connections that ended by a reset, as far as that is certain.
    pub resets: u64,
    /// What happened lately.
    pub recent: Recent,
    /// What is wrong.
    pub problems: Problems,
}

impl Health {
    /// Takes in what one connection sent since it was read last.
    pub(crate) const fn sent(&mut self, (segments, retransmitted): (u32, u32)) {
        self.segments = self.segments.saturating_add(segments as u64);
        self.retransmitted = self.retransmitted.saturating_add(retransmitted as u64);
        self.recent.segments = self.recent.segments.saturating_add(segments);
        self.recent.retransmitted = self.recent.retransmitted.saturating_add(retransmitted);
    }

    /// Attempts that failed.
    pub(crate) const fn failed(&mut self, attempts: u32) {
        self.failed = self.failed.saturating_add(attempts as u64);
        self.recent.failed = self.recent.failed.saturating_add(attempts);
    }

    /// A reading of everything is over: what it is then.
    pub(crate) fn settled(self, rtt: Rtt) -> Self {
        let Recent { segments, retransmitted, failed } = self.recent;
        let share = |permille: u64| {
            u64::from(retransmitted) * 1000 >= u64::from(segments.max(retransmitted)) * permille
        };
        let lossy = if self.problems.lossy {
            retransmitted > 0 && share(SOUND_PERMILLE)
        } else {
            retransmitted >= LEAST_RETRANSMITTED && share(LOSSY_PERMILLE)
        };
        let failing = if self.problems.failing { failed > 0 } else { failed >= FAILING };
        Self { rtt, recent: self.recent.fade(), problems: Problems { lossy, failing }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(health: Health, sent: (u32, u32)) -> Health {
        let mut health = health;
        health.sent(sent);
        health.settled(Rtt::default())
    }

    #[test]
    fn two_in_a_hundred_sent_again_are_lossy_at_once_and_one_in_a_thousand_is_not() {
        assert!(after(Health::default(), (500, 10)).problems.lossy);
        assert!(!after(Health::default(), (10_000, 10)).problems.lossy);
        assert!(!after(Health::default(), (4, 4)).problems.lossy, "too few to be judged");
    }

    #[test]
    fn a_flow_between_the_two_thresholds_stays_what_it_was() {
        let (mut lossy, mut sound) = (after(Health::default(), (500, 10)), Health::default());
        for _ in 0..20 {
            (lossy, sound) = (after(lossy, (1000, 7)), after(sound, (1000, 7)));
        }
        assert_eq!((lossy.problems.lossy, sound.problems.lossy), (true, false));

        for _ in 0..20 {
            lossy = after(lossy, (1000, 0));
        }
        assert!(!lossy.problems.lossy);
    }

    #[test]
    fn a_flow_that_went_quiet_is_well_again() {
        let mut health = after(Health::default(), (500, 50));
        for _ in 0..30 {
            health = after(health, (0, 0));
        }

        assert_eq!((health.problems.any(), health.recent), (false, Recent::default()));
        assert_eq!((health.segments, health.retransmitted), (500, 50));
    }

    #[test]
    fn three_failed_attempts_are_failing_until_they_are_forgotten() {
        let mut health = Health::default();
        health.failed(2);
        assert!(!health.settled(Rtt::default()).problems.failing);
        health.failed(1);
        health = health.settled(Rtt::default());
        assert!(health.problems.failing);

        for _ in 0..4 {
            health = health.settled(Rtt::default());
        }
        assert!(!health.problems.failing);
        assert_eq!(health.failed, 3);
    }

    #[test]
    fn what_is_sent_again_without_data_is_at_most_all_of_it() {
        assert_eq!(Recent { segments: 0, retransmitted: 3, failed: 0 }.share(), Some(1.0));
        assert_eq!(Recent::default().share(), None);
    }
}
