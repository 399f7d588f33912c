//! Follows one selection of one kind: lists it, then watches it from there on.
//!
//! In: answers of the server. Out: batches of events, in the order of the server. It must not drop an event, hold more
//! than one piece of a body, list without need or ask again at once after a failure. Between the first and the second
//! list nothing disappears: what a new list does not name is gone when the list is complete, which is for the receiver
//! to sort out.
//!
//! I/O: the network through [`Connection`]; sleeps.

use super::end::End;
use super::intake::Intake;
use super::outbox::Outbox;
use super::{Wanted, Watcher};
use crate::kube::connection::{self, Connection, Error};
use crate::kube::cpu;
use crate::kube::selection::Selection;
use crate::kube::split::{Items, Lines};
use crate::kube::status::{Class, State};
use crate::kube::timing::{Timing, random, share};
use crate::names::Origin;
use kube::client::Body;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

/// Objects in a page of a list; what a page holds is not kept anyway.
const PAGE: &str = "500";
/// Shorter waits for the receiver are a matter of two threads taking turns.
const NOTABLE: Duration = Duration::from_millis(1);

/// How servers say that they have no streaming lists: 400 and 422 where they do not know the parameters, 500 where their
/// store cannot ask for progress (etcd before 3.4.25 and 3.5.8). A server that only met with an accident is asked for a
/// plain list then, which does no harm.
const NO_STREAMING: [u16; 3] = [400, 422, 500];

/// Where a list may start. The server's cache answers for all but the last, whose cost the store bears.
#[derive(Debug, Clone, PartialEq, Eq)]
enum From {
    /// Nothing is known yet, so that nothing can be contradicted: whatever the cache has.
    Any,
    /// Not before what was seen already.
    NotOlderThan(String),
    /// What was seen is unknown to the server.
    Newest,
}

type Piece = Result<Option<bytes::Bytes>, Error>;

/// One selection, followed.
pub(super) struct Session<'a> {
    watcher: &'a Watcher,
    connection: &'a Connection,
    selection: &'a Selection,
    origin: Origin,
    intake: Intake,
    outbox: Outbox<'a>,
    from: From,
    /// The list is complete: the watch goes on from the version of `intake`.
    listed: bool,
    failures: u32,
    /// When the server refused a streaming list.
    refused: Option<Instant>,
    /// A failure was logged that is not over yet.
    logged: bool,
    first: bool,
}

impl<'a> Session<'a> {
    pub(super) fn new(watcher: &'a Watcher, wanted: &'a Wanted) -> Self {
        Self {
            watcher,
            connection: watcher.connection(wanted.origin),
            selection: &wanted.selection,
            origin: wanted.origin,
            intake: Intake::new(watcher.kind),
            outbox: Outbox::new(&watcher.events),
            from: From::Any,
            listed: false,
            failures: 0,
            refused: None,
            logged: false,
            first: true,
        }
    }

    /// Ends only when no one receives events any more.
    pub(super) async fn follow(mut self) {
        self.watcher.note(|status| status.state = State::Connecting);
        sleep(share(self.watcher.timing.start, random())).await;
        loop {
            let began = Instant::now();
            let Err(end) = self.once().await;
            if self.outbox.flush().await.is_err() {
                return;
            }
            match self.judge(end, began.elapsed()) {
                Some(wait) => sleep(wait).await,
                None => return,
            }
        }
    }

    async fn once(&mut self) -> Result<Infallible, End> {
        let again = self.watcher.timing.streaming;
        if !self.listed && self.refused.is_some_and(|refused| refused.elapsed() < again) {
            self.list().await?;
        }
        self.stream().await
    }

    /// A watch, which begins with a list if there is none yet.
    async fn stream(&mut self) -> Result<Infallible, End> {
        let timing = &self.watcher.timing;
        let seconds = timing.watch(random());
        let until = Instant::now() + Duration::from_secs(seconds) + timing.grace;
        let url = self.watch_url(seconds);
        let mut body = match self.open(&url).await {
            Err(End::Failed(Error::Refused { failure, .. }))
                if !self.listed && NO_STREAMING.contains(&failure.code) =>
            {
                return Err(End::NoStreaming);
            }
            answer => answer?,
        };
        self.begin();
        let mut lines = Lines::default();
        loop {
            let patience = if self.listed {
                until.saturating_duration_since(Instant::now())
            } else {
                timing.silence
            };
            let chunk = match self.next(&mut body, patience).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Err(End::Ended),
                Err(error) => {
                    // A server that ignores what it does not know sends objects and no end of them.
                    if !self.listed && matches!(error, Error::Silent(_)) {
                        self.refused = Some(Instant::now());
                    }
                    return Err(End::Failed(error));
                }
            };
            let before = cpu();
            lines.feed(&chunk, |line| self.intake.line(line));
            self.deliver(chunk.len(), before).await?;
            if let Some(failure) = self.intake.failure.take() {
                if !self.listed && NO_STREAMING.contains(&failure.code) {
                    return Err(End::NoStreaming);
                }
                let retry_after = failure.retry_after();
                return Err(End::Failed(Error::Refused { failure, retry_after }));
            }
            if !self.listed && !self.intake.listing {
                self.complete();
            }
        }
    }

    /// A list in pages, for servers without streaming ones.
    async fn list(&mut self) -> Result<(), End> {
        let mut page: Option<String> = None;
        loop {
            let url = self.list_url(page.as_deref());
            let mut body = self.open(&url).await?;
            if page.is_none() {
                self.begin();
            }
            let mut items = Items::default();
            let silence = self.watcher.timing.silence;
            while let Some(chunk) = self.next(&mut body, silence).await?.map_err(End::Failed)? {
                let before = cpu();
                items.feed(&chunk, |part| self.intake.part(part));
                self.deliver(chunk.len(), before).await?;
            }
            let metadata = std::mem::take(&mut self.intake.metadata);
            let version = metadata.resource_version.filter(|version| !version.is_empty());
            let (true, Some(version)) = (items.complete(), version) else {
                return Err(End::Failed(Error::Incomplete));
            };
            self.intake.version = version;
            page = metadata.more.filter(|more| !more.is_empty());
            if page.is_none() {
                break;
            }
        }
        self.intake.end_list();
        self.deliver(0, cpu()).await?;
        self.complete();
        Ok(())
    }

    async fn open(&mut self, url: &str) -> Result<Body, End> {
        let silence = self.watcher.timing.silence;
        let answer = self.connection.get(url, silence).await.map_err(End::Failed)?;
        Ok(answer.into_body())
    }

    /// The next piece of a body; what could not be handed over so far goes meanwhile, if there is room.
    async fn next(&mut self, body: &mut Body, patience: Duration) -> Result<Piece, End> {
        loop {
            tokio::select! {
                biased;
                piece = connection::chunk(body, patience) => return Ok(piece),
                flushed = self.outbox.flush(), if !self.outbox.is_empty() => flushed?,
            }
        }
    }

    /// The server has begun to answer.
    fn begin(&mut self) {
        self.intake.begin(!self.listed);
        let listed = self.listed;
        self.watcher.note(|status| {
            status.contact = Some(Instant::now().into_std());
            status.state = if listed { State::Watching } else { State::Listing };
            status.lists += u64::from(!listed);
            status.resumes += u64::from(listed);
        });
        if listed {
            self.recovered();
        }
    }

    /// The list is complete.
    fn complete(&mut self) {
        self.listed = true;
        let status = self.watcher.status.of(self.watcher.kind);
        let (kind, events, bytes) = (self.watcher.kind.name(), status.events, status.bytes);
        if std::mem::take(&mut self.first) {
            info!(kind, events, bytes, "objects of the cluster are known");
        } else {
            debug!(kind, events, bytes, "listed again");
        }
        self.watcher.note(|status| status.state = State::Watching);
        self.recovered();
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.logged) {
            let from = self.connection.server();
            info!(kind = self.watcher.kind.name(), from, "the server responds again");
        }
    }

    /// Hands over what one piece of a body held, then waits until there is room for the next one.
    async fn deliver(&mut self, bytes: usize, began: Duration) -> Result<(), End> {
        let batch = std::mem::take(&mut self.intake.batch);
        let changes = std::mem::take(&mut self.intake.changes);
        let wrong = std::mem::take(&mut self.intake.wrong);
        self.watcher.note(|status| {
            status.contact = Some(Instant::now().into_std());
            status.bytes += bytes as u64;
            status.events += changes;
            for (count, new) in status.malformed.iter_mut().zip(wrong) {
                *count += new;
            }
        });
        let cost = cpu().saturating_sub(began);
        if self.outbox.put(batch, bytes)? {
            let asked = Instant::now();
            self.outbox.flush().await?;
            let waited = asked.elapsed();
            if waited >= NOTABLE {
                self.watcher.note(|status| status.engine_wait += waited);
            }
        }
        while let Some(wait) = (self.watcher.pace)(cost) {
            self.watcher.note(|status| status.budget_wait += wait);
            sleep(wait).await;
        }
        Ok(())
    }

    /// What to make of an end: how long to wait, or `None` for ever.
    fn judge(&mut self, end: End, lived: Duration) -> Option<Duration> {
        let timing = &self.watcher.timing;
        if lived >= timing.steady {
            self.failures = 0;
        }
        // A server that takes a watch only to end it is as bad as one that refuses it.
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let error = match end {
            End::Closed => return None,
            End::Ended if self.listed => return Some(timing.retry(failures, random())),
            End::Ended => Error::Incomplete,
            End::NoStreaming => {
                debug!(
                    kind = self.watcher.kind.name(),
                    "the API server does not support streaming lists"
                );
                self.refused = Some(Instant::now());
                return Some(Duration::ZERO);
            }
            End::Failed(error) => error,
        };
        let class = error.class();
        let state = if class == Class::Forbidden { State::Forbidden } else { State::BackingOff };
        self.watcher.note(|status| {
            status.errors[class as usize] += 1;
            status.state = state;
        });
        let wait = self.wait(&error, class, failures);
        self.tell(&error, wait);
        Some(wait)
    }

    fn wait(&mut self, error: &Error, class: Class, failures: u32) -> Duration {
        let timing = &self.watcher.timing;
        let retry = match self.origin {
            Origin::Api => timing.retry(failures, random()),
            Origin::Feed => timing.retry_operator(failures, random()),
        };
        match class {
            Class::Forbidden => timing.forbidden / 2 + share(timing.forbidden, random()),
            Class::Gone => {
                let seen = std::mem::take(&mut self.intake.version);
                let known = std::mem::take(&mut self.listed) && !error.is_from_the_future();
                self.from = if known { From::NotOlderThan(seen) } else { From::Newest };
                retry.max(share(timing.relist, random()))
            }
            _ => {
                error.retry_after().map_or(retry, |asked| retry.max(Timing::asked(asked, random())))
            }
        }
    }

    /// Says what failed, once until it works again.
    fn tell(&mut self, error: &Error, wait: Duration) {
        let (kind, from) = (self.watcher.kind.name(), self.connection.server());
        let cause = error.chain();
        // A gap is the server's daily business.
        let quiet = error.class() == Class::Gone || std::mem::replace(&mut self.logged, true);
        if quiet {
            debug!(kind, from, error = cause, ?wait, "request for names failed");
        } else {
            warn!(kind, from, error = cause, ?wait, "request for names failed; names may be stale");
        }
    }

    fn watch_url(&self, seconds: u64) -> String {
        let seconds = seconds.to_string();
        let mut parameters =
            vec![("watch", "1"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &*seconds)];
        if !self.listed {
            parameters.push(("sendInitialEvents", "true"));
            parameters.push(("resourceVersionMatch", "NotOlderThan"));
        }
        match &self.from {
            _ if self.listed => parameters.push(("resourceVersion", &self.intake.version)),
            From::Any => parameters.push(("resourceVersion", "0")),
            From::NotOlderThan(version) => parameters.push(("resourceVersion", version)),
            From::Newest => {}
        }
        self.selection.url(&parameters)
    }

    /// With a limit and a version other than 0 the server would ask its store, so a list after a gap comes whole.
    fn list_url(&self, page: Option<&str>) -> String {
        let parameters: &[_] = match (page, &self.from) {
            (Some(page), _) => &[("limit", PAGE), ("continue", page)],
            (None, From::Any) => &[("limit", PAGE), ("resourceVersion", "0")],
            (None, From::NotOlderThan(version)) => {
                &[("resourceVersion", version), ("resourceVersionMatch", "NotOlderThan")]
            }
            (None, From::Newest) => &[("limit", PAGE)],
        };
        self.selection.url(parameters)
    }
}
