//! What can run full, and from when on that is a risk.
//!
//! In: how full something is. Out: whether that begins to be a risk, or still is one. It must not look anything up.
//!
//! Pure: no I/O.

/// Connections of one process in CLOSE_WAIT: a pool has a few for a moment, a leak has more each minute.
const CLOSE_WAITS: u64 = 100;

/// What can run full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Connections that wait to be accepted, against the listener's backlog: further ones are turned away.
    #[default]
    AcceptQueue,
    /// Connections that the other end closed and the process did not: it leaks them.
    CloseWait,
    /// Open files of a process against its own limit: `EMFILE` comes next.
    OpenFiles,
    /// Ephemeral ports in use for one destination, against the namespace's range: `EADDRNOTAVAIL` is next.
    EphemeralPorts,
    /// Connections that the node tracks against what it may: packets of new ones are dropped then.
    Conntrack,
}

impl Risk {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AcceptQueue,
        Self::CloseWait,
        Self::OpenFiles,
        Self::EphemeralPorts,
        Self::Conntrack,
    ];

    /// The name in report and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AcceptQueue => "accept-queue",
            Self::CloseWait => "close-wait",
            Self::OpenFiles => "open-files",
            Self::EphemeralPorts => "ephemeral-ports",
            Self::Conntrack => "conntrack",
        }
    }

    /// Whether it may be full for a moment where all is well: a burst of connections.
    pub(crate) const fn passes(self) -> bool {
        matches!(self, Self::AcceptQueue | Self::CloseWait)
    }

    /// Whether it begins to be a risk.
    pub(crate) const fn high(self, used: u64, limit: u64) -> bool {
        let nearly = used.saturating_mul(10) >= limit.saturating_mul(8);
        match self {
            // One or two that wait are many for a backlog of two, and nothing is wrong.
            Self::AcceptQueue => nearly && (used >= 4 || used > limit),
            Self::CloseWait => used >= CLOSE_WAITS,
            Self::OpenFiles | Self::EphemeralPorts | Self::Conntrack => limit > 0 && nearly,
        }
    }

    /// Whether what was a risk still is one; what is less than that need not be reported.
    pub(crate) const fn still(self, used: u64, limit: u64) -> bool {
        match self {
            Self::AcceptQueue => used > 0 && used.saturating_mul(2) >= limit,
            Self::CloseWait => used >= CLOSE_WAITS / 2,
            Self::OpenFiles | Self::EphemeralPorts | Self::Conntrack => {
                limit > 0 && used.saturating_mul(10) >= limit.saturating_mul(7)
            }
        }
    }
}
