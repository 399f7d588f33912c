//! One HTTP server: who gets in, who may read, what is asked for, and what all that may cost.
//!
//! In: sockets. Out: answers on them. It must not know what a report or a metric is: `serve::report` and `serve::metrics` do.
//!
//! I/O: sockets, certificates, the API server for reviews.

pub mod auth;
pub(super) mod connection;
pub mod cost;
mod fair;
mod health;
mod host;
pub(super) mod places;
pub mod probes;
pub(super) mod profile;
pub(super) mod readers_share;
pub(super) mod route;
mod stamp;
pub mod tls;
pub(super) mod watch;
mod web;
