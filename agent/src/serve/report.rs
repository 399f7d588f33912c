//! `GET /v1/report`: conditional, long-polled, admitted, then streamed.
//!
//! In: the head of a request and what its sender may see. Out: a response. It must not render more than the client has
//! room for, or send what the sender may not see any more after a wait.
//!
//! I/O: waits for a change, for a turn; asks the governor.

pub(super) mod body;
pub(super) mod encoding;
pub(super) mod filter;
pub(super) mod json;
pub(super) mod kept;
pub(super) mod query;
pub(in crate::serve) mod records;
pub(super) mod render;
pub(crate) mod span;
pub(crate) mod summary;
pub(super) mod tag;

use super::http::auth::Peer;
use super::http::cost::{Admission, Cost};
use super::http::route::{self, Answer, bad, later, refuse, seconds};
use super::sight::Sight;
use super::{Shared, until_stopped};
use crate::snapshot::Snapshot;
use crate::snapshot::instance::instance;
use body::{Reply, Stream};
use encoding::{Encoder, Encoding};
use filter::Sieve;
use hyper::header::{
    ACCEPT_ENCODING, AGE, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use hyper::http::request::Parts as Head;
use hyper::{Response, StatusCode};
use kept::{Keeping, Kept};
use query::{Filter, Query};
use render::Renderer;
use span::Span;
use std::sync::Arc;
use std::time::Duration;
use summary::instance_for;
use tokio::sync::{OwnedSemaphorePermit, watch as channel};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a request waits for its turn to be rendered.
const TURN: Duration = Duration::from_secs(10);

pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: &Head,
    mut sight: Sight,
    peer: Peer,
    stop: channel::Receiver<bool>,
) -> Answer {
    let headers = &request.headers;
    if let Admission::RetryAfter(wait) = (shared.admit)(Cost::Request) {
        return too_many(wait);
    }
    let condition = text(headers, &IF_NONE_MATCH);
    let query = match Query::parse(request.uri.query().unwrap_or(""), condition.is_some()) {
        Ok(query) => query,
        Err(error) => return bad(&error),
    };
    let seen = sight.clone();
    let stale = |snapshot: &Snapshot| {
        let (instance, epoch) = (instance_for(snapshot, &seen), snapshot.picture.epoch);
        let same = condition.is_some_and(|c| tag::matches(c, instance, epoch));
        same || query.since.is_some_and(|s| s.known(instance, epoch) == Some(epoch))
    };
    if let Some(wait) = query.wait {
        until_news(shared, wait, stop, stale).await;
        // The right may have gone meanwhile.
        sight = match route::sight(shared, request, route::REPORT, peer).await {
            Ok(sight) => sight,
            Err(refusal) => return refusal,
        };
    }
    let unmodified = |snapshot: &Snapshot| {
        let instance = instance_for(snapshot, &sight);
        condition.is_some_and(|c| tag::matches(c, instance, snapshot.picture.epoch))
    };
    if unmodified(&shared.snapshots.borrow()) {
        return not_modified(&shared.snapshots.borrow(), &sight);
    }
    let mut turn = None;
    if whole(&shared.snapshots.borrow(), &query) {
        match timeout(TURN, Arc::clone(&shared.renderers).acquire_owned()).await {
            Ok(Ok(permit)) => turn = Some(permit),
            _ => return busy(),
        }
    }
    // Who waits for a change or says what he has is to get no older one.
    let plain = condition.is_none() && query == Query::default();
    stream(shared, headers, query, sight, plain, turn)
}

/// Waits until the picture is not the one that the client has.
async fn until_news(
    shared: &Shared,
    wait: Duration,
    mut stop: channel::Receiver<bool>,
    stale: impl Fn(&Snapshot) -> bool,
) {
    let mut snapshots = shared.snapshots.clone();
    let news = async { snapshots.wait_for(|snapshot| !stale(snapshot)).await.is_ok() };
    let deadline = Instant::now() + wait;
    tokio::select! {
        // Ended in either way, what there is now is the answer.
        _ = timeout_at(deadline, news) => {}
        () = until_stopped(&mut stop) => {}
    }
}

fn stream(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    query: Query,
    sight: Sight,
    plain: bool,
    turn: Option<OwnedSemaphorePermit>,
) -> Answer {
    let snapshot = Arc::clone(&shared.snapshots.borrow());
    if snapshot.picture.epoch == 0 {
        let message = "the first pass over this node is not finished yet; try again in 1 s";
        return later(StatusCode::SERVICE_UNAVAILABLE, message, Duration::from_secs(1));
    }
    let labels = shared.labels(&snapshot);
    let span = match (sight.is_narrow(), span(&snapshot, query.since)) {
        (true, Span::Delta(since)) => Span::Full { since: Some(since) },
        (_, span) => span,
    };
    let mut answer = tagged(&snapshot, &sight, StatusCode::OK);
    let plain = plain && !sight.is_narrow();
    let sieve = Sieve::new(query.filter, &labels).seen_by(sight);
    let full = matches!(span, Span::Full { .. }) && sieve.is_open();
    let encoding = Encoding::negotiate(text(headers, &ACCEPT_ENCODING));
    // Of this one everyone who may see all gets the same.
    let common = full && plain;
    let kept = common.then(|| last(shared, encoding)).flatten();
    let tag = tag::etag(instance(&snapshot), snapshot.picture.epoch);
    if let Some((kept, age)) = &kept
        && kept.tag == tag
    {
        return again(kept, *age);
    }
    let learned = shared.learned();
    let estimate = if full { learned.full(records(&snapshot)) } else { learned.partial() };
    let cost = if kept.is_some() { Cost::Newer(estimate) } else { Cost::Cpu(estimate) };
    if let Admission::RetryAfter(wait) = (shared.admit)(cost) {
        return kept.map_or_else(|| over_budget(&snapshot, wait), |(kept, age)| again(&kept, age));
    }
    let keeping = common.then(|| Keeping::new(encoding, &tag, std::time::Instant::now())).flatten();
    let Ok(encoder) = Encoder::new(encoding) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the encoder could not be started");
    };
    described(&mut answer, encoding);
    let renderer = Renderer::new(snapshot, labels, sieve, span);
    let stream = Stream::new(renderer, encoder, full, Arc::clone(shared), keeping, turn);
    answer.map(|_| Reply::Report(Box::new(stream)))
}

/// Says what the body is.
fn described(answer: &mut Answer, encoding: Encoding) {
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if encoding != Encoding::Identity {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    }
}

/// The last whole report, and how old it is, if it may be sent.
fn last(shared: &Shared, encoding: Encoding) -> Option<(Kept, Duration)> {
    let kept = shared.kept()?;
    let age = kept.age(encoding, std::time::Instant::now())?;
    Some((kept, age))
}

/// A whole report that was sent before.
fn again(kept: &Kept, age: Duration) -> Answer {
    let mut answer = Response::new(Reply::Whole(Some(kept.body.clone())));
    described(&mut answer, kept.encoding);
    let headers = answer.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(&kept.tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(AGE, HeaderValue::from(age.as_secs()));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    answer
}

/// Whether the answer is a whole report. Only those wait for a turn: who reads one slowly must not
/// keep others from deltas.
fn whole(snapshot: &Snapshot, query: &Query) -> bool {
    query.filter == Filter::default() && matches!(span(snapshot, query.since), Span::Full { .. })
}

/// A delta if the removals since then are still known, else everything.
fn span(snapshot: &Snapshot, since: Option<tag::Since>) -> Span {
    let picture = &snapshot.picture;
    let Some(asked) = since else { return Span::Full { since: None } };
    match asked.known(instance(snapshot), picture.epoch) {
        Some(since) if picture.removed.since(since).is_some() => Span::Delta(since),
        _ => Span::Full { since: Some(asked.epoch()) },
    }
}

fn records(snapshot: &Snapshot) -> usize {
    let picture = &snapshot.picture;
    picture.processes.len()
        + picture.connections.len()
        + picture.listeners.len()
        + picture.containers.len()
        + picture.flows.len()
        + picture.risks.len()
        + picture.cluster.as_ref().map_or(0, |cluster| cluster.pods.len())
}

fn tagged(snapshot: &Snapshot, sight: &Sight, status: StatusCode) -> Answer {
    let mut answer = Response::new(Reply::Whole(None));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let tag = tag::etag(instance_for(snapshot, sight), snapshot.picture.epoch);
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    answer
}

fn not_modified(snapshot: &Snapshot, sight: &Sight) -> Answer {
    tagged(snapshot, sight, StatusCode::NOT_MODIFIED)
}

fn busy() -> Answer {
    let message =
        "slow readers keep the agent busy; try again in 1 s, or ask for a delta with `since`";
    later(StatusCode::SERVICE_UNAVAILABLE, message, Duration::from_secs(1))
}

fn too_many(wait: Duration) -> Answer {
    let message = format!(
        "more requests a second than spec.limits.reportRequestsPerSecond allows; try again in {} s",
        seconds(wait)
    );
    later(StatusCode::TOO_MANY_REQUESTS, &message, wait)
}

fn over_budget(snapshot: &Snapshot, wait: Duration) -> Answer {
    let budget = snapshot.vitals.budget_cores * 1000.0;
    let message = format!(
        "the CPU budget of {budget:.0}m is used up; try again in {} s, or raise spec.budget.cpu",
        seconds(wait)
    );
    later(StatusCode::SERVICE_UNAVAILABLE, &message, wait)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
