//! `GET /`: the page for people who look at this node in a browser.
//!
//! One static file with its style and its script inside. What it shows it asks `/v1/report` for, so the page itself
//! says nothing and needs no token; the report does. The policy sent with it allows this script, this style and
//! requests to this agent, and nothing else: even a mistake in the page could not make a process's name run.
//!
//! In: nothing. Out: the page. It must not be made from anything that changes.
//!
//! Pure: no I/O.

use super::route::{Answer, whole};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
};
use probelet_core::base64::base64;
use ring::digest::{SHA256, digest};
use std::sync::LazyLock;

const PAGE: &str = include_str!("web/page.html");

/// `default-src 'none'` and the exceptions; the icon is an empty `data:` address, so that no one asks for one.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source(PAGE, "script"),
        source(PAGE, "style")
    )
});

pub(super) fn page() -> Answer {
    let mut answer = whole(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(POLICY.as_str()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("same-origin"));
    }
    answer
}

/// The text of the only element of this name, as a policy names it.
fn source(page: &str, element: &str) -> String {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    let inside = page.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    let text = inside.map_or("", |(text, _)| text);
    format!("sha256-{}", base64(digest(&SHA256, text.as_bytes()).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_written_as_browsers_write_it() {
        assert_eq!(base64(b"probelet"), "cHJvYmVsZXQ=");
        assert_eq!(base64(b"probe"), "cHJvYmU=");
        assert_eq!(base64(b"probel"), "cHJvYmVs");
        assert_eq!(
            source("<script></script>", "script"),
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        );
    }

    #[test]
    fn the_page_is_small_and_whole() {
        assert!(PAGE.len() <= 60_000, "{}", PAGE.len());
        for element in ["script", "style"] {
            assert_eq!(
                PAGE.matches(&format!("<{element}")).count(),
                1,
                "one {element}: the policy allows one"
            );
        }
        assert!(
            !PAGE.contains("://")
                || PAGE.matches("://").count()
                    == PAGE.matches("http://www.w3.org/2000/svg").count()
        );
    }

    #[test]
    fn no_text_of_a_stranger_can_become_part_of_the_page() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            " style=\"",
            " onclick=\"",
        ] {
            assert!(!PAGE.contains(way), "{way}");
        }
    }
}
