//! Names on connections: each rule by which a pod, a Service or a node is named, or is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "names/node.rs"]
mod named;

use named::*;
use probelet_core::cluster::objects::{Event, Kind, Phase, Pod, Service};
use probelet_core::cluster::{Grain, Peers, ServiceMatching, Unresolved};
use probelet_core::report::{Removed, Translated};

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
    let flow = *picture.flows.iter().next().unwrap();
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
fn events_that_concern_nobody_change_nothing() {
    let mut node = Node::synced();
    node.apply([Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);
    node.connect("10.1.0.5", "192.0.2.7:443");
    let epoch = node.picture().epoch;

    for n in 0..100 {
        node.apply([
            Event::Slice(slice("far", &format!("s-{n}"), &[(&format!("10.9.0.{n}"), "p")], 80)),
            Event::Service(service("far", &format!("s-{n}"), &format!("10.96.9.{n}"), 80)),
            Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        ]);
    }

    assert_eq!(node.picture().epoch, epoch);
}

#[test]
fn an_address_that_was_given_to_another_pod_is_the_newcomers() {
    let mut node = Node::synced();
    let ended = Pod { phase: Phase::Ended, ..pod("shop", "job-1", "10.1.0.5") };
    node.apply([Event::Pod(ended), Event::Pod(pod("shop", "web-0", "10.1.0.5"))]);

    node.ask("10.1.0.9", "10.1.0.5:80");

    assert_eq!(node.peer(), "pod shop/web-0");
}

#[test]
fn a_pod_that_ends_gives_way_to_one_that_runs() {
    let mut node = Node::synced();
    let ending = Pod { terminating: true, ..pod("shop", "old", "10.1.0.5") };
    node.apply([Event::Pod(ending)]);
    node.ask("10.1.0.9", "10.1.0.5:80");
    assert_eq!(node.peer(), "pod shop/old");

    node.apply([Event::Pod(pod("shop", "new", "10.1.0.5"))]);

    assert_eq!(node.peer(), "pod shop/new");
}

#[test]
fn an_address_that_two_running_pods_claim_names_neither() {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "a", "10.1.0.5")),
        Event::Pod(pod("shop", "b", "10.1.0.5")),
    ]);

    node.ask("10.1.0.9", "10.1.0.5:80");

    assert_eq!(node.peer(), "external 10.1.0.5");
    assert_eq!(node.gap(Unresolved::AmbiguousAddress), 1);
}

#[test]
fn a_deleted_pod_names_late_sockets_for_a_minute_and_is_not_listed() {
    let mut node = Node::synced();
    let web = pod("shop", "web-0", "10.1.0.5");
    node.apply([Event::Pod(web.clone())]);
    let epoch = node.picture().epoch;
    let id = node.pods()[0].0;
    node.apply([gone(&web)]);

    node.connect("10.1.0.5", "192.0.2.7:443");
    assert_eq!(node.flow(), "shop/Pod/web-0 → 192.0.2.7 :443");
    let picture = node.picture();
    assert!(picture.removed.since(epoch).unwrap().any(|r| r == Removed::Pod(id)));
    assert!(node.pods().is_empty());

    node.wait(61);
    assert_eq!(node.gap(Unresolved::NoPodForContainer), 1);
}

#[test]
fn a_deleted_pod_loses_its_address_at_once_to_any_other() {
    let mut node = Node::synced();
    let old = pod("shop", "old", "10.1.0.5");
    node.apply([Event::Pod(old.clone()), gone(&old)]);
    node.ask("10.1.0.9", "10.1.0.5:80");
    assert_eq!(node.peer(), "pod shop/old");

    node.apply([Event::Pod(pod("shop", "new", "10.1.0.5"))]);

    assert_eq!(node.peer(), "pod shop/new");
}

#[test]
fn a_deleted_pods_address_may_be_an_endpoints_of_another_node_at_once() {
    let mut node = Node::synced();
    let old = pod("shop", "old", "10.1.0.5");
    node.apply([Event::Pod(old.clone()), gone(&old)]);
    node.ask("10.1.0.9", "10.1.0.5:8080");
    assert_eq!(node.peer(), "pod shop/old");

    node.apply([Event::Slice(slice("shop", "cart", &[("10.1.0.5", "cart-x")], 8080))]);

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
}

#[test]
fn the_deletion_of_a_stateful_sets_old_pod_does_not_remove_the_new_one() {
    let mut node = Node::synced();
    let old = pod("shop", "db-0", "10.1.0.5");
    let new = Pod { uid: uid("db-0-again"), ..pod("shop", "db-0", "10.1.0.6") };
    node.apply([Event::Pod(old.clone()), Event::Pod(new), gone(&old)]);

    node.ask("10.1.0.9", "10.1.0.6:5432");

    assert_eq!(node.peer(), "pod shop/db-0");
    assert_eq!(node.pods().len(), 1);
}

#[test]
fn an_old_change_of_a_deleted_pod_does_not_bring_it_back() {
    let mut node = Node::synced();
    let old = pod("shop", "web-0", "10.1.0.5");

    node.apply([Event::Pod(old.clone()), gone(&old), Event::Pod(old)]);

    assert!(node.pods().is_empty());
}

#[test]
fn a_list_removes_what_it_does_not_name_only_when_it_is_complete() {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "a", "10.1.0.5")),
        Event::Pod(pod("shop", "b", "10.1.0.6")),
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
    ]);
    let epoch = node.picture().epoch;

    node.apply([
        Event::Listing(Kind::Pod),
        Event::Listing(Kind::Service),
        Event::Pod(pod("shop", "a", "10.1.0.5")),
    ]);
    assert_eq!((node.pods().len(), node.picture().epoch), (2, epoch), "no flash");
    node.apply([Event::Listed(Kind::Pod), Event::Listed(Kind::Service)]);

    assert_eq!(node.pods().iter().map(|p| &*p.1.name).collect::<Vec<_>>(), ["a"]);
    node.ask("10.1.0.9", "10.96.0.7:80");
    assert_eq!(node.peer(), "external 10.96.0.7");
}

#[test]
fn a_list_that_starts_over_counts_from_its_last_beginning() {
    let mut node = Node::synced();
    let (a, b) = (pod("shop", "a", "10.1.0.5"), pod("shop", "b", "10.1.0.6"));

    node.apply([
        Event::Listing(Kind::Pod),
        Event::Pod(a),
        Event::Listing(Kind::Pod),
        Event::Pod(b),
        Event::Listed(Kind::Pod),
    ]);

    assert_eq!(node.pods().iter().map(|p| &*p.1.name).collect::<Vec<_>>(), ["b"]);
}

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
fn an_external_name_is_nobodys_address() {
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
    node.apply([Event::Slice(slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080))]);

    node.ask("10.1.0.9", "10.1.7.5:8080");

    assert_eq!(node.peer(), "pod shop/cart-x");
    assert_eq!(node.service(), "shop/cart");
    assert_eq!(node.flow_to(), "shop/Service/cart");
}

#[test]
fn an_endpoint_that_is_not_ready_is_a_pod_without_the_service() {
    let mut node = Node::synced();
    let mut unready = slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080);
    unready.endpoints[0].ready = false;
    node.apply([Event::Slice(unready)]);

    node.ask("10.1.0.9", "10.1.7.5:8080");

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), String::new()));
}

#[test]
fn a_headless_service_is_known_by_its_endpoints() {
    let mut node = Node::synced();
    let headless = Service { cluster_ips: Vec::new(), ..service("shop", "db", "10.96.0.1", 5432) };
    node.apply([
        Event::Service(headless),
        Event::Slice(slice("shop", "db", &[("10.1.7.5", "db-0"), ("10.1.7.6", "db-1")], 5432)),
    ]);

    node.ask("10.1.0.9", "10.1.7.6:5432");

    assert_eq!((node.peer(), node.service()), ("pod shop/db-1".into(), "shop/db".into()));
}

#[test]
fn endpoints_that_are_no_pods_are_the_service_on_its_port_alone() {
    let mut node = Node::synced();
    let mut api = slice("default", "kubernetes", &[("172.18.0.9", "-")], 6443);
    api.endpoints[0].pod = None;
    node.apply([Event::Slice(api)]);

    node.ask("10.1.0.9", "172.18.0.9:6443");
    assert_eq!(node.peer(), "service default/kubernetes");

    node.ask("10.1.0.8", "172.18.0.9:10250");
    assert_eq!(node.peer(), "external 172.18.0.9");
}

#[test]
fn an_address_that_several_pods_of_a_node_have_is_the_node_unless_the_port_tells() {
    let mut node = Node::synced();
    let at = [("172.18.0.3", "exporter-b")];
    let proxy = [("172.18.0.3", "proxy-b")];
    node.apply([
        Event::Slice(slice("mon", "exporter", &at, 9100)),
        Event::Slice(slice("net", "proxy", &proxy, 10_256)),
    ]);

    node.ask("10.1.0.9", "172.18.0.3:9100");
    assert_eq!(node.peer(), "pod mon/exporter-b");
    node.ask("10.1.0.8", "172.18.0.3:22");
    assert_eq!(node.peer(), "node far-node");
}

#[test]
fn a_daemon_set_on_the_host_network_here_tells_the_addresses_of_the_other_nodes() {
    let mut node = Node::synced();
    let own = Pod { host_network: true, ..pod("mon", "exporter-a", HOST_IP) };
    let at = [(HOST_IP, "exporter-a"), ("172.18.0.3", "exporter-b")];
    node.apply([Event::Pod(own), Event::Slice(slice("mon", "exporter", &at, 9100))]);

    node.accept("10.1.0.9:8080", "172.18.0.3:41000");
    assert_eq!(node.peer(), "node far-node");
    node.ask("10.1.0.8", "172.18.0.3:9100");
    assert_eq!(node.peer(), "pod mon/exporter-b");
}

#[test]
fn a_client_pod_of_another_node_is_named_when_it_connects_to_us() {
    let mut node = Node::synced();
    node.apply([Event::Slice(slice("shop", "front", &[("10.1.7.5", "front-x")], 8080))]);

    node.accept("10.1.0.9:8080", "10.1.7.5:41000");

    assert_eq!(node.peer(), "pod shop/front-x");
}

#[test]
fn of_several_services_the_one_whose_address_was_used_is_named() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "a", "10.96.0.1", 80)),
        Event::Service(service("shop", "z", "10.96.0.2", 80)),
        Event::Slice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::Slice(slice("shop", "z", &[("10.1.7.5", "p")], 8080)),
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
        Event::Slice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::Slice(slice("shop", "z", &[("10.1.7.5", "p")], 9090)),
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
        Event::Slice(slice("shop", "a", &[("10.1.7.5", "p")], 8080)),
        Event::Slice(slice("shop", "z", &[("10.1.7.5", "p")], 8080)),
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
        Event::Slice(slice("shop", "manual", &[("10.1.0.5", "web-0")], 8080)),
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
            Event::Slice(slice("shop", "b", &[("10.1.0.5", "web-0")], 8080)),
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
            Event::Slice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080)),
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

#[test]
fn the_backend_that_the_kernel_tells_is_named_beside_the_service() {
    let mut node = Node::synced();
    node.apply([
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
        Event::Slice(slice("shop", "cart", &[("10.1.7.5", "cart-x")], 8080)),
    ]);
    node.ask("10.1.0.9", "10.96.0.7:80");

    node.translate("10.1.7.5:8080");

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
}

#[test]
fn without_an_entry_the_peer_stays_the_service_and_is_asked_for_once_more_only() {
    let mut node = Node::synced();
    node.apply([Event::Service(service("shop", "cart", "10.96.0.7", 80))]);
    node.ask("10.1.0.9", "10.96.0.7:80");

    for left in [true, false] {
        let questions = node.report.unanswered(10);
        assert_eq!(questions.len(), 1);
        node.report.answer(&[(questions[0], Translated::Unknown)], node.now());
        assert_eq!(node.report.waiting() > 0, left);
    }

    assert_eq!(node.peer(), "service shop/cart");
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
    assert_eq!(flows, ["shop/Pod/web-0 → shop/Pod/cart-x :80"]);
    let flow = *node.picture().flows.iter().next().unwrap();
    assert_eq!((flow.current, flow.opened), (1, 1));
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
        let server =
            Pod { labels: labels(&[("app", "cart")]), ..owned("cart-0", "10.1.0.6", "cart") };
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
    node.apply([Event::Slice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080))]);
    node.ask("10.1.0.9", "10.1.7.5:8080");

    node.apply([Event::Unwatched(Kind::Slice)]);

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
    node.apply([Event::Slice(slice("shop", "cart", &[("10.1.7.5", "p")], 8080))]);

    let asked = ["192.0.2.7:443", "10.1.7.5:8080", "10.1.7.6:8080"].map(|at| {
        node.ask("10.1.0.9", at);
        node.peer()
    });

    assert_eq!(asked, ["group office", "pod shop/p", "group cluster"]);
}
