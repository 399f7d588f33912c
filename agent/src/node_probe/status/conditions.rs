//! The conditions of a `NodeProbe`: what a person, or an alert, acts on.
//!
//! In: a snapshot, what the operator asked for, how the feed is doing, the time. Out: six conditions with a reason from
//! `probelet_crds::condition` and a short message. What comes and goes within a minute must not turn one: turning is
//! written at once, on every node that has the same trouble.
//!
//! Pure: no I/O, no clock; time is an argument.

use super::context::Feed;
use super::figures::{self, cut};
use super::health::Health;
use crate::capabilities::Capability;
use crate::config::Effective;
use crate::discover::choose;
use crate::node_probe::follow::{Assigned, Refusal};
use crate::snapshot::{Snapshot, Vitals};
use probelet_core::budget::Level;
use probelet_core::display::ContainerNames;
use probelet_core::facts::{Loss, SourceKind};
use probelet_core::report::Picture;
use probelet_crds::Unknown;
use probelet_crds::condition::{
    self, Status, config_applied, data_complete, node_ready, permissions_ok, within_budget,
};
use std::time::Duration;

/// A message of a condition is cut to so many bytes: a status is 2 KiB in all.
const MESSAGE: usize = 200;
/// A picture may be so many intervals old, and always so many seconds.
const STALE: (f64, f64) = (5.0, 30.0);
/// What is measured may be above the budget by so much: clocks and windows are not exact.
const ABOVE: f64 = 1.02;
/// Below the first share of connections seen too many are missing; above the second one it is well again.
const COVERAGE: (f64, f64) = (0.95, 0.98);
/// With fewer connections a minute a share says nothing.
const OPENED: u64 = 100;
/// Of connections, so many without an owner or a name are too many, if they are [`OPENED`] at least; again well.
const UNRESOLVED: (f64, f64) = (0.2, 0.1);
/// Shortcomings turn a condition when they have lasted so long.
const LASTING: Duration = Duration::from_mins(1);
/// A table that was full counts as full for so long.
const FULL: Duration = Duration::from_mins(5);
/// Names may be so old.
const NAMES: Duration = Duration::from_mins(5);

/// Why connections are missing, where nothing says that each end could not be reported.
const TRACES: &str = "short ones leave a trace only on the node whose end closes first";

/// What conditions are judged by.
pub(super) struct Scene<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// What a runtime calls its containers.
    pub(super) names: &'a ContainerNames,
    pub(super) config: &'a Effective,
    pub(super) assigned: &'a Assigned,
    /// The engine works by `config`.
    pub(super) applied: bool,
    /// The command line pins a source.
    pub(super) pinned: bool,
    pub(super) feed: Option<&'a Feed>,
    pub(super) lacking: &'a [Capability],
    /// Since the start of the agent.
    pub(super) now: Duration,
    pub(super) unix: f64,
}

/// One condition as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) kind: &'static str,
    pub(super) status: Status,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What has to be remembered to tell a trouble from a moment.
#[derive(Debug, Default)]
pub(super) struct Judge {
    above_since: Option<Duration>,
    budget: f64,
    full: u64,
    full_until: Duration,
    coverage: Lasting,
    unresolved: Lasting,
    health: Health,
}

/// A trouble with a threshold to begin and one to end, which counts once it has lasted.
#[derive(Debug, Default)]
struct Lasting {
    since: Option<Duration>,
}

impl Lasting {
    fn look(&mut self, now: Duration, begins: bool, ends: bool) -> bool {
        if ends {
            self.since = None;
        } else if begins && self.since.is_none() {
            self.since = Some(now);
        }
        self.since.is_some_and(|since| now.saturating_sub(since) >= LASTING)
    }
}

type Finding = (Status, &'static str, String);

impl Judge {
    /// All of them, in the order in which they are shown.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> [Verdict; 6] {
        let verdict = |kind, (status, reason, message): Finding| Verdict {
            kind,
            status,
            reason,
            message: cut(&message, MESSAGE),
        };
        [
            verdict(condition::READY, ready(scene)),
            verdict(condition::CONFIG_APPLIED, applied(scene)),
            verdict(condition::WITHIN_BUDGET, self.budget(scene)),
            verdict(condition::DATA_COMPLETE, self.complete(scene)),
            verdict(condition::PERMISSIONS_OK, permissions(scene)),
            verdict(
                condition::CONNECTIONS_HEALTHY,
                self.health.look(scene.snapshot, scene.names, scene.now),
            ),
        ]
    }

    fn budget(&mut self, scene: &Scene<'_>) -> Finding {
        let vitals = &scene.snapshot.vitals;
        let window = Duration::try_from_secs_f64(vitals.window_seconds).unwrap_or_default();
        let above = vitals.cpu_cores > vitals.budget_cores * ABOVE;
        // Another budget is another promise.
        if !above || vitals.budget_cores.to_bits() != self.budget.to_bits() {
            self.above_since = None;
        }
        self.budget = vitals.budget_cores;
        if above {
            let since = *self.above_since.get_or_insert(scene.now);
            if scene.now.saturating_sub(since) >= window {
                let (used, budget) = (figures::cpu(vitals.cpu_cores), figures::cpu(self.budget));
                return no(
                    within_budget::EXCEEDED,
                    format!("{used} used of {budget} for longer than the window"),
                );
            }
        }
        if scene.now < window {
            return unknown(within_budget::MEASURING, "the first window is not over yet");
        }
        let reason = match vitals.level {
            Level::Full | Level::Paused => within_budget::WITHIN,
            Level::Stretched => within_budget::STRETCHED,
            Level::CountersOnly => within_budget::COUNTERS_ONLY,
        };
        yes(reason, vitals.level_reason.clone())
    }

    fn complete(&mut self, scene: &Scene<'_>) -> Finding {
        let (picture, vitals) = (&scene.snapshot.picture, &scene.snapshot.vitals);
        let full: u64 = [Loss::SocketsFull, Loss::ProcessesFull, Loss::FlowsFull]
            .iter()
            .map(|&loss| picture.losses.get(loss))
            .sum();
        if full > std::mem::replace(&mut self.full, full) {
            self.full_until = scene.now + FULL;
        }
        let [minute, _] = picture.coverage;
        let share = minute.ratio().filter(|_| minute.opened >= OPENED).unwrap_or(1.0);
        let missed = self.coverage.look(scene.now, share < COVERAGE.0, share >= COVERAGE.1);
        let (nameless, of) = (unresolved(picture), picture.connections.len() as u64);
        let part = if nameless < OPENED { 0.0 } else { ratio(nameless, of) };
        let nameless = self.unresolved.look(scene.now, part > UNRESOLVED.0, part < UNRESOLVED.1);
        let (silent, from) = scene.feed.map(|feed| (feed.silent, feed.from)).unwrap_or_default();
        if picture.epoch == 0 {
            unknown(data_complete::STARTING, "the first scan is not complete yet")
        } else if vitals.level == Level::Paused {
            no(data_complete::PAUSED, "paused by the configuration")
        } else if let Some(age) = stale(scene) {
            no(data_complete::STALE, age)
        } else if scene.now < self.full_until {
            no(data_complete::TABLE_FULL, "raise limits.maxSockets or limits.maxProcesses")
        } else if missed {
            let shown = figures::percent(share);
            let why = vitals.short_lived.reason.as_deref().unwrap_or(TRACES);
            no(
                data_complete::LOW_COVERAGE,
                format!("{shown} of the connections opened were seen; {why}"),
            )
        } else if silent > NAMES {
            let message = format!("no response from the {} for minutes", from.server());
            no(data_complete::NAMES_STALE, message)
        } else if nameless {
            let shown = figures::percent(part);
            no(
                data_complete::UNRESOLVED,
                format!("{shown} of the connections have an end without a name"),
            )
        } else if vitals.level == Level::CountersOnly {
            no(data_complete::REDUCED, vitals.level_reason.clone())
        } else {
            yes(data_complete::COMPLETE, "")
        }
    }
}

fn yes(reason: &'static str, message: impl Into<String>) -> Finding {
    (Status::True, reason, message.into())
}

fn no(reason: &'static str, message: impl Into<String>) -> Finding {
    (Status::False, reason, message.into())
}

fn unknown(reason: &'static str, message: impl Into<String>) -> Finding {
    (Status::Unknown, reason, message.into())
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / (whole as f64).max(1.0)
}

/// Ends of connections without an owner or a name.
fn unresolved(picture: &Picture) -> u64 {
    picture.cluster.as_ref().map_or(0, |cluster| cluster.gaps.iter().map(|(_, n)| n).sum())
}

fn ready(scene: &Scene<'_>) -> Finding {
    let (picture, vitals) = (&scene.snapshot.picture, &scene.snapshot.vitals);
    if vitals.level == Level::Paused {
        no(node_ready::PAUSED, "paused by the configuration")
    } else if picture.epoch == 0 {
        unknown(node_ready::STARTING, "the first pass over this node is not finished yet")
    } else if let Some(age) = stale(scene) {
        no(node_ready::SOURCE_FAILED, age)
    } else {
        yes(node_ready::REPORTING, "")
    }
}

/// That the picture is much older than its interval, as a message.
fn stale(scene: &Scene<'_>) -> Option<String> {
    let vitals = &scene.snapshot.vitals;
    let interval = vitals.desired.sockets.max(vitals.effective.sockets);
    let age = scene.unix - vitals.verified_unix;
    let old = vitals.verified_unix > 0.0 && age > STALE.1.max(interval * STALE.0);
    old.then(|| format!("the data is older than {:.0} s", STALE.1.max(interval * STALE.0)))
}

fn applied(scene: &Scene<'_>) -> Finding {
    match &scene.assigned.refusal {
        Some(refusal @ Refusal::Invalid(_)) => no(config_applied::INVALID, refusal.to_string()),
        None if !scene.applied => unknown(config_applied::PENDING, ""),
        None => match choose::pinned(scene.config.spec.source) {
            Some(wanted) if wanted != scene.snapshot.vitals.source_kind && !scene.pinned => {
                let (wanted, source_kind) =
                    (wanted.name(), scene.snapshot.vitals.source_kind.name());
                no(
                    config_applied::SOURCE_UNAVAILABLE,
                    format!("{wanted} does not work on this node; {source_kind} is in use"),
                )
            }
            _ => yes(config_applied::APPLIED, ignored(&scene.assigned.unknown)),
        },
    }
}

/// What of a configuration is not in force because this agent is older than its writer.
fn ignored(unknown: &Unknown) -> String {
    let (count, names) = (unknown.count, unknown.names.join(", "));
    match count {
        0 => String::new(),
        1 => format!("1 field of a newer version ignored: {names}"),
        _ => format!("{count} fields of a newer version ignored: {names}"),
    }
}

/// Capabilities without which the source in use shows less than it could, or without which a better one was refused.
pub(crate) fn missing(vitals: &Vitals, lacking: &[Capability]) -> Vec<Capability> {
    // A source that was loaded had what it needs to load; SYS_ADMIN stands for BPF and PERFMON.
    let bpf = |capability: Capability| capability.serves(SourceKind::Bpf);
    let better = |capability: Capability| {
        bpf(capability)
            && !vitals.refused.is_empty()
            && !matches!(vitals.source_kind, SourceKind::Bpf | SourceKind::BpfCompat)
    };
    let conntrack =
        |capability| capability == Capability::NetAdmin && vitals.conntrack_error.is_some();
    let lacking = lacking.iter().copied();
    lacking
        .filter(|&c| (c.serves(vitals.source_kind) && !bpf(c)) || better(c) || conntrack(c))
        .collect()
}

fn permissions(scene: &Scene<'_>) -> Finding {
    let vitals = &scene.snapshot.vitals;
    if let Some(feed) = scene.feed.filter(|feed| !feed.forbidden.is_empty()) {
        let kinds = feed.forbidden.join(", ");
        return no(
            permissions_ok::API_REFUSED,
            format!("the role of the agent does not allow to watch {kinds}"),
        );
    }
    let missing = missing(vitals, scene.lacking);
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|capability| capability.name()).collect();
        let used = vitals.source_kind.name();
        return no(
            permissions_ok::CAPABILITIES_MISSING,
            format!("{} missing; {used} is in use", names.join(", ")),
        );
    }
    match vitals.refused.first() {
        _ if scene.snapshot.picture.epoch == 0 => {
            unknown(permissions_ok::UNTRIED, "the first scan is not complete yet")
        }
        // An older kernel that has no BPF as we need it refuses nothing that could be granted.
        Some(why) if vitals.denied => no(permissions_ok::KERNEL_REFUSED, why.clone()),
        _ => yes(permissions_ok::GRANTED, ""),
    }
}

#[cfg(test)]
mod tests;
