//! Requests and their queries, for the fuzzer.
//!
//! In: bytes as a peer sends them. Out: nothing; a panic is a finding. The server is the real one, over a pipe in memory: no
//! socket, and no one waits for a clock.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use super::testing::everything;
use super::{Parts, SeriesLimits, Shared, State};
use crate::fuzz::is_json;
use crate::serve::http::auth::Peer;
use crate::serve::http::connection;
use crate::serve::http::cost::Admission;
use crate::serve::http::places::Known;
use crate::serve::http::watch::{Limits, Phase};
use crate::serve::report::encoding::Encoding;
use crate::serve::report::filter::Sieve;
use crate::serve::report::query::Query;
use crate::serve::report::tag;
use crate::snapshot::instance::instance;
use probelet_core::display::DisplayNames;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

/// More than any answer.
const PIPE: usize = 1 << 20;

struct Served {
    runtime: Runtime,
    shared: Arc<Shared>,
}

thread_local! {
    /// Kept from input to input, as a server is.
    static SERVED: Served = served();
}

fn served() -> Served {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (snapshot, names, _) = everything();
    let parts = Parts {
        snapshots: watch::channel(snapshot).1,
        names: watch::channel(names).1,
        series: Arc::new(SeriesLimits::default),
        admit: Arc::new(|_| Admission::Granted),
        debug_pprof: false,
        web: true,
        kubernetes: None,
        node_probe: None,
        auth: None,
        tls: None,
    };
    let State(shared) = runtime.block_on(async { State::new(parts) });
    Served { runtime, shared }
}

/// All that a peer says before it hangs up.
pub(crate) fn http(data: &[u8]) {
    let answers = SERVED.with(|served| served.runtime.block_on(talk(data, &served.shared)));
    if let Some(head) = answers.windows(4).position(|four| four == b"\r\n\r\n") {
        let (head, body) = (&answers[..head], &answers[head + 4..]);
        assert!(head.starts_with(b"HTTP/1.") && head.is_ascii(), "{}", head.escape_ascii());
        let odd = head.iter().find(|&&byte| byte < b' ' && ![b'\r', b'\n'].contains(&byte));
        assert!(odd.is_none(), "{}", head.escape_ascii());
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(usize::MAX);
        // A HEAD has no body, and another answer may follow; without a length the end of the connection is the end.
        if text.contains("content-type: application/json") && body.first() == Some(&b'{') {
            is_json(body.get(..length).unwrap_or(body));
        }
    } else {
        assert!(answers.is_empty(), "half a head: {}", answers.escape_ascii());
    }
}

async fn talk(data: &[u8], shared: &Arc<Shared>) -> Vec<u8> {
    let (mut client, server) = duplex(PIPE);
    let peer = Peer { ip: Ipv4Addr::LOCALHOST.into(), loopback: true };
    let (stop, stopping) = watch::channel(false);
    let signs = (Phase::new(Limits::default()), Known::default());
    let serving = tokio::spawn(connection::serve(
        Box::new(server),
        peer,
        Arc::clone(shared),
        signs,
        stopping,
    ));
    client.write_all(data).await.unwrap();
    client.shutdown().await.unwrap();
    // Long enough for every answer that waits for nothing; who waits for a change is let go.
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    let mut answers = Vec::new();
    timeout(Duration::from_secs(5), client.read_to_end(&mut answers))
        .await
        .expect("it ends")
        .unwrap();
    serving.await.unwrap();
    answers
}

/// A query, and behind line ends the headers that are read.
pub(crate) fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let (query, accept, tags) = (line(), line(), line());
    let (snapshot, names, _) = SNAPSHOT.with(Clone::clone);
    _ = Encoding::negotiate(Some(accept));
    _ = tag::matches(tags, instance(&snapshot), snapshot.picture.epoch);
    let query = match Query::parse(query, !tags.is_empty()) {
        Ok(query) => query,
        Err(error) => return assert!(error.to_string().len() < 1024, "{error}"),
    };
    assert!(query.wait.is_none_or(|wait| wait <= Duration::from_mins(1)));
    let labels = DisplayNames::refresh(&Arc::default(), &snapshot.picture, &names);
    let sieve = Sieve::new(query.filter, &labels);
    let since =
        query.since.and_then(|since| since.known(instance(&snapshot), snapshot.picture.epoch));
    let span = crate::serve::report::span::Span::Full { since };
    let mut renderer = crate::serve::report::render::Renderer::new(snapshot, labels, sieve, span);
    let (mut text, mut piece) = (Vec::new(), Vec::new());
    while renderer.piece(&mut piece) {
        text.append(&mut piece);
    }
    text.append(&mut piece);
    is_json(&text);
}

type Snapshot = (Arc<crate::snapshot::Snapshot>, Arc<probelet_core::display::ContainerNames>, u64);

thread_local! {
    static SNAPSHOT: Snapshot = everything();
}
