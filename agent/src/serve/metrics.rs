//! `GET /metrics`: Prometheus text, rendered from the snapshot.
//!
//! In: the newest snapshot, the labels of containers, the server's own counters, what the reader may see. Out: one text,
//! rendered at most once a second for those who may see all of it. It must not collect anything: a scrape never starts a pass.
//!
//! I/O: reads a few files of `/proc/self`.

mod agent;
mod family;
mod flow_key;
mod flows;
mod health;
pub(super) mod http;
mod keys;
mod kubernetes;
mod narrow;
mod process;
#[cfg(test)]
mod reference;
mod rights;
mod series;
#[cfg(test)]
mod sums;
mod turns;
mod workloads;

use super::Shared;
use crate::capabilities::Capability;
use crate::clock::boot_ns;
use crate::node_probe::status as node_probe;
use crate::serve::http::route::{Answer, later, whole};
use crate::serve::sight::Sight;
use crate::snapshot::Snapshot;
use bytes::Bytes;
use family::Families;
pub use health::Shown;
use hyper::StatusCode;
use probelet_core::budget::Limiter;
use probelet_core::display::DisplayNames;
use prometheus::proto::MetricFamily;
use prometheus::{Encoder as _, TEXT_FORMAT, TextEncoder};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Scrapes a second: enough for several servers, too few to hurt.
const SCRAPES: u32 = 10;
/// Of those who may see a part, all together: each of their texts is made for one alone, and the others' are not to wait.
const NARROW_SCRAPES: u32 = 2;
/// A text serves all scrapes of so long.
const CACHE: Duration = Duration::from_secs(1);

/// `spec.metrics`, as far as series go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesLimits {
    /// Series that describe the node; what is beyond them is summed up as `other`.
    pub max_series: usize,
    /// How long a series outlives what it describes.
    pub ttl: Duration,
    /// Whose health is shown; those series come on top, a fifth of the others at most.
    pub health: Shown,
}

impl Default for SeriesLimits {
    fn default() -> Self {
        Self { max_series: 500, ttl: Duration::from_mins(5), health: Shown::default() }
    }
}

/// What is remembered from scrape to scrape.
pub(super) struct Metrics {
    began: Instant,
    scrapes: Limiter,
    narrow_scrapes: Limiter,
    /// They do not change while the process runs.
    lacking: Vec<Capability>,
    flows: flows::Flows,
    workloads: workloads::Usage,
    health: health::Health,
    rendered: Option<(Instant, Bytes)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            scrapes: Limiter::new(SCRAPES),
            narrow_scrapes: Limiter::new(NARROW_SCRAPES),
            lacking: node_probe::lacking(),
            flows: flows::Flows::default(),
            workloads: workloads::Usage::default(),
            health: health::Health::default(),
            rendered: None,
        }
    }
}

pub(super) fn answer(shared: &Shared, sight: &Sight) -> Answer {
    let now = Instant::now();
    let mut metrics = shared.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    let ns = u64::try_from(now.duration_since(metrics.began).as_nanos()).unwrap_or(u64::MAX);
    let (scrapes, most) = if sight.is_narrow() {
        (&mut metrics.narrow_scrapes, NARROW_SCRAPES)
    } else {
        (&mut metrics.scrapes, SCRAPES)
    };
    if scrapes.take(ns, 1) == 0 {
        let message = format!("more than {most} scrapes a second; try again in 1 s");
        return later(StatusCode::TOO_MANY_REQUESTS, &message, Duration::from_secs(1));
    }
    if sight.is_narrow() {
        let snapshot = Arc::clone(&shared.snapshots.borrow());
        let labels = shared.labels(&snapshot);
        let mut families = Families::default();
        metrics.workloads_and_flows(&mut families, &snapshot, &labels, (shared.series)(), now);
        let text = text_of(&narrow::narrow(families.sorted(), sight));
        return whole(StatusCode::OK, TEXT_FORMAT, text);
    }
    let fresh = metrics.rendered.as_ref().filter(|(at, _)| now.duration_since(*at) < CACHE);
    let text = if let Some((_, text)) = fresh {
        text.clone()
    } else {
        let snapshot = Arc::clone(&shared.snapshots.borrow());
        let labels = shared.labels(&snapshot);
        let mut families = Families::default();
        families.extend(shared.http.gather());
        if let Some(status) = &shared.kubernetes {
            kubernetes::add(&mut families, status, shared.node_probe.as_ref(), now);
        }
        let (_, text) = metrics.families(&snapshot, &labels, (shared.series)(), families, now);
        metrics.rendered = Some((now, text.clone()));
        text
    };
    whole(StatusCode::OK, TEXT_FORMAT, text)
}

/// A scrape, for tests.
#[cfg(test)]
pub(super) fn text(snapshot: &Snapshot, labels: &Arc<DisplayNames>) -> String {
    text_with(snapshot, labels, SeriesLimits { max_series: 5000, ..SeriesLimits::default() })
}

/// The same with limits of one's own.
#[cfg(test)]
fn text_with(snapshot: &Snapshot, labels: &Arc<DisplayNames>, limits: SeriesLimits) -> String {
    let families = Families::default();
    let (_, text) = Metrics::default().families(snapshot, labels, limits, families, Instant::now());
    String::from_utf8_lossy(&text).into_owned()
}

impl Metrics {
    /// All families, and the text of a scrape.
    fn families(
        &mut self,
        snapshot: &Snapshot,
        labels: &Arc<DisplayNames>,
        limits: SeriesLimits,
        mut families: Families,
        now: Instant,
    ) -> (Vec<MetricFamily>, Bytes) {
        agent::add(&mut families, snapshot, &self.lacking, boot_ns());
        process::add(&mut families, snapshot.vitals.started_unix);
        self.workloads_and_flows(&mut families, snapshot, labels, limits, now);
        let counts = [self.flows.count(), self.workloads.count(), self.health.count()];
        let exported: f64 = counts.iter().map(|count| count.0).sum();
        let folded: f64 = counts.iter().map(|count| count.1).sum();
        families.gauge(
            "probelet_agent_series",
            "Series that describe the node: exported, or folded into the series named other.",
            [([("state", "exported")], exported), ([("state", "folded")], folded)],
        );
        let families = families.sorted();
        let text = text_of(&families);
        (families, text)
    }

    /// What describes the node.
    fn workloads_and_flows(
        &mut self,
        families: &mut Families,
        snapshot: &Snapshot,
        labels: &Arc<DisplayNames>,
        limits: SeriesLimits,
        now: Instant,
    ) {
        self.flows.update(snapshot, labels, limits, now);
        self.workloads.update(snapshot, labels, limits, now);
        self.health.update(snapshot, labels, limits, now);
        self.flows.add(families);
        self.workloads.add(families);
        flows::add_services(families, &snapshot.picture);
        self.health.add(families, &snapshot.picture, labels);
    }
}

fn text_of(families: &[MetricFamily]) -> Bytes {
    let mut text = Vec::new();
    // Fails only for families without a name or a value, and none is added.
    if let Err(error) = TextEncoder::new().encode(families, &mut text) {
        tracing::error!(%error, "metrics could not be written");
    }
    text.into()
}
