//! Where this node's pods come from: the operator's feed, or the API server while that is away and the role allows it.
//!
//! In: how the watch of pods is doing. Out: an [`Origin`]. It must not go to the API server for a hiccup: thousands of agents would
//! list there at once, so it waits for a minute, and what the operator's restart takes is less. It goes back as soon as the feed
//! answers.
//!
//! I/O: one small request a minute, while the feed is away.

use crate::kube::{Connection, FeedStatus, KindStatus, Origin, State, Timing, random, share};
use probelet_core::cluster::objects::Kind;
use probelet_core::feed::PODS;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// How often is looked, as a part of the time that the feed may be away.
const LOOKS: u32 = 6;

/// The operator's feed.
#[derive(Clone)]
pub struct Operator {
    /// The way to it.
    pub connection: Arc<Connection>,
    /// Whether the API server is asked while the feed is away.
    pub fallback: bool,
}

/// Changes the origin as the feed goes and comes. Never ends.
pub(super) async fn follow(
    operator: Operator,
    status: Arc<FeedStatus>,
    timing: Timing,
    origin: watch::Sender<Origin>,
) -> Infallible {
    let mut since = Instant::now();
    loop {
        sleep(timing.fallback / LOOKS).await;
        let now = *origin.borrow();
        match now {
            Origin::Feed if is_away(&status.of(Kind::Pod), since, timing.fallback) => {
                warn!("the operator's feed is away: pods are watched at the API server meanwhile");
                origin.send_replace(Origin::Api);
            }
            Origin::Feed => {}
            Origin::Api => {
                // Agents that lost the same operator come back one by one.
                sleep(share(timing.fallback, random())).await;
                let asked = operator.connection.get(PODS, timing.silence);
                if let Ok(Ok(_)) = timeout(timing.silence, asked).await {
                    info!("the operator's feed is back");
                    since = Instant::now();
                    origin.send_replace(Origin::Feed);
                }
            }
        }
    }
}

/// A quiet watch hears twice a minute; one that the budget keeps from reading is not the feed's fault.
fn is_away(status: &KindStatus, since: Instant, patience: Duration) -> bool {
    let heard = status.contact.map_or(since, |contact| contact.max(since));
    let silent = heard.elapsed();
    silent > patience * 3 || (silent > patience && status.state != State::Watching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_is_away_after_a_minute_of_failures_or_three_of_silence() {
        let minute = Duration::from_mins(1);
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let status = |state, heard: u64| KindStatus {
            state,
            contact: Some(ago(heard)),
            ..KindStatus::default()
        };
        let start = ago(300);

        assert!(!is_away(&status(State::BackingOff, 50), start, minute));
        assert!(is_away(&status(State::BackingOff, 70), start, minute));
        assert!(!is_away(&status(State::Watching, 170), start, minute));
        assert!(is_away(&status(State::Watching, 190), start, minute));
        assert!(!is_away(&KindStatus::default(), ago(50), minute), "it has just begun");
        assert!(is_away(&KindStatus::default(), ago(70), minute));
    }
}
