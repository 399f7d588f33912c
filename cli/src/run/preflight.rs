//! Runs `preflight`.
//!
//! I/O: the API server, read only.

use std::process::ExitCode;

use super::{Run, checked, print};
use crate::answer::preflight::Preflight;
use crate::ask::Error;

/// Where the manual installs it.
const NAMESPACE: &str = "probelet";

impl Run {
    /// The exit code says whether anything is in the way, or could not be looked at.
    pub(super) async fn preflight(&self, values: bool) -> Result<ExitCode, Error> {
        let namespace = checked(self.common.probelet_namespace.as_deref().unwrap_or(NAMESPACE))?;
        let answer = Preflight::of(&self.ask.cluster(namespace).await?);
        if values {
            self.ask.progress.clear();
            print(&answer.values());
        } else {
            self.show(&answer)?;
        }
        Ok(ExitCode::from(u8::from(!answer.is_clear())))
    }
}
