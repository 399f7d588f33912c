//! Takes connections: a handshake, a head of bounded size, a token within seconds.
//!
//! In: a listening socket. Out: requests for `answer`. It must not wait for who says nothing, or keep more connections than
//! there are places.
//!
//! I/O: the sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use probelet_core::feed::ADDRESSES;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::Hub;
use super::answer::{self, Caller};

/// Handshakes at a time: half a millisecond of CPU time each.
const HANDSHAKES: usize = 16;
/// How long a stranger may stay before it shows a token that is good.
const STRANGER: Duration = Duration::from_secs(15);
/// How long a known one may be quiet between two requests.
const IDLE: Duration = Duration::from_mins(1);
/// Bytes of a request's head: a token has 1 KiB to 2 KiB.
const HEAD: usize = 32 << 10;
/// Bytes of a question: 500 addresses are less.
const BODY: usize = 32 << 10;
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// How often the thread's CPU time is read.
const COST: Duration = Duration::from_secs(10);

pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, hub: Rc<Hub>) -> Infallible {
    let slots = Rc::new(Semaphore::new(HANDSHAKES));
    let (mut connections, mut cost) = (JoinSet::new(), interval(COST));
    loop {
        hub.figures.connections.set(i64::try_from(hub.places.borrow().len()).unwrap_or(i64::MAX));
        tokio::select! {
            Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                hub.places.borrow_mut().leave(id);
            }
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let peer = peer.ip().to_canonical();
                    if !hub.places.borrow_mut().make_room(peer) {
                        hub.figures.refused("full");
                        continue;
                    }
                    let task = connection(socket, peer, tls.clone(), Rc::clone(&slots), Rc::clone(&hub));
                    let task = connections.spawn_local(task);
                    hub.places.borrow_mut().take(peer, task);
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection of an agent");
                    sleep(ACCEPT_RETRY).await;
                }
            },
            _ = cost.tick() => hub.figures.spent(),
        }
    }
}

async fn connection(
    socket: TcpStream,
    peer: IpAddr,
    tls: TlsAcceptor,
    slots: Rc<Semaphore>,
    hub: Rc<Hub>,
) {
    // What is small and rare is not held back.
    let _as_it_is = socket.set_nodelay(true);
    let known = Rc::new(Cell::new(false));
    let shake = async {
        let _slot = slots.acquire().await;
        timeout(STRANGER / 3, tls.accept(socket)).await
    };
    let talk = async {
        let Ok(Ok(stream)) = shake.await else {
            debug!(%peer, "handshake failed");
            return;
        };
        let service = service_fn(|request: Request<Incoming>| {
            let (hub, known) = (Rc::clone(&hub), Rc::clone(&known));
            async move {
                let token = request.headers().get(header::AUTHORIZATION);
                let token = token.and_then(|value| value.to_str().ok());
                let token = token.and_then(|value| value.strip_prefix("Bearer "));
                let caller = hub.callers.node(token, peer).await.map(|node| {
                    known.set(true);
                    hub.places.borrow_mut().recognise(tokio::task::id(), &node);
                    Caller { node, hub: Rc::clone(&hub) }
                });
                if let Err(refusal) = &caller {
                    hub.figures.refused(refusal.name());
                }
                let (head, body) = request.into_parts();
                // Of who is known, and where one is read at all.
                let posts = caller.is_ok() && head.uri.path() == ADDRESSES;
                let body = if posts { read(body).await } else { None };
                Ok::<_, Infallible>(answer::answer(&Request::from_parts(head, ()), body, caller))
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // Anyone who went away needs no answer.
        drop(served.await);
    };
    let stranger = async {
        sleep(STRANGER).await;
        if known.get() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = talk => {}
        () = stranger => {}
    }
}

/// A body, if it is not too long and comes in time.
async fn read(body: Incoming) -> Option<Bytes> {
    let whole = timeout(STRANGER, Limited::new(body, BODY).collect()).await;
    Some(whole.ok()?.ok()?.to_bytes())
}
