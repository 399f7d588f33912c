//! Chooses a source by loading it: the first that the kernel and our capabilities allow.
//!
//! In: a pinned source or none. Out: a loaded source, and one message for every better one that was
//! refused. It must not compare kernel versions: loading is the only proof.
//!
//! I/O: loads BPF programs, opens sockets, reads `/proc`.

use super::{Error, Limits, Source, bpf, netlink, procfs};
use probelet_core::facts::SourceKind;
use probelet_crds::Source as Configured;

/// A loaded source and why it is not a better one.
pub struct Chosen {
    /// The source.
    pub source: Box<dyn Source>,
    /// Every better source, with the reason for which it was refused: one message each.
    pub refused: Vec<String>,
    /// The best of them was refused as not permitted (EPERM), and not for want of something in the kernel.
    pub denied: bool,
}

/// The source that a configured source pins; `None` is the best that can be loaded.
#[must_use]
pub const fn pinned(source: Configured) -> Option<SourceKind> {
    match source {
        Configured::Auto => None,
        Configured::Bpf => Some(SourceKind::Bpf),
        Configured::BpfCompat => Some(SourceKind::BpfCompat),
        Configured::Netlink => Some(SourceKind::Netlink),
        Configured::Procfs => Some(SourceKind::Procfs),
    }
}

/// Loads one source.
pub fn load(source_kind: SourceKind, limits: Limits) -> Result<Box<dyn Source>, Error> {
    Ok(match source_kind {
        SourceKind::Bpf | SourceKind::BpfCompat => Box::new(bpf::load(source_kind, limits)?),
        SourceKind::Netlink => Box::new(netlink::load(limits)?),
        SourceKind::Procfs => Box::new(procfs::load(limits)?),
    })
}

/// Loads the pinned source, or the best that can be loaded; the error is that of the last one tried.
pub fn choose(pin: Option<SourceKind>, limits: Limits) -> Result<Chosen, Error> {
    if let Some(source_kind) = pin {
        return Ok(Chosen {
            source: load(source_kind, limits)?,
            refused: Vec::new(),
            denied: false,
        });
    }
    let (mut refused, mut denied) = (Vec::new(), false);
    let (last, better) = SourceKind::ALL.split_last().unwrap_or((&SourceKind::Procfs, &[]));
    for &source_kind in better {
        match load(source_kind, limits) {
            Ok(source) => return Ok(Chosen { source, refused, denied }),
            Err(error) => {
                denied |= refused.is_empty() && error.is_denied();
                refused.push(message(&error));
            }
        }
    }
    Ok(Chosen { source: load(*last, limits)?, refused, denied })
}

/// The error with its cause: "bpf refused at load: CAP_BPF is missing (Operation not permitted)".
#[must_use]
pub fn message(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error} ({cause})"),
        None => error.to_string(),
    }
}
