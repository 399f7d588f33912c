//! Work: turns plans into writes while pace and room allow, and takes in how they ended.
//!
//! In: the world's queue, statuses that are due. Out: at most 16 writes at a time, never two for the same object. It must
//! not decide what is written.
//!
//! I/O: spawns writes, reads the clock.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use probelet_crds::{DEFAULT, ProbeConfigStatus, condition::accepted};
use tracing::{debug, error, info, warn};

use super::{Seed, Task};
use crate::events::{self, Note};
use crate::metrics::Write;
use crate::pace::Millis;
use crate::queue::{Key, NodeId};
use crate::rollout::{Edition, Rollout, Stage};
use crate::seen::{SeenConfig, SeenProbe};
use crate::stages::apply::Error;
use crate::stages::observe::cut;
use crate::stages::plan::{Step, plan};
use crate::stages::status::status;
use crate::stages::validate::{MAX_MESSAGE, judge};
use crate::world::{ConfigId, Counts};

/// Writes under way at a time.
pub(super) const AT_ONCE: usize = 16;
/// A seed that cannot be used is read again after so long; also the longest that the API server can make us wait.
const A_MINUTE: Millis = 60_000;

/// Whether a rollout that its status does not have yet stops or starts collection.
fn turned(rollout: &Rollout, before: &ProbeConfigStatus) -> Option<bool> {
    let paused = |edition: &Edition| edition.content.config.paused;
    let known = before.rollout.as_ref().is_some_and(|old| {
        old.hash == rollout.target.content.hash && old.generation == rollout.target.generation
    });
    let (is, was) = (paused(&rollout.target), rollout.previous.as_ref().is_some_and(paused));
    (!known && is != was).then_some(is)
}

/// What was written.
enum What {
    Probe(NodeId, Result<SeenProbe, Error>),
    Delete(NodeId, Box<str>, Result<(), Error>),
    Silent(NodeId, Result<(), Error>),
    Status(ConfigId, String, Result<SeenConfig, Error>),
    Default(Result<Option<SeenConfig>, Error>),
    Event,
}

/// A write that ended.
pub(crate) struct Done {
    what: What,
    took: Duration,
}

/// Making `default` where there is none.
#[derive(Default)]
pub(crate) struct Seeding {
    read: Option<Seed>,
    /// What is wrong with it, so that it is reported once.
    invalid: Option<String>,
    wanted: bool,
}

impl Seeding {
    pub(crate) fn new(read: Option<Seed>) -> Self {
        Self { read, ..Self::default() }
    }
}

impl Task {
    /// One round: what time brought about, then as many writes as may go out.
    pub(super) fn work(&mut self) {
        let now = self.clock.millis();
        let begins = !std::mem::replace(&mut self.begun, true);
        if begins {
            self.world.lead(now);
        }
        self.want_default(begins, now);
        for id in self.world.tick(now) {
            self.stopped(id);
        }
        // Nothing that happens in a round changes a count: one look at all nodes is enough for all of its statuses.
        let mut counted = None;
        while self.jobs.len() < AT_ONCE && now >= self.pace.next() {
            match self.world.next(now) {
                None => break,
                Some(Key::Seed) => self.seed(now),
                Some(Key::Status(id)) => {
                    let counted = counted.get_or_insert_with(|| self.world.counts());
                    let counts = counted.remove(&Some(id)).unwrap_or_default();
                    self.write_status(id, &counts, now);
                }
                Some(Key::Probe(id)) => self.write_probe(id, now),
            }
        }
    }

    fn stopped(&self, id: ConfigId) {
        let Some(config) = self.world.config_at(id) else { return };
        if let Some(Stage::RolledBack { why, .. }) = config.rollout.as_ref().map(|r| &r.stage) {
            let generation = config.generation;
            warn!(config = %config.name, generation, %why, "rollout failed; rolled back");
        }
    }

    /// Writes one status, if it is another than the API server has.
    fn write_status(&mut self, id: ConfigId, counts: &Counts, now: Millis) {
        self.world.complete(id, counts);
        let status = status(&self.world, id, counts, Timestamp::now());
        let changed = self.world.config_at(id).zip(status).filter(|(c, new)| c.status != *new);
        let Some((config, status)) = changed else {
            return self.world.queue.idle(Key::Status(id), now);
        };
        let (name, uid) = (config.name.to_string(), config.uid.clone());
        let mut notes = events::notes(&name, &uid, &config.status, &status);
        let turned = config.rollout.as_ref().and_then(|rollout| turned(rollout, &config.status));
        notes.extend(events::turns(&name, &uid, &config.status, &status, turned));
        for note in notes {
            self.tell(note, now);
        }
        self.pace.take(now);
        let writer = self.writer.clone();
        self.spawn(async move {
            let written = writer.status(&name, &status).await;
            What::Status(id, name, written)
        });
    }

    /// Plans for a node and writes, if there is anything to write.
    fn write_probe(&mut self, id: NodeId, now: Millis) {
        let writer = self.writer.clone();
        match plan(&self.world, id, now) {
            Step::Nothing => self.world.idle(id),
            Step::Later(at) => {
                self.world.idle(id);
                self.world.queue.offer_at(Key::Probe(id), at);
            }
            Step::Apply(order) => {
                self.pace.take(now);
                self.spawn(async move { What::Probe(id, writer.probe(&order).await) });
            }
            Step::Delete { name, uid } => {
                self.pace.take(now);
                self.spawn(async move {
                    let deleted = writer.delete(&name, &uid).await;
                    What::Delete(id, uid, deleted)
                });
            }
            Step::Silent { name, uid } => {
                self.pace.take(now);
                self.spawn(async move {
                    What::Silent(id, writer.silent(&name, &uid, Timestamp::now()).await)
                });
            }
        }
    }

    fn spawn(&mut self, work: impl Future<Output = What> + Send + 'static) {
        let began = Instant::now();
        self.jobs.spawn(async move { Done { what: work.await, took: began.elapsed() } });
    }

    fn tell(&mut self, note: Note, now: Millis) {
        if let Some(telling) = self.teller.tell(note, now) {
            self.spawn(async move {
                telling.await;
                What::Event
            });
        }
    }

    /// Takes in how a write ended.
    pub(super) fn finish(&mut self, done: Done) {
        let Done { what, took } = done;
        let now = self.clock.millis();
        match what {
            What::Probe(id, written) => {
                self.count(Write::Probe, written.as_ref().err(), took, now);
                match written {
                    Ok(seen) => self.world.wrote(id, seen, now),
                    Err(error) => self.failed(id, &error, now),
                }
            }
            What::Delete(id, uid, deleted) => {
                self.count(Write::Delete, deleted.as_ref().err(), took, now);
                match deleted {
                    Ok(()) => self.world.deleted(id, &uid, now),
                    Err(error) => self.failed(id, &error, now),
                }
            }
            What::Silent(id, written) => {
                self.count(Write::Silent, written.as_ref().err(), took, now);
                match written {
                    Ok(()) => self.world.marked(id),
                    Err(error) => self.failed(id, &error, now),
                }
            }
            What::Status(id, config, written) => {
                self.count(Write::Status, written.as_ref().err(), took, now);
                match written {
                    Ok(seen) => {
                        self.world.queue.done(Key::Status(id), now);
                        self.world.config(judge(seen, self.max_budget), now);
                    }
                    Err(error) => {
                        warn!(%config, %error, "cannot write the status");
                        self.world.queue.failed(Key::Status(id), now, now, self.clock.chance());
                    }
                }
            }
            What::Default(made) => {
                self.count(Write::Default, made.as_ref().err(), took, now);
                self.seeded(made, now);
            }
            What::Event => self.count(Write::Event, None, took, now),
        }
    }

    fn count(&mut self, write: Write, error: Option<&Error>, took: Duration, now: Millis) {
        self.metrics.wrote(write, error.map(Error::result), took);
        match error {
            None => self.pace.went_well(),
            Some(Error::Busy(wait)) => {
                let wait = u64::try_from(wait.as_millis()).unwrap_or(A_MINUTE);
                // Others were asked to wait as well; a little later is better than all at once.
                self.pace.wait_until(now + wait + u64::from(self.clock.chance()));
            }
            Some(Error::Refused(_) | Error::Other(_)) => self.pace.was_refused(),
        }
    }

    fn failed(&mut self, id: NodeId, error: &Error, now: Millis) {
        let node = self.world.node_at(id).map_or(String::new(), |node| node.name.to_string());
        let chance = self.clock.chance();
        let first = self.world.node_at(id).is_some_and(|node| node.refused.is_none());
        match error {
            Error::Busy(wait) => {
                debug!(%node, ?wait, "the API server asks to wait");
                let wait = u64::try_from(wait.as_millis()).unwrap_or(A_MINUTE);
                self.world.failed(id, None, now + wait, now, chance);
            }
            Error::Refused(why) => {
                if first {
                    warn!(%node, %why, "the API server rejects our NodeProbe");
                }
                self.world.failed(id, Some(why), now, now, chance);
            }
            Error::Other(why) => {
                debug!(%node, %why, "cannot write a NodeProbe");
                self.world.failed(id, None, now, now, chance);
            }
        }
    }

    /// Notices that there is no `default`, or that there is one again; `begins` has the seed read in any case, for what is
    /// wrong with it is reported before it is needed.
    fn want_default(&mut self, begins: bool, now: Millis) {
        if self.seeding.read.is_none() {
            return;
        }
        let missing = self.world.config_named(DEFAULT).is_none();
        let turned = std::mem::replace(&mut self.seeding.wanted, missing) != missing;
        if turned {
            // Nodes that nothing matches keep what they have while the first try is under way.
            self.world.seeding = missing && self.seeding.invalid.is_none();
        }
        if begins || (turned && missing) {
            self.world.queue.offer(Key::Seed, now);
        }
    }

    /// Makes `default` if there is none, from the seed as it is then: an upgrade may have changed it.
    fn seed(&mut self, now: Millis) {
        let Some(read) = self.seeding.read.clone() else { return };
        match read() {
            Err(why) => {
                self.unusable(why, now);
                self.world.queue.failed(Key::Seed, now + A_MINUTE, now, self.clock.chance());
            }
            Ok(spec) => {
                self.seeding.invalid = None;
                self.metrics.seed_invalid.set(0);
                if !self.seeding.wanted {
                    return self.world.queue.done(Key::Seed, now);
                }
                self.pace.take(now);
                let writer = self.writer.clone();
                self.spawn(async move { What::Default(writer.default(&spec).await) });
            }
        }
    }

    /// Goes on without a seed.
    fn unusable(&mut self, why: String, now: Millis) {
        if self.seeding.invalid.as_ref() == Some(&why) {
            return;
        }
        error!(%why, "the seed of the default configuration cannot be used; the built-in defaults are in force");
        self.metrics.seed_invalid.set(1);
        let message = cut(&format!("seed: {why}"), MAX_MESSAGE).to_owned();
        let reason = accepted::INVALID.to_owned();
        self.seeding.invalid = Some(why);
        self.do_without();
        let (name, warning) = (DEFAULT.to_owned(), true);
        self.tell(Note { name, uid: None, reason, message, warning }, now);
    }

    /// Better the built-in defaults than nothing while a person looks at it.
    fn do_without(&mut self) {
        if std::mem::replace(&mut self.world.seeding, false) {
            self.world.offer_unmatched();
        }
    }

    fn seeded(&mut self, made: Result<Option<SeenConfig>, Error>, now: Millis) {
        // If someone was quicker the watch will show it; until then there is none.
        self.world.queue.failed(Key::Seed, now, now, self.clock.chance());
        match made {
            Ok(Some(seen)) => {
                info!(name = DEFAULT, "created the default configuration");
                self.world.config(judge(seen, self.max_budget), now);
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "cannot create the default configuration");
                self.do_without();
            }
        }
    }
}
