//! One connection: from accept to close, with a limit on every step.
//!
//! In: a socket. Out: answers on it. It must not outlive the agent or a client's patience.
//!
//! I/O: the socket.

use super::watch::{Doing, Phase, Watched};
use super::{Shared, route};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::net::TcpStream;
use tokio::sync::watch as channel;
use tokio::time::sleep_until;
use tracing::debug;

/// Bytes of a request's head, and bytes of an answer that wait for the client.
const BUFFER: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS: usize = 64;

/// Serves one connection.
pub(super) async fn run(socket: TcpStream, shared: Arc<Shared>, stop: channel::Receiver<bool>) {
    let _open = shared.http.open();
    // An answer is written in large pieces; the last one must not wait for an acknowledgement.
    if let Err(error) = socket.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let phase = Phase::new(shared.limits);
    let service = service_fn(|request| {
        let (shared, phase, stop) = (Arc::clone(&shared), phase.clone(), stop.clone());
        async move { Ok::<_, Infallible>(route::answer(shared, request, phase, stop).await) }
    });
    let io = Watched::new(TokioIo::new(socket), phase.clone());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER).max_headers(HEADERS).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut sleep = pin!(sleep_until(phase.get().1));
    let mut stopping = pin!(async { stop.clone().wait_for(|&stop| stop).await.map(drop) });
    let mut told = false;
    let late = poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            if let Err(error) = ended {
                debug!(%error, "connection ended");
            }
            return Poll::Ready(None);
        }
        phase.poll_late(sleep.as_mut(), cx).map(Some)
    });
    match late.await {
        None => {}
        Some(Doing::Idle) => shared.http.closed("idle"),
        Some(Doing::Head) => shared.http.closed("slow_request"),
        Some(Doing::Think | Doing::Send) => shared.http.closed("slow_reader"),
    }
}
