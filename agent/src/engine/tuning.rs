//! The configuration in the engine's own units.
//!
//! In: the configuration in force. Out: nanoseconds, counts and a pinned source; nothing after this
//! parses or converts. It must not hold defaults: those are in the spec.
//!
//! Pure: no I/O.

use crate::config::Effective;
use crate::discover::{self, choose};
use probelet_core::budget::Policy;
use probelet_core::facts::SourceKind;
use probelet_core::report;
use probelet_core::schedule::Intervals;
use probelet_core::short_lived::Wish;
use probelet_crds::{BudgetPolicy, Interval, ShortLived};
use std::sync::Arc;

/// Flows that the report keeps; at about 150 bytes each, and far above what a node's services make.
const FLOWS: usize = 4096;

#[derive(Debug)]
pub(super) struct Tuning {
    pub(super) config: Arc<Effective>,
    pub(super) pin: Option<SourceKind>,
    pub(super) paused: bool,
    pub(super) policy: Policy,
    pub(super) intervals: Intervals,
    pub(super) containers_ns: u64,
    pub(super) source_limits: discover::Limits,
    pub(super) report_limits: report::Limits,
    pub(super) procfs_reads: u32,
    pub(super) fds: u32,
    pub(super) netns: u32,
    pub(super) short_lived: Wish,
    jitter_percent: u64,
}

impl Tuning {
    pub(super) fn new(config: &Arc<Effective>, pin: Option<SourceKind>) -> Self {
        let spec = &config.spec;
        let limits = &spec.limits;
        Self {
            config: Arc::clone(config),
            pin: pin.or(choose::pinned(spec.source)),
            paused: spec.paused,
            policy: match spec.budget.policy {
                BudgetPolicy::Degrade => Policy::Degrade,
                BudgetPolicy::Stretch => Policy::Stretch,
            },
            intervals: Intervals {
                sockets: nanos(spec.intervals.sockets),
                processes: nanos(spec.intervals.processes),
                bytes: nanos(spec.intervals.bytes),
            },
            containers_ns: nanos(spec.intervals.containers),
            source_limits: discover::Limits {
                max_sockets: count(limits.max_sockets),
                max_processes: count(limits.max_processes),
            },
            report_limits: report::Limits {
                sockets: count(limits.max_sockets) as usize,
                processes: count(limits.max_processes) as usize,
                flows: FLOWS,
                flow_ttl_ms: nanos(spec.metrics.ttl) / 1_000_000,
            },
            procfs_reads: count(limits.procfs_reads_per_second),
            fds: count(limits.fds_per_second),
            netns: count(limits.netns_per_second),
            short_lived: match spec.short_lived {
                ShortLived::Auto => Wish::Auto,
                ShortLived::Exact => Wish::Exact,
                ShortLived::Counters => Wish::Counters,
            },
            jitter_percent: u64::try_from(spec.jitter_percent).unwrap_or(0),
        }
    }

    /// Where in the jitter's width this node stands: a fleet's full readings are spread by name.
    pub(super) fn phase_ns(&self, node: &str) -> u64 {
        let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
        });
        let width = self.intervals.bytes / 100 * self.jitter_percent;
        if width == 0 { 0 } else { hash % width }
    }
}

/// Looks at the counters in a sockets interval: several where a look costs microseconds, unless it finds nothing that the
/// kernel does not keep for the next one anyway.
pub(super) const fn looks(source_kind: SourceKind, kept: bool) -> u64 {
    match source_kind {
        SourceKind::Bpf | SourceKind::BpfCompat if !kept => 2,
        _ => 1,
    }
}

fn nanos(interval: Interval) -> u64 {
    u64::try_from(interval.duration().as_nanos()).unwrap_or(u64::MAX)
}

fn count(n: i32) -> u32 {
    u32::try_from(n).unwrap_or(0)
}
