//! What the status needs to know besides the snapshot: how the feed of names is doing, and what the agent may not do.
//!
//! In: the feed's counters, the capabilities of the process. Out: a few plain facts. It must not judge them.
//!
//! I/O: none of its own.

use crate::capabilities::Capability;
use crate::kube::{FeedStatus, State};
use crate::rights;
use probelet_core::cluster::objects::Kind;
use std::time::{Duration, Instant};

/// How the feed of names is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Feed {
    /// For how long the API server was not heard of, by the worst of the watches; a quiet one hears once a minute.
    pub(super) silent: Duration,
    /// Kinds that the role does not allow to watch.
    pub(super) forbidden: Vec<&'static str>,
}

impl Feed {
    pub(super) fn of(status: &FeedStatus, now: Instant, started: Instant) -> Self {
        let mut feed = Self::default();
        for kind in Kind::ALL {
            let watch = status.of(kind);
            if watch.state == State::Off {
                continue;
            }
            let since = watch.contact.unwrap_or(started);
            feed.silent = feed.silent.max(now.saturating_duration_since(since));
            if watch.state == State::Forbidden {
                feed.forbidden.push(kind.name());
            }
        }
        feed
    }
}

/// The capabilities that this process lacked when it started: what it gave back is not missing.
pub(crate) fn lacking() -> Vec<Capability> {
    let start = rights::at_start();
    Capability::ALL.into_iter().filter(|&capability| !start.has(capability)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_watch_counts_and_those_that_are_off_do_not() {
        let (status, now) = (FeedStatus::default(), Instant::now());
        {
            let mut pods = status.at(Kind::Pod);
            pods.state = State::Watching;
            pods.contact = Some(now);
        }
        status.at(Kind::Service).state = State::Forbidden;

        let feed = Feed::of(&status, now + Duration::from_secs(90), now + Duration::from_secs(20));

        assert_eq!(feed.silent, Duration::from_secs(90));
        assert_eq!(feed.forbidden, [Kind::Service.name()]);
    }
}
