//! Directions, and the memory of listeners.

use super::*;
use crate::facts::ContainerId;
use std::net::Ipv4Addr;

fn at(port: u16) -> Endpoint {
    Endpoint::v4(Ipv4Addr::LOCALHOST, port)
}

fn question(local: u16, remote: u16) -> Question {
    Question {
        netns: 1,
        protocol: Protocol::Tcp,
        local: at(local),
        remote: at(remote),
        remote_netns: Some(1),
        opened: Opened::default(),
        closed: false,
        role: Role::Unknown,
    }
}

fn listening_on(port: u16) -> Listeners {
    let mut listeners = Listeners::default();
    listeners.begin(1000);
    listeners.saw(1, Protocol::Tcp, Endpoint::v4(Ipv4Addr::UNSPECIFIED, port), Owner::default());
    listeners
}

#[test]
fn two_ephemeral_ports_are_distinguished_by_the_listener() {
    let listeners = listening_on(40_000);

    let ports = PortRange::default();
    assert_eq!(direction(&listeners, ports, &question(40_000, 50_000)), Direction::Inbound);
    assert_eq!(direction(&listeners, ports, &question(50_000, 40_000)), Direction::Outbound);
}

#[test]
fn without_evidence_the_direction_is_unknown() {
    let q = question(40_000, 50_000);

    assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Unknown);
}

#[test]
fn a_listener_in_another_namespace_says_nothing() {
    let listeners = listening_on(40_000);
    let q = Question { netns: 2, remote_netns: None, ..question(40_000, 50_000) };

    assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Unknown);
}

#[test]
fn counters_that_moved_on_one_side_are_evidence() {
    let q = Question { opened: Opened { active: 3, passive: 0 }, ..question(40_000, 50_000) };

    assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Outbound);
}

#[test]
fn a_listener_that_is_gone_explains_closed_connections_only() {
    let mut listeners = listening_on(40_000);
    listeners.begin(2000);
    listeners.begin(3000);

    let open = question(40_000, 50_000);
    let closed = Question { closed: true, ..open };
    assert_eq!(direction(&listeners, PortRange::default(), &open), Direction::Unknown);
    assert_eq!(direction(&listeners, PortRange::default(), &closed), Direction::Inbound);
}

#[test]
fn what_the_kernel_remembers_is_stronger_than_a_listener() {
    let listeners = listening_on(4001);
    let ask = |role, remote| {
        let q = Question { role, ..question(4001, remote) };
        direction(&listeners, PortRange::default(), &q)
    };

    assert_eq!(ask(Role::Dialled, 40_000), Direction::Outbound);
    assert_eq!(ask(Role::Accepted, 80), Direction::Inbound);
}

#[test]
fn a_listener_is_no_evidence_when_the_other_port_is_no_clients() {
    let listeners = listening_on(4001);
    let q = Question { remote_netns: None, ..question(4001, 4001) };

    assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Unknown);
    let q = Question { remote: at(50_000), ..q };
    assert_eq!(direction(&listeners, PortRange::default(), &q), Direction::Inbound);
    assert_eq!(direction(&listeners, PortRange::UNKNOWN, &q), Direction::Inbound);
}

#[test]
fn ports_are_no_evidence_where_the_range_is_not_known() {
    let q = Question { remote_netns: None, ..question(40_000, 80) };

    assert_eq!(direction(&Listeners::default(), PortRange::default(), &q), Direction::Outbound);
    assert_eq!(direction(&Listeners::default(), PortRange::UNKNOWN, &q), Direction::Unknown);
}

#[test]
fn listeners_of_two_containers_on_one_port_name_neither() {
    let owner = |id| Owner { container: Some(ContainerId(id)), ..Owner::default() };
    let (at, mut listeners) = (at(80), Listeners::default());
    let mut pass = |ms, owners: &[Owner]| {
        listeners.begin(ms);
        for owner in owners {
            listeners.saw(1, Protocol::Tcp, at, *owner);
        }
        listeners.listening(1, Protocol::Tcp, at, false)
    };

    assert_eq!(pass(1000, &[owner(1), owner(1)]), Some(owner(1)));
    assert_eq!(pass(2000, &[owner(1), owner(2), owner(1)]), Some(Owner::default()));
    assert_eq!(pass(3000, &[owner(2)]), Some(owner(2)));
}

#[test]
fn who_opens_and_closes_listeners_without_end_leaves_room_for_others() {
    let mut listeners = Listeners::default();
    listeners.begin(1000);
    let mut saw = |netns: u32, owner: Owner, count: u32| -> usize {
        let at =
            |n: u32| Endpoint::v4(Ipv4Addr::from(n.div_euclid(60_000) + 1), (n % 60_000) as u16);
        (0..count).filter(|&n| listeners.saw(netns, Protocol::Tcp, at(n), owner)).count()
    };
    let pod = Owner { container: Some(ContainerId(7)), ..Owner::default() };

    assert_eq!(saw(1, Owner::default(), 100_000), 49_152);
    assert_eq!(saw(2, Owner::default(), 50), 50);
    // A pod has no more for having many namespaces.
    assert_eq!((10..20).map(|netns| saw(netns, pod, 50)).sum::<usize>(), 64);
    assert!(
        listeners.listening(2, Protocol::Tcp, Endpoint::v4(Ipv4Addr::from(1), 0), false).is_some()
    );
}
