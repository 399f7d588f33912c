//! An API server that answers as a test asks it to.
//!
//! In: connections. Out: requests, each with the means to answer it. Kinds that a test does not care about are served
//! an empty list and a watch without events.
//!
//! I/O: a socket on loopback.

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use probelet_core::cluster::objects::Kind;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

type Body = BoxBody<Bytes, io::Error>;

/// Ends the list that a streaming list begins with.
pub(crate) fn end_of_list(version: u64) -> String {
    bookmark(version, r#","annotations":{"k8s.io/initial-events-end":"true"}"#)
}

pub(crate) fn bookmark(version: u64, annotations: &str) -> String {
    format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"{annotations}}}}}}}\n"
    )
}

pub(crate) fn pod(name: &str, version: u64) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","uid":"u-{name}","resourceVersion":"{version}"}},"status":{{"phase":"Running"}}}}"#
    )
}

pub(crate) fn event(verb: &str, object: &str) -> String {
    format!("{{\"type\":\"{verb}\",\"object\":{object}}}\n")
}

pub(crate) fn added(name: &str, version: u64) -> String {
    event("ADDED", &pod(name, version))
}

pub(crate) fn status(code: u16, reason: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"as the test wants it","reason":"{reason}","code":{code}}}"#
    )
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Kind(Kind),
    /// The node's own object.
    NodeProbe,
    /// Where the operator's feed is.
    Way,
}

impl From<Kind> for Topic {
    fn from(kind: Kind) -> Self {
        Self::Kind(kind)
    }
}

/// One request.
pub(crate) struct Asked {
    pub(crate) topic: Topic,
    /// Method and path.
    pub(crate) line: String,
    pub(crate) body: Bytes,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: hyper::HeaderMap,
    reply: oneshot::Sender<Response<Body>>,
}

impl Asked {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|watch| watch == "1")
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn refuse(self, code: u16, reason: &str, headers: &[(&str, &str)]) {
        let mut answer = Response::builder().status(code);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        self.answer(answer.body(whole(&status(code, reason))).unwrap());
    }

    pub(crate) fn text(self, text: &str) {
        self.answer(Response::new(whole(text)));
    }

    /// Begins to answer.
    pub(crate) fn stream(self) -> Stream {
        let (sender, receiver) = mpsc::channel(1);
        let frames = stream::unfold(receiver, |mut receiver: mpsc::Receiver<_>| async {
            receiver.recv().await.map(|frame: io::Result<Frame<Bytes>>| (frame, receiver))
        });
        self.answer(Response::new(StreamBody::new(frames).boxed()));
        Stream { sender }
    }

    fn answer(self, answer: Response<Body>) {
        // The client may have gone, which is its right.
        let _gone = self.reply.send(answer);
    }
}

fn whole(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned())).map_err(|never: Infallible| match never {}).boxed()
}

/// An answer that goes on; dropped it ends in good order.
pub(crate) struct Stream {
    sender: mpsc::Sender<io::Result<Frame<Bytes>>>,
}

impl Stream {
    /// Whether the client still reads.
    pub(crate) async fn send(&self, text: &str) -> bool {
        self.sender.send(Ok(Frame::data(Bytes::from(text.to_owned())))).await.is_ok()
    }

    /// Breaks the connection off.
    pub(crate) async fn cut(self) {
        let _gone = self.sender.send(Err(io::Error::other("cut"))).await;
        // What was sent before is to be on its way.
        self.sender.closed().await;
    }

    /// Waits until the client reads no more.
    pub(crate) async fn left(&self) {
        timeout(Duration::from_secs(20), self.sender.closed()).await.expect("the client stays");
    }
}

/// The server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: mpsc::Receiver<Asked>,
}

impl Server {
    /// Listens; requests for `scripted` kinds wait for the test.
    pub(crate) async fn start<T: Into<Topic> + Copy>(scripted: &[T]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), scripted)
    }

    pub(crate) fn on<T: Into<Topic> + Copy>(listener: TcpListener, scripted: &[T]) -> Self {
        let address = listener.local_addr().unwrap();
        let (front, requests) = front(scripted);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(TokioIo::new(socket), front.clone()));
            }
        });
        Self { address, requests }
    }

    /// The next request for `kind`; those for other scripted kinds are a mistake of the test.
    pub(crate) async fn next(&mut self, topic: impl Into<Topic>) -> Asked {
        let asked = timeout(Duration::from_secs(20), self.requests.recv()).await;
        let asked = asked.expect("a request in time").expect("the server lives");
        assert_eq!(asked.topic, topic.into());
        asked
    }

    /// Whether no one asks for so long; prints what someone asked.
    #[expect(clippy::print_stderr, reason = "what a failed test is judged by")]
    pub(crate) async fn quiet(&mut self, time: Duration) -> bool {
        match timeout(time, self.requests.recv()).await {
            Err(_) => true,
            Ok(asked) => {
                let asked = asked.expect("the server lives");
                eprintln!("asked: {} {}", asked.line, String::from_utf8_lossy(&asked.body));
                false
            }
        }
    }
}

/// Where connections hand their requests in.
#[derive(Clone)]
struct Front {
    scripted: Vec<Topic>,
    sender: mpsc::Sender<Asked>,
}

fn front<T: Into<Topic> + Copy>(scripted: &[T]) -> (Front, mpsc::Receiver<Asked>) {
    let (sender, receiver) = mpsc::channel(64);
    (Front { scripted: scripted.iter().map(|&topic| topic.into()).collect(), sender }, receiver)
}

/// Listens behind TLS: where, the requests, and how many connections there were.
pub(crate) async fn secured(
    config: ServerConfig,
    scripted: &[Kind],
) -> (SocketAddr, mpsc::Receiver<Asked>, Arc<AtomicU32>) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU32::new(0));
    let (front, requests) = front(scripted);
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let (acceptor, front) = (acceptor.clone(), front.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(socket).await {
                    serve(TokioIo::new(stream), front).await;
                }
            });
        }
    });
    (address, requests, connections)
}

/// Serves one connection, HTTP/1.1 or HTTP/2.
async fn serve(io: impl Read + Write + Unpin + Send + 'static, front: Front) {
    let service = service_fn(move |request| answer(request, front.clone()));
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // Cut streams are errors here, and meant.
    let _cut = server.serve_connection(io, service).await;
}

async fn answer(request: Request<Incoming>, front: Front) -> Result<Response<Body>, Infallible> {
    let topic = match request.uri().path() {
        "/api/v1/pods" | "/feed/v1/pods" => Kind::Pod.into(),
        path if path.starts_with("/api/v1/namespaces/probelet/") => Topic::Way,
        "/api/v1/services" => Kind::Service.into(),
        "/apis/discovery.k8s.io/v1/endpointslices" => Kind::EndpointSlice.into(),
        path if path.starts_with("/apis/probelet.io/v1alpha1/nodeprobes") => Topic::NodeProbe,
        other => panic!("no one may ask for {other}"),
    };
    let query = request.uri().query().unwrap_or_default().split('&');
    let query = query.filter_map(|pair| pair.split_once('='));
    let query = query.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let (reply, answer) = oneshot::channel();
    let line = format!("{} {}", request.method(), request.uri().path());
    let headers = request.headers().clone();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let asked = Asked { topic, line, body: body.unwrap_or_default(), query, headers, reply };
    if front.scripted.contains(&topic) {
        let _test_over = front.sender.try_send(asked);
    } else {
        tokio::spawn(async move {
            let stream = asked.stream();
            stream.send(&end_of_list(1)).await;
            stream.sender.closed().await;
        });
    }
    Ok(answer.await.unwrap_or_else(|_| {
        let nothing = Empty::new().map_err(|never: Infallible| match never {}).boxed();
        Response::builder().status(500).body(nothing).unwrap()
    }))
}
