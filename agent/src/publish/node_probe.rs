//! The writer of this node's `NodeProbe.status`: the summary of the node, and what became of its configuration.
//!
//! In: snapshots, the configuration in force, what the `NodeProbe` asks for. Out: server-side applies of the whole status,
//! as rarely as [`due`] allows. It must not create the object, write anything else, read it back to change it, or keep
//! anything to be written later: what is written is always the newest.
//!
//! I/O: the network; its CPU time is on the account of what the API server tells.

mod account;
mod conditions;
mod digest;
mod due;
mod figures;
mod surroundings;
mod top;

pub use account::{Account, Outcome};

use crate::config::Effective;
use crate::config::node_probe::{Assigned, Assignment, RESOURCE};
use crate::doctor::Capability;
use crate::kubernetes::{Connection, Error, FeedStatus, Pace, Timing, cpu, random, share, whole};
use crate::label::Names;
use crate::snapshot::Snapshot;
use conditions::{Judge, Scene, Verdict};
use due::{Ask, Decision, Due, Rules};
use hyper::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use probelet_crds::condition::config_applied;
use probelet_crds::{AGENT, API_VERSION, NODE_PROBE, NodeProbeStatus, ReportingMode, condition};
use serde_json::{Value, json};
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use surroundings::Feed;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

/// A look at the conditions; the engine publishes at least so often.
const LOOK: Duration = Duration::from_secs(5);
/// The first write waits for a picture, but not longer.
const START: Duration = Duration::from_secs(10);
/// An engine that has not taken up a configuration for so long is stuck, which is told.
const PENDING: Duration = Duration::from_secs(30);
/// Of the server's answer so much is read: the object, its managed fields included, is 6 KiB.
const MAX_ANSWER: usize = 2 << 20;
/// After a refusal that no waiting helps against, and after many failures, the next attempt is this far.
const LONGEST: Duration = Duration::from_mins(5);
const APPLY: &str = "application/apply-patch+yaml";

/// What the writer needs.
pub struct Writer {
    /// The way to the API server.
    pub connection: Arc<Connection>,
    /// This node's name.
    pub node: Arc<str>,
    /// The newest picture.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Who knows the names of containers that the cluster does not.
    pub names: Box<Names>,
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
}

/// What the server has of ours.
struct Stored {
    uid: String,
    /// As it was sent.
    status: NodeProbeStatus,
    /// The version that our write made, and what the server made of our status.
    version: Option<u64>,
    hash: u64,
}

/// What is remembered from look to look.
struct Memory {
    began: Instant,
    lacking: Vec<Capability>,
    due: Due,
    judge: Judge,
    tops: top::Tops,
    conditions: Vec<Condition>,
    stored: Option<Stored>,
    /// The object that is written, and its generation when it was first seen.
    first: Option<(String, i64)>,
    /// The generation that the status answers for.
    judged: i64,
    /// How often the server had come back when last looked at.
    returns: u64,
    /// Events about the object that had been seen at the last look.
    events: u64,
    /// Since when the engine has not obeyed.
    pending: Option<Duration>,
    /// The server said that there is no such object, when so many events had been seen.
    missing: Option<u64>,
    failures: u32,
    /// A failure was told that is not over yet.
    told: bool,
}

/// What a look came to.
enum Plan {
    Wait(Duration),
    Write(Box<NodeProbeStatus>),
}

/// Writes for as long as there is something to read.
pub async fn write(mut writer: Writer) {
    let mut memory = Memory::new();
    loop {
        let before = cpu();
        let plan = writer.plan(&mut memory);
        let cost = cpu().saturating_sub(before);
        let wait = match plan {
            Plan::Wait(wait) => wait,
            Plan::Write(status) => {
                writer.apply(&mut memory, *status).await;
                Duration::ZERO
            }
        };
        // Afterwards: an acknowledgement is not kept waiting for what it cost.
        writer.pay(cost).await;
        if timeout(wait, writer.news()).await == Ok(false) {
            return;
        }
    }
}

impl Writer {
    /// Waits for something that makes a difference at once; `false` if there will be nothing any more.
    async fn news(&mut self) -> bool {
        let wanted = self.config.borrow().hash.clone();
        let snapshots = &mut self.snapshots;
        // Only while the engine has not yet obeyed: snapshots come every second.
        let obeyed = async {
            if snapshots.borrow().vitals.config_hash == wanted {
                return std::future::pending().await;
            }
            snapshots.wait_for(|snapshot| snapshot.vitals.config_hash == wanted).await.is_ok()
        };
        tokio::select! {
            changed = self.assignment.changed() => changed.is_ok(),
            changed = self.config.changed() => changed.is_ok(),
            obeyed = obeyed => obeyed,
        }
    }

    /// Looks at everything: is it time to write, and what?
    fn plan(&mut self, memory: &mut Memory) -> Plan {
        let assignment = Arc::clone(&self.assignment.borrow_and_update());
        let config = Arc::clone(&self.config.borrow_and_update());
        let snapshot = Arc::clone(&self.snapshots.borrow());
        let Some(assigned) = memory.writable(&assignment) else { return Plan::Wait(LOOK) };
        let now = memory.began.elapsed();
        if memory.stored.is_none() && snapshot.picture.epoch == 0 && now < START {
            return Plan::Wait(START / 50);
        }
        let instant = Instant::now().into_std();
        let feed = self.feed.as_ref().map(|s| Feed::of(s, instant, memory.began.into_std()));
        let lacking = std::mem::take(&mut memory.lacking);
        let scene = Scene {
            snapshot: &snapshot,
            config: &config,
            assigned,
            obeyed: snapshot.vitals.config_hash == config.hash,
            pinned: self.pinned,
            feed: feed.as_ref(),
            lacking: &lacking,
            now,
            unix: unix(),
        };
        let (mut status, ask) = memory.look(&scene);
        memory.lacking = lacking;
        let why = match memory.due.decide(now, ask, rules(&config)) {
            Decision::Wait(wait) => return Plan::Wait(wait.min(LOOK)),
            Decision::Write(why) => why,
        };
        debug!(?why, "writing the status");
        let reporting = &config.spec.reporting;
        if reporting.mode == ReportingMode::Summary && snapshot.picture.epoch > 0 {
            let n = usize::try_from(reporting.top_n).unwrap_or(0);
            status.top = Some(memory.tops.of(&snapshot.picture, &*self.names, n));
        }
        Plan::Write(Box::new(status.fit()))
    }

    /// Sends the status, and takes to heart what comes back.
    async fn apply(&self, memory: &mut Memory, status: NodeProbeStatus) {
        memory.due.attempt(memory.began.elapsed());
        let outcome = self.send(&status).await;
        let now = memory.began.elapsed();
        match outcome {
            Ok((answer, bytes)) => {
                memory.due.wrote(now, random());
                self.account.count(Outcome::Written);
                self.account.acknowledge(status.observed_generation, bytes);
                memory.failures = 0;
                if std::mem::take(&mut memory.told) {
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
        if std::mem::replace(&mut memory.told, true) {
            debug!(error = cause, ?wait, "the status could not be written");
        } else {
            warn!(error = cause, ?wait, "the status could not be written; the newest one will be");
        }
    }

    /// Waits until the budget has room for what was spent.
    async fn pay(&self, cost: Duration) {
        while let Some(wait) = (self.pace)(cost) {
            sleep(wait).await;
        }
    }
}

impl Memory {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            lacking: surroundings::lacking(),
            due: Due::default(),
            judge: Judge::default(),
            tops: top::Tops::default(),
            conditions: Vec::new(),
            stored: None,
            first: None,
            judged: 0,
            returns: 0,
            events: 0,
            pending: None,
            missing: None,
            failures: 0,
            told: false,
        }
    }

    /// The object, if it can be written now; notes what many agents see at the same moment.
    fn writable<'a>(&mut self, assignment: &'a Assignment) -> Option<&'a Assigned> {
        let assigned = assignment.object.as_ref()?;
        let now = self.began.elapsed();
        if self.missing.is_some_and(|events| events != assignment.events) {
            self.missing = None;
            self.due.cleared();
        }
        if self.first.as_ref().is_none_or(|(uid, _)| *uid != assigned.uid) {
            self.first = Some((assigned.uid.clone(), assigned.generation));
            self.stored = None;
            self.judged = 0;
            self.conditions = conditions_of(&assigned.status);
            self.due.forget();
            self.due.spread(now, assigned.cluster_size, random());
        } else if self.returns != assignment.returns {
            self.due.cleared();
            self.due.spread(now, assigned.cluster_size, random());
        }
        self.returns = assignment.returns;
        self.events = assignment.events;
        // While the server is away every attempt would only fail; the watch tells when it is back.
        assignment.up.then_some(assigned)
    }

    fn uid(&self) -> &str {
        self.first.as_ref().map_or("", |(uid, _)| uid)
    }

    /// The conditions as they are now. That the engine has not obeyed yet is not said while it may still be about to.
    fn verdicts(&mut self, scene: &Scene<'_>) -> Vec<Verdict> {
        let mut verdicts = Vec::from(self.judge.look(scene));
        if scene.obeyed {
            self.pending = None;
        }
        let pending = verdicts.iter().position(|v| v.reason == config_applied::PENDING);
        if let Some(at) = pending {
            let since = *self.pending.get_or_insert(scene.now);
            let known = condition::get(&self.conditions, condition::CONFIG_APPLIED).is_some();
            if known && scene.now.saturating_sub(since) < PENDING {
                verdicts.remove(at);
            }
        }
        verdicts
    }

    /// The status as it is now, and what writing it would be good for.
    fn look(&mut self, scene: &Scene<'_>) -> (NodeProbeStatus, Ask) {
        let assigned = scene.assigned;
        let verdicts = self.verdicts(scene);
        // A configuration is answered for when it was refused or when the engine works by it, not before.
        if assigned.refusal.is_some() || scene.obeyed {
            self.judged = assigned.generation;
        }
        let judged = self.judged;
        self.conditions.retain(|c| condition::OF_NODE_PROBE.contains(&c.type_.as_str()));
        let time = Timestamp::now();
        for Verdict { kind, status, reason, sentence } in &verdicts {
            condition::set(&mut self.conditions, kind, *status, reason, sentence, judged, time);
        }
        let status = NodeProbeStatus {
            observed_generation: judged,
            applied_config_hash: scene.snapshot.vitals.config_hash.clone(),
            conditions: self.conditions.clone(),
            ..digest::of(scene)
        };
        let ask = match &self.stored {
            None => {
                let first = self.first.as_ref().map(|(_, generation)| *generation);
                Ask { acknowledge: judged != 0 && Some(judged) != first, ..Ask::default() }
            }
            Some(stored) => Ask {
                acknowledge: judged != stored.status.observed_generation
                    || status.applied_config_hash != stored.status.applied_config_hash,
                transition: digest::turned(&stored.status, &verdicts),
                change: stored.is_edited(assigned)
                    || digest::changed(&stored.status, &status, &verdicts),
            },
        };
        (status, ask)
    }
}

impl Stored {
    /// Whether somebody else wrote the status after us. What the server made of ours is compared, not what we sent: an
    /// older schema drops what it does not know, and that is nobody's edit.
    fn is_edited(&self, assigned: &Assigned) -> bool {
        let (Some(ours), Some(seen)) = (self.version, version(Some(&assigned.version))) else {
            return false;
        };
        seen > ours && self.uid == assigned.uid && hash(&assigned.status) != self.hash
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

/// Versions are numbers that grow, as the API promises for comparing them.
fn version(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

/// Equal for equal values: maps are sorted.
fn hash(value: &Value) -> u64 {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(value.to_string().as_bytes());
    hasher.finish()
}

/// The conditions of an earlier run, for the sake of their times.
fn conditions_of(status: &Value) -> Vec<Condition> {
    serde_json::from_value(status["conditions"].clone()).unwrap_or_default()
}

fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
