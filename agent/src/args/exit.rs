//! How the process ends.
//!
//! In: what came of it. Out: the number that a shell sees. It must not change a number that `--help` has listed.
//!
//! Pure: no I/O.

use std::process::ExitCode;

/// How the process ends; `--help` lists these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// Something failed while running.
    Failure = 1,
    /// The flags or the configuration are wrong.
    Usage = 2,
    /// No source could be loaded.
    NoSource = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
