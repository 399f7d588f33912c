//! Pure computation of probelet: what one pass saw (`facts`) is joined with its owners (`join`),
//! laid beside what was known before (`report`), and paid for out of a budget (`budget`).
//!
//! ```text
//! facts ─▶ join ─▶ report ─▶ snapshot        budget: how much of all that, and when
//! ```
//!
//! Pure: no I/O, no clock, no locks, no async. Time is an argument, and the manifest gives this
//! crate nothing to do I/O with.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod base64;
pub mod budget;
pub mod cluster;
pub mod coverage;
pub mod display;
pub mod facts;
pub mod feed;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod gate;
pub mod hash;
pub mod join;
pub mod names;
pub mod proxy;
pub mod records;
pub mod report;
pub mod schedule;
pub mod short_lived;
pub mod table;
pub mod text;

/// The label index, and the selectors that it is made of: a crate of its own.
pub use probelet_index::{self as index, selector};
