//! The way to the API server, for everything that asks it something: one connection, one object that is followed, reviews.
//!
//! In: a service account or a kubeconfig. Out: answers, cut into objects, and how each watch is doing. It must not know what
//! the answers are good for: names are of [`crate::names`], the node's own object of [`crate::node_probe`].
//!
//! I/O: the network, on the caller's runtime.

mod calm;
pub(crate) mod connection;
mod destination;
pub(crate) mod failure;
pub mod operator;
mod origin;
pub(crate) mod review;
pub(crate) mod selection;
pub(crate) mod single;
pub(crate) mod split;
pub(crate) mod status;
pub(crate) mod timing;

pub use connection::{Access, Connection};
pub(crate) use connection::{Error, whole};
pub use origin::Origin;
pub use review::{Audience, NoVerdict, Reviewer, Right, Verdict};
use rustix::time::{ClockId, clock_gettime};
pub use single::SingleStatus;
pub use status::{Class, FeedStatus, KindStatus, Malformed, State};
use std::sync::Arc;
use std::time::Duration;
pub use timing::Timing;
pub(crate) use timing::{random, share};

/// Asks for CPU time that was spent; `Some` is how long to wait before asking again.
pub type Pace = Arc<dyn Fn(Duration) -> Option<Duration> + Send + Sync>;

/// CPU time of this thread: with one thread for all waiting, what lies between two looks is what a piece of work took.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}
