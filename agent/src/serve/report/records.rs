//! One record as one JSON object, with the fixed field names of the report.
//!
//! In: a record and the [`Scene`] that resolves its ids. Out: bytes at the end of a buffer. It must
//! not decide which records are shown.
//!
//! Pure: no I/O.

use super::json;
use super::json::{address, decimal, endpoint, int, int_or_null, string, string_or_null};
use crate::serve::sight::Sight;
use probelet_core::cluster::PodRecord;
use probelet_core::cluster::objects::Phase;
use probelet_core::display::DisplayNames;
use probelet_core::facts::{Comm, ContainerId, Endpoint, Quality};
use probelet_core::names::Name;
use probelet_core::records::{
    ConnectionRecord, ContainerRecord, Direction, FlowRecord, Health, ListenerRecord, Origin,
    Owner, ProcessRecord, RiskRecord, Rtt, Workload,
};
use probelet_core::report::Picture;
use std::net::Ipv4Addr;

/// What ids mean, for the length of one response.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) picture: &'a Picture,
    pub(super) labels: &'a DisplayNames,
    /// What the reader may see: whatever is foreign is `other`, without a name and without an address.
    pub(super) sight: &'a Sight,
    /// Unix time of boot, microseconds.
    pub(super) boot_us: u64,
}

/// Appends a literal.
macro_rules! lit {
    ($out:expr, $text:expr) => {
        $out.extend_from_slice($text.as_bytes())
    };
}

impl Scene<'_> {
    pub(super) fn process(&self, out: &mut Vec<u8>, record: &ProcessRecord) {
        let fact = &record.fact;
        self.process_key(out, fact.pid, fact.start_ns);
        out.pop();
        lit!(out, ",\"ppid\":");
        int(out, u64::from(fact.ppid));
        self.who(out, fact.comm, fact.container, fact.container);
        lit!(out, ",\"cpuSeconds\":");
        decimal(out, fact.cpu_ns, 9);
        lit!(out, ",\"rssBytes\":");
        int(out, fact.rss_bytes);
        lit!(out, ",\"openFds\":");
        int_or_null(out, fact.open_fds.map(u64::from));
        lit!(out, ",\"filesLimit\":");
        int_or_null(out, (fact.files_limit != 0).then_some(u64::from(fact.files_limit)));
        lit!(out, ",\"threads\":");
        int(out, u64::from(fact.threads));
        lit!(out, ",\"netns\":");
        int(out, u64::from(fact.netns));
        out.push(b'}');
    }

    /// What identifies a process: `{"pid":..,"startTime":..}`.
    pub(super) fn process_key(&self, out: &mut Vec<u8>, pid: u32, start_ns: u64) {
        lit!(out, "{\"pid\":");
        int(out, u64::from(pid));
        lit!(out, ",\"startTime\":");
        decimal(out, self.boot_us + start_ns / 1000, 6);
        out.push(b'}');
    }

    pub(super) fn connection(&self, out: &mut Vec<u8>, record: &ConnectionRecord) {
        lit!(out, "{\"id\":");
        int(out, record.id);
        lit!(out, ",\"protocol\":\"");
        lit!(out, record.protocol.name());
        lit!(out, "\",\"state\":\"");
        lit!(out, record.state.name());
        lit!(out, "\",\"local\":");
        endpoint(out, record.local);
        lit!(out, ",\"remote\":");
        let foreign = !self.sight.peer(record, self.picture);
        endpoint(out, if foreign { hidden(record) } else { record.remote });
        lit!(out, ",\"netns\":");
        int(out, u64::from(record.netns));
        lit!(out, ",\"direction\":\"");
        lit!(out, record.direction.name());
        lit!(out, "\"");
        self.owner(out, &record.owner);
        lit!(out, ",\"peer\":{");
        if foreign {
            self.other(out);
            lit!(out, ",\"pod\":null,\"service\":null,\"workload\":null");
        } else {
            self.peer(out, record);
        }
        lit!(out, "},\"bytesSent\":");
        int_or_null(out, record.bytes.map(|(sent, _)| sent));
        lit!(out, ",\"bytesReceived\":");
        int_or_null(out, record.bytes.map(|(_, received)| received));
        quality(out, record.quality);
        lit!(out, ",\"since\":");
        decimal(out, record.since_ms, 3);
        out.push(b'}');
    }

    /// What the cluster calls the other end, else what the kernel shows of it.
    fn peer(&self, out: &mut Vec<u8>, record: &ConnectionRecord) {
        let named = record.named.peer.and_then(|id| self.picture.name(id));
        match record.named.peer {
            Some(id) => self.workload(out, Workload::Named(id)),
            None => self.workload(out, record.peer),
        }
        lit!(out, ",\"pod\":");
        let pod = match (named, record.peer) {
            (Some(name @ Name::Pod { .. }), _) => return self.named_pod(out, name, record),
            (None, Workload::Container(id)) => self.pod(Some(id)),
            _ => None,
        };
        string_or_null(out, pod);
        self.service(out, record);
        lit!(out, ",\"workload\":null");
    }

    fn other(&self, out: &mut Vec<u8>) {
        self.workload(out, Workload::Other);
    }

    fn named_pod(&self, out: &mut Vec<u8>, name: &Name, record: &ConnectionRecord) {
        text(out, &name);
        self.service(out, record);
        lit!(out, ",\"workload\":");
        let Name::Pod { workload, .. } = name else { return lit!(out, "null") };
        match workload.and_then(|id| self.picture.name(id)) {
            Some(workload) => text(out, &workload),
            None => lit!(out, "null"),
        }
    }

    fn service(&self, out: &mut Vec<u8>, record: &ConnectionRecord) {
        lit!(out, ",\"service\":");
        match record.named.service.and_then(|id| self.picture.name(id)) {
            Some(service) => text(out, &service),
            None => lit!(out, "null"),
        }
    }

    pub(super) fn listener(&self, out: &mut Vec<u8>, record: &ListenerRecord) {
        lit!(out, "{\"id\":");
        int(out, record.id);
        lit!(out, ",\"protocol\":\"");
        lit!(out, record.protocol.name());
        lit!(out, "\",\"local\":");
        endpoint(out, record.local);
        lit!(out, ",\"netns\":");
        int(out, u64::from(record.netns));
        self.owner(out, &record.owner);
        lit!(out, ",\"queue\":");
        int_or_null(out, record.queue.map(|queue| u64::from(queue.waiting)));
        lit!(out, ",\"queueLimit\":");
        int_or_null(out, record.queue.map(|queue| u64::from(queue.most)));
        lit!(out, ",\"since\":");
        decimal(out, record.since_ms, 3);
        out.push(b'}');
    }

    pub(super) fn container(&self, out: &mut Vec<u8>, record: &ContainerRecord) {
        let Some(container) = self.picture.container(record.id) else { return lit!(out, "null") };
        lit!(out, "{\"id\":");
        string(out, container.id.as_bytes());
        lit!(out, ",\"name\":");
        string_or_null(out, self.labels.get(record.id).map(|l| &*l.name));
        let named = self.labels.named(&container.id);
        lit!(out, ",\"image\":");
        string_or_null(out, named.map(|n| n.image.as_str()));
        lit!(out, ",\"labels\":{");
        for (n, (key, value)) in named.into_iter().flat_map(|n| &n.labels).enumerate() {
            if n > 0 {
                out.push(b',');
            }
            string(out, key.as_bytes());
            out.push(b':');
            string(out, value.as_bytes());
        }
        lit!(out, "},\"runtime\":\"");
        lit!(out, container.runtime.name());
        lit!(out, "\",\"podUid\":");
        string_or_null(out, container.pod_uid.as_deref());
        lit!(out, ",\"cgroup\":");
        string(out, container.cgroup.as_bytes());
        lit!(out, ",\"processes\":");
        int(out, u64::from(record.processes));
        lit!(out, ",\"cpuSeconds\":");
        match record.cpu_ns {
            Some(ns) => decimal(out, ns, 9),
            None => lit!(out, "null"),
        }
        lit!(out, ",\"memoryBytes\":");
        int_or_null(out, record.memory_bytes);
        out.push(b'}');
    }

    /// What identifies a container: its full id.
    pub(super) fn container_key(&self, out: &mut Vec<u8>, id: ContainerId) {
        string_or_null(out, self.picture.container(id).map(|c| c.id.as_str()));
    }

    pub(super) fn flow(&self, out: &mut Vec<u8>, record: &FlowRecord) {
        lit!(out, "{\"id\":");
        int(out, record.id);
        lit!(out, ",\"source\":{");
        self.workload(out, self.shown(record.key.source));
        lit!(out, "},\"destination\":{");
        self.workload(out, self.shown(record.key.destination));
        lit!(out, "},\"service\":");
        let service = record.key.service.filter(|id| self.sight.name(*id, self.picture));
        match service.and_then(|id| self.picture.name(id)) {
            Some(name) => text(out, &name),
            None => lit!(out, "null"),
        }
        lit!(out, ",\"port\":");
        int(out, u64::from(record.key.port));
        lit!(out, ",\"servicePort\":");
        let dialled = record.key.service_port;
        int_or_null(out, (dialled != 0).then_some(u64::from(dialled)));
        lit!(out, ",\"reporter\":\"");
        lit!(out, record.key.reporter().name());
        lit!(out, "\",\"sourceNode\":");
        string_or_null(out, source_node(record.key.origin, self.picture));
        lit!(out, ",\"protocol\":\"");
        lit!(out, record.key.protocol.name());
        lit!(out, "\",\"current\":");
        int(out, u64::from(record.current));
        lit!(out, ",\"opened\":");
        int(out, record.opened);
        lit!(out, ",\"closed\":");
        int(out, record.closed);
        lit!(out, ",\"bytesSent\":");
        int(out, record.bytes_sent);
        lit!(out, ",\"bytesReceived\":");
        int(out, record.bytes_received);
        health(out, &record.health);
        out.push(b'}');
    }

    pub(super) fn risk(&self, out: &mut Vec<u8>, record: &RiskRecord) {
        lit!(out, "{\"id\":");
        int(out, record.id);
        lit!(out, ",\"risk\":\"");
        lit!(out, record.risk.name());
        lit!(out, "\"");
        self.owner(out, &record.owner);
        lit!(out, ",\"netns\":");
        int_or_null(out, (record.netns != 0).then_some(u64::from(record.netns)));
        lit!(out, ",\"port\":");
        int_or_null(out, (record.port != 0).then_some(u64::from(record.port)));
        lit!(out, ",\"remote\":");
        if record.remote == Endpoint::default() || self.sight.is_narrow() {
            lit!(out, "null");
        } else {
            endpoint(out, record.remote);
        }
        lit!(out, ",\"used\":");
        int(out, record.used);
        lit!(out, ",\"limit\":");
        int_or_null(out, (record.limit != 0).then_some(record.limit));
        lit!(out, ",\"since\":");
        decimal(out, record.since_ms, 3);
        out.push(b'}');
    }

    /// An end as the reader may see it.
    fn shown(&self, end: Workload) -> Workload {
        if self.sight.workload(end, self.picture) { end } else { Workload::Other }
    }

    fn owner(&self, out: &mut Vec<u8>, owner: &Owner) {
        lit!(out, ",\"pid\":");
        int_or_null(out, (owner.pid != 0).then_some(u64::from(owner.pid)));
        self.who(out, owner.comm, owner.container, owner.pod());
    }

    fn who(
        &self,
        out: &mut Vec<u8>,
        comm: Comm,
        container: Option<ContainerId>,
        pod: Option<ContainerId>,
    ) {
        lit!(out, ",\"comm\":");
        json::comm(out, comm);
        lit!(out, ",\"container\":");
        match container.and_then(|id| self.picture.container(id)) {
            Some(container) => string(out, container.id.as_bytes()),
            None => lit!(out, "null"),
        }
        if container == Some(ContainerId::UNKNOWN) {
            lit!(out, ",\"containerUnknown\":true");
        }
        lit!(out, ",\"pod\":");
        string_or_null(out, self.pod(pod));
    }

    fn workload(&self, out: &mut Vec<u8>, workload: Workload) {
        let label = match workload {
            Workload::Container(id) => self.labels.get(id),
            _ => None,
        };
        // A container is its pod, where that is known.
        let pod = label.and_then(|label| label.pod.as_deref());
        lit!(out, "\"kind\":\"");
        lit!(out, if pod.is_some() { "pod" } else { kind(workload, self.picture) });
        lit!(out, "\",\"name\":");
        match workload {
            Workload::Container(_) => string_or_null(out, pod.or(label.map(|l| &*l.name))),
            Workload::Process(comm) => json::comm(out, comm),
            Workload::External(addr) => {
                out.push(b'"');
                address(out, addr.ip());
                out.push(b'"');
            }
            Workload::Named(id) => match self.picture.name(id) {
                Some(name) => text(out, &name),
                None => lit!(out, "null"),
            },
            Workload::Unresolved | Workload::Other => lit!(out, "null"),
        }
    }

    fn pod(&self, container: Option<ContainerId>) -> Option<&str> {
        self.labels.get(container?)?.pod.as_deref()
    }
}

/// The address of a foreign end: no address, and the port only where it is the one that this end connected to.
fn hidden(record: &ConnectionRecord) -> Endpoint {
    let dialled = record.direction == Direction::Outbound;
    Endpoint::v4(Ipv4Addr::UNSPECIFIED, if dialled { record.remote.port } else { 0 })
}

/// How a connection fares.
fn quality(out: &mut Vec<u8>, quality: Option<Quality>) {
    lit!(out, ",\"rttSeconds\":");
    seconds_or_null(out, quality.map_or(0, |quality| quality.rtt_us));
    lit!(out, ",\"segmentsSent\":");
    int_or_null(out, quality.map(|quality| u64::from(quality.segments)));
    lit!(out, ",\"segmentsRetransmitted\":");
    int_or_null(out, quality.map(|quality| u64::from(quality.retransmitted)));
}

/// How the connections of a flow fare.
fn health(out: &mut Vec<u8>, health: &Health) {
    lit!(out, ",\"rttSeconds\":");
    let Rtt { min_us, median_us, p99_us } = health.rtt;
    if min_us == 0 {
        lit!(out, "null");
    } else {
        for (field, us) in
            [("{\"min\":", min_us), (",\"median\":", median_us), (",\"p99\":", p99_us)]
        {
            lit!(out, field);
            seconds_or_null(out, us);
        }
        out.push(b'}');
    }
    let counts = [
        (",\"segmentsSent\":", health.segments),
        (",\"segmentsRetransmitted\":", health.retransmitted),
        (",\"failed\":", health.failed),
        (",\"resets\":", health.resets),
    ];
    for (field, n) in counts {
        lit!(out, field);
        int(out, n);
    }
    lit!(out, ",\"retransmittedShare\":");
    match health.recent.share() {
        Some(share) => json::write(out, format_args!("{share:.4}")),
        None => lit!(out, "null"),
    }
    lit!(out, ",\"problems\":[");
    for (n, problem) in health.problems.names().enumerate() {
        json::write(out, format_args!("{}\"{problem}\"", if n > 0 { "," } else { "" }));
    }
    out.push(b']');
}

/// Microseconds as seconds; 0 is what is not known.
fn seconds_or_null(out: &mut Vec<u8>, us: u32) {
    match us {
        0 => lit!(out, "null"),
        us => decimal(out, u64::from(us), 6),
    }
}

/// A pod of this node; only in a cluster there are any.
pub(super) fn pod_of_node(out: &mut Vec<u8>, record: &PodRecord) {
    let pod = &*record.shown;
    lit!(out, "{\"id\":");
    int(out, record.id);
    let (kind, workload) = (&*pod.workload.0, &*pod.workload.1);
    for (field, value) in [("namespace", &*pod.namespace), ("name", &*pod.name), ("uid", &*pod.uid)]
    {
        json::write(out, format_args!(",\"{field}\":"));
        string(out, value.as_bytes());
    }
    lit!(out, ",\"services\":[");
    for (n, service) in pod.services.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        text(out, &format_args!("{}/{service}", pod.namespace));
    }
    lit!(out, "],\"serviceCount\":");
    int(out, pod.service_count as u64);
    lit!(out, ",\"workload\":");
    text(out, &format_args!("{}/{kind}/{workload}", pod.namespace));
    let flags =
        [("ready", pod.ready), ("terminating", pod.terminating), ("hostNetwork", pod.host_network)];
    json::write(out, format_args!(",\"phase\":\"{}\"", phase(pod.phase)));
    for (field, value) in flags {
        json::write(out, format_args!(",\"{field}\":{value}"));
    }
    lit!(out, ",\"ips\":[");
    for (n, ip) in pod.ips.iter().enumerate() {
        lit!(out, if n == 0 { "\"" } else { ",\"" });
        address(out, *ip);
        out.push(b'"');
    }
    lit!(out, "]}");
}

/// The node of a flow's source, where its destination reports it: a node, or, with a colon that no node's name
/// has, that it is one of many, or that it is not known. Nothing where the source is here or outside.
pub(in crate::serve) fn source_node(origin: Origin, picture: &Picture) -> Option<&str> {
    match origin {
        Origin::Here | Origin::Outside => None,
        Origin::OtherNode => Some("node:other"),
        Origin::Unknown => Some("node:unknown"),
        Origin::Node(id) => match picture.name(id) {
            Some(Name::Node(name)) => Some(name),
            _ => Some("node:unknown"),
        },
    }
}

/// The kind of one end of a flow.
pub(super) fn kind(workload: Workload, picture: &Picture) -> &'static str {
    match workload {
        Workload::Named(id) => picture.name(id).map_or("unresolved", Name::kind),
        Workload::Container(_) => "container",
        Workload::Process(_) => "process",
        Workload::External(_) => "external",
        Workload::Unresolved => "unresolved",
        Workload::Other => "other",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Ended => "Ended",
    }
}

/// Anything that displays, as a string.
fn text(out: &mut Vec<u8>, value: &dyn std::fmt::Display) {
    string(out, value.to_string().as_bytes());
}
