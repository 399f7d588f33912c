//! How a process ends.
//!
//! In: what came of it, or what clap says of the command line. Out: the number that a shell sees. It must not change a
//! number that a `--help` has listed.
//!
//! I/O: prints the text that was asked for, or why the command line is refused.

use std::fmt;
use std::process::ExitCode;

use clap::error::ErrorKind;

/// How the process ends; `--help` lists what a program uses of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// Something failed while running.
    Failure = 1,
    /// The flags or the configuration are wrong.
    Usage = 2,
    /// An agent could load no source.
    NoSource = 3,
    /// An agent has to be started again: what is asked for takes rights that it has given back.
    Restart = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What was typed is refused, or asked for a text (`--help`, `--version`) instead of work.
#[derive(Debug)]
pub struct Refused(clap::Error);

impl Refused {
    /// Refuses a value or a combination of flags that clap cannot judge.
    #[must_use]
    pub fn new(kind: ErrorKind, why: impl fmt::Display) -> Self {
        Self(clap::Error::raw(kind, why))
    }

    /// How to exit once the text is shown.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.0.use_stderr() { Exit::Usage } else { Exit::Success }
    }

    /// Shows the text, on stdout if it was asked for and on stderr if not, and says how to exit.
    #[must_use]
    pub fn show(&self) -> Exit {
        // No one is left to tell that the terminal is gone.
        if self.0.print().is_err() { Exit::Failure } else { self.exit() }
    }
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
