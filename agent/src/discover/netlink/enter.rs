//! A netlink socket inside another network namespace: `sock_diag`, or another protocol.
//!
//! In: an open `/proc/PID/ns/net`, or a `/proc` for the node's. Out: a socket that talks to that namespace, with the calling
//! thread back in its own. It must not keep the namespace: the caller closes what it got within the
//! pass. Only the calling thread moves, so other threads never notice.
//!
//! I/O: `setns`, opens `/proc/thread-self/ns/net`, reads one file of `/proc/sys/net`.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use probelet_core::facts::PortRange;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// The kernel answers at once; this only bounds the harm if it ever does not.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The namespace may not be entered, or has gone.
    #[error("cannot enter the network namespace")]
    Entering(#[source] io::Error),
    /// The socket was refused.
    #[error("cannot open a netlink socket")]
    Opening(#[source] io::Error),
    /// The thread could not go back to where it came from; it must not be used any more.
    #[error("cannot return to the own network namespace")]
    Stranded(#[source] io::Error),
}

/// The network namespace of the node: of the first process that `proc` shows. Its link takes `CAP_SYS_PTRACE`; where the calling
/// thread is in that namespace already, its own link does as well, and takes nothing.
pub fn node(proc: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open(proc.join("1/ns/net"), flags, Mode::empty()) {
        Err(_) if is_the_nodes(proc) == Some(true) => own(),
        opened => Ok(opened?),
    }
}

/// Whether the calling thread is in the node's namespace, that of the first process that `proc` shows; `None` where that cannot be
/// determined. A file of `/proc` has a number of its own in each network namespace, which anyone may look at.
#[must_use]
pub(crate) fn is_the_nodes(proc: &Path) -> Option<bool> {
    let number = |process: &str| {
        std::fs::metadata(proc.join(process).join("net/dev")).map(|there| there.ino()).ok()
    };
    Some(number("1")? == number("thread-self")?)
}

/// Opens a `sock_diag` socket in `namespace`, and reads its range of ephemeral ports.
pub(crate) fn diag_in(namespace: BorrowedFd<'_>) -> Result<(OwnedFd, Option<PortRange>), Error> {
    let open = || Ok((open(Some(rustix::net::netlink::SOCK_DIAG))?, port_range()));
    inside(namespace, open)
}

/// Opens a netlink socket in `namespace`.
pub(crate) fn open_in(namespace: BorrowedFd<'_>, protocol: Protocol) -> Result<OwnedFd, Error> {
    inside(namespace, || open(Some(protocol)))
}

/// Opens a routing socket, the protocol of number 0, in `namespace`.
pub(crate) fn route_in(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    inside(namespace, || open(None))
}

/// The range of ephemeral ports of the namespace that the thread is in.
#[must_use]
pub(crate) fn port_range() -> Option<PortRange> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(PORT_RANGE, flags, Mode::empty()).ok()?;
    let mut buffer = [0; 32];
    let length = rustix::io::read(&file, buffer.as_mut_slice()).ok()?;
    let text = std::str::from_utf8(&buffer[..length]).ok()?;
    let mut ports = text.split_whitespace().filter_map(|n| n.parse().ok());
    PortRange::new(ports.next()?, ports.next()?)
}

fn inside<T>(namespace: BorrowedFd<'_>, work: impl FnOnce() -> io::Result<T>) -> Result<T, Error> {
    let own = own().map_err(Error::Entering)?;
    if inode(own.as_fd()).ok() == inode(namespace).ok() {
        return work().map_err(Error::Opening);
    }
    let network = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(namespace, network).map_err(|e| Error::Entering(e.into()))?;
    let result = work();
    move_into_link_name_space(own.as_fd(), network).map_err(|e| Error::Stranded(e.into()))?;
    result.map_err(Error::Opening)
}

/// Enters the namespace that the thread is in already: whether it would be allowed to.
pub fn probe() -> io::Result<()> {
    let own = own()?;
    Ok(move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Moves the calling thread to `namespace`, where it stays. Nothing if it is there already.
pub fn stay(namespace: BorrowedFd<'_>) -> io::Result<()> {
    if inode(own()?.as_fd())? == inode(namespace)? {
        return Ok(());
    }
    Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?)
}

/// Opens a netlink socket of netfilter in the namespace of the calling thread.
pub fn netfilter() -> io::Result<OwnedFd> {
    open(Some(rustix::net::netlink::NETFILTER))
}

/// Opens a `sock_diag` socket in the namespace of the calling thread.
pub(crate) fn diag() -> io::Result<OwnedFd> {
    open(Some(rustix::net::netlink::SOCK_DIAG))
}

fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        protocol,
    )?;
    rustix::net::sockopt::set_socket_timeout(
        &socket,
        rustix::net::sockopt::Timeout::Recv,
        Some(PATIENCE),
    )?;
    Ok(socket)
}

/// The inode number of an open namespace.
pub fn inode(namespace: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(rustix::fs::fstat(namespace)?.st_ino)
}

fn own() -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?)
}
