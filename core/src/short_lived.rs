//! Whether each end of a connection is reported by the kernel, or what it keeps of closed ones has to do.
//!
//! In: what is wished, what the ends of the last moments were, what all else costs, and the budget. Out: a mode, why it
//! is not the better one, and what that would take. It must not measure anything.
//!
//! What an end costs is an estimate, measured once on Linux 6.18 (docs/adr/0011): most of it is spent by a kernel worker,
//! and no clock shows whose work that was.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::budget::Nanocores;

/// What the kernel's worker spends on telling one end, nanoseconds.
pub const WORKER_NS: u64 = 5_500;
/// What reading and counting one takes of this process, nanoseconds.
pub(crate) const OWN_NS: u64 = 2_500;
/// How long a mode stays at least, unless the better one has become too expensive: changes cost coverage.
const STAY_MS: u64 = 30_000;
/// Weight of the newest rate in the moving mean, one part of so many.
const NEW: u64 = 4;
/// Rates are taken over no less than this, milliseconds.
const LEAST_MS: u64 = 400;
/// Ends that cost less than this part of the budget are never what it is too small for.
const SLIGHT: u64 = 8;
/// What a storm may cost at once before it is known to last: this part of the window's budget.
const BURST: u64 = 4;

/// `spec.shortLived`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Exact while it fits into the budget.
    #[default]
    Auto,
    /// Whatever it costs.
    Exact,
    /// Never.
    Counters,
}

/// How ends are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The kernel reports each.
    Exact,
    /// By what the kernel keeps of closed connections.
    #[default]
    Counters,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Exact, Self::Counters];

    /// As in `spec.shortLived`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "Exact",
            Self::Counters => "Counters",
        }
    }
}

/// What is known at a look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Ends since the last look, as they were reported or, while they are not, as the kernel's counters have them.
    pub ends: u64,
    /// The kernel had no room for some of them.
    pub overrun: bool,
    /// What everything else takes.
    pub others: Nanocores,
    /// The budget.
    pub budget: Nanocores,
    /// The window of the budget, nanoseconds.
    pub window_ns: u64,
}

/// The decision, and what it goes by.
#[derive(Debug, Default)]
pub struct Judge {
    mode: Mode,
    since_ms: Option<u64>,
    /// Ends since `from_ms`, for the next rate.
    ends: u64,
    from_ms: u64,
    /// Ends a second, times 1,000: a moving mean.
    rate: u64,
    /// What exact would take, when it was last given up for it.
    needs: Option<Nanocores>,
    /// It was given up since the kernel had no room for more.
    overflowed: bool,
}

impl Judge {
    /// The mode as of the last look.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// CPU that all of it would take if each end were reported, the kernel's part included; `None` while each is.
    #[must_use]
    pub fn needs(&self) -> Option<Nanocores> {
        self.needs.filter(|_| self.mode == Mode::Counters)
    }

    /// Whether exact was given up since ends overflowed the kernel's buffer.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed && self.mode == Mode::Counters
    }

    /// What the ends of these moments take if each is reported, in nanocores.
    #[must_use]
    pub const fn takes(&self) -> Nanocores {
        self.rate.saturating_mul(WORKER_NS + OWN_NS) / 1000
    }

    /// Ends a second, a moving mean.
    #[must_use]
    pub const fn a_second(&self) -> u64 {
        self.rate / 1000
    }

    /// Decides.
    pub fn look(&mut self, wish: Wish, look: &Look) -> Mode {
        self.count(look);
        let wanted = match wish {
            Wish::Exact => Mode::Exact,
            Wish::Counters => Mode::Counters,
            Wish::Auto => self.judge(look),
        };
        if wish != Wish::Auto {
            self.needs = None;
        }
        if wanted != self.mode || self.since_ms.is_none() {
            (self.mode, self.since_ms) = (wanted, Some(look.now_ms));
        }
        wanted
    }

    fn count(&mut self, look: &Look) {
        self.ends += look.ends;
        let passed = look.now_ms.saturating_sub(self.from_ms);
        if self.from_ms == 0 {
            (self.from_ms, self.ends) = (look.now_ms, 0);
        } else if passed >= LEAST_MS {
            let now = self.ends.saturating_mul(1_000_000) / passed;
            self.rate = (self.rate * (NEW - 1) + now) / NEW;
            (self.from_ms, self.ends) = (look.now_ms, 0);
        }
    }

    fn judge(&mut self, look: &Look) -> Mode {
        let Some(since_ms) = self.since_ms else { return Mode::Exact };
        let takes = self.takes();
        let all = takes.saturating_add(look.others);
        let stayed = look.now_ms.saturating_sub(since_ms) >= STAY_MS;
        if self.mode == Mode::Exact {
            let expensive = takes > look.budget / SLIGHT && all > look.budget;
            let window = u128::from(look.budget) * u128::from(look.window_ns) / 1_000_000_000;
            let burst = u128::from(look.ends) * u128::from(WORKER_NS + OWN_NS);
            let storm = burst > window / u128::from(BURST);
            if look.overrun || storm || (expensive && stayed) || takes > look.budget {
                self.needs = Some(all.max(look.budget.saturating_add(1)));
                self.overflowed = look.overrun;
                return Mode::Counters;
            }
            return Mode::Exact;
        }
        self.needs = Some(all);
        // With something to spare, or it would be given up again at once.
        if stayed && all.saturating_add(takes / 4) <= look.budget {
            Mode::Exact
        } else {
            Mode::Counters
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Nanocores = 5_000_000;

    /// Looks each half second for so long at so many ends a second.
    fn steady(judge: &mut Judge, from_ms: u64, seconds: u64, rate: u64) -> (u64, Mode) {
        let mut now_ms = from_ms;
        for _ in 0..seconds * 2 {
            now_ms += 500;
            judge.look(Wish::Auto, &look(now_ms, rate / 2));
        }
        (now_ms, judge.mode())
    }

    fn look(now_ms: u64, ends: u64) -> Look {
        let (others, budget) = (1_000_000, BUDGET);
        Look { now_ms, ends, others, budget, window_ns: 60_000_000_000, overrun: false }
    }

    #[test]
    fn each_end_is_reported_while_all_of_it_fits_into_the_budget() {
        let mut judge = Judge::default();

        let (_, mode) = steady(&mut judge, 1000, 120, 200);

        assert_eq!((mode, judge.needs()), (Mode::Exact, None));
        assert!((1_400_000..=1_700_000).contains(&judge.takes()), "{}", judge.takes());
    }

    #[test]
    fn beyond_it_the_counters_have_to_do_and_it_is_said_what_exact_would_take() {
        let mut judge = Judge::default();

        let (now, mode) = steady(&mut judge, 1000, 120, 2000);

        assert_eq!(mode, Mode::Counters);
        let needs = judge.needs().unwrap();
        assert!((15_000_000..=18_000_000).contains(&needs), "{needs}");
        assert_eq!(steady(&mut judge, now, 120, 100).1, Mode::Exact, "the storm is over");
    }

    #[test]
    fn a_storm_ends_it_at_once_and_for_a_while() {
        let mut judge = Judge::default();
        let (now, _) = steady(&mut judge, 1000, 60, 100);

        assert_eq!(judge.look(Wish::Auto, &look(now + 500, 20_000)), Mode::Counters);
        assert!(!judge.overflowed());
        assert_eq!(steady(&mut judge, now + 500, 20, 0).1, Mode::Counters);
    }

    #[test]
    fn an_overflow_ends_it_for_a_while_and_is_distinguished_from_a_small_budget() {
        let mut judge = Judge::default();
        let (now, _) = steady(&mut judge, 1000, 60, 100);

        let overrun = Look { overrun: true, ..look(now + 500, 100) };
        assert_eq!(judge.look(Wish::Auto, &overrun), Mode::Counters);
        assert!(judge.overflowed());

        assert_eq!(steady(&mut judge, now + 500, 40, 100).1, Mode::Exact);
        assert!(!judge.overflowed());
    }

    #[test]
    fn modes_do_not_alternate_at_the_edge() {
        let mut judge = Judge::default();
        let (mut now, mut mode) = steady(&mut judge, 1000, 60, 100);
        let mut changes = 0;
        for second in 0..600_u64 {
            let (then, next) = steady(&mut judge, now, 1, 470 + second % 60);
            changes += u32::from(next != mode);
            (now, mode) = (then, next);
        }

        assert!(changes <= 600 / 30, "{changes}");
    }

    #[test]
    fn who_asks_for_one_gets_it() {
        let mut judge = Judge::default();
        let storm = Look { overrun: true, ..look(1000, 1_000_000) };

        assert_eq!(judge.look(Wish::Exact, &storm), Mode::Exact);
        assert_eq!(judge.look(Wish::Counters, &look(2000, 0)), Mode::Counters);
        assert_eq!(judge.needs(), None);
    }
}
