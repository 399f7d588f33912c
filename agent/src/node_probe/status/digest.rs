//! The digest of a node: what its `NodeProbe` says in 2 KiB.
//!
//! In: a scene and the verdicts on it. Out: the status, save for what is largest on the node, and whether it differs from
//! the one before by something that someone would want to know. It must not decide when it is written.
//!
//! Two significant digits still flutter at their edges, and on thousands of nodes something always does. So a status
//! counts as changed by a tolerance around what was written, not by a hash of it: what grows is written when it has grown
//! by a quarter. The level's reason, what is largest, ages and the report's epoch never count; they come with the next write.
//!
//! Pure: no I/O, no clock.

use super::conditions::{self, Scene, Verdict};
use super::figures;
use crate::rights::{self, Protection, Rights};
use crate::snapshot::Snapshot;
use crate::snapshot::instance::instance;
use probelet_core::records::Gaps;
use probelet_crds::{
    AgentStatus, Capabilities, NodeProbeStatus, Quality, ReportStatus, ReportingMode, RightsStatus,
    Summary,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Reasons for missing names that are shown.
const REASONS: usize = 8;
/// Capabilities of the start that are named; an agent that someone made privileged has them all.
const NAMED: usize = 10;
/// What is not a quarter more or less is the same, and so is what differs by less than this.
const FEW: i64 = 10;
/// CPU and memory count as changed when they doubled or halved.
const TWICE: f64 = 2.0;

/// Bytes of a report's records, as text: processes, connections, listeners, containers, flows, pods.
const RECORDS: [u64; 6] = [200, 350, 165, 300, 215, 200];
/// Bytes of the rest.
const FRAME: u64 = 1800;

/// The status without what is largest; conditions are put in by who keeps their times. Of ends without a name those that
/// `nameless` says stay so.
pub(super) fn of(scene: &Scene<'_>, nameless: &Gaps) -> NodeProbeStatus {
    let snapshot = scene.snapshot;
    if scene.config.spec.reporting.mode == ReportingMode::Off {
        return NodeProbeStatus::default();
    }
    let known = snapshot.picture.epoch > 0;
    NodeProbeStatus {
        agent: (!snapshot.vitals.config_hash.is_empty()).then(|| agent(snapshot)),
        summary: known.then(|| count(snapshot)),
        quality: known.then(|| quality(scene, nameless)),
        report: known.then(|| report(snapshot)),
        capabilities: capabilities(scene),
        rights: known.then(|| kept(&snapshot.vitals.rights)),
        ..NodeProbeStatus::default()
    }
}

fn agent(snapshot: &Snapshot) -> AgentStatus {
    let vitals = &snapshot.vitals;
    AgentStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        source: vitals.source_kind.name().to_owned(),
        level: vitals.level.name().to_owned(),
        level_reason: vitals.level_reason.clone(),
        cpu: figures::cpu(vitals.cpu_cores),
        budget: figures::cpu(vitals.budget_cores),
        memory: figures::memory(vitals.rss_bytes),
    }
}

fn count(snapshot: &Snapshot) -> Summary {
    let picture = &snapshot.picture;
    let number = |n: usize| figures::count(n as u64);
    let fds = picture.processes.iter().map(|p| u64::from(p.fact.open_fds.unwrap_or(0))).sum();
    Summary {
        processes: number(picture.processes.len()),
        sockets: number(picture.connections.len() + picture.listeners.len()),
        connections: number(picture.connections.len()),
        open_file_descriptors: figures::count(fds),
        containers: number(picture.containers.len()),
        pods: number(picture.cluster.as_ref().map_or(0, |cluster| cluster.pods.len())),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age in seconds")]
fn quality(scene: &Scene<'_>, nameless: &Gaps) -> Quality {
    let picture = &scene.snapshot.picture;
    let mut reasons: Vec<_> = nameless.iter().filter(|&(_, n)| n > 0).collect();
    reasons.sort_by_key(|&(reason, n)| (Reverse(n), reason));
    reasons.truncate(REASONS);
    let unresolved: BTreeMap<_, _> =
        reasons.into_iter().map(|(why, n)| (why.name().to_owned(), figures::count(n))).collect();
    let verified = scene.snapshot.vitals.verified_unix;
    let age = if verified > 0.0 { (scene.unix - verified).max(0.0) } else { 0.0 };
    let names = scene.feed.map_or(0, |feed| feed.silent.as_secs());
    Quality {
        coverage: picture.coverage[0].ratio().map(figures::percent),
        unresolved,
        unseen: figures::count(picture.unseen.unwrap_or(0)),
        stalest_seconds: figures::count((age as u64).max(names)),
    }
}

fn report(snapshot: &Snapshot) -> ReportStatus {
    let picture = &snapshot.picture;
    let records = [
        picture.processes.len(),
        picture.connections.len(),
        picture.listeners.len(),
        picture.containers.len(),
        picture.flows.len(),
        picture.cluster.as_ref().map_or(0, |cluster| cluster.pods.len()),
    ];
    let bytes = records.iter().zip(RECORDS).map(|(&n, each)| n as u64 * each).sum::<u64>() + FRAME;
    ReportStatus {
        epoch: i64::try_from(picture.epoch).unwrap_or(i64::MAX),
        digest: format!("{}-{}", instance(snapshot), picture.epoch),
        bytes: figures::count(bytes),
    }
}

fn capabilities(scene: &Scene<'_>) -> Option<Capabilities> {
    let missing = conditions::missing(&scene.snapshot.vitals, scene.lacking);
    if missing.is_empty() {
        return None;
    }
    let (missing, lost) =
        missing.iter().map(|c| (c.name().to_owned(), c.loss().to_owned())).unzip();
    Some(Capabilities { missing, lost })
}

/// Before and after; the reasons of what is not in force are in the report.
fn kept(rights: &Rights) -> RightsStatus {
    let mut start: Vec<String> = rights.start.names().collect();
    if start.len() > NAMED {
        let more = start.len() + 1 - NAMED;
        start.truncate(NAMED - 1);
        start.push(format!("and {more} more"));
    }
    let kept = rights.held.iter().map(|(thread, set)| {
        let names = set.names().collect::<Vec<_>>().join(", ");
        format!("{names}: {}", rights::purpose(thread))
    });
    let unprotected = Protection::ALL.into_iter().filter(|one| !rights.is_in_force(*one));
    RightsStatus {
        start,
        kept: kept.collect(),
        unprotected: unprotected.map(|one| one.name().to_owned()).collect(),
    }
}

/// Whether a verdict differs from the condition that was written.
pub(super) fn turned(written: &NodeProbeStatus, verdicts: &[Verdict]) -> bool {
    verdicts.iter().any(|verdict| {
        let before = probelet_crds::condition::get(&written.conditions, verdict.kind);
        before.is_none_or(|before| before.status != verdict.status.as_str())
    })
}

/// Whether there is anything in `now` that someone who read `written` would want to know.
pub(super) fn changed(
    written: &NodeProbeStatus,
    now: &NodeProbeStatus,
    verdicts: &[Verdict],
) -> bool {
    let reasons = verdicts.iter().any(|verdict| {
        let before = probelet_crds::condition::get(&written.conditions, verdict.kind);
        before.is_some_and(|before| before.reason != verdict.reason)
    });
    let lacks = |status: &NodeProbeStatus| status.capabilities.clone().unwrap_or_default().missing;
    reasons
        || lacks(written) != lacks(now)
        || differ(written.rights.as_ref(), now.rights.as_ref(), rights_differ)
        || differ(written.agent.as_ref(), now.agent.as_ref(), agents_differ)
        || differ(written.summary.as_ref(), now.summary.as_ref(), summaries_differ)
        || differ(written.quality.as_ref(), now.quality.as_ref(), qualities_differ)
}

/// What was written was shortened first, and its lists may have lost their ends to make the status fit.
fn rights_differ(written: &RightsStatus, now: &RightsStatus) -> bool {
    let lists = |rights: &RightsStatus| {
        let alone = NodeProbeStatus { rights: Some(rights.clone()), ..NodeProbeStatus::default() };
        let RightsStatus { start, kept, unprotected } = alone.fit().rights.unwrap_or_default();
        [start, kept, unprotected]
    };
    lists(now).iter().zip(lists(written)).any(|(now, written)| !now.starts_with(&written))
}

fn differ<T>(a: Option<&T>, b: Option<&T>, differ: impl Fn(&T, &T) -> bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => differ(a, b),
        (None, None) => false,
        _ => true,
    }
}

fn agents_differ(a: &AgentStatus, b: &AgentStatus) -> bool {
    let doubled = |a: f64, b: f64| a.max(b) > TWICE * a.min(b);
    let cores = |status: &AgentStatus| status.cpu.cores().max(0.001);
    a.version != b.version
        || a.source != b.source
        || a.level != b.level
        || a.budget != b.budget
        || doubled(cores(a), cores(b))
        || doubled(mebibytes(&a.memory), mebibytes(&b.memory))
}

fn mebibytes(memory: &str) -> f64 {
    memory.trim_end_matches("Mi").parse().unwrap_or(1.0)
}

fn summaries_differ(a: &Summary, b: &Summary) -> bool {
    let figures = |summary: &Summary| {
        let &Summary { processes, sockets, connections, open_file_descriptors, containers, pods } =
            summary;
        [processes, sockets, connections, open_file_descriptors, containers, pods]
    };
    figures(a).into_iter().zip(figures(b)).any(|(a, b)| apart(a, b))
}

fn qualities_differ(a: &Quality, b: &Quality) -> bool {
    let reasons = a.unresolved.keys().chain(b.unresolved.keys());
    let of = |quality: &Quality, reason| quality.unresolved.get(reason).copied().unwrap_or(0);
    let mut reasons = reasons.map(|reason| (of(a, reason), of(b, reason)));
    let total = |quality: &Quality| quality.unresolved.values().sum::<i64>();
    // A share that matters is a condition. That all was seen is a claim, which one socket ends. That a few ends have no name
    // can wait for the next write; that all have one again ends what `kubectl probelet status --check` refuses.
    (total(a) > 0 && total(b) == 0)
        || (a.unseen == 0) != (b.unseen == 0)
        || apart(a.unseen, b.unseen)
        || reasons.any(|(a, b)| apart(a, b))
}

/// Further apart than by a quarter, and than by a few.
const fn apart(a: i64, b: i64) -> bool {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    high - low >= FEW && high - low > low / 4
}

#[cfg(test)]
mod tests;
