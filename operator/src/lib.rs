//! The operator: one per cluster, turns ProbeConfigs into one effective configuration per node, and says which nodes applied it.
//!
//! observe -> validate -> plan -> apply -> status. One task owns the [`world::World`] and hands values to the right; what
//! is between the watch and the write is pure and tested without a runtime.
//!
//! Beside it, on a thread of its own, the [`feed`] hands each agent the pods of its own node.
//!
//! In: nodes, `ProbeConfig` and `NodeProbe` objects. Out: `NodeProbe` specs, `ProbeConfig` statuses, events, metrics. It must
//! not write a `NodeProbe`'s status or a `ProbeConfig`'s spec: these belong to agents and to people.
//!
//! I/O: the API server, listening sockets, one file.

pub mod admin;
pub mod args;
pub mod certify;
pub mod clock;
mod connect;
pub mod content;
pub mod elect;
pub mod events;
pub mod feed;
pub mod judged;
pub mod labels;
pub mod lease;
pub mod metrics;
#[cfg(test)]
mod outputs;
pub mod pace;
pub mod placement;
pub mod queue;
pub mod reconcile;
mod refusal;
pub mod rollout;
pub mod run;
pub mod seed;
pub mod seen;
pub mod selftest;
pub mod stages;
pub mod watch;
pub mod world;
