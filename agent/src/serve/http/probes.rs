//! The listener for probes: liveness and readiness, and nothing else, behind a listener that no one else needs.
//!
//! A kubelet that gets no answer restarts the agent, so anyone who could fill this listener could blind the node. Few bytes are
//! read and one short answer is written, without TLS, without a token and without anything to choose; places are few, and
//! who comes last has one. Its CPU time is a share of its own. When strangers use that up, the kernel is asked to hear
//! no one but the node's own addresses for a minute: the kubelet's is one of them.
//!
//! In: a listener, snapshots. Out: answers. It must not depend on the readers' share, the API server or a certificate.
//!
//! I/O: one listening socket, on the caller's runtime.

use super::auth::network_is_a_pods_own;
use super::cost::{Admission, Admit, Cost};
use super::health::{is_alive, is_ready};
use crate::args::Address;
use crate::clock::{boot_ns, thread_cpu_ns};
use crate::discover::node_addresses;
use crate::serve::{ACCEPT_RETRY, Error, listen, until_stopped};
use crate::snapshot::Snapshot;
use crate::sys::filter;
use probelet_runtime::places::Places;
use std::fmt::Write as _;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

/// Connections at a time: of all, and of one peer.
const ALL: usize = 16;
const EACH: usize = 4;
/// Connections that wait in the kernel: what is let in in a moment.
const BACKLOG: u32 = 16;
/// A kubelet sends some 200 bytes at once.
const HEAD: usize = 1024;
const PATIENCE: Duration = Duration::from_secs(2);
/// For so long only the node itself is heard after the share was used up.
const QUIET: Duration = Duration::from_mins(1);

/// Listens on `address`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address, BACKLOG).map_err(|source| Error::Listen {
        flag: "--probe-listen",
        address: Address::Tcp(address),
        source,
    })
}

/// Answers until `stop` is true.
pub async fn serve(
    listener: TcpListener,
    snapshots: channel::Receiver<Arc<Snapshot>>,
    admit: Admit,
    mut stop: channel::Receiver<bool>,
) {
    let serving = Serving { listener, began_ns: boot_ns(), snapshots, admit: Arc::clone(&admit) };
    tokio::select! {
        () = until_stopped(&mut stop) => {}
        () = measured(serving.run(), admit) => {}
    }
}

/// Shows what each piece of the work takes. Other work is done on this thread between them.
async fn measured<T>(work: impl Future<Output = T>, admit: Admit) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let began = thread_cpu_ns();
        let polled = work.as_mut().poll(cx);
        // What to do about it is asked before the next one is let in.
        let _later = admit(Cost::Probes(Duration::from_nanos(thread_cpu_ns() - began)));
        polled
    })
    .await
}

struct Serving {
    listener: TcpListener,
    began_ns: u64,
    snapshots: channel::Receiver<Arc<Snapshot>>,
    admit: Admit,
}

impl Serving {
    async fn run(&self) {
        let (mut inside, mut places) = (JoinSet::new(), Places::new(ALL, EACH));
        let (mut shut, mut quiet) = (None, None);
        let mut tried: Option<Instant> = None;
        loop {
            tokio::select! {
                Some(ended) = inside.join_next_with_id(), if !inside.is_empty() => {
                    places.leave(ended.map_or_else(|error| error.id(), |(id, ())| id));
                }
                () = sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => {
                    self.hear_all();
                    quiet = None;
                }
                () = sleep_until(shut.unwrap_or_else(Instant::now)), if shut.is_some() => {
                    shut = self.shut();
                }
                accepted = self.listener.accept(), if shut.is_none() => {
                    match accepted {
                        Ok((socket, peer)) => {
                            let peer = peer.ip().to_canonical();
                            places.make_room(peer);
                            let work = answer(socket, self.snapshots.clone(), self.began_ns);
                            let work = measured(work, Arc::clone(&self.admit));
                            places.take(peer, inside.spawn(work));
                        }
                        Err(error) => {
                            warn!(%error, "cannot accept a probe");
                            sleep(ACCEPT_RETRY).await;
                        }
                    }
                    shut = self.shut();
                    if shut.is_some() && tried.is_none_or(|last| last.elapsed() >= QUIET) {
                        tried = Some(Instant::now());
                        quiet = self.hear_the_node().then(|| Instant::now() + QUIET);
                    }
                }
            }
        }
    }

    /// Until when no one is let in, if so.
    fn shut(&self) -> Option<Instant> {
        match (self.admit)(Cost::Probes(Duration::ZERO)) {
            Admission::Granted => None,
            Admission::RetryAfter(wait) => Some(Instant::now() + wait),
        }
    }

    /// Whether from now on only the node's own addresses are heard, which `hostPID` shows. Not on the node's own network:
    /// who asks there has them as well.
    fn hear_the_node(&self) -> bool {
        if !network_is_a_pods_own() {
            warn!(
                "probes use up their share of the CPU budget: a process on the node's own network connects to their port without end; ss -tnp shows it"
            );
            return false;
        }
        let own: Vec<IpAddr> = node_addresses::all(Path::new("/proc")).into_iter().collect();
        if own.is_empty() {
            warn!(
                "probes use up their share of the CPU budget, and the node's addresses could not be determined"
            );
            return false;
        }
        match filter::only_from(self.listener.as_fd(), &own) {
            Ok(()) => {
                let seconds = QUIET.as_secs();
                warn!(
                    seconds,
                    "probes use up their share of the CPU budget: only those from the node itself are accepted for a while"
                );
                true
            }
            Err(error) => {
                warn!(%error, "cannot limit probes to the node's own addresses");
                false
            }
        }
    }

    fn hear_all(&self) {
        if let Err(error) = filter::anybody(self.listener.as_fd()) {
            warn!(%error, "probes stay limited to the node's own addresses");
        }
    }
}

async fn answer(mut socket: TcpStream, snapshots: channel::Receiver<Arc<Snapshot>>, began_ns: u64) {
    let talk = async {
        let mut head = [0; HEAD];
        let mut len = 0;
        while len < HEAD && !head[..len].windows(4).any(|end| end == b"\r\n\r\n") {
            match socket.read(&mut head[len..]).await {
                Ok(0) | Err(_) => return,
                Ok(more) => len += more,
            }
        }
        let text = respond(&head[..len], &snapshots.borrow(), began_ns);
        // Anyone who went away needs no answer.
        let _unheard = socket.write_all(text.as_bytes()).await;
        let _unheard = socket.shutdown().await;
    };
    let _late = timeout(PATIENCE, talk).await;
}

/// The answer to a request of which `head` is the beginning.
fn respond(head: &[u8], snapshot: &Snapshot, began_ns: u64) -> String {
    let line = head.split(|&b| b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&b| b == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|&b| b == b'?').next().unwrap_or_default();
    let verdict = match path {
        b"/healthz" => is_alive(snapshot, began_ns),
        b"/readyz" => is_ready(snapshot),
        _ => return page("404 Not Found", "there are /healthz and /readyz\n", method),
    };
    if ![&b"GET"[..], b"HEAD"].contains(&method) {
        return page("405 Method Not Allowed", "only GET and HEAD are answered\n", method);
    }
    match verdict {
        Ok(()) => page("200 OK", "ok\n", method),
        Err(message) => page("503 Service Unavailable", &message, method),
    }
}

fn page(status: &str, body: &str, method: &[u8]) -> String {
    let mut text = String::with_capacity(256);
    // Writing into a text cannot fail.
    let _written = write!(
        text,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{}",
        body.len(),
        if method == b"HEAD" { "" } else { body },
    );
    text
}

#[cfg(test)]
mod tests;
