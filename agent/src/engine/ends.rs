//! Ends that the kernel reports: when they are read, whether they are asked for at all, and what that costs whom.
//!
//! In: the wish of the configuration, what the readings were, the budget. Out: ends in the facts of a reading, the kernel's
//! part of their cost in the account, and what is said of it. It must not count connections: the report does.
//!
//! I/O: through [`Ends`] only.

use super::clock;
use super::governor::Governor;
use crate::discover::ends::{Ends, Error, Heard};
use crate::snapshot::ShortLived;
use probelet_core::budget::{Budget, Nanocores};
use probelet_core::facts::Facts;
use probelet_core::short_lived::{Judge, Look, Mode, WORKER_NS, Wish};
use std::sync::Arc;
use tracing::{info, warn};

/// Opens what ends are heard with; a function so that tests can leave it out.
pub type Open = Box<dyn Fn() -> Result<Ends, Error> + Send>;

/// The kernel's work for ends that are reported whatever they cost is charged up to this part of the budget: collection goes on.
const PART: u64 = 2;
/// Ends a second above which a whole interval is too long for what may wait in the kernel: a fifth of its room.
const RUSH: u64 = 2_400;

/// The ends of the node, and the decision about them.
#[derive(Debug)]
pub(super) struct Reported {
    ends: Option<Ends>,
    refused: Option<Arc<str>>,
    wish: Wish,
    judge: Judge,
    heard: Heard,
    /// Connections' ends that the kernel's counters had at the last look, while ends are not reported.
    opened: Option<u64>,
    /// The kernel's part since the start, nanoseconds.
    worker_ns: u64,
    looked_ns: u64,
}

impl Reported {
    /// Opens once, and hears nothing yet.
    pub(super) fn new(open: Option<&Open>, wish: Wish) -> Self {
        let (ends, refused) = match open.map(|open| open()) {
            Some(Ok(ends)) => (Some(ends), None),
            Some(Err(error)) => {
                let reason = refusal(&error);
                if wish != Wish::Counters {
                    warn!(
                        error = &*reason,
                        cause = probelet_runtime::chain(&error),
                        "short connections are counted by what the kernel keeps of closed ones"
                    );
                }
                (None, Some(reason))
            }
            None => (None, None),
        };
        let mut reported = Self {
            ends,
            refused,
            wish,
            judge: Judge::default(),
            heard: Heard::default(),
            opened: None,
            worker_ns: 0,
            looked_ns: 0,
        };
        if wish != Wish::Counters {
            reported.listen(Mode::Exact);
        }
        reported
    }

    pub(super) const fn wishes(&mut self, wish: Wish) {
        self.wish = wish;
    }

    /// Reads what was reported since the last time, before the node itself is read. What that cost the kernel is charged.
    pub(super) fn read(&mut self, governor: &Governor) {
        let Some(ends) = &mut self.ends else { return };
        if !ends.listens() {
            return;
        }
        let heard = ends.read();
        let now = clock::boot_ns();
        self.heard.messages += heard.messages;
        self.heard.overruns += heard.overruns;
        let worker_ns = heard.messages * WORKER_NS;
        self.worker_ns += worker_ns;
        let charged = if self.wish == Wish::Exact {
            let passed = now.saturating_sub(self.looked_ns).min(1_000_000_000);
            let most = governor.looked(Budget::cores) / PART * passed / 1_000_000_000;
            worker_ns.min(most)
        } else {
            worker_ns
        };
        governor.worker(charged);
        self.judge_by(governor, heard.messages, heard.overruns > 0, now);
    }

    /// What the counters say that a reading brought, while ends are not reported: whether they could be.
    pub(super) fn counted(&mut self, facts: &Facts, governor: &Governor) {
        if self.ends.as_ref().is_none_or(Ends::listens) {
            return;
        }
        let opened = facts.netns.iter().map(|n| n.active_opens.saturating_add(n.passive_opens));
        let opened = opened.fold(0_u64, u64::saturating_add);
        let more = self.opened.replace(opened).map_or(0, |before| opened.saturating_sub(before));
        self.judge_by(governor, more, false, clock::boot_ns());
    }

    fn judge_by(&mut self, governor: &Governor, ends: u64, overrun: bool, now: u64) {
        self.looked_ns = now;
        let takes = if self.judge.mode() == Mode::Exact { self.judge.takes() } else { 0 };
        let look = governor.looked(|budget| Look {
            now_ms: now / 1_000_000,
            ends,
            overrun,
            others: budget.used_cores().saturating_sub(takes),
            budget: budget.cores(),
            window_ns: budget.window_ns(),
        });
        let before = self.judge.mode();
        let mode = self.judge.look(self.wish, &look);
        if mode != before {
            info!(from = before.name(), to = mode.name(), needs = ?self.judge.needs(), "counting of short connections changed");
        }
        self.listen(mode);
    }

    fn listen(&mut self, mode: Mode) {
        let Some(ends) = &mut self.ends else { return };
        if let Err(error) = ends.listen(mode == Mode::Exact, clock::boot_ns() / 1_000_000) {
            let reason = refusal(&error);
            warn!(error = &*reason, "short connections are counted by what the kernel keeps");
            (self.ends, self.refused) = (None, Some(reason));
        }
        if mode == Mode::Exact {
            self.opened = None;
        }
    }

    /// Whether the kernel keeps what ends between two looks, so that looking more often finds no more of it.
    pub(super) fn kept(&self) -> bool {
        self.ends.as_ref().is_some_and(Ends::listens) && self.judge.a_second() < RUSH
    }

    /// Hands over what was reported before the sockets of these facts were read.
    pub(super) fn hand_over(&mut self, facts: &mut Facts) {
        if let Some(ends) = &mut self.ends {
            ends.hand_over(facts, clock::boot_ns() / 1_000_000);
        } else {
            facts.ended.clear();
            facts.reported.clear();
            facts.overrun = false;
        }
    }

    /// What is said of it.
    pub(super) fn show(&self) -> ShortLived {
        let exact = self.ends.as_ref().is_some_and(Ends::listens);
        let mode = if exact { Mode::Exact } else { Mode::Counters };
        let needs = if self.ends.is_some() { self.judge.needs() } else { None };
        ShortLived {
            mode,
            reason: match (exact, &self.refused, needs) {
                (true, ..) => self.ends.as_ref().and_then(Ends::lacks).map(Arc::from),
                (false, Some(refused), _) if self.wish != Wish::Counters => {
                    Some(Arc::clone(refused))
                }
                (false, _, Some(needs)) => Some(reason(needs, self.judge.overflowed())),
                _ => None,
            },
            needs_cores: needs.map(super::seconds),
            messages: self.heard.messages,
            overruns: self.heard.overruns,
            worker_seconds: super::seconds(self.worker_ns),
        }
    }
}

/// Why ends are not reported for a while.
fn reason(needs: Nanocores, overflowed: bool) -> Arc<str> {
    let overflow = if overflowed {
        "ends overflowed the kernel's buffer and are reported again in half a minute at the earliest; "
    } else {
        ""
    };
    let needs = needs.div_ceil(1_000_000);
    format!("{overflow}reporting each end needs {needs}m at this rate of connections").into()
}

fn refusal(error: &Error) -> Arc<str> {
    format!("ends of connections are not reported ({})", error.hint()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn refused(wish: Wish) -> Reported {
        let error = || Error::Joining(io::Error::from_raw_os_error(libc::EINVAL));
        let open: Open = Box::new(move || Err(error()));
        Reported::new(Some(&open), wish)
    }

    #[test]
    fn where_ends_cannot_be_heard_the_counters_have_to_do_and_the_reason_is_shown() {
        let shown = refused(Wish::Auto).show();

        assert_eq!(shown.mode, Mode::Counters);
        let reason = shown.reason.unwrap();
        assert!(reason.contains("inet_diag"), "{reason}");
        assert_eq!(shown.needs_cores, None, "no budget would help");
    }

    #[test]
    fn an_overflow_is_said_beside_what_each_end_would_need() {
        assert!(reason(5_000_001, true).starts_with("ends overflowed the kernel's buffer"));
        assert_eq!(
            &*reason(5_000_001, false),
            "reporting each end needs 6m at this rate of connections"
        );
    }

    #[test]
    fn who_asked_for_counters_misses_nothing() {
        assert_eq!(refused(Wish::Counters).show().reason, None);
    }

    #[test]
    fn what_was_reported_before_is_not_handed_over_twice() {
        let mut facts = Facts { overrun: true, reported: vec![(1, 1)], ..Facts::default() };
        facts.ended.push(probelet_core::facts::Ended::default());

        refused(Wish::Auto).hand_over(&mut facts);

        assert!(facts.ended.is_empty() && facts.reported.is_empty() && !facts.overrun);
    }
}
