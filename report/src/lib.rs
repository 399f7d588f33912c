//! The report of one node, as its agent serves it at `/v1/report`: what the plugin and the benches read of it.
//!
//! In: its JSON. Out: [`Report`] with the fields that someone reads; others are skipped, and one that an older agent does not
//! send has a default. The agent writes its report by hand ([ADR 14](../../docs/adr/0014-the-report-is-written-by-hand.md)); a
//! test there holds that each field here is one that it writes. It must not judge what it reads.
//!
//! Pure: data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A report.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Report {
    /// Number of this picture; `since=` takes it.
    pub epoch: u64,
    /// Which agent made it, between two of its starts: numbers of things count within it. An older agent does not say.
    pub instance: String,
    /// `false`: only what changed since the epoch that was asked for. An agent that does not say sends everything.
    #[serde(default = "yes")]
    pub full: bool,
    /// What is gone since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
    /// When, Unix seconds.
    pub time: f64,
    /// The node.
    pub node: String,
    /// What the reader may see of it: these namespaces; empty is everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// How the kernel is read.
    pub source: String,
    /// What the agent gave up to stay inside its budget.
    pub level: String,
    /// How connections that end are counted.
    pub short_lived: ShortLived,
    /// How many of the connections opened were seen.
    pub coverage: Coverage,
    /// Processes.
    pub processes: Vec<Process>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Listening sockets.
    pub listeners: Vec<Listener>,
    /// Pods of the node.
    pub pods: Vec<Pod>,
    /// Flows.
    pub flows: Vec<Flow>,
    /// What is about to run full; an older agent does not say.
    pub risks: Option<Vec<Risk>>,
    /// What is missing, by reason, since the agent's start.
    pub losses: BTreeMap<String, u64>,
    /// Ends of connections without a name, by reason, now.
    pub unresolved: BTreeMap<String, u64>,
    /// What is known of the cluster, by kind of object.
    pub cluster: BTreeMap<String, Known>,
    /// The agent.
    pub agent: Agent,
}

impl Report {
    /// Whether it is of some namespaces only, as the reader may see no others.
    #[must_use]
    pub const fn is_narrow(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// Sockets that the kernel counts and no source sees, now.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        let since_start = || self.losses.get(UNSEEN).copied().unwrap_or(0);
        self.coverage.unseen.unwrap_or_else(since_start)
    }
}

/// The loss that [`Report::unseen`] is the present value of.
pub const UNSEEN: &str = "unseen";

const fn yes() -> bool {
    true
}

/// Ids of records that are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Removed {
    /// Of connections.
    pub connections: Vec<u64>,
}

/// How connections that end are counted.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ShortLived {
    /// `Exact` or `Counters`.
    pub mode: String,
    /// Why it is not `Exact` although that was asked for.
    pub reason: Option<String>,
    /// What `Exact` would need.
    pub needed_cores: Option<f64>,
    /// Messages of the kernel.
    pub received: u64,
    /// How often it had no space.
    pub overruns: u64,
}

/// How many of the connections opened were seen.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Coverage {
    /// In the last minute.
    pub ratio: Option<f64>,
    /// Opened in the last minute.
    pub opened: u64,
    /// Sockets that the kernel counts and no source sees, now; an older agent does not say.
    pub unseen: Option<u64>,
    /// Since the agent's start.
    pub total: Total,
}

/// The same since the agent's start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Total {
    /// The share.
    pub ratio: Option<f64>,
    /// Opened.
    pub opened: u64,
}

/// Objects of one kind.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Known {
    /// How many.
    pub known: u64,
    /// Whether the list is complete.
    pub synced: bool,
}

/// A process.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it started, Unix seconds.
    pub start_time: f64,
    /// Its name.
    pub comm: String,
    /// Its pod, `namespace/name`.
    pub pod: Option<String>,
    /// The container's id.
    pub container: Option<String>,
    /// CPU time.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Open files.
    pub open_fds: Option<u64>,
    /// Threads.
    pub threads: u64,
}

/// A connection.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Connection {
    /// Unique while the agent runs.
    pub id: u64,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// As `ss` spells it.
    pub state: String,
    /// Own address and port.
    pub local: String,
    /// The other end's.
    pub remote: String,
    /// Inode number of the network namespace.
    pub netns: Option<u64>,
    /// `outbound`, `inbound`, `unknown`.
    pub direction: String,
    /// The process.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: String,
    /// Its pod, `namespace/name`.
    pub pod: Option<String>,
    /// The other end.
    pub peer: Peer,
    /// Bytes sent and acknowledged.
    pub bytes_sent: Option<u64>,
    /// Bytes received.
    pub bytes_received: Option<u64>,
    /// Round-trip time.
    pub rtt_seconds: Option<f64>,
    /// Segments sent with data.
    pub segments_sent: Option<u64>,
    /// Of these, sent again.
    pub segments_retransmitted: Option<u64>,
    /// When it was first seen, Unix seconds.
    pub since: f64,
}

/// The other end of a connection.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Peer {
    /// `pod`, `service`, `node`, `group`, `container`, `process`, `external`, `unresolved`.
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// Its pod, `namespace/name`.
    pub pod: Option<String>,
    /// The Service by which it is known, `namespace/name`.
    pub service: Option<String>,
    /// Its workload, `namespace/Kind/name`.
    pub workload: Option<String>,
}

/// A listening socket.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address and port.
    pub local: String,
    /// The process.
    pub pid: Option<u32>,
    /// Its pod.
    pub pod: Option<String>,
}

/// A pod of the node.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its Services, `namespace/name`.
    pub services: Vec<String>,
    /// Its workload, `namespace/Kind/name`.
    pub workload: String,
    /// Whether it has its node's addresses.
    pub host_network: bool,
    /// Its addresses.
    pub ips: Vec<String>,
    /// `Pending`, `Running` or `Ended`; the address of one that ended may be another's.
    pub phase: String,
}

/// A flow.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Flow {
    /// Who opened the connections.
    pub source: End,
    /// Who accepted them.
    pub destination: End,
    /// The Service that was used, `namespace/name`.
    pub service: Option<String>,
    /// The port that answers; the one that was connected to where that is not known.
    pub port: u16,
    /// The port of the Service, or of a node, that was connected to.
    pub service_port: Option<u16>,
    /// Which end the node reports: `source` or `destination`. Empty from older agents, whose `port` is the one
    /// that was connected to.
    pub reporter: String,
    /// The node of the source, where the destination reports; with a colon if it is not one that is known.
    pub source_node: Option<String>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Open now.
    pub current: u64,
    /// Seen to open.
    pub opened: u64,
    /// From source to destination.
    pub bytes_sent: u64,
    /// From destination to source.
    pub bytes_received: u64,
    /// Round-trip times of its connections.
    pub rtt_seconds: Option<Rtt>,
    /// Of what was sent lately, the share that was sent again.
    pub retransmitted_share: Option<f64>,
    /// Attempts to connect that failed.
    pub failed: u64,
    /// Connections that ended by a reset.
    pub resets: u64,
    /// What is wrong with it now.
    pub problems: Vec<String>,
}

/// Round-trip times, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Rtt {
    /// The least.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// Something that is about to run full.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Risk {
    /// What.
    pub risk: String,
    /// The process.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: String,
    /// Its pod; none for what is the node's.
    pub pod: Option<String>,
    /// The port that it is about.
    pub port: Option<u16>,
    /// The destination whose ports are used up.
    pub remote: Option<String>,
    /// In use.
    pub used: u64,
    /// How much may be.
    pub limit: Option<u64>,
    /// Since when, Unix seconds.
    pub since: f64,
}

/// One end of a flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(default)]
pub struct End {
    /// As of a connection's peer, and `workload`.
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
}

/// The agent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Agent {
    /// Its release.
    pub version: String,
    /// What it gave up for its budget.
    pub level: String,
    /// Why, and what it would take.
    pub level_reason: String,
    /// CPU over the last window.
    pub cpu_cores: f64,
    /// CPU that it may use.
    pub budget_cores: f64,
    /// The window.
    pub window_seconds: f64,
    /// Age of what it shows.
    pub freshness_seconds: f64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// When it started, Unix seconds.
    pub started: f64,
    /// Intervals that the configuration asks for.
    pub desired_interval_seconds: BTreeMap<String, Option<f64>>,
    /// Intervals that it attains.
    pub effective_interval_seconds: BTreeMap<String, Option<f64>>,
    /// What it could not use, a message each.
    pub refused: Vec<String>,
    /// What is wrong with the configuration that it was assigned last.
    pub config_error: Option<String>,
    /// What it may do.
    pub rights: Rights,
}

/// What an agent could do at its start, and what of that it kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rights {
    /// Capabilities of the start.
    pub start: Vec<String>,
    /// Threads that keep any.
    pub held: Vec<Held>,
    /// What keeps it from more.
    pub protections: Vec<Protection>,
}

/// Capabilities of a thread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Held {
    /// Its name.
    pub thread: String,
    /// Which.
    pub capabilities: Vec<String>,
}

/// What keeps an agent from more than it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Protection {
    /// As in `seccomp`.
    pub name: String,
    /// It does.
    pub in_force: bool,
    /// Why not.
    pub why: Option<String>,
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// The port of `address:port`.
#[must_use]
pub fn port(end: &str) -> u16 {
    end.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(0)
}

/// The address of `address:port`, without brackets.
#[must_use]
pub fn address(end: &str) -> &str {
    let address = end.rsplit_once(':').map_or(end, |(address, _)| address);
    address.trim_start_matches('[').trim_end_matches(']')
}
