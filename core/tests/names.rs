//! Names on connections: each rule by which a pod, a Service or a node is named, or is not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "names/edges.rs"]
mod edges;
#[path = "names/flows.rs"]
mod flows;
#[path = "names/lifetimes.rs"]
mod lifetimes;
#[path = "names/node.rs"]
mod node;
#[path = "names/owners.rs"]
mod owners;
#[path = "names/peers.rs"]
mod peers;
#[path = "names/services.rs"]
mod services;
#[path = "names/short.rs"]
mod short;
#[path = "names/short_again.rs"]
mod short_again;
#[path = "names/strangers.rs"]
mod strangers;
