//! Why the API server refuses: its `metav1.Status`.
//!
//! In: JSON, from an answer or a watch. Out: what kind of failure it is and when to ask again. Pure: no I/O.

use serde::Deserialize;
use std::time::Duration;

/// `metav1.Status`: why the server refuses.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Failure {
    /// The HTTP status.
    pub code: u16,
    /// A word for programs.
    pub reason: String,
    /// A message for people.
    pub message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    retry_after_seconds: Option<u32>,
    causes: Option<Vec<Cause>>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

impl Failure {
    /// The version that we named is unknown to the server: too old, or from a future that a restored backup lost.
    pub(crate) fn wants_new_list(&self) -> bool {
        self.code == 410
            || matches!(self.reason.as_str(), "Expired" | "Gone")
            || self.is_from_the_future()
    }

    /// The version that we named does not exist yet.
    pub(crate) fn is_from_the_future(&self) -> bool {
        let mut causes = self.details.iter().flat_map(|details| details.causes.iter().flatten());
        causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
    }

    /// When the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.details.as_ref()?.retry_after_seconds?;
        Some(Duration::from_secs(seconds.into()))
    }
}
