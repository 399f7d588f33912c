//! How the feed goes on: interruptions, gaps, odd events, and changes of what is wanted.

use super::feed::{Running, no_limit, quick, start, url};
use super::server::{Server, Stream, added, bookmark, end_of_list, event, pod, status};
use probelet_agent::kube::{Class, Malformed, State, Timing};
use probelet_core::cluster::objects::Kind;
use probelet_crds::{Match, Peers, ServiceMatching};
use std::time::Duration;

/// A feed that has listed pod `a` and watches from version 10 on.
async fn watching() -> (Server, Running, Stream) {
    let (mut server, mut feed) = start(&[Kind::Pod]).await;
    let stream = list(&mut server, &mut feed).await;
    (server, feed, stream)
}

async fn list(server: &mut Server, feed: &mut Running) -> Stream {
    let stream = server.next(Kind::Pod).await.stream();
    stream.send(&(added("a", 7) + &end_of_list(10))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "listed"]);
    stream
}

#[tokio::test]
async fn a_dropped_connection_is_resumed_without_a_list() {
    let (mut server, mut feed, stream) = watching().await;
    stream.send(&(added("b", 11) + &added("half", 12)[..40])).await;
    assert_eq!(feed.next(Kind::Pod).await, "+b");

    stream.cut().await;

    let resumed = server.next(Kind::Pod).await;
    assert_eq!(resumed.parameter("resourceVersion"), Some("11"));
    assert_eq!(resumed.parameter("sendInitialEvents"), None);
    let stream = resumed.stream();
    stream.send(&added("half", 12)).await;
    assert_eq!(feed.next(Kind::Pod).await, "+half");
    let status = feed.of(Kind::Pod);
    assert_eq!((status.lists, status.resumes, status.errors(Class::Broken)), (1, 1, 1));
    feed.stop().await;
}

#[tokio::test]
async fn a_bookmark_moves_the_place_to_go_on_from() {
    let (mut server, feed, stream) = watching().await;

    stream.send(&bookmark(500, "")).await;
    drop(stream);

    let resumed = server.next(Kind::Pod).await;
    assert_eq!(resumed.parameter("resourceVersion"), Some("500"));
    assert_eq!(feed.of(Kind::Pod).errors.iter().sum::<u64>(), 0);
    feed.stop().await;
}

#[tokio::test]
async fn a_gap_is_listed_again_without_a_flash_of_no_pods() {
    let (mut server, mut feed, stream) = watching().await;

    stream.send(&event("ERROR", &status(410, "Expired"))).await;

    let again = server.next(Kind::Pod).await;
    let about = ["sendInitialEvents", "resourceVersion", "resourceVersionMatch"];
    assert_eq!(
        about.map(|name| again.parameter(name)),
        [Some("true"), Some("10"), Some("NotOlderThan")]
    );
    let stream = again.stream();
    stream.send(&(added("b", 20) + &end_of_list(21))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+b", "listed"]);
    assert_eq!(feed.of(Kind::Pod).errors(Class::Gone), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_resume_that_is_answered_with_gone_is_listed_whole_from_the_cache() {
    let (mut server, mut feed, stream) = watching().await;
    drop(stream);

    server.next(Kind::Pod).await.refuse(410, "Gone", &[]);
    server.next(Kind::Pod).await.refuse(422, "Invalid", &[]);

    let list = server.next(Kind::Pod).await;
    assert!(!list.is_watch() && list.parameter("limit").is_none());
    assert_eq!(list.parameter("resourceVersion"), Some("10"));
    assert_eq!(list.parameter("resourceVersionMatch"), Some("NotOlderThan"));
    list.text(&format!(r#"{{"metadata":{{"resourceVersion":"30"}},"items":[{}]}}"#, pod("c", 29)));
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+c", "listed"]);
    feed.stop().await;
}

#[tokio::test]
async fn a_version_that_a_restored_server_does_not_know_is_given_up() {
    let (mut server, feed, stream) = watching().await;
    let cause = r#""details":{"causes":[{"reason":"ResourceVersionTooLarge"}]},"code""#;

    stream.send(&event("ERROR", &status(504, "Timeout").replace("\"code\"", cause))).await;

    let again = server.next(Kind::Pod).await;
    assert_eq!(again.parameter("sendInitialEvents"), Some("true"));
    assert_eq!(again.parameter("resourceVersion"), None);
    feed.stop().await;
}

#[tokio::test]
async fn double_and_late_events_pass_through_in_their_order() {
    let (_server, mut feed, stream) = watching().await;

    let events =
        added("b", 12) + &added("b", 12) + &event("DELETED", &pod("b", 14)) + &added("b", 13);
    stream.send(&events).await;

    assert_eq!(feed.take(Kind::Pod).await, ["+b", "+b", "-b u-b", "+b"]);
    feed.stop().await;
}

#[tokio::test]
async fn a_watch_that_outlives_its_limit_is_begun_again() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let timing = Timing { watch: 1..2, grace: Duration::from_millis(100), ..quick() };
    let mut feed = Running::start(&url(server.address), timing, no_limit());
    let silent = list(&mut server, &mut feed).await;

    let resumed = server.next(Kind::Pod).await;

    assert_eq!(resumed.parameter("resourceVersion"), Some("10"));
    silent.left().await;
    feed.stop().await;
}

#[tokio::test]
async fn malformed_objects_are_counted_and_the_watch_goes_on() {
    let (_server, mut feed, stream) = watching().await;
    let nameless = r#"{"metadata":{"namespace":"n","uid":"u","resourceVersion":"12"}}"#;
    let address = pod("b", 13).replace("\"phase\"", "\"podIP\":\"10.0.0.256\",\"phase\"");

    let odd =
        ["what is this\n", &event("ADDED", nameless), &event("ADDED", &address), &added("c", 14)];
    stream.send(&odd.concat()).await;

    assert_eq!(feed.take(Kind::Pod).await, ["+b", "+c"]);
    let status = feed.of(Kind::Pod);
    let counted = [Malformed::Json, Malformed::Identity, Malformed::Address];
    assert_eq!(counted.map(|fault| status.malformed(fault)), [1, 1, 1]);
    assert_eq!((status.state, status.resumes), (State::Watching, 0));
    feed.stop().await;
}

#[tokio::test]
async fn narrower_peers_narrow_the_slices_and_disturb_nothing_else() {
    let (mut server, mut feed) = start(&[Kind::EndpointSlice]).await;
    let all = server.next(Kind::EndpointSlice).await;
    assert_eq!(all.parameter("labelSelector"), None);
    let all = all.stream();
    all.send(&end_of_list(5)).await;
    assert_eq!(feed.take(Kind::EndpointSlice).await, ["listing", "listed"]);
    feed.watching(Kind::Pod).await;

    feed.configure(Match { peers: Peers::ServiceIPs, ..Match::default() });

    assert_eq!(feed.next(Kind::EndpointSlice).await, "unwatched");
    let some = server.next(Kind::EndpointSlice).await;
    let selector = "endpointslice.kubernetes.io%2Fmanaged-by%21%3Dendpointslice-controller.k8s.io";
    assert_eq!(some.parameter("labelSelector"), Some(selector));
    assert_eq!(some.parameter("resourceVersion"), Some("0"));
    all.left().await;
    some.stream().send(&end_of_list(6)).await;
    assert_eq!(feed.take(Kind::EndpointSlice).await, ["listing", "listed"]);
    assert_eq!((feed.of(Kind::Pod).lists, feed.of(Kind::Service).lists), (1, 1));

    feed.configure(Match::default());
    assert_eq!(server.next(Kind::EndpointSlice).await.parameter("labelSelector"), None);
    feed.stop().await;
}

#[tokio::test]
async fn what_the_configuration_does_not_want_is_forgotten_and_not_asked_for() {
    let (mut server, mut feed) = start(&[Kind::Service]).await;
    let services = server.next(Kind::Service).await.stream();
    services.send(&end_of_list(5)).await;
    assert_eq!(feed.take(Kind::Service).await, ["listing", "listed"]);

    let off =
        Match { service_matching: ServiceMatching::Off, peers: Peers::Off, ..Match::default() };
    feed.configure(off);

    assert_eq!(feed.next(Kind::Service).await, "unwatched");
    services.left().await;
    feed.until(Kind::Service, |status| status.state == State::Off).await;
    feed.until(Kind::EndpointSlice, |status| status.state == State::Off).await;
    assert!(server.quiet(Duration::from_millis(300)).await);
    feed.configure(Match::default());
    server.next(Kind::Service).await;
    feed.stop().await;
}
