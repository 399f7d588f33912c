//! What the programs share that is not pure: the log, how a process ends, how flags are read, the way to the API server, who may
//! stay connected to a small listener.
//!
//! In: checked flags, a kubeconfig, the environment's proxy variables. Out: a log on stderr, an exit code, connections. It
//! must not know what a program does with them: whatever only one program needs belongs there, and whatever needs no I/O
//! belongs into `core`.
//!
//! I/O: stderr, the network, files of a kubeconfig.

pub mod access;
pub mod credentials;
pub mod error;
pub mod exit;
pub mod flags;
mod kubeconfig;
pub mod listen;
pub mod logging;
pub mod places;
pub mod reach;
pub mod route;
pub mod tls;

pub use error::chain;
pub use exit::{Exit, Refused};
