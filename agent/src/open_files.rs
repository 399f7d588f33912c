//! How many files the agent itself may have open.
//!
//! In: nothing. Out: its limit as it was when this was first asked; nothing changes it afterwards. It is asked for before rights are given
//! back ([`crate::rights`]) and never again: the call that asks can as well change limits, of other processes of the same user too, and
//! a running agent may not make it.
//!
//! I/O: one system call in the life of the process.

use rustix::process::{Resource, getrlimit};
use std::sync::OnceLock;

static MOST: OnceLock<Option<u64>> = OnceLock::new();

/// So many at most; `None` is any number.
pub fn most() -> Option<u64> {
    *MOST.get_or_init(|| getrlimit(Resource::Nofile).current)
}

/// Files that the agent itself needs open whatever the node holds: sockets, maps, pipes, readers.
const OWN: u64 = 64;

/// How many files may be held open to save their being opened again, all who hold some together. Without any the agent
/// costs more; without one to accept a connection with, no one can ask it anything.
pub(crate) fn spare() -> u64 {
    most().unwrap_or(u64::MAX).saturating_sub(OWN)
}
