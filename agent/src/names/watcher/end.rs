//! Why a session of a watch ended.
//!
//! In: nothing. Out: plain data. It must not decide what comes next. Pure: values only.

use crate::kube::connection::Error;

/// Why a session ended.
pub(super) enum End {
    /// No one receives events any more.
    Closed,
    /// The server ended the watch in good order.
    Ended,
    /// The server knows no streaming lists.
    NoStreaming,
    Failed(Error),
}
