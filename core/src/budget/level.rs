//! The ladder of levels: what the agent gives up to stay inside its budget, with hysteresis.
//!
//! In: what the desired intervals would cost, and what there is. Out: a level, and how far
//! passes are stretched. It must not flap: going up needs a clear margin for a while.
//!
//! Pure: no I/O, no clock; time is an argument.

/// What the agent gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing: the desired intervals hold.
    #[default]
    Full,
    /// Freshness: passes come later than desired.
    Stretched,
    /// Process detail as well: only counters and sockets, as they can be had.
    CountersOnly,
    /// Everything: asked to pause.
    Paused,
}

impl Level {
    /// The name in the report, the status and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "Full",
            Self::Stretched => "Stretched",
            Self::CountersOnly => "CountersOnly",
            Self::Paused => "Paused",
        }
    }

    /// All levels, in the order in which things are given up.
    pub const ALL: [Self; 4] = [Self::Full, Self::Stretched, Self::CountersOnly, Self::Paused];
}

/// How far the agent may go down the ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Stretch, then drop process detail.
    #[default]
    Degrade,
    /// Stretch only, however far.
    Stretch,
}

/// Stretch from which on process detail is dropped: a 1 s picture that comes every 15 s.
const COUNTERS_AT: f64 = 15.0;
/// Stretch below which process detail comes back.
const DETAIL_AT: f64 = 7.0;
/// Above this the desired intervals no longer hold; less is the wake-up latency of a busy machine.
const STRETCH_AT: f64 = 1.15;
/// How long a better level must have been affordable before it is taken, milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// Where the agent stands on the ladder.
#[derive(Debug, Default)]
pub struct Ladder {
    level: Level,
    better_since_ms: Option<u64>,
}

impl Ladder {
    /// The level.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Looks at `stretch`, the effective interval of full passes over the desired one, and says
    /// whether the level changed. Worse is taken at once, better after ten seconds of it.
    pub fn look(&mut self, stretch: f64, policy: Policy, paused: bool, now_ms: u64) -> bool {
        let fits = if stretch <= STRETCH_AT { Level::Full } else { Level::Stretched };
        let detail_goes_at =
            if self.level == Level::CountersOnly { DETAIL_AT } else { COUNTERS_AT };
        let fits = match policy {
            Policy::Degrade if stretch > detail_goes_at => Level::CountersOnly,
            Policy::Degrade | Policy::Stretch => fits,
        };
        if paused || self.level == Level::Paused {
            return self.go(if paused { Level::Paused } else { fits });
        }
        if fits >= self.level {
            self.better_since_ms = None;
            return self.go(fits);
        }
        let since = *self.better_since_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(since) >= PATIENCE_MS && self.go(fits)
    }

    fn go(&mut self, level: Level) -> bool {
        let changed = level != self.level;
        if changed {
            self.level = level;
            self.better_since_ms = None;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_taken_at_once_and_better_after_ten_seconds() {
        let mut ladder = Ladder::default();

        assert!(ladder.look(2.0, Policy::Degrade, false, 0));
        assert_eq!(ladder.level(), Level::Stretched);
        assert!(!ladder.look(1.0, Policy::Degrade, false, 1000));
        assert!(!ladder.look(1.0, Policy::Degrade, false, 9000));
        assert!(ladder.look(1.0, Policy::Degrade, false, 11_000));
        assert_eq!(ladder.level(), Level::Full);
    }

    #[test]
    fn a_load_at_the_edge_does_not_flap() {
        let mut ladder = Ladder::default();
        let mut changes = 0;
        for second in 0..600 {
            let stretch = if second % 2 == 0 { 1.2 } else { 1.1 };
            changes += u32::from(ladder.look(stretch, Policy::Degrade, false, second * 1000));
        }

        assert_eq!(changes, 1);
    }

    #[test]
    fn process_detail_goes_last_and_comes_back_late() {
        let mut ladder = Ladder::default();
        ladder.look(20.0, Policy::Degrade, false, 0);
        assert_eq!(ladder.level(), Level::CountersOnly);

        ladder.look(10.0, Policy::Degrade, false, 20_000);
        assert_eq!(ladder.level(), Level::CountersOnly);

        ladder.look(5.0, Policy::Degrade, false, 40_000);
        ladder.look(5.0, Policy::Degrade, false, 60_000);
        assert_eq!(ladder.level(), Level::Stretched);
    }

    #[test]
    fn the_stretch_policy_never_drops_detail() {
        let mut ladder = Ladder::default();
        ladder.look(100.0, Policy::Stretch, false, 0);

        assert_eq!(ladder.level(), Level::Stretched);
    }

    #[test]
    fn pausing_and_resuming_are_immediate() {
        let mut ladder = Ladder::default();

        assert!(ladder.look(1.0, Policy::Degrade, true, 0));
        assert!(ladder.look(1.0, Policy::Degrade, false, 1));
        assert_eq!(ladder.level(), Level::Full);
    }
}
