//! The other end of a connection: Services, endpoints, nodes, the world.

use crate::node::*;
use probelet_core::cluster::objects::{
    EndpointSlice, Event, FarNode, FarPod, OnNode, Pod, Service,
};
use probelet_core::records::Unresolved;

#[test]
fn before_the_first_list_an_unknown_address_is_said_to_wait_for_it() {
    let mut node = Node::new();
    node.ask(HOST_IP, "10.96.0.7:80");
    assert_eq!(node.gap(Unresolved::NotSynced), 1);

    node.sync();

    assert_eq!(node.gap(Unresolved::NotSynced), 0);
    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);
}

#[test]
fn the_internet_is_outside_and_no_gap() {
    let mut node = Node::synced();

    node.ask("10.1.0.9", "192.0.2.7:443");

    assert_eq!(node.peer(), "external 192.0.2.7");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 0);
}

#[test]
fn a_cluster_address_is_its_service() {
    let mut node = Node::synced();
    node.apply([Event::Service(service("shop", "cart", "10.96.0.7", 80))]);

    node.ask("10.1.0.9", "10.96.0.7:80");

    assert_eq!((node.peer(), node.service()), ("service shop/cart".into(), "shop/cart".into()));
}

#[test]
fn an_outside_address_is_a_services_by_its_port() {
    let mut node = Node::synced();
    let outside = |name, port| Service {
        outside_ips: vec!["198.51.100.1".parse().unwrap()],
        ..service("edge", name, "10.96.0.9", port)
    };
    let other = Service { cluster_ips: Vec::new(), ..outside("other", 443) };
    node.apply([Event::Service(outside("web", 80)), Event::Service(other)]);

    node.ask("10.1.0.9", "198.51.100.1:443");

    assert_eq!(node.peer(), "service edge/other");
}

#[test]
fn an_address_and_port_that_two_services_share_names_neither() {
    let mut node = Node::synced();
    let outside = |name| Service {
        outside_ips: vec!["198.51.100.1".parse().unwrap()],
        cluster_ips: Vec::new(),
        ..service("edge", name, "10.96.0.9", 443)
    };
    node.apply([Event::Service(outside("a")), Event::Service(outside("b"))]);

    node.ask("10.1.0.9", "198.51.100.1:443");

    assert_eq!(node.peer(), "external 198.51.100.1");
    assert_eq!(node.gap(Unresolved::AmbiguousAddress), 1);
}

#[test]
fn a_node_port_of_this_node_is_its_service() {
    let mut node = Node::synced();
    let mut web = service("edge", "web", "10.96.0.9", 80);
    web.ports[0].node_port = 30_080;
    node.apply([Event::Pod(pod("shop", "any", "10.1.0.5")), Event::Service(web)]);

    node.ask("10.1.0.9", &format!("{HOST_IP}:30080"));
    assert_eq!(node.peer(), "service edge/web");

    node.ask("10.1.0.8", "192.0.2.7:30080");
    assert_eq!(node.peer(), "external 192.0.2.7", "the port of a stranger is not a node's");
}

#[test]
fn an_external_name_is_no_ones_address() {
    let mut node = Node::synced();
    let alias = Service { external_name: true, ..service("shop", "alias", "10.96.0.7", 80) };
    let selected = Pod { labels: labels(&[("app", "alias")]), ..pod("shop", "web-0", "10.1.0.5") };
    node.apply([Event::Service(alias), Event::Pod(selected)]);

    node.ask("10.1.0.9", "10.96.0.7:80");

    assert_eq!(node.peer(), "external 10.96.0.7");
    assert!(node.pods()[0].1.services.is_empty());
}

#[test]
fn a_pod_of_another_node_is_named_by_its_endpoint_with_its_service() {
    let mut node = Node::synced();
    node.apply([Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080))]);

    node.ask("10.1.0.9", "10.1.7.5:8080");

    assert_eq!(node.peer(), "pod shop/cart-x");
    assert_eq!(node.service(), "shop/cart");
    assert_eq!(node.flow_to(), "shop/Service/cart");
}

#[test]
fn an_endpoint_that_misses_a_probe_keeps_its_service() {
    let mut node = Node::synced();
    let mut cart = slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080);
    node.apply([Event::EndpointSlice(cart.clone())]);
    node.ask("10.1.0.9", "10.1.7.5:8080");
    let epoch = node.picture().epoch;

    cart.endpoints[0].ready = false;
    node.apply([Event::EndpointSlice(cart)]);

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
    let picture = node.picture();
    let renamed = picture.connections.iter().filter(|c| c.changed > epoch).count();
    assert_eq!(renamed, 0, "nothing of it flaps");
}

#[test]
fn a_headless_service_is_known_by_its_endpoints() {
    let mut node = Node::synced();
    let headless = Service { cluster_ips: Vec::new(), ..service("shop", "db", "10.96.0.1", 5432) };
    node.apply([
        Event::Service(headless),
        Event::EndpointSlice(slice(
            "shop",
            "db",
            &[("10.1.7.5", "db-0"), ("10.1.7.6", "db-1")],
            5432,
        )),
    ]);

    node.ask("10.1.0.9", "10.1.7.6:5432");

    assert_eq!((node.peer(), node.service()), ("pod shop/db-1".into(), "shop/db".into()));
}

#[test]
fn endpoints_that_are_no_pods_are_the_service_on_its_port_alone() {
    let mut node = Node::synced();
    let mut api = slice("default", "kubernetes", &[("172.18.0.9", "-")], 6443);
    api.endpoints[0].pod = None;
    node.apply([Event::EndpointSlice(api)]);

    node.ask("10.1.0.9", "172.18.0.9:6443");
    assert_eq!(node.peer(), "service default/kubernetes");

    node.ask("10.1.0.8", "172.18.0.9:10250");
    assert_eq!(node.peer(), "external 172.18.0.9");
}

#[test]
fn an_address_that_several_pods_of_a_node_have_is_the_node_unless_the_port_decides() {
    let mut node = Node::synced();
    let at = [("172.18.0.3", "exporter-b")];
    let proxy = [("172.18.0.3", "proxy-b")];
    node.apply([
        Event::EndpointSlice(slice("mon", "exporter", &at, 9100)),
        Event::EndpointSlice(slice("net", "proxy", &proxy, 10_256)),
    ]);

    node.ask("10.1.0.9", "172.18.0.3:9100");
    assert_eq!(node.peer(), "pod mon/exporter-b");
    node.ask("10.1.0.8", "172.18.0.3:22");
    assert_eq!(node.peer(), "node far-node");
}

#[test]
fn a_daemon_set_on_the_host_network_here_shows_the_addresses_of_the_other_nodes() {
    let mut node = Node::synced();
    let own = Pod { host_network: true, ..pod("mon", "exporter-a", HOST_IP) };
    let at = [(HOST_IP, "exporter-a"), ("172.18.0.3", "exporter-b")];
    node.apply([Event::Pod(own), Event::EndpointSlice(slice("mon", "exporter", &at, 9100))]);

    node.accept("10.1.0.9:8080", "172.18.0.3:41000");
    assert_eq!(node.peer(), "node far-node");
    node.ask("10.1.0.8", "172.18.0.3:9100");
    assert_eq!(node.peer(), "pod mon/exporter-b");
}

#[test]
fn an_endpoint_of_the_system_that_is_a_node_shows_its_address_and_no_one_elses_does() {
    let kubelets = |namespace: &str, ip: &str| {
        let mut kubelets = slice(namespace, "kubelet", &[(ip, "x")], 10_250);
        kubelets.endpoints[0].pod = None;
        kubelets.endpoints[0].on_node = OnNode::Is;
        Event::EndpointSlice(kubelets)
    };
    let mut node = Node::synced();
    node.apply([kubelets("kube-system", "172.18.0.3"), kubelets("shop", "172.18.0.4")]);

    node.accept("10.1.0.9:8080", "172.18.0.3:41000");
    assert_eq!(node.peer(), "node far-node");
    node.accept("10.1.0.9:8081", "172.18.0.4:41000");
    assert_eq!(node.peer(), "external 172.18.0.4");
    node.ask("10.1.0.8", "172.18.0.3:10250");
    assert_eq!(node.peer(), "service kube-system/kubelet");
}

#[test]
fn an_endpoint_that_names_no_node_leaves_a_nodes_address_to_those_that_do() {
    // The server keeps its own endpoints, without a node.
    let mut api = slice("default", "kubernetes", &[("172.18.0.3", "-")], 6443);
    (api.endpoints[0].pod, api.endpoints[0].node) = (None, None);
    let mut kubelets = slice("kube-system", "kubelet", &[("172.18.0.3", "-")], 10_250);
    (kubelets.endpoints[0].pod, kubelets.endpoints[0].on_node) = (None, OnNode::Is);
    let mut node = Node::synced();
    node.apply([Event::EndpointSlice(api), Event::EndpointSlice(kubelets)]);

    node.ask("10.1.0.9", "172.18.0.3:9100");
    assert_eq!(node.peer(), "node far-node");
    node.ask("10.1.0.8", "172.18.0.3:6443");
    assert_eq!(node.peer(), "service default/kubernetes");
    node.accept("10.1.0.9:8080", "172.18.0.3:41000");
    assert_eq!(node.peer(), "service default/kubernetes", "what the server opens");
}

#[test]
fn slices_of_a_service_that_became_an_external_name_name_no_service() {
    let by_hand = |ip| {
        let mut made = slice("shop", "db", &[(ip, "-")], 5432);
        made.name = "by-hand".into();
        made.endpoints[0].pod = None;
        Event::EndpointSlice(made)
    };
    let left = Event::EndpointSlice(slice("shop", "db", &[("10.1.7.5", "db-x")], 5432));
    let db =
        Service { selector: labels(&[("app", "db")]), ..service("shop", "db", "10.96.0.7", 5432) };
    let mut node = Node::synced();
    node.apply([Event::Service(db.clone()), left, by_hand("10.7.0.1")]);
    node.ask("10.1.0.9", "10.1.7.5:5432");
    assert_eq!(node.service(), "shop/db");

    let alias = Service { external_name: true, cluster_ips: Vec::new(), ..db };
    node.apply([Event::Service(alias)]);

    assert_eq!((node.peer(), node.service()), ("pod shop/db-x".into(), String::new()));
    node.ask("10.1.0.8", "10.7.0.1:5432");
    assert_eq!(node.peer(), "external 10.7.0.1");
}

#[test]
fn a_client_pod_of_another_node_is_named_when_it_connects_to_us() {
    let mut node = Node::synced();
    node.apply([Event::EndpointSlice(slice("shop", "front", &[("10.1.7.5", "front-x")], 8080))]);

    node.accept("10.1.0.9:8080", "10.1.7.5:41000");

    assert_eq!(node.peer(), "pod shop/front-x");
}

#[test]
fn a_slice_that_is_no_services_names_none() {
    let mut node = Node::synced();
    let pods =
        EndpointSlice { service: "".into(), ..slice("shop", "x", &[("10.1.7.5", "cart-y")], 8080) };
    let mut outside = EndpointSlice { name: "other".into(), ..pods.clone() };
    outside.endpoints = vec![slice("shop", "x", &[("10.9.9.9", "p")], 8080).endpoints.remove(0)];
    outside.endpoints[0].pod = None;
    node.apply([Event::EndpointSlice(pods), Event::EndpointSlice(outside)]);

    node.ask("10.1.0.9", "10.1.7.5:8080");
    assert_eq!((node.peer(), node.service()), ("pod shop/cart-y".into(), String::new()));

    node.ask("10.1.0.9", "10.9.9.9:8080");
    assert_eq!((node.peer(), node.service()), ("external 10.9.9.9".into(), String::new()));
    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);
}

/// What the operator answers: this pod has had the address for so long, by the clock of the test.
fn asked(node: &Node, name: &str, address: &str, from: u64, until: u64) -> Event {
    let now = node.now().unix_ms;
    Event::Far(vec![FarPod {
        address: address.parse().unwrap(),
        namespace: "shop".into(),
        name: name.into(),
        uid: name.into(),
        workload: ("Deployment".into(), "batch".into()),
        node: "far-node".into(),
        from_ms: now - from * 1000,
        until_ms: now - until * 1000,
    }])
}

#[test]
fn a_pod_that_no_endpoint_shows_is_named_once_it_was_asked_about() {
    let mut node = Node::synced();
    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.9"))]);
    node.accept("10.1.0.9:80", "10.1.7.5:40000");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);

    let event = asked(&node, "batch-x", "10.1.7.5", 100, 0);
    node.apply([event]);

    assert_eq!((node.peer(), node.gap(Unresolved::UnknownAddress)), ("pod shop/batch-x".into(), 0));
    let named = |flow: &String| flow.starts_with("shop/Deployment/batch → ");
    assert!(node.flows().iter().any(named), "{:?}", node.flows());
}

#[test]
fn an_address_of_another_node_is_that_node_once_it_was_asked_about() {
    let mut node = Node::synced();
    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.9"))]);
    node.accept("10.1.0.9:80", "192.168.0.2:17354");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);

    let (address, until_ms) = ("192.168.0.2".parse().unwrap(), node.now().unix_ms);
    node.apply([Event::FarNodes(vec![FarNode { address, name: "far-node".into(), until_ms }])]);

    assert_eq!((node.peer(), node.gap(Unresolved::UnknownAddress)), ("node far-node".into(), 0));
}

#[test]
fn an_answer_names_nothing_that_began_after_it_or_before_the_pod() {
    for (from, until) in [(100, 50), (0, 0)] {
        let mut node = Node::synced();
        node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.9"))]);
        node.wait(60);
        node.accept("10.1.0.9:80", "10.1.7.5:40000");
        node.wait(30);

        let event = asked(&node, "batch-x", "10.1.7.5", from, until);
        node.apply([event]);

        assert_eq!(node.gap(Unresolved::UnknownAddress), 1, "{from} to {until}");
    }
}

/// Clusters whose pods have addresses outside of the private ranges: IPv6, where each subnet has public ones, and IPv4
/// ranges that are used as if they were private.
const PUBLIC: [(&str, &str); 4] = [
    ("[2600:1f14:abc:de01:1::5]:80", "[2600:1f14:abc:de33:7::9]:40000"),
    ("34.118.16.5:80", "34.118.200.9:40000"),
    ("10.1.0.9:80", "240.10.7.5:40000"),
    ("10.1.0.9:80", "198.18.7.5:40000"),
];

#[test]
fn a_pod_elsewhere_with_such_an_address_as_the_pods_here_is_asked_about_and_named() {
    for (own, from) in PUBLIC {
        let mut node = Node::synced();
        let at = |text| end(text).ip().to_string();
        node.apply([Event::Pod(pod("shop", "web-0", &at(own)))]);
        node.accept(own, from);
        assert_eq!(node.gap(Unresolved::UnknownAddress), 1, "{from}");

        let event = asked(&node, "batch-x", &at(from), 100, 0);
        node.apply([event]);

        assert_eq!(node.peer(), "pod shop/batch-x", "{from}");
    }
}

#[test]
fn what_was_outside_may_be_a_pod_when_the_first_pod_here_shows_which_addresses_pods_have() {
    let mut node = Node::synced();
    node.accept("[2600:1f14:abc:de01:1::5]:80", "[2600:1f14:abc:de33:7::9]:40000");
    assert_eq!(node.gap(Unresolved::UnknownAddress), 0);

    node.apply([Event::Pod(pod("shop", "web-0", "2600:1f14:abc:de01:1::5"))]);

    assert_eq!(node.gap(Unresolved::UnknownAddress), 1);
}

#[test]
fn the_rest_of_the_internet_stays_outside_where_pods_have_public_addresses() {
    let on_host = Pod { host_network: true, ..pod("shop", "proxy", "203.0.113.7") };
    for (own, from) in [
        (pod("shop", "web-0", "2600:1f14:abc:de01:1::5"), "[2600:1f14:abd:de33:7::9]:40000"),
        (pod("shop", "web-0", "34.118.16.5"), "34.119.200.9:40000"),
        (pod("shop", "web-0", "10.1.0.9"), "[2600:1f14:abc:de33:7::9]:40000"),
        // The neighbours of a rented machine are anybody.
        (on_host, "203.0.113.9:40000"),
    ] {
        let mut node = Node::synced();
        node.apply([Event::Pod(own)]);
        node.accept("10.1.0.9:80", from);

        assert_eq!(node.gap(Unresolved::UnknownAddress), 0, "{from}");
    }
}
