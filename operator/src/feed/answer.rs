//! What an agent gets: `GET /feed/v1/pods`, a list or a watch of its own node's pods, in the API server's own form; and
//! `POST /feed/v1/addresses`, which pods of other nodes are at addresses that it has connections with.
//!
//! In: a request, whose agent it is. Out: `PodList`, or lines of a watch with bookmarks; a `Status` for what cannot be had. The
//! parameters are those that an agent sends to the API server: `watch`, `resourceVersion`, `sendInitialEvents`,
//! `timeoutSeconds`; selectors are ignored, as the token alone says which node it is. It must not put more into a connection
//! than its reader takes: what is not read yet stays in the node's log, and who is too slow for that gets 410.
//!
//! I/O: none of its own; waits for changes.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{Full, StreamBody};
use hyper::body::{Body, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response};
use probelet_core::feed::{ADDRESSES, MOST_ADDRESSES, PODS};
use probelet_core::hash::HashMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Hub;
use super::pod;
use super::store::{At, Change, Cursor, Lost, Verb};
use crate::refusal::Refusal;

/// Bytes that are put together for a connection at a time.
const CHUNK: usize = 32 << 10;
/// How often a quiet watch gets a bookmark: a sign of life, and a version to go on from.
const BOOKMARK: Duration = Duration::from_secs(30);
/// How long a watch may last, and lasts if that is not said, in seconds.
const WATCH: (u64, u64) = (600, 300);
/// When to ask again where there is nothing yet.
const AGAIN: u32 = 2;

pub(super) type Answer = Response<Pin<Box<dyn Body<Data = Bytes, Error = Infallible>>>>;

/// Whose agent it is.
pub(super) struct Caller {
    pub(super) node: Arc<str>,
    pub(super) hub: Rc<Hub>,
}

pub(super) fn answer<B>(
    request: &Request<B>,
    body: Option<Bytes>,
    caller: Result<Caller, Refusal>,
) -> Answer {
    let caller = match caller {
        Ok(caller) => caller,
        Err(refusal) => {
            let again = (refusal.code() >= 429).then_some(AGAIN * 5);
            return status(refusal.code(), refusal.name(), refusal.message(), again);
        }
    };
    if request.uri().path() == ADDRESSES {
        return match (request.method(), body) {
            (&Method::POST, Some(body)) => addresses(&body, &caller),
            (&Method::POST, None) => status(413, "RequestEntityTooLarge", "32 KiB at most", None),
            _ => status(405, "MethodNotAllowed", "only POST is answered", None),
        };
    }
    if request.uri().path() != PODS {
        let there = "there are /feed/v1/pods and /feed/v1/addresses";
        return status(404, "NotFound", there, None);
    }
    if request.method() != Method::GET {
        return status(405, "MethodNotAllowed", "only GET is answered", None);
    }
    let query = Query::read(request.uri().query().unwrap_or_default());
    pods(&query, caller)
}

/// The parameters that count.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    watch: bool,
    initial: bool,
    version: u64,
    seconds: Option<u64>,
}

impl Query {
    fn read(query: &str) -> Self {
        let pairs: HashMap<&str, &str> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let on = |name| pairs.get(name).is_some_and(|value| ["1", "true"].contains(value));
        Self {
            watch: on("watch"),
            initial: on("sendInitialEvents"),
            version: pod::version(pairs.get("resourceVersion").copied()),
            seconds: pairs.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()),
        }
    }
}

/// The version of what is known, or why nothing is handed out.
fn current(hub: &Hub) -> Result<u64, Box<Answer>> {
    let unavailable = |reason, message, again| {
        hub.figures.refused(reason);
        Box::new(status(503, "ServiceUnavailable", message, Some(again)))
    };
    let not_yet = "the operator has not listed the pods of the cluster yet";
    let version = hub.store.borrow().version();
    let version = version.ok_or_else(|| unavailable("not_listed", not_yet, AGAIN))?;
    if !hub.is_fresh() {
        let message = "the operator has not heard of the API server for minutes";
        return Err(unavailable("stale", message, AGAIN * 10));
    }
    Ok(version)
}

#[derive(Deserialize)]
struct Question {
    addresses: Vec<String>,
}

/// The pods at some addresses: of each its name, what made it, its node and since when. Of an address that is a node's own, the
/// node.
fn addresses(body: &[u8], caller: &Caller) -> Answer {
    let hub = &caller.hub;
    if let Err(refusal) = current(hub) {
        return *refusal;
    }
    let question = serde_json::from_slice::<Question>(body).ok();
    let Some(question) = question.filter(|question| question.addresses.len() <= MOST_ADDRESSES)
    else {
        return status(400, "BadRequest", "ask for {\"addresses\": [..]}, 500 at most", None);
    };
    if !hub.places.borrow_mut().may_ask(&caller.node) {
        hub.figures.refused("too_often");
        return status(429, "TooManyRequests", "ask at most once a second", Some(AGAIN));
    }
    let store = hub.store.borrow();
    let pod = |ip: IpAddr| {
        let At { key, uid, node, peer } = store.at(ip)?;
        let (namespace, name) = key.split_once('/')?;
        let (kind, workload) = &peer.workload;
        Some(json!({"address": ip, "namespace": namespace, "name": name, "uid": uid, "kind": kind,
            "workload": workload, "node": node, "since": peer.since}))
    };
    let asked = question.addresses.iter().filter_map(|text| text.parse().ok());
    let node = |ip: IpAddr| Some(json!({"address": ip, "node": store.host(ip)?}));
    let items: Vec<Value> = asked.filter_map(|ip| pod(ip).or_else(|| node(ip))).collect();
    hub.figures.named(question.addresses.len(), items.len());
    let text = json!({ "items": items }).to_string();
    hub.figures.sent(text.len());
    respond(200, Box::pin(Full::new(Bytes::from(text))))
}

fn pods(query: &Query, caller: Caller) -> Answer {
    let hub = Rc::clone(&caller.hub);
    let version = match current(&hub) {
        Ok(version) => version,
        Err(refusal) => return *refusal,
    };
    if !query.watch {
        let (pods, _) = hub.store.borrow_mut().list(&caller.node);
        hub.figures.list();
        return list(&pods, version);
    }
    // As with the API server: without a version, or with 0, the watch begins with all there is.
    let initial = query.initial || query.version == 0;
    let (pods, cursor) = if initial {
        hub.figures.list();
        hub.store.borrow_mut().list(&caller.node)
    } else {
        match hub.store.borrow_mut().resume(&caller.node, query.version) {
            Ok(cursor) => (Vec::new(), cursor),
            Err(Lost::Expired) => {
                hub.figures.expired.inc();
                let message = "too much has changed since that version: list again";
                return status(410, "Expired", message, None);
            }
        }
    };
    let seconds = query.seconds.unwrap_or(WATCH.1).clamp(1, WATCH.0);
    let end = hub.places.borrow_mut().watch(&caller.node);
    hub.figures.watches.inc();
    let now = Instant::now();
    let watch = Watching {
        waiting: pods.into_iter(),
        initial: query.initial.then_some(version),
        cursor,
        bookmark: now + BOOKMARK,
        until: now + Duration::from_secs(seconds),
        over: false,
        end,
        caller,
    };
    let lines = stream::unfold(watch, |mut watch| async {
        let lines = watch.next().await?;
        watch.caller.hub.figures.sent(lines.len());
        Some((Ok(Frame::data(Bytes::from(lines))), watch))
    });
    respond(200, Box::pin(StreamBody::new(lines)))
}

fn list(pods: &[Change], version: u64) -> Answer {
    let mut text = format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"}},"items":["#
    )
    .into_bytes();
    for (at, pod) in pods.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        pod::write(&mut text, pod.version, &pod.text);
    }
    text.extend_from_slice(b"]}\n");
    respond(200, Box::pin(Full::new(Bytes::from(text))))
}

/// A watch as it goes on.
struct Watching {
    caller: Caller,
    /// Of the list that it begins with.
    waiting: std::vec::IntoIter<Change>,
    /// The version of that list, whose end has to be said.
    initial: Option<u64>,
    cursor: Cursor,
    bookmark: Instant,
    until: Instant,
    over: bool,
    /// Another watch takes its place.
    end: Rc<Notify>,
}

impl Watching {
    /// The next lines; `None` is the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut lines = Vec::new();
        if self.over {
            return None;
        }
        let hub = Rc::clone(&self.caller.hub);
        for pod in self.waiting.by_ref() {
            line(&mut lines, &pod);
            hub.figures.events.inc();
            if lines.len() >= CHUNK {
                return Some(lines);
            }
        }
        if let Some(version) = self.initial.take() {
            let end = r#","annotations":{"k8s.io/initial-events-end":"true"}"#;
            bookmark(&mut lines, version, end);
            return Some(lines);
        }
        if !lines.is_empty() {
            return Some(lines);
        }
        let mut due = false;
        loop {
            if let Some(lines) = self.look(due) {
                return Some(lines);
            }
            tokio::select! {
                changed = self.cursor.changed.changed() => if changed.is_err() { return None },
                () = sleep_until(self.bookmark) => {
                    self.bookmark = Instant::now() + BOOKMARK;
                    due = true;
                }
                () = sleep_until(self.until) => return None,
                () = self.end.notified() => return None,
            }
        }
    }

    /// What there is to send now: changes, or the bookmark that is due.
    fn look(&mut self, due: bool) -> Option<Vec<u8>> {
        let hub = &self.caller.hub;
        // Before looking: what comes while looking is seen the next time.
        self.cursor.changed.mark_unchanged();
        let store = hub.store.borrow();
        let mut lines = Vec::new();
        match store.pending(&self.caller.node, &mut self.cursor, CHUNK) {
            Ok(changes) if changes.is_empty() => {
                // Only what is known to be so is said, and only once all before it was.
                let version = store.known().filter(|_| due && hub.is_fresh())?;
                bookmark(&mut lines, version, "");
            }
            Ok(changes) => {
                hub.figures.events.inc_by(changes.len() as u64);
                for change in &changes {
                    line(&mut lines, change);
                }
                self.bookmark = Instant::now() + BOOKMARK;
            }
            Err(Lost::Expired) => {
                self.over = true;
                hub.figures.expired.inc();
                let why = "more has changed than is kept for a slow reader";
                let object = failure(410, "Expired", why, None);
                lines = format!("{{\"type\":\"ERROR\",\"object\":{object}}}\n").into_bytes();
            }
        }
        Some(lines)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let hub = &self.caller.hub;
        hub.figures.watches.dec();
        hub.places.borrow_mut().unwatch(&self.caller.node, &self.end);
    }
}

fn line(lines: &mut Vec<u8>, change: &Change) {
    let verb = match change.verb {
        Verb::Added => "ADDED",
        Verb::Modified => "MODIFIED",
        Verb::Deleted => "DELETED",
    };
    lines.extend_from_slice(format!(r#"{{"type":"{verb}","object":"#).as_bytes());
    pod::write(lines, change.version, &change.text);
    lines.extend_from_slice(b"}\n");
}

fn bookmark(lines: &mut Vec<u8>, version: u64, annotations: &str) {
    let text = format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"{version}\"{annotations}}}}}}}\n"
    );
    lines.extend_from_slice(text.as_bytes());
}

/// `metav1.Status`.
fn failure(code: u16, reason: &str, message: &str, again: Option<u32>) -> serde_json::Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": reason, "message": message, "details": {"retryAfterSeconds": again}})
}

fn status(code: u16, reason: &str, message: &str, again: Option<u32>) -> Answer {
    let text = failure(code, reason, message, again).to_string();
    let mut answer = respond(code, Box::pin(Full::new(Bytes::from(text))));
    if let Some(again) = again {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(again));
    }
    answer
}

fn respond(code: u16, body: Pin<Box<dyn Body<Data = Bytes, Error = Infallible>>>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
