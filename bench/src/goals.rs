//! What is measured, and what it must reach: every row of the table, before anything has run.
//!
//! In: nothing. Out: [`Row`]s in the order of the table. A row that no one measured stays in the table and says why.
//! Pure: no I/O.

/// The sources, best first, as the flag `--source` spells them.
pub const TIERS: [&str; 4] = ["bpf", "bpf-compat", "netlink", "procfs"];

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Nothing: the figure is for comparison.
    None,
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Goal {
    /// Whether a figure reaches it; `None` without a goal.
    #[must_use]
    pub fn holds(self, value: f64) -> Option<bool> {
        match self {
            Self::None => None,
            Self::AtMost(limit) => Some(value <= limit),
            Self::AtLeast(limit) => Some(value >= limit),
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// By which a measurement names it.
    pub key: String,
    /// The measurement that fills it: what `--only` takes.
    pub by: &'static str,
    /// In words.
    pub what: String,
    /// Unit of the figure.
    pub unit: &'static str,
    /// What it must reach.
    pub goal: Goal,
}

/// Every row of the table.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for tier in TIERS {
        tier_rows(tier, &mut rows);
    }
    for (name, what, cpu, rss) in VARIANTS {
        add(&mut rows, format!("{name}.cpu"), name, &format!("CPU, {what}"), "%", *cpu);
        add(&mut rows, format!("{name}.rss"), name, &format!("RSS, {what}"), "MiB", *rss);
    }
    for rate in RATES {
        storm_rows(rate, &mut rows);
    }
    for (key, by, what, unit, goal) in SINGLE {
        add(&mut rows, (*key).to_owned(), by, what, unit, *goal);
    }
    rows
}

fn tier_rows(tier: &str, rows: &mut Vec<Row>) {
    let by = match tier {
        "bpf" => "tier-bpf",
        "bpf-compat" => "tier-bpf-compat",
        "netlink" => "tier-netlink",
        _ => "tier-procfs",
    };
    let cpu = match tier {
        "bpf" => Goal::AtMost(0.1),
        "netlink" => Goal::AtMost(0.5),
        _ => Goal::None,
    };
    add(rows, format!("{by}.cpu"), by, &format!("CPU at W, {tier}, default budget"), "%", cpu);
    add(
        rows,
        format!("{by}.free"),
        by,
        &format!("CPU at W, {tier}, budget of a whole core"),
        "%",
        cpu,
    );
    add(rows, format!("{by}.rss"), by, &format!("RSS at W, {tier}"), "MiB", Goal::AtMost(16.0));
    add(rows, format!("{by}.hwm"), by, &format!("peak RSS at W, {tier}"), "MiB", Goal::None);
}

fn add(
    rows: &mut Vec<Row>,
    key: String,
    by: &'static str,
    what: &str,
    unit: &'static str,
    goal: Goal,
) {
    rows.push(Row { key, by, what: what.to_owned(), unit, goal });
}

/// Connections a second of the measurement of connections that end in every way.
pub const RATES: [u32; 4] = [10, 100, 1000, 5000];

fn storm_rows(rate: u32, rows: &mut Vec<Row>) {
    let all = format!("of W + {rate} connections/s by FIN and RST of either side");
    let mut row = |name: &str, what: String, unit, goal| {
        add(rows, format!("storm.{rate}.{name}"), "storm", &what, unit, goal);
    };
    row("seen", format!("counted {all}"), "%", Goal::AtLeast(99.9));
    row("over", format!("counted and never there {all}"), "", Goal::AtMost(0.0));
    row("cpu", format!("CPU {all}, budget of a whole core"), "%", Goal::None);
    row("worker", format!("kernel worker, estimated, {all}"), "%", Goal::None);
}

type Variant = (&'static str, &'static str, Goal, Goal);

const VARIANTS: &[Variant] = &[
    (
        "conns",
        "20 k connections, 50 k fds, budget of a whole core",
        Goal::AtMost(1.0),
        Goal::AtMost(32.0),
    ),
    ("fds", "80 k fds", Goal::AtMost(0.2), Goal::None),
    ("netns", "100 netns, 400 processes", Goal::AtMost(0.2), Goal::None),
    ("skew", "W with 60 k fds in one process", Goal::None, Goal::None),
    ("empty", "nothing to watch", Goal::None, Goal::None),
    ("churn", "W + 100 connections/s opened and closed", Goal::AtMost(0.5), Goal::None),
];

type Single = (&'static str, &'static str, &'static str, &'static str, Goal);

const SINGLE: &[Single] = &[
    ("ends.exact", "ends", "CPU at W while ends are reported, none happens", "%", Goal::None),
    ("ends.counters", "ends", "CPU at W while they are not", "%", Goal::None),
    ("cold", "cold", "cold start to the first full report", "s", Goal::AtMost(1.0)),
    ("fresh.median", "fresh", "freshness of a new connection, median", "s", Goal::AtMost(0.6)),
    ("fresh.p95", "fresh", "freshness of a new connection, p95", "s", Goal::AtMost(1.2)),
    ("fresh.share", "fresh", "new connections reported", "%", Goal::AtLeast(100.0)),
    ("fresh.pids", "fresh", "new connections with the right pid", "%", Goal::AtLeast(100.0)),
    ("whole.median", "fresh", "freshness for a reader of whole reports, median", "s", Goal::None),
    ("whole.p95", "fresh", "freshness for a reader of whole reports, p95", "s", Goal::None),
    ("closed.median", "fresh", "closed connection still shown as open, median", "s", Goal::None),
    ("closed.p95", "fresh", "closed connection still shown as open, p95", "s", Goal::None),
    (
        "new.median",
        "new-process",
        "freshness of a new process's connection, median",
        "s",
        Goal::AtMost(0.6),
    ),
    (
        "new.p95",
        "new-process",
        "freshness of a new process's connection, p95",
        "s",
        Goal::AtMost(1.2),
    ),
    (
        "new.pids",
        "new-process",
        "connections of new processes with the right pid",
        "%",
        Goal::AtLeast(100.0),
    ),
    (
        "short.200ms",
        "short",
        "connections of 0.2 s ended by FIN that were seen (pod netns)",
        "%",
        Goal::AtLeast(99.0),
    ),
    (
        "short.1s",
        "short",
        "connections of 1 s ended by FIN that were seen (pod netns)",
        "%",
        Goal::AtLeast(99.0),
    ),
    (
        "directions.wrong",
        "directions",
        "wrong directions of 60, both ports ephemeral",
        "",
        Goal::AtMost(0.0),
    ),
    (
        "directions.unknown",
        "directions",
        "unknown directions of 60, both ports ephemeral",
        "",
        Goal::None,
    ),
    ("coverage.clients", "coverage", "client ends of W in the report", "%", Goal::AtLeast(100.0)),
    ("coverage.servers", "coverage", "server ends of W in the report", "%", Goal::AtLeast(100.0)),
    ("coverage.pids", "coverage", "ends of W with the right pid", "%", Goal::AtLeast(100.0)),
    ("coverage.wrong", "coverage", "ends of W with a wrong direction", "", Goal::AtMost(0.0)),
    ("budget.need", "budget", "CPU wanted without a budget, 20 k connections", "%", Goal::None),
    ("budget.mean", "budget", "the same under a budget of 1m: 60 s mean", "%", Goal::AtMost(0.102)),
    ("budget.worst", "budget", "the same: worst 60 s from the start on", "%", Goal::None),
    (
        "slowdown",
        "slowdown",
        "connect/close storm slowed down by the agent",
        "%",
        Goal::AtMost(0.1),
    ),
    (
        "slowdown.exact",
        "slowdown",
        "the same, `shortLived: Exact` and a budget of a core",
        "%",
        Goal::None,
    ),
];

/// The measurements in the order they run: what `--only` takes.
#[must_use]
pub fn measurements() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = rows().iter().map(|row| row.by).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_share_a_key() {
        let mut keys: Vec<_> = rows().into_iter().map(|row| row.key).collect();
        let all = keys.len();

        keys.sort();
        keys.dedup();

        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_measurement_is_named_once() {
        let names = measurements();

        assert!(
            names.iter().all(|name| names.iter().filter(|other| other == &name).count() == 1),
            "{names:?}"
        );
    }

    #[test]
    fn the_limit_itself_holds() {
        assert_eq!(
            (Goal::AtMost(0.1).holds(0.1), Goal::AtLeast(99.0).holds(98.3)),
            (Some(true), Some(false))
        );
    }
}
