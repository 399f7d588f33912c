//! The server's own counters.
//!
//! In: events. Out: families, through a registry of the `prometheus` crate.
//!
//! Pure: no I/O.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What the server did.
pub(in crate::serve) struct Counters {
    registry: Registry,
    requests: IntCounterVec,
    answers: IntCounterVec,
    closed: IntCounterVec,
    reviews: IntCounterVec,
    reloads: IntCounterVec,
    open: IntGauge,
    /// Bytes of reports, as sent.
    pub(in crate::serve) report_bytes: IntCounter,
    /// Seconds in which no one was served.
    pub(in crate::serve) rested: Counter,
}

impl Default for Counters {
    fn default() -> Self {
        let registry = Registry::new();
        let vec = |name: &str, help: &str, label: &[&str]| {
            kept(&registry, IntCounterVec::new(Opts::new(name, help), label))
        };
        let open = Opts::new("probelet_agent_http_connections", "Connections, by state.");
        Self {
            requests: vec(
                "probelet_agent_report_requests_total",
                "Requests for the report, by HTTP status.",
                &["code"],
            ),
            answers: vec(
                "probelet_agent_http_requests_total",
                "Requests that were answered, by path and HTTP status.",
                &["path", "code"],
            ),
            closed: vec(
                "probelet_agent_http_closed_total",
                "Connections that the agent closed: too many at once, idle for longest when the limit was reached, idle, too slow, or failed the TLS handshake.",
                &["reason"],
            ),
            reviews: vec(
                "probelet_agent_auth_reviews_total",
                "Token reviews asked of the API server, or not asked because of limits, by result.",
                &["result"],
            ),
            reloads: vec(
                "probelet_agent_tls_reloads_total",
                "Reloads of changed certificate files, by result.",
                &["result"],
            ),
            open: kept(&registry, IntGauge::with_opts(open.const_label("state", "open"))),
            report_bytes: kept(
                &registry,
                IntCounter::new("probelet_agent_report_bytes_total", "Bytes of reports, as sent."),
            ),
            rested: kept(
                &registry,
                Counter::new(
                    "probelet_agent_http_rested_seconds_total",
                    "Time in which no request was served because the readers' share of the CPU budget was used up, in seconds.",
                ),
            ),
            registry,
        }
    }
}

/// Registers what was made.
fn kept<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("constant names and labels are valid");
    registry.register(Box::new(collector.clone())).expect("each name is registered once");
    collector
}

impl Counters {
    /// A connection that counts as open until the value is dropped.
    pub(in crate::serve) fn open(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    /// A request for the report was answered.
    pub(in crate::serve) fn report(&self, code: u16) {
        self.requests.with_label_values(&[&code.to_string()]).inc();
    }

    /// A request was answered.
    pub(in crate::serve) fn answered(&self, path: &'static str, code: u16) {
        self.answers.with_label_values(&[path, &code.to_string()]).inc();
    }

    /// The API server was asked about a token, or should have been.
    pub(in crate::serve) fn review(&self, result: &'static str) {
        self.reviews.with_label_values(&[result]).inc();
    }

    /// The files of the certificate had changed.
    pub(in crate::serve) fn reload(&self, result: &'static str) {
        self.reloads.with_label_values(&[result]).inc();
    }

    /// A connection was closed for this reason.
    pub(in crate::serve) fn closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// How many connections were closed for this reason.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::serve) fn closed_for(&self, reason: &str) -> u64 {
        self.closed.with_label_values(&[reason]).get()
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// An open connection.
pub(in crate::serve) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
