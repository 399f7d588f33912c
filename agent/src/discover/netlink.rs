//! The source for kernels without BPF: `sock_diag` dumps of the network namespaces that changed.
//!
//! In: `/proc` for processes and counters, and one netlink socket per namespace and dump. Out:
//! [`Facts`](probelet_core::facts::Facts) with bytes and the cgroup of each socket. It must not hold a namespace, or a socket in
//! one, over a pass: that would keep the namespace of a deleted pod alive.
//!
//! I/O: reads `/proc`, enters network namespaces with the calling thread, talks netlink.

use std::io;
use std::path::Path;

use probelet_core::facts::{Loss, SourceKind};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags};
use rustix::thread::CapabilitySet;

use self::message::{Message, Messages, Request};
use super::procfs::node::{Dump, Dumped, Intake, Node, Target};
use super::procfs::root::{Root, is_gone};
use super::procfs::tables::Row;
use super::{Error, Limits, Pace};

pub mod enter;
pub mod message;

/// Answers come in pieces of at most 32 KiB; a smaller buffer would cut them.
const BUFFER: usize = 64 * 1024;

/// The `netlink` source.
pub type Netlink = Node<Diag>;

/// Proves on this process's own namespace that namespaces can be entered and dumped.
pub fn load(limits: Limits) -> Result<Netlink, Error> {
    Netlink::with_root(Path::new("/proc"), limits)
}

impl Netlink {
    /// Finds processes in another tree than `/proc`.
    pub(crate) fn with_root(path: &Path, limits: Limits) -> Result<Self, Error> {
        let root = Root::open(path)?;
        let mut diag = Diag { buffer: vec![0; BUFFER], stranded: false };
        let refused = |step: &str, hint: &str, source| Error::Refused {
            source_kind: SourceKind::Netlink.name(),
            step: step.to_owned(),
            hint: hint.to_owned(),
            source,
        };
        enter::probe()
            .map_err(|e| refused("enter a network namespace", "needs CAP_SYS_ADMIN", e))?;
        if !may_ptrace().map_err(|e| refused("read the own capabilities", "", e))? {
            let hint = "needs CAP_SYS_PTRACE to open another process's namespace";
            let denied = io::ErrorKind::PermissionDenied.into();
            return Err(refused("open namespaces of other processes", hint, denied));
        }
        let hint = "a seccomp profile may forbid NETLINK_SOCK_DIAG";
        let socket = enter::diag().map_err(|e| refused("open a sock_diag socket", hint, e))?;
        for (request, name, module) in [
            (Request::Tcp { info: true }, "dump TCP sockets", "tcp_diag"),
            (Request::Udp4, "dump UDP sockets", "udp_diag"),
            (Request::Udp6, "dump UDP sockets", "udp_diag"),
        ] {
            let answer = diag.ask(&socket, request, &mut super::Unpaced, |_| {});
            answer.map_err(|error| {
                let hint = format!("needs the kernel modules inet_diag and {module}");
                refused(name, &hint, error)
            })?;
        }
        Ok(Self::new(root, limits, diag))
    }
}

/// Dumps namespaces through netlink.
#[derive(Debug)]
pub struct Diag {
    buffer: Vec<u8>,
    /// The thread is in a namespace that is not ours: nothing it reads is right any more.
    stranded: bool,
}

impl Diag {
    /// Sends one request and hands on every message but the last; `false` when the pace said stop.
    fn ask(
        &mut self,
        socket: &OwnedFd,
        request: Request,
        pace: &mut dyn Pace,
        mut each: impl FnMut(Option<Row>),
    ) -> io::Result<bool> {
        rustix::net::send(socket, &request.bytes(), SendFlags::empty())?;
        loop {
            let buffer = self.buffer.as_mut_slice();
            let (received, length) = rustix::net::recv(socket, buffer, RecvFlags::TRUNC)?;
            if length > received {
                return Err(io::ErrorKind::InvalidData.into());
            }
            for message in Messages::new(&self.buffer[..received], request.protocol()) {
                match message {
                    Message::Row(row) => each(Some(row)),
                    Message::Malformed => each(None),
                    Message::Refused(errno) => return Err(io::Error::from_raw_os_error(errno)),
                    Message::Done => return Ok(true),
                }
            }
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !pace.breathe() {
                return Ok(false);
            }
        }
    }

    fn open(
        &mut self,
        root: &Root,
        target: Target,
        intake: &mut Intake<'_>,
    ) -> Result<Result<OwnedFd, Dumped>, Error> {
        let gone = |error: &io::Error| {
            let denied = error.kind() == io::ErrorKind::PermissionDenied;
            if denied { Dumped::Denied } else { Dumped::Vanished }
        };
        let namespace = match root.file(target.pid, "ns/net", OFlags::RDONLY) {
            Ok(namespace) => namespace,
            Err(error) => return Ok(Err(gone(&error))),
        };
        // The process may have entered another namespace since it was listed.
        match enter::inode(namespace.as_fd()).map(u32::try_from) {
            Ok(Ok(now)) if now != target.netns => return Ok(Err(Dumped::Moved(now))),
            Ok(Ok(_)) => {}
            _ => return Ok(Err(Dumped::Vanished)),
        }
        match enter::diag_in(namespace.as_fd()) {
            Ok((socket, ports)) => {
                intake.ports = ports;
                Ok(Ok(socket))
            }
            Err(enter::Error::Stranded(source)) => {
                self.stranded = true;
                Err(stranded(source))
            }
            Err(enter::Error::Entering(error) | enter::Error::Opening(error)) => {
                Ok(Err(gone(&error)))
            }
        }
    }
}

impl Dump for Diag {
    const KIND: SourceKind = SourceKind::Netlink;

    fn dump(
        &mut self,
        root: &Root,
        target: Target,
        intake: &mut Intake<'_>,
        pace: &mut dyn Pace,
    ) -> Result<Dumped, Error> {
        if self.stranded {
            return Err(stranded(io::ErrorKind::Other.into()));
        }
        let socket = match self.open(root, target, intake)? {
            Ok(socket) => socket,
            Err(dumped) => return Ok(dumped),
        };
        let requests = [Request::Tcp { info: target.detail }, Request::Udp4, Request::Udp6];
        let wanted = if target.udp { requests.len() } else { 1 };
        for request in requests.into_iter().take(wanted) {
            let answer = self.ask(&socket, request, pace, |row| match row {
                Some(row) => intake.row(row),
                None => intake.losses.add(Loss::Malformed, 1),
            });
            match answer {
                Ok(true) => {}
                Ok(false) => return Ok(Dumped::Abandoned),
                Err(error) => {
                    if !is_gone(&error) {
                        intake.losses.add(Loss::Malformed, 1);
                    }
                    return Ok(Dumped::Vanished);
                }
            }
        }
        Ok(Dumped::Complete)
    }
}

fn may_ptrace() -> io::Result<bool> {
    let own = rustix::thread::capabilities(None)?;
    Ok(own.effective.contains(CapabilitySet::SYS_PTRACE))
}

fn stranded(source: io::Error) -> Error {
    Error::Read { operation: "return to", path: "the own network namespace".to_owned(), source }
}
