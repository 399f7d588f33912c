//! Whether a peer came through loopback, and whether that means anything.
//!
//! In a pod of its own the agent is reached by loopback only from inside the pod: by `kubectl port-forward`, for which
//! the API server asked whether the person may create `pods/portforward`, and by who may execute commands there. On the
//! network of a host every process comes that way, so there loopback means nothing.
//!
//! In: a socket; `/proc`. Out: yes or no. What cannot be determined is no.
//!
//! I/O: `/proc/1` and `/proc/self`, once.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use tokio::net::TcpStream;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Their address.
    pub(crate) ip: IpAddr,
    /// It is loopback, and so is ours.
    pub(crate) loopback: bool,
}

impl Peer {
    pub(crate) fn of(socket: &TcpStream) -> Self {
        match (socket.peer_addr(), socket.local_addr()) {
            (Ok(peer), Ok(own)) => Self::between(peer, own),
            _ => Self { ip: Ipv4Addr::UNSPECIFIED.into(), loopback: false },
        }
    }

    /// Who came through a file: the rights of that are the question, and tokens where they are asked for.
    pub(crate) const fn at_file() -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), loopback: false }
    }

    fn between(peer: SocketAddr, own: SocketAddr) -> Self {
        let ip = peer.ip().to_canonical();
        Self { ip, loopback: is_the_loopback(ip) && is_the_loopback(own.ip().to_canonical()) }
    }
}

/// 127.0.0.1 and ::1. Not the rest of 127/8: sidecars of a service mesh hand on from there (Istio from 127.0.0.6) what
/// came from outside.
fn is_the_loopback(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// Whether this process has a network namespace other than that of process 1, which with `hostPID` is the host's.
#[must_use]
pub fn network_is_a_pods_own() -> bool {
    apart(Path::new("/proc"))
}

fn apart(proc: &Path) -> bool {
    let link = |process: &str| fs::read_link(proc.join(process).join("ns/net")).ok();
    if let (Some(first), Some(ours)) = (link("1"), link("self")) {
        return first != ours;
    }
    // The link of process 1 takes CAP_SYS_PTRACE, its table of routes nothing. That may change at any time, so it is
    // read before and after ours.
    let routes = |process: &str| {
        let text = fs::read(proc.join(process).join("net/fib_trie")).ok();
        text.filter(|text| !text.is_empty())
    };
    (0..3).any(|_| match (routes("1"), routes("self"), routes("1")) {
        (Some(before), Some(ours), Some(after)) => before == after && before != ours,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn peer(peer: &str, own: &str) -> Peer {
        Peer::between(peer.parse().unwrap(), own.parse().unwrap())
    }

    #[test]
    fn both_loopbacks_count_however_they_are_spelt() {
        assert!(peer("127.0.0.1:5", "127.0.0.1:9466").loopback);
        assert!(peer("[::1]:5", "[::1]:9466").loopback);
        assert!(peer("[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:9466").loopback);
    }

    #[test]
    fn a_sidecar_that_hands_on_what_came_from_outside_is_not_loopback() {
        assert!(!peer("127.0.0.6:5", "127.0.0.1:9466").loopback);
        assert!(!peer("127.0.0.1:5", "10.0.0.7:9466").loopback);
    }

    fn proc(links: Option<(&str, &str)>, routes: Option<(&str, &str)>) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (n, process) in ["1", "self"].into_iter().enumerate() {
            fs::create_dir_all(root.path().join(process).join("ns")).unwrap();
            fs::create_dir_all(root.path().join(process).join("net")).unwrap();
            let of = |pair: (&str, &str)| [pair.0, pair.1][n].to_owned();
            if let Some(target) = links.map(of) {
                symlink(target, root.path().join(process).join("ns/net")).unwrap();
            }
            if let Some(text) = routes.map(of) {
                fs::write(root.path().join(process).join("net/fib_trie"), text).unwrap();
            }
        }
        root
    }

    #[test]
    fn a_namespace_that_is_the_hosts_is_no_pods_own() {
        let host = proc(Some(("net:[4026531840]", "net:[4026531840]")), None);
        let pod = proc(Some(("net:[4026531840]", "net:[4026532712]")), None);

        assert!(!apart(host.path()));
        assert!(apart(pod.path()));
    }

    #[test]
    fn without_the_right_to_see_the_namespaces_the_routes_tell() {
        let host = proc(None, Some(("Main: a", "Main: a")));
        let pod = proc(None, Some(("Main: a", "Main: b")));

        assert!(!apart(host.path()));
        assert!(apart(pod.path()));
    }

    #[test]
    fn what_cannot_be_determined_is_no() {
        assert!(!apart(proc(None, None).path()));
        assert!(!apart(proc(None, Some(("", "Main: b"))).path()));
    }
}
