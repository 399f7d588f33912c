//! One simulated agent: what a real one writes to the API server, and when.
//!
//! In: its inbox, and the orders of who directs the play. Out: server-side applies to the status of its object. It
//! must not do what a real agent would not: it never creates, lists or reads. I/O: the API server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::Method;
use jiff::Timestamp;
use probelet_crds::AGENT;
use tokio::{
    sync::watch,
    time::{self, sleep_until},
};

use crate::fleet::{
    connection::{APPLY, Api, Reply},
    dice::Dice,
    feed::{NODE_PROBES, Wanted},
    status::{self, Saying},
    story::{Entry, Story, What},
};

/// The time an agent takes to work by a new configuration: the pass under way ends first.
const DELAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// The first write of all agents of a large cluster is spread over so long; below [`LARGE`] nodes over its share.
const SPREAD: Duration = Duration::from_mins(1);
const LARGE: f64 = 1000.0;
/// The wait after a write that failed, unless the server names one.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// What agents are assigned by who directs the play, beside their configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// No one refreshes.
    pub quiet: bool,
    /// The times of the next refreshes are dealt again when this changes, as if the fleet had run for hours.
    pub deal: u32,
    /// The configuration that some refuse, and how many of a hundred.
    pub refused: Option<(u64, u64)>,
}

/// A simulated agent.
pub struct Agent {
    /// Its number.
    pub node: usize,
    /// Its node.
    pub name: String,
    /// Its connection.
    pub api: Api,
    /// What it is assigned.
    pub inbox: watch::Receiver<Option<Wanted>>,
    /// And by whom it is directed.
    pub orders: watch::Receiver<Orders>,
    /// Where it reports what it did.
    pub story: Arc<Story>,
    /// When that began.
    pub began: Instant,
    /// Its luck.
    pub dice: Dice,
}

/// What an agent knows.
#[derive(Debug, Default)]
struct Mind {
    wanted: Option<Wanted>,
    /// The generation last judged.
    judged: i64,
    /// The hash that it works by.
    applied: u64,
    /// The next write.
    due: Option<time::Instant>,
    epoch: i64,
    since: Timestamp,
    deal: u32,
}

impl Agent {
    /// Lives until it is dropped.
    pub async fn live(mut self) {
        let mut mind = Mind::default();
        loop {
            let due = mind.due.unwrap_or_else(far);
            tokio::select! {
                changed = self.inbox.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = self.inbox.borrow_and_update().clone();
                    self.hear(&mut mind, wanted);
                }
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.apply(&mut mind);
                }
                () = sleep_until(due) => self.write(&mut mind).await,
            }
        }
    }

    fn hear(&mut self, mind: &mut Mind, wanted: Option<Wanted>) {
        let Some(wanted) = wanted else {
            *mind = Mind { epoch: mind.epoch, deal: mind.deal, ..Mind::default() };
            return;
        };
        if wanted.generation != mind.judged {
            // An edit is answered at once, even one that comes before the first write.
            let wait = if mind.wanted.is_none() {
                first(wanted.cluster_size, &mut self.dice)
            } else {
                Duration::ZERO
            };
            mind.due = Some(time::Instant::now() + wait + self.dice.between(DELAY.0, DELAY.1));
        }
        mind.wanted = Some(wanted);
    }

    fn apply(&mut self, mind: &mut Mind) {
        let orders = *self.orders.borrow_and_update();
        if let Some(wanted) = mind.wanted.as_ref()
            && orders.deal != mind.deal
            && wanted.generation == mind.judged
        {
            mind.due = Some(time::Instant::now() + self.dice.rest_of_refresh(wanted.refresh));
        }
        mind.deal = orders.deal;
    }

    async fn write(&mut self, mind: &mut Mind) {
        let Some(wanted) = mind.wanted.clone() else {
            mind.due = None;
            return;
        };
        let orders = *self.orders.borrow();
        if orders.quiet && wanted.generation == mind.judged {
            mind.due = Some(time::Instant::now() + self.dice.refresh(wanted.refresh));
            return;
        }
        let refuses = orders.refused.is_some_and(|(hash, percent)| {
            hash == wanted.hash && Dice::new(self.node as u64 + 1).roll() % 100 < percent
        });
        let applied = if refuses { mind.applied } else { wanted.hash };
        if wanted.generation != mind.judged {
            mind.since = Timestamp::now();
        }
        mind.epoch += 1;
        let body = self.body(mind, &wanted, applied, !refuses);
        let url = format!("{NODE_PROBES}/{}/status?fieldManager={AGENT}&force=true", self.name);
        let began = Instant::now();
        let answer = self.api.ask(Method::PATCH, &url, APPLY, body).await;
        let took = began.elapsed().as_secs_f64();
        match answer {
            Ok(answer) if answer.code == 200 => {
                (mind.judged, mind.applied) = (wanted.generation, applied);
                mind.due = Some(time::Instant::now() + self.dice.refresh(wanted.refresh));
                self.tell(What::Wrote(wanted.generation, applied, !refuses, took));
            }
            failed => self.retry(mind, failed),
        }
    }

    fn body(&mut self, mind: &Mind, wanted: &Wanted, applied: u64, in_force: bool) -> Vec<u8> {
        let applied = if applied == 0 { String::new() } else { format!("{applied:016x}") };
        let saying = Saying {
            node: &self.name,
            generation: wanted.generation,
            applied: &applied,
            applies: in_force,
            epoch: mind.epoch,
            since: mind.since,
        };
        status::body(&saying, &mut self.dice)
    }

    fn retry(&mut self, mind: &mut Mind, failed: anyhow::Result<Reply>) {
        let (code, asked) = failed.as_ref().map_or((0, None), |it| (it.code, it.retry_after));
        self.tell(What::Refused(code));
        self.story.complain(|| match failed {
            Ok(answer) => {
                format!("{}: {code} {}", self.name, String::from_utf8_lossy(&answer.body))
            }
            Err(why) => format!("{}: {why:#}", self.name),
        });
        let wait = match asked {
            Some(asked) => asked + self.dice.between(Duration::ZERO, asked / 4),
            None => self.dice.between(RETRY.0, RETRY.1),
        };
        // No object: anyone who makes it will be heard.
        mind.due = (code != 404).then(|| time::Instant::now() + wait);
    }

    fn tell(&self, what: What) {
        let at = self.began.elapsed().as_secs_f64();
        self.story.tell(Entry { at, node: self.node, what });
    }
}

/// The wait before the first write of an agent's life.
#[expect(clippy::cast_precision_loss, reason = "a number of nodes")]
fn first(cluster_size: i64, dice: &mut Dice) -> Duration {
    SPREAD.mul_f64((cluster_size.max(0) as f64 / LARGE).min(1.0) * dice.fraction())
}

fn far() -> time::Instant {
    time::Instant::now() + Duration::from_hours(24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_write_of_a_small_cluster_comes_soon_and_of_a_large_one_within_a_minute() {
        let mut dice = Dice::new(3);

        assert!((0..100).all(|_| first(16, &mut dice) < Duration::from_secs(1)));
        let latest = (0..1000).map(|_| first(8192, &mut dice)).max().unwrap();
        assert!(latest > Duration::from_secs(50) && latest <= SPREAD, "{latest:?}");
    }
}
