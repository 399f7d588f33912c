//! What others call things: pods and Services by the API server, containers by Docker. How they are shown is
//! [`probelet_core::display`]'s.
//!
//! In: the API server, through [`crate::kube`], and Docker's socket. Out: events for the engine, and names of containers.
//! It must not act at the same moment as other nodes, nor ask for more than the configuration needs.
//!
//! I/O: the network, on the caller's runtime.

#[cfg(feature = "docker")]
pub mod docker;
mod feed;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod interest;
mod nodes;
pub(crate) mod origin;
pub(crate) mod start;
pub(crate) mod wanted;
mod watcher;
pub(crate) mod wire;

pub use crate::kube::Origin;
pub use feed::{Feed, channel, follow};
pub use origin::Operator;
