//! Coverage claims no more than was seen.

use crate::node::*;
use probelet_core::coverage::Count;
use probelet_core::facts::{Endpoint, Facts, Loss, Netns, Process, Socket, State};
use probelet_core::report::Limits;

const POD: u32 = 4_026_532_177;

fn counters(active: u64, passive: u64) -> Netns {
    Netns { inode: HOST, active_opens: active, passive_opens: passive, ..Netns::default() }
}

fn outside(port: u16) -> Endpoint {
    at([192, 0, 2, 1], port)
}

/// A node on which a pass has found nothing yet.
fn quiet() -> Node {
    let mut node = Node::new();
    node.pass(&facts(&[process(10, "a")], &[]));
    node
}

fn with(netns: Netns, sockets: &[Socket]) -> Facts {
    Facts { netns: vec![netns], ..facts(&[process(10, "a")], sockets) }
}

fn total(node: &Node) -> Count {
    node.picture().coverage[1]
}

fn attempts(n: u16) -> Vec<Socket> {
    let attempt = |n| Socket {
        state: State::SynSent,
        ..socket(10, u32::from(n) + 1, local(40_000 + n), outside(80))
    };
    (0..n).map(attempt).collect()
}

#[test]
fn attempts_that_fail_are_neither_opened_nor_observed() {
    let mut node = quiet();
    node.pass(&with(counters(400, 0), &attempts(400)));
    assert_eq!(total(&node).observed, 0);

    // Meanwhile 2,400 ends open that no one sees.
    let failed = Netns { attempt_fails: 400, ..counters(1600, 1200) };
    node.pass(&with(failed, &[]));

    assert_eq!(total(&node), Count { opened: 2400, observed: 0 });
    assert_eq!(node.picture().coverage[0], Count { opened: 2400, observed: 0 });
}

#[test]
fn an_attempt_that_succeeds_is_observed_when_it_does() {
    let mut node = quiet();
    node.pass(&with(counters(3, 0), &attempts(3)));
    let open: Vec<_> =
        attempts(2).into_iter().map(|s| Socket { state: State::Established, ..s }).collect();

    node.pass(&with(Netns { attempt_fails: 1, ..counters(3, 0) }, &open));
    node.pass(&with(Netns { attempt_fails: 1, ..counters(3, 0) }, &open));

    assert_eq!(total(&node).observed, 2);
    assert_eq!(node.picture().coverage[0], Count { opened: 2, observed: 2 });
}

#[test]
fn an_attempt_that_is_next_seen_closed_was_established_in_between() {
    let mut node = quiet();
    node.pass(&with(counters(1, 0), &attempts(1)));
    let mut next = with(counters(1, 0), &[]);
    next.closed = vec![closed(local(40_000), outside(80), 60_000)];

    node.pass(&next);

    assert_eq!(total(&node), Count { opened: 1, observed: 1 });
}

#[test]
fn half_open_requests_are_not_observed() {
    let mut node = quiet();
    let request = |n: u16| Socket {
        state: State::SynRecv,
        ..socket(0, 0, local(80), at([10, 66, 0, 99], 20_000 + n))
    };
    let flood: Vec<_> = (0..50).map(request).collect();

    node.pass(&with(counters(1, 1), &flood));

    assert_eq!(total(&node), Count { opened: 2, observed: 0 });
}

#[test]
fn what_has_no_room_is_not_observed_in_any_pass() {
    let mut node = quiet();
    node.report.set_limits(Limits { sockets: 2, ..Limits::default() });
    let open = |n: u16| socket(10, u32::from(n) + 1, local(40_000 + n), outside(80));
    let sockets: Vec<_> = (0..9).map(open).collect();

    node.pass(&with(counters(9, 0), &sockets));
    node.pass(&with(counters(9, 0), &sockets));
    assert_eq!(total(&node), Count { opened: 9, observed: 2 });

    // What comes in late opened who knows when.
    node.pass(&with(counters(9, 0), &sockets[5..7]));
    assert_eq!(total(&node), Count { opened: 9, observed: 2 });
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
}

/// A client in a pod and a node with process 1; the node uses its own address.
fn pod_and_node(remote: Endpoint, listeners: &[Socket], opened: [(u64, u64); 2]) -> Count {
    let (client, node_address) = (at([10, 244, 0, 6], 40_001), at([10, 77, 0, 1], 22));
    let processes = [process(1, "init"), Process { netns: POD, ..process(10, "client") }];
    let known = [
        socket(1, 90, node_address, outside(50_000)),
        Socket { netns: POD, ..socket(10, 91, at([10, 244, 0, 6], 40_000), outside(80)) },
    ];
    let sockets: Vec<_> = known.iter().chain(listeners).copied().collect();
    let mut first = facts(&processes, &sockets);
    first.netns.push(Netns { inode: POD, ..Netns::default() });
    let mut node = Node::new();
    node.pass(&first);
    for (netns, (active, passive)) in first.netns.iter_mut().zip(opened) {
        (netns.active_opens, netns.passive_opens) = (active, passive);
    }
    first.closed =
        vec![probelet_core::facts::Closed { netns: POD, ..closed(client, remote, 60_000) }];
    node.pass(&first);
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
    total(&node)
}

#[test]
fn one_time_wait_does_not_stand_for_a_port_of_the_node_whose_backend_is_elsewhere() {
    let node_port = at([10, 77, 0, 1], 8082);
    let held = [listener(1, 92, 8082)];

    let no_one = Count { opened: 1, observed: 1 };
    assert_eq!(pod_and_node(node_port, &[], [(0, 0), (1, 0)]), no_one);
    assert_eq!(pod_and_node(node_port, &held, [(0, 0), (1, 0)]), no_one);
}

#[test]
fn one_time_wait_stands_for_both_ends_where_a_pod_listens() {
    let server = Socket { netns: POD, ..listener(10, 93, 81) };

    let both = pod_and_node(at([10, 244, 0, 6], 81), &[server], [(0, 0), (1, 1)]);

    assert_eq!(both, Count { opened: 2, observed: 2 });
}

#[test]
fn two_ends_that_close_at_once_are_two_and_not_three() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets[..1]));
    let mut next = facts(&processes, &sockets[..1]);
    next.netns = vec![counters(1, 1)];
    next.closed = vec![
        closed(local(50_000), local(8080), 60_000),
        closed(local(8080), local(50_000), 60_000),
    ];

    node.pass(&next);
    node.pass(&with(counters(1, 1), &[]));

    assert_eq!(total(&node), Count { opened: 2, observed: 2 });
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
}

#[test]
fn connections_on_the_same_ports_one_after_the_other_are_counted_at_both_ends() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    let idle = |n| Facts { netns: vec![counters(n, n)], ..facts(&processes, &sockets[..1]) };
    node.pass(&idle(0));
    let ends = (local(50_000), local(8080));

    for n in 1..=25 {
        let closed = vec![closed(ends.0, ends.1, 60_000)];
        node.pass(&Facts { closed, ..idle(n) });
    }
    node.pass(&idle(25));

    assert_eq!(total(&node), Count { opened: 50, observed: 50 });
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
    let flows: u64 = node.picture().flows.iter().map(|f| f.opened).sum();
    assert_eq!(flows, 25);
}

#[test]
fn both_ends_that_close_at_once_on_the_same_ports_again_are_two_each_time() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    let idle = |n| Facts { netns: vec![counters(n, n)], ..facts(&processes, &sockets[..1]) };
    node.pass(&idle(0));
    let ends = (local(50_000), local(8080));

    for n in 1..=6 {
        let mut closed = vec![closed(ends.0, ends.1, 60_000), closed(ends.1, ends.0, 60_000)];
        // sometimes one end alone stays
        closed.truncate(1 + usize::from(n % 2 == 0));
        node.pass(&Facts { closed, ..idle(n) });
    }
    node.pass(&idle(6));

    assert_eq!(total(&node).opened, 12);
    assert!(total(&node).observed <= 12, "{:?}", total(&node));
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
}

#[test]
fn what_is_found_in_a_namespace_that_is_new_to_the_account_is_history() {
    let mut node = quiet();
    let old = Process { netns: POD, ..process(10, "a") };
    let mut next =
        facts(&[old], &[Socket { netns: POD, ..socket(10, 5, local(40_000), outside(80)) }]);
    next.netns.push(Netns { inode: POD, active_opens: 70, ..Netns::default() });

    node.pass(&next);
    node.pass(&next);

    assert_eq!(total(&node), Count::default());
    assert_eq!(node.picture().losses.get(Loss::Overcounted), 0);
}

#[test]
fn an_end_that_the_kernel_never_opened_is_a_fault_that_is_said() {
    let mut node = quiet();
    node.pass(&with(counters(0, 0), &[socket(10, 5, local(40_000), outside(80))]));

    node.pass(&with(counters(0, 0), &[]));

    assert_eq!(node.picture().losses.get(Loss::Overcounted), 1);
    assert_eq!(total(&node).observed, 0);
}
