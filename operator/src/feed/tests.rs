//! The feed against an API server in memory: what an agent gets, over HTTPS as it asks.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use k8s_openapi::ByteString;
use probelet_fake_api::Fake;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::answer::{Answer, Caller, answer};
use super::*;

const USER: &str = "system:serviceaccount:probelet:probelet-agent";
const NAME: &str = "probelet-operator.probelet.svc";
const INITIAL: &str = "watch=1&sendInitialEvents=true&resourceVersion=0";

fn agents() -> Agents {
    Agents { user: USER.into(), audience: "probelet-feed".into() }
}

fn runs(fake: &Fake, name: &str, node: &str, phase: &str) {
    fake.put("pods", name, |pod| {
        pod["metadata"]["namespace"] = json!("shop");
        pod["spec"] = json!({"nodeName": node, "containers": [{"env": [{"value": "secret"}]}]});
        pod["status"] = json!({"phase": phase, "podIP": "10.0.0.1"});
    });
}

/// A cluster with a pod on each of two nodes, and a token of each node's agent.
fn cluster() -> Fake {
    let fake = Fake::default();
    for node in ["node-1", "node-2"] {
        runs(&fake, &format!("on-{node}"), node, "Running");
        fake.token(node, USER, "probelet-feed", Some(node));
    }
    fake
}

fn local(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(false).build().unwrap();
    let limited = async { timeout(Duration::from_secs(30), test).await.expect("in time") };
    LocalSet::new().block_on(&runtime, limited);
}

/// A hub that follows the cluster.
async fn hub(fake: &Fake) -> std::rc::Rc<Hub> {
    let figures = Metrics::new().unwrap().feed;
    let hub = std::rc::Rc::new(Hub::new(fake.client(), agents(), figures).unwrap());
    let (client, follower) = (fake.client(), std::rc::Rc::clone(&hub));
    spawn_local(async move { source::follow(client, &follower).await });
    while hub.store.borrow().version().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hub
}

fn ask(hub: &std::rc::Rc<Hub>, node: &str, query: &str) -> Answer {
    let request = Request::get(format!("/feed/v1/pods?{query}")).body(()).unwrap();
    answer(&request, None, Ok(Caller { node: node.into(), hub: std::rc::Rc::clone(hub) }))
}

fn ask_for(hub: &std::rc::Rc<Hub>, node: &str, body: &str) -> Answer {
    let request = Request::post("/feed/v1/addresses").body(()).unwrap();
    let caller = Caller { node: node.into(), hub: std::rc::Rc::clone(hub) };
    answer(&request, Some(body.to_owned().into()), Ok(caller))
}

async fn lines(answer: &mut Answer) -> Vec<Value> {
    let frame = answer.body_mut().frame().await.expect("more").unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn verbs(lines: &[Value]) -> Vec<(&str, &str)> {
    let verbs = lines.iter().map(|line| {
        let name = line["object"]["metadata"]["name"].as_str().unwrap_or_default();
        (line["type"].as_str().unwrap(), name)
    });
    verbs.collect()
}

async fn json(answer: Answer) -> Value {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn an_agent_gets_the_pods_of_its_node_then_changes_and_of_other_nodes_nothing() {
    local(async {
        let fake = cluster();
        let hub = hub(&fake).await;
        let mut watch = ask(&hub, "node-1", INITIAL);

        let first = lines(&mut watch).await;
        assert_eq!(verbs(&first), [("ADDED", "on-node-1"), ("BOOKMARK", "")]);
        let end = &first[1]["object"]["metadata"]["annotations"];
        assert_eq!(end["k8s.io/initial-events-end"], "true");
        assert!(!first[0].to_string().contains("secret"), "{}", first[0]);

        runs(&fake, "on-node-2", "node-2", "Failed");
        runs(&fake, "new", "node-1", "Pending");
        assert_eq!(verbs(&lines(&mut watch).await), [("ADDED", "new")]);
        runs(&fake, "new", "node-1", "Running");
        assert_eq!(verbs(&lines(&mut watch).await), [("MODIFIED", "new")]);
        fake.remove("pods", "new");
        assert_eq!(verbs(&lines(&mut watch).await), [("DELETED", "new")]);

        let list = json(ask(&hub, "node-1", "limit=500")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    });
}

#[test]
fn a_watch_goes_on_where_the_last_one_ended() {
    local(async {
        let fake = cluster();
        let hub = hub(&fake).await;
        let mut watch = ask(&hub, "node-1", INITIAL);
        let first = lines(&mut watch).await;
        let version =
            first[1]["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        drop(watch);
        runs(&fake, "new", "node-1", "Running");

        let mut watch = ask(&hub, "node-1", &format!("watch=1&resourceVersion={version}"));
        assert_eq!(verbs(&lines(&mut watch).await), [("ADDED", "new")]);

        let gone = json(ask(&hub, "node-1", "watch=1&resourceVersion=1")).await;
        assert_eq!((&gone["code"], &gone["reason"]), (&json!(410), &json!("Expired")));
    });
}

#[test]
fn a_third_watch_of_a_node_ends_the_first_and_a_watch_ends_when_its_time_is_over() {
    local(async {
        let fake = cluster();
        let hub = hub(&fake).await;
        let mut first = ask(&hub, "node-1", INITIAL);
        lines(&mut first).await;
        let others: Vec<Answer> = (0..2).map(|_| ask(&hub, "node-1", INITIAL)).collect();

        assert!(first.body_mut().frame().await.is_none());
        drop((first, others));
        let mut short = ask(&hub, "node-1", &format!("{INITIAL}&timeoutSeconds=1"));
        lines(&mut short).await;
        assert!(short.body_mut().frame().await.is_none());
        drop(short);

        assert_eq!(hub.figures.watches.get(), 0);
    });
}

#[test]
fn a_quiet_watch_gets_bookmarks_and_none_once_the_api_server_is_not_heard_of() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let fake = cluster();
        let hub = hub(&fake).await;
        let mut watch = ask(&hub, "node-1", &format!("{INITIAL}&timeoutSeconds=100"));
        lines(&mut watch).await;

        assert_eq!(verbs(&lines(&mut watch).await), [("BOOKMARK", "")]);
        hub.heard.set(Instant::now().checked_sub(FRESH));

        assert!(watch.body_mut().frame().await.is_none(), "nothing more until it ends");
        let refused = json(ask(&hub, "node-1", INITIAL)).await;
        assert_eq!(refused["code"], 503, "{refused}");
    });
}

#[test]
fn before_the_pods_are_listed_there_is_nothing_to_hand_out() {
    local(async {
        let fake = cluster();
        fake.forbid(Some("pods"));
        let figures = Metrics::new().unwrap().feed;
        let hub = std::rc::Rc::new(Hub::new(fake.client(), agents(), figures).unwrap());
        let (client, follower) = (fake.client(), std::rc::Rc::clone(&hub));
        spawn_local(async move { source::follow(client, &follower).await });
        while hub.figures.watch_errors.get() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }

        let refused = ask(&hub, "node-1", INITIAL);

        assert_eq!(refused.headers()["retry-after"], "2");
        assert_eq!(json(refused).await["code"], 503);
        fake.forbid(None);
        while hub.store.borrow().version().is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

#[test]
fn who_asks_for_an_address_gets_the_pod_that_has_it_and_no_more_than_its_name() {
    local(async {
        let fake = cluster();
        fake.put("pods", "batch-7d9f-x", |pod| {
            pod["metadata"]["namespace"] = json!("shop");
            pod["metadata"]["labels"] = json!({"pod-template-hash": "7d9f", "secret": "s"});
            pod["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "batch-7d9f", "uid": "r", "controller": true}]);
            pod["spec"] = json!({"nodeName": "node-2"});
            pod["status"] = json!({"phase": "Running", "podIP": "10.0.7.7", "hostIP": "192.168.0.2", "startTime": "2026-01-01T00:00:00Z"});
        });
        let uid = fake.get("pods", "batch-7d9f-x")["metadata"]["uid"].clone();
        let hub = hub(&fake).await;

        // Two pods say that they have the first one.
        let asked = r#"{"addresses": ["10.0.0.1", "10.0.7.7", "192.168.0.2", "10.0.9.9", "x"]}"#;
        let found = json(ask_for(&hub, "node-1", asked)).await;

        assert_eq!(
            found,
            json!({"items": [{"address": "10.0.7.7", "namespace": "shop", "name": "batch-7d9f-x", "uid": uid,
            "kind": "Deployment", "workload": "batch", "node": "node-2", "since": 1_767_225_600},
            {"address": "192.168.0.2", "node": "node-2"}]})
        );
        let again = json(ask_for(&hub, "node-1", asked)).await;
        assert_eq!(again["code"], 429, "at once: {again}");
        let many = format!(r#"{{"addresses": [{}]}}"#, vec!["\"10.0.7.7\""; 501].join(","));
        assert_eq!(json(ask_for(&hub, "node-2", &many)).await["code"], 400);
        assert_eq!(json(ask_for(&hub, "node-2", "[]")).await["code"], 400);
    });
}

/// The feed on a socket, and whom to believe.
struct Served {
    address: SocketAddr,
    authority: CertificateDer<'static>,
    _stop: watch::Sender<bool>,
}

async fn serve(fake: &Fake) -> Served {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let made = made.self_signed(&key).unwrap();
    let [chain, key_text] =
        [made.pem(), key.serialize_pem()].map(|text| ByteString(text.into_bytes()));
    fake.put("secrets", "feed", |secret| {
        secret["data"] = json!({"tls.crt": chain, "tls.key": key_text});
    });
    let listener = admin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let wanted = Wanted { listen: address, secret: "feed".into(), agents: agents() };
    let (stop, stopped) = watch::channel(false);
    let figures = Metrics::new().unwrap().feed;
    let client = fake.client();
    spawn_local(async move {
        run(wanted, client, "probelet".into(), figures, listener, stopped).await.unwrap();
    });
    Served { address, authority: made.der().clone(), _stop: stop }
}

impl Served {
    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// Once the certificate is there.
    async fn request(&self, token: &str) -> BufReader<TlsStream<TcpStream>> {
        let mut stream = loop {
            match self.connect().await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let text = format!(
            "GET /feed/v1/pods?{INITIAL} HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        BufReader::new(stream)
    }

    /// The code and the message of a refusal.
    async fn refused(&self, token: &str) -> (String, String) {
        let mut text = String::new();
        let mut stream = self.request(token).await;
        // That the peer closes without saying so is no matter.
        drop(stream.read_to_string(&mut text).await);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        (head[9..12].to_owned(), body["message"].as_str().unwrap().to_owned())
    }
}

#[test]
fn the_node_is_the_one_in_the_token_and_a_token_is_asked_about_once() {
    local(async {
        let fake = cluster();
        let served = serve(&fake).await;

        for _ in 0..3 {
            let mut stream = served.request("node-2").await;
            let pod = loop {
                let mut line = String::new();
                assert!(stream.read_line(&mut line).await.unwrap() > 0);
                if let Ok(line) = serde_json::from_str::<Value>(&line)
                    && line.is_object()
                {
                    break line;
                }
            };
            assert_eq!(pod["object"]["metadata"]["name"], "on-node-2", "{pod}");
        }

        assert_eq!(fake.reviews(), 1);
    });
}

#[test]
fn a_token_of_no_node_of_another_account_or_for_another_audience_gets_nothing() {
    local(async {
        let fake = cluster();
        fake.token("no-node", USER, "probelet-feed", None);
        fake.token(
            "other",
            "system:serviceaccount:probelet:other",
            "probelet-feed",
            Some("node-1"),
        );
        fake.token("api-server", USER, "https://kubernetes.default.svc", Some("node-1"));
        let served = serve(&fake).await;

        for (token, code, says) in [
            ("no-node", "403", "names no node"),
            ("other", "403", "agents' service account"),
            ("api-server", "401", "another audience"),
            ("invented", "401", "does not know this token"),
            ("", "401", "show the token"),
        ] {
            let (answered, message) = served.refused(token).await;
            assert!(answered == code && message.contains(says), "{token}: {answered} {message}");
        }
        assert_eq!(fake.reviews(), 4);
    });
}

#[test]
fn invented_tokens_do_not_flood_the_api_server_and_an_agent_is_known_all_the_while() {
    local(async {
        let fake = cluster();
        let served = serve(&fake).await;
        let mut first = served.request("node-1").await;
        first.fill_buf().await.unwrap();

        for n in 0..30 {
            let (code, _) = served.refused(&format!("invented-{n}")).await;
            assert_eq!(code, if n < 10 { "401" } else { "429" }, "{n}");
        }

        assert_eq!(fake.reviews(), 11);
        let mut again = served.request("node-1").await;
        let mut line = String::new();
        again.read_line(&mut line).await.unwrap();
        assert!(line.contains("200"), "{line}");
    });
}
