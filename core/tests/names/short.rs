//! Short connections, known only from how they ended: through a Service's address, with both ends on this node; and of pods of which
//! little or nothing was seen.

use crate::node::*;
use probelet_core::cluster::objects::Event;
use probelet_core::facts::{Closed, Comm, Ended, Endpoint, Loss, Netns, Socket};
use probelet_core::report::{Entry, Translated};

pub(crate) const SERVICE: &str = "10.96.0.7:80";
pub(crate) const SERVER: &str = "10.1.0.6:8080";

/// Two pods and a Service; what was seen of them is over.
pub(crate) fn node() -> Node {
    let mut node = Node::synced();
    node.apply([
        Event::Pod(pod("shop", "web-0", "10.1.0.5")),
        Event::Pod(pod("shop", "cart-x", "10.1.0.6")),
        Event::Service(service("shop", "cart", "10.96.0.7", 80)),
    ]);
    node.both_ends("10.1.0.5", SERVICE, SERVER);
    node.translate(SERVER);
    let reported: Vec<_> = node.facts.netns.iter().map(|netns| (netns.inode, 0)).collect();
    node.facts.reported = reported;
    let ends: Vec<_> = node.facts.sockets.drain(..).map(|s| (s.local, s.remote)).collect();
    for (local, remote) in ends {
        let netns = netns_of(&node, local);
        node.facts.ended.push(end_of(netns, local, remote));
    }
    node.pass();
    node.facts.ended.clear();
    node.pass();
    assert_eq!(opened(&node), 1);
    node
}

pub(crate) fn netns_of(node: &Node, local: Endpoint) -> u32 {
    let ip = local.ip().to_string();
    let id = container_id(&ip);
    let n = node.facts.containers.iter().position(|container| container.id == id).unwrap();
    1000 + u32::try_from(n).unwrap()
}

pub(crate) fn end_of(netns: u32, local: Endpoint, remote: Endpoint) -> Ended {
    let (sent, received) = (100, 101);
    let acknowledged = sent + 2;
    Ended {
        netns,
        local,
        remote,
        established: true,
        sent,
        acknowledged,
        received,
        ..Ended::default()
    }
}

pub(crate) fn client(node: &Node, port: u16, to: &str) -> Ended {
    let local = end(&format!("10.1.0.5:{port}"));
    end_of(netns_of(node, local), local, end(to))
}

pub(crate) fn server(node: &Node, port: u16) -> Ended {
    let local = end(SERVER);
    let ended = end_of(netns_of(node, local), local, end(&format!("10.1.0.5:{port}")));
    // No SYN of its own is acknowledged.
    Ended { acknowledged: ended.sent + 1, ..ended }
}

pub(crate) fn opened(node: &Node) -> u64 {
    node.picture().flows.iter().map(|flow| flow.opened).sum()
}

/// Each list is reported in a pass of its own; how many connections that makes.
pub(crate) fn counted(node: &mut Node, passes: &[&[Ended]]) -> u64 {
    let before = opened(node);
    for ended in passes {
        node.facts.ended = ended.to_vec();
        node.pass();
    }
    node.facts.ended.clear();
    node.pass();
    opened(node) - before
}

#[test]
fn a_short_connection_through_a_service_is_one_connection_whichever_end_is_reported_first() {
    let mut node = node();
    let ends = |node: &Node, port| (client(node, port, SERVICE), server(node, port));

    let (dials, accepts) = ends(&node, 50_001);
    assert_eq!(counted(&mut node, &[&[dials, accepts]]), 1, "in one pass");
    let (dials, accepts) = ends(&node, 50_002);
    assert_eq!(counted(&mut node, &[&[dials], &[accepts]]), 1, "the client's first");
    let (dials, accepts) = ends(&node, 50_003);
    assert_eq!(counted(&mut node, &[&[accepts], &[dials]]), 1, "the server's first");
}

/// A pod at an address, of which nothing but `comm` was seen, and its namespace.
pub(crate) fn seen_of(node: &mut Node, comm: &[u8], address: &str) -> u32 {
    node.apply([Event::Pod(pod("shop", address, address))]);
    node.connect(address, "192.0.2.7:443");
    node.facts.sockets.clear();
    let netns = netns_of(node, end(&format!("{address}:1")));
    let process = node.facts.processes.iter_mut().find(|process| process.netns == netns).unwrap();
    process.comm = Comm::new(comm);
    node.facts.reported.push((netns, 0));
    node.pass();
    netns
}

/// Flows to the server's own port from others than the client of [`node`].
pub(crate) fn direct(node: &Node) -> Vec<String> {
    let flows = node.flows().into_iter().filter(|flow| flow.ends_with(":8080"));
    flows.filter(|flow| !flow.starts_with("shop/Pod/web-0 ")).collect()
}

#[test]
fn a_pod_of_which_no_more_than_the_sandbox_was_seen_has_its_name_at_its_short_connections() {
    let mut node = node();
    let netns = seen_of(&mut node, b"pause", "10.1.0.7");

    let dials = end_of(netns, end("10.1.0.7:50001"), end(SERVER));
    let accepts = Ended { remote: dials.local, ..server(&node, 50_001) };
    assert_eq!(counted(&mut node, &[&[dials, accepts]]), 1);

    assert_eq!(direct(&node), ["shop/Pod/10.1.0.7 → shop/Pod/cart-x :8080"]);
}

#[test]
fn a_namespace_with_the_number_of_one_that_went_is_not_called_as_that_one_was() {
    for cookies in [[1, 2], [0, 0]] {
        let mut node = node();
        let netns = seen_of(&mut node, b"nginx", "10.1.0.7");
        let reads = |node: &mut Node, cookie, active_opens| {
            let there = node.facts.netns.iter_mut().find(|there| there.inode == netns).unwrap();
            *there = Netns { cookie, active_opens, ..*there };
        };
        reads(&mut node, cookies[0], 10);
        node.pass();
        reads(&mut node, cookies[1], 1);
        node.facts.processes.retain(|process| process.netns != netns);

        let dials = end_of(netns, end("10.1.0.8:50001"), end(SERVER));
        assert_eq!(counted(&mut node, &[&[dials]]), 1);

        assert_eq!(direct(&node), ["Unresolved → shop/Pod/cart-x :8080"], "{cookies:?}");
    }
}

#[test]
fn an_end_by_the_number_of_a_namespace_that_went_is_of_that_one_only_if_something_says_so() {
    let mut node = node();
    let netns = seen_of(&mut node, b"nginx", "10.1.0.7");
    let of = |local| Ended { or_netns: netns, ..end_of(0, end(local), end(SERVER)) };

    assert_eq!(counted(&mut node, &[&[of("10.1.0.8:50001")]]), 0, "of anybody");
    assert_eq!(node.picture().losses.get(Loss::EndsElsewhere), 1);
    assert_eq!(counted(&mut node, &[&[of("10.1.0.7:50002")]]), 1, "of its own address");
    assert_eq!(direct(&node), ["shop/Pod/10.1.0.7 → shop/Pod/cart-x :8080"]);
}

#[test]
fn a_pod_that_went_since_the_last_pass_has_its_name_at_what_it_had_opened() {
    for (reports, passes) in [(true, 0), (true, 1), (false, 0), (false, 1)] {
        let mut node = node();
        let job = pod("shop", "job", "10.1.0.9");
        node.apply([Event::Pod(job.clone())]);
        node.pass();
        node.apply([gone(&job)]);
        (0..passes).for_each(|_| node.pass());

        let ended = Ended { remote: end("10.1.0.9:50001"), ..server(&node, 50_001) };
        if reports {
            assert_eq!(counted(&mut node, &[&[ended]]), 1);
        } else {
            node.facts.reported.clear();
            let Ended { netns, local, remote, .. } = ended;
            let closed = Closed { netns, local, remote, remaining_ms: 60_000, ..Closed::default() };
            node.facts.closed = vec![closed];
            assert_eq!(counted(&mut node, &[]), 1);
        }

        let named = ["shop/Pod/job → shop/Pod/cart-x :8080"];
        let unnamed = ["10.1.0.9 → shop/Pod/cart-x :8080"];
        assert_eq!(direct(&node), if passes == 0 { named } else { unnamed }, "{reports}");
    }
}

#[test]
fn ports_that_are_used_again_for_another_way_to_the_server_count_each_connection() {
    let mut node = node();
    let port = 50_001;
    let (through, direct, accepts) =
        (client(&node, port, SERVICE), client(&node, port, SERVER), server(&node, port));

    // A server of another node, then one of this node without the Service, and both again.
    assert_eq!(counted(&mut node, &[&[through]]), 1);
    assert_eq!(counted(&mut node, &[&[direct, accepts]]), 1);
    assert_eq!(counted(&mut node, &[&[accepts], &[direct]]), 1);
    assert_eq!(counted(&mut node, &[&[through]]), 1);
    assert_eq!(counted(&mut node, &[&[through], &[direct], &[accepts]]), 2);
}

#[test]
fn many_short_connections_through_a_service_are_counted_once_each() {
    let mut node = node();
    let all: Vec<Ended> = (50_000..50_100)
        .flat_map(|port| [client(&node, port, SERVICE), server(&node, port)])
        .collect();

    assert_eq!(counted(&mut node, &[&all[..133], &all[133..]]), 100);
}

/// The same end, if it reset without lingering.
fn forgetting(ended: Ended) -> Ended {
    let Ended { netns, local, remote, .. } = ended;
    let local = Endpoint { addr: 0, ..local };
    Ended {
        netns,
        local,
        remote: Endpoint { port: 0, ..remote },
        established: true,
        ..Ended::default()
    }
}

#[test]
fn a_client_of_a_service_that_forgot_its_peer_is_not_counted_beside_the_server() {
    let mut node = node();
    let ends = |node: &Node, port| (forgetting(client(node, port, SERVICE)), server(node, port));

    let (dials, accepts) = ends(&node, 50_001);
    assert_eq!(counted(&mut node, &[&[dials, accepts]]), 1, "in one pass");
    let (dials, accepts) = ends(&node, 50_002);
    assert_eq!(counted(&mut node, &[&[accepts], &[dials]]), 1, "the server's first");
    let (dials, accepts) = ends(&node, 50_003);
    assert_eq!(counted(&mut node, &[&[dials], &[accepts]]), 1, "the client's first");
    let (dials, accepts) = ends(&node, 50_004);
    assert_eq!(counted(&mut node, &[&[dials], &[], &[accepts]]), 1, "the server's late");
    // Another one from there, which only its client reports.
    let (dials, _) = ends(&node, 50_001);
    assert_eq!(counted(&mut node, &[&[dials]]), 1);
}

/// The socket of an end that a pass sees alive.
pub(crate) fn alive(node: &Node, ended: &Ended) -> Socket {
    let Ended { netns, local, remote, .. } = *ended;
    let inode = 70 + netns;
    let process = node.facts.processes.iter().find(|process| process.netns == netns).unwrap();
    Socket { netns, inode, pid: process.pid, local, remote, ..Socket::default() }
}

/// In which orders a connection is not counted once: what a pass sees alive of the two ends, when each is reported after that, and
/// what connection tracking says of it.
fn miscounted(dialled: &str, answers: &[u8]) -> Vec<String> {
    let mut wrong = Vec::new();
    let all = [false, true];
    let times = || (0..3usize).flat_map(|client| (0..3usize).map(move |server| [client, server]));
    for seen in all.into_iter().flat_map(|c| all.map(|s| [c, s])) {
        // What is alive is not reported yet.
        let later = |at: &[usize; 2]| seen.iter().zip(at).all(|(seen, at)| !seen || *at > 0);
        for (reported, answer) in
            times().filter(later).flat_map(|at| answers.iter().map(move |answer| (at, *answer)))
        {
            let mut node = node();
            let ends = [client(&node, 50_001, dialled), server(&node, 50_001)];
            let before = opened(&node);
            for pass in 0..3 {
                let due = |end: &usize| reported[*end] == pass;
                node.facts.ended = (0..2).filter(due).map(|end| ends[end]).collect();
                let lives = (0..2).zip(seen).filter(|(_, seen)| pass == 0 && *seen);
                node.facts.sockets = lives.map(|(end, _)| alive(&node, &ends[end])).collect();
                node.pass();
                ask(&mut node, answer);
            }
            node.facts.ended.clear();
            node.pass();
            let counted = opened(&node) - before;
            if counted != 1 {
                wrong.push(format!("{counted}: seen {seen:?}, reported {reported:?}, {answer}"));
            }
        }
    }
    wrong
}

#[test]
fn a_short_connection_of_which_a_pass_saw_an_end_alive_is_one_connection() {
    let none: [String; 0] = [];

    assert_eq!(miscounted(SERVICE, &[0, 1, 2]), none, "through a Service");
    assert_eq!(miscounted(SERVER, &[0, 2]), none, "between the pods");
}

/// Connection tracking is not asked, knows, or does not.
fn ask(node: &mut Node, answer: u8) {
    let questions = if answer == 0 { Vec::new() } else { node.report.unanswered(10) };
    for question in questions {
        let client = if question.local == end(SERVER) { question.remote } else { question.local };
        let entry = Entry { client, service: end(SERVICE), backend: end(SERVER), seen: client };
        let reply = if answer == 1 { Translated::Entry(entry) } else { Translated::Unknown };
        node.report.answer(&[(question, reply)], node.now());
    }
}
