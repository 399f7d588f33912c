//! Laws of one report: whatever it knows under a name has that name everywhere in it. A process, a pod and a
//! container are called the same as the owner of a socket, as the other end of another one, as an end of a
//! flow, in whatever order sockets, objects and the kernel's answers came.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "the helpers are shared with other tests")]

#[path = "names/node.rs"]
mod named;

use named::{HOST_IP, container_id, end, gone, pod, service, uid};
use probelet_core::cluster::objects::{Event, Kind, Pod};
use probelet_core::cluster::{Cluster, Settings};
use probelet_core::facts::{
    Closed, Comm, Container, ContainerId, Endpoint, Facts, Netns, Process, Socket, State, Want,
};
use probelet_core::join::PortRange;
use probelet_core::names::{Name, NameId};
use probelet_core::records::{ConnectionRecord, Direction, Workload};
use probelet_core::report::{Entry, Limits, Now, Picture, Report, Translated};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Address, namespace, and the processes there: pid and container.
struct Place {
    ip: &'static str,
    netns: u32,
    inside: &'static [(u32, Option<u32>)],
}

/// A pod, a pod with a sidecar, a container of Docker, and the host with a pod on its network.
const PLACES: [Place; 4] = [
    Place { ip: "10.1.0.5", netns: 11, inside: &[(110, Some(0))] },
    Place { ip: "10.1.0.6", netns: 12, inside: &[(120, Some(1)), (121, Some(2))] },
    Place { ip: "172.17.0.2", netns: 13, inside: &[(130, Some(3))] },
    Place { ip: HOST_IP, netns: 1, inside: &[(1, None), (50, None), (51, Some(4))] },
];
/// Whose each container is.
const PODS: [Option<&str>; 5] = [Some("web-0"), Some("car-0"), Some("car-0"), None, Some("net-0")];
const SERVICE: &str = "10.96.0.7:80";

/// A connection: where from and to, who holds each end (beyond those inside: no one), whether by the Service,
/// from which pass to which, and how much later its server's end is met.
#[derive(Clone, Debug)]
struct Link {
    from: usize,
    to: usize,
    holders: (usize, usize),
    by_service: bool,
    life: (usize, usize),
    late: usize,
    closes: bool,
}

#[derive(Clone, Debug)]
enum Reported {
    Pod(usize),
    PodGone(usize),
    /// The kernel answers what was asked, or knows nothing of it.
    Answers(bool),
}

const PASSES: usize = 8;

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (
        (0..4usize, 0..4usize),
        (0..4usize, 0..4usize),
        proptest::bool::weighted(0.3),
        (1..PASSES, 1..PASSES),
        0..2usize,
        any::<bool>(),
    );
    let link = link.prop_map(|((from, to), holders, by_service, (begins, lives), late, closes)| {
        let life = (begins, begins + lives);
        Link { from, to, holders, by_service: by_service && to == 0, life, late, closes }
    });
    proptest::collection::vec(link, 1..7)
}

fn reported() -> impl Strategy<Value = Vec<(usize, Reported)>> {
    let one = prop_oneof![
        4 => (0..3usize).prop_map(Reported::Pod),
        1 => (0..3usize).prop_map(Reported::PodGone),
        2 => any::<bool>().prop_map(Reported::Answers),
    ];
    proptest::collection::vec((0..PASSES, one), 0..12)
}

fn made(n: usize) -> Pod {
    let containers: &[&str] = [&["c0"][..], &["c1", "c2"], &["c4"]][n];
    let (name, ip, host_network) =
        [("web-0", "10.1.0.5", false), ("car-0", "10.1.0.6", false), ("net-0", HOST_IP, true)][n];
    let containers = containers.iter().map(|c| (container_id(c).into(), (*c).into())).collect();
    Pod { host_network, containers, ..pod("shop", name, ip) }
}

struct World {
    report: Report,
    links: Vec<Link>,
    pass: usize,
}

impl World {
    fn new(links: Vec<Link>) -> Self {
        let mut report = Report::new(Limits::default(), PortRange::default());
        report.watch(Cluster::new(Settings { node: "this".into(), ..Settings::default() }, 1));
        let mut world = Self { report, links, pass: 0 };
        let empty = Kind::ALL.into_iter().flat_map(|k| [Event::Listing(k), Event::Listed(k)]);
        world.tell(empty.collect());
        world.tell(vec![Event::Service(service("shop", "web", "10.96.0.7", 80))]);
        world
    }

    fn now(&self) -> Now {
        let ms = 1000 * self.pass as u64;
        Now { unix_ms: 1_700_000_000_000 + ms, mono_ms: 100_000 + ms }
    }

    fn tell(&mut self, events: Vec<Event>) {
        let now = self.now();
        for event in events {
            self.report.cluster().unwrap().apply(event, now.mono_ms);
        }
        self.report.rename(now);
    }

    fn answer(&mut self, known: bool) {
        let now = self.now();
        self.report.waiting(now.mono_ms);
        for question in self.report.unanswered(100) {
            let (client, service) = (question.local, question.remote);
            let backend = if service == end(SERVICE) { end("10.1.0.5:8080") } else { service };
            let outbound = service == end(SERVICE) || service.port < 10_000;
            let entry = Entry { client, service, backend, seen: client };
            let known = known && outbound;
            let reply = if known { Translated::Entry(entry) } else { Translated::Unknown };
            self.report.answer(&[(question, reply)], now);
        }
    }

    fn read(&mut self) {
        self.pass += 1;
        let mut facts = node();
        for (n, link) in self.links.iter().enumerate() {
            let n = u32::try_from(n).unwrap();
            let (from, to) = (&PLACES[link.from], &PLACES[link.to]);
            let client = end(&format!("{}:{}", from.ip, 40_000 + n));
            let server = end(&format!("{}:8080", to.ip));
            let used = if link.by_service { end(SERVICE) } else { server };
            let open = |place: &Place, holder: usize, inode, local, remote| {
                let pid = place.inside.get(holder).map_or(0, |(pid, _)| *pid);
                let netns = place.netns;
                Socket { netns, inode, pid, local, remote, ..Socket::default() }
            };
            let (begins, ends) = link.life;
            if (begins..ends).contains(&self.pass) {
                facts.sockets.push(open(from, link.holders.0, 100 + n, client, used));
                if self.pass >= begins + link.late {
                    facts.sockets.push(open(to, link.holders.1, 200 + n, server, client));
                }
            } else if self.pass == ends && link.closes {
                let netns = from.netns;
                let (local, remote, remaining_ms) = (client, used, 60_000);
                let closed = Closed { netns, local, remote, remaining_ms, ..Closed::default() };
                facts.closed.push(closed);
            }
        }
        self.report.update(&facts, self.now());
    }
}

fn node() -> Facts {
    let container = |(n, pod): (usize, Option<&str>)| Container {
        id: container_id(&format!("c{n}")),
        pod_uid: pod.map(|name| uid(name).into()),
        ..Container::default()
    };
    let mut facts = Facts { fresh: Some(Want::Everything), ..Facts::default() };
    facts.containers = PODS.into_iter().enumerate().map(container).collect();
    for place in &PLACES {
        facts.netns.push(Netns { inode: place.netns, ..Netns::default() });
        for &(pid, container) in place.inside {
            let comm = Comm::new(format!("p{pid}").as_bytes());
            let container = container.map(ContainerId);
            let netns = place.netns;
            facts.processes.push(Process { pid, netns, comm, container, ..Process::default() });
        }
        let any = Endpoint { addr: 0, port: 8080 };
        let (pid, _) = place.inside[place.inside.len() - 1];
        let (netns, inode, state) = (place.netns, place.netns, State::Listen);
        facts.sockets.push(Socket { netns, inode, pid, state, local: any, ..Socket::default() });
    }
    facts
}

/// What an owner is called: by its pod, else its container, else its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Called {
    Pod(NameId),
    As(Workload),
}

fn own(picture: &Picture, record: &ConnectionRecord) -> Option<Called> {
    let pod = record.owner.pod().and_then(|id| picture.cluster.as_ref()?.owners[id.place()]);
    let workload = record.owner.workload();
    let reported = (workload != Workload::Unresolved).then_some(Called::As(workload));
    pod.map(Called::Pod).or(reported)
}

fn other(record: &ConnectionRecord) -> Option<Called> {
    match (record.named.peer, record.peer) {
        (Some(name), _) => Some(Called::Pod(name)),
        (None, Workload::Unresolved | Workload::External(_)) => None,
        (None, known) => Some(Called::As(known)),
    }
}

fn is_pod(picture: &Picture, id: NameId) -> bool {
    matches!(picture.name(id), Some(Name::Pod { .. }))
}

/// The two open ends of each connection, the client's first.
fn pairs(picture: &Picture) -> Vec<(ConnectionRecord, ConnectionRecord)> {
    let open: Vec<_> =
        picture.connections.iter().filter(|c| c.state == State::Established).copied().collect();
    let clients = open.iter().filter(|c| c.local.port >= 40_000);
    let ends = clients.filter_map(|client| {
        let serves = |c: &&ConnectionRecord| c.remote == client.local && c.local.port == 8080;
        Some((*client, *open.iter().find(serves)?))
    });
    ends.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn both_ends_of_a_connection_and_its_flow_say_the_same(links in links(), reported in reported()) {
        let mut world = World::new(links);
        for pass in 0..PASSES + 2 {
            for (_, reported) in reported.iter().filter(|(at, _)| *at == pass) {
                match reported {
                    Reported::Pod(n) => world.tell(vec![Event::Pod(made(*n))]),
                    Reported::PodGone(n) => world.tell(vec![gone(&made(*n))]),
                    Reported::Answers(known) => world.answer(*known),
                }
            }
            world.read();
            let picture = world.report.picture(world.now());
            check(&picture)?;
        }
    }
}

fn check(picture: &Picture) -> Result<(), TestCaseError> {
    for (client, server) in pairs(picture) {
        // By a Service the server is known only once the kernel has reported.
        let joined =
            client.remote == server.local || client.named.peer.is_some_and(|p| is_pod(picture, p));
        for (one, another) in [(&client, &server), (&server, &client)] {
            if let Some(name) = own(picture, one).filter(|_| joined) {
                prop_assert_eq!(
                    Some(name),
                    other(another),
                    "own end of {:?}, seen by {:?}",
                    one,
                    another
                );
            }
        }
        for (one, another) in [(&client, &server), (&server, &client)] {
            if let Some(Called::Pod(pod)) = other(another).filter(|_| joined)
                && is_pod(picture, pod)
            {
                prop_assert_eq!(
                    own(picture, one),
                    Some(Called::Pod(pod)),
                    "own end of {:?}, seen by {:?}",
                    one,
                    another
                );
            }
        }
        prop_assert!(!(client.counted && server.counted && joined), "counted twice: {:?}", client);
    }
    // Of every pod, workload and container all flows say one thing.
    let mut labels: BTreeMap<Called, BTreeSet<Workload>> = BTreeMap::new();
    for record in picture.connections.iter().filter(|c| c.counted) {
        let Some(flow) = picture.flows.get(record.flow) else { continue };
        let inbound = record.direction == Direction::Inbound;
        let (source, destination) = (flow.key.source, flow.key.destination);
        let (mine, theirs) = if inbound { (destination, source) } else { (source, destination) };
        if let Some(name) = own(picture, record) {
            labels.entry(name).or_default().insert(mine);
        }
        // A Service stands for who serves.
        let service = |w| match w {
            Workload::Named(id) => matches!(picture.name(id), Some(Name::Service { .. })),
            _ => false,
        };
        if let Some(name) = other(record).filter(|_| !service(theirs)) {
            labels.entry(name).or_default().insert(theirs);
        }
    }
    for (name, labels) in &labels {
        prop_assert!(labels.len() == 1, "{:?} is called {:?}", name, labels);
    }
    Ok(())
}
