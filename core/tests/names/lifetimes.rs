//! Pods that come, go and come again: no one keeps an address or a name that is another's.

use crate::node::*;
use probelet_core::cluster::objects::{EndpointSlice, Event, Kind, Phase, Pod};
use probelet_core::cluster::{Peers, Settings};
use probelet_core::facts::{Closed, Socket, State};
use probelet_core::records::Unresolved;
use probelet_core::report::Removed;

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
    node.apply([Event::Pod(old.clone())]);
    node.ask("10.1.0.9", "10.1.0.5:80");
    node.apply([gone(&old)]);
    assert_eq!(node.peer(), "pod shop/old");

    node.apply([Event::Pod(pod("shop", "new", "10.1.0.5"))]);

    assert_eq!(node.peer(), "pod shop/new");
}

#[test]
fn no_one_is_named_after_a_pod_that_was_gone_before() {
    let mut node = Node::synced();
    let old = pod("shop", "old", "10.1.0.5");
    node.apply([Event::Pod(old.clone())]);
    node.ask("10.1.0.9", "10.1.0.5:80");
    node.wait(1);
    node.apply([gone(&old)]);
    assert_eq!(node.peer(), "pod shop/old", "it was there when that was opened");
    node.wait(20);

    node.ask("10.1.0.9", "10.1.0.5:80");

    assert_eq!(node.peer(), "external 10.1.0.5");
}

#[test]
fn a_deleted_pods_address_may_be_an_endpoints_of_another_node_at_once() {
    let mut node = Node::synced();
    let old = pod("shop", "old", "10.1.0.5");
    node.apply([Event::Pod(old.clone())]);
    node.ask("10.1.0.9", "10.1.0.5:8080");
    node.apply([gone(&old)]);
    assert_eq!(node.peer(), "pod shop/old");

    node.apply([Event::EndpointSlice(slice("shop", "cart", &[("10.1.0.5", "cart-x")], 8080))]);

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
fn a_pod_that_has_ended_names_what_was_open_until_then_for_a_minute() {
    let mut node = Node::synced();
    let job = pod("shop", "job-1", "10.1.0.5");
    node.apply([Event::Pod(job.clone())]);
    node.accept("10.1.0.9:8080", "10.1.0.5:41000");
    node.wait(1);

    node.apply([Event::Pod(Pod { phase: Phase::Ended, ready: false, ..job })]);

    assert_eq!(node.peer(), "pod shop/job-1");
    node.wait(59);
    node.accept("10.1.0.9:8081", "10.1.0.5:41001");
    assert_eq!(node.peer(), "external 10.1.0.5", "it began when the pod had ended");
    node.wait(1);
    assert_eq!(node.gap(Unresolved::UnknownAddress), 2);
}

#[test]
fn an_ended_pod_loses_its_address_at_once_to_any_other() {
    let mut node = Node::synced();
    let job = pod("shop", "job-1", "10.1.0.5");
    node.apply([Event::Pod(job.clone())]);
    node.ask("10.1.0.9", "10.1.0.5:8080");
    node.apply([Event::Pod(Pod { phase: Phase::Ended, ready: false, ..job })]);
    assert_eq!(node.peer(), "pod shop/job-1");

    node.apply([Event::EndpointSlice(slice("shop", "cart", &[("10.1.0.5", "cart-x")], 8080))]);
    assert_eq!(node.peer(), "pod shop/cart-x");

    node.apply([Event::Pod(pod("shop", "new", "10.1.0.5"))]);
    assert_eq!(node.peer(), "pod shop/new");
}

#[test]
fn an_evicted_pod_keeps_the_service_of_what_was_open() {
    let mut node = Node::synced();
    let pod = node.serve_cart();
    node.wait(1);

    node.apply([Event::Pod(Pod { phase: Phase::Ended, ready: false, ..pod })]);

    assert_eq!((node.peer(), node.service()), ("pod shop/cart-x".into(), "shop/cart".into()));
    assert!(node.pods()[0].1.services.is_empty(), "it is no member any more");
}

/// The last connection is closed: its socket waits to be forgotten.
fn close(node: &mut Node) {
    let socket = node.facts.sockets.pop().unwrap();
    let Socket { netns, local, remote, .. } = socket;
    node.facts.closed =
        vec![Closed { netns, local, remote, remaining_ms: 60_000, ..Closed::default() }];
    node.pass();
    node.facts.closed.clear();
    assert_eq!(node.connection().state, State::TimeWait);
}

#[test]
fn a_closed_connection_keeps_the_name_of_a_pod_elsewhere_that_is_gone() {
    let mut node = Node::synced();
    let front = || slice("shop", "front", &[("10.1.7.5", "front-x")], 8080);
    node.apply([Event::EndpointSlice(front())]);
    node.ask("10.1.0.9", "10.1.7.5:8080");
    close(&mut node);
    let gone = EndpointSlice { endpoints: Vec::new(), ..front() };
    let flow = node.flow_to();

    node.apply([Event::EndpointSlice(gone)]);
    assert_eq!((node.peer(), node.service()), ("pod shop/front-x".into(), "shop/front".into()));
    assert_eq!(node.gap(Unresolved::UnknownAddress), 0);

    node.apply([Event::EndpointSlice(slice("pay", "bank", &[("10.1.7.5", "bank-y")], 8080))]);
    assert_eq!((node.peer(), node.flow_to()), ("pod shop/front-x".into(), flow));
}

#[test]
fn a_closed_connection_keeps_the_name_of_a_service_that_is_gone() {
    let mut node = Node::synced();
    node.apply([Event::Service(service("shop", "cart", "10.96.0.7", 80))]);
    node.ask("10.1.0.9", "10.96.0.7:80");
    close(&mut node);

    node.apply([
        Event::ServiceGone("shop".into(), "cart".into()),
        Event::Service(service("pay", "bank", "10.96.0.7", 80)),
    ]);

    assert_eq!(node.peer(), "service shop/cart");
}

#[test]
fn a_closed_connection_gets_the_name_that_was_not_known_and_what_is_set() {
    let mut node = Node::synced();
    node.ask("10.1.0.9", "10.1.7.5:8080");
    close(&mut node);
    assert_eq!(node.peer(), "external 10.1.7.5");

    node.apply([Event::EndpointSlice(slice("shop", "front", &[("10.1.7.5", "front-x")], 8080))]);
    assert_eq!(node.peer(), "pod shop/front-x");

    let off = Settings { node: "this-node".into(), peers: Peers::Off, ..Settings::default() };
    node.report.cluster().unwrap().set(off);
    node.report.rename(node.now());
    assert_eq!(node.peer(), "external 10.1.7.5");
}
