//! Full tables: who gives way, and who does not.

use crate::node::*;
use probelet_core::facts::{Closed, Comm, Loss, Protocol, Socket, State};
use probelet_core::records::Workload;
use probelet_core::report::Limits;

fn limited(sockets: usize) -> Node {
    let mut node = Node::new();
    node.report.set_limits(Limits { sockets, ..Limits::default() });
    node.pass(&facts(&[process(10, "a")], &[]));
    node
}

fn short(n: u16) -> Closed {
    closed(local(10_000 + n), local(7500), 60_000)
}

fn open(n: u16) -> Socket {
    socket(10, u32::from(n) + 1, local(40_000 + n), at([192, 0, 2, 1], 443))
}

#[test]
fn closed_connections_give_way_to_open_ones_the_oldest_first() {
    let mut node = limited(100);
    let mut busy = facts(&[process(10, "a")], &[]);
    busy.closed = (0..130).map(short).collect();
    node.pass(&busy);
    assert_eq!(node.picture().connections.len(), 112);

    let sockets: Vec<_> = (0..100).map(open).collect();
    node.pass(&facts(&[process(10, "a")], &sockets));

    let picture = node.picture();
    let live = picture.connections.iter().filter(|c| c.state == State::Established).count();
    assert_eq!((live, picture.connections.len()), (100, 112));
    assert!(node.connection(local(10_000 + 129)).is_some());
    assert_eq!(picture.losses.get(Loss::SocketsFull), 0);
}

#[test]
fn closed_connections_are_counted_in_their_flow_on_a_full_node_too() {
    let mut node = limited(16);
    let sockets: Vec<_> = (0..16).map(open).collect();
    node.pass(&facts(&[process(10, "a")], &sockets));
    let mut busy = facts(&[process(10, "a")], &sockets);

    for n in 0..9 {
        busy.closed = vec![closed(local(10_000 + n), at([192, 0, 2, 1], 443), 60_000)];
        node.pass(&busy);
    }

    let picture = node.picture();
    assert_eq!(picture.flows.iter().map(|f| f.closed).sum::<u64>(), 9);
    assert_eq!(picture.connections.len(), 18);
}

#[test]
fn what_replaces_as_many_in_a_full_table_finds_room() {
    let mut node = limited(10);
    let sockets: Vec<_> = (0..20).map(open).collect();
    node.pass(&facts(&[process(10, "a")], &sockets[..10]));

    node.pass(&facts(&[process(10, "a")], &sockets[10..]));

    assert_eq!(node.picture().connections.len(), 10);
    assert_eq!(node.picture().losses.get(Loss::SocketsFull), 0);
}

#[test]
fn a_flood_of_half_open_requests_takes_its_share_and_no_more() {
    let mut node = limited(1600);
    let request = |n: u16| Socket {
        state: State::SynRecv,
        ..socket(0, 0, local(80), at([10, 66, 0, 99], 20_000 + n))
    };
    let mut sockets: Vec<_> = (0..2000).map(request).collect();
    sockets.extend((0..1500).map(open));

    node.pass(&facts(&[process(10, "a")], &sockets));

    let picture = node.picture();
    let half_open = picture.connections.iter().filter(|c| c.state == State::SynRecv).count();
    assert_eq!((half_open, picture.connections.len()), (100, 1600));
    assert_eq!(picture.losses.get(Loss::HalfOpen), 1900);
    assert_eq!(picture.losses.get(Loss::SocketsFull), 0);
}

#[test]
fn a_hostile_program_takes_no_flow_from_another_one() {
    let mut node = Node::new();
    let processes = [process(10, "hostile"), process(20, "victim")];
    let decoy = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let socket = socket(10, u32::from(n) + 1, local(20_000), at([192, 1, high, low], 9));
        Socket { protocol: Protocol::Udp, ..socket }
    };
    let mut sockets: Vec<_> = (0..4300).map(decoy).collect();
    node.pass(&facts(&processes, &sockets));
    sockets.push(socket(20, 9000, local(50_000), at([198, 51, 100, 1], 443)));

    node.pass(&facts(&processes, &sockets));

    let picture = node.picture();
    let of = |name: &[u8]| {
        let source = Workload::Process(Comm::new(name));
        picture.flows.iter().filter(move |f| f.key.source == source)
    };
    let victims: Vec<_> = of(b"victim").collect();
    assert_eq!(victims.len(), 1);
    assert_eq!((victims[0].key.port, victims[0].current), (443, 1));
    // All of the hostile one's are still counted as its own.
    assert_eq!(of(b"hostile").map(|f| f.current).sum::<u32>(), 4300);
    assert!(of(b"hostile").any(|f| f.key.destination == Workload::Other));
    assert!(picture.losses.get(Loss::FlowsFull) > 0);
}
