//! Admin: `/metrics`, `/healthz` and `/readyz` over plain HTTP.
//!
//! In: metrics, and the world's figures through a question to the task that owns it. Out: answers. `/readyz` says whether
//! this process has seen the whole cluster once; it does not depend on the API server afterwards. `/healthz` says whether
//! the task that owns the world answers. Connections, their time and their headers are bounded. The kubelet has a listener of
//! its own, where there is nothing but probes, so that anyone who reads metrics cannot have the operator restarted.
//!
//! I/O: a listening socket for each listener.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use probelet_runtime::listen::instead;
use probelet_runtime::places::Places;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::metrics::{self, Figures, Metrics};

/// Connections to a listener at a time, and of them those of one peer.
const CONNECTIONS: usize = 32;
const OF_A_PEER: usize = 8;
/// The longest that a connection may last; scrapers make a new one.
const LIFE: Duration = Duration::from_mins(5);
/// The longest that a probe may.
const PROBE: Duration = Duration::from_secs(10);
/// The longest that a request's head may take, and the answer of the world.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// Accepting fails when file descriptors run out: then try again that often.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// Asks the task that owns the world.
pub type Question = oneshot::Sender<Figures>;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another with --listen")]
pub struct Error {
    address: SocketAddr,
    source: std::io::Error,
}

/// What the server needs.
#[derive(Clone)]
pub struct Parts {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where questions go.
    pub questions: mpsc::Sender<Question>,
    /// Whether the whole cluster was seen once.
    pub synced: watch::Receiver<bool>,
}

/// Listens on `address`; on a kernel without IPv6, `[::]` is everywhere by IPv4.
///
/// # Errors
/// See [`Error`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = match TcpListener::bind(address).await {
        Err(error) => match instead(address, &error) {
            Some(other) => TcpListener::bind(other).await,
            None => Err(error),
        },
        bound => bound,
    };
    bound.map_err(|source| Error { address, source })
}

/// What is behind a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// Metrics, and probes for who asks there.
    All,
    /// Probes.
    Probes,
}

/// Serves until asked to stop.
pub async fn serve(
    listener: TcpListener,
    serves: Serves,
    parts: Parts,
    mut stop: watch::Receiver<bool>,
) {
    let (mut connections, mut places) = (JoinSet::new(), Places::new(CONNECTIONS, OF_A_PEER));
    loop {
        tokio::select! {
            // A sender that is gone has asked, too.
            _reported = async { stop.wait_for(|&stop| stop).await.is_ok() } => return,
            Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => {
                places.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
            }
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let peer = peer.ip().to_canonical();
                    places.make_room(peer);
                    places.take(peer, connections.spawn(connection(socket, serves, parts.clone())));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

async fn connection(socket: TcpStream, serves: Serves, parts: Parts) {
    let service = service_fn(|request: Request<Incoming>| {
        let parts = parts.clone();
        async move { Ok::<_, Infallible>(answer(&request, serves, parts).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(serves == Serves::All)
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(socket), service);
    // Anyone who went away needs no answer.
    let life = if serves == Serves::All { LIFE } else { PROBE };
    drop(timeout(life, connection).await);
}

async fn answer(
    request: &Request<Incoming>,
    serves: Serves,
    parts: Parts,
) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    }
    match request.uri().path() {
        "/metrics" if serves == Serves::All => {
            let figures = ask(&parts.questions).await;
            let body = parts.metrics.render(figures.as_ref());
            respond(StatusCode::OK, metrics::CONTENT_TYPE, body.into())
        }
        "/healthz" => match ask(&parts.questions).await {
            Some(_) => text(StatusCode::OK, "ok\n"),
            None => text(StatusCode::SERVICE_UNAVAILABLE, "the main task does not answer\n"),
        },
        "/readyz" if *parts.synced.borrow() => text(StatusCode::OK, "ok\n"),
        "/readyz" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "nodes, NodeProbes and ProbeConfigs have not all been listed yet\n",
        ),
        _ if serves == Serves::Probes => {
            text(StatusCode::NOT_FOUND, "there are /healthz and /readyz\n")
        }
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
    }
}

async fn ask(questions: &mpsc::Sender<Question>) -> Option<Figures> {
    let (question, answer) = oneshot::channel();
    let asked = async {
        questions.send(question).await.ok()?;
        answer.await.ok()
    };
    timeout(PATIENCE, asked).await.ok().flatten()
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A listener behind which the world answers no one.
    async fn open(serves: Serves) -> (SocketAddr, watch::Sender<bool>) {
        let listener = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let parts = Parts {
            metrics: Arc::new(Metrics::new().unwrap()),
            questions: mpsc::channel(1).0,
            synced: watch::channel(true).1,
        };
        tokio::spawn(serve(listener, serves, parts, stopped));
        (address, stop)
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        text.get(9..12).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn connections_that_say_nothing_give_way_to_who_asks() {
        for serves in [Serves::All, Serves::Probes] {
            let (address, _stop) = open(serves).await;
            let mut silent = Vec::new();
            for _ in 0..70 {
                silent.push(TcpStream::connect(address).await.unwrap());
            }

            assert_eq!(get(address, "/readyz").await, "200", "{serves:?}");
        }
    }

    #[tokio::test]
    async fn behind_the_listener_for_probes_there_is_nothing_else() {
        let (address, _stop) = open(Serves::Probes).await;

        assert_eq!(get(address, "/readyz").await, "200");
        assert_eq!(get(address, "/healthz").await, "503", "no one answers for the world");
        assert_eq!(get(address, "/metrics").await, "404");
    }
}
