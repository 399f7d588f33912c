//! Admin: `/metrics`, `/healthz` and `/readyz` over plain HTTP.
//!
//! In: metrics, and the world's figures through a question to the task that owns it. Out: answers. `/readyz` says whether
//! this process has seen the whole cluster once; it does not depend on the API server afterwards. `/healthz` says whether
//! the task that owns the world answers. Connections, their time and their headers are bounded.
//!
//! I/O: one listening socket.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::metrics::{self, Figures, Metrics};

/// Connections at a time; one more is closed at once.
const CONNECTIONS: usize = 32;
/// The longest that a connection may last; scrapers make a new one.
const LIFE: Duration = Duration::from_mins(5);
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

/// Listens on `address`.
///
/// # Errors
/// See [`Error`].
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error { address, source })
}

/// Serves until told to stop.
pub async fn serve(listener: TcpListener, parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|&stop| stop) => return,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) if connections.len() < CONNECTIONS => {
                    connections.spawn(connection(socket, parts.clone()));
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_RETRY).await;
                }
            },
        }
    }
}

async fn connection(socket: TcpStream, parts: Parts) {
    let service = service_fn(|request: Request<Incoming>| {
        let parts = parts.clone();
        async move { Ok::<_, Infallible>(answer(&request, parts).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(socket), service);
    // Whoever went away needs no answer.
    drop(timeout(LIFE, connection).await);
}

async fn answer(request: &Request<Incoming>, parts: Parts) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered\n");
    }
    match request.uri().path() {
        "/metrics" => {
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
