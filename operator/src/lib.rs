//! The operator: one per cluster, turns ProbeConfigs into one effective configuration per node, and says who obeys.
//!
//! observe -> validate -> plan -> apply -> status. One task owns the [`world::World`] and hands values to the right; what
//! is between the watch and the write is pure and tested without a runtime.
//!
//! In: nodes, `ProbeConfig` and `NodeProbe` objects. Out: `NodeProbe` specs, `ProbeConfig` statuses, events, metrics. It must
//! not write a `NodeProbe`'s status or a `ProbeConfig`'s spec: these belong to agents and to people.
//!
//! I/O: the API server, one listening socket, one file.

pub mod apply;
pub mod clock;
pub mod elect;
pub mod lease;
pub mod observe;
pub mod pace;
pub mod plan;
pub mod queue;
pub mod rollout;
pub mod status;
pub mod validate;
pub mod world;
