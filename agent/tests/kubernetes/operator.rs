//! Pods from the operator's feed: an API server that says where it is, and a feed behind TLS that does what a test says.

use super::feed::{LONG, Running, no_limit, quick, url};
use super::server::{Asked, Server, Topic, added, end_of_list, secured};
use probelet_agent::kube::operator::{self, Place};
use probelet_agent::kube::{Class, Connection, State, Timing};
use probelet_agent::names::{Operator, Origin};
use probelet_core::cluster::objects::Kind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const NAME: &str = "probelet-operator.probelet.svc";

/// The feed, and the certificate by which it is believed.
struct Feed {
    address: SocketAddr,
    authority: String,
    requests: mpsc::Receiver<Asked>,
    /// Where the token is.
    home: tempfile::TempDir,
}

async fn feed(name: &str) -> Feed {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let made = made.self_signed(&key).unwrap();
    let authority = made.pem();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (address, requests, _) = secured(config, &[Kind::Pod]).await;
    Feed { address, authority, requests, home: tempfile::tempdir().unwrap() }
}

impl Feed {
    async fn next(&mut self) -> Asked {
        let asked = timeout(LONG, self.requests.recv()).await;
        let asked = asked.expect("a request in time").expect("the feed lives");
        assert_eq!(asked.line, "GET /feed/v1/pods");
        asked
    }

    /// Is away until no one asks for so long.
    async fn refuse_for(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while let Ok(Some(asked)) = tokio::time::timeout_at(until, self.requests.recv()).await {
            asked.refuse(503, "ServiceUnavailable", &[]);
        }
    }
}

struct Scene {
    api: Server,
    feed: Feed,
    agent: Running,
}

async fn scene(name: &str, timing: Timing, fallback: bool) -> Scene {
    let (api, feed) =
        (Server::start(&[Topic::Way, Topic::Kind(Kind::Pod)]).await, feed(name).await);
    let token: PathBuf = feed.home.path().join("token");
    std::fs::write(&token, "mine").unwrap();
    let place = Place {
        service: "probelet-operator".into(),
        namespace: "probelet".into(),
        port: feed.address.port(),
        token,
    };
    let operator = |api: &Arc<Connection>| {
        let connection = operator::feed(Arc::clone(api), place, Duration::ZERO, Duration::ZERO);
        Operator { connection: Arc::new(connection), fallback }
    };
    let agent = Running::start_with(&url(api.address), timing, no_limit(), operator);
    Scene { api, feed, agent }
}

/// Says where the feed is, and whom to believe.
async fn show_the_way(api: &mut Server, authority: &str) {
    let asked = api.next(Topic::Way).await;
    assert_eq!(asked.line, "GET /api/v1/namespaces/probelet/services");
    assert_eq!(asked.parameter("fieldSelector"), Some("metadata.name%3Dprobelet-operator"));
    asked.text(r#"{"items":[{"metadata":{},"spec":{"clusterIP":"127.0.0.1"}}]}"#);
    let asked = api.next(Topic::Way).await;
    assert_eq!(asked.line, "GET /api/v1/namespaces/probelet/configmaps/probelet-operator-tls");
    asked.text(&serde_json::json!({"metadata": {}, "data": {"ca.crt": authority}}).to_string());
}

#[tokio::test]
async fn pods_come_from_the_feed_and_the_api_server_is_not_asked_for_any() {
    let Scene { mut api, mut feed, mut agent } = scene(NAME, quick(), false).await;
    show_the_way(&mut api, &feed.authority).await;

    let asked = feed.next().await;
    assert_eq!(asked.headers["authorization"], "Bearer mine");
    assert_eq!(asked.parameter("sendInitialEvents"), Some("true"));
    assert_eq!(asked.parameter("fieldSelector"), None);
    let stream = asked.stream();
    stream.send(&(added("a", 2) + &end_of_list(3))).await;

    assert_eq!(agent.take(Kind::Pod).await, ["listing", "+a", "listed"]);
    agent.watching(Kind::Pod).await;
    assert_eq!(agent.of(Kind::Pod).origin, Origin::Feed);
    assert_eq!(agent.of(Kind::Service).origin, Origin::Api);
    assert!(api.quiet(Duration::from_millis(300)).await);
    drop(stream);
    let again = feed.next().await;
    assert_eq!(again.parameter("resourceVersion"), Some("3"));
    agent.stop().await;
}

#[tokio::test]
async fn the_token_is_shown_to_no_one_who_is_not_believed_or_goes_by_another_name() {
    for name in [NAME, "probelet-operator.other.svc"] {
        let Scene { mut api, mut feed, agent } = scene(name, quick(), false).await;
        let other = self::feed(NAME).await.authority;
        let authority = if name == NAME { &other } else { &feed.authority };

        show_the_way(&mut api, authority).await;
        agent.until(Kind::Pod, |status| status.errors(Class::Connect) > 0).await;

        assert!(feed.requests.try_recv().is_err(), "{name}");
        agent.stop().await;
    }
}

#[tokio::test]
async fn what_the_api_server_said_of_the_way_counts_while_it_is_away() {
    let Scene { mut api, mut feed, mut agent } = scene(NAME, quick(), false).await;
    show_the_way(&mut api, &feed.authority).await;
    feed.next().await.refuse(401, "Unauthorized", &[]);
    api.next(Topic::Way).await.refuse(500, "InternalError", &[]);

    feed.next().await.stream().send(&end_of_list(3)).await;

    assert_eq!(agent.take(Kind::Pod).await, ["listing", "listed"]);
    agent.stop().await;
}

#[tokio::test]
async fn without_the_feed_names_stay_and_age_and_no_pods_of_the_cluster_are_listed() {
    let timing = Timing { fallback: Duration::from_millis(100), renew: LONG, ..quick() };
    let Scene { mut api, mut feed, mut agent } = scene(NAME, timing, false).await;
    show_the_way(&mut api, &feed.authority).await;
    let stream = feed.next().await.stream();
    stream.send(&(added("a", 2) + &end_of_list(3))).await;
    assert_eq!(agent.take(Kind::Pod).await, ["listing", "+a", "listed"]);

    stream.cut().await;
    feed.refuse_for(Duration::from_millis(800)).await;

    assert_eq!(agent.of(Kind::Pod).state, State::BackingOff);
    while let Ok(batch) = agent.events.try_recv() {
        let pods = batch.iter().filter(|event| super::feed::summary(event).0 == Kind::Pod);
        assert_eq!(pods.count(), 0, "{batch:?}");
    }
    assert!(api.quiet(Duration::from_millis(50)).await, "asked for more than the way");
    agent.stop().await;
}

#[tokio::test]
async fn where_the_role_allows_it_the_api_server_is_watched_until_the_feed_is_back() {
    let timing = Timing { fallback: Duration::from_secs(2), renew: LONG, ..quick() };
    let Scene { mut api, mut feed, mut agent } = scene(NAME, timing, true).await;
    show_the_way(&mut api, &feed.authority).await;
    let stream = feed.next().await.stream();
    stream.send(&(added("a", 2) + &end_of_list(3))).await;
    assert_eq!(agent.take(Kind::Pod).await, ["listing", "+a", "listed"]);

    stream.cut().await;
    let asked = tokio::select! {
        asked = api.next(Topic::Kind(Kind::Pod)) => asked,
        () = feed.refuse_for(LONG) => panic!("the API server is not asked"),
    };
    assert_eq!(asked.line, "GET /api/v1/pods");
    assert_eq!(asked.parameter("fieldSelector"), Some("spec.nodeName%3Dnode-1"));
    let meanwhile = asked.stream();
    meanwhile.send(&(added("a", 2) + &added("b", 9) + &end_of_list(9))).await;
    assert_eq!(agent.take(Kind::Pod).await, ["listing", "+a", "+b", "listed"]);
    assert_eq!(agent.of(Kind::Pod).origin, Origin::Api);

    // A look whether it is back, and the watch.
    let look = loop {
        let asked = feed.next().await;
        if asked.is_watch() {
            asked.refuse(503, "ServiceUnavailable", &[]);
        } else {
            break asked;
        }
    };
    look.text(r#"{"metadata":{"resourceVersion":"10"},"items":[]}"#);
    feed.next().await.stream().send(&(added("b", 9) + &end_of_list(10))).await;
    assert_eq!(agent.take(Kind::Pod).await, ["listing", "+b", "listed"]);
    assert_eq!(agent.of(Kind::Pod).origin, Origin::Feed);
    meanwhile.left().await;
    agent.stop().await;
}
