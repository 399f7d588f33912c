//! The bounds of the spec's numbers and lengths of time: one table for the rules, the schema and the manual.
//!
//! In: nothing. Out: for each field its path below `spec`, its least and its greatest value. Pure: data.

use crate::Interval;

/// What a field may be.
pub(crate) struct Bounds<T> {
    /// Path below `spec`, such as `budget.window`.
    pub(crate) field: &'static str,
    pub(crate) low: T,
    pub(crate) high: T,
}

const fn number(field: &'static str, low: i32, high: i32) -> Bounds<i32> {
    Bounds { field, low, high }
}

const fn time(field: &'static str, low: Interval, high: Interval) -> Bounds<Interval> {
    Bounds { field, low, high }
}

const TENTH: Interval = Interval::from_millis(100);
const TEN_SECONDS: Interval = Interval::from_secs(10);
const MINUTE: Interval = Interval::from_secs(60);
const HOUR: Interval = Interval::from_secs(3600);
const DAY: Interval = Interval::from_secs(86_400);

pub(crate) const PRIORITY: Bounds<i32> = number("priority", -1000, 1000);
pub(crate) const JITTER_PERCENT: Bounds<i32> = number("jitterPercent", 0, 50);
pub(crate) const MAX_SOCKETS: Bounds<i32> = number("limits.maxSockets", 1024, 2_097_152);
pub(crate) const MAX_PROCESSES: Bounds<i32> = number("limits.maxProcesses", 256, 131_072);
pub(crate) const PROCFS_READS: Bounds<i32> = number("limits.procfsReadsPerSecond", 10, 1_000_000);
pub(crate) const FDS: Bounds<i32> = number("limits.fdsPerSecond", 100, 10_000_000);
pub(crate) const NETNS: Bounds<i32> = number("limits.netnsPerSecond", 1, 100_000);
pub(crate) const API_WRITES: Bounds<i32> = number("limits.apiWritesPerMinute", 1, 60);
pub(crate) const REPORT_REQUESTS: Bounds<i32> = number("limits.reportRequestsPerSecond", 1, 1000);
pub(crate) const MAX_SERIES: Bounds<i32> = number("metrics.maxSeries", 10, 20_000);
pub(crate) const TOP_N: Bounds<i32> = number("reporting.topN", 0, 5);
pub(crate) const NODES_PER_MINUTE: Bounds<i32> = number("rollout.maxNodesPerMinute", 1, 100_000);
pub(crate) const CANARY_PERCENT: Bounds<i32> = number("rollout.canaryPercent", 0, 100);

/// All numbers.
pub(crate) const NUMBERS: [Bounds<i32>; 13] = [
    PRIORITY,
    JITTER_PERCENT,
    MAX_SOCKETS,
    MAX_PROCESSES,
    PROCFS_READS,
    FDS,
    NETNS,
    API_WRITES,
    REPORT_REQUESTS,
    MAX_SERIES,
    TOP_N,
    NODES_PER_MINUTE,
    CANARY_PERCENT,
];

pub(crate) const SOCKETS: Bounds<Interval> = time("intervals.sockets", TENTH, HOUR);
pub(crate) const PROCESSES: Bounds<Interval> = time("intervals.processes", TENTH, HOUR);
pub(crate) const CONTAINERS: Bounds<Interval> = time("intervals.containers", TENTH, HOUR);
pub(crate) const BYTES: Bounds<Interval> = time("intervals.bytes", TENTH, HOUR);
pub(crate) const REPORT: Bounds<Interval> = time("intervals.report", TENTH, HOUR);
pub(crate) const WINDOW: Bounds<Interval> =
    time("budget.window", TEN_SECONDS, Interval::from_secs(600));
pub(crate) const TTL: Bounds<Interval> = time("metrics.ttl", MINUTE, DAY);
pub(crate) const MIN_INTERVAL: Bounds<Interval> = time("reporting.minInterval", TEN_SECONDS, HOUR);
pub(crate) const REFRESH_INTERVAL: Bounds<Interval> =
    time("reporting.refreshInterval", MINUTE, DAY);

/// All lengths of time.
pub(crate) const TIMES: [Bounds<Interval>; 9] =
    [SOCKETS, PROCESSES, CONTAINERS, BYTES, REPORT, WINDOW, TTL, MIN_INTERVAL, REFRESH_INTERVAL];

/// Pairs of lengths of time of which the first must not be shorter than the second.
pub(crate) const AT_LEAST_AS_LONG: [(&str, &str); 3] = [
    ("intervals.bytes", "intervals.sockets"),
    ("budget.window", "intervals.sockets"),
    ("reporting.refreshInterval", "reporting.minInterval"),
];

/// The field of the CPU budget, and its bounds in thousandths of a core.
pub(crate) const CPU: (&str, u64, u64) = ("budget.cpu", 1, 8000);

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
