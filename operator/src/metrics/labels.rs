//! Labels whose values are a fixed set, so that their series can be there from the start.
//!
//! In: what was watched or written. Out: the value of the label. It must not count.
//!
//! Pure: no I/O.

use crate::stages::apply::RESULTS;
use crate::world::Kind;

/// The result of a write that did not fail.
pub(super) const OK: &str = "ok";
/// The pods of the cluster, which the feed follows.
pub(super) const PODS: &str = "pods";
pub(super) const WATCHED: [Kind; 4] = Kind::ALL;

pub(super) const fn watched(kind: Kind) -> &'static str {
    match kind {
        Kind::Nodes => "nodes",
        Kind::Probes => "nodeprobes",
        Kind::Configs => "probeconfigs",
        Kind::Agents => "daemonsets",
    }
}

/// What the operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The spec of a `NodeProbe`.
    Probe,
    /// A `NodeProbe` goes.
    Delete,
    /// The status of a `NodeProbe` says that its agent is silent.
    Silent,
    /// The status of a `ProbeConfig`.
    Status,
    /// The `default` configuration of the seed.
    Default,
    /// An Event; that it failed is not counted.
    Event,
}

impl Write {
    pub(super) const ALL: [Self; 6] =
        [Self::Probe, Self::Delete, Self::Silent, Self::Status, Self::Default, Self::Event];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Probe => "nodeprobe",
            Self::Delete => "nodeprobe_delete",
            Self::Silent => "nodeprobe_silent",
            Self::Status => "status",
            Self::Default => "default",
            Self::Event => "event",
        }
    }

    pub(super) fn results(self) -> impl Iterator<Item = &'static str> {
        let failures: &[_] = if self == Self::Event { &[] } else { &RESULTS };
        std::iter::once(OK).chain(failures.iter().copied())
    }
}
