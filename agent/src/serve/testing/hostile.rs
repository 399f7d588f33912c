//! For tests: a snapshot in which every text that others choose is one of a test's own.
//!
//! In: texts. Out: what the agent would hold of a node and a cluster that are called so: processes, control groups,
//! containers, pods, their controllers and labels, Services, and the words of a configuration and a kernel.
//!
//! Pure: no I/O.

use super::snapshot;
use crate::discover::containers::cgroup_path::{self, Node};
use crate::snapshot::Snapshot;
use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Phase, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::display::{ContainerName, ContainerNames};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Socket, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::sync::Arc;

const UID: &str = "6a1c3ff2-2f9d-4c6b-9f5e-3f1d2a7b8c90";
const NETNS: u32 = 4_026_532_000;

/// Texts, one after the other, for ever.
pub(crate) struct Hostile {
    texts: Vec<String>,
    next: Cell<usize>,
}

impl Hostile {
    pub(crate) fn new(texts: Vec<String>) -> Self {
        Self { texts, next: Cell::new(0) }
    }

    pub(crate) fn text(&self) -> String {
        self.next.set(self.next.get() + 1);
        self.texts[self.next.get() % self.texts.len()].clone()
    }

    /// The snapshot of the second pass, and what a runtime calls its containers.
    pub(crate) fn node(&self) -> (Arc<Snapshot>, Arc<ContainerNames>) {
        let mut report = Report::new(Limits::default(), PortRange::default());
        report.watch(Cluster::new(Settings { node: "node-1".into(), ..Settings::default() }, 1));
        let at = |ms| Now { unix_ms: 1_700_000_000_000 + ms, mono_ms: ms };
        let containers = self.containers();
        let listing = Kind::ALL.into_iter().map(Event::Listing);
        let listed = Kind::ALL.into_iter().map(Event::Listed);
        for event in listing.chain(self.objects(&containers)).chain(listed) {
            if let Some(cluster) = report.cluster() {
                cluster.apply(event, 1000);
            }
        }
        report.rename(at(1000));
        let mut facts = self.facts(containers);
        report.update(&facts, at(2000));
        facts.netns[0].active_opens += 7;
        report.update(&facts, at(3000));
        let names = facts.containers.iter().map(|container| {
            let labels = [("io.kubernetes.pod.name", self.text()), ("team", self.text())];
            let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value));
            let labels = labels.chain([(self.text(), self.text())]).collect();
            let name = ContainerName { name: self.text(), image: self.text(), labels };
            (container.id.clone(), name)
        });
        let names = ContainerNames(names.collect());
        let mut snapshot = Snapshot { picture: report.picture(at(3000)), ..snapshot() };
        snapshot.node = self.text().into();
        let vitals = &mut snapshot.vitals;
        vitals.refused = [self.text(), self.text()].into();
        vitals.level_reason = self.text();
        vitals.conntrack_error = Some(self.text().into());
        vitals.config_error = Some(self.text());
        vitals.config_origin = self.text();
        vitals.config_name = self.text();
        vitals.config_hash = self.text();
        (Arc::new(snapshot), Arc::new(names))
    }

    /// As the reader of control groups takes them, and one that it would not.
    fn containers(&self) -> Vec<Container> {
        let hex = "0123456789abcdef".repeat(4);
        let texts = [
            format!("0::/kubepods/pod{UID}/{hex}\n"),
            format!("0::/kubepods/pod{UID}/{}\n", self.text()),
            format!("0::/docker/{}\n", self.text()),
            format!("0::/machine.slice/{}.scope\n", self.text()),
            format!("0::/lxc.payload.{}\n", self.text()),
        ];
        let mut containers: Vec<Container> = texts
            .iter()
            .filter_map(|text| cgroup_path::container(text, &Node::default()))
            .collect();
        containers.push(Container { id: self.text(), cgroup: self.text(), ..Container::default() });
        containers
    }

    fn objects(&self, containers: &[Container]) -> Vec<Event> {
        let label = || (self.text().into(), self.text().into());
        let pod = |uid: &str, last: u8| Pod {
            uid: uid.into(),
            namespace: self.text().into(),
            name: self.text().into(),
            labels: vec![("app".into(), "web".into()), label()],
            controller: Some((self.text().into(), self.text().into())),
            phase: Phase::Running,
            ready: true,
            ips: vec![Ipv4Addr::new(10, 1, 0, last).into()],
            containers: containers
                .iter()
                .map(|container| (container.id.as_str().into(), self.text().into()))
                .collect(),
            ..Pod::default()
        };
        let service = Service {
            namespace: self.text().into(),
            name: self.text().into(),
            uid: self.text().into(),
            selector: vec![label()],
            cluster_ips: vec![Ipv4Addr::new(10, 96, 0, 9).into()],
            ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
            ..Service::default()
        };
        let backend = Backend {
            addresses: vec![Ipv4Addr::new(10, 1, 9, 9).into()],
            ready: true,
            pod: Some((self.text().into(), self.text().into(), self.text().into())),
            node: Some(self.text().into()),
            ..Backend::default()
        };
        let slice = EndpointSlice {
            namespace: service.namespace.clone(),
            name: self.text().into(),
            service: service.name.clone(),
            endpoints: vec![backend],
            ports: vec![SlicePort { port: 80, ..SlicePort::default() }],
            ..EndpointSlice::default()
        };
        vec![Event::Pod(pod(UID, 5)), Event::Service(service), Event::EndpointSlice(slice)]
    }

    fn facts(&self, containers: Vec<Container>) -> Facts {
        let places = u32::try_from(containers.len()).unwrap_or(0);
        let owned = (0..places).map(|place| Some(ContainerId(place)));
        let reserved = ["other", "external", "unresolved", "process/other"];
        let names = (0..places).map(|_| self.text()).chain(reserved.map(str::to_owned));
        let names = names.chain([self.text(), self.text()]);
        let owners = owned.chain(std::iter::repeat(None));
        let process = |(n, (name, container)): (usize, (String, Option<ContainerId>))| Process {
            pid: 100 + u32::try_from(n).unwrap_or(0),
            start_ns: 1_000_000,
            netns: NETNS,
            threads: 1,
            open_fds: Some(12),
            cpu_ns: 5_000_000_000,
            rss_bytes: 1 << 20,
            comm: Comm::new(name.as_bytes()),
            container,
            ..Process::default()
        };
        let processes: Vec<Process> = names.zip(owners).enumerate().map(process).collect();
        let remotes = [[10, 96, 0, 9], [10, 1, 9, 9], [10, 1, 0, 5], [192, 0, 2, 1]];
        let socket = |(n, process): (usize, &Process)| Socket {
            netns: NETNS,
            inode: 1000 + u32::try_from(n).unwrap_or(0),
            pid: process.pid,
            local: Endpoint::v4(Ipv4Addr::new(10, 1, 0, 5), 40_000 + u16::try_from(n).unwrap_or(0)),
            remote: Endpoint::v4(Ipv4Addr::from(remotes[n % 4]), 80),
            ..Socket::default()
        };
        let sockets = processes.iter().enumerate().map(socket).collect();
        Facts {
            fresh: Some(Want::Everything),
            processes,
            sockets,
            containers,
            netns: vec![Netns { inode: NETNS, ..Netns::default() }],
            ..Facts::default()
        }
    }
}
