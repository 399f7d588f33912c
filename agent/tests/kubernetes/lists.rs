//! How the feed gets its first picture, and a new one after a gap.

use super::feed::{Running, no_limit, quick, start, url};
use super::server::{Server, added, end_of_list, pod};
use probelet_agent::kube::{Class, State, Timing};
use probelet_core::cluster::objects::Kind;
use std::time::Duration;

#[tokio::test]
async fn a_streaming_list_of_the_nodes_own_pods_comes_from_the_servers_cache() {
    let (mut server, mut feed) = start(&[Kind::Pod]).await;

    let asked = server.next(Kind::Pod).await;

    let expected = [
        ("allowWatchBookmarks", "true"),
        ("fieldSelector", "spec.nodeName%3Dnode-1"),
        ("resourceVersion", "0"),
        ("resourceVersionMatch", "NotOlderThan"),
        ("sendInitialEvents", "true"),
        ("watch", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(asked.parameter(name), Some(value), "{name}");
    }
    let seconds: u64 = asked.parameter("timeoutSeconds").unwrap().parse().unwrap();
    assert!((290..580).contains(&seconds), "{seconds}");
    assert_eq!(asked.headers["accept-encoding"], "identity");
    let stream = asked.stream();
    stream.send(&(added("a", 5) + &added("b", 3))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "+b"]);
    assert_eq!(feed.of(Kind::Pod).state, State::Listing);
    stream.send(&end_of_list(9)).await;
    assert_eq!(feed.next(Kind::Pod).await, "listed");
    feed.watching(Kind::Pod).await;
    let status = feed.of(Kind::Pod);
    assert_eq!((status.lists, status.resumes, status.events), (1, 0, 2));
    feed.stop().await;
}

/// Serves the list that follows a refused streaming list, in two pages.
async fn pages(server: &mut Server, feed: &mut Running) {
    let first = server.next(Kind::Pod).await;
    assert!(!first.is_watch());
    assert_eq!(
        (first.parameter("limit"), first.parameter("resourceVersion")),
        (Some("500"), Some("0"))
    );
    first.text(&format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"40","continue":"t0k/n"}},"items":[{},{}]}}"#,
        pod("a", 7),
        pod("b", 8)
    ));
    let second = server.next(Kind::Pod).await;
    assert_eq!(second.parameter("continue"), Some("t0k%2Fn"));
    second.text(&format!(
        r#"{{"kind":"PodList","metadata":{{"resourceVersion":"40"}},"items":[{}]}}"#,
        pod("c", 9)
    ));
    let watch = server.next(Kind::Pod).await;
    assert!(watch.is_watch() && watch.parameter("sendInitialEvents").is_none());
    assert_eq!(watch.parameter("resourceVersion"), Some("40"));
    let stream = watch.stream();
    stream.send(&added("d", 41)).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "+b", "+c", "listed", "+d"]);
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_listed_in_pages() {
    for code in [422, 400, 500] {
        let (mut server, mut feed) = start(&[Kind::Pod]).await;

        server.next(Kind::Pod).await.refuse(code, "Invalid", &[]);

        pages(&mut server, &mut feed).await;
        assert_eq!(feed.of(Kind::Pod).errors.iter().sum::<u64>(), 0);
        feed.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_how_a_list_ends_is_listed_in_pages() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let timing = Timing { silence: Duration::from_millis(700), ..quick() };
    let mut feed = Running::start(&url(server.address), timing, no_limit());

    let stream = server.next(Kind::Pod).await.stream();
    stream.send(&added("a", 7)).await;

    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a"]);
    pages(&mut server, &mut feed).await;
    feed.stop().await;
}

#[tokio::test]
async fn a_list_that_breaks_half_way_begins_again() {
    let (mut server, mut feed) = start(&[Kind::Pod]).await;
    let stream = server.next(Kind::Pod).await.stream();
    stream.send(&added("a", 7)).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a"]);

    stream.cut().await;

    let again = server.next(Kind::Pod).await;
    assert_eq!(again.parameter("sendInitialEvents"), Some("true"));
    let stream = again.stream();
    stream.send(&(added("b", 8) + &end_of_list(9))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+b", "listed"]);
    assert_eq!(feed.of(Kind::Pod).errors(Class::Broken), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_page_that_is_cut_in_the_middle_of_an_object_ends_no_list() {
    let (mut server, mut feed) = start(&[Kind::Pod]).await;
    server.next(Kind::Pod).await.refuse(422, "Invalid", &[]);
    let page = format!(
        r#"{{"metadata":{{"resourceVersion":"4"}},"items":[{},{}]}}"#,
        pod("a", 1),
        pod("b", 2)
    );
    server.next(Kind::Pod).await.text(&page[..page.len() - 20]);
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a"]);

    server.next(Kind::Pod).await.text(&page);

    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "+b", "listed"]);
    feed.stop().await;
}
