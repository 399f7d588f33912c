//! probelet as its users use it: what is installed, edited, broken and removed on a real cluster, and what then must hold.
//!
//! No one imports this crate. I/O: everything that the programs on the command line can.

pub mod cluster;
pub mod names;
