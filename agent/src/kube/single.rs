//! Follows one object whose name is known, for as long as the agent lives.
//!
//! In: a resource and a name. Out: the object as it is and whenever it changes, that it is gone, that the server is
//! away and back. It must not list (the role need not allow it), hold more than one object, or ask again at once after
//! a failure. It gets the object, at first as the server's cache has it, then watches what the cache has and gets. The
//! object's own version is no place to begin at: of one that no one wrote for long it is older than what any server
//! remembers. Where the server has forgotten our version it is asked for the newest, and what its cache has from before
//! that is left aside, lest the object goes back in time. Some servers want to send the state of their cache at the
//! beginning of a watch, and cannot; those are asked not to.
//!
//! I/O: the network through [`Connection`]; sleeps.

use super::connection::{self, Connection, Error};
use super::failure::Failure;
use super::selection::{self, Selection};
use super::split::Lines;
use super::status::{Class, KindStatus, Malformed, State};
use super::timing::{Timing, random, share};
use super::{Pace, cpu};
use serde::Deserialize;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// An object is half as long at most; of a NodeProbe everything is bounded by its schema.
const MAX_OBJECT: usize = 3 << 20;
/// How a server says that it cannot begin a watch with the state of its cache: 500 where its store cannot ask for
/// progress (etcd before 3.4.25 and 3.5.8).
const NO_STATE: [u16; 3] = [400, 422, 500];
/// So often it is asked again soon after it was forbidden.
const PATIENT: u32 = 5;

/// How the watch is doing, shared with those who look.
#[derive(Debug, Default)]
pub struct SingleStatus(Mutex<KindStatus>);

impl SingleStatus {
    /// A copy.
    #[must_use]
    pub fn now(&self) -> KindStatus {
        self.at().clone()
    }

    fn at(&self) -> MutexGuard<'_, KindStatus> {
        // Every state of the counters is a valid one, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The object is there, or is another one than before.
    Object(Value),
    /// It was deleted.
    Gone,
    /// The server does not answer, or refuses.
    Away,
    /// The server answers.
    Up,
}

/// The object, and the way to it.
pub(crate) struct Single {
    pub(crate) connection: Arc<Connection>,
    pub(crate) status: Arc<SingleStatus>,
    pub(crate) pace: Pace,
    pub(crate) timing: Timing,
    pub(crate) resource: &'static str,
    pub(crate) name: Arc<str>,
}

/// Where the next watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// Whatever the cache has: nothing is known that could be contradicted.
    Any,
    /// Behind this version.
    Version(String),
    /// The newest: what was seen is unknown to the server.
    Newest,
}

enum End {
    /// In good order.
    Ended,
    Failed(Error),
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    verb: String,
    object: Value,
}

struct Session<'a, F> {
    single: &'a Single,
    selection: Selection,
    from: From,
    /// The version of what was seen last: a cache may be behind it.
    seen: Option<u64>,
    failures: u32,
    /// A failure was logged that is not over yet.
    logged: bool,
    /// The object is there, as far as is known.
    there: bool,
    /// The server cannot begin a watch with the state of its cache.
    stateless: bool,
    each: F,
}

impl Single {
    /// Follows the object; never ends.
    pub(crate) async fn follow(self, each: impl FnMut(Seen)) -> Infallible {
        let mut session = Session {
            selection: selection::named(self.resource, &self.name),
            single: &self,
            from: From::Any,
            seen: None,
            failures: 0,
            logged: false,
            there: false,
            stateless: false,
            each,
        };
        self.note(|status| status.state = State::Connecting);
        sleep(share(self.timing.start, random())).await;
        loop {
            let began = Instant::now();
            let Err(end) = session.once().await;
            let wait = session.judge(end, began.elapsed());
            sleep(wait).await;
        }
    }

    fn note(&self, change: impl FnOnce(&mut KindStatus)) {
        change(&mut self.status.at());
    }
}

impl<F: FnMut(Seen)> Session<'_, F> {
    async fn once(&mut self) -> Result<Infallible, End> {
        let timing = &self.single.timing;
        if !matches!(self.from, From::Version(_)) {
            self.get().await.map_err(End::Failed)?;
        }
        let seconds = timing.watch(random());
        let until = Instant::now() + Duration::from_secs(seconds) + timing.grace;
        let url = self.url(seconds);
        let answer = self.single.connection.get(&url, timing.silence).await;
        let mut body = answer.map_err(End::Failed)?.into_body();
        self.begin();
        if self.stateless && !matches!(self.from, From::Version(_)) {
            // It may have come into being, or changed, between the look and the watch.
            self.get().await.map_err(End::Failed)?;
        }
        let mut lines = Lines::default();
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            let chunk = connection::chunk(&mut body, patience).await.map_err(End::Failed)?;
            let Some(chunk) = chunk else { return Err(End::Ended) };
            let before = cpu();
            let mut failure = None;
            lines.feed(&chunk, |line| match line {
                Ok(text) if failure.is_none() => failure = self.line(text),
                Ok(_) => {}
                Err(_) => self.wrong(Malformed::TooLarge),
            });
            self.single.note(|status| {
                status.contact = Some(Instant::now().into_std());
                status.bytes += chunk.len() as u64;
            });
            if let Some(failure) = failure {
                let retry_after = failure.retry_after();
                return Err(End::Failed(Error::Refused { failure, retry_after }));
            }
            self.pay(cpu().saturating_sub(before)).await;
        }
    }

    /// Looks whether the object is there.
    async fn get(&mut self) -> Result<(), Error> {
        let cached = if self.from == From::Any { "?resourceVersion=0" } else { "" };
        let url = format!("{}/{}{cached}", self.single.resource, self.single.name);
        let silence = self.single.timing.silence;
        let answer = match self.single.connection.get(&url, silence).await {
            Ok(answer) => connection::whole(answer.into_body(), MAX_OBJECT, silence).await?,
            Err(Error::Refused { failure, .. }) if failure.code == 404 => {
                if std::mem::take(&mut self.there) {
                    (self.each)(Seen::Gone);
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let before = cpu();
        match serde_json::from_slice::<Value>(&answer) {
            Ok(object) => {
                // An answer from the store itself is the truth, even where it is behind what was seen: a restored store.
                if cached.is_empty() {
                    self.seen = None;
                }
                self.change("ADDED", version(&object), object);
            }
            Err(_) => self.wrong(Malformed::Json),
        }
        self.pay(cpu().saturating_sub(before)).await;
        Ok(())
    }

    /// Waits until the budget allows what the last piece took.
    async fn pay(&self, cost: Duration) {
        while let Some(wait) = (self.single.pace)(cost) {
            self.single.note(|status| status.budget_wait += wait);
            sleep(wait).await;
        }
    }

    /// The server has begun to answer.
    fn begin(&mut self) {
        let resumed = matches!(self.from, From::Version(_));
        self.single.note(|status| {
            status.contact = Some(Instant::now().into_std());
            status.state = State::Watching;
            status.resumes += u64::from(resumed);
            status.lists += u64::from(!resumed);
        });
        if std::mem::take(&mut self.logged) {
            info!(name = &*self.single.name, "the API server responds again");
        }
        (self.each)(Seen::Up);
    }

    /// Takes in a line of the watch; what it returns ends it.
    fn line(&mut self, text: &[u8]) -> Option<Failure> {
        let Ok(Line { verb, object }) = serde_json::from_slice::<Line>(text) else {
            self.wrong(Malformed::Json);
            return None;
        };
        if verb == "ERROR" {
            return Some(serde_json::from_value(object).unwrap_or_default());
        }
        let at = version(&object);
        if let Some(at) = &at {
            self.from = From::Version(at.clone());
        }
        if verb != "BOOKMARK" {
            self.change(&verb, at, object);
        }
        None
    }

    /// Takes in the object as it is after something happened to it.
    fn change(&mut self, verb: &str, at: Option<String>, object: Value) {
        let metadata = &object["metadata"];
        // A server that ignores the selector must not make us take another node's orders.
        if metadata["name"].as_str() != Some(&*self.single.name) {
            return self.wrong(Malformed::Identity);
        }
        self.single.note(|status| status.events += 1);
        // Versions are numbers that grow, in the same order for all objects of a kind (KEP-5504).
        let at = at.and_then(|at| at.parse().ok());
        if at.is_some() && at <= self.seen {
            return;
        }
        self.seen = at;
        self.there = verb != "DELETED";
        match verb {
            "ADDED" | "MODIFIED" => (self.each)(Seen::Object(object)),
            "DELETED" => (self.each)(Seen::Gone),
            _ => {}
        }
    }

    fn wrong(&self, fault: Malformed) {
        self.single.note(|status| status.malformed[fault as usize] += 1);
    }

    /// What to make of an end: how long to wait.
    fn judge(&mut self, end: End, lived: Duration) -> Duration {
        let timing = &self.single.timing;
        if lived >= timing.steady {
            self.failures = 0;
        }
        // A server that takes a watch only to end it is as bad as one that refuses it.
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let retry = timing.retry(failures, random());
        let error = match end {
            End::Ended => return retry,
            End::Failed(error) => error,
        };
        let class = error.class();
        let odd =
            matches!(&error, Error::Refused { failure, .. } if NO_STATE.contains(&failure.code));
        if odd
            && !matches!(self.from, From::Version(_))
            && !std::mem::replace(&mut self.stateless, true)
        {
            debug!(error = error.chain(), "the API server does not support sendInitialEvents");
            return Duration::ZERO;
        }
        let state = if class == Class::Forbidden { State::Forbidden } else { State::BackingOff };
        self.single.note(|status| {
            status.errors[class as usize] += 1;
            status.state = state;
        });
        let wait = match class {
            // Roles take a moment to reach every server.
            Class::Forbidden if failures < PATIENT => retry,
            Class::Forbidden => timing.forbidden / 2 + share(timing.forbidden, random()),
            Class::Gone => {
                self.from = From::Newest;
                retry.max(share(timing.relist, random()))
            }
            _ => {
                error.retry_after().map_or(retry, |asked| retry.max(Timing::asked(asked, random())))
            }
        };
        if class != Class::Gone {
            (self.each)(Seen::Away);
        }
        self.tell(&error, wait);
        wait
    }

    /// Says what failed, once until it works again.
    fn tell(&mut self, error: &Error, wait: Duration) {
        let (resource, name, cause) = (self.single.resource, &*self.single.name, error.chain());
        // A gap is the server's daily business.
        if error.class() == Class::Gone || std::mem::replace(&mut self.logged, true) {
            debug!(resource, name, error = cause, ?wait, "request to the API server failed");
        } else {
            warn!(resource, name, error = cause, ?wait, "request to the API server failed");
        }
    }

    fn url(&self, seconds: u64) -> String {
        let seconds = seconds.to_string();
        let mut parameters =
            vec![("watch", "1"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &*seconds)];
        match &self.from {
            From::Version(version) => parameters.push(("resourceVersion", version)),
            From::Any | From::Newest => {
                parameters.push(("resourceVersion", "0"));
                if self.stateless {
                    parameters.push(("sendInitialEvents", "false"));
                    parameters.push(("resourceVersionMatch", "NotOlderThan"));
                }
            }
        }
        self.selection.url(&parameters)
    }
}

/// The version of an object, if it has one.
fn version(object: &Value) -> Option<String> {
    let version = object["metadata"]["resourceVersion"].as_str()?;
    (!version.is_empty()).then(|| version.to_owned())
}
