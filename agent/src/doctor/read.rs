//! What is looked at.
//!
//! In: a few small files, an answer of the kernel, Docker's socket. Out: what was read. It must not judge it.
//!
//! I/O: [`read`] only.

use super::kernel::Version;
use super::status::{self, Status};
use super::{Places, sock_diag};
use crate::capabilities::Capability;
use crate::discover::mounts::{self, Mounts};
use crate::sys::{landlock, seccomp};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

/// Whether Docker can be asked for names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Docker {
    /// It accepts connections.
    Reachable,
    /// There is no socket.
    #[default]
    Absent,
    /// There is one, and it may not be opened.
    Forbidden,
    /// There is one, and no one answers.
    Silent,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub(super) release: String,
    pub(super) btf: bool,
    pub(super) unprivileged_bpf: Option<String>,
    pub(super) lockdown: Option<String>,
    pub(super) status: Status,
    pub(super) mounts: Mounts,
    pub(super) pid_ns: Option<String>,
    pub(super) child_ehash: Option<String>,
    pub(super) sock_diag: Option<String>,
    pub(super) docker: Docker,
    /// Version of landlock; `None` where there is none.
    pub(super) landlock: Option<u32>,
    /// Why no filter of system calls can be had.
    pub(super) filter: Option<String>,
}

impl Read {
    /// The kernel's version; an unreadable one can carry nothing special.
    pub(super) fn version(&self) -> Version {
        Version::parse(&self.release).unwrap_or(Version(0, 0))
    }

    /// Whether reading kernel memory is locked down.
    pub(super) fn confidential(&self) -> bool {
        self.lockdown.as_deref() == Some("confidentiality")
    }

    /// Whether the process has a capability, or one that stands for it.
    pub(super) const fn may(&self, capability: Capability) -> bool {
        let implied = matches!(capability, Capability::Bpf | Capability::Perfmon);
        self.status.has(capability) || (implied && self.status.has(Capability::SysAdmin))
    }
}

/// Reads everything; what cannot be read is unknown.
pub(super) fn read(places: &Places) -> Read {
    let text = |path: &str| fs::read_to_string(places.proc.join(path)).unwrap_or_default();
    let value = |path: &str| Some(text(path).trim().to_owned()).filter(|v| !v.is_empty());
    let lockdown =
        fs::read_to_string(places.sys.join("kernel/security/lockdown")).unwrap_or_default();
    let pid_ns = fs::read_link(places.proc.join("self/ns/pid")).ok();
    Read {
        release: value("sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        btf: places.sys.join("kernel/btf/vmlinux").exists(),
        unprivileged_bpf: value("sys/kernel/unprivileged_bpf_disabled"),
        lockdown: chosen_word(&lockdown),
        status: status::parse(&text("self/status")),
        mounts: mounts::parse(&text("self/mountinfo")),
        pid_ns: pid_ns.map(|link| link.to_string_lossy().into_owned()),
        child_ehash: value("sys/net/ipv4/tcp_child_ehash_entries"),
        sock_diag: sock_diag::ask().err().map(|errno| std::io::Error::from(errno).to_string()),
        docker: match UnixStream::connect(&places.docker).map_err(|e| e.kind()) {
            Ok(_) => Docker::Reachable,
            Err(ErrorKind::NotFound) => Docker::Absent,
            Err(ErrorKind::PermissionDenied) => Docker::Forbidden,
            Err(_) => Docker::Silent,
        },
        landlock: landlock::version().ok(),
        filter: seccomp::probe().err().map(|error| error.to_string()),
    }
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen_word(text: &str) -> Option<String> {
    text.split_whitespace()
        .find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
}
