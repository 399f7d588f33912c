//! For tests: a snapshot in which every kind of record and every field is there at least once.
//!
//! In: nothing. Out: a snapshot of the second pass, so that a delta from the first one has removals, and the names that
//! Docker gave.
//!
//! Pure: no I/O.

use super::snapshot;
use crate::capabilities::{Capability, Set};
use crate::rights::Rights;
use crate::snapshot::{Asked, Snapshot};
use probelet_core::cluster::objects::{
    Backend, EndpointSlice, Event, Kind, Phase, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::display::{ContainerName, ContainerNames};
use probelet_core::facts::{
    Comm, Container, ContainerId, Endpoint, Facts, Loss, Netns, Process, Quality, Queue, Socket,
    State, Tcp, Want,
};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use std::net::Ipv4Addr;
use std::sync::Arc;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const UID: &str = "6a1c3ff2-2f9d-4c6b-9f5e-3f1d2a7b8c90";
const WEB: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const CART: Ipv4Addr = Ipv4Addr::new(10, 1, 9, 9);

/// The snapshot, the names, and the epoch of the pass before.
pub(crate) fn everything() -> (Arc<Snapshot>, Arc<ContainerNames>, u64) {
    talking_to("shop")
}

/// The same, where what the pod of `shop` talks to is in another namespace.
pub(crate) fn talking_to(peers: &str) -> (Arc<Snapshot>, Arc<ContainerNames>, u64) {
    let mut report = Report::new(Limits::default(), PortRange::default());
    report.watch(Cluster::new(Settings { node: "node-1".into(), ..Settings::default() }, 1));
    let at = |second| Now { unix_ms: 1_700_000_000_000 + second, mono_ms: second };
    for event in cluster(peers) {
        report.cluster().unwrap().apply(event, 1000);
    }
    report.rename(at(1000));
    let mut facts = node();
    let (web, old) = (process(100, Some(ContainerId(0))), process(7, Some(ContainerId(1))));
    let unknown = process(3, Some(ContainerId::UNKNOWN));
    facts.processes = vec![web, process(1, None), unknown, old];
    let full = Tcp::Queue(Queue { waiting: 129, most: 128 });
    let listener = Socket {
        remote: Endpoint::default(),
        tcp: full,
        ..socket(11, 100, Endpoint::v4(WEB, 8080), State::Listen)
    };
    facts.sockets = vec![socket(9, 7, Endpoint::v4(WEB, 41_000), State::Established), listener];
    report.update(&facts, at(2000));
    let before = report.picture(at(2000)).epoch;

    facts.processes.pop();
    facts.netns[0].active_opens = 2;
    facts.losses.add(Loss::Vanished, 1);
    let full = Socket { inode: 12, pid: 3, local: Endpoint::v4(WEB, 8081), ..listener };
    facts.sockets = vec![
        socket(10, 100, Endpoint::v4(WEB, 40_000), State::Established),
        listener,
        socket(13, 3, Endpoint::v4(WEB, 40_001), State::Established),
        full,
    ];
    report.update(&facts, at(3000));
    report.usage([(ContainerId(0), Some(1_000_000), Some(1 << 20))].into_iter());

    let mut snapshot = Snapshot { picture: report.picture(at(3000)), ..snapshot() };
    let vitals = &mut snapshot.vitals;
    let start = Set::of(Capability::ALL);
    let reading = [Capability::SysAdmin, Capability::SysPtrace, Capability::DacReadSearch];
    let held = vec![
        ("connection-tracking", Set::of([Capability::NetAdmin])),
        ("engine", Set::of(reading)),
    ];
    let lacking = std::array::from_fn(|n| (n == 1).then(|| "CAP_SETPCAP is missing".to_owned()));
    vitals.rights = Arc::new(Rights { start, held, lacking });
    vitals.translations = [1; Asked::ALL.len()];
    vitals.conntrack_error =
        Some("conntrack: loading was refused (EPERM): CAP_NET_ADMIN is missing".into());
    "needs 9m for 1s freshness at 41200 sockets".clone_into(&mut vitals.level_reason);
    vitals.config_error = Some("spec.budget.cpu: \"x\" is not an amount of CPU".to_owned());
    let labels = [("com.example.team".to_owned(), "shop".to_owned())].into();
    let name = ContainerName { name: "web".to_owned(), image: "web:1".to_owned(), labels };
    (Arc::new(snapshot), Arc::new(ContainerNames([(ID.to_owned(), name)].into())), before)
}

fn cluster(peers: &str) -> Vec<Event> {
    let pod = Pod {
        uid: UID.into(),
        namespace: "shop".into(),
        name: "web-7d9f8c6b5-x2x4k".into(),
        labels: vec![("app".into(), "web".into())],
        phase: Phase::Running,
        ready: true,
        ips: vec![WEB.into()],
        host_ips: vec![Ipv4Addr::new(172, 18, 0, 2).into()],
        containers: vec![(ID.into(), "main".into())],
        ..Pod::default()
    };
    let service = |namespace: &str, name: &str, ip: [u8; 4], port| Service {
        namespace: namespace.into(),
        name: name.into(),
        uid: name.into(),
        selector: vec![("app".into(), name.into())],
        cluster_ips: vec![Ipv4Addr::from(ip).into()],
        ports: vec![ServicePort { port, ..ServicePort::default() }],
        ..Service::default()
    };
    let backend = Backend {
        addresses: vec![CART.into()],
        ready: true,
        pod: Some((peers.into(), "cart-0".into(), "cart-0".into())),
        node: Some("node-2".into()),
        ..Backend::default()
    };
    let slice = EndpointSlice {
        namespace: peers.into(),
        name: "cart-abcde".into(),
        service: "cart".into(),
        endpoints: vec![backend],
        ports: vec![SlicePort { port: 6379, ..SlicePort::default() }],
        ..EndpointSlice::default()
    };
    let listing = Kind::ALL.into_iter().map(Event::Listing);
    let objects = [
        Event::Pod(pod),
        Event::Service(service("shop", "web", [10, 96, 0, 8], 80)),
        Event::Service(service(peers, "cart", [10, 96, 0, 9], 6379)),
        Event::EndpointSlice(slice),
    ];
    listing.chain(objects).chain(Kind::ALL.into_iter().map(Event::Listed)).collect()
}

fn node() -> Facts {
    let container = |id: &str, uid: Option<&str>| Container {
        id: id.to_owned(),
        cgroup: format!("/kubepods/{id}"),
        pod_uid: uid.map(str::to_owned),
        ..Container::default()
    };
    let gone = ID.replace('0', "f");
    Facts {
        fresh: Some(Want::Everything),
        containers: vec![container(ID, Some(UID)), container(&gone, None)],
        netns: vec![Netns { inode: 4_026_532_000, ..Netns::default() }],
        compared: true,
        ..Facts::default()
    }
}

fn process(pid: u32, container: Option<ContainerId>) -> Process {
    Process {
        pid,
        start_ns: u64::from(pid) * 1_000_000,
        netns: 4_026_532_000,
        threads: 1,
        open_fds: Some(12),
        files_limit: 1024,
        cpu_ns: 5_000_000,
        rss_bytes: 1 << 20,
        comm: Comm::new(b"nginx"),
        container,
        ..Process::default()
    }
}

fn socket(inode: u32, pid: u32, local: Endpoint, state: State) -> Socket {
    Socket {
        netns: 4_026_532_000,
        inode,
        pid,
        local,
        remote: Endpoint::v4(CART, 6379),
        state,
        bytes_sent: Some(10),
        bytes_received: Some(20),
        tcp: Tcp::Quality(Quality { rtt_us: 300, retransmitted: 20, segments: 1000 }),
        ..Socket::default()
    }
}
