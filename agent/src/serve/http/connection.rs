//! One connection: from accept to close, with a limit on every step.
//!
//! In: a socket. Out: answers on it. It must not outlive the agent or a client's patience.
//!
//! I/O: the socket.

use super::auth::Peer;
use super::places::Known;
use super::route;
use super::watch::{Doing, Phase, Watched};
use crate::serve::listener::Stream;
use crate::serve::{Shared, until_stopped};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch as channel;
use tokio::time::sleep_until;
use tracing::debug;

/// Bytes of a request's head, and bytes of an answer that wait for the client.
const BUFFER: usize = 64 * 1024;
/// Header lines of a request.
const HEADERS: usize = 64;

/// A stream of bytes, secured or not. Behind a pointer, so that the server is in the binary once.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Serves one connection, and says by `phase` and `known` how it goes.
pub(crate) async fn run(
    socket: Stream,
    peer: Peer,
    shared: Arc<Shared>,
    (phase, known): (Phase, Known),
    mut stop: channel::Receiver<bool>,
) {
    let _open = shared.http.open();
    if let Stream::Tcp(socket) = &socket
        // An answer is written in large pieces; the last one must not wait for an acknowledgement.
        && let Err(error) = socket.set_nodelay(true)
    {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let socket: Box<dyn Socket> = match (socket, &shared.tls) {
        // No network is between, and no certificate is for a file.
        (Stream::Unix(socket), _) => Box::new(socket),
        (Stream::Tcp(socket), None) => Box::new(socket),
        (Stream::Tcp(socket), Some(tls)) => {
            let accepted = tls.accept(socket, shared.limits.handshake, &shared.http);
            tokio::select! {
                stream = accepted => match stream {
                    Some(stream) => Box::new(stream),
                    None => return,
                },
                () = until_stopped(&mut stop) => return,
            }
        }
    };
    phase.head();
    serve(socket, peer, shared, (phase, known), stop).await;
}

/// The same without an accepted socket.
pub(crate) async fn serve(
    socket: Box<dyn Socket>,
    peer: Peer,
    shared: Arc<Shared>,
    (phase, known): (Phase, Known),
    stop: channel::Receiver<bool>,
) {
    let service = service_fn(|request| {
        let (shared, phase, stop) = (Arc::clone(&shared), phase.clone(), stop.clone());
        let known = known.clone();
        async move {
            let answer = route::answer(shared, request, peer, phase, stop).await;
            if answer.0 {
                known.set();
            }
            Ok::<_, Infallible>(answer.1)
        }
    });
    let io = Watched::new(TokioIo::new(socket), phase.clone());
    let mut builder = http1::Builder::new();
    builder.max_buf_size(BUFFER).max_headers(HEADERS).header_read_timeout(None);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut sleep = pin!(sleep_until(phase.get().1));
    let mut last_words = stop.clone();
    let mut stopping = pin!(until_stopped(&mut last_words));
    let mut leaving = false;
    let late = poll_fn(|cx| {
        if !leaving && stopping.as_mut().poll(cx).is_ready() {
            leaving = true;
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

#[cfg(test)]
mod tests {
    use crate::serve::http::watch::Limits;
    use crate::serve::testing::{big, closed, start};
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const SHORT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_request_that_never_ends_is_cut_off() {
        let server = start(big(1), Limits { head: SHORT, ..Limits::default() }).await;
        let mut client = server.connect().await;
        let began = Instant::now();
        for byte in b"GET /v1/report HTTP/1.1\r\n" {
            if client.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        assert!(closed(&mut client).await);
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(server.closed("slow_request"), 1);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off_and_its_renderer_freed() {
        let server = start(big(40_000), Limits { send: SHORT, ..Limits::default() }).await;
        let before = server.renderers();
        let mut client = server.connect().await;
        client.write_all(b"GET /v1/report HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        client.read_exact(&mut [0; 100]).await.unwrap();
        assert_eq!(server.renderers(), before - 1);

        // It begins to wait when it has filled what lies between, which takes a while on a busy machine.
        let freed = async {
            while server.renderers() != before {
                tokio::time::sleep(SHORT / 10).await;
            }
        };
        tokio::time::timeout(SHORT * 60, freed).await.unwrap();
        assert_eq!(server.closed("slow_reader"), 1);
    }

    #[tokio::test]
    async fn an_idle_connection_is_kept_for_a_while_and_then_closed() {
        let server = start(big(1), Limits { idle: SHORT, ..Limits::default() }).await;
        let mut client = server.connect().await;
        for _ in 0..2 {
            client.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut answer = [0; 512];
            let n = client.read(&mut answer).await.unwrap();
            assert!(answer[..n].starts_with(b"HTTP/1.1 200"));
        }

        assert!(closed(&mut client).await);
        assert_eq!(server.closed("idle"), 1);
    }
}
