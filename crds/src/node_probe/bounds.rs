//! The bounds of `NodeProbe.status`, for the schema and for what the agent writes.
//!
//! In: nothing. Out: how long each text and each list may be. All of them at once would be more than a status may have:
//! a rule over the whole holds that. Texts are ASCII without what JSON writes in several bytes, so that letters are
//! bytes. Pure: data.

use crate::condition;

/// The most bytes of a status as compact JSON.
pub const MAX_STATUS: usize = 2048;
/// By how much the schema's own count may be too high: by one for each of the nine lists that has something, and for each of
/// the three blocks of lists (`schema/length.rs`).
pub(crate) const SLACK: usize = 12;

/// Letters that a text may have.
pub(crate) const TEXT: &str = r"^[ !#-%'-;=?-\[\]-~]*$";
/// The same for the keys of a map, whose length the API server's estimate of costs does not know.
pub(crate) const KEY: &str = "^[a-zA-Z0-9 ./:_-]+$";
/// An amount of CPU.
pub(crate) const CPU: usize = 11;

pub(crate) const HASH: usize = 16;
pub(crate) const VERSION: usize = 24;
pub(crate) const LEVEL_REASON: usize = 160;
pub(crate) const MEMORY: usize = 8;
pub(crate) const COVERAGE: usize = 6;
pub(crate) const UNRESOLVED: usize = 5;
pub(crate) const UNRESOLVED_REASON: usize = 24;
pub(crate) const TOP: usize = 5;
pub(crate) const NAME: usize = 100;
/// The kernel's own bound.
pub(crate) const COMM: usize = 15;
pub(crate) const DIGEST: usize = 32;
pub(crate) const MISSING: usize = 8;
pub(crate) const CAPABILITY: usize = 20;
pub(crate) const LOST: usize = 5;
pub(crate) const LOST_TEXT: usize = 80;
/// Capabilities of the start, threads that keep any, protections.
pub(crate) const START: usize = 10;
pub(crate) const KEPT: usize = 3;
pub(crate) const KEPT_TEXT: usize = 80;
pub(crate) const UNPROTECTED: usize = 6;
pub(crate) const REASON: usize = 24;
pub(crate) const MESSAGE: usize = 256;

/// The greatest numbers: a generation, a count, an epoch, a report's length, an age.
pub(crate) const GENERATION: i64 = 9_999_999_999;
pub(crate) const COUNT: i64 = 99_999_999;
pub(crate) const EPOCH: i64 = 999_999_999_999;
pub(crate) const BYTES: i64 = 9_999_999_999;
pub(crate) const SECONDS: i64 = 9_999_999;
pub(crate) const PORT: i32 = 65_535;

/// How the kernel is read; `none` while no way works or none was chosen yet.
pub(crate) const SOURCES: [&str; 5] = ["bpf", "bpf-compat", "netlink", "procfs", "none"];
/// What was given up for the budget.
pub(crate) const LEVELS: [&str; 4] = ["Full", "Stretched", "CountersOnly", "Paused"];
pub(crate) const PROTOCOLS: [&str; 2] = ["tcp", "udp"];
pub(crate) const STATUSES: [&str; 3] = ["True", "False", "Unknown"];
pub(crate) const TYPES: [&str; 6] = condition::OF_NODE_PROBE;
