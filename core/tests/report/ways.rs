//! Addresses that the kernel translates, that move, and that mean something on one interface only.

use crate::node::*;
use probelet_core::facts::{Comm, Endpoint, Facts, Netns, Process, Socket, State};
use probelet_core::records::{Direction, Workload};
use probelet_core::report::{Entry, Translated};

const CLIENT: u32 = 11;
const BACKEND: u32 = 12;

fn of(comm: &str) -> Workload {
    Workload::Process(Comm::new(comm.as_bytes()))
}

fn on(netns: u32, socket: Socket) -> Socket {
    Socket { netns, ..socket }
}

/// The node, a client and a backend, each in a namespace of its own. docker-proxy holds a port of the
/// node, and the node uses that address itself.
fn docker(sockets: &[Socket]) -> Facts {
    let processes = [
        process(1, "init"),
        process(5, "docker-proxy"),
        Process { netns: CLIENT, ..process(10, "client") },
        Process { netns: BACKEND, ..process(20, "backend") },
    ];
    let held = [
        listener(5, 1, 8080),
        on(BACKEND, listener(20, 2, 80)),
        socket(1, 3, port_of_node(9999), at([192, 0, 2, 1], 1)),
    ];
    let sockets: Vec<_> = held.iter().chain(sockets).copied().collect();
    let mut facts = facts(&processes, &sockets);
    let others = [CLIENT, BACKEND].map(|inode| Netns { inode, ..Netns::default() });
    facts.netns.extend(others);
    facts
}

fn port_of_node(port: u16) -> Endpoint {
    at([172, 18, 1, 1], port)
}

fn client() -> Endpoint {
    at([172, 18, 1, 2], 40_000)
}

fn backend() -> Endpoint {
    at([172, 18, 2, 2], 80)
}

/// Both ends of a connection through the node's port, the backend seeing the client as `seen`.
fn through(seen: Endpoint) -> [Socket; 2] {
    [
        on(CLIENT, socket(10, 10, client(), port_of_node(8080))),
        on(BACKEND, socket(20, 11, backend(), seen)),
    ]
}

fn answer(node: &mut Node, seen: Endpoint) {
    node.report.waiting(node.now().mono_ms + 1000);
    let service = port_of_node(8080);
    let entry = Entry { client: client(), service, backend: backend(), seen };
    for question in node.report.unanswered(10) {
        node.report.answer(&[(question, Translated::Entry(entry))], node.now());
    }
}

fn flows(node: &Node) -> Vec<(Workload, Workload, u32, u64)> {
    let picture = node.picture();
    let flows = picture.flows.iter().filter(|f| f.current > 0);
    let flows = flows.map(|f| (f.key.source, f.key.destination, f.current, f.opened));
    flows.filter(|(source, ..)| *source != of("init")).collect()
}

#[test]
fn who_only_holds_a_port_is_not_at_the_other_end() {
    let mut node = Node::new();
    node.pass(&docker(&[]));

    node.pass(&docker(&through(client())));

    assert_eq!(node.connection(client()).unwrap().peer, Workload::Unresolved);
    let picture = node.picture();
    assert!(picture.flows.iter().all(|f| f.key.destination != of("docker-proxy")));
}

#[test]
fn a_published_port_leads_to_its_container_and_is_one_connection() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    node.pass(&docker(&through(client())));

    answer(&mut node, client());

    assert_eq!(flows(&node), [(of("client"), of("backend"), 1, 1)]);
    assert_eq!(node.connection(backend()).unwrap().peer, of("client"));
    assert_eq!(node.connection(client()).unwrap().peer, of("backend"));
}

#[test]
fn a_masqueraded_connection_is_joined_by_how_the_backend_sees_its_client() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let seen = port_of_node(61_000);
    node.pass(&docker(&through(seen)));

    answer(&mut node, seen);

    assert_eq!(flows(&node), [(of("client"), of("backend"), 1, 1)]);
    let server = node.connection(backend()).unwrap();
    assert_eq!((server.peer, server.direction), (of("client"), Direction::Inbound));
}

#[test]
fn what_the_servers_end_reports_its_client_knows_too() {
    // The client connected to an address that no one knows as a Service's, so that it does not ask.
    let service = at([10, 96, 0, 10], 80);
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let ends = [
        on(CLIENT, socket(10, 10, client(), service)),
        on(BACKEND, socket(20, 11, backend(), client())),
    ];
    node.pass(&docker(&ends));
    assert_eq!(node.connection(client()).unwrap().peer, Workload::External(service.address()));

    node.report.waiting(node.now().mono_ms + 1000);
    let question = node.report.unanswered(10)[0];
    let entry = Entry { client: client(), service, backend: backend(), seen: client() };
    node.report.answer(&[(question, Translated::Entry(entry))], node.now());

    assert_eq!(flows(&node), [(of("client"), of("backend"), 1, 1)]);
    let ours = node.connection(client()).unwrap();
    assert_eq!((ours.peer, ours.direction), (of("backend"), Direction::Outbound));
}

#[test]
fn a_masqueraded_client_elsewhere_is_who_it_is_and_not_the_node() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let (seen, far) = (port_of_node(61_000), at([203, 0, 113, 9], 50_000));
    node.pass(&docker(&through(seen)[1..]));

    node.report.waiting(node.now().mono_ms + 1000);
    let question = node.report.unanswered(10)[0];
    let entry = Entry { client: far, service: port_of_node(8080), backend: backend(), seen };
    node.report.answer(&[(question, Translated::Entry(entry))], node.now());

    assert_eq!(node.connection(backend()).unwrap().peer, Workload::External(far.address()));
    assert_eq!(flows(&node), [(Workload::External(far.address()), of("backend"), 1, 1)]);
}

#[test]
fn a_port_of_the_node_that_goes_straight_is_who_listens_there() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let mut short = docker(&[]);
    let closed = closed(client(), port_of_node(8080), 60_000);
    short.closed = vec![probelet_core::facts::Closed { netns: CLIENT, ..closed }];
    node.pass(&short);
    assert_eq!(node.connection(client()).unwrap().peer, Workload::Unresolved);

    let question = node.report.unanswered(10)[0];
    node.report.answer(&[(question, Translated::Unknown)], node.now());

    assert_eq!(node.connection(client()).unwrap().peer, of("docker-proxy"));
}

#[test]
fn an_end_that_is_found_a_pass_later_is_at_the_other_end_from_then_on() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let ends = [
        on(CLIENT, socket(10, 10, client(), backend())),
        on(BACKEND, socket(20, 11, backend(), client())),
    ];
    let idle = on(BACKEND, socket(20, 12, at([172, 18, 2, 2], 81), at([192, 0, 2, 9], 2)));
    node.pass(&docker(&[ends[0], idle]));
    assert_eq!(node.connection(client()).unwrap().peer, Workload::Unresolved);

    node.pass(&docker(&[ends[0], ends[1], idle]));

    assert_eq!(node.connection(client()).unwrap().peer, of("backend"));
    node.report.waiting(node.now().mono_ms + 60_000);
    assert_eq!(node.report.unanswered(10), []);
}

#[test]
fn open_connections_are_asked_about_before_closed_ones_and_each_once() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    let mut busy = docker(&[on(CLIENT, socket(10, 10, client(), port_of_node(8080)))]);
    let short = |n: u16| probelet_core::facts::Closed {
        netns: CLIENT,
        ..closed(at([172, 18, 1, 2], 20_000 + n), port_of_node(8080), 60_000)
    };
    busy.closed = (0..5).map(short).collect();

    node.pass(&busy);
    let asked = node.report.unanswered(100);

    assert_eq!(asked[0].local, client());
    let ports: Vec<u16> = asked[1..].iter().map(|q| q.local.port).collect();
    assert_eq!(ports, [20_000, 20_001, 20_002, 20_003, 20_004]);
    assert_eq!(node.report.unanswered(100), []);
}

#[test]
fn questions_of_connections_that_are_gone_do_not_pile_up() {
    let mut node = Node::new();
    node.pass(&docker(&[]));
    for n in 0..50_u16 {
        let end = |m: u16| at([172, 18, 1, 2], 10_000 + n * 100 + m);
        let many: Vec<_> = (0..100)
            .map(|m| {
                on(CLIENT, socket(10, 100 + u32::from(n * 100 + m), end(m), port_of_node(8080)))
            })
            .collect();
        node.pass(&docker(&many));
    }

    assert!(node.report.waiting(node.now().mono_ms) < 2000);
}

#[test]
fn an_address_that_moved_to_another_namespace_is_known_there() {
    let server = at([10, 1, 1, 5], 80);
    let ask = at([10, 1, 0, 1], 50_000);
    let pass = |netns: u32, comm: &str, inode: u32| {
        let processes = [process(1, "host"), Process { netns, ..process(10 + inode, comm) }];
        let sockets = [
            on(netns, listener(10 + inode, inode, 80)),
            socket(1, inode + 1, ask, server),
            on(netns, socket(10 + inode, inode + 2, server, ask)),
        ];
        let mut facts = facts(&processes, &sockets);
        // The number that the first one had is another namespace's, which never has this address.
        facts.netns.extend([11, 12].map(|inode| Netns { inode, ..Netns::default() }));
        facts
    };
    let mut node = Node::new();
    node.pass(&pass(11, "old", 10));

    node.pass(&pass(12, "new", 20));

    let record = node.connection(ask).unwrap();
    assert_eq!((record.peer, record.direction), (of("new"), Direction::Outbound));
}

#[test]
fn what_is_left_of_a_namespace_is_not_its_numbers_next_owners() {
    let with = |cookie| {
        let mut facts = docker(&[]);
        facts.netns[1].cookie = cookie;
        facts
    };
    let mut node = Node::new();
    let mut first = with(1);
    let left = closed(client(), at([192, 0, 2, 1], 443), 60_000);
    first.closed = vec![probelet_core::facts::Closed { netns: CLIENT, ..left }];
    node.pass(&first);
    assert!(node.connection(client()).is_some());

    node.pass(&with(2));

    assert!(node.connection(client()).is_none());
}

#[test]
fn link_local_connections_on_two_interfaces_are_two() {
    let ends = ["fe80::1", "fe80::2"].map(|ip| Endpoint::v6(ip.parse().unwrap(), 179));
    let bgp = |pid, interface| Socket {
        interface,
        state: State::Established,
        ..socket(pid, pid, ends[0], ends[1])
    };
    let mut node = Node::new();
    let processes = [process(10, "bgp-a"), process(20, "bgp-b")];
    let sockets = [bgp(10, 2), bgp(20, 3)];

    node.pass(&facts(&processes, &sockets));
    node.pass(&facts(&processes, &sockets));

    let picture = node.picture();
    let mut pids: Vec<_> = picture.connections.iter().map(|c| c.owner.pid).collect();
    pids.sort_unstable();
    assert_eq!(pids, [10, 20]);
}

/// Two clusters of kind on one machine, whose pods have the same addresses: a server and a client in each.
fn two_clusters() -> Facts {
    let pods = [("server-a", 21), ("client-a", 22), ("server-b", 31), ("client-b", 32)];
    let processes: Vec<Process> =
        pods.iter().map(|&(comm, netns)| Process { netns, ..process(netns, comm) }).collect();
    let (server, client) = (at([10, 244, 0, 5], 8080), |port| at([10, 244, 0, 6], port));
    let both = |a: u32, port: u16| {
        let (server_end, client_end) = (
            on(a, socket(a, a * 10 + 1, server, client(port))),
            on(a + 1, socket(a + 1, a * 10 + 2, client(port), server)),
        );
        [server_end, client_end]
    };
    let sockets: Vec<Socket> = both(21, 40_001).into_iter().chain(both(31, 40_002)).collect();
    let mut facts = facts(&processes, &sockets);
    facts.netns.extend([21, 22, 31, 32].map(|inode| Netns { inode, ..Netns::default() }));
    facts
}

#[test]
fn of_namespaces_with_the_same_address_the_one_with_the_other_end_is_the_peer() {
    let mut node = Node::new();
    node.pass(&facts(&[], &[]));

    // The second time all that was open when the namespaces began to share an address is known.
    node.pass(&two_clusters());
    node.pass(&two_clusters());

    let peer = |port| node.connection(at([10, 244, 0, 6], port)).unwrap().peer;
    assert_eq!((peer(40_001), peer(40_002)), (of("server-a"), of("server-b")));
    let flows = node.picture().flows.iter().count();
    assert_eq!(flows, 2, "each connection is counted once");
}

#[test]
fn an_address_of_several_namespaces_is_no_ones_where_none_has_the_other_end() {
    let mut facts = two_clusters();
    // Of cluster b nothing but the client's end is left.
    facts.sockets.retain(|socket| socket.netns != 31 || socket.remote.port != 40_002);
    facts.sockets.push(on(31, socket(31, 400, at([10, 244, 0, 5], 9090), at([192, 0, 2, 1], 1))));
    let mut node = Node::new();

    node.pass(&facts);

    let peer = node.connection(at([10, 244, 0, 6], 40_002)).unwrap().peer;
    assert_eq!(peer, Workload::External(at([10, 244, 0, 5], 0).address()));
}
