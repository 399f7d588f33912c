//! The agent as a library: the binary is a thin door to it, and the end-to-end tests use it too.

pub mod discover;
pub mod doctor;
pub mod figures;
pub mod label;
pub mod once;
pub mod snapshot;
pub mod top;
