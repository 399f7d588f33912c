//! Whether a request that came through loopback was meant for this agent.
//!
//! A page on the web can have its own name resolve to 127.0.0.1 and then read answers as if they were its own (DNS
//! rebinding). Such a request carries that name; who asks for this agent says an address or `localhost`.
//!
//! In: the peer, the headers. Out: yes or no.
//!
//! Pure: no I/O.

use super::auth::Peer;
use hyper::header::{HOST, HeaderMap};
use std::net::IpAddr;

/// Whether it was; `own` are the names of this machine.
pub(super) fn is_ours(headers: &HeaderMap, peer: Peer, own: &[String]) -> bool {
    let Some(host) = headers.get(HOST).filter(|_| peer.loopback) else { return true };
    host.to_str().is_ok_and(|host| is_local(host, own))
}

/// An address, a name that no name server of the world can have (below `localhost`), or one of this machine's own. Not
/// just any without a dot: a search domain may lead `http://intranet/` to a server that has it point here.
fn is_local(host: &str, own: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let lower = name.trim_end_matches('.').to_ascii_lowercase();
    bare.parse::<IpAddr>().is_ok()
        || lower == "localhost"
        || lower.ends_with(".localhost")
        || own.iter().any(|own| own.eq_ignore_ascii_case(&lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_of_this_machine_are_ours() {
        for host in [
            "127.0.0.1:9466",
            "127.0.0.1",
            "[::1]:9466",
            "localhost:9466",
            "LOCALHOST",
            "a.localhost:1",
            "node1",
        ] {
            assert!(is_local(host, &["Node1".to_owned()]), "{host}");
        }
    }

    #[test]
    fn names_of_the_world_are_not() {
        for host in [
            "evil.example:9466",
            "evil.example",
            "evil.example.",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "intranet",
            "intranet:9466",
            "",
        ] {
            assert!(!is_local(host, &["node1".to_owned()]), "{host}");
        }
    }

    #[test]
    fn who_does_not_come_through_loopback_may_call_us_what_they_like() {
        let headers = [(HOST, "agent.example".parse().unwrap())].into_iter().collect();
        let peer = |loopback| Peer { ip: std::net::Ipv4Addr::LOCALHOST.into(), loopback };

        assert!(is_ours(&headers, peer(false), &[]));
        assert!(!is_ours(&headers, peer(true), &[]));
    }
}
