//! The operator before thousands of nodes: Node objects without machines, agents without a kernel to read.
//!
//! ```text
//! nodes (Node objects) ─ feed (watches) ─ agent (acknowledges, refreshes) ─ story (what each saw and wrote)
//!                        operator (the process under test) ─ meter (CPU, memory, requests served)
//! stage (all of it) ─ scenes (fill, edit, idle, steady, canary, restart, selector, end) ─ figures (goals, page)
//! ```
//! The API server and etcd are real. Towards them a simulated agent behaves as a real one does: it watches its own
//! object and no other, acknowledges by server-side apply and refreshes on its own time. I/O: the API server, the
//! operator's process, /proc.

pub mod agent;
pub mod connection;
pub mod dice;
pub mod feed;
pub mod figures;
pub mod meter;
pub mod nodes;
pub mod operator;
pub mod requests;
pub mod scenes;
pub mod stage;
pub mod status;
pub mod story;
