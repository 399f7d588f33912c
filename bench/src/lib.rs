//! Real binaries on a real kernel: the standard load, the box it runs in, and what is measured there.
//!
//! ```text
//! sandbox (a box of namespaces) ─ load (processes, fds, connections) ─ agent (started, stopped)
//!         └─ bench (which measurements) ─ measure · watch · fresh · cover · churn ─ table (goal, figure, verdict)
//! ```
//! Only e2e imports this crate, and of it the reading of reports. I/O: everything it can, inside namespaces that it made.

pub mod agent;
pub mod bench;
pub mod churn;
pub mod cover;
pub mod cpu_clock;
pub mod fleet;
pub mod fresh;
pub mod goals;
pub mod load;
pub mod machine;
pub mod measure;
pub mod page;
pub mod report;
pub mod sandbox;
pub mod table;
pub mod watch;
