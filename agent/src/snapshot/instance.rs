//! Which run of the agent a snapshot is of.
//!
//! In: a snapshot. Out: an [`Instance`], as tags of the report and the status spell it. It must not compare epochs.
//!
//! Pure: no I/O.

use super::Snapshot;

/// A run of the agent, by the Unix milliseconds of its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instance(u64);

impl Instance {
    pub(crate) const fn new(started_ms: u64) -> Self {
        Self(started_ms)
    }

    /// The same run as seen by who may see a part of it: another report, on which no delta of the whole is built.
    pub(crate) const fn narrowed(self) -> Self {
        Self(self.0 | 1 << 63)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Which run of the agent a snapshot is of.
pub(crate) fn instance(snapshot: &Snapshot) -> Instance {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; milliseconds fit"
    )]
    let started_ms = (snapshot.vitals.started_unix * 1000.0) as u64;
    // Where the clock was set, all start times moved: what a client has is another report. No other run
    // begins within milliseconds of this one.
    Instance::new(started_ms + u64::from(snapshot.clock_steps))
}
