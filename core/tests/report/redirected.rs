//! Connections that a pod's namespace redirects to its own sidecar, as service meshes have it.

use crate::node::*;
use probelet_core::facts::{Comm, Endpoint, Facts, Netns, Process, Role, Socket};
use probelet_core::records::{FlowRecord, Workload};

const POD: u32 = 11;
const OTHER: u32 = 12;

fn of(comm: &str) -> Workload {
    Workload::Process(Comm::new(comm.as_bytes()))
}

fn on(netns: u32, socket: Socket) -> Socket {
    Socket { netns, ..socket }
}

/// Two pods with a program and a sidecar each, and the node.
fn pods(sockets: &[Socket]) -> Facts {
    let processes = [
        process(1, "init"),
        Process { netns: POD, ..process(10, "app") },
        Process { netns: POD, ..process(11, "sidecar") },
        Process { netns: OTHER, ..process(20, "other") },
        Process { netns: OTHER, ..process(21, "envoy") },
    ];
    let listeners = [
        on(POD, listener(11, 1, 15_001)),
        on(OTHER, listener(20, 2, 8080)),
        on(OTHER, listener(21, 3, 15_006)),
    ];
    let sockets: Vec<_> = listeners.iter().chain(sockets).copied().collect();
    let mut facts = facts(&processes, &sockets);
    facts.netns.extend([POD, OTHER].map(|inode| Netns { inode, ..Netns::default() }));
    facts
}

fn dials(socket: Socket) -> Socket {
    Socket { role: Role::Dialled, ..socket }
}

fn accepted(socket: Socket) -> Socket {
    Socket { role: Role::Accepted, ..socket }
}

const fn app(port: u16) -> ([u8; 4], u16) {
    ([10, 1, 0, 5], port)
}

fn end((ip, port): ([u8; 4], u16)) -> Endpoint {
    at(ip, port)
}

fn flows(node: &Node) -> Vec<(Workload, Workload, u16, u64)> {
    let picture = node.picture();
    let text = |f: &FlowRecord| (f.key.source, f.key.destination, f.key.port, f.opened);
    let mut flows: Vec<_> = picture.flows.iter().map(text).collect();
    flows.sort_by_key(|flow| flow.2);
    flows
}

/// The program dials a Service, its namespace has the sidecar accept that, and the sidecar dials a backend elsewhere.
fn outbound() -> [Socket; 3] {
    [
        dials(on(POD, socket(10, 10, end(app(40_000)), at([10, 96, 0, 7], 80)))),
        accepted(on(POD, socket(11, 11, at([127, 0, 0, 1], 15_001), end(app(40_000))))),
        dials(on(POD, socket(11, 12, end(app(41_000)), at([203, 0, 113, 5], 8080)))),
    ]
}

fn backend() -> Workload {
    Workload::External(at([203, 0, 113, 5], 0).address())
}

#[test]
fn what_a_sidecar_accepts_of_its_own_pod_is_one_connection() {
    let mut node = Node::new();
    node.pass(&pods(&[]));

    node.pass(&pods(&outbound()));

    let known = node.connection(end(app(40_000))).unwrap();
    assert_eq!(known.peer, of("sidecar"));
    let accepted = node.connection(at([127, 0, 0, 1], 15_001)).unwrap();
    assert_eq!((accepted.peer, accepted.counted), (of("app"), false));
    let expected = [(of("sidecar"), backend(), 8080, 1), (of("app"), of("sidecar"), 15_001, 1)];
    assert_eq!(flows(&node), expected);
}

#[test]
fn either_end_may_come_first() {
    let [dialled, accepted, _] = outbound();
    for first in [dialled, accepted] {
        let mut node = Node::new();
        node.pass(&pods(&[]));
        node.pass(&pods(&[first]));

        node.pass(&pods(&[dialled, accepted]));

        assert_eq!(flows(&node), [(of("app"), of("sidecar"), 15_001, 1)]);
    }
}

#[test]
fn a_pod_that_has_its_sidecar_accept_is_connected_to_once_at_the_port_that_was_dialled() {
    let mut node = Node::new();
    node.pass(&pods(&[]));
    let seen = [
        dials(on(POD, socket(10, 10, end(app(40_000)), at([10, 1, 0, 6], 8080)))),
        accepted(on(OTHER, socket(21, 11, at([10, 1, 0, 6], 15_006), end(app(40_000))))),
    ];

    node.pass(&pods(&seen));

    assert_eq!(flows(&node), [(of("app"), of("envoy"), 8080, 1)]);
    assert_eq!(node.connection(end(app(40_000))).unwrap().peer, of("envoy"));
    let accepted = node.connection(at([10, 1, 0, 6], 15_006)).unwrap();
    assert_eq!((accepted.peer, accepted.counted), (of("app"), false));

    node.pass(&pods(&[]));
    assert!(node.picture().flows.iter().all(|f| (f.current, f.opened, f.closed) == (0, 1, 1)));

    // The same ports to another pod are another connection.
    node.pass(&pods(&seen[..1]));
    assert_ne!(node.connection(end(app(40_000))).unwrap().peer, of("envoy"));
}

#[test]
fn a_port_that_the_node_masquerades_by_is_no_proof() {
    let mut node = Node::new();
    let on_host = socket(1, 12, at([172, 18, 0, 1], 41_000), at([203, 0, 113, 5], 443));
    let seen = [
        dials(on_host),
        accepted(on(OTHER, socket(20, 11, at([10, 1, 0, 6], 8080), on_host.local))),
    ];

    node.pass(&pods(&seen));

    let known = node.connection(at([172, 18, 0, 1], 41_000)).unwrap();
    assert_eq!(known.peer, backend());
    assert_eq!(flows(&node).len(), 2);
}

#[test]
fn another_destination_from_the_same_port_is_not_the_other_end() {
    let mut node = Node::new();
    let seen = [
        dials(on(POD, socket(10, 10, end(app(40_000)), at([203, 0, 113, 5], 8080)))),
        accepted(on(OTHER, socket(21, 11, at([10, 1, 0, 6], 15_006), end(app(40_000))))),
    ];

    node.pass(&pods(&seen));

    assert_eq!(node.connection(end(app(40_000))).unwrap().peer, backend());
    assert_eq!(flows(&node).len(), 2);
}
