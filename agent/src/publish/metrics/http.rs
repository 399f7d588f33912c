//! The server's own counters.
//!
//! In: events. Out: families, through a registry of the `prometheus` crate.
//!
//! Pure: no I/O.

use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// What the server did.
pub(in crate::publish) struct Counters {
    registry: Registry,
    requests: IntCounterVec,
    closed: IntCounterVec,
    open: IntGauge,
    /// Bytes of reports, as sent.
    pub(in crate::publish) report_bytes: IntCounter,
}

impl Default for Counters {
    fn default() -> Self {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new(
                "probelet_agent_report_requests_total",
                "Requests for the report, by HTTP status.",
            ),
            &["code"],
        );
        let closed = IntCounterVec::new(
            Opts::new(
                "probelet_agent_http_closed_total",
                "Connections that the agent closed: too many at once, idle, or slower than it waits.",
            ),
            &["reason"],
        );
        let open =
            Opts::new("probelet_agent_http_connections", "Connections to the agent, by state.")
                .const_label("state", "open");
        let open = IntGauge::with_opts(open);
        let bytes =
            IntCounter::new("probelet_agent_report_bytes_total", "Bytes of reports, as sent.");
        let expected = "constant names and labels are valid";
        let counters = Self {
            registry,
            requests: requests.expect(expected),
            closed: closed.expect(expected),
            open: open.expect(expected),
            report_bytes: bytes.expect(expected),
        };
        let Self { registry, requests, closed, open, report_bytes } = &counters;
        let collectors: [Box<dyn prometheus::core::Collector>; 4] = [
            Box::new(requests.clone()),
            Box::new(closed.clone()),
            Box::new(open.clone()),
            Box::new(report_bytes.clone()),
        ];
        for collector in collectors {
            registry.register(collector).expect("each name is registered once");
        }
        counters
    }
}

impl Counters {
    /// A connection that counts as open until the value is dropped.
    pub(in crate::publish) fn open(&self) -> Open {
        self.open.inc();
        Open(self.open.clone())
    }

    /// A request for the report was answered.
    pub(in crate::publish) fn report(&self, code: u16) {
        self.requests.with_label_values(&[&code.to_string()]).inc();
    }

    /// A connection was closed for this reason.
    pub(in crate::publish) fn closed(&self, reason: &'static str) {
        self.closed.with_label_values(&[reason]).inc();
    }

    /// How many connections were closed for this reason.
    #[cfg(test)]
    pub(in crate::publish) fn closed_for(&self, reason: &str) -> u64 {
        self.closed.with_label_values(&[reason]).get()
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// An open connection.
pub(in crate::publish) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
