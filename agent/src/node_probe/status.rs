//! The writer of this node's `NodeProbe.status`: the summary of the node, and what became of its configuration.
//!
//! In: snapshots, the configuration in force, what the `NodeProbe` asks for. Out: server-side applies of the whole status,
//! as rarely as `due` allows. It must not create the object, write anything else, read it back to change it, or keep
//! anything to be written later: what is written is always the newest.
//!
//! I/O: the network; its CPU time is on the account of what the API server says.

mod account;
mod conditions;
mod context;
mod digest;
mod due;
mod figures;
mod health;
mod memory;
mod nameless;
#[cfg(test)]
pub(crate) mod testing;
mod top;

pub use account::{Account, Outcome};
pub(crate) use conditions::missing;
pub(crate) use context::lacking;

use crate::config::Effective;
use crate::kube::{Connection, Error, FeedStatus, Pace, Timing, cpu, random, share, whole};
use crate::node_probe::follow::{Assignment, RESOURCE};
use crate::snapshot::Snapshot;
use conditions::Scene;
use context::Feed;
use due::{Decision, Rules};
use hyper::Method;
use memory::{Memory, Stored, hash, version};
use probelet_core::display::ContainerNames;
use probelet_crds::{AGENT, API_VERSION, NODE_PROBE, NodeProbeStatus, ReportingMode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

/// A look at the conditions; the engine publishes at least so often.
const LOOK: Duration = Duration::from_secs(5);
/// The first write waits for a picture, but not longer.
const START: Duration = Duration::from_secs(10);
/// Of the server's answer so much is read: the object, its managed fields included, is 6 KiB.
const MAX_ANSWER: usize = 2 << 20;
/// After a refusal that no waiting helps against, and after many failures, the next attempt is this far.
const LONGEST: Duration = Duration::from_mins(5);
/// The longest that the last write may take.
const GOODBYE: Duration = Duration::from_millis(800);
const APPLY: &str = "application/apply-patch+yaml";

/// What the writer needs.
pub struct Writer {
    /// The way to the API server.
    pub connection: Arc<Connection>,
    /// This node's name.
    pub node: Arc<str>,
    /// The newest picture.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What a runtime calls containers that the cluster does not know.
    pub names: watch::Receiver<Arc<ContainerNames>>,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Effective>>,
    /// What the `NodeProbe` asks for.
    pub assignment: watch::Receiver<Arc<Assignment>>,
    /// How the feed of names is doing, if there is one.
    pub feed: Option<Arc<FeedStatus>>,
    /// Whether the command line pins a source.
    pub pinned: bool,
    /// Where results are counted.
    pub account: Arc<Account>,
    /// The budget.
    pub pace: Pace,
    /// How long it waits.
    pub timing: Timing,
    /// Whether the agent is ending.
    pub stop: watch::Receiver<bool>,
}

/// What a look came to.
enum Plan {
    Wait(Duration),
    Write(Box<NodeProbeStatus>),
}

/// Writes for as long as there is something to read, and once more when the agent ends.
pub async fn write(mut writer: Writer) {
    let mut memory = Memory::new();
    let mut stop = writer.stop.clone();
    let ending = tokio::select! {
        () = writer.follow(&mut memory) => false,
        // Who holds the other end is gone without a word: there is nothing to say then.
        stopped = stop.wait_for(|&stop| stop) => stopped.is_ok(),
    };
    if ending {
        writer.say_goodbye(&mut memory).await;
    }
}

impl Writer {
    async fn follow(&mut self, memory: &mut Memory) {
        loop {
            let before = cpu();
            let plan = self.plan(memory);
            let cost = cpu().saturating_sub(before);
            let wait = match plan {
                Plan::Wait(wait) => wait.min(LOOK),
                Plan::Write(status) => {
                    self.apply(memory, *status).await;
                    Duration::ZERO
                }
            };
            // Afterwards: an acknowledgement is not kept waiting for what it cost.
            self.pay(cost).await;
            if timeout(wait, self.news(memory.applied)).await == Ok(false) {
                return;
            }
        }
    }

    /// Says that the agent ends in good order, so that its last status is not taken for one of a live agent. One attempt:
    /// a process that was asked to go does not wait for a server.
    async fn say_goodbye(&mut self, memory: &mut Memory) {
        let assignment = Arc::clone(&self.assignment.borrow());
        if memory.writable(&assignment).is_none() {
            return;
        }
        let Some(status) = memory.last_words() else { return };
        let said = timeout(GOODBYE, self.send(&status)).await;
        match said.map_or(Err("no answer in time".to_owned()), |sent| sent.map_err(|e| e.chain())) {
            Ok(_) => self.account.count(Outcome::Written),
            Err(error) => info!(error, "could not say that the agent is stopping"),
        }
    }

    /// Waits for something that makes a difference at once; `false` if there will be nothing any more.
    async fn news(&mut self, applied: bool) -> bool {
        let wanted = self.config.borrow().hash.clone();
        let snapshots = &mut self.snapshots;
        // Only if the engine had not yet applied at the last look: snapshots come every second.
        let applied = async {
            if applied {
                return std::future::pending().await;
            }
            snapshots.wait_for(|snapshot| snapshot.vitals.config_hash == wanted).await.is_ok()
        };
        tokio::select! {
            changed = self.assignment.changed() => changed.is_ok(),
            changed = self.config.changed() => changed.is_ok(),
            applied = applied => applied,
        }
    }

    /// Looks at everything: is it time to write, and what?
    fn plan(&mut self, memory: &mut Memory) -> Plan {
        let assignment = Arc::clone(&self.assignment.borrow_and_update());
        let config = Arc::clone(&self.config.borrow_and_update());
        let snapshot = Arc::clone(&self.snapshots.borrow());
        memory.applied = snapshot.vitals.config_hash == config.hash;
        let Some(assigned) = memory.writable(&assignment) else { return Plan::Wait(LOOK) };
        let now = memory.began.elapsed();
        if memory.stored.is_none() && snapshot.picture.epoch == 0 && now < START {
            return Plan::Wait(START / 50);
        }
        let instant = Instant::now().into_std();
        let feed = self.feed.as_ref().map(|s| Feed::of(s, instant, memory.began.into_std()));
        let lacking = std::mem::take(&mut memory.lacking);
        let names = Arc::clone(&self.names.borrow());
        let scene = Scene {
            snapshot: &snapshot,
            names: &names,
            config: &config,
            assigned,
            applied: memory.applied,
            pinned: self.pinned,
            feed: feed.as_ref(),
            lacking: &lacking,
            now,
            unix: unix(),
        };
        let (mut status, ask) = memory.look(&scene);
        memory.lacking = lacking;
        let why = match memory.due.decide(now, ask, rules(&config)) {
            Decision::Wait(wait) => return Plan::Wait(wait),
            Decision::Write(why) => why,
        };
        debug!(?why, "writing the status");
        let reporting = &config.spec.reporting;
        if reporting.mode == ReportingMode::Summary && snapshot.picture.epoch > 0 {
            let n = usize::try_from(reporting.top_n).unwrap_or(0);
            status.top = Some(memory.tops.of(&snapshot.picture, &names, n));
        }
        status.last_report = Some(memory::seconds());
        Plan::Write(Box::new(status.fit()))
    }

    /// Sends the status, and takes to heart what comes back.
    async fn apply(&self, memory: &mut Memory, status: NodeProbeStatus) {
        memory.due.attempt(memory.began.elapsed());
        memory.under_way = Some(status.clone());
        let outcome = self.send(&status).await;
        memory.under_way = None;
        let now = memory.began.elapsed();
        match outcome {
            Ok((answer, bytes)) => {
                memory.due.wrote(now, random());
                self.account.count(Outcome::Written);
                self.account.acknowledge(status.observed_generation, bytes);
                memory.failures = 0;
                if std::mem::take(&mut memory.logged) {
                    info!("the status is written again");
                }
                memory.stored = Some(Stored {
                    uid: memory.uid().to_owned(),
                    version: version(answer["metadata"]["resourceVersion"].as_str()),
                    hash: hash(&answer["status"]),
                    status,
                });
            }
            Err(error) => self.failed(memory, &error, now),
        }
    }

    async fn send(&self, status: &NodeProbeStatus) -> Result<(Value, usize), Error> {
        let name = &*self.node;
        let object = json!({
            "apiVersion": API_VERSION,
            "kind": NODE_PROBE,
            "metadata": {"name": name},
            "status": status,
        });
        let body = serde_json::to_vec(&object).unwrap_or_default();
        let bytes = serde_json::to_vec(status).map_or(0, |text| text.len());
        let url = format!("{RESOURCE}/{name}/status?fieldManager={AGENT}&force=true");
        let silence = self.timing.silence;
        let answer = self.connection.send(Method::PATCH, &url, body, APPLY, silence).await?;
        let text = whole(answer.into_body(), MAX_ANSWER, silence).await?;
        // What cannot be read was written all the same; then edits by others are not noticed.
        Ok((serde_json::from_slice(&text).unwrap_or_default(), bytes))
    }

    fn failed(&self, memory: &mut Memory, error: &Error, now: Duration) {
        let retry = self.timing.retry(memory.failures, random());
        memory.failures = memory.failures.saturating_add(1);
        let (outcome, wait) = match error {
            // Gone, or not there yet: the watch will tell; if it does not, look again after a while.
            Error::Refused { failure, .. } if failure.code == 404 => {
                memory.missing = Some(memory.events);
                (Outcome::NotFound, LONGEST / 2 + share(LONGEST, random()))
            }
            _ => {
                let asked = error.retry_after().map(|asked| Timing::asked(asked, random()));
                let wait = asked.map_or(retry, |asked| asked + retry);
                (Outcome::Failed(error.class()), wait.min(LONGEST * 2))
            }
        };
        memory.due.refused(now, wait);
        self.account.count(outcome);
        let cause = error.chain();
        if std::mem::replace(&mut memory.logged, true) {
            debug!(error = cause, ?wait, "the status could not be written");
        } else {
            warn!(error = cause, ?wait, "the status could not be written; the newest one will be");
        }
    }

    /// Waits until the budget allows what was spent.
    async fn pay(&self, cost: Duration) {
        while let Some(wait) = (self.pace)(cost) {
            sleep(wait).await;
        }
    }
}

fn rules(config: &Effective) -> Rules {
    let (reporting, limits) = (&config.spec.reporting, &config.spec.limits);
    Rules {
        min_interval: reporting.min_interval.duration(),
        refresh_interval: reporting.refresh_interval.duration(),
        writes_per_minute: usize::try_from(limits.api_writes_per_minute).unwrap_or(1),
    }
}

fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
