//! Whose a socket is that no process holds.

use crate::node::*;
use probelet_core::facts::{Closed, Container, ContainerId, Facts, Loss, Process, Socket, State};
use probelet_core::records::{Owner, Workload};

const POD: u32 = 4_026_532_177;

/// A pod of two containers in a namespace of its own.
fn sidecar(sockets: &[Socket]) -> Facts {
    let process = |pid, container, cgroup| Process {
        netns: POD,
        cgroup,
        container: Some(ContainerId(container)),
        ..process(pid, "x")
    };
    let mut facts = facts(&[process(10, 0, 70), process(20, 1, 71)], sockets);
    let container = |id: &str| Container {
        id: id.repeat(32),
        pod_uid: Some("6f0b".to_owned()),
        ..Container::default()
    };
    facts.containers = vec![container("aa"), container("bb")];
    facts.netns[0].inode = POD;
    facts
}

fn inside(socket: Socket) -> Socket {
    Socket { netns: POD, ..socket }
}

fn reported(owner: Owner) -> (Option<u32>, Option<u32>) {
    (owner.container.map(|id| id.0), owner.sibling.map(|id| id.0))
}

#[test]
fn a_short_connection_of_a_pod_with_a_sidecar_is_its_pods() {
    let (mut node, from) = (Node::new(), at([10, 244, 0, 6], 40_000));
    node.pass(&sidecar(&[]));
    let mut next = sidecar(&[]);
    next.closed = vec![Closed { netns: POD, ..closed(from, at([10, 77, 0, 2], 81), 60_000) }];

    node.pass(&next);

    let owner = node.connection(from).unwrap().owner;
    assert_eq!(reported(owner), (None, Some(0)));
    assert_eq!(owner.pod(), Some(ContainerId(0)));
    assert_eq!(node.picture().losses.get(Loss::ClosedNoOwner), 0);
}

#[test]
fn a_socket_without_a_file_is_the_container_whose_cgroup_it_was_made_in() {
    let (mut node, from) = (Node::new(), at([10, 244, 0, 6], 40_000));
    let orphan = Socket {
        cgroup: 71,
        state: State::FinWait2,
        ..inside(socket(0, 0, from, at([10, 77, 0, 2], 81)))
    };

    node.pass(&sidecar(&[orphan]));

    let record = node.connection(from).unwrap();
    assert_eq!((record.owner.pid, reported(record.owner)), (0, (Some(1), None)));
}

#[test]
fn a_connection_that_is_not_accepted_yet_is_its_listeners() {
    let (mut node, here) = (Node::new(), at([10, 244, 0, 6], 8080));
    let waiting = inside(socket(0, 0, here, at([10, 77, 0, 2], 40_000)));

    node.pass(&sidecar(&[inside(listener(20, 5, 8080)), waiting]));

    let record = node.connection(here).unwrap();
    assert_eq!((record.owner.pid, reported(record.owner)), (0, (Some(1), None)));
    let flow = *node.picture().flows.iter().next().unwrap();
    assert_eq!(flow.key.destination, Workload::Container(ContainerId(1)));
}

#[test]
fn once_accepted_it_is_the_process_that_accepted_it() {
    let (mut node, here) = (Node::new(), at([10, 244, 0, 6], 8080));
    let sockets = |pid, inode| {
        let accepted = socket(pid, inode, here, at([10, 77, 0, 2], 40_000));
        [inside(listener(20, 5, 8080)), inside(accepted)]
    };
    node.pass(&sidecar(&sockets(0, 0)));

    node.pass(&sidecar(&sockets(20, 6)));

    assert_eq!(node.connection(here).unwrap().owner.pid, 20);
}

#[test]
fn a_listener_that_no_process_holds_is_the_container_or_the_pod_that_made_it() {
    let mut node = Node::new();
    let hidden = |inode, port, cgroup| Socket { cgroup, ..inside(listener(0, inode, port)) };

    node.pass(&sidecar(&[hidden(5, 80, 71), hidden(6, 81, 0)]));

    let picture = node.picture();
    let of =
        |port| reported(picture.listeners.iter().find(|l| l.local.port == port).unwrap().owner);
    assert_eq!((of(80), of(81)), ((Some(1), None), (None, Some(0))));
}
