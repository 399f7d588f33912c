//! A node of a cluster for tests: pods whose containers are known by their uid, connections by
//! address, and what everything is called.

#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]

use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Phase, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, PodShown, Settings};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Socket, Want,
};
use probelet_core::join::PortRange;
use probelet_core::records::{ConnectionRecord, Unresolved, Workload};
use probelet_core::report::{Entry, Limits, Now, Picture, Report, Translated};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub const HOST_IP: &str = "172.18.0.2";

pub fn uid(name: &str) -> Box<str> {
    let hash = name.bytes().fold(7u64, |h, b| h.wrapping_mul(0x0100_0000_01b3) ^ u64::from(b));
    format!("{hash:016x}-0000").into()
}

pub fn labels(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<str>)> {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

/// The id of the container at an address.
pub fn container_id(ip: &str) -> String {
    format!("{:0>64}", ip.replace(['.', ':'], "a"))
}

/// A running pod of this node with one container.
pub fn pod(namespace: &str, name: &str, ip: &str) -> Pod {
    Pod {
        uid: uid(name),
        namespace: namespace.into(),
        name: name.into(),
        phase: Phase::Running,
        ready: true,
        ips: vec![ip.parse().unwrap()],
        host_ips: vec![HOST_IP.parse().unwrap()],
        containers: vec![(container_id(ip).into(), "main".into())],
        ..Pod::default()
    }
}

pub fn gone(pod: &Pod) -> Event {
    Event::PodGone(pod.namespace.clone(), pod.name.clone(), pod.uid.clone())
}

/// A Service with one port and no selector.
pub fn service(namespace: &str, name: &str, ip: &str, port: u16) -> Service {
    Service {
        namespace: namespace.into(),
        name: name.into(),
        cluster_ips: vec![ip.parse().unwrap()],
        ports: vec![ServicePort { port, ..ServicePort::default() }],
        ..Service::default()
    }
}

/// A slice of a Service with ready pods of another node.
pub fn slice(namespace: &str, service: &str, at: &[(&str, &str)], port: u16) -> EndpointSlice {
    let backend = |&(ip, pod): &(&str, &str)| Backend {
        addresses: vec![ip.parse().unwrap()],
        ready: true,
        pod: Some((namespace.into(), pod.into(), uid(pod))),
        node: Some("far-node".into()),
        ..Backend::default()
    };
    EndpointSlice {
        namespace: namespace.into(),
        name: format!("{service}-abcde").into(),
        service: service.into(),
        endpoints: at.iter().map(backend).collect(),
        ports: vec![SlicePort { port, ..SlicePort::default() }],
        ..EndpointSlice::default()
    }
}

pub fn end(text: &str) -> Endpoint {
    let at: SocketAddr = text.parse().unwrap();
    match at.ip() {
        IpAddr::V4(v4) => Endpoint::v4(v4, at.port()),
        IpAddr::V6(v6) => Endpoint::v6(v6, at.port()),
    }
}

/// The node under test. Each own address is a namespace with one process in one container, whose
/// cgroup names the pod that [`pod`] makes for the address.
pub struct Node {
    pub report: Report,
    pub facts: Facts,
    second: u64,
    port: u16,
    last: Endpoint,
}

impl Node {
    /// Takes in the Service `shop/cart` and a pod of this node behind it, which someone asks.
    pub fn serve_cart(&mut self) -> Pod {
        let app = labels(&[("app", "cart")]);
        let cart = Service { selector: app.clone(), ..service("shop", "cart", "10.96.0.7", 80) };
        let pod = Pod { labels: app, ..pod("shop", "cart-x", "10.1.0.6") };
        self.apply([Event::Service(cart), Event::Pod(pod.clone())]);
        self.ask("10.1.0.9", "10.1.0.6:8080");
        pod
    }

    /// Nothing is listed yet.
    pub fn new() -> Self {
        Self::unsynced(Settings { node: "this-node".into(), ..Settings::default() })
    }

    fn unsynced(settings: Settings) -> Self {
        let mut report = Report::new(Limits::default(), PortRange::default());
        report.watch(Cluster::new(settings, 1));
        let facts = Facts { fresh: Some(Want::Everything), ..Facts::default() };
        Self { report, facts, second: 0, port: 40_000, last: Endpoint::default() }
    }

    /// All lists were complete and empty, and the first pass is over.
    pub fn synced() -> Self {
        Self::with(|_| {})
    }

    pub fn with(set: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { node: "this-node".into(), ..Settings::default() };
        set(&mut settings);
        let mut node = Self::unsynced(settings);
        node.sync();
        node.pass();
        node
    }

    pub fn sync(&mut self) {
        self.apply(Kind::ALL.into_iter().flat_map(|k| [Event::Listing(k), Event::Listed(k)]));
    }

    pub fn apply(&mut self, events: impl IntoIterator<Item = Event>) {
        let now = self.now();
        for event in events {
            self.report.cluster().unwrap().apply(event, now.mono_ms);
        }
        self.report.rename(now);
    }

    pub fn wait(&mut self, seconds: u64) {
        self.second += seconds;
        self.report.rename(self.now());
    }

    pub fn now(&self) -> Now {
        Now {
            unix_ms: 1_700_000_000_000 + self.second * 1000,
            mono_ms: 100_000 + self.second * 1000,
        }
    }

    pub fn picture(&self) -> Picture {
        self.report.picture(self.now())
    }

    pub fn pass(&mut self) {
        self.second += 1;
        self.report.update(&self.facts, self.now());
    }

    /// The process at an own address.
    fn process(&mut self, ip: &str) -> Process {
        let id = container_id(ip);
        if let Some(n) = self.facts.containers.iter().position(|c| c.id == id) {
            let id = u32::try_from(n).ok().map(ContainerId);
            return *self.facts.processes.iter().find(|p| p.container == id).unwrap();
        }
        let n = u32::try_from(self.facts.containers.len()).unwrap();
        let pod_uid = (ip != HOST_IP).then(|| {
            // The pod of this address, whatever its name: the tests use one name an address.
            let name = match ip {
                "10.1.0.5" => "web-0",
                "10.1.0.6" => "cart-x",
                _ => ip,
            };
            uid(name).into()
        });
        self.facts.containers.push(Container { id, pod_uid, ..Container::default() });
        let process = Process {
            pid: 100 + n,
            // It began with its namespace, after the last pass.
            start_ns: self.now().mono_ms * 1_000_000,
            netns: 1000 + n,
            comm: Comm::new(b"app"),
            container: Some(ContainerId(n)),
            ..Process::default()
        };
        self.facts.processes.push(process);
        if ip == HOST_IP {
            // The host's namespace is never a container's alone.
            let kubelet = Process { pid: 99, container: None, ..process };
            self.facts.processes.push(kubelet);
        }
        self.facts.netns.push(Netns { inode: 1000 + n, ..Netns::default() });
        process
    }

    fn open(&mut self, local: Endpoint, ip: &str, remote: Endpoint) {
        let Process { pid, netns, .. } = self.process(ip);
        let inode = u32::try_from(self.facts.sockets.len()).unwrap() + 1;
        let socket = Socket { netns, inode, pid, local, remote, ..Socket::default() };
        self.facts.sockets.push(socket);
        self.last = local;
    }

    /// The container at an own address connects.
    pub fn connect(&mut self, ip: &str, to: &str) {
        self.port += 1;
        let local = end(&format!("{ip}:{}", self.port));
        self.open(local, ip, end(to));
        self.pass();
    }

    pub fn connect_at_start(&mut self, ip: &str, to: &str) {
        self.connect(ip, to);
    }

    /// The same, for the sake of the answer.
    pub fn ask(&mut self, ip: &str, to: &str) {
        self.connect(ip, to);
    }

    /// A process of the host connects, from an address that no pod says is the host's.
    pub fn connect_from_host(&mut self, to: &str) {
        self.port += 1;
        let local = end(&format!("198.51.100.9:{}", self.port));
        self.open_on_host(local, end(to));
    }

    /// A process of the host was connected to.
    pub fn accept_on_host(&mut self, from: &str) {
        self.open_on_host(end("198.51.100.9:443"), end(from));
    }

    fn open_on_host(&mut self, local: Endpoint, remote: Endpoint) {
        let process = Process { pid: 50, start_ns: 1, netns: 50, ..Process::default() };
        if !self.facts.processes.contains(&process) {
            self.facts.processes.push(process);
        }
        let inode = u32::try_from(self.facts.sockets.len()).unwrap() + 1;
        let socket = Socket { netns: 50, inode, pid: 50, local, remote, ..Socket::default() };
        self.facts.sockets.push(socket);
        self.pass();
    }

    /// The container at an own address was connected to.
    pub fn accept(&mut self, local: &str, from: &str) {
        let ip = local.rsplit_once(':').unwrap().0.to_owned();
        self.open(end(local), &ip, end(from));
        self.pass();
    }

    /// A connection whose other end is on this node too, at `server`.
    pub fn both_ends(&mut self, client: &str, to: &str, server: &str) {
        self.port += 1;
        let local = end(&format!("{client}:{}", self.port));
        let ip = server.rsplit_once(':').unwrap().0.to_owned();
        self.open(end(server), &ip, local);
        self.open(local, client, end(to));
        self.pass();
    }

    /// The kernel reports the backend of the only connection to a Service.
    pub fn translate(&mut self, backend: &str) {
        let questions = self.report.unanswered(10);
        assert_eq!(questions.len(), 1);
        let question = questions[0];
        let (client, service) = (question.local, question.remote);
        let entry = Entry { client, service, backend: end(backend), seen: client };
        self.report.answer(&[(question, Translated::Entry(entry))], self.now());
    }

    pub fn connection(&self) -> ConnectionRecord {
        let picture = self.picture();
        *picture.connections.iter().find(|c| c.local == self.last).unwrap()
    }

    /// Kind and name of the other end of the last connection.
    pub fn peer(&self) -> String {
        let (picture, record) = (self.picture(), self.connection());
        match record.named.peer {
            Some(id) => {
                let name = picture.name(id).unwrap();
                format!("{} {name}", name.kind())
            }
            None => format!("external {}", record.remote.ip()),
        }
    }

    /// The Service of the last connection; empty if it has none.
    pub fn service(&self) -> String {
        let (picture, record) = (self.picture(), self.connection());
        record.named.service.map_or_else(String::new, |id| picture.name(id).unwrap().to_string())
    }

    pub fn end_of(&self, workload: Workload) -> String {
        let picture = self.picture();
        match workload {
            Workload::Named(id) => picture.name(id).unwrap().label(),
            Workload::External(addr) => addr.ip().to_string(),
            Workload::Container(id) => format!("container {}", id.0),
            other => format!("{other:?}"),
        }
    }

    pub fn flows(&self) -> Vec<String> {
        let text = |f: &probelet_core::records::FlowRecord| {
            let (from, to) = (self.end_of(f.key.source), self.end_of(f.key.destination));
            format!("{from} → {to} :{}", f.key.port)
        };
        let mut flows: Vec<_> = self.picture().flows.iter().map(text).collect();
        flows.sort_unstable();
        flows
    }

    /// The only flow from a pod.
    pub fn flow(&self) -> String {
        let of_pods: Vec<_> = self.flows().into_iter().filter(|f| f.contains("/Pod/")).collect();
        assert_eq!(of_pods.len(), 1, "{:?}", self.flows());
        of_pods[0].clone()
    }

    /// The destination of the flow of the last connection.
    pub fn flow_to(&self) -> String {
        let picture = self.picture();
        let flow = *picture.flows.get(self.connection().flow).unwrap();
        self.end_of(flow.key.destination)
    }

    pub fn gap(&self, reason: Unresolved) -> u64 {
        let record = self.picture().cluster.unwrap().gaps;
        match reason {
            // The containers of askers that are no pods of the test are not what it is about.
            Unresolved::NoPodForContainer => {
                let gaps = self.picture();
                let about = gaps.connections.iter().filter(|c| {
                    c.named.gaps[0] == Some(reason) && c.local.ip().to_string() == "10.1.0.5"
                });
                about.count() as u64
            }
            reason => record.get(reason),
        }
    }

    /// The pods of the report by id, in order of names.
    pub fn pods(&self) -> Vec<(u64, Arc<PodShown>)> {
        let cluster = self.picture().cluster.unwrap();
        let mut pods: Vec<_> = cluster.pods.iter().map(|p| (p.id, Arc::clone(&p.shown))).collect();
        pods.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        pods
    }
}
