//! Which node reports a connection, and that its ends are called the same wherever they are.

use crate::node::*;
use probelet_core::cluster::objects::{
    EndpointSlice, Event, Node as FarNode, Pod, Service, ServicePort, SlicePort,
};
use probelet_core::facts::{Closed, Facts, Netns, Process, Role, Want};
use probelet_core::records::{FlowRecord, Origin, Reporter};
use probelet_core::report::{Entry, Translated};
use std::net::IpAddr;

fn flow(node: &Node) -> FlowRecord {
    *node.picture().flows.get(node.connection().flow).unwrap()
}

/// Source, destination, Service, the port that answers, the port of the Service, reporter, node of the source.
fn edge(node: &Node, flow: &FlowRecord) -> String {
    let picture = node.picture();
    let key = flow.key;
    let service = key.service.map_or("-".into(), |id| picture.name(id).unwrap().to_string());
    let origin = match key.origin {
        Origin::Node(id) => picture.name(id).unwrap().to_string(),
        other => format!("{other:?}"),
    };
    let (from, to) = (node.end_of(key.source), node.end_of(key.destination));
    let (port, dialled, by) = (key.port, key.service_port, key.reporter().name());
    format!("{from} → {to} {service} {port} {dialled} {by} {origin}")
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A Service of pods with this label, and a pod of it on this node.
fn cart() -> [Event; 2] {
    let app = labels(&[("app", "cart")]);
    let service = Service { selector: app.clone(), ..service("shop", "cart", "10.96.0.7", 80) };
    let pod = Pod {
        labels: app,
        controller: Some(("StatefulSet".into(), "cart".into())),
        ..pod("shop", "cart-x", "10.1.0.6")
    };
    [Event::Service(service), Event::Pod(pod)]
}

fn web() -> Event {
    let controller = Some(("StatefulSet".into(), "web".into()));
    Event::Pod(Pod { controller, ..pod("shop", "web-0", "10.1.0.5") })
}

#[test]
fn what_a_client_dials_and_what_answers_are_kept_apart() {
    let mut node = Node::synced();
    let cart = Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "cart-y")], 8080));
    node.apply([web(), Event::Service(service("shop", "cart", "10.96.0.7", 80)), cart]);
    node.connect("10.1.0.5", "10.96.0.7:80");

    // It is not known yet who answers, but all who may listen on one port.
    let unasked = "shop/StatefulSet/web → shop/Service/cart shop/cart 8080 80 source Here";
    assert_eq!(edge(&node, &flow(&node)), unasked);
    node.translate("10.1.7.5:8080");

    assert_eq!(edge(&node, &flow(&node)), unasked);
}

#[test]
fn a_service_whose_pods_listen_on_several_ports_has_the_port_that_was_dialled_until_one_answers() {
    let mut node = Node::synced();
    let mut old = slice("shop", "cart", &[("10.1.7.6", "cart-z")], 9090);
    old.name = "cart-old".into();
    let cart = Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "cart-y")], 8080));
    node.apply([
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
        cart,
        Event::EndpointSlice(old),
    ]);
    node.ask("10.1.0.9", "10.96.0.7:80");
    assert_eq!((flow(&node).key.port, flow(&node).key.service_port), (80, 80));

    node.translate("10.1.7.6:9090");

    assert_eq!((flow(&node).key.port, flow(&node).key.service_port), (9090, 80));
}

#[test]
fn each_port_of_a_service_is_answered_by_the_port_of_its_name() {
    let port = |name: &str, port, node_port| ServicePort {
        name: name.into(),
        port,
        node_port,
        ..ServicePort::default()
    };
    let answers = |name: &str, port| SlicePort { name: name.into(), port, ..SlicePort::default() };
    let cart = Service {
        ports: vec![port("http", 80, 30_080), port("admin", 81, 0)],
        ..service("shop", "cart", "10.96.0.7", 80)
    };
    let at = EndpointSlice {
        ports: vec![answers("admin", 9090), answers("http", 8080)],
        ..slice("shop", "cart", &[("10.1.7.5", "cart-y")], 0)
    };

    // It is one edge, whether connection tracking says who answered or is not asked in time.
    for (dialled, answer) in [(80, 8080), (81, 9090)] {
        let mut node = Node::synced();
        node.apply([web(), Event::Service(cart.clone()), Event::EndpointSlice(at.clone())]);
        node.connect("10.1.0.5", &format!("10.96.0.7:{dialled}"));
        assert_eq!((flow(&node).key.port, flow(&node).key.service_port), (answer, dialled));

        node.translate(&format!("10.1.7.5:{answer}"));

        assert_eq!((flow(&node).key.port, flow(&node).key.service_port), (answer, dialled));
    }
}

#[test]
fn a_pod_that_is_dialled_itself_has_no_port_of_a_service() {
    let mut node = Node::synced();
    node.apply([
        web(),
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
        Event::EndpointSlice(slice("shop", "cart", &[("10.1.7.5", "cart-y")], 8080)),
    ]);

    node.connect("10.1.0.5", "10.1.7.5:8080");

    let edge = edge(&node, &flow(&node));
    assert_eq!(edge, "shop/StatefulSet/web → shop/Service/cart shop/cart 8080 0 source Here");
}

#[test]
fn a_connection_inside_the_node_is_reported_once_by_its_source() {
    let mut node = Node::synced();
    node.apply(cart().into_iter().chain([web()]));

    node.both_ends("10.1.0.5", "10.96.0.7:80", "10.1.0.6:8080");
    node.translate("10.1.0.6:8080");

    let picture = node.picture();
    let edges: Vec<_> = picture.flows.iter().map(|f| (edge(&node, f), f.current)).collect();
    let expected = "shop/StatefulSet/web → shop/StatefulSet/cart shop/cart 8080 80 source Here";
    assert_eq!(edges, [(expected.to_owned(), 1)]);
}

#[test]
fn the_destination_says_on_which_node_the_source_is() {
    let origin = |from: &str| {
        let mut node = Node::synced();
        node.apply(cart());
        node.apply([Event::EndpointSlice(slice(
            "shop",
            "front",
            &[("10.1.7.5", "front-x")],
            8080,
        ))]);
        node.accept("10.1.0.6:8080", from);
        edge(&node, &flow(&node))
    };

    let known = origin("10.1.7.5:41000");
    let private = origin("10.1.9.9:41000");
    let public = origin("203.0.113.9:41000");

    let to = "shop/StatefulSet/cart shop/cart 8080 0 destination";
    assert_eq!(known, format!("shop/Service/front → {to} far-node"));
    assert_eq!(private, format!("10.1.9.9 → {to} Unknown"));
    assert_eq!(public, format!("203.0.113.9 → {to} Outside"));
}

#[test]
fn a_source_that_may_be_a_pod_by_the_addresses_of_the_pods_here_is_not_outside() {
    let origin = |own: &str, from: &str| {
        let mut node = Node::synced();
        node.apply([Event::Pod(pod("shop", "cart-x", own))]);
        node.accept(&std::net::SocketAddr::new(ip(own), 8080).to_string(), from);
        flow(&node).key.origin
    };

    let pods = "2600:1f14:abc:de01:1::5";
    assert_eq!(origin(pods, "[2600:1f14:abc:de33:7::9]:41000"), Origin::Unknown);
    assert_eq!(origin(pods, "[2a00:1450:4001:80b::200e]:41000"), Origin::Outside);
    assert_eq!(origin("10.1.0.6", "[2600:1f14:abc:de33:7::9]:41000"), Origin::Outside);
    assert_eq!(origin("10.1.0.6", "240.10.7.5:41000"), Origin::Unknown);
}

#[test]
fn another_node_is_the_source_under_its_own_name() {
    let mut node = Node::synced();
    node.apply(cart());
    node.apply([Event::Nodes(vec![FarNode {
        name: "worker-2".into(),
        addresses: vec![ip("172.18.0.3")],
    }])]);

    node.accept("10.1.0.6:8080", "172.18.0.3:41000");

    let edge = edge(&node, &flow(&node));
    let to = "shop/StatefulSet/cart shop/cart 8080 0 destination worker-2";
    assert_eq!(edge, format!("Node/worker-2 → {to}"));
}

#[test]
fn beyond_so_many_nodes_sources_are_on_one_of_the_others() {
    let mut node = Node::synced();
    node.apply(cart());
    let nodes = (0..100).map(|n| FarNode {
        name: format!("worker-{n}").into(),
        addresses: vec![ip(&format!("172.18.1.{n}"))],
    });
    node.apply([Event::Nodes(nodes.collect())]);

    for n in 0..100 {
        node.accept("10.1.0.6:8080", &format!("172.18.1.{n}:41000"));
    }

    let picture = node.picture();
    let named = picture.flows.iter().filter(|f| matches!(f.key.origin, Origin::Node(_)));
    let others = picture.flows.iter().filter(|f| f.key.origin == Origin::OtherNode);
    assert_eq!(named.count(), 64);
    assert_eq!(others.map(|f| f.opened).sum::<u64>(), 36);
    assert!(picture.flows.iter().all(|f| f.key.reporter() == Reporter::Destination));
}

#[test]
fn a_client_of_a_node_port_is_outside_and_used_the_service() {
    let mut node = Node::synced();
    let [service, pod] = cart();
    let Event::Service(mut service) = service else { unreachable!() };
    service.ports[0].node_port = 30_080;
    node.apply([Event::Service(service), pod]);
    node.connect(HOST_IP, "192.0.2.1:9");
    // The node masquerades the client, so that its answers come back this way.
    node.accept("10.1.0.6:8080", &format!("{HOST_IP}:41000"));
    assert_eq!(flow(&node).key.origin, Origin::Here, "for all that is known as yet");
    node.report.waiting(node.now().mono_ms + 10_000);
    let (client, dialled) = (end("203.0.113.9:55555"), end(&format!("{HOST_IP}:30080")));
    let (backend, seen) = (end("10.1.0.6:8080"), end(&format!("{HOST_IP}:41000")));
    let entry = Entry { client, service: dialled, backend, seen };

    let asked = node.report.unanswered(10);
    let question = asked.into_iter().find(|question| question.local == backend).unwrap();
    node.report.answer(&[(question, Translated::Entry(entry))], node.now());

    let picture = node.picture();
    let edges: Vec<_> = picture.flows.iter().map(|f| edge(&node, f)).collect();
    let to = "shop/StatefulSet/cart shop/cart 8080 30080 destination Outside";
    assert!(edges.contains(&format!("203.0.113.9 → {to}")), "{edges:?}");
}

/// The node's own namespace, with its first process.
fn with_host(node: &mut Node) {
    let init = Process { pid: 1, start_ns: 1, netns: 1, ..Process::default() };
    node.facts.processes.push(init);
    node.facts.processes.push(Process { pid: 2, ..init });
    node.facts.netns.push(Netns { inode: 1, ..Netns::default() });
}

#[test]
fn a_probe_of_the_kubelet_that_nothing_saw_open_is_the_nodes() {
    let mut node = Node::synced();
    with_host(&mut node);
    node.apply(cart());
    node.accept("10.1.0.6:8080", "10.1.0.6:1");
    let closed = Closed {
        netns: 1,
        local: end("10.1.0.1:41000"),
        remote: end("10.1.0.6:8080"),
        remaining_ms: 60_000,
        interface: 0,
        role: Role::Dialled,
    };
    node.facts.closed = vec![closed];
    node.pass();

    let picture = node.picture();
    let probes = picture.connections.iter().filter(|c| c.netns == 1);
    let flows: Vec<_> = probes.filter_map(|c| picture.flows.get(c.flow)).collect();
    let edges: Vec<_> = flows.iter().map(|f| edge(&node, f)).collect();
    let to = "shop/StatefulSet/cart shop/cart 8080 0 source Here";
    assert_eq!(edges, [format!("Node/this-node → {to}")]);
}

#[test]
fn a_probe_whose_servers_end_alone_was_seen_is_the_nodes_by_any_address_that_it_has() {
    let mut node = Node::synced();
    node.apply(cart());
    node.accept("10.1.0.6:8080", "10.1.0.1:41000");
    assert_eq!(flow(&node).key.origin, Origin::Unknown, "a bridge that no one knows");

    node.report.cluster().unwrap().set_host(&[ip("10.1.0.1")]);
    node.report.rename(node.now());

    let to = "shop/StatefulSet/cart shop/cart 8080 0 source Here";
    assert_eq!(edge(&node, &flow(&node)), format!("Node/this-node → {to}"));
}

#[test]
fn the_api_server_has_its_name_when_it_connects() {
    let mut node = Node::synced();
    node.apply(cart());
    let mut api = slice("default", "kubernetes", &[("172.18.0.9", "-")], 6443);
    api.endpoints[0].pod = None;
    api.endpoints[0].node = None;
    node.apply([Event::EndpointSlice(api)]);

    node.accept("10.1.0.6:8080", "172.18.0.9:41000");

    let to = "shop/StatefulSet/cart shop/cart 8080 0 destination Unknown";
    assert_eq!(edge(&node, &flow(&node)), format!("default/Service/kubernetes → {to}"));
    assert_eq!(node.peer(), "service default/kubernetes");
}

#[test]
fn a_connection_that_is_called_otherwise_after_it_was_shown_is_counted_once() {
    let mut node = Node::synced();
    node.connect("10.1.0.5", "192.0.2.7:443");
    let first = flow(&node);
    assert_eq!((first.opened, first.counted_once()), (1, [1, 0]));

    node.apply([web()]);

    let (picture, now) = (node.picture(), flow(&node));
    assert_ne!(first.id, now.id);
    assert_eq!((now.current, now.opened, now.counted_once()), (1, 1, [0, 0]));
    let sum: u64 = picture.flows.iter().map(|f| f.counted_once()[0]).sum();
    assert_eq!(sum, 1, "what a scrape had under the first name is not there again");
    node.connect("10.1.0.5", "192.0.2.7:443");
    assert_eq!((flow(&node).opened, flow(&node).counted_once()), (2, [1, 0]));
}

#[test]
fn a_connection_that_is_called_otherwise_before_it_was_shown_moves_whole() {
    let mut node = Node::synced();
    // No picture is made in between.
    node.facts = Facts { fresh: Some(Want::Everything), ..node.facts.clone() };
    node.connect("10.1.0.5", "192.0.2.7:443");
    node.apply([web()]);

    assert_eq!(flow(&node).counted_once(), [1, 0]);
    assert_eq!(node.picture().flows.len(), 1);
}

/// Client, Service and server wherever they are: what the source's node says does not depend on it.
#[test]
fn the_name_of_an_edge_does_not_depend_on_where_the_scheduler_put_its_pods() {
    let edge_from = |server_here: bool, by_service: bool| {
        let mut node = Node::synced();
        let [service, pod] = cart();
        let at = if server_here { "10.1.0.6" } else { "10.1.7.5" };
        let endpoint = slice("shop", "cart", &[(at, "cart-x")], 8080);
        node.apply([web(), service, Event::EndpointSlice(endpoint)]);
        if server_here {
            node.apply([pod]);
        }
        let backend = format!("{at}:8080");
        let dialled = if by_service { "10.96.0.7:80" } else { &*backend };
        if server_here {
            node.both_ends("10.1.0.5", dialled, &backend);
        } else {
            node.connect("10.1.0.5", dialled);
        }
        if by_service {
            node.translate(&backend);
        }
        let key = flow(&node).key;
        let service = key.service.map(|id| node.picture().name(id).unwrap().to_string());
        (node.end_of(key.source), service, key.port, key.service_port, key.origin)
    };

    for by_service in [false, true] {
        assert_eq!(edge_from(true, by_service), edge_from(false, by_service), "{by_service}");
    }
}

#[test]
fn a_neighbour_on_the_same_link_may_be_another_node() {
    for (at, from) in [("10.1.0.6:179", "169.254.7.1:41000"), ("[fd00::6]:179", "[fe80::7]:41000")]
    {
        let mut node = Node::synced();

        node.accept(at, from);

        assert_eq!(flow(&node).key.origin, Origin::Unknown, "{from}");
    }
}

#[test]
fn a_node_that_has_the_addresses_of_all_services_keeps_its_own() {
    let address = |n: u16| format!("10.96.{}.{}", n >> 8, n & 255);
    let mut node = Node::synced();
    node.apply(cart());
    node.apply(
        (1..5000).map(|n| Event::Service(service("many", &format!("s{n}"), &address(n), 80))),
    );

    // kube-proxy in IPVS mode; addresses come in their order.
    let all: Vec<IpAddr> = (1..5000).map(|n| ip(&address(n))).chain([ip("10.244.1.1")]).collect();
    node.report.cluster().unwrap().set_host(&all);
    node.accept("10.1.0.6:8080", "10.244.1.1:41000");

    assert_eq!(flow(&node).key.origin, Origin::Here);
}
