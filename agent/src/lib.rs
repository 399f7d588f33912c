//! The agent as a library: the binary is a thin door to it, and the end-to-end tests use it too.

pub mod args;
pub mod config;
pub mod discover;
#[cfg(feature = "docker")]
pub mod docker;
pub mod doctor;
pub mod engine;
pub mod figures;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzz;
pub mod kubernetes;
pub mod label;
pub mod once;
#[cfg(test)]
mod outputs;
pub mod publish;
pub mod run;
pub mod snapshot;
pub mod sys;
pub mod top;
