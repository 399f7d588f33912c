//! What the feed hands out, and what that costs.
//!
//! In: what the feed's thread does. Out: metrics of the operator's registry. Labels are of fixed sets, so that their series are
//! there from the start.
//!
//! I/O: reads the clock of the thread.

use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, Opts};
use rustix::time::{ClockId, clock_gettime};

use super::{Make, ours};
use crate::refusal::Refusal;

/// Why something was refused that has nothing to do with the token.
const OTHERS: [&str; 4] = ["full", "not_listed", "stale", "too_often"];
/// Why a pod is not handed out.
const DROPPED: [&str; 2] = ["full", "too_large"];

/// The metrics of the feed.
#[derive(Clone)]
pub struct Feed {
    pods: IntGauge,
    bytes: IntGauge,
    heard: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) watches: IntGauge,
    pub(crate) events: IntCounter,
    sent: IntCounter,
    lists: IntCounter,
    pub(crate) expired: IntCounter,
    addresses: IntCounterVec,
    refused: IntCounterVec,
    dropped: IntCounterVec,
    cpu: Counter,
    pub(crate) watch_errors: IntCounter,
}

impl Feed {
    pub(super) fn new(make: &Make, watch_errors: IntCounter) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| make.gauge(&format!("feed_{name}"), help);
        let counter = |name: &str, help: &str| {
            make.with(IntCounter::with_opts(Opts::new(ours(&format!("feed_{name}")), help))?)
        };
        let cpu_help = "CPU time of the thread that follows pods and hands them out, in seconds.";
        let feed = Self {
            pods: gauge("pods", "Pods that the feed holds.")?,
            bytes: gauge("pod_bytes", "Bytes of what the feed holds of them.")?,
            heard: gauge(
                "contact_timestamp_seconds",
                "When the API server last sent anything about pods, Unix time in seconds; 0 is never.",
            )?,
            connections: gauge("connections", "Open connections to the feed.")?,
            watches: gauge("watches", "Watches of agents; one for each node.")?,
            events: counter("events_total", "Pods and changes of pods that were handed out.")?,
            sent: counter("sent_bytes_total", "Bytes that were handed out, before encryption.")?,
            lists: counter("lists_total", "Lists that were handed out.")?,
            expired: counter(
                "expired_total",
                "Watches that needed a new list: their agent was away too long, or read too slowly.",
            )?,
            addresses: make.counters(
                "feed_addresses_total",
                "Addresses that agents asked for, by whether a pod was found there.",
                &["found"],
            )?,
            refused: make.counters(
                "feed_refused_total",
                "Requests that were refused, by reason.",
                &["reason"],
            )?,
            dropped: make.counters(
                "feed_dropped_total",
                "Pods that are not handed out, by reason.",
                &["reason"],
            )?,
            cpu: make.with(Counter::new(ours("feed_cpu_seconds_total"), cpu_help)?)?,
            watch_errors,
        };
        for reason in OTHERS.into_iter().chain(Refusal::ALL.map(Refusal::name)) {
            drop(feed.refused.with_label_values(&[reason]));
        }
        feed.named(0, 0);
        for reason in DROPPED {
            drop(feed.dropped.with_label_values(&[reason]));
        }
        Ok(feed)
    }

    pub(crate) fn held(&self, pods: usize, bytes: usize) {
        self.pods.set(i64::try_from(pods).unwrap_or(i64::MAX));
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn heard(&self) {
        self.heard.set(k8s_openapi::jiff::Timestamp::now().as_second());
    }

    pub(crate) fn list(&self) {
        self.lists.inc();
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.inc_by(bytes as u64);
    }

    pub(crate) fn named(&self, asked: usize, found: usize) {
        self.addresses.with_label_values(&["yes"]).inc_by(found as u64);
        self.addresses.with_label_values(&["no"]).inc_by(asked.saturating_sub(found) as u64);
    }

    pub(crate) fn refused(&self, reason: &str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    pub(crate) fn dropped(&self, reason: &str) {
        self.dropped.with_label_values(&[reason]).inc();
    }

    /// Reads what this thread has cost.
    pub(crate) fn spent(&self) {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds of a metric")]
        let seconds = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
    }
}
