//! Discover: reads the kernel and leaves what it saw in [`Facts`].
//!
//! In: the running kernel, through one [`Source`]. Out: `&mut Facts`. It must not join, name or
//! publish anything, keep a network namespace open over a pass, or follow a link of `/proc/PID/fd`.
//!
//! I/O: yes; every call may block for a bounded time, so it runs on its own thread.

use probelet_core::facts::{Facts, SourceKind, Want};

pub mod bpf;
pub mod ceilings;
pub mod choose;
pub mod conntrack;
pub mod containers;
pub mod ends;
pub(crate) mod mounts;
pub mod netlink;
pub mod netns_counters;
pub(crate) mod node_addresses;
pub mod owners;
pub mod procfs;
pub mod seen;
pub mod shares;

#[cfg(test)]
mod live;

/// How much a source may remember and report; from `spec.limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets of the node, `TIME_WAIT` ones not counted.
    pub max_sockets: u32,
    /// Processes of the node, kernel threads not counted.
    pub max_processes: u32,
}

/// A kind of work that `spec.limits` bounds by its own token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limiter {
    /// Files of `/proc` that are opened and read.
    ProcfsReads,
    /// Entries of `/proc/PID/fd` that are looked at.
    Fds,
    /// Network namespaces that are entered or dumped.
    Netns,
}

/// How a pass shares the CPU with its budget. The engine implements it; [`Unpaced`] is for one-shot
/// use and tests.
pub trait Pace {
    /// Called between slices of at most 1 ms of work: waits until the budget allows the next one.
    /// `false` means: give up this pass (shutdown, pause or a new configuration).
    fn breathe(&mut self) -> bool;

    /// Asks for `n` units of limited work; returns how many are granted now, without waiting.
    fn take(&mut self, limiter: Limiter, n: u32) -> u32;
}

/// No budget, no limits.
#[derive(Debug, Default)]
pub struct Unpaced;

impl Pace for Unpaced {
    fn breathe(&mut self) -> bool {
        true
    }

    fn take(&mut self, _: Limiter, n: u32) -> u32 {
        n
    }
}

/// How a pass ended that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// All that was wanted is in the facts.
    Complete,
    /// [`Pace::breathe`] said stop: the facts are partial and must not be joined.
    Abandoned,
}

/// One way to read the kernel.
pub trait Source {
    /// Which source it is.
    fn kind(&self) -> SourceKind;

    /// Other limits from the next pass on. What is over them is left out and counted, as it would have been before.
    /// Nothing is loaded for it: a source that keeps no tables of such sizes has nothing to do.
    fn set_limits(&mut self, _: Limits) {}

    /// Reads what is wanted into `facts`: clears and refills the sections that [`Want`] names,
    /// adds to `facts.losses`, sets `facts.fresh`. Vanished processes are losses, not errors.
    ///
    /// `facts.closed` holds only what closed since the last pass with [`Want::Sockets`] or more.
    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error>;
}

impl Error {
    /// Whether the kernel's answer was that this is not permitted. Not so for EACCES, with which it refuses programs that
    /// it cannot follow.
    #[must_use]
    pub(crate) fn is_denied(&self) -> bool {
        let (Self::Refused { source, .. } | Self::Read { source, .. }) = self;
        source.raw_os_error() == Some(libc::EPERM)
    }
}

/// Why a pass, or the loading of a source, failed. The source stays usable unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source refused to load.
    #[error("{source_kind} refused at {step}: {hint}")]
    Refused {
        /// The source.
        source_kind: &'static str,
        /// The step that failed, as a user can understand it.
        step: String,
        /// One message: the missing capability or kernel feature, as far as can be determined.
        hint: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
    /// A read that the pass cannot do without failed.
    #[error("cannot {operation} {path}")]
    Read {
        /// What was tried: "read", "list", "enter".
        operation: &'static str,
        /// On what.
        path: String,
        /// The kernel's answer.
        #[source]
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_permitted_is_known_by_its_number_in_whatever_words() {
        let refused = |errno| Error::Refused {
            source_kind: "bpf",
            step: "load (Operation not permitted)".to_owned(),
            hint: "Operation not permitted".to_owned(),
            source: std::io::Error::from_raw_os_error(errno),
        };

        assert!(refused(libc::EPERM).is_denied());
        assert!(!refused(libc::EACCES).is_denied());
        assert!(!refused(libc::EINVAL).is_denied());
    }
}
