//! Which Services a pod has, and which one a connection shows.

use crate::node::*;
use probelet_core::cluster::objects::{Event, Pod, Service};
use probelet_core::cluster::{Peers, ServiceMatching};

#[test]
fn of_several_services_the_one_whose_address_was_used_is_named() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "a", "10.96.0.1", 80)),
        Event::Service(service("shop", "z", "10.96.0.2", 80)),
        Event::EndpointSlice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::EndpointSlice(slice("shop", "z", &[("10.1.7.5", "p")], 8080)),
    ]);
    node.ask("10.1.0.9", "10.96.0.2:80");

    node.translate("10.1.7.5:8080");

    assert_eq!((node.peer(), node.service()), ("pod shop/p".into(), "shop/z".into()));
}

#[test]
fn of_several_services_the_one_that_serves_the_port_comes_before_the_first_by_name() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "a", "10.96.0.1", 80)),
        Event::Service(service("shop", "z", "10.96.0.2", 9090)),
        Event::EndpointSlice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::EndpointSlice(slice("shop", "z", &[("10.1.7.5", "p")], 9090)),
    ]);

    node.ask("10.1.0.9", "10.1.7.5:9090");
    assert_eq!(node.service(), "shop/z");
    node.ask("10.1.0.8", "10.1.7.5:5555");
    assert_eq!(node.service(), "shop/a");
}

#[test]
fn a_service_with_an_address_comes_before_a_headless_one() {
    let mut node = Node::synced();
    let headless = Service { cluster_ips: Vec::new(), ..service("shop", "a", "10.96.0.1", 80) };
    node.apply([
        Event::EndpointSlice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::EndpointSlice(slice("shop", "z", &[("10.1.7.5", "p")], 8080)),
        Event::Service(headless),
        Event::Service(service("shop", "z", "10.96.0.2", 80)),
    ]);

    node.ask("10.1.0.9", "10.1.7.5:8080");

    assert_eq!(node.service(), "shop/z");
}

#[test]
fn all_services_of_a_pod_are_listed() {
    let mut node = Node::synced();
    let web = Pod { labels: labels(&[("app", "web")]), ..pod("shop", "web-0", "10.1.0.5") };
    let selecting = |namespace, name| Service {
        selector: labels(&[("app", "web")]),
        ..service(namespace, name, "10.96.0.1", 80)
    };
    node.apply([
        Event::Service(selecting("shop", "web")),
        Event::Service(selecting("shop", "all")),
        Event::Service(selecting("other", "web")),
        Event::Service(service("shop", "unselecting", "10.96.0.3", 80)),
        Event::Pod(web),
    ]);

    assert_eq!(node.pods()[0].1.services, ["all".into(), "web".into()]);
}

#[test]
fn a_pod_that_is_not_ready_serves_only_where_that_does_not_matter() {
    let mut node = Node::synced();
    let web =
        Pod { labels: labels(&[("app", "web")]), ready: false, ..pod("shop", "w", "10.1.0.5") };
    let selecting = |name, publish_not_ready| Service {
        selector: labels(&[("app", "web")]),
        publish_not_ready,
        ..service("shop", name, "10.96.0.1", 80)
    };
    node.apply([
        Event::Service(selecting("web", false)),
        Event::Service(selecting("peers", true)),
        Event::Pod(web.clone()),
    ]);
    assert_eq!(node.pods()[0].1.services, ["peers".into()]);

    node.apply([Event::Pod(Pod { ready: true, ..web })]);

    assert_eq!(node.pods()[0].1.services, ["peers".into(), "web".into()]);
}

#[test]
fn a_service_without_selector_has_the_members_of_its_slices() {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        Event::Service(service("shop", "manual", "10.96.0.1", 80)),
        Event::EndpointSlice(slice("shop", "manual", &[("10.1.0.5", "web-0")], 8080)),
    ]);

    assert_eq!(node.pods()[0].1.services, ["manual".into()]);
}

#[test]
fn a_selector_that_changes_changes_the_members() {
    let mut node = Node::synced();
    let web = Pod { labels: labels(&[("app", "web")]), ..pod("shop", "web-0", "10.1.0.5") };
    let selecting = |app| Service {
        selector: labels(&[("app", app)]),
        ..service("shop", "web", "10.96.0.1", 80)
    };
    node.apply([Event::Pod(web), Event::Service(selecting("web"))]);
    assert_eq!(node.pods()[0].1.services, ["web".into()]);

    node.apply([Event::Service(selecting("other"))]);
    assert!(node.pods()[0].1.services.is_empty());

    node.apply([Event::Service(selecting("web")), Event::ServiceGone("shop".into(), "web".into())]);
    assert!(node.pods()[0].1.services.is_empty());
}

#[test]
fn services_are_looked_for_as_configured() {
    let everything = |matching| {
        let mut node = Node::with(|s| s.service_matching = matching);
        let web = Pod { labels: labels(&[("app", "web")]), ..pod("shop", "web-0", "10.1.0.5") };
        let selected = Service {
            selector: labels(&[("app", "web")]),
            ..service("shop", "a", "10.96.0.1", 80)
        };
        node.apply([
            Event::Service(selected),
            Event::EndpointSlice(slice("shop", "b", &[("10.1.0.5", "web-0")], 8080)),
            Event::Pod(web),
        ]);
        node.pods()[0].1.services.join(" ")
    };

    assert_eq!(everything(ServiceMatching::Selectors), "a");
    assert_eq!(everything(ServiceMatching::EndpointSlices), "b");
    assert_eq!(everything(ServiceMatching::Off), "");
}

#[test]
fn peers_are_named_as_far_as_configured() {
    let asked = |peers| {
        let mut node = Node::with(|s| s.peers = peers);
        node.apply([
            Event::Service(service("shop", "cart", "10.96.0.7", 80)),
            Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080)),
        ]);
        ["10.96.0.7:80", "10.1.7.5:8080"].map(|at| {
            node.ask("10.1.0.9", at);
            node.peer()
        })
    };

    assert_eq!(asked(Peers::EndpointSlices), ["service shop/cart", "pod shop/p"]);
    assert_eq!(asked(Peers::ServiceIPs), ["service shop/cart", "external 10.1.7.5"]);
    assert_eq!(asked(Peers::Off), ["external 10.96.0.7", "external 10.1.7.5"]);
}

#[test]
fn ten_thousand_services_that_select_one_pod_are_counted_and_a_few_listed() {
    let mut node = Node::synced();
    let web = Pod { labels: labels(&[("app", "web")]), ..pod("shop", "web-0", "10.1.0.5") };
    let selecting = |n: u32| Service {
        selector: labels(&[("app", "web")]),
        cluster_ips: Vec::new(),
        ..service("shop", &format!("s-{n:05}"), "10.96.0.1", 80)
    };
    node.apply((0..10_000).map(|n| Event::Service(selecting(n))));

    node.apply([Event::Pod(web)]);

    let shown = &node.pods()[0].1;
    assert_eq!((shown.service_count, shown.services.len()), (10_000, 64));
    assert_eq!(&*shown.services[0], "s-00000");
}

/// A cache of DNS on this node's own network, which has the cluster address of another Service.
fn node_local_dns() -> [Event; 3] {
    let cache = Pod {
        labels: labels(&[("k8s-app", "node-local-dns")]),
        controller: Some(("DaemonSet".into(), "node-local-dns".into())),
        host_network: true,
        uid: uid("10.96.0.10"),
        ..pod("kube-system", "node-local-dns-x", "10.96.0.10")
    };
    let metrics = Service {
        cluster_ips: Vec::new(),
        selector: labels(&[("k8s-app", "node-local-dns")]),
        ..service("kube-system", "node-local-dns", "10.96.0.10", 9253)
    };
    let dns = service("kube-system", "kube-dns", "10.96.0.10", 53);
    [Event::Pod(cache), Event::Service(metrics), Event::Service(dns)]
}

#[test]
fn a_services_address_that_something_here_has_is_still_the_service_that_was_used() {
    let mut node = Node::synced();
    node.apply(node_local_dns());

    node.both_ends("10.1.0.5", "10.96.0.10:53", "10.96.0.10:53");

    assert_eq!(node.peer(), "pod kube-system/node-local-dns-x");
    assert_eq!(node.service(), "kube-system/kube-dns");
    assert_eq!(node.flow_to(), "kube-system/DaemonSet/node-local-dns");
}

#[test]
fn who_accepts_at_a_services_address_serves_it() {
    let mut node = Node::synced();
    node.apply(node_local_dns());

    node.accept("10.96.0.10:53", "192.0.2.7:41000");

    let picture = node.picture();
    let flow = *picture.flows.get(node.connection().flow).unwrap();
    assert_eq!(
        picture.name(flow.key.service.unwrap()).unwrap().to_string(),
        "kube-system/kube-dns"
    );
}
