//! The report as a stream of JSON pieces of some 32 KiB: full, or what changed after an epoch.
//!
//! In: a snapshot, the labels of containers, a query, what the reader may see. Out: pieces of text, one per call; between
//! two calls nothing is kept but a position. It must not compress, send or measure.
//!
//! A delta lists what went away before what is there, and is applied in that order: a container
//! may have gone and come back. A record that changed and no longer passes the filter counts as
//! gone. Who may not see the whole gets no delta: what went away is known by numbers alone, and not whose it was.
//!
//! Pure: no I/O.

use super::filter::Sieve;
use super::records::{Scene, pod_of_node};
use super::span::Span;
use super::{json, summary};
use crate::serve::sight::Sight;
use crate::snapshot::Snapshot;
use probelet_core::cluster::PodRecord;
use probelet_core::display::DisplayNames;
use probelet_core::facts::ContainerId;
use probelet_core::records::{Owner, Workload};
use probelet_core::report::{Picture, Removed};
use probelet_core::table::{Epoch, Frozen, Slot};
use std::sync::Arc;

/// A piece ends with the first chunk of records after so many bytes.
const PIECE: usize = 32 * 1024;

/// Where the stream stands.
#[derive(Clone, Copy, Debug)]
enum Step {
    Head,
    /// The log of removals: a kind of record, and how many were written.
    Gone(Kind, usize),
    /// Records that changed and do not pass the filter any more.
    Hidden(Kind, Slot),
    Rows(Kind, Slot),
    Tail,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Processes,
    Connections,
    Listeners,
    Containers,
    Pods,
    Flows,
    Risks,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Connections => "connections",
            Self::Listeners => "listeners",
            Self::Containers => "containers",
            Self::Pods => "pods",
            Self::Flows => "flows",
            Self::Risks => "risks",
        }
    }

    const fn next(self) -> Option<Self> {
        match self {
            Self::Processes => Some(Self::Connections),
            Self::Connections => Some(Self::Listeners),
            Self::Listeners => Some(Self::Containers),
            Self::Containers => Some(Self::Pods),
            Self::Pods => Some(Self::Flows),
            Self::Flows => Some(Self::Risks),
            Self::Risks => None,
        }
    }
}

/// The stream.
pub(crate) struct Renderer {
    snapshot: Arc<Snapshot>,
    labels: Arc<DisplayNames>,
    sieve: Sieve,
    span: Span,
    step: Step,
    /// No comma is due before the next element.
    fresh: bool,
    records: usize,
}

impl Renderer {
    pub(crate) const fn new(
        snapshot: Arc<Snapshot>,
        labels: Arc<DisplayNames>,
        sieve: Sieve,
        span: Span,
    ) -> Self {
        Self { snapshot, labels, sieve, span, step: Step::Head, fresh: true, records: 0 }
    }

    /// Records written so far.
    pub(crate) const fn records(&self) -> usize {
        self.records
    }

    /// Appends the next piece; `false` when it was the last.
    pub(crate) fn piece(&mut self, out: &mut Vec<u8>) -> bool {
        while out.len() < PIECE {
            self.step = match self.step {
                Step::Head => self.head(out),
                Step::Gone(kind, done) => self.gone(out, kind, done),
                Step::Hidden(kind, at) => self.hidden(out, kind, at),
                Step::Rows(kind, at) => self.rows(out, kind, at),
                Step::Tail => {
                    match self.sieve.sight {
                        Sight::All => summary::tail(out, &self.snapshot),
                        Sight::Namespaces(_) => summary::narrow_tail(out, &self.snapshot),
                    }
                    Step::End
                }
                Step::End => return false,
            };
        }
        true
    }

    fn head(&mut self, out: &mut Vec<u8>) -> Step {
        summary::head(out, &self.snapshot, self.span, &self.sieve.sight);
        match self.span {
            Span::Full { .. } => self.open(out, Kind::Processes),
            Span::Delta(_) => {
                out.extend_from_slice(b",\"removed\":{\"processes\":[");
                self.fresh = true;
                Step::Gone(Kind::Processes, 0)
            }
        }
    }

    fn open(&mut self, out: &mut Vec<u8>, kind: Kind) -> Step {
        json::write(out, format_args!(",\"{}\":[", kind.name()));
        self.fresh = true;
        Step::Rows(kind, 0)
    }

    fn gone(&mut self, out: &mut Vec<u8>, kind: Kind, done: usize) -> Step {
        let scene = scene(&self.snapshot, &self.labels, &self.sieve.sight);
        let log = self.snapshot.picture.removed.since(self.span.floor());
        let of_kind = log.into_iter().flatten().filter(|r| kind_of(*r) == kind);
        let mut written = done;
        for removed in of_kind.skip(done) {
            separate(out, &mut self.fresh);
            match removed {
                Removed::Connection(id)
                | Removed::Listener(id)
                | Removed::Flow(id)
                | Removed::Risk(id)
                | Removed::Pod(id) => json::int(out, id),
                Removed::Process(pid, start_ns) => scene.process_key(out, pid, start_ns),
                Removed::Container(id) => scene.container_key(out, id),
            }
            written += 1;
            if out.len() >= PIECE {
                return Step::Gone(kind, written);
            }
        }
        Step::Hidden(kind, 0)
    }

    fn hidden(&mut self, out: &mut Vec<u8>, kind: Kind, at: Slot) -> Step {
        let Self { snapshot, labels, sieve, span, fresh, .. } = self;
        let (scene, picture) = (scene(snapshot, labels, &sieve.sight), &snapshot.picture);
        let (since, floor) = (span.floor(), floor(labels, *span));
        // A pod that got or lost its name may have left the filter with it.
        let news = |changed: Epoch, owner: Option<ContainerId>| {
            changed > since
                || owner.is_some_and(|id| renamed(labels, Workload::Container(id), since))
        };
        let mut key = |out: &mut Vec<u8>, id: u64| {
            separate(out, fresh);
            json::int(out, id);
        };
        let next = match kind {
            _ if sieve.is_open() => None,
            Kind::Processes => walk(&picture.processes, at, floor, out, |out, r| {
                if news(r.changed, r.fact.container) && !sieve.process(r) {
                    separate(out, fresh);
                    scene.process_key(out, r.fact.pid, r.fact.start_ns);
                }
            }),
            Kind::Connections => walk(&picture.connections, at, floor, out, |out, r| {
                if news(r.changed, r.owner.pod()) && !sieve.connection(r) {
                    key(out, r.id);
                }
            }),
            Kind::Listeners => walk(&picture.listeners, at, floor, out, |out, r| {
                if news(r.changed, r.owner.pod()) && !sieve.listener(r) {
                    key(out, r.id);
                }
            }),
            Kind::Pods => walk_pods(picture, at, floor, out, |out, r| {
                if r.changed > since && !sieve.pod(r) {
                    key(out, r.id);
                }
            }),
            Kind::Risks => walk(&picture.risks, at, floor, out, |out, r| {
                if news(r.changed, r.owner.pod()) && !sieve.risk(r) {
                    key(out, r.id);
                }
            }),
            Kind::Containers | Kind::Flows => None,
        };
        match (next, kind.next()) {
            (Some(next), _) => Step::Hidden(kind, next),
            (None, Some(following)) => {
                json::write(out, format_args!("],\"{}\":[", following.name()));
                self.fresh = true;
                Step::Gone(following, 0)
            }
            (None, None) => {
                out.extend_from_slice(b"]}");
                self.open(out, Kind::Processes)
            }
        }
    }

    fn rows(&mut self, out: &mut Vec<u8>, kind: Kind, at: Slot) -> Step {
        let Self { snapshot, labels, sieve, span, fresh, records, .. } = self;
        let (scene, picture) = (scene(snapshot, labels, &sieve.sight), &snapshot.picture);
        let sight = &sieve.sight;
        let (since, floor) = (span.floor(), floor(labels, *span));
        let news = |changed: Epoch, shown: &[Workload]| {
            changed > since || shown.iter().any(|&workload| renamed(labels, workload, since))
        };
        let mut begin = |out: &mut Vec<u8>, shown| begin(out, fresh, records, shown);
        let next = match kind {
            Kind::Processes => walk(&picture.processes, at, floor, out, |out, r| {
                let pod = r.fact.container.map(Workload::Container).unwrap_or_default();
                let own = sight.container(r.fact.container, picture);
                if begin(out, own && news(r.changed, &[pod]) && sieve.process(r)) {
                    scene.process(out, r);
                }
            }),
            Kind::Connections => walk(&picture.connections, at, floor, out, |out, r| {
                let news = || news(r.changed, &[r.peer, held_by(&r.owner)]);
                let own = sight.owner(&r.owner, picture);
                if begin(out, own && news() && sieve.connection(r)) {
                    scene.connection(out, r);
                }
            }),
            Kind::Listeners => walk(&picture.listeners, at, floor, out, |out, r| {
                let own = sight.owner(&r.owner, picture);
                if begin(out, own && news(r.changed, &[held_by(&r.owner)]) && sieve.listener(r)) {
                    scene.listener(out, r);
                }
            }),
            Kind::Containers => walk(&picture.containers, at, floor, out, |out, r| {
                let own = sight.container(Some(r.id), picture);
                if begin(out, own && news(r.changed, &[Workload::Container(r.id)])) {
                    scene.container(out, r);
                }
            }),
            Kind::Pods => walk_pods(picture, at, floor, out, |out, r| {
                let own = sight.namespace(Some(&r.shown.namespace));
                if begin(out, own && news(r.changed, &[]) && sieve.pod(r)) {
                    pod_of_node(out, r);
                }
            }),
            Kind::Flows => walk(&picture.flows, at, floor, out, |out, r| {
                let own = sight.flow(r, picture);
                if begin(out, own && news(r.changed, &[r.key.source, r.key.destination])) {
                    scene.flow(out, r);
                }
            }),
            Kind::Risks => walk(&picture.risks, at, floor, out, |out, r| {
                let own = sight.owner(&r.owner, picture);
                if begin(out, own && news(r.changed, &[held_by(&r.owner)]) && sieve.risk(r)) {
                    scene.risk(out, r);
                }
            }),
        };
        match next {
            Some(next) => Step::Rows(kind, next),
            None => self.close(out, kind),
        }
    }

    fn close(&mut self, out: &mut Vec<u8>, kind: Kind) -> Step {
        out.push(b']');
        match kind.next() {
            Some(following) => self.open(out, following),
            None => Step::Tail,
        }
    }
}

/// Walks chunks of a table until the piece is full; the slot to go on with, if there is more.
fn walk<T>(
    table: &Frozen<T>,
    mut at: Slot,
    floor: Epoch,
    out: &mut Vec<u8>,
    mut each: impl FnMut(&mut Vec<u8>, &T),
) -> Option<Slot> {
    loop {
        let (page, next) = table.page_changed(at, floor);
        page.for_each(|record| each(out, record));
        at = next?;
        if out.len() >= PIECE {
            return Some(at);
        }
    }
}

/// The same for pods, of which there are none outside of a cluster.
fn walk_pods(
    picture: &Picture,
    at: Slot,
    floor: Epoch,
    out: &mut Vec<u8>,
    each: impl FnMut(&mut Vec<u8>, &PodRecord),
) -> Option<Slot> {
    walk(&picture.cluster.as_ref()?.pods, at, floor, out, each)
}

fn scene<'a>(snapshot: &'a Snapshot, labels: &'a DisplayNames, sight: &'a Sight) -> Scene<'a> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; microseconds fit"
    )]
    let boot_us = (snapshot.boot_unix * 1e6) as u64;
    Scene { picture: &snapshot.picture, labels, sight, boot_us }
}

/// Chunks unchanged since this epoch may be passed by; a label that changed may be shown anywhere.
fn floor(labels: &DisplayNames, span: Span) -> Epoch {
    let since = span.floor();
    if labels.changed > since { 0 } else { since }
}

/// What determines the names that are shown of an owner.
fn held_by(owner: &Owner) -> Workload {
    owner.pod().map_or_else(|| owner.workload(), Workload::Container)
}

fn renamed(labels: &DisplayNames, workload: Workload, since: Epoch) -> bool {
    let Workload::Container(id) = workload else { return false };
    labels.changed > since && labels.get(id).is_some_and(|l| l.changed > since)
}

const fn kind_of(removed: Removed) -> Kind {
    match removed {
        Removed::Connection(_) => Kind::Connections,
        Removed::Listener(_) => Kind::Listeners,
        Removed::Flow(_) => Kind::Flows,
        Removed::Risk(_) => Kind::Risks,
        Removed::Process(..) => Kind::Processes,
        Removed::Container(_) => Kind::Containers,
        Removed::Pod(_) => Kind::Pods,
    }
}

/// Begins a record, if it is shown.
fn begin(out: &mut Vec<u8>, fresh: &mut bool, records: &mut usize, shown: bool) -> bool {
    if shown {
        *records += 1;
        separate(out, fresh);
    }
    shown
}

fn separate(out: &mut Vec<u8>, fresh: &mut bool) {
    if !std::mem::take(fresh) {
        out.push(b',');
    }
}

#[cfg(test)]
mod narrow;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
