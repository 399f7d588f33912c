//! Names that drain, that strangers claim, and lists that someone made as long as they could.

use crate::node::*;
use probelet_core::cluster::objects::{
    EndpointSlice, Event, Kind, Node as FarNode, Pod, Service, ServicePort,
};
use probelet_core::records::Unresolved;
use std::net::{IpAddr, Ipv4Addr};

/// The slice of the controller for a Service that selects.
fn kept(namespace: &str, service: &str, at: &[(&str, &str)]) -> [Event; 2] {
    let selector = labels(&[("app", service)]);
    let headless = Service {
        cluster_ips: Vec::new(),
        selector,
        ..self::service(namespace, service, "10.96.0.1", 80)
    };
    let slice = EndpointSlice { managed: true, ..slice(namespace, service, at, 8080) };
    [Event::Service(headless), Event::EndpointSlice(slice)]
}

/// The same endpoints in another state: ready, serving, terminating.
fn turned([service, slice]: [Event; 2], state: (bool, bool, bool)) -> [Event; 2] {
    let Event::EndpointSlice(mut slice) = slice else { unreachable!() };
    for endpoint in &mut slice.endpoints {
        (endpoint.ready, endpoint.serving, endpoint.terminating) = state;
    }
    [service, Event::EndpointSlice(slice)]
}

#[test]
fn a_pod_elsewhere_keeps_its_service_while_it_drains_or_is_not_ready() {
    let cart = || kept("shop", "cart", &[("10.2.0.7", "cart-x")]);
    for state in [(true, true, false), (false, true, true), (false, false, false)] {
        let mut node = Node::synced();
        node.apply(turned(cart(), state));

        node.ask("10.1.0.9", "10.2.0.7:8080");

        assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
        assert_eq!(node.flow_to(), "shop/Service/cart", "{state:?}");
    }
}

#[test]
fn a_pod_of_this_node_keeps_its_service_while_it_drains() {
    let mut node = Node::synced();
    let pod = node.serve_cart();
    assert_eq!(node.service(), "shop/cart");

    node.apply([Event::Pod(Pod { ready: false, terminating: true, ..pod })]);

    assert_eq!(node.service(), "shop/cart");
    assert!(node.pods()[0].1.services.is_empty(), "it is no member any more");
}

#[test]
fn a_newcomer_that_serves_comes_before_one_that_is_dead() {
    let mut node = Node::synced();
    node.apply(turned(kept("shop", "old", &[("10.2.0.7", "old-x")]), (false, false, true)));
    node.apply(kept("shop", "new", &[("10.2.0.7", "new-x")]));

    node.ask("10.1.0.9", "10.2.0.7:8080");

    assert_eq!(node.peer(), "pod shop/new-x");
}

#[test]
fn a_slice_of_ones_own_takes_no_one_elses_name() {
    for state in [(true, true, false), (false, false, false)] {
        let mut node = Node::synced();
        node.apply(turned(kept("shop", "cart", &[("10.2.0.7", "cart-x")]), state));
        let forged =
            EndpointSlice { managed: true, ..slice("evil", "bank", &[("10.2.0.7", "bank")], 8080) };
        let bare = service("evil", "bank", "10.96.0.66", 80);
        node.apply([Event::Service(bare), Event::EndpointSlice(forged)]);

        node.ask("10.1.0.9", "10.2.0.7:8080");

        assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
        assert_eq!(node.gap(Unresolved::AmbiguousAddress), 0);
    }
}

#[test]
fn a_slice_of_ones_own_takes_no_name_of_a_pod_of_this_node() {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        Event::EndpointSlice(slice("evil", "bank", &[("10.1.0.5", "bank")], 8080)),
    ]);

    node.ask("10.1.0.9", "10.1.0.5:8080");

    assert_eq!(node.peer(), "pod shop/web-0");
}

#[test]
fn a_thing_outside_that_two_namespaces_reach_is_no_ones() {
    let mut node = Node::synced();
    let by_hand = |namespace| {
        let mut made = slice(namespace, "db", &[("10.7.0.1", "x")], 5432);
        made.endpoints[0].pod = None;
        Event::EndpointSlice(made)
    };
    node.apply([by_hand("a")]);
    node.ask("10.1.0.9", "10.7.0.1:5432");
    assert_eq!(node.peer(), "service a/db");

    node.apply([by_hand("b")]);

    assert_eq!(node.peer(), "external 10.7.0.1");
    assert_eq!(node.gap(Unresolved::AmbiguousAddress), 1);
}

fn claiming(ip: &str) -> Event {
    let claims = Service {
        external_ips: vec![ip.parse().unwrap()],
        ..service("evil", "bank", "10.96.0.66", 443)
    };
    Event::Service(claims)
}

#[test]
fn an_external_address_is_a_services_only_when_the_kernel_translates_it() {
    let mut node = Node::synced();
    node.apply([claiming("203.0.113.9")]);
    node.apply(kept("evil", "bank-pods", &[("10.2.0.9", "bank-x")]));
    node.ask("10.1.0.9", "203.0.113.9:443");
    assert_eq!((node.peer(), node.service()), ("external 203.0.113.9".into(), String::new()));

    node.translate("10.2.0.9:8080");

    assert_eq!((node.peer(), node.service()), ("pod evil/bank-x".into(), "evil/bank".into()));
}

#[test]
fn an_external_address_takes_no_ones_name() {
    let mut node = Node::synced();
    node.apply(kept("shop", "cart", &[("10.2.0.7", "cart-x")]));
    node.apply([claiming("10.2.0.7")]);

    node.ask("10.1.0.9", "10.2.0.7:443");

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
}

#[test]
fn the_lists_of_one_service_are_cut_and_what_is_left_out_is_counted() {
    let mut node = Node::synced();
    let addresses = (0..1000).map(|n| IpAddr::V4(Ipv4Addr::from(0xc633_0000 + n)));
    let ports = (1..=1000).map(|port| ServicePort { port, ..ServicePort::default() });
    let wide = Service {
        outside_ips: addresses.clone().collect(),
        external_ips: addresses.collect(),
        ports: ports.collect(),
        selector: (0..1000).map(|n| (format!("{n:0300}").into(), "v".into())).collect(),
        ..service("evil", "wide", "10.96.0.66", 1)
    };
    node.apply([Event::Service(wide)]);

    node.ask("10.1.0.9", "198.51.0.5:7");

    assert_eq!(node.service(), "evil/wide");
    let known = node.picture().cluster.unwrap().known;
    assert_eq!(known.refused[Kind::Service as usize], 3 * 744 + 1);
    node.ask("10.1.0.9", "198.51.3.200:7");
    assert_eq!(node.service(), "");
}

#[test]
fn a_pod_with_too_many_labels_keeps_its_name() {
    let mut node = Node::synced();
    let labels = (0..200).map(|n| (format!("{n:0300}").into(), "v".into())).collect();
    node.apply([Event::Pod(Pod { labels, ..pod("shop", "web-0", "10.1.0.5") })]);

    node.connect("10.1.0.5", "192.0.2.7:443");

    assert_eq!(node.flow(), "shop/Pod/web-0 → 192.0.2.7 :443");
    assert_eq!(node.picture().cluster.unwrap().known.refused[Kind::Pod as usize], 1);
}

#[test]
fn endpoints_of_one_namespace_displace_those_of_no_other() {
    let mut node = Node::synced();
    let ip = |n: u32| Ipv4Addr::from(0x0b00_0000 + n).to_string();
    let flood = |n: u32| {
        let ips: Vec<String> = (0..1000).map(|i| ip(n * 1000 + i)).collect();
        let at: Vec<(&str, &str)> = ips.iter().map(|ip| (&**ip, "p")).collect();
        Event::EndpointSlice(EndpointSlice {
            name: format!("s-{n:04}").into(),
            ..slice("evil", "flood", &at, 80)
        })
    };
    node.apply((0..300).map(flood));
    let single = |n: u32| {
        let at = [(&*ip(400_000 + n), "p")].map(|(ip, pod)| (ip.to_owned(), pod));
        let at = [(&*at[0].0, at[0].1)];
        Event::EndpointSlice(EndpointSlice {
            name: format!("t-{n:04}").into(),
            ..slice("evil", "flood", &at, 80)
        })
    };
    node.apply((0..500).map(single));

    node.apply(kept("shop", "cart", &[("10.2.0.7", "cart-x")]));
    node.ask("10.1.0.9", "10.2.0.7:8080");

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
    let refused = node.picture().cluster.unwrap().known.refused[Kind::EndpointSlice as usize];
    assert!(
        (98..=100).contains(&refused),
        "{refused}: 39 large ones, 59 small ones and one for cart"
    );
}

#[test]
fn services_of_one_namespace_displace_those_of_no_other() {
    let mut node = Node::synced();
    let flood = |n: u32| {
        let ip = Ipv4Addr::from(0x0a80_0000 + n).to_string();
        Event::Service(service("evil", &format!("s-{n:06}"), &ip, 80))
    };
    node.apply((0..33_000).map(flood));

    node.apply([Event::Service(service("shop", "cart", "10.96.0.7", 80))]);
    node.ask("10.1.0.9", "10.96.0.7:80");

    assert_eq!(node.service(), "shop/cart");
}

fn far(name: &str, ips: &[&str]) -> FarNode {
    let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    FarNode { name: name.into(), addresses }
}

#[test]
fn a_node_is_known_by_every_address_that_the_cluster_shows() {
    let mut node = Node::synced();
    node.ask("10.1.0.9", "10.77.0.3:10250");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);

    node.apply([Event::Nodes(vec![
        far("worker-2", &["10.77.0.3"]),
        far("control-1", &["10.77.0.10", "10.244.0.0", "10.244.0.1"]),
    ])]);

    assert_eq!(node.peer(), "node worker-2");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 0);
    node.ask("10.1.0.9", "10.244.0.1:443");
    assert_eq!(node.peer(), "node control-1");
}

#[test]
fn a_pod_and_not_its_node_is_behind_an_address_that_a_list_of_nodes_still_has() {
    let mut node = Node::synced();
    node.apply([Event::Nodes(vec![far("a", &["10.2.0.7", "10.9.9.9"]), far("b", &["10.9.9.9"])])]);
    let slice = slice("shop", "cart", &[("10.2.0.7", "cart-x")], 8080);
    node.apply([Event::EndpointSlice(slice)]);

    node.ask("10.1.0.9", "10.2.0.7:8080");
    assert_eq!(node.peer(), "pod shop/cart-x");
    node.ask("10.1.0.9", "10.9.9.9:1");
    assert_eq!(node.peer(), "external 10.9.9.9");
}
