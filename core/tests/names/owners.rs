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

/// The mirror of a static pod, whose cgroup has the uid of the file.
fn mirror(name: &str, mirrored: &str) -> Pod {
    Pod {
        controller: Some(("Node".into(), "this-node".into())),
        mirrors: Some(uid(mirrored)),
        containers: Vec::new(),
        ..pod("kube-system", name, "10.1.0.7")
    }
}

#[test]
fn a_static_pod_is_known_by_the_uid_that_it_mirrors_before_any_status() {
    let mut node = Node::synced();
    node.apply([Event::Pod(mirror("etcd-this-node", "10.1.0.9"))]);
    // Another pod that says the same takes nothing, nor does one that is no node's.
    node.apply([Event::Pod(mirror("evil-this-node", "10.1.0.9"))]);
    let unowned = Pod { controller: None, ..mirror("more-this-node", "10.1.0.8") };
    node.apply([Event::Pod(unowned)]);

    node.connect("10.1.0.9", "192.0.2.7:443");
    assert_eq!(node.flows(), ["kube-system/Pod/etcd → 192.0.2.7 :443"]);

    node.connect("10.1.0.8", "192.0.2.7:444");
    assert!(node.flows().iter().all(|flow| !flow.contains("more")), "{:?}", node.flows());
}

#[test]
fn a_mirror_that_is_made_again_takes_over_from_the_one_that_was_deleted() {
    let mut node = Node::synced();
    let old = mirror("etcd-this-node", "10.1.0.9");
    node.apply([Event::Pod(old.clone()), gone(&old)]);
    let new = Pod { uid: uid("made again"), ..old };

    node.apply([Event::Pod(Pod { name: "etcd2-this-node".into(), ..new })]);
    node.connect("10.1.0.9", "192.0.2.7:443");
    assert_eq!(node.flows(), ["kube-system/Pod/etcd2 → 192.0.2.7 :443"]);

    node.wait(120);
    node.connect("10.1.0.9", "192.0.2.7:444");
    assert_eq!(node.flows().len(), 2);
    assert!(node.flows().iter().all(|flow| flow.contains("etcd2")), "{:?}", node.flows());
}
