//! The report from pass to pass, fed with facts as a source would hand them over.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "report/coverage.rs"]
mod coverage;
#[path = "report/handed_over.rs"]
mod handed_over;
#[path = "report/health.rs"]
mod health;
#[path = "report/node.rs"]
mod node;
#[path = "report/owners.rs"]
mod owners;
#[path = "report/redirected.rs"]
mod redirected;
#[path = "report/room.rs"]
mod room;
#[path = "report/ways.rs"]
mod ways;

use node::*;
use probelet_core::facts::{
    Closed, Comm, Container, ContainerId, Facts, Loss, Netns, Process, Protocol, Runtime, Socket,
    State, Want,
};
use probelet_core::records::{Direction, Workload};
use probelet_core::report::{Limits, Now, Removed};

#[test]
fn both_ends_of_a_local_connection_make_one_connection_of_one_flow() {
    let mut node = Node::new();
    let (processes, sockets) = pair();

    node.pass(&facts(&processes, &sockets));

    let picture = node.picture();
    assert_eq!(picture.connections.len(), 2);
    assert_eq!(node.connection(local(50_000)).unwrap().direction, Direction::Outbound);
    assert_eq!(node.connection(local(8080)).unwrap().direction, Direction::Inbound);
    let flows: Vec<_> = picture.flows.iter().collect();
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].key.source, Workload::Process(Comm::new(b"client")));
    assert_eq!(flows[0].key.destination, Workload::Process(Comm::new(b"server")));
    assert_eq!((flows[0].key.port, flows[0].current), (8080, 1));
}

#[test]
fn nothing_changed_means_the_epoch_stands_still() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let epoch = node.picture().epoch;

    assert!(!node.pass(&facts(&processes, &sockets)));

    assert_eq!(node.picture().epoch, epoch);
}

#[test]
fn the_order_of_rows_changes_nothing() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let reversed: Vec<_> = sockets.iter().rev().copied().collect();

    assert!(!node.pass(&facts(&processes, &reversed)));
}

#[test]
fn a_connection_that_the_peer_closed_is_gone_and_said_to_be() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let (id, epoch) = (node.connection(local(50_000)).unwrap().id, node.picture().epoch);

    node.pass(&facts(&processes, &sockets[..1]));

    let picture = node.picture();
    assert!(picture.connections.is_empty());
    let gone: Vec<_> = picture.removed.since(epoch).unwrap().collect();
    assert!(gone.contains(&Removed::Connection(id)));
    let flow = *picture.flows.iter().next().unwrap();
    assert_eq!((flow.current, flow.closed), (0, 1));
}

#[test]
fn a_connection_closed_here_first_keeps_its_owner_in_time_wait() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let mut next = facts(&processes, &sockets[..1]);
    next.closed = vec![closed(local(50_000), local(8080), 60_000)];

    node.pass(&next);

    let record = node.connection(local(50_000)).unwrap();
    assert_eq!(record.state, State::TimeWait);
    assert_eq!((record.owner.pid, record.direction), (20, Direction::Outbound));
}

#[test]
fn time_wait_records_leave_when_the_kernel_forgets_them() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    let mut first = facts(&processes, &sockets[..1]);
    first.closed = vec![closed(local(50_000), local(8080), 2500)];
    node.pass(&first);
    let quiet = Facts { fresh: Some(Want::Counters), ..Facts::default() };

    node.pass(&quiet);
    assert!(node.connection(local(50_000)).is_some());
    node.pass(&quiet);
    node.pass(&quiet);

    assert!(node.connection(local(50_000)).is_none());
}

#[test]
fn a_connection_too_short_for_any_pass_is_counted_and_covered() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets[..1]));
    let mut next = facts(&processes, &sockets[..1]);
    next.netns[0] = Netns { inode: HOST, active_opens: 1, passive_opens: 1, ..Netns::default() };
    next.closed = vec![closed(local(50_000), local(8080), 60_000)];

    node.pass(&next);

    let picture = node.picture();
    assert_eq!(picture.coverage[0].ratio(), Some(1.0));
    let flow = picture.flows.iter().next().unwrap();
    assert_eq!((flow.opened, flow.closed, flow.current), (1, 1, 0));
    assert_eq!(node.connection(local(50_000)).unwrap().direction, Direction::Outbound);
}

#[test]
fn a_connection_that_left_no_trace_lowers_the_coverage() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets[..1]));
    let mut next = facts(&processes, &sockets[..1]);
    next.netns[0] = Netns { inode: HOST, active_opens: 2, passive_opens: 2, ..Netns::default() };

    node.pass(&next);

    assert_eq!(node.picture().coverage[0].ratio(), Some(0.0));
}

#[test]
fn ports_used_again_are_another_connection() {
    let mut node = Node::new();
    let (processes, mut sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let before = node.connection(local(50_000)).unwrap();
    sockets[1].inode = 77;

    node.pass(&facts(&processes, &sockets));

    let after = node.connection(local(50_000)).unwrap();
    assert_ne!(before.id, after.id);
    assert_eq!(node.picture().flows.iter().map(|f| f.opened).sum::<u64>(), 1);
}

#[test]
fn a_socket_that_a_worker_shares_stays_with_the_master() {
    let mut node = Node::new();
    let processes = [process(10, "master"), process(11, "worker")];
    let sockets = [listener(11, 1, 80), listener(10, 1, 80)];

    node.pass(&facts(&processes, &sockets));
    node.pass(&facts(&processes, &sockets));

    let picture = node.picture();
    assert_eq!(picture.listeners.len(), 1);
    assert_eq!(picture.listeners.iter().next().unwrap().owner.pid, 10);
}

#[test]
fn when_the_master_goes_the_socket_is_the_workers() {
    let mut node = Node::new();
    let processes = [process(10, "master"), process(11, "worker")];
    let shared = |pid| socket(pid, 5, local(50_000), at([192, 0, 2, 1], 443));
    node.pass(&facts(&processes, &[shared(10), shared(11)]));
    assert_eq!(node.connection(local(50_000)).unwrap().owner.pid, 10);

    node.pass(&facts(&processes[1..], &[shared(11)]));

    assert_eq!(node.connection(local(50_000)).unwrap().owner.pid, 11);
    assert_eq!(node.picture().flows.iter().filter(|f| f.current > 0).count(), 1);
}

#[test]
fn an_owner_that_is_found_late_moves_the_connection_to_its_flow() {
    let mut node = Node::new();
    let (processes, mut sockets) = pair();
    sockets[1].pid = 0;
    node.pass(&facts(&processes, &sockets));
    sockets[1].pid = 20;

    node.pass(&facts(&processes, &sockets));

    let picture = node.picture();
    let flows: Vec<_> = picture.flows.iter().filter(|f| f.current > 0).collect();
    assert_eq!(flows.len(), 1);
    assert_eq!(flows[0].key.source, Workload::Process(Comm::new(b"client")));
}

#[test]
fn an_orphan_keeps_the_owner_it_had() {
    let mut node = Node::new();
    let (processes, mut sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    sockets[1] = Socket { pid: 0, inode: 0, state: State::FinWait1, ..sockets[1] };

    node.pass(&facts(&processes[..1], &sockets));

    let record = node.connection(local(50_000)).unwrap();
    assert_eq!((record.owner.pid, record.state), (20, State::FinWait1));
}

#[test]
fn a_pid_used_again_is_another_process() {
    let mut node = Node::new();
    node.pass(&facts(&[process(10, "old")], &[]));
    let epoch = node.picture().epoch;
    let again = Process { start_ns: 999_000_000_000, ..process(10, "new") };

    node.pass(&facts(&[again], &[]));

    let picture = node.picture();
    assert_eq!(picture.processes.len(), 1);
    let gone: Vec<_> = picture.removed.since(epoch).unwrap().collect();
    assert_eq!(gone, [Removed::Process(10, 10_000_000)]);
}

#[test]
fn a_closed_connection_of_an_unknown_process_belongs_to_the_listeners_container() {
    let mut node = Node::new();
    let inside = Process { container: Some(ContainerId(0)), ..process(10, "server") };
    let container =
        Container { id: "ab".repeat(32), runtime: Runtime::Docker, ..Container::default() };
    let mut next = facts(&[inside], &[listener(10, 1, 8080)]);
    next.containers = vec![container];
    node.pass(&next);
    next.closed = vec![closed(at([10, 0, 0, 1], 8080), at([198, 51, 100, 7], 41_000), 60_000)];

    node.pass(&next);

    let record = node.connection(at([10, 0, 0, 1], 8080)).unwrap();
    assert_eq!((record.owner.pid, record.owner.container), (0, Some(ContainerId(0))));
    assert_eq!(record.direction, Direction::Inbound);
}

#[test]
fn a_closed_connection_without_any_evidence_has_no_owner_and_is_counted() {
    let mut node = Node::new();
    node.pass(&facts(&[process(10, "a")], &[]));
    let mut next = facts(&[process(10, "a")], &[]);
    next.closed = vec![closed(at([10, 0, 0, 1], 50_001), at([198, 51, 100, 7], 41_000), 60_000)];

    node.pass(&next);

    assert_eq!(node.picture().losses.get(Loss::ClosedNoOwner), 1);
    assert_eq!(node.connection(at([10, 0, 0, 1], 50_001)).unwrap().direction, Direction::Unknown);
}

#[test]
fn more_sockets_than_the_limit_are_counted_not_kept() {
    let mut node = Node::new();
    node.report.set_limits(Limits { sockets: 2, ..Limits::default() });
    let to = at([192, 0, 2, 1], 443);
    let sockets: Vec<_> =
        (0..5).map(|n| socket(10, n + 1, local(50_000 + u16::try_from(n).unwrap()), to)).collect();

    node.pass(&facts(&[process(10, "a")], &sockets));

    let picture = node.picture();
    assert_eq!(picture.connections.len(), 2);
    assert_eq!(picture.losses.get(Loss::SocketsFull), 3);
}

#[test]
fn more_flows_than_the_limit_are_counted_in_one_of_their_owner_with_other() {
    let mut node = Node::new();
    node.report.set_limits(Limits { flows: 3, ..Limits::default() });
    let remote = |n: u8| at([192, 0, 2, n], 443);
    let sockets: Vec<_> = (0..10)
        .map(|n| socket(10, u32::from(n) + 1, local(50_000 + u16::from(n)), remote(n)))
        .collect();

    node.pass(&facts(&[process(10, "a")], &sockets));

    let picture = node.picture();
    assert_eq!(picture.flows.len(), 4);
    let other = picture.flows.iter().find(|f| f.key.destination == Workload::Other).unwrap();
    assert_eq!(other.key.source, Workload::Process(Comm::new(b"a")));
    assert_eq!(other.current, 7);
}

#[test]
fn bytes_count_from_source_to_destination_at_either_end() {
    let mut node = Node::new();
    let mut inbound = socket(10, 2, at([10, 0, 0, 1], 8080), at([198, 51, 100, 7], 41_000));
    (inbound.bytes_sent, inbound.bytes_received) = (Some(0), Some(0));
    node.pass(&facts(&[process(10, "server")], &[listener(10, 1, 8080), inbound]));
    (inbound.bytes_sent, inbound.bytes_received) = (Some(900), Some(100));

    node.pass(&facts(&[process(10, "server")], &[listener(10, 1, 8080), inbound]));

    let flow = *node.picture().flows.iter().next().unwrap();
    assert_eq!((flow.bytes_sent, flow.bytes_received), (100, 900));
}

#[test]
fn udp_sockets_without_a_peer_are_listeners() {
    let mut node = Node::new();
    let dns = Socket { protocol: Protocol::Udp, state: State::Close, ..listener(10, 1, 53) };

    node.pass(&facts(&[process(10, "dns")], &[dns]));

    let picture = node.picture();
    assert_eq!((picture.connections.len(), picture.listeners.len()), (0, 1));
}

#[test]
fn a_clock_that_steps_back_loses_nothing() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets));
    let stepped = Now { unix_ms: 5, ..node.now() };

    node.report.update(&facts(&processes, &sockets), stepped);

    assert_eq!(node.picture().connections.len(), 2);
}

#[test]
fn the_time_waits_of_a_namespace_go_with_it() {
    let mut node = Node::new();
    let (processes, _) = pair();
    let mut first = facts(&processes, &[]);
    first.netns.push(Netns { inode: 7, ..Netns::default() });
    first.closed = vec![Closed { netns: 7, ..closed(local(1), local(2), 60_000) }];
    node.pass(&first);
    assert_eq!(node.picture().connections.len(), 1);

    node.pass(&facts(&processes, &[]));

    assert!(node.picture().connections.is_empty());
}

#[test]
fn a_closed_connection_to_a_process_outside_of_containers_goes_by_the_listeners_name() {
    let mut node = Node::new();
    let (processes, sockets) = pair();
    node.pass(&facts(&processes, &sockets[..1]));
    let mut next = facts(&processes, &sockets[..1]);
    next.closed = vec![closed(local(8080), local(50_000), 60_000)];

    node.pass(&next);

    let record = node.connection(local(8080)).unwrap();
    assert_eq!((record.owner.pid, record.owner.comm), (0, Comm::new(b"server")));
    assert_eq!(node.picture().losses.get(Loss::ClosedNoOwner), 0);
}
