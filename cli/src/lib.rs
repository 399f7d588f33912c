//! `kubectl probelet`: what a person asks of probelet without leaving the terminal.
//!
//! ```text
//! args ──▶ run ──▶ ask ──▶ seen ──▶ answer ──▶ show
//! (clap)           (API server)     (pure)     (tables, JSON, YAML, pictures)
//! ```
//! In: a command line. Out: text, and an exit code. Everything goes through the API server: there is no other port, and
//! nothing is installed. It must not import the agent or the operator; what they agree on is in `crds`.
#![forbid(unsafe_code)]

pub mod answer;
pub mod args;
pub mod ask;
mod bundle;
mod complete;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
mod name;
mod quantity;
mod run;
pub mod seen;
pub mod show;
pub mod target;

pub use run::run;
