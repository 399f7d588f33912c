//! The agent as a library: the binary is a thin entry to it, and the end-to-end tests use it too.

pub mod args;
pub mod capabilities;
mod clock;
pub mod config;
pub mod discover;
pub mod doctor;
pub mod engine;
pub mod figures;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod kube;
pub mod names;
pub mod node_probe;
pub mod once;
#[cfg(test)]
mod one_name;
pub mod open_files;
#[cfg(test)]
mod outputs;
pub mod rights;
pub mod run;
pub mod serve;
pub mod snapshot;
pub mod sys;
pub mod top;
