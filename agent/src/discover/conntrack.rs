//! Asks the kernel's connection tracking where connections went on to, or came from.
//!
//! In: connections, as either of their ends sees them, and the node's `/proc`. Out: the entry of each,
//! or the word that the kernel knows none. One request a connection, 6 to 9 µs; never a dump, which costs 3 µs for
//! every connection of the node and 15 ms before the first.
//!
//! The entries of all pods stand where kube-proxy's rules are, in the namespace of the node's first
//! process. The agent may be in another, so a socket is opened there for each batch and closed after
//! it: nothing of a namespace is held over a pass. The thread that does nothing else ([`asker`]) goes there once and stays.
//!
//! I/O: opens `/proc/1/ns/net`, enters it, talks netlink. Needs `CAP_NET_ADMIN`, and, where the agent has a network of its own,
//! `CAP_SYS_ADMIN` with `CAP_SYS_PTRACE` to enter.

pub mod asker;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod message;

use super::netlink::enter;
use message::{Reply, answer, question};
use probelet_core::facts::{Endpoint, Protocol};
use probelet_core::report::Entry;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::path::{Path, PathBuf};

/// An entry with all its attributes is about 400 bytes long.
const BUFFER: usize = 4096;
/// Answers to questions that were given up, passed over before this is called a failure.
const STRAY: usize = 8;

/// Why nothing can be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node's namespace cannot be entered.
    #[error("cannot open a netlink socket in the node's network namespace")]
    Entering(#[source] enter::Error),
    /// The node's first process is hidden, or there is no `/proc`.
    #[error("cannot open {path}")]
    Namespace {
        /// Of which file.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel does not answer.
    #[error("cannot ask connection tracking")]
    Asking(#[source] io::Error),
    /// The thread that asks has ended.
    #[error("the thread that asks connection tracking has ended")]
    Gone,
}

impl Error {
    /// One message on what is missing, for people.
    #[must_use]
    pub fn message(&self) -> String {
        let cause = match self {
            Self::Entering(error) => format!("{self}: {error}"),
            Self::Namespace { source, .. } | Self::Asking(source) => format!("{self}: {source}"),
            Self::Gone => return self.to_string(),
        };
        let hint = match self {
            Self::Asking(e) if e.raw_os_error() == Some(libc::EPERM) => "CAP_NET_ADMIN is missing",
            Self::Asking(_) | Self::Gone => "the kernel may lack nf_conntrack_netlink",
            Self::Entering(_) | Self::Namespace { .. } => {
                "CAP_SYS_ADMIN and CAP_SYS_PTRACE are needed to enter it"
            }
        };
        format!("{cause}; {hint}")
    }
}

/// Connection tracking of the node.
#[derive(Debug)]
pub struct Conntrack {
    proc: PathBuf,
    sequence: u32,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// The thread is in a namespace that is not ours, and must enter no other.
    stranded: bool,
    /// The thread is in the node's namespace, and stays.
    settled: bool,
    /// It cannot get there any more, for this reason (errno).
    beyond: Option<i32>,
}

/// A socket for one batch of questions.
pub struct Batch<'a> {
    conntrack: &'a mut Conntrack,
    socket: OwnedFd,
}

impl Conntrack {
    /// The node whose first process this `/proc` shows.
    #[must_use]
    pub fn new(proc: &Path) -> Self {
        let (request, buffer) = (Vec::with_capacity(128), vec![0; BUFFER]);
        let proc = proc.to_owned();
        Self { proc, sequence: 0, request, buffer, stranded: false, settled: false, beyond: None }
    }

    /// Goes to the node's namespace for good, so that no later batch needs a right to enter it. What is refused shows in the next
    /// batch.
    pub fn settle(&mut self) {
        match enter::node(&self.proc).and_then(|node| enter::stay(node.as_fd())) {
            Err(error) => self.beyond = Some(error.raw_os_error().unwrap_or(libc::EPERM)),
            Ok(()) => self.settled = true,
        }
    }

    /// Begins a batch.
    pub fn open(&mut self) -> Result<Batch<'_>, Error> {
        let proc = &self.proc;
        let named = |source| Error::Namespace { path: proc.join("1/ns/net"), source };
        if self.stranded {
            return Err(named(io::ErrorKind::Other.into()));
        }
        if let Some(errno) = self.beyond {
            return Err(named(io::Error::from_raw_os_error(errno)));
        }
        if self.settled {
            let socket = enter::netfilter().map_err(Error::Asking)?;
            return Ok(Batch { conntrack: self, socket });
        }
        let namespace = enter::node(&self.proc).map_err(named)?;
        let opened = enter::open_in(namespace.as_fd(), rustix::net::netlink::NETFILTER);
        self.stranded = matches!(opened, Err(enter::Error::Stranded(_)));
        let socket = opened.map_err(Error::Entering)?;
        Ok(Batch { conntrack: self, socket })
    }
}

impl Batch<'_> {
    /// How both ends see a connection; `None` when the kernel knows no such connection.
    pub fn entry(
        &mut self,
        protocol: Protocol,
        source: Endpoint,
        destination: Endpoint,
    ) -> Result<Option<Entry>, Error> {
        let Conntrack { sequence, request, buffer, .. } = &mut *self.conntrack;
        *sequence = sequence.wrapping_add(1);
        question(request, *sequence, protocol, source, destination);
        let io = |error: rustix::io::Errno| Error::Asking(error.into());
        rustix::net::send(&self.socket, request, SendFlags::empty()).map_err(io)?;
        for _ in 0..STRAY {
            let into = buffer.as_mut_slice();
            let (received, _) =
                rustix::net::recv(&self.socket, into, RecvFlags::empty()).map_err(io)?;
            match answer(&buffer[..received], *sequence) {
                Reply::Entry(entry) => return Ok(Some(entry)),
                Reply::Refused(libc::ENOENT) => return Ok(None),
                Reply::Refused(errno) => {
                    return Err(Error::Asking(io::Error::from_raw_os_error(errno)));
                }
                Reply::Malformed => {
                    return Err(Error::Asking(io::ErrorKind::InvalidData.into()));
                }
                Reply::Other => {}
            }
        }
        Err(Error::Asking(io::ErrorKind::InvalidData.into()))
    }
}
