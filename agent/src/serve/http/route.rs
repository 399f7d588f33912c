//! Which request gets which answer.
//!
//! In: the head of a request. Out: a response. Bodies of requests are ignored. It must not render.
//!
//! I/O: waits, for long-polls.

use super::auth::{self, Asked, Peer};
use super::watch::Phase;
use super::{health, host, profile, web};
use crate::serve::report::body::{Reply, Sending};
use crate::serve::report::query::Error;
use crate::serve::sight::Sight;
use crate::serve::{Shared, metrics, report};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts as Head;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as channel;

/// Longest path and query.
const URI: usize = 4096;
/// The page for browsers, where it is switched on.
const PAGE: &str = "/";
const METRICS: &str = "/metrics";
const LIVE: &str = "/healthz";
const READY: &str = "/readyz";
pub(crate) const REPORT: &str = "/v1/report";
const CPU: &str = "/debug/pprof/profile";
const HEAP: &str = "/debug/pprof/heap";
/// What there is.
const PATHS: [&str; 6] = [METRICS, LIVE, READY, REPORT, CPU, HEAP];

/// A response before it is sent.
pub(crate) type Answer = Response<Reply>;

/// Answers one request. Says as well whether who asked was given what is not for everybody.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    peer: Peer,
    phase: Phase,
    stop: channel::Receiver<bool>,
) -> (bool, Response<Sending>) {
    phase.think();
    let (head, _ignored) = request.into_parts();
    let path =
        known(head.uri.path()).or_else(|| (shared.web && head.uri.path() == PAGE).then_some(PAGE));
    let answer = choose(&shared, &head, path, peer, stop).await;
    let code = answer.status().as_u16();
    shared.http.answered(path.unwrap_or("other"), code);
    if path == Some(REPORT) {
        shared.http.report(code);
    }
    let open = [Some(LIVE), Some(READY), Some(PAGE)].contains(&path);
    let given = !open && (answer.status().is_success() || code == 304);
    phase.send();
    let (mut head, reply) = answer.into_parts();
    head.headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    // No one between the agent and who asks is to keep what may be read with a token only.
    head.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (given, Response::from_parts(head, Sending::new(reply, phase)))
}

/// The path itself, if it is one of ours: a text that strangers cannot choose.
fn known(path: &str) -> Option<&'static str> {
    PATHS.into_iter().find(|&known| known == path)
}

async fn choose(
    shared: &Arc<Shared>,
    request: &Head,
    path: Option<&'static str>,
    peer: Peer,
    stop: channel::Receiver<bool>,
) -> Answer {
    let uri = &request.uri;
    if uri.path_and_query().is_some_and(|p| p.as_str().len() > URI) {
        return refuse(
            StatusCode::URI_TOO_LONG,
            &format!("the request line is longer than {URI} bytes"),
        );
    }
    if !host::is_ours(&request.headers, peer, &shared.own_names)
        && ![Some(LIVE), Some(READY)].contains(&path)
    {
        let message = "invalid Host header: use an IP address or localhost";
        return refuse(StatusCode::MISDIRECTED_REQUEST, message);
    }
    let sight = match path {
        Some(path) => sight(shared, request, path, peer).await,
        None => stranger(shared, request, peer).map_or(Ok(Sight::All), Err),
    };
    let sight = match sight {
        Ok(sight) => sight,
        Err(refusal) => return refusal,
    };
    let Some(path) = path else {
        let path: String = uri.path().chars().take(64).collect();
        let paths = PATHS.join(", ");
        return refuse(StatusCode::NOT_FOUND, &format!("there is no {path}: there are {paths}"));
    };
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let mut answer = refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            &format!("{} is not for {path}: only GET and HEAD are", request.method),
        );
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    let query = uri.query().unwrap_or("");
    match path {
        REPORT => report::answer(shared, request, sight, peer, stop).await,
        METRICS => metrics::answer(shared, &sight),
        PAGE => web::page(),
        LIVE => health::alive(shared),
        READY => health::ready(shared),
        CPU => profile::cpu(shared, query, stop).await,
        _ => profile::heap(shared).await,
    }
}

/// What who asks may see of a path, or why nothing.
pub(crate) async fn sight(
    shared: &Shared,
    request: &Head,
    path: &'static str,
    peer: Peer,
) -> Result<Sight, Answer> {
    let Some(auth) = &shared.auth else { return Ok(Sight::All) };
    let query = request.uri.query().unwrap_or("");
    let (part, query) = match path {
        // The page is the same for everybody; what it shows it has to ask for.
        LIVE | READY | PAGE => return Ok(Sight::All),
        REPORT => ("report", Some(query)),
        METRICS => ("metrics", Some(query)),
        _ => ("profile", None),
    };
    let asked = Asked { part, node: &shared.node, query };
    auth.sight(&shared.http, &shared.admit, &request.headers, asked, peer).await
}

/// Why who asks for what is not there may not know that, if so. Which paths there are is no secret: it is not worth a
/// question to the API server, whose number strangers could choose.
fn stranger(shared: &Shared, request: &Head, peer: Peer) -> Option<Answer> {
    let auth = shared.auth.as_ref()?;
    (auth.is_for(peer) && auth::token(&request.headers).is_none()).then(auth::no_token)
}

/// A finished answer.
pub(crate) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let body = body.into();
    let body = (!body.is_empty()).then_some(body);
    let mut answer = Response::new(Reply::Whole(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// `{"error": "..."}` in one message.
pub(crate) fn refuse(status: StatusCode, message: &str) -> Answer {
    let mut body = b"{\"error\":".to_vec();
    crate::serve::report::json::string(&mut body, message.as_bytes());
    body.extend_from_slice(b"}\n");
    whole(status, "application/json", body)
}

/// A refusal that says when to come again.
pub(crate) fn later(status: StatusCode, message: &str, wait: Duration) -> Answer {
    let mut answer = refuse(status, message);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    answer
}

/// Whole seconds, rounded up, at least one: what `Retry-After` can say.
pub(crate) fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A query that is not understood.
pub(crate) fn bad(error: &Error) -> Answer {
    refuse(StatusCode::BAD_REQUEST, &error.to_string())
}
