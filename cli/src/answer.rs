//! Answers: what was seen, turned into what was asked for.
//!
//! In: values of [`crate::seen`]. Out: one type per subcommand, which shows itself as a page and as JSON. Pure: values
//! only, the time is an argument.

pub mod bench;
pub mod checkup;
pub mod configs;
pub mod conns;
pub mod diff;
pub mod doctor;
pub mod dry_run;
pub mod edges;
pub mod effective;
pub mod explain;
mod finding;
mod losses;
pub mod map;
pub mod naming;
pub mod netpol;
pub mod preflight;
pub mod procs;
pub mod rollout;
pub mod runbook;
pub mod status;
pub mod top;

pub use configs::Change;
