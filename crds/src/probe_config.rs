//! The spec of `ProbeConfig`: everything that people may change while agents run, with its default.
//!
//! In: nothing; these are the types that a file or the API server fills. Out: a complete spec, for which
//! [`ProbeConfigSpec::validate`] holds the rules and [`ProbeConfigSpec::from_value`] the reading. What needs a restart
//! (image, mounts, capabilities, listen address) does not belong here. The field comments are the user's manual.
//! Pure: data.
#![allow(clippy::duplicated_attributes, reason = "each column of kube's derive has a type")]

pub(crate) mod bounds;
mod cidr_rules;
mod rank;
mod reading;
pub(crate) mod rules;
mod status;
mod wire;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cidr, CpuQuantity, Interval, LabelSelector};
pub use rank::Rank;
pub use status::{Failure, Fleet, NodeCounts, NodeCpu, Phase, ProbeConfigStatus, RolloutStatus};

/// How an agent observes its node and how much it may spend on it. Every field may be left out.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "probelet.io",
    version = "v1alpha1",
    kind = "ProbeConfig",
    status = "ProbeConfigStatus",
    shortname = "pcfg",
    category = "probelet",
    doc = "How agents observe their nodes and how much they may spend on it. One configuration wins per node.",
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority"),
    printcolumn(name = "Nodes", type_ = "integer", json_path = ".status.nodes.effective"),
    printcolumn(name = "Applied", type_ = "integer", json_path = ".status.nodes.applied"),
    printcolumn(
        name = "Failed",
        type_ = "integer",
        json_path = ".status.nodes.failed",
        priority = 1
    ),
    printcolumn(
        name = "OverBudget",
        type_ = "integer",
        json_path = ".status.nodes.overBudget",
        priority = 1
    ),
    printcolumn(name = "Budget", type_ = "string", json_path = ".spec.budget.cpu"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.fleet.cpu"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeConfigSpec {
    /// Which configuration wins on a node that several match: the highest priority, then the oldest, then the first
    /// by name. From -1000 to 1000, default 0. Configurations are never merged.
    pub priority: i32,
    /// The nodes that this configuration is for, by their labels. Default: all of them. The configuration named
    /// `default` is for all nodes and can have no selector. Without a cluster it has no effect.
    pub node_selector: LabelSelector,
    /// The nodes that this configuration is for, by their names, such as one that is to be paused: a label is what a
    /// machine calls itself, and two may share it. A node must be named here and fit `nodeSelector`. At most 100, default
    /// none: the names do not matter. The configuration named `default` can have none. Without a cluster it has no effect.
    pub node_names: Vec<String>,
    /// Stops all collection within a second, while metrics and health stay served. Default false.
    pub paused: bool,
    /// How the kernel is read. Default `Auto`: the cheapest source that this node allows.
    pub source: Source,
    /// How often each kind of data is read. The budget may stretch each interval; the agent publishes what it attains.
    pub intervals: Intervals,
    /// How far each wait may deviate from its interval, in percent, so that agents do not work in step. From 0 to 50,
    /// default 10.
    pub jitter_percent: i32,
    /// How much CPU time the agent may use for everything it does: reading, joining, serving, talking to the API server.
    pub budget: Budget,
    /// Upper bounds on tables and on each kind of work, apart from the budget. What does not fit is counted and reported.
    pub limits: Limits,
    /// How connections that open and close between two passes are counted. Default `Auto`.
    pub short_lived: ShortLived,
    /// How connections are given the names of pods and Services. Without a cluster it has no effect.
    #[serde(rename = "match")]
    pub matching: Match,
    /// What Prometheus gets from the agent's `/metrics`.
    pub metrics: Metrics,
    /// What is written into the status of the node's `NodeProbe`. Without a cluster it has no effect.
    pub reporting: Reporting,
    /// How a change of this configuration reaches its nodes. Without a cluster it has no effect.
    pub rollout: Rollout,
}

impl Default for ProbeConfigSpec {
    fn default() -> Self {
        Self {
            priority: 0,
            node_selector: LabelSelector::default(),
            node_names: Vec::new(),
            paused: false,
            source: Source::default(),
            intervals: Intervals::default(),
            jitter_percent: 10,
            budget: Budget::default(),
            limits: Limits::default(),
            short_lived: ShortLived::default(),
            matching: Match::default(),
            metrics: Metrics::default(),
            reporting: Reporting::default(),
            rollout: Rollout::default(),
        }
    }
}

/// One way to read the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum Source {
    /// The first of the sources below that works on the node.
    #[default]
    Auto,
    /// BPF programs run on demand; needs Linux 6.2 with BTF, `CAP_BPF` and `CAP_PERFMON`.
    Bpf,
    /// The same for Linux 5.19 and later, at several times the CPU.
    BpfCompat,
    /// Socket diagnosis over netlink in each network namespace; needs `CAP_SYS_ADMIN` and `CAP_SYS_PTRACE`.
    Netlink,
    /// The text files of `/proc`; needs `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`. By far the most CPU.
    Procfs,
}

/// How often each kind of data is read. Each is a length of time such as `500ms`, `1s` or `1m30s`, from 100ms to 1h.
/// The budget may stretch them; the agent publishes what it attains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Intervals {
    /// Time between two scans of the sockets: a length of time such as `500ms`, `1s` or `1m30s`. From 100ms to 1h,
    /// default 1s. A scan of unchanged sockets costs next to nothing.
    pub sockets: Interval,
    /// Time between two reads of the processes: CPU time, memory, threads and open files. From 100ms to
    /// 1h, default 1s.
    pub processes: Interval,
    /// Time between two reads of the containers' CPU and memory from their cgroups. From 100ms to 1h, default 10s.
    pub containers: Interval,
    /// Time between two reads of the traffic counters and of open files of unchanged sockets. From 100ms to 1h, default
    /// 10s; not shorter than `sockets`.
    pub bytes: Interval,
    /// Time between two reports to those who read them. From 100ms to 1h, default 1s.
    pub report: Interval,
}

impl Default for Intervals {
    fn default() -> Self {
        let (second, ten) = (Interval::from_secs(1), Interval::from_secs(10));
        Self { sockets: second, processes: second, containers: ten, bytes: ten, report: second }
    }
}

/// The CPU time that the agent may use for everything it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The CPU that the agent may use at most, as a Kubernetes quantity: `5m` is half a percent of one core. From 1m to
    /// 8, default 5m. It is held on average over `window`. A fraction
    /// of a core needs quotes: `"0.005"`.
    pub cpu: CpuQuantity,
    /// The time over which the budget is held: what was saved in it may be spent at once. From 10s to 10m, default
    /// 1m; not shorter than `intervals.sockets`.
    pub window: Interval,
    /// What is given up when the budget is too small. Default `Degrade`.
    pub policy: BudgetPolicy,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            cpu: CpuQuantity::from_millicores(5),
            window: Interval::from_secs(60),
            policy: BudgetPolicy::default(),
        }
    }
}

/// What is given up when the budget is too small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum BudgetPolicy {
    /// First passes come less often, then the detail of processes goes.
    #[default]
    Degrade,
    /// Passes come less often, as seldom as it takes; what they show stays complete.
    Stretch,
}

/// Upper bounds. Tables are allocated once to their bound; what does not fit is counted and reported, never a crash.
/// Rates hold separately from the budget, for each kind of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The most sockets that are kept in memory; further ones are counted only. From 1024 to 2097152, default 65536.
    pub max_sockets: i32,
    /// The most processes that are kept in memory; further ones are counted only. From 256 to 131072, default 16384.
    pub max_processes: i32,
    /// The most files of `/proc` that are read in a second. From 10 to 1000000, default 5000.
    pub procfs_reads_per_second: i32,
    /// The most file descriptors that are read one by one in a second. From 100 to 10000000, default 20000.
    pub fds_per_second: i32,
    /// The most network namespaces that are entered in a second. From 1 to 100000, default 500.
    pub netns_per_second: i32,
    /// The most writes to the API server in a minute. From 1 to 60, default 6.
    pub api_writes_per_minute: i32,
    /// The most reports that are served in a second; more are answered with status 429. From 1 to 1000, default 20.
    pub report_requests_per_second: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_sockets: 65_536,
            max_processes: 16_384,
            procfs_reads_per_second: 5000,
            fds_per_second: 20_000,
            netns_per_second: 500,
            api_writes_per_minute: 6,
            report_requests_per_second: 20,
        }
    }
}

/// How connections that open and close between two passes are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum ShortLived {
    /// `Exact` while what it costs fits into the budget beside all else, the kernel's part included; else `Counters`.
    #[default]
    Auto,
    /// Each end of each TCP connection, as the kernel reports it when a socket goes (the destroy groups of socket
    /// diagnosis). About 7 µs of CPU an end, most of it in a kernel worker, which is charged to the budget up to half
    /// of it; workloads pay about 1 µs a connection. Needs `CAP_NET_ADMIN` and `CAP_NET_BROADCAST`, and the node's
    /// network namespace.
    Exact,
    /// From what the kernel keeps of closed connections, about half of the ends; costs the workload nothing.
    Counters,
}

/// How connections are given the names of pods and Services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Match {
    /// How the Services of this node's pods are found. Default `Selectors`.
    pub service_matching: ServiceMatching,
    /// How the remote end of a connection is named. Default `EndpointSlices`.
    pub peers: Peers,
    /// Names for ranges of addresses outside of the cluster, for remote ends that nothing else names. The narrowest
    /// range counts. At most 32 groups, default none.
    pub cidr_groups: Vec<CidrGroup>,
}

/// A name for ranges of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CidrGroup {
    /// How the remote end is called: 1 to 63 lower case letters, digits and inner dashes. Words that the report uses
    /// itself, such as `pod` or `external`, are refused.
    pub name: String,
    /// The ranges, such as `10.0.0.0/8` or `fd00::/8`: 1 to 64, each beginning at its first address, each in one group
    /// only.
    pub cidrs: Vec<String>,
}

impl CidrGroup {
    /// The ranges. What is none is left out, of which a valid spec has nothing.
    pub fn ranges(&self) -> impl Iterator<Item = Cidr> + '_ {
        self.cidrs.iter().filter_map(|text| text.parse().ok())
    }
}

/// How the Services of a pod are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum ServiceMatching {
    /// By matching the Services' label selectors to the pod's labels.
    #[default]
    Selectors,
    /// By looking the pod up in the `EndpointSlice` objects.
    EndpointSlices,
    /// They are not looked for.
    Off,
}

/// How the remote end of a connection is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum Peers {
    /// By pod and Service, from a watch of all `EndpointSlice` objects: what kube-proxy pays already.
    #[default]
    EndpointSlices,
    /// By Service only, from the Services' own addresses: for very large clusters.
    ServiceIPs,
    /// By address only.
    Off,
}

/// What Prometheus is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// What one series stands for. Default `Workload`.
    pub granularity: Granularity,
    /// The most series about connections and workloads; further ones are folded into `other`. From 10 to 20000,
    /// default 500.
    pub max_series: i32,
    /// How long a series stays after its last change. From 1m to 24h, default 5m.
    pub ttl: Interval,
    /// Of which flows round-trip times, retransmissions, failed attempts and resets are shown. Default `Problems`.
    pub health: FlowHealth,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            granularity: Granularity::default(),
            max_series: 500,
            ttl: Interval::from_secs(300),
            health: FlowHealth::default(),
        }
    }
}

/// Of which flows the health is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum FlowHealth {
    /// Of those that lose segments or fail to connect.
    #[default]
    Problems,
    /// Of all, as far as a fifth of `maxSeries` goes.
    All,
    /// Of none.
    Off,
}

/// What one series stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum Granularity {
    /// A workload: a Deployment, a `DaemonSet`, a container's name.
    #[default]
    Workload,
    /// A Service.
    Service,
    /// A single pod: many series, and new ones with each rollout.
    Pod,
}

/// What is written into the status of the node's `NodeProbe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Reporting {
    /// How much is written. Default `Summary`.
    pub mode: ReportingMode,
    /// How many of the largest flows and of the largest processes are named. From 0 to 5, default 5.
    pub top_n: i32,
    /// The least time between two writes. From 10s to 1h, default 30s.
    pub min_interval: Interval,
    /// The time, give or take half of it, after which an unchanged status is written again. From 1m to 24h, default 10m;
    /// not shorter than `minInterval`.
    pub refresh_interval: Interval,
}

impl Default for Reporting {
    fn default() -> Self {
        Self {
            mode: ReportingMode::default(),
            top_n: 5,
            min_interval: Interval::from_secs(30),
            refresh_interval: Interval::from_secs(600),
        }
    }
}

/// Whether a status is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::variants::name_variants)]
pub enum ReportingMode {
    /// A summary of at most 2 KiB.
    #[default]
    Summary,
    /// Conditions only.
    Off,
}

/// How a change of this configuration reaches its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// The most nodes that get a change in a minute. From 1 to 100000, default 3000.
    pub max_nodes_per_minute: i32,
    /// The share of nodes, in percent, that get a change first, to see whether they accept it. From 0 to 100,
    /// default 5.
    pub canary_percent: i32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { max_nodes_per_minute: 3000, canary_percent: 5 }
    }
}
