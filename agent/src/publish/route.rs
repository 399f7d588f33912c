//! Which request gets which answer.
//!
//! In: the head of a request. Out: a response. Bodies of requests are ignored. It must not render.
//!
//! I/O: waits, for long-polls.

use super::body::{Reply, Sending};
use super::query::Error;
use super::watch::Phase;
use super::{Shared, health, metrics, profile, report};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts as Head;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as channel;

/// Longest path and query.
const URI: usize = 4096;
/// What there is.
const PATHS: &str =
    "/metrics, /healthz, /readyz, /v1/report, /debug/pprof/profile and /debug/pprof/heap";

/// A response before it is sent.
pub(super) type Answer = Response<Reply>;

/// Answers one request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    phase: Phase,
    stop: channel::Receiver<bool>,
) -> Response<Sending> {
    phase.think();
    let (head, _ignored) = request.into_parts();
    let answer = choose(&shared, &head, stop).await;
    phase.send();
    let (mut head, reply) = answer.into_parts();
    head.headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    Response::from_parts(head, Sending::new(reply, phase))
}

async fn choose(shared: &Arc<Shared>, request: &Head, stop: channel::Receiver<bool>) -> Answer {
    let uri = &request.uri;
    if uri.path_and_query().is_some_and(|p| p.as_str().len() > URI) {
        return refuse(
            StatusCode::URI_TOO_LONG,
            &format!("the request line is longer than {URI} bytes"),
        );
    }
    let get = [Method::GET, Method::HEAD].contains(&request.method);
    let query = uri.query().unwrap_or("");
    match uri.path() {
        "/v1/report"
        | "/metrics"
        | "/healthz"
        | "/readyz"
        | "/debug/pprof/profile"
        | "/debug/pprof/heap"
            if !get =>
        {
            let mut answer = refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                &format!("{} is not for {}: only GET and HEAD are", request.method, uri.path()),
            );
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
        "/v1/report" => {
            let answer = report::answer(shared, &request.headers, query, stop).await;
            shared.http.report(answer.status().as_u16());
            answer
        }
        "/metrics" => metrics::answer(shared),
        "/healthz" => health::alive(shared),
        "/readyz" => health::ready(shared),
        "/debug/pprof/profile" => profile::cpu(shared, query, stop).await,
        "/debug/pprof/heap" => profile::heap(shared).await,
        path => {
            let path: String = path.chars().take(64).collect();
            refuse(StatusCode::NOT_FOUND, &format!("there is no {path}: there are {PATHS}"))
        }
    }
}

/// A finished answer.
pub(super) fn whole(
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

/// `{"error": "..."}` in one sentence.
pub(super) fn refuse(status: StatusCode, sentence: &str) -> Answer {
    let mut body = b"{\"error\":".to_vec();
    super::json::string(&mut body, sentence.as_bytes());
    body.extend_from_slice(b"}\n");
    whole(status, "application/json", body)
}

/// A refusal that says when to come again.
pub(super) fn later(status: StatusCode, sentence: &str, wait: Duration) -> Answer {
    let mut answer = refuse(status, sentence);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    answer
}

/// Whole seconds, rounded up, at least one: what `Retry-After` can say.
pub(super) fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// A query that is not understood.
pub(super) fn bad(error: &Error) -> Answer {
    refuse(StatusCode::BAD_REQUEST, &error.to_string())
}
