//! Chooses a source by loading it: the first that the kernel and our capabilities allow.
//!
//! In: a pinned tier or none. Out: a loaded source, and one message for every better one that was
//! refused. It must not compare kernel versions: loading is the only proof.
//!
//! I/O: loads BPF programs, opens sockets, reads `/proc`.

use super::{Error, Limits, Source, bpf, netlink, procfs};
use probelet_core::facts::Tier;
use probelet_crds::Source as Configured;

/// A loaded source and why it is not a better one.
pub struct Chosen {
    /// The source.
    pub source: Box<dyn Source>,
    /// Every better tier, with the reason for which it was refused: one message each.
    pub refused: Vec<String>,
    /// The best of them was refused as not permitted (EPERM), and not for want of something in the kernel.
    pub denied: bool,
}

/// The tier that a configured source pins; `None` is the best that can be loaded.
#[must_use]
pub const fn pinned(source: Configured) -> Option<Tier> {
    match source {
        Configured::Auto => None,
        Configured::Bpf => Some(Tier::Bpf),
        Configured::BpfCompat => Some(Tier::BpfCompat),
        Configured::Netlink => Some(Tier::Netlink),
        Configured::Procfs => Some(Tier::Procfs),
    }
}

/// Loads one tier.
pub fn load(tier: Tier, limits: Limits) -> Result<Box<dyn Source>, Error> {
    Ok(match tier {
        Tier::Bpf | Tier::BpfCompat => Box::new(bpf::load(tier, limits)?),
        Tier::Netlink => Box::new(netlink::load(limits)?),
        Tier::Procfs => Box::new(procfs::load(limits)?),
    })
}

/// Loads the pinned tier, or the best that can be loaded; the error is that of the last one tried.
pub fn choose(pin: Option<Tier>, limits: Limits) -> Result<Chosen, Error> {
    if let Some(tier) = pin {
        return Ok(Chosen { source: load(tier, limits)?, refused: Vec::new(), denied: false });
    }
    let (mut refused, mut denied) = (Vec::new(), false);
    let (last, better) = Tier::ALL.split_last().unwrap_or((&Tier::Procfs, &[]));
    for &tier in better {
        match load(tier, limits) {
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
