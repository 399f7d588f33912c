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
use crate::apply::Error;
use crate::events::{self, Note};
use crate::metrics::Write;
use crate::observe::{SeenConfig, SeenProbe, cut};
use crate::pace::Millis;
use crate::plan::{Step, plan};
use crate::queue::NodeId;
use crate::rollout::{Edition, Rollout, Stage};
use crate::status::status;
use crate::validate::MAX_MESSAGE;
use crate::world::ConfigId;

/// Writes under way at a time.
pub(super) const AT_ONCE: usize = 16;
/// The wait after `default` could not be made; it doubles up to the second.
const SEED_WAIT: (Millis, Millis) = (2000, 60_000);

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
pub(crate) struct Seeding {
    read: Option<Seed>,
    /// It was read once, for what is wrong with it is told before it is needed.
    looked: bool,
    /// What is wrong with it, so that it is told once.
    invalid: Option<String>,
    flying: bool,
    wait: Millis,
    not_before: Millis,
    wanted: bool,
}

impl Seeding {
    pub(crate) fn new(read: Option<Seed>) -> Self {
        let (wait, not_before) = (SEED_WAIT.0, 0);
        let (looked, flying, wanted) = (false, false, false);
        Self { read, looked, invalid: None, flying, wait, not_before, wanted }
    }

    pub(crate) fn next(&self) -> Option<Millis> {
        (self.wanted && !self.flying).then_some(self.not_before)
    }
}

impl Task {
    /// One round: what time brought about, then as many writes as may go out.
    pub(super) fn work(&mut self) {
        let now = self.clock.millis();
        if !std::mem::replace(&mut self.book.begun, true) {
            self.world.lead(now);
        }
        self.seed(now);
        for id in self.world.tick(now) {
            self.stopped(id);
        }
        for id in std::mem::take(&mut self.world.dirty) {
            self.book.note(id, now);
        }
        while self.jobs.len() < AT_ONCE && now >= self.pace.next() {
            if !self.write_status(now) && !self.write_probe(now) {
                break;
            }
        }
    }

    fn stopped(&self, id: ConfigId) {
        let Some(config) = self.world.config_at(id) else { return };
        if let Some(Stage::RolledBack { why, .. }) = config.rollout.as_ref().map(|r| &r.stage) {
            let generation = config.generation;
            warn!(config = %config.name, generation, %why, "rollout stopped and taken back");
        }
    }

    /// Writes one status that is due; says whether there was any work.
    fn write_status(&mut self, now: Millis) -> bool {
        let Some(id) = self.book.take(now) else { return false };
        let counts = self.world.counts(Some(id));
        self.world.complete(id, &counts);
        let Some(config) = self.world.config_at(id) else { return true };
        let status = status(&self.world, id, &counts, Timestamp::now());
        let Some(status) = status else { return true };
        if status == config.status {
            return true;
        }
        let (name, uid) = (config.name.to_string(), config.uid.clone());
        let mut notes = events::notes(&name, &uid, &config.status, &status);
        let turned = config.rollout.as_ref().and_then(|rollout| turned(rollout, &config.status));
        notes.extend(events::news(&name, &uid, &config.status, &status, turned));
        for note in notes {
            self.tell(note, now);
        }
        self.pace.take(now);
        self.book.writing(id, now);
        let writer = self.writer.clone();
        self.spawn(async move {
            let written = writer.status(&name, &status).await;
            What::Status(id, name, written)
        });
        true
    }

    /// Plans for the next node and writes, if there is anything to write; says whether there was any work.
    fn write_probe(&mut self, now: Millis) -> bool {
        let Some(id) = self.world.next(now) else { return false };
        let writer = self.writer.clone();
        match plan(&self.world, id, now) {
            Step::Nothing => self.world.idle(id),
            Step::Later(at) => {
                self.world.idle(id);
                self.world.queue.offer_at(id, at);
            }
            Step::Wait(config) => self.world.wait_for_token(id, config),
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
        true
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
                self.book.wrote(id, written.is_ok(), now);
                match written {
                    Ok(seen) => self.world.config(seen, now),
                    Err(error) => warn!(%config, %error, "cannot write the status"),
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
                let wait = u64::try_from(wait.as_millis()).unwrap_or(SEED_WAIT.1);
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
                let wait = u64::try_from(wait.as_millis()).unwrap_or(SEED_WAIT.1);
                self.world.failed(id, None, now + wait, now, chance);
            }
            Error::Refused(why) => {
                if first {
                    warn!(%node, %why, "the API server refuses our NodeProbe");
                }
                self.world.failed(id, Some(why), now, now, chance);
            }
            Error::Other(why) => {
                debug!(%node, %why, "cannot write a NodeProbe");
                self.world.failed(id, None, now, now, chance);
            }
        }
    }

    /// Makes `default` if there is none, from the seed as it is then: an upgrade may have changed it.
    fn seed(&mut self, now: Millis) {
        let seeding = &mut self.seeding;
        let Some(read) = seeding.read.clone() else { return };
        let missing = self.world.config_named(DEFAULT).is_none();
        let was = std::mem::replace(&mut seeding.wanted, missing);
        if was && !missing {
            seeding.wait = SEED_WAIT.0;
            self.world.seeding = false;
        }
        // Nodes that nothing matches keep what they have while the first try is under way.
        if missing && !was && seeding.invalid.is_none() {
            self.world.seeding = true;
        }
        let due = missing && !seeding.flying && now >= seeding.not_before;
        if std::mem::replace(&mut seeding.looked, true) && !due {
            return;
        }
        match read() {
            Err(why) => self.unusable(why, now),
            Ok(_) if !due => {}
            Ok(seed) => {
                seeding.invalid = None;
                seeding.flying = true;
                self.metrics.seed_invalid.set(0);
                let writer = self.writer.clone();
                self.spawn(async move { What::Default(writer.default(&seed).await) });
            }
        }
    }

    /// Goes on without a seed, and looks at it again after a while.
    fn unusable(&mut self, why: String, now: Millis) {
        let seeding = &mut self.seeding;
        seeding.not_before = now + SEED_WAIT.1;
        if seeding.invalid.as_ref() == Some(&why) {
            return;
        }
        error!(%why, "the seed of the default configuration cannot be used; the built-in defaults are in force");
        self.metrics.seed_invalid.set(1);
        let message = cut(&format!("seed: {why}"), MAX_MESSAGE).to_owned();
        let reason = accepted::INVALID.to_owned();
        seeding.invalid = Some(why);
        if std::mem::replace(&mut self.world.seeding, false) {
            self.world.offer_unmatched();
        }
        let (name, warning) = (DEFAULT.to_owned(), true);
        self.tell(Note { name, uid: None, reason, message, warning }, now);
    }

    fn seeded(&mut self, made: Result<Option<SeenConfig>, Error>, now: Millis) {
        self.seeding.flying = false;
        self.seeding.not_before = now + self.seeding.wait;
        self.seeding.wait = (self.seeding.wait * 2).min(SEED_WAIT.1);
        match made {
            Ok(Some(seen)) => {
                info!(name = DEFAULT, "made the default configuration");
                self.world.config(seen, now);
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "cannot make the default configuration");
                // Better the built-in defaults than nothing while a person looks at it.
                if std::mem::replace(&mut self.world.seeding, false) {
                    self.world.offer_unmatched();
                }
            }
        }
    }
}
