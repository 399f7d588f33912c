//! What happens when more comes than can be taken in.

use super::feed::{Running, no_limit, quick, url};
use super::server::{Server, added, end_of_list, event};
use probelet_agent::kube::Pace;
use probelet_core::cluster::objects::Kind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// As large as a pod of a busy cluster.
fn large(name: &str, version: usize) -> String {
    let object = format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u","resourceVersion":"{version}","managedFields":[{{"x":"{}"}}]}}}}"#,
        "y".repeat(8000)
    );
    event("ADDED", &object)
}

const PODS: usize = 4000;
/// Sixteen batches and what sockets hold on both sides of loopback: far less than the 32 MB that are sent.
const HELD: u64 = 4 << 20;

/// Sends all pods as fast as they are taken, and what ends the list.
fn flood(asked: super::server::Asked) {
    tokio::spawn(async move {
        let stream = asked.stream();
        for n in 0..PODS {
            if !stream.send(&large(&format!("p{n}"), n + 1)).await {
                return;
            }
        }
        stream.send(&end_of_list(1 << 20)).await;
        stream.left().await;
    });
}

/// Bytes received once no more come.
async fn standstill(feed: &Running) -> u64 {
    let mut last = 0;
    loop {
        sleep(Duration::from_millis(500)).await;
        let bytes = feed.of(Kind::Pod).bytes;
        if bytes == last && bytes > 0 {
            return bytes;
        }
        last = bytes;
    }
}

async fn all_in_order(feed: &mut Running) {
    assert_eq!(feed.next(Kind::Pod).await, "listing");
    for n in 0..PODS {
        assert_eq!(feed.next(Kind::Pod).await, format!("+p{n}"));
    }
    assert_eq!(feed.next(Kind::Pod).await, "listed");
}

#[tokio::test]
async fn an_engine_that_takes_nothing_stops_the_reading_and_loses_nothing() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let mut feed = Running::start(&url(server.address), quick(), no_limit());
    flood(server.next(Kind::Pod).await);

    let held = timeout(Duration::from_mins(1), standstill(&feed)).await.expect("a standstill");

    assert!(held < HELD, "{held}");
    all_in_order(&mut feed).await;
    let status = feed.of(Kind::Pod);
    assert_eq!((status.events, status.resumes), (PODS as u64, 0));
    assert!(status.engine_wait > Duration::from_millis(400), "{:?}", status.engine_wait);
    feed.stop().await;
}

#[tokio::test]
async fn a_spent_budget_stops_the_reading_and_loses_nothing() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let spent = Arc::new(AtomicBool::new(true));
    let pace: Pace = {
        let spent = Arc::clone(&spent);
        Arc::new(move |_| spent.load(Ordering::Relaxed).then_some(Duration::from_millis(20)))
    };
    let mut feed = Running::start(&url(server.address), quick(), pace);
    flood(server.next(Kind::Pod).await);

    let held = timeout(Duration::from_mins(1), standstill(&feed)).await.expect("a standstill");

    assert!(held <= 512 << 10, "one piece of a body at most: {held}");
    spent.store(false, Ordering::Relaxed);
    all_in_order(&mut feed).await;
    assert!(feed.of(Kind::Pod).budget_wait > Duration::from_millis(400));
    feed.stop().await;
}

#[tokio::test]
async fn objects_that_come_one_by_one_make_large_batches_while_the_engine_looks_away() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let mut feed = Running::start(&url(server.address), quick(), no_limit());
    let stream = server.next(Kind::Pod).await.stream();

    for n in 0..400_u64 {
        stream.send(&added(&format!("p{n}"), n + 1)).await;
        feed.until(Kind::Pod, |status| status.events == n + 1).await;
    }
    stream.send(&end_of_list(500)).await;

    feed.watching(Kind::Pod).await;
    assert_eq!(feed.next(Kind::Pod).await, "listing");
    for n in 0..400 {
        assert_eq!(feed.next(Kind::Pod).await, format!("+p{n}"));
    }
    assert_eq!(feed.next(Kind::Pod).await, "listed");
    feed.stop().await;
}

#[tokio::test]
async fn an_engine_that_ended_ends_the_feed() {
    let server = Server::start::<Kind>(&[]).await;
    let feed = Running::start(&url(server.address), quick(), no_limit());
    feed.watching(Kind::Pod).await;
    feed.configure(probelet_crds::Match {
        peers: probelet_crds::Peers::Off,
        ..probelet_crds::Match::default()
    });
    // Idle watchers would never notice by themselves that no one listens.
    feed.stop().await;
}
