//! The Kubernetes feed against an API server that does what a test says, over real sockets.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may fail a test by panicking")]

#[path = "kubernetes/cost.rs"]
mod cost;
#[path = "kubernetes/failures.rs"]
mod failures;
#[path = "kubernetes/feed.rs"]
mod feed;
#[path = "kubernetes/flow.rs"]
mod flow;
#[path = "kubernetes/lists.rs"]
mod lists;
#[path = "kubernetes/node_probe.rs"]
mod node_probe;
#[path = "kubernetes/node_probe_writes.rs"]
mod node_probe_writes;
#[path = "kubernetes/operator.rs"]
mod operator;
#[path = "kubernetes/server.rs"]
mod server;
#[path = "kubernetes/store.rs"]
mod store;
#[path = "kubernetes/tls.rs"]
mod tls;
#[path = "kubernetes/watches.rs"]
mod watches;

/// As in the agent; the cost tests read its counters.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
