//! Whether an answer is one of a Kubernetes API server, or of something else that stands at its address.
//!
//! In: a path, the head and the body of an answer. Out: a verdict, and the answer in a few words. An agent behind the API
//! server's proxy answers as it likes, and is not judged. Pure: values only.

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, LOCATION};
use serde::de::IgnoredAny;

use super::THROUGH;
use crate::seen::clean;

/// What every Kubernetes API server knows; it may refuse to show it.
pub(super) const EVERYWHERE: &str = "/version";

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It may be a Kubernetes API server's.
    Kubernetes,
    /// A Kubernetes API server says the same of what it does not know, such as a group: [`EVERYWHERE`] shows which it is.
    Doubtful,
    /// No Kubernetes API server answers so.
    Foreign,
}

/// Whose answer to a request of this path it is; `body` is the beginning of a refusal, and empty for any other answer.
pub(super) fn origin(path: &str, code: u16, headers: &HeaderMap, body: &[u8]) -> Origin {
    if path.contains(THROUGH) || code == 304 {
        return Origin::Kubernetes;
    }
    let is_page = header(headers, &CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    match code {
        _ if is_page => Origin::Foreign,
        300..400 => Origin::Foreign,
        502 if !is_json() => Origin::Foreign,
        404 if !is_json() && path == EVERYWHERE => Origin::Foreign,
        404 if !is_json() => Origin::Doubtful,
        _ => Origin::Kubernetes,
    }
}

/// The status, and the type of what came or where it leads.
pub(super) fn words(code: u16, headers: &HeaderMap) -> String {
    let leads = header(headers, &LOCATION).map(|to| format!("leads to {to}"));
    let kind = || header(headers, &CONTENT_TYPE).map(str::to_owned);
    let more = leads.or_else(kind).map_or(String::new(), |more| format!(", {more}"));
    clean::text(&format!("{code}{more}")).chars().take(300).collect()
}

fn header<'a>(headers: &'a HeaderMap, name: &hyper::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, code: u16, kind: &'static str, body: &str) -> Origin {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        origin(path, code, &headers, body.as_bytes())
    }

    #[test]
    fn what_no_api_server_answers_is_foreign() {
        let nodes = "/api/v1/nodes";
        assert_eq!(of(EVERYWHERE, 404, "text/plain", "404 page not found\n"), Origin::Foreign);
        assert_eq!(
            of("/apis/probelet.io/v1alpha1/x", 404, "text/plain", "404 x"),
            Origin::Doubtful
        );
        assert_eq!(of(nodes, 404, "application/json", "{\"kind\":\"Status\"}"), Origin::Kubernetes);
        assert_eq!(of(nodes, 200, "application/json", ""), Origin::Kubernetes);
        assert_eq!(of(nodes, 503, "text/plain", "apiserver not ready"), Origin::Kubernetes);
        assert_eq!(of(nodes, 502, "text/plain", "Bad Gateway"), Origin::Foreign);
        for code in [200, 401, 403, 503] {
            assert_eq!(of(nodes, code, "text/html; charset=utf-8", "<html>"), Origin::Foreign);
        }
    }

    #[test]
    fn an_agent_may_answer_as_it_likes() {
        for code in [200, 302, 404, 502] {
            assert_eq!(of("/api/v1/x/proxy/v1", code, "text/html", "<html>"), Origin::Kubernetes);
        }
    }
}
