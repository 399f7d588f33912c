//! sys
pub mod usage;
