//! An API server that refuses, is away, or wants to be left alone.

use super::feed::{Running, no_limit, quick, start, url, write_kubeconfig};
use super::server::{Server, added, end_of_list};
use probelet_agent::kube::{Class, State, Timing};
use probelet_core::cluster::objects::Kind;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_said() {
    for code in [429, 503] {
        let (mut server, mut feed) = start(&[Kind::Pod]).await;
        let refused = Instant::now();

        server.next(Kind::Pod).await.refuse(code, "TooManyRequests", &[("Retry-After", "1")]);

        let again = server.next(Kind::Pod).await;
        let waited = refused.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        again.stream().send(&end_of_list(3)).await;
        assert_eq!(feed.take(Kind::Pod).await, ["listing", "listed"]);
        let class = if code == 429 { Class::TooManyRequests } else { Class::Server };
        assert_eq!(feed.of(Kind::Pod).errors(class), 1);
        feed.stop().await;
    }
}

#[tokio::test]
async fn a_failing_server_is_asked_less_and_less_often() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let timing = Timing { retry: Duration::from_millis(80)..Duration::from_mins(1), ..quick() };
    let feed = Running::start(&url(server.address), timing, no_limit());

    let began = Instant::now();
    for _ in 0..7 {
        server.next(Kind::Pod).await.refuse(502, "BadGateway", &[]);
    }

    // Six waits of half their bounds on average: 80 + 160 + .. + 2560 ms is 5 s. A loop without waits takes none.
    assert!(began.elapsed() > Duration::from_millis(400), "{:?}", began.elapsed());
    feed.until(Kind::Pod, |status| status.errors(Class::Server) == 7).await;
    assert_eq!(feed.of(Kind::Pod).state, State::BackingOff);
    feed.stop().await;
}

#[tokio::test]
async fn a_server_that_takes_watches_only_to_end_them_is_not_asked_in_a_loop() {
    let (mut server, feed) = start(&[Kind::Pod]).await;
    server.next(Kind::Pod).await.stream().send(&end_of_list(3)).await;

    let began = Instant::now();
    for _ in 0..8 {
        drop(server.next(Kind::Pod).await.stream());
    }

    assert!(began.elapsed() > Duration::from_millis(100), "{:?}", began.elapsed());
    assert_eq!(feed.of(Kind::Pod).lists, 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_forbidden_kind_is_asked_for_slowly_and_the_others_go_on() {
    let (mut server, mut feed) = start(&[Kind::EndpointSlice]).await;

    server.next(Kind::EndpointSlice).await.refuse(403, "Forbidden", &[]);

    feed.until(Kind::EndpointSlice, |status| status.state == State::Forbidden).await;
    for kind in [Kind::Pod, Kind::Service] {
        feed.watching(kind).await;
    }
    assert!(server.quiet(Duration::from_millis(200)).await);
    server.next(Kind::EndpointSlice).await.stream().send(&end_of_list(4)).await;
    assert_eq!(feed.take(Kind::EndpointSlice).await, ["listing", "listed"]);
    assert_eq!(feed.of(Kind::EndpointSlice).errors(Class::Forbidden), 1);
    feed.stop().await;
}

#[tokio::test]
async fn credentials_that_are_refused_are_read_again() {
    let (mut server, mut feed) = start(&[Kind::Pod]).await;
    let asked = server.next(Kind::Pod).await;
    assert_eq!(asked.headers["authorization"], "Bearer first");

    write_kubeconfig(&feed.kubeconfig, &url(server.address), "second");
    asked.refuse(401, "Unauthorized", &[]);

    let again = server.next(Kind::Pod).await;
    assert_eq!(again.headers["authorization"], "Bearer second");
    again.stream().send(&(added("a", 2) + &end_of_list(3))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "listed"]);
    assert_eq!(feed.of(Kind::Pod).errors(Class::Unauthorized), 1);
    feed.stop().await;
}

#[tokio::test]
async fn a_server_that_is_away_is_found_when_it_comes() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut feed = Running::start(&url(address), quick(), no_limit());
    feed.until(Kind::Pod, |status| status.errors(Class::Connect) > 1).await;
    assert_eq!(feed.of(Kind::Pod).contact, None);

    let mut server = Server::on(TcpListener::bind(address).await.unwrap(), &[Kind::Pod]);

    server.next(Kind::Pod).await.stream().send(&(added("a", 2) + &end_of_list(3))).await;
    assert_eq!(feed.take(Kind::Pod).await, ["listing", "+a", "listed"]);
    assert!(feed.of(Kind::Pod).contact.is_some());
    feed.stop().await;
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_waited_for() {
    let mut server = Server::start(&[Kind::Pod]).await;
    let feed = Running::start("http://127.0.0.1:1", quick(), no_limit());
    std::fs::remove_file(&feed.kubeconfig).unwrap();
    feed.until(Kind::Pod, |status| status.errors(Class::Connect) > 0).await;

    write_kubeconfig(&feed.kubeconfig, &url(server.address), "t");

    server.next(Kind::Pod).await;
    feed.stop().await;
}
