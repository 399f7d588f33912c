//! How much of a report a response covers.
//!
//! In: nothing. Out: plain data. It must not decide how much is to be covered. Pure: values only.

use probelet_core::table::Epoch;

/// What a response covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// Everything; `since` is what the client asked for without success.
    Full { since: Option<Epoch> },
    /// What changed after this epoch.
    Delta(Epoch),
}

impl Span {
    pub(super) const fn floor(self) -> Epoch {
        match self {
            Self::Full { .. } => 0,
            Self::Delta(since) => since,
        }
    }
}
