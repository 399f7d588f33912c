//! The bounds of the spec's numbers, lengths of time and CPU: one table for the rules, the schema and the manual.
//!
//! In: nothing. Out: for each field its path below `spec`, its least and its greatest value. A new field with a bound is a
//! field of its type and a row here. Pure: data.

use crate::Interval;

/// What a field may be, both ends included.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Range {
    Number(i32, i32),
    Time(Interval, Interval),
    /// In thousandths of a core.
    Cpu(u64, u64),
}

use Range::{Cpu, Number, Time};

const TENTH: Interval = Interval::from_millis(100);
const TEN_SECONDS: Interval = Interval::from_secs(10);
const MINUTE: Interval = Interval::from_secs(60);
const TEN_MINUTES: Interval = Interval::from_secs(600);
const HOUR: Interval = Interval::from_secs(3600);
const DAY: Interval = Interval::from_secs(86_400);

/// All of them, by path below `spec`.
pub(crate) const RANGES: [(&str, Range); 23] = [
    ("priority", Number(-1000, 1000)),
    ("intervals.sockets", Time(TENTH, HOUR)),
    ("intervals.processes", Time(TENTH, HOUR)),
    ("intervals.containers", Time(TENTH, HOUR)),
    ("intervals.bytes", Time(TENTH, HOUR)),
    ("intervals.report", Time(TENTH, HOUR)),
    ("jitterPercent", Number(0, 50)),
    ("budget.cpu", Cpu(1, 8000)),
    ("budget.window", Time(TEN_SECONDS, TEN_MINUTES)),
    ("limits.maxSockets", Number(1024, 2_097_152)),
    ("limits.maxProcesses", Number(256, 131_072)),
    ("limits.procfsReadsPerSecond", Number(10, 1_000_000)),
    ("limits.fdsPerSecond", Number(100, 10_000_000)),
    ("limits.netnsPerSecond", Number(1, 100_000)),
    ("limits.apiWritesPerMinute", Number(1, 60)),
    ("limits.reportRequestsPerSecond", Number(1, 1000)),
    ("metrics.maxSeries", Number(10, 20_000)),
    ("metrics.ttl", Time(MINUTE, DAY)),
    ("reporting.topN", Number(0, 5)),
    ("reporting.minInterval", Time(TEN_SECONDS, HOUR)),
    ("reporting.refreshInterval", Time(MINUTE, DAY)),
    ("rollout.maxNodesPerMinute", Number(1, 100_000)),
    ("rollout.canaryPercent", Number(0, 100)),
];

/// Pairs of lengths of time of which the first must not be shorter than the second.
pub(crate) const AT_LEAST_AS_LONG: [(&str, &str); 3] = [
    ("intervals.bytes", "intervals.sockets"),
    ("budget.window", "intervals.sockets"),
    ("reporting.refreshInterval", "reporting.minInterval"),
];

/// The most labels and conditions of a selector, as bounded as everything that ends up in a status.
pub(crate) const SELECTOR_TERMS: usize = 64;
/// The most nodes that are named: more are a pool, which has a label.
pub(crate) const NODE_NAMES: usize = 100;
/// Kubernetes' bound of a node's name.
pub(crate) const NODE_NAME: usize = 253;
/// Kubernetes' own bounds: a label's name with its prefix, and a label's value.
pub(crate) const LABEL_KEY: usize = 317;
pub(crate) const LABEL_VALUE: usize = 63;

/// As many as a person can tell apart in a graph, and ranges to match: 2048 in all.
pub(crate) const CIDR_GROUPS: usize = 32;
pub(crate) const CIDRS: usize = 64;
/// Kubernetes' bound of a DNS label.
pub(crate) const CIDR_GROUP_NAME: usize = 63;
/// What the report and the metrics call remote ends by themselves.
pub(crate) const RESERVED: [&str; 9] =
    ["cluster", "external", "host", "loopback", "node", "other", "pod", "service", "unknown"];
