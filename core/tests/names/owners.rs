//! Whose a connection is: by container, by cgroup, early or late.

use crate::node::*;
use probelet_core::cluster::objects::{Event, Pod};
use probelet_core::records::Unresolved;

#[test]
fn a_containers_connections_are_its_pods() {
    let mut node = Node::synced();
    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);

    node.connect("10.1.0.5", "192.0.2.7:443");

    assert_eq!(node.flow(), "shop/Pod/web-0 → 192.0.2.7 :443");
}

#[test]
fn a_pod_with_host_network_is_known_by_its_containers_and_never_by_its_address() {
    let mut node = Node::synced();
    let proxy = Pod { host_network: true, ..pod("kube-system", "proxy", HOST_IP) };
    node.apply([Event::Pod(proxy)]);

    node.connect(HOST_IP, "192.0.2.7:443");
    assert_eq!(node.flow(), "kube-system/Pod/proxy → 192.0.2.7 :443");

    node.ask("10.1.0.9", &format!("{HOST_IP}:10250"));
    assert_eq!(node.peer(), "node this-node");
}

#[test]
fn the_uid_of_a_cgroup_names_the_pod_before_its_status_lists_the_container() {
    let mut node = Node::synced();
    let fresh = Pod { containers: Vec::new(), ..pod("shop", "web-0", "10.1.0.5") };
    node.apply([Event::Pod(fresh)]);

    node.connect("10.1.0.5", "192.0.2.7:443");

    assert_eq!(node.flow(), "shop/Pod/web-0 → 192.0.2.7 :443");
}

#[test]
fn a_connection_seen_before_its_pod_is_named_as_soon_as_the_pod_is_known() {
    let mut node = Node::synced();
    node.connect("10.1.0.5", "192.0.2.7:443");
    assert_eq!(node.gap(Unresolved::NoPodForContainer), 1);
    let epoch = node.picture().epoch;

    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);

    let picture = node.picture();
    assert!(picture.epoch > epoch);
    assert_eq!(node.flow(), "shop/Pod/web-0 → 192.0.2.7 :443");
    assert_eq!(node.gap(Unresolved::NoPodForContainer), 0);
    let flow = *picture.flows.get(node.connection().flow).unwrap();
    assert_eq!((flow.current, flow.opened, flow.changed), (1, 1, picture.epoch));
}

#[test]
fn what_was_there_before_the_agent_is_not_counted_as_opened_when_it_gets_its_name() {
    let mut node = Node::new();
    node.connect_at_start("10.1.0.5", "192.0.2.7:443");
    node.sync();

    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);

    let picture = node.picture();
    let opened: Vec<_> = picture.flows.iter().map(|f| (f.current, f.opened)).collect();
    assert_eq!(opened, [(1, 0)]);
}

#[test]
fn events_that_concern_no_one_change_nothing() {
    let mut node = Node::synced();
    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);
    node.connect("10.1.0.5", "192.0.2.7:443");
    let epoch = node.picture().epoch;

    for n in 0..100 {
        node.apply([
            Event::EndpointSlice(slice(
                "far",
                &format!("s-{n}"),
                &[(&format!("10.9.0.{n}"), "p")],
                80,
            )),
            Event::Service(service("far", &format!("s-{n}"), &format!("10.96.9.{n}"), 80)),
            Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        ]);
    }

    assert_eq!(node.picture().epoch, epoch);
}
