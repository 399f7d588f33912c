//! Short connections whose ports, or whose namespace's number, something else had before: each is counted once, with the name of who
//! it is.

use crate::node::*;
use crate::short::*;
use probelet_core::cluster::Peers;
use probelet_core::cluster::objects::{Event, Service};
use probelet_core::facts::{Closed, Ended, Endpoint, Netns, Process, Socket};

/// For how many passes at most something is expected of an end that never comes.
const LONG: usize = 70;
/// An address of the node itself.
const OF_NODE: &str = "172.18.0.2";

fn at_node(port: u16) -> Endpoint {
    end(&format!("{OF_NODE}:{port}"))
}

fn wait(node: &mut Node, passes: usize) {
    for _ in 0..passes {
        node.pass();
    }
}

/// The node's own network namespace, from whose address it has a connection.
fn host(node: &mut Node) -> u32 {
    let netns = 1;
    node.facts.processes.push(Process { pid: 1, netns, ..Process::default() });
    node.facts.netns.push(Netns { inode: netns, ..Netns::default() });
    node.facts.reported.push((netns, 0));
    node.facts.reported.sort_unstable();
    let socket = out_of_host(33_333, "192.0.2.9:443");
    node.facts.sockets.push(socket);
    node.pass();
    netns
}

fn out_of_host(port: u16, to: &str) -> Socket {
    let (local, remote) = (at_node(port), end(to));
    Socket { netns: 1, inode: u32::from(port), pid: 1, local, remote, ..Socket::default() }
}

/// The server's end of a connection from outside through a port of the node, which the node has put its own address on.
fn masqueraded(node: &Node, port: u16) -> Ended {
    Ended { remote: at_node(port), ..server(node, port) }
}

/// The socket is seen in one pass, and is over in the next.
fn seen_once(node: &mut Node, socket: Socket) {
    node.facts.sockets.push(socket);
    node.pass();
    node.facts.sockets.pop();
}

#[test]
fn a_connection_of_the_node_counts_where_its_port_was_put_on_one_from_outside_before() {
    let mut node = node();
    let netns = host(&mut node);
    for to in ["192.0.2.7:443", "10.1.0.5:9090"] {
        let inward = masqueraded(&node, 50_001);
        assert_eq!(counted(&mut node, &[&[inward]]), 1);
        let outward = end_of(netns, at_node(50_001), end(to));
        assert_eq!(counted(&mut node, &[&[outward]]), 1, "{to}");
    }
}

#[test]
fn so_does_an_open_one_whether_ends_are_reported_or_not() {
    for reports in [true, false] {
        let mut node = node();
        host(&mut node);
        if !reports {
            node.facts.reported.clear();
        }
        let before = opened(&node);
        let inward = masqueraded(&node, 50_001);
        let socket = alive(&node, &inward);
        seen_once(&mut node, socket);
        node.facts.ended = if reports { vec![inward] } else { Vec::new() };
        node.pass();
        node.facts.ended.clear();

        node.facts.sockets.push(out_of_host(50_001, "192.0.2.7:443"));
        wait(&mut node, 3);

        assert_eq!(opened(&node) - before, 2, "{reports}");
    }
}

#[test]
fn a_connection_from_outside_counts_long_after_the_node_reached_a_pod_elsewhere_from_that_port() {
    let mut node = node();
    let netns = host(&mut node);
    let outward = end_of(netns, at_node(50_001), end(SERVICE));
    assert_eq!(counted(&mut node, &[&[outward]]), 1);
    wait(&mut node, LONG);

    let inward = masqueraded(&node, 50_001);
    assert_eq!(counted(&mut node, &[&[inward]]), 1);
}

#[test]
fn a_server_that_was_seen_a_pass_before_its_client_costs_no_later_connection() {
    let mut node = node();
    let before = opened(&node);
    let (dials, accepts) = (client(&node, 50_001, SERVER), server(&node, 50_001));
    let both = [alive(&node, &accepts), alive(&node, &dials)];
    node.facts.sockets = both[..1].to_vec();
    node.pass();
    node.facts.sockets = both.to_vec();
    wait(&mut node, 2);
    node.facts.sockets.clear();
    node.facts.ended = vec![dials, accepts];
    node.pass();
    node.facts.ended.clear();
    node.pass();
    assert_eq!(opened(&node) - before, 1);

    let elsewhere = client(&node, 50_001, SERVICE);
    assert_eq!(counted(&mut node, &[&[elsewhere]]), 1, "to a pod of another node");
}

#[test]
fn a_client_whose_ends_are_not_reported_costs_no_connection_long_after() {
    let mut node = node();
    let (through, accepts) = (client(&node, 50_001, SERVICE), server(&node, 50_001));
    node.facts.reported.retain(|reported| reported.0 != through.netns);
    let before = opened(&node);
    let socket = alive(&node, &through);
    seen_once(&mut node, socket);
    wait(&mut node, LONG);
    assert_eq!(opened(&node) - before, 1);

    assert_eq!(counted(&mut node, &[&[accepts]]), 1);
}

#[test]
fn a_connection_to_what_may_be_a_service_counts_once() {
    let claimed = || {
        let mut node = node();
        let external_ips = vec!["203.0.113.5".parse().unwrap()];
        let cart = service("shop", "cart", "10.96.0.7", 80);
        node.apply([Event::Service(Service { external_ips, ..cart })]);
        node
    };
    let unnamed = |mut node: Node| {
        let pods = [("web-0", "10.1.0.5"), ("cart-x", "10.1.0.6")];
        node.apply(pods.map(|(name, ip)| Event::Pod(pod("shop", name, ip))));
        node.both_ends("10.1.0.5", SERVER, SERVER);
        node.facts.reported = node.facts.netns.iter().map(|netns| (netns.inode, 0)).collect();
        node.facts.reported.sort_unstable();
        node.pass();
        node
    };
    let off = || unnamed(Node::with(|settings| settings.peers = Peers::Off));
    let unlisted = || unnamed(Node::new());
    let cases: [(&str, &dyn Fn() -> Node, &str); 3] = [
        ("it says so itself", &claimed, "203.0.113.5:80"),
        ("peers have no names", &off, SERVICE),
        ("Services are not listed yet", &unlisted, SERVICE),
    ];
    for (why, made, to) in cases {
        for client_first in [true, false] {
            let mut node = made();
            let (dials, accepts) = (client(&node, 50_001, to), server(&node, 50_001));
            let passes: &[&[Ended]] =
                if client_first { &[&[dials, accepts]] } else { &[&[accepts], &[dials]] };
            assert_eq!(counted(&mut node, passes), 1, "{why}, {client_first}");
        }
    }
}

#[test]
fn a_connection_through_a_port_of_the_node_counts_once() {
    let mut node = node();
    host(&mut node);
    let through = format!("{OF_NODE}:30080");
    let (dials, accepts) = (client(&node, 50_001, &through), server(&node, 50_001));
    assert_eq!(counted(&mut node, &[&[dials, accepts]]), 1, "in one pass");
    let (dials, accepts) = (client(&node, 50_002, &through), server(&node, 50_002));
    assert_eq!(counted(&mut node, &[&[accepts], &[dials]]), 1, "the server's first");
}

#[test]
fn a_namespace_has_no_name_of_one_that_had_its_number_long_before_where_there_are_no_cookies() {
    let mut node = node();
    host(&mut node);
    let netns = seen_of(&mut node, b"nginx", "10.1.0.7");
    node.pass();
    let (there, reported) = (node.facts.netns.clone(), node.facts.reported.clone());
    node.facts.processes.retain(|process| process.netns != netns);
    node.facts.netns.retain(|there| there.inode != netns);
    node.facts.reported.retain(|reported| reported.0 != netns);
    wait(&mut node, 5);
    (node.facts.netns, node.facts.reported) = (there, reported);
    node.pass();

    let dials = end_of(netns, end("10.1.0.8:50001"), end(SERVER));
    assert_eq!(counted(&mut node, &[&[dials]]), 1);
    assert_eq!(direct(&node), ["Unresolved → shop/Pod/cart-x :8080"]);
}

#[test]
fn an_end_that_waits_for_its_other_one_stays_that_of_the_pod_that_had_the_number_first() {
    let mut node = node();
    let first = seen_of(&mut node, b"nginx", "10.1.0.7");
    let second = seen_of(&mut node, b"nginx", "10.1.0.8");
    node.facts.processes.retain(|process| process.netns != first);
    node.facts.netns.retain(|there| there.inode != first);
    let forgot = Ended {
        netns: second,
        or_netns: first,
        local: end("10.1.0.7:50001"),
        remote: end("192.0.2.9:0"),
        established: true,
        ..Ended::default()
    };

    assert_eq!(counted(&mut node, &[&[forgot], &[]]), 1);

    let flows = node.flows();
    let wrong = |flow: &&String| flow.contains("10.1.0.8") && flow.contains("192.0.2.9");
    assert_eq!(flows.iter().find(wrong), None);
}

#[test]
fn a_connection_counts_on_ports_of_which_one_was_counted_before_ends_were_reported() {
    for shown in [false, true] {
        let mut node = node();
        let reported = std::mem::take(&mut node.facts.reported);
        node.pass();
        let ended = client(&node, 50_001, "192.0.2.7:443");
        let Ended { netns, local, remote, .. } = ended;
        let closed = Closed { netns, local, remote, remaining_ms: 59_500, ..Closed::default() };
        node.facts.closed = vec![closed];
        node.pass();
        node.facts.closed.clear();
        wait(&mut node, 5);
        let now = node.now().mono_ms;
        node.facts.heard_ms = now;
        node.facts.reported = reported.into_iter().map(|(netns, _)| (netns, now)).collect();
        node.pass();

        let before = opened(&node);
        node.facts.ended = vec![ended];
        node.facts.closed.extend(shown.then_some(closed));
        node.pass();
        node.facts.ended.clear();
        node.facts.closed.clear();
        wait(&mut node, 4);

        assert_eq!(opened(&node) - before, 1, "shown in TIME_WAIT: {shown}");
    }
}

#[test]
fn an_attempt_at_a_pod_that_went_since_the_last_pass_has_its_name() {
    let mut node = node();
    let job = pod("shop", "job", "10.1.0.9");
    node.apply([Event::Pod(job.clone())]);
    node.pass();
    node.apply([gone(&job)]);

    let refused = client(&node, 50_001, "10.1.0.9:9090");
    node.facts.ended = vec![Ended { established: false, answered: true, ..refused }];
    let there = node.facts.netns.iter_mut().find(|there| there.inode == refused.netns).unwrap();
    (there.active_opens, there.attempt_fails) = (there.active_opens + 1, 1);
    node.pass();
    node.facts.ended.clear();
    node.pass();

    let flows = node.flows();
    let at = |flow: &&String| flow.ends_with(":9090");
    assert_eq!(
        flows.iter().filter(at).collect::<Vec<_>>(),
        ["shop/Pod/web-0 → shop/Pod/job :9090"]
    );
}
