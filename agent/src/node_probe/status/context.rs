//! What the status needs to know besides the snapshot: how the feed of names is doing, and what the agent may not do.
//!
//! In: the feed's counters, the capabilities of the process. Out: a few plain facts. It must not judge them.
//!
//! I/O: none of its own.

use crate::capabilities::Capability;
use crate::kube::{FeedStatus, State};
use crate::names::Origin;
use crate::rights;
use probelet_core::cluster::objects::Kind;
use std::time::{Duration, Instant};

/// How the feed of names is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Feed {
    /// For how long names may have aged, by the worst of the watches: see [`Feed::of`].
    pub(super) silent: Duration,
    /// Which server that watch is of.
    pub(super) from: Origin,
    /// Kinds that the role does not allow to watch.
    pub(super) forbidden: Vec<&'static str>,
}

impl Feed {
    /// A watch that is open has nothing to say while nothing changes, and not every server sends bookmarks: then it is as good
    /// as its server was heard of last, by any of them. One that is not open ages by itself. What may not be watched is
    /// forbidden, and not silent.
    pub(super) fn of(status: &FeedStatus, now: Instant, started: Instant) -> Self {
        let mut feed = Self::default();
        for kind in Kind::ALL {
            let (state, contact, from) = {
                let watch = status.of(kind);
                (watch.state, watch.contact, watch.origin)
            };
            let since = match state {
                State::Off => continue,
                State::Forbidden => {
                    feed.forbidden.push(kind.name());
                    continue;
                }
                State::Watching => heard(status, from),
                State::Connecting | State::Listing | State::BackingOff => contact,
            };
            let silent = now.saturating_duration_since(since.unwrap_or(started));
            if silent > feed.silent {
                (feed.silent, feed.from) = (silent, from);
            }
        }
        feed
    }
}

/// When a server was heard of last, by any watch of it.
fn heard(status: &FeedStatus, from: Origin) -> Option<Instant> {
    let watches = Kind::ALL.into_iter().map(|kind| status.of(kind));
    watches.filter(|watch| watch.origin == from).filter_map(|watch| watch.contact).max()
}

/// The capabilities that this process lacked when it started: what it gave back is not missing.
pub(crate) fn lacking() -> Vec<Capability> {
    let start = rights::at_start();
    Capability::ALL.into_iter().filter(|&capability| !start.has(capability)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn set(status: &FeedStatus, kind: Kind, state: State, contact: Option<Instant>) {
        let mut watch = status.at(kind);
        (watch.state, watch.contact) = (state, contact);
    }

    #[test]
    fn a_watch_that_has_nothing_to_say_is_as_good_as_the_server_was_heard_of_last() {
        let (status, began) = (FeedStatus::default(), Instant::now());
        set(&status, Kind::Pod, State::Watching, Some(began + 60 * MINUTE));
        set(&status, Kind::Service, State::Watching, Some(began + 51 * MINUTE));

        let silent = |minute| Feed::of(&status, began + minute * MINUTE, began).silent;

        assert_eq!([60, 61].map(silent), [Duration::ZERO, MINUTE]);
        assert_eq!(silent(70), 10 * MINUTE, "a server of which none of them hears is silent");
    }

    #[test]
    fn a_watch_that_is_not_open_ages_whatever_the_others_hear() {
        let (status, began) = (FeedStatus::default(), Instant::now());
        let now = began + 60 * MINUTE;
        set(&status, Kind::Pod, State::Watching, Some(now));
        set(&status, Kind::Service, State::BackingOff, now.checked_sub(7 * MINUTE));
        assert_eq!(Feed::of(&status, now, began).silent, 7 * MINUTE);

        set(&status, Kind::Service, State::Connecting, None);
        assert_eq!(Feed::of(&status, now, began).silent, 60 * MINUTE, "it never heard");
    }

    #[test]
    fn the_operator_s_feed_is_silent_whatever_the_api_server_says() {
        let (status, began) = (FeedStatus::default(), Instant::now());
        let now = began + 60 * MINUTE;
        set(&status, Kind::Service, State::Watching, Some(now));
        set(&status, Kind::Pod, State::Watching, now.checked_sub(6 * MINUTE));
        status.at(Kind::Pod).origin = Origin::Feed;

        let feed = Feed::of(&status, now, began);

        assert_eq!((feed.silent, feed.from), (6 * MINUTE, Origin::Feed));
    }

    #[test]
    fn what_is_off_or_forbidden_is_not_silent() {
        let (status, began) = (FeedStatus::default(), Instant::now());
        let now = began + 60 * MINUTE;
        set(&status, Kind::Pod, State::Watching, Some(now));
        set(&status, Kind::Service, State::Forbidden, None);

        let feed = Feed::of(&status, now, began);

        let forbidden = vec![Kind::Service.name()];
        assert_eq!(feed, Feed { forbidden, ..Feed::default() });
        assert_eq!(Feed::of(&FeedStatus::default(), now, began), Feed::default());
    }
}
