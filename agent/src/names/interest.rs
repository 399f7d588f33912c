//! Asks the operator for the pods at addresses that nothing else explains: peers on other nodes without a Service.
//!
//! In: snapshots, for their addresses without a name. Out: [`Event::Far`] and [`Event::FarNodes`]. A node learns of those only with whom it talks. It
//! must not ask for an address again and again that the operator does not know, or without need: a node whose peers all have
//! names asks nothing.
//!
//! I/O: a small request now and then.

use super::origin::Operator;
use super::wire;
use crate::config::Effective;
use crate::kube::{Pace, Timing, cpu, random, share, whole};
use crate::snapshot::Snapshot;
use hyper::Method;
use probelet_core::cluster::objects::Event;
use probelet_core::feed::{ADDRESSES, MOST_ADDRESSES};
use probelet_core::hash::HashMap;
use probelet_core::records::Unresolved;
use probelet_crds::Peers;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::debug;

/// Addresses that are remembered as asked for.
const REMEMBERED: usize = 4096;
/// An address that was asked for is asked for again after so long at first, and at last.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(5));
/// An answer: 500 items of 400 bytes are less.
const MAX_ANSWER: usize = 512 << 10;

/// What is needed to ask.
pub(super) struct Interest {
    pub(super) operator: Operator,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) config: watch::Receiver<Arc<Effective>>,
    pub(super) pace: Pace,
    pub(super) timing: Timing,
}

/// When each address may be asked for again, and where the last question ended.
#[derive(Default)]
struct Asked {
    known: HashMap<IpAddr, Question>,
    last: Option<IpAddr>,
}

/// One address.
#[derive(Clone, Copy)]
struct Question {
    asked: Instant,
    next: Instant,
    wait: Duration,
}

impl Asked {
    /// Those of `addresses`, which are in order, that are due, each once, as many as fit in a question. It begins where the
    /// last one ended: an owner that talks to thousands of addresses that no one knows keeps no other's from their turn.
    fn due(&mut self, addresses: &[IpAddr], now: Instant) -> Vec<IpAddr> {
        let begin = self.last.map_or(0, |last| addresses.partition_point(|at| *at <= last));
        let (first, then) = addresses.split_at(begin);
        let mut due = Vec::new();
        for &address in then.iter().chain(first) {
            if due.len() >= MOST_ADDRESSES {
                break;
            }
            if self.known.len() >= REMEMBERED && !self.known.contains_key(&address) {
                self.forget_some();
            }
            let fresh = Question { asked: now, next: now, wait: AGAIN.0 };
            let question = self.known.entry(address).or_insert(fresh);
            if question.next <= now {
                due.push(address);
                let wait = question.wait;
                let next = (wait * 2).min(AGAIN.1);
                *question = Question { asked: now, next: now + wait, wait: next };
            }
        }
        self.last = due.last().copied().or(self.last);
        due
    }

    /// Makes room: an eighth of the places, of those who were asked for longest ago.
    fn forget_some(&mut self) {
        let mut asked: Vec<Instant> = self.known.values().map(|one| one.asked).collect();
        let (_, &mut eighth, _) = asked.select_nth_unstable(REMEMBERED / 8);
        let mut room = REMEMBERED / 8;
        self.known.retain(|_, one| {
            let goes = room > 0 && one.asked <= eighth;
            room -= usize::from(goes);
            !goes
        });
    }

    /// It was found: the next time that it has no name it is a new question.
    fn found(&mut self, address: IpAddr) {
        self.known.remove(&address);
    }
}

/// Asks until no one receives events any more.
pub(super) async fn follow(interest: Interest, events: mpsc::Sender<Vec<Event>>) {
    let Interest { operator, snapshots, config, pace, timing } = interest;
    let mut asked = Asked::default();
    loop {
        let wait = timing.interest / 2 + share(timing.interest, random());
        tokio::select! {
            () = sleep(wait) => {}
            () = events.closed() => return,
        }
        if config.borrow().spec.matching.peers != Peers::EndpointSlices {
            continue;
        }
        let before = cpu();
        let due = asked.due(&unnamed(&snapshots.borrow()), Instant::now());
        if !due.is_empty() {
            let began = now_ms();
            match ask(&operator, &due, timing.silence).await {
                Ok(text) => {
                    let found = wire::far(&text, began).unwrap_or_default();
                    let before = due.len();
                    found.addresses().for_each(|address| asked.found(address));
                    let found = found.events();
                    debug!(asked = before, found = ?found, "asked who is at addresses");
                    if !found.is_empty() && events.send(found).await.is_err() {
                        return;
                    }
                }
                // That it is away is said by the watch of the pods.
                Err(error) => debug!(error, "the operator does not say who is at addresses"),
            }
        }
        let cost = cpu().saturating_sub(before);
        while let Some(wait) = pace(cost) {
            sleep(wait).await;
        }
    }
}

/// Addresses of connections whose other end has no name though it should have one.
fn unnamed(snapshot: &Snapshot) -> Vec<IpAddr> {
    let Some(cluster) = &snapshot.picture.cluster else { return Vec::new() };
    if cluster.gaps.get(Unresolved::UnknownAddress) == 0 {
        return Vec::new();
    }
    let connections = snapshot.picture.connections.iter();
    let unknown = connections.filter(|c| c.named.gaps[1] == Some(Unresolved::UnknownAddress));
    let mut addresses: Vec<IpAddr> = unknown.map(|c| c.remote.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

async fn ask(
    operator: &Operator,
    addresses: &[IpAddr],
    patience: Duration,
) -> Result<Vec<u8>, String> {
    let text = json!({ "addresses": addresses }).to_string().into_bytes();
    let kind = "application/json";
    let answer = operator.connection.send(Method::POST, ADDRESSES, text, kind, patience).await;
    let body = answer.map_err(|error| error.chain())?.into_body();
    whole(body, MAX_ANSWER, patience).await.map_err(|error| error.chain())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u16) -> Vec<IpAddr> {
        (0..count).map(|n| IpAddr::from([10, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]])).collect()
    }

    #[test]
    fn an_address_that_no_one_knows_is_asked_for_more_and_more_rarely() {
        let (mut asked, start) = (Asked::default(), Instant::now());
        let one = addresses(1);
        let mut at = Vec::new();
        for second in 0..700 {
            let due = asked.due(&one, start + Duration::from_secs(second));
            at.extend(due.first().map(|_| second));
        }

        assert_eq!(at, [0, 5, 15, 35, 75, 155, 315, 615]);
        asked.found(one[0]);
        assert_eq!(asked.due(&one, start).len(), 1);
    }

    #[test]
    fn a_question_and_what_is_remembered_are_bounded() {
        let (mut asked, now) = (Asked::default(), Instant::now());
        let all = addresses(20_000);

        assert_eq!(asked.due(&all, now).len(), MOST_ADDRESSES);
        for _ in 0..100 {
            assert!(asked.due(&all, now).len() <= MOST_ADDRESSES);
        }
        assert!(asked.known.len() <= REMEMBERED);
    }

    #[test]
    fn an_address_among_thousands_that_no_one_knows_has_its_turn() {
        for others in [REMEMBERED - 1, REMEMBERED, 20_000] {
            let (mut asked, start) = (Asked::default(), Instant::now());
            let all = addresses(u16::try_from(others).unwrap());
            for round in 0..50 {
                asked.due(&all, start + Duration::from_secs(round * 5));
            }
            let last = IpAddr::from([10, 200, 0, 1]);
            let with = [&all[..], &[last]].concat();

            let rounds = with.len().div_ceil(MOST_ADDRESSES) as u64 + 1;
            let asks = (50..50 + rounds).any(|round| {
                asked.due(&with, start + Duration::from_secs(round * 5)).contains(&last)
            });

            assert!(asks, "{others}");
        }
    }
}
