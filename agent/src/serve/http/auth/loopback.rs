//! Whether a peer came through loopback, and whether that means anything.
//!
//! In a pod of its own the agent is reached by loopback only from inside the pod: by `kubectl port-forward`, for which
//! the API server asked whether the person may create `pods/portforward`, and by who may execute commands there. On the
//! network of a host every process comes that way, so there loopback means nothing.
//!
//! In: a socket; `/proc`. Out: yes or no. What cannot be determined is no.
//!
//! I/O: `/proc/1` and `/proc/thread-self`, once.

use crate::discover::netlink::enter::is_the_nodes;
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

/// Whether the calling thread has a network namespace other than that of process 1, which with `hostPID` is the host's.
#[must_use]
pub(crate) fn network_is_a_pods_own() -> bool {
    apart(Path::new("/proc"))
}

fn apart(proc: &Path) -> bool {
    is_the_nodes(proc) == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
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

    /// A `/proc` whose processes have the same network, or each its own.
    fn proc(same: bool) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let [first, ours] = ["1", "thread-self"].map(|process| root.path().join(process));
        for process in [&first, &ours] {
            fs::create_dir_all(process.join("net")).unwrap();
        }
        fs::write(first.join("net/dev"), "").unwrap();
        if same {
            fs::hard_link(first.join("net/dev"), ours.join("net/dev")).unwrap();
        } else {
            fs::write(ours.join("net/dev"), "").unwrap();
        }
        root
    }

    #[test]
    fn a_namespace_that_is_the_hosts_is_no_pods_own() {
        assert!(!apart(proc(true).path()));
        assert!(apart(proc(false).path()));
    }

    #[test]
    fn what_cannot_be_determined_is_no() {
        assert!(!apart(tempfile::tempdir().unwrap().path()));
        for hidden in ["1", "thread-self"] {
            let root = proc(false);
            fs::remove_dir_all(root.path().join(hidden)).unwrap();
            assert!(!apart(root.path()), "{hidden}");
        }
    }
}
