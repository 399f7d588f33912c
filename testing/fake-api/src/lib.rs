//! API servers for the tests of programs that talk to one.
//!
//! In: what a test wants to be asked and to answer. Out: clients, or an address on loopback. It must not be a dependency of
//! anything but tests.
//!
//! I/O: [`socket`] and [`Fake::listen`] listen on loopback; the others are in memory.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "helpers of tests: a failure is a failed test"
)]
#![allow(clippy::must_use_candidate, reason = "what a test takes out it need not look at")]

mod cluster;
mod listen;
mod scripted;
pub mod socket;

pub use cluster::{Fake, Fault, GOOD};
pub use scripted::scripted;
