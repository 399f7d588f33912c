//! What the kernel translated, what flows are counted by, and limits.

use crate::node::*;
use probelet_core::cluster::Grain;
use probelet_core::cluster::objects::{Event, Kind, Pod, Service};
use probelet_core::records::{Reporter, Unresolved};
use probelet_core::report::{Now, Translated};

#[test]
fn the_backend_that_the_kernel_reports_is_named_beside_the_service() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
        Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080)),
    ]);
    node.ask("10.1.0.9", "10.96.0.7:80");

    node.translate("10.1.7.5:8080");

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
}

#[test]
fn without_an_entry_the_peer_stays_the_service_and_is_asked_for_again_ever_more_rarely() {
    let mut node = Node::synced();
    node.apply([Event::Service(service("shop", "cart", "10.96.0.7", 80))]);
    node.ask("10.1.0.9", "10.96.0.7:80");
    let began = node.now().mono_ms;

    let mut asked = Vec::new();
    for second in 0..=1200 {
        let now = Now { mono_ms: began + second * 1000, ..node.now() };
        node.report.waiting(now.mono_ms);
        for question in node.report.unanswered(10) {
            asked.push(second);
            node.report.answer(&[(question, Translated::Unknown)], now);
        }
    }

    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 767, 1023]);
    assert_eq!(node.peer(), "service shop/cart");
}

#[test]
fn an_entry_that_comes_late_is_found_while_the_connection_lives() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "db", "10.96.0.7", 5432)),
        Event::EndpointSlice(slice("shop", "db", &[("10.1.7.5", "db-0")], 5432)),
    ]);
    node.ask("10.1.0.9", "10.96.0.7:5432");
    let question = node.report.unanswered(10)[0];
    node.report.answer(&[(question, Translated::Unknown)], node.now());
    assert_eq!(node.peer(), "service shop/db");

    assert!(node.report.waiting(node.now().mono_ms + 1000) > 0);
    node.translate("10.1.7.5:5432");

    assert_eq!((node.peer(), node.service()), ("pod shop/db-0".into(), "shop/db".into()));
}

#[test]
fn a_translated_connection_within_the_node_is_one_connection_of_one_flow() {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        Event::Pod(pod("shop", "cart-x", "10.1.0.6")),
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
    ]);
    node.both_ends("10.1.0.5", "10.96.0.7:80", "10.1.0.6:8080");

    node.translate("10.1.0.6:8080");

    let flows = node.flows();
    assert_eq!(flows, ["shop/Pod/web-0 → shop/Pod/cart-x :8080"]);
    let flow = *node.picture().flows.iter().next().unwrap();
    assert_eq!((flow.current, flow.opened), (1, 1));
    assert_eq!((flow.key.service_port, flow.key.reporter()), (80, Reporter::Source));
}

#[test]
fn flows_are_counted_by_what_the_configuration_says() {
    let flow = |grain| {
        let mut node = Node::with(|s| s.grain = grain);
        let owned = |name, ip, owner: &str| Pod {
            controller: Some(("StatefulSet".into(), owner.into())),
            ..pod("shop", name, ip)
        };
        let cart = Service {
            selector: labels(&[("app", "cart")]),
            ..service("shop", "cart", "10.96.0.7", 80)
        };
        let server = Pod {
            // What the cgroup at this address says.
            uid: uid("cart-x"),
            labels: labels(&[("app", "cart")]),
            ..owned("cart-0", "10.1.0.6", "cart")
        };
        node.apply([
            Event::Pod(owned("web-0", "10.1.0.5", "web")),
            Event::Pod(server),
            Event::Service(cart),
        ]);
        node.both_ends("10.1.0.5", "10.1.0.6:8080", "10.1.0.6:8080");
        node.flows()
    };

    assert_eq!(flow(Grain::Workload), ["shop/StatefulSet/web → shop/StatefulSet/cart :8080"]);
    assert_eq!(flow(Grain::Service), ["shop/StatefulSet/web → shop/Service/cart :8080"]);
    assert_eq!(flow(Grain::Pod), ["shop/Pod/web-0 → shop/Pod/cart-0 :8080"]);
}

#[test]
fn what_is_not_watched_any_more_is_forgotten_without_being_called_gone() {
    let mut node = Node::synced();
    node.apply([Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080))]);
    node.ask("10.1.0.9", "10.1.7.5:8080");

    node.apply([Event::Unwatched(Kind::EndpointSlice)]);

    assert_eq!(node.peer(), "external 10.1.7.5");
    assert_eq!(node.gap(Unresolved::NotSynced), 1);
}

#[test]
fn more_pods_than_there_is_room_for_are_counted() {
    let mut node = Node::synced();

    node.apply((0..4100).map(|n| Event::Pod(pod("shop", &format!("p-{n}"), "10.1.0.5"))));

    let known = node.picture().cluster.unwrap().known;
    assert_eq!((known.objects[0], known.refused[0]), (4096, 4));
}

#[test]
fn an_address_that_nothing_else_names_is_its_group() {
    use probelet_core::cluster::cidr::{Cidr, Table};
    let range = |first: &str, prefix| Cidr::new(first.parse().unwrap(), prefix).unwrap();
    let ranges = Table::new([(range("10.0.0.0", 8), 0), (range("192.0.2.0", 24), 1)]);
    let mut node = Node::with(|s| {
        s.ranges = ranges;
        s.groups = vec!["cluster".into(), "office".into()];
    });
    node.apply([Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080))]);

    let asked = ["192.0.2.7:443", "10.1.7.5:8080", "10.1.7.6:8080"].map(|at| {
        node.ask("10.1.0.9", at);
        node.peer()
    });

    assert_eq!(asked, ["group office", "pod shop/p", "group cluster"]);
}
