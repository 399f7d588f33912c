//! The outlet: at which level the engine works, and the snapshots that say so.
//!
//! In: the report, the vital signs, the configuration in the engine's units. Out: levels and snapshots, between two passes
//! and while one waits for its budget. It must not read the node.
//!
//! I/O: through the vital signs and the clocks only.

use super::clock::{self, Boot};
use super::matching::Matching;
use super::pace::Limiters;
use super::tuning::Tuning;
use super::vitals::Signs;
use super::{Engine, PUBLISH_NS, Setup};
use crate::discover::Source;
use crate::snapshot::{Skip, Snapshot};
use probelet_core::budget::{Ladder, Level};
use probelet_core::facts::Facts;
use probelet_core::report::Report;
use probelet_core::schedule::Schedule;
use std::sync::Arc;
use tracing::{info, warn};

/// What of the engine goes out: all but what a pass works on.
pub(super) struct Outlet<'a> {
    setup: &'a Setup,
    tuning: &'a Tuning,
    report: &'a Report,
    schedule: &'a Schedule,
    matching: &'a Matching,
    reported: &'a super::ends::Reported,
    ladder: &'a mut Ladder,
    signs: &'a mut Signs,
    published_ns: &'a mut u64,
    boot: &'a mut Boot,
}

/// What a pass works on.
pub(super) struct Work<'a> {
    pub(super) source: &'a mut dyn Source,
    pub(super) facts: &'a mut Facts,
    pub(super) limiters: &'a mut Limiters,
}

impl Engine {
    pub(super) fn split(&mut self) -> (Work<'_>, Outlet<'_>) {
        let work = Work {
            source: &mut *self.source,
            facts: &mut self.facts,
            limiters: &mut self.limiters,
        };
        let outlet = Outlet {
            setup: &self.setup,
            tuning: &self.tuning,
            report: &self.report,
            schedule: &self.schedule,
            matching: &self.matching,
            reported: &self.reported,
            ladder: &mut self.ladder,
            signs: &mut self.signs,
            published_ns: &mut self.published_ns,
            boot: &mut self.boot,
        };
        (work, outlet)
    }

    /// Where do we stand on the ladder?
    pub(super) fn judge(&mut self, now: u64) {
        if self.split().1.judge(now) == Some(Level::Paused) {
            self.start_over();
            self.signs.resumed(now);
        }
    }

    pub(super) fn publish(&mut self, now: u64) {
        self.giving.tell_refused(now);
        let (work, mut outlet) = self.split();
        outlet.publish(work.limiters, now);
    }
}

impl<'a> Outlet<'a> {
    pub(super) const fn setup(&self) -> &'a Setup {
        self.setup
    }

    /// Whether nothing was read yet.
    pub(super) const fn is_first(&self) -> bool {
        self.signs.is_first()
    }

    /// Returns the level before, if it is another one now.
    fn judge(&mut self, now: u64) -> Option<Level> {
        let stretch = self.signs.stretch(now, self.tuning.intervals.sockets);
        let before = self.ladder.level();
        if !self.ladder.look(stretch, self.tuning.policy, self.tuning.paused, now / 1_000_000) {
            return None;
        }
        let level = self.ladder.level();
        info!(from = before.name(), to = level.name(), stretch, "level changed");
        if level == Level::Paused {
            self.signs.skipped(Skip::Paused);
        }
        *self.published_ns = 0;
        Some(before)
    }

    /// A pass waits for its budget, perhaps for minutes: the last picture is shown with how old it has become. Returns after
    /// how many nanoseconds to come back.
    pub(super) fn wait(&mut self, limiters: &Limiters, now: u64) -> u64 {
        self.judge(now);
        if *self.published_ns + PUBLISH_NS <= now {
            self.publish(limiters, now);
        }
        (*self.published_ns + PUBLISH_NS).saturating_sub(now)
    }

    fn publish(&mut self, limiters: &Limiters, now: u64) {
        *self.published_ns = now;
        let picture = self.report.picture(clock::now());
        self.signs.translated(self.matching);
        let mut vitals = self.signs.vitals(
            &self.setup.governor,
            self.tuning,
            self.schedule,
            self.ladder.level(),
            limiters,
            &picture,
        );
        vitals.short_lived = self.reported.show();
        if self.boot.look(clock::unix_ns(), clock::boot_ns()) {
            // Every start time is another one now, and with it the identity of every process.
            warn!(steps = self.boot.steps, "the clock was set: clients get a whole report");
        }
        let (boot_unix, clock_steps) = (self.boot.unix, self.boot.steps);
        let node = Arc::clone(&self.setup.node);
        let snapshot = Snapshot { node, boot_unix, clock_steps, picture, vitals };
        self.setup.snapshots.send_replace(Arc::new(snapshot));
    }
}
