//! When the engine gives its rights back, and what it cannot do any more afterwards.
//!
//! In: that a full report was made, the configuration in force. Out: the record of what is in force, a reason to begin again. It must not
//! decide what is given back.
//!
//! I/O: through [`crate::rights`].

use super::{Engine, clock};
use crate::capabilities::{Capability, Set};
use crate::config::Origin;
use crate::rights::{self, Rights, Wait, calls};
use crate::sys::seccomp;
use probelet_core::facts::SourceKind;
use std::sync::Arc;
use tracing::warn;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Giving {
    /// When the first full report was made; 0 before.
    full_ns: u64,
    /// No source can be loaded any more.
    given: bool,
    /// How many of the best sources were refused when the source was chosen.
    pub(super) refused: usize,
    /// Why the process has to begin again.
    pub(super) restart: Option<String>,
    /// Refused system calls that the log knows of, and since when.
    reported: (u64, u64),
}

/// Refused system calls are said once in so long.
const TELL_NS: u64 = 60_000_000_000;

impl Giving {
    /// When a source was chosen after so many were refused.
    pub(super) fn after(refused: usize) -> Self {
        Self { refused, ..Self::default() }
    }

    /// Says what was refused since it was last said.
    pub(super) fn tell_refused(&mut self, now: u64) {
        let (count, last) = seccomp::refused();
        let (reported, reported_ns) = self.reported;
        if count == reported || (reported > 0 && now.saturating_sub(reported_ns) < TELL_NS) {
            return;
        }
        self.reported = (count, now);
        let last = calls::name(last).map_or_else(|| last.to_string(), str::to_owned);
        warn!(
            count = count - reported,
            last, "system calls that are not on the agent's list were refused"
        );
    }

    pub(super) const fn full_report(&mut self, now: u64) {
        if self.full_ns == 0 {
            self.full_ns = now;
        }
    }
}

impl Engine {
    /// Gives back what the source in use does not need, once there was a full report and, in a cluster, the configuration is known.
    pub(super) fn give_rights_back(&mut self) {
        let Some(plan) = &self.setup.rights else { return };
        let now = clock::boot_ns();
        let waits = match plan.wait {
            Wait::No => false,
            Wait::ForConfiguration(most) => {
                let known = matches!(self.tuning.config.origin, Origin::NodeProbe { .. });
                let late = most.is_some_and(|most| {
                    u128::from(now.saturating_sub(self.giving.full_ns)) >= most.as_nanos()
                });
                !known && !late
            }
        };
        if self.giving.full_ns == 0 || waits || !plan.is_started() {
            return;
        }
        let Some(plan) = self.setup.rights.take() else { return };
        self.giving.given = true;
        let rights = plan.finish(self.source.kind(), &mut self.matching.asker);
        self.signs.rights(Arc::new(rights));
        self.published_ns = 0;
        self.publish(now);
    }

    /// Whether no source can be loaded here any more because the rights to do so were given back. If another one is wanted that the
    /// process could have loaded when it started, the engine ends, and with it the process: what started it starts it again, with
    /// all that it had. One that was refused then would be refused again, so that the one in use stays.
    pub(super) fn keeps_source(&mut self, pin: Option<SourceKind>, failed: bool) -> bool {
        if !self.giving.given {
            return false;
        }
        let used = self.source.kind();
        let wanted = wanted(pin, self.giving.refused, rights::at_start());
        let (name, used_name) = (wanted.map_or("none", SourceKind::name), used.name());
        let why = match wanted {
            Some(wanted) if wanted != used => {
                format!(
                    "the source is to be {name} instead of {used_name}, and the rights to load it were given back"
                )
            }
            Some(_) if failed => {
                format!(
                    "{used_name} fails again and again, and the rights to load it once more were given back"
                )
            }
            _ => {
                warn!(source = used_name, "no other source; keeping the last one");
                return true;
            }
        };
        warn!(reason = why, "the agent has to be started again");
        self.giving.restart = Some(why);
        true
    }
}

/// What would be loaded by a process with these capabilities, of which the first `refused` sources were refused before.
fn wanted(pin: Option<SourceKind>, refused: usize, start: Set) -> Option<SourceKind> {
    let may = |source_kind: &&SourceKind| {
        let has = |capability| start.has(capability) || start.has(Capability::SysAdmin);
        match source_kind {
            SourceKind::Bpf | SourceKind::BpfCompat => {
                has(Capability::Bpf) && has(Capability::Perfmon)
            }
            SourceKind::Netlink => start.has(Capability::SysAdmin),
            SourceKind::Procfs => true,
        }
    };
    let left = SourceKind::ALL.iter().skip(refused);
    left.filter(|source_kind| pin.is_none_or(|pin| pin == **source_kind)).find(may).copied()
}

/// The record before anything is given back.
pub(super) fn before(plan: bool) -> Rights {
    Rights::whole(if plan { "the first full report is not there yet" } else { "rights are kept" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Set = Set(u64::MAX);

    #[test]
    fn what_was_refused_at_the_start_is_not_worth_another_one() {
        assert_eq!(wanted(Some(SourceKind::Bpf), 2, ALL), None);
        assert_eq!(wanted(None, 2, ALL), Some(SourceKind::Netlink));
        assert_eq!(wanted(None, 0, ALL), Some(SourceKind::Bpf));
        assert_eq!(wanted(Some(SourceKind::Procfs), 0, ALL), Some(SourceKind::Procfs));
    }

    #[test]
    fn what_the_process_never_could_is_not_wanted() {
        let none = Set::default();
        let bpf = Set::of([Capability::Bpf, Capability::Perfmon]);

        assert_eq!(wanted(Some(SourceKind::Bpf), 0, none), None);
        assert_eq!(wanted(Some(SourceKind::Netlink), 0, bpf), None);
        assert_eq!(wanted(None, 0, bpf), Some(SourceKind::Bpf));
        assert_eq!(wanted(None, 0, none), Some(SourceKind::Procfs));
        assert_eq!(
            wanted(Some(SourceKind::Bpf), 0, Set::of([Capability::SysAdmin])),
            Some(SourceKind::Bpf)
        );
    }
}
