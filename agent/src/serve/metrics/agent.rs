//! Metrics about the agent: its cost first, then how complete and how fresh its picture is.
//!
//! In: a snapshot. Out: families. It must not add a label whose values are not an enum's.
//!
//! Pure: no I/O.

#![expect(clippy::cast_precision_loss, reason = "the text format knows only floating point")]

use super::family::Families;
use super::rights;
use crate::capabilities::Capability;
use crate::discover::Limiter;
use crate::node_probe::status::missing;
use crate::snapshot::{Asked, Intervals, Skip, Snapshot, Task, Vitals};
use probelet_core::budget::Level;
use probelet_core::cluster::objects::Kind;
use probelet_core::report::Picture;
use probelet_core::short_lived::Mode;

pub(super) fn add(
    families: &mut Families,
    snapshot: &Snapshot,
    lacking: &[Capability],
    now_ns: u64,
) {
    cost(families, &snapshot.vitals);
    passes(families, &snapshot.vitals, now_ns);
    quality(families, snapshot, now_ns);
    translations(families, &snapshot.vitals);
    short_lived(families, &snapshot.vitals);
    permissions(families, &snapshot.vitals, lacking);
    rights::add(families, &snapshot.vitals);
    identity(families, &snapshot.node, &snapshot.vitals);
}

fn cost(families: &mut Families, vitals: &Vitals) {
    let cpu = Task::ALL.iter().flat_map(|&task| {
        let time = vitals.cpu[task as usize];
        [("user", time.user), ("system", time.system)]
            .map(|(mode, seconds)| ([("mode", mode), ("task", task.name())], seconds))
    });
    // The kernel's own clock; shown once there is any.
    let worker = vitals.short_lived.worker_seconds;
    let worker = (worker > 0.0)
        .then_some(([("mode", "kernel_worker"), ("task", Task::Discover.name())], worker));
    let cpu = cpu.chain(worker);
    families.counter(
        "probelet_agent_cpu_seconds_total",
        "CPU time of the agent in seconds, by kind and by task; kernel_worker is what the kernel does for it elsewhere, estimated.",
        cpu,
    );
    families.value(
        "probelet_agent_cpu_budget_cores",
        "CPU that the agent may use, in cores.",
        vitals.budget_cores,
    );
    if vitals.budget_cores > 0.0 {
        families.value(
            "probelet_agent_cpu_used_ratio",
            "CPU used over the budget's window, as a share of the budget; 1 is all of it.",
            vitals.cpu_cores / vitals.budget_cores,
        );
    }
    let levels =
        Level::ALL.iter().map(|&level| ([("level", level.name())], flag(level == vitals.level)));
    families.gauge(
        "probelet_agent_level",
        "The agent's level, which says what it gave up to stay within its budget: 1 for the current one.",
        levels,
    );
    families.counter(
        "probelet_agent_limiter_wait_seconds_total",
        "Work that rate limits delayed, in seconds of work at the allowed rate.",
        vitals
            .limiter_wait_seconds
            .iter()
            .map(|&(limiter, seconds)| ([("limiter", limiter_name(limiter))], seconds)),
    );
}

fn passes(families: &mut Families, vitals: &Vitals, now_ns: u64) {
    let source = ("source", vitals.source_kind.name());
    families.histogram(
        "probelet_agent_pass_duration_seconds",
        "Duration of one pass over the node, in seconds.",
        source,
        &vitals.pass_duration,
    );
    families.histogram(
        "probelet_agent_pass_cpu_seconds",
        "CPU time of one pass over the node, in seconds.",
        source,
        &vitals.pass_cpu,
    );
    families.gauge(
        "probelet_agent_effective_interval_seconds",
        "Actual time from one scan to the next, or since the last one if that is longer, in seconds.",
        intervals(vitals.effective_at(now_ns)),
    );
    families.gauge(
        "probelet_agent_desired_interval_seconds",
        "Time from one scan to the next as configured, in seconds.",
        intervals(vitals.desired),
    );
    let skipped = Skip::ALL
        .iter()
        .map(|&skip| ([("reason", skip.name())], vitals.skipped[skip as usize] as f64));
    families.counter(
        "probelet_agent_skipped_total",
        "Scans that were due and skipped, by reason.",
        skipped,
    );
}

fn quality(families: &mut Families, snapshot: &Snapshot, now_ns: u64) {
    let picture = &snapshot.picture;
    families.value(
        "probelet_agent_freshness_seconds",
        "Greatest age of connection data at the last refresh, or the time since then if that is longer, in seconds.",
        snapshot.vitals.freshness_at(now_ns),
    );
    families.value(
        "probelet_agent_verified_timestamp_seconds",
        "Unix time of the last complete connection scan, in seconds; 0 before the first.",
        snapshot.vitals.verified_unix,
    );
    let [minute, total] = picture.coverage;
    families.gauge(
        "probelet_agent_coverage_ratio",
        "Connections seen as a share of those that the kernel opened in the last minute; absent if none.",
        minute.ratio().map(|ratio| ([], ratio)),
    );
    families.counter(
        "probelet_agent_connections_opened_by_kernel_total",
        "Ends of connections that the kernel counted as opened.",
        [([], total.opened as f64)],
    );
    families.counter(
        "probelet_agent_connections_observed_total",
        "Ends of connections that the agent saw open.",
        [([], total.observed as f64)],
    );
    let trouble = picture.trouble;
    families.counter(
        "probelet_connections_failed_total",
        "Attempts to connect, from the node or to it, that failed, as the kernel counts them.",
        [([], trouble.failed as f64)],
    );
    families.counter(
        "probelet_connections_reset_total",
        "Connections that a reset ended, as the kernel counts them.",
        [([], trouble.reset as f64)],
    );
    lost(families, picture);
    cluster(families, picture);
    let pods = picture.cluster.as_ref().map_or(0, |cluster| cluster.pods.len());
    let records = [
        ("processes", picture.processes.len()),
        ("connections", picture.connections.len()),
        ("listeners", picture.listeners.len()),
        ("containers", picture.containers.len()),
        ("flows", picture.flows.len()),
        ("pods", pods),
    ];
    families.gauge(
        "probelet_agent_records",
        "Records of the report, by kind.",
        records.map(|(kind, n)| ([("kind", kind)], n as f64)),
    );
}

/// What is missing in the picture, as far as that is known.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn lost(families: &mut Families, picture: &Picture) {
    let losses = picture.losses.iter().map(|(loss, n)| ([("reason", loss.name())], n as f64));
    families.counter(
        "probelet_agent_losses_total",
        "What could not be read or attributed, by reason.",
        losses,
    );
    families.gauge(
        "probelet_agent_unseen_sockets",
        "Sockets that the kernel counted and that the last reading of everything did not meet; absent if it could not be compared.",
        picture.unseen.map(|n| ([], n as f64)),
    );
}

/// How well names are known; nothing without a cluster.
fn cluster(families: &mut Families, picture: &Picture) {
    let Some(cluster) = &picture.cluster else { return };
    let gaps = cluster.gaps.iter().map(|(gap, n)| ([("reason", gap.name())], n as f64));
    families.gauge(
        "probelet_agent_unresolved",
        "Ends of connections that should have a name in the cluster and have none, by reason.",
        gaps,
    );
    let known = cluster.known;
    families.gauge(
        "probelet_agent_cluster_objects",
        "Objects of the cluster that are known, by kind.",
        Kind::ALL.map(|kind| ([("kind", kind.name())], known.objects[kind as usize] as f64)),
    );
    families.counter(
        "probelet_agent_cluster_refused_total",
        "Objects of the cluster that were dropped because a table was full, by kind.",
        Kind::ALL.map(|kind| ([("kind", kind.name())], known.refused[kind as usize] as f64)),
    );
}

/// What the kernel was asked about connections to Services; nothing if it never was.
fn translations(families: &mut Families, vitals: &Vitals) {
    let results = Asked::ALL.map(|asked| (asked, vitals.translations[asked as usize]));
    let results = results.into_iter().filter(|(_, n)| *n > 0);
    families.counter(
        "probelet_agent_translations_total",
        "Connections to Services for which connection tracking was asked, by result.",
        results.map(|(asked, n)| ([("result", asked.name())], n as f64)),
    );
}

/// How short connections are counted.
fn short_lived(families: &mut Families, vitals: &Vitals) {
    let short = &vitals.short_lived;
    families.gauge(
        "probelet_agent_short_lived",
        "How connections that open and close between two scans are counted: 1 for the current mode.",
        Mode::ALL.map(|mode| ([("mode", mode.name())], flag(mode == short.mode))),
    );
    families.gauge(
        "probelet_agent_short_lived_needed_cores",
        "CPU that counting each end of a connection would take, the kernel's part included, in cores; absent while each is.",
        short.needs_cores.map(|cores| ([], cores)),
    );
    families.counter(
        "probelet_agent_ends_received_total",
        "Messages of the kernel about TCP sockets that went, listeners and failed attempts included.",
        [([], short.messages as f64)],
    );
    families.counter(
        "probelet_agent_ends_overruns_total",
        "Times that the kernel had no space for messages about TCP sockets that went.",
        [([], short.overruns as f64)],
    );
}

/// What the agent is not allowed to do: a series for each capability that is missed.
fn permissions(families: &mut Families, vitals: &Vitals, lacking: &[Capability]) {
    families.gauge(
        "probelet_agent_capability_missing",
        "1 for each missing capability that reduces coverage or raises cost.",
        missing(vitals, lacking)
            .into_iter()
            .map(|capability| ([("capability", capability.name())], 1.0)),
    );
    families.value(
        "probelet_agent_sources_refused",
        "Cheaper sources that do not work on this node.",
        vitals.refused.len() as f64,
    );
}

fn identity(families: &mut Families, node: &str, vitals: &Vitals) {
    families.value(
        "probelet_agent_config_generation",
        "Configurations accepted since the start.",
        vitals.config_generation as f64,
    );
    families.gauge(
        "probelet_agent_config_info",
        "The configuration in force: the ProbeConfig that won if one did, its hash, and where it comes from.",
        [(
            [
                ("config", vitals.config_name.as_str()),
                ("hash", vitals.config_hash.as_str()),
                ("origin", vitals.config_origin.as_str()),
            ],
            1.0,
        )],
    );
    families.value(
        "probelet_agent_config_error",
        "1 while the newest edit of the configuration is refused and the last good one is in force.",
        flag(vitals.config_error.is_some()),
    );
    families.gauge(
        "probelet_agent_source_info",
        "The source in use: how the kernel is read.",
        [([("source", vitals.source_kind.name())], 1.0)],
    );
    families.gauge(
        "probelet_agent_node_info",
        "The node whose connections this agent reports, as `source_node` calls it where they end.",
        [([("source_node", node)], 1.0)],
    );
    families.gauge(
        "probelet_agent_build_info",
        "The build of the agent.",
        [([("arch", std::env::consts::ARCH), ("version", env!("CARGO_PKG_VERSION"))], 1.0)],
    );
}

fn intervals(intervals: Intervals) -> [([(&'static str, &'static str); 1], f64); 4] {
    let Intervals { sockets, processes, containers, bytes } = intervals;
    [("sockets", sockets), ("processes", processes), ("containers", containers), ("bytes", bytes)]
        .map(|(kind, seconds)| ([("kind", kind)], seconds))
}

const fn limiter_name(limiter: Limiter) -> &'static str {
    match limiter {
        Limiter::ProcfsReads => "procfs_reads",
        Limiter::Fds => "fds",
        Limiter::Netns => "netns",
    }
}

const fn flag(on: bool) -> f64 {
    if on { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::facts::SourceKind;
    use prometheus::{Encoder as _, TextEncoder};

    fn text(snapshot: &Snapshot, lacking: &[Capability]) -> String {
        let mut families = Families::default();
        add(&mut families, snapshot, lacking, 0);
        let mut text = Vec::new();
        TextEncoder::new().encode(&families.sorted(), &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_missed_is_named_and_what_is_not_has_no_series() {
        let mut snapshot = Snapshot::empty("n".into());
        snapshot.vitals.source_kind = SourceKind::Procfs;
        snapshot.vitals.refused = ["bpf: Operation not permitted".to_owned()].into();

        let denied = text(&snapshot, &[Capability::Bpf]);
        let granted = text(&Snapshot::empty("n".into()), &[]);

        assert!(denied.contains("probelet_agent_capability_missing{capability=\"BPF\"} 1"));
        assert!(denied.contains("probelet_agent_sources_refused 1"), "{denied}");
        assert!(!granted.contains("capability_missing"), "{granted}");
    }

    #[test]
    fn the_age_of_the_picture_can_be_computed_while_nothing_refreshes_it() {
        let mut snapshot = Snapshot::empty("n".into());
        snapshot.vitals.verified_unix = 1_750_000_000.5;

        let text = text(&snapshot, &[]);

        assert!(text.contains("probelet_agent_verified_timestamp_seconds 1750000000.5"), "{text}");
    }

    #[test]
    fn connections_that_failed_or_were_reset_are_counted() {
        let mut snapshot = Snapshot::empty("n".into());
        snapshot.picture.trouble.failed = 3;
        snapshot.picture.trouble.reset = 2;

        let text = text(&snapshot, &[]);

        assert!(text.contains("probelet_connections_failed_total 3"), "{text}");
        assert!(text.contains("probelet_connections_reset_total 2"), "{text}");
    }
}
