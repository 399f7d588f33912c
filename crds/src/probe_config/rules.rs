//! The rules that a spec must obey, beyond what its types say.
//!
//! In: a complete spec. Out: nothing, or every broken rule at once, each naming its field, its value and what would be
//! right. The ranges stand in the fields' comments too, for `kubectl explain`; a test holds the defaults inside them.
//! Pure: values only.

use serde::Serialize;
use serde_json::Value;

use super::{ProbeConfigSpec, ShortLived};
use crate::{CpuQuantity, FieldError, Interval, LabelSelectorOperator, LabelSelectorRequirement};

/// The most labels and conditions of a selector, as bounded as everything that ends up in a status.
const MAX_SELECTOR_TERMS: usize = 64;
/// Kubernetes' own bounds: a label's name with its prefix, and a label's value.
const MAX_LABEL_KEY: usize = 317;
const MAX_LABEL_VALUE: usize = 63;

const HOUR: Interval = Interval::from_secs(3600);
const DAY: Interval = Interval::from_secs(86_400);

impl ProbeConfigSpec {
    /// Whether an agent can run by this spec.
    ///
    /// # Errors
    /// All broken rules, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check { errors: Vec::new() };
        check.range("spec.priority", self.priority, -1000, 1000);
        check.node_selector(self);
        check.intervals(self);
        check.range("spec.jitterPercent", self.jitter_percent, 0, 50);
        check.budget(self);
        check.limits(self);
        if self.short_lived == ShortLived::Trace {
            check.fail(
                "spec.shortLived",
                self.short_lived,
                "is not supported by this version; use Counters",
            );
        }
        check.cidr_groups(&self.matching.cidr_groups);
        check.range("spec.metrics.maxSeries", self.metrics.max_series, 10, 20_000);
        check.range("spec.metrics.ttl", self.metrics.ttl, Interval::from_secs(60), DAY);
        check.reporting(self);
        check.range(
            "spec.rollout.maxNodesPerMinute",
            self.rollout.max_nodes_per_minute,
            1,
            100_000,
        );
        check.range("spec.rollout.canaryPercent", self.rollout.canary_percent, 0, 100);
        if check.errors.is_empty() { Ok(()) } else { Err(check.errors) }
    }
}

/// Collects what is wrong.
pub(super) struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    pub(super) fn fail(&mut self, field: &str, value: impl Serialize, expected: impl Into<String>) {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        self.errors.push(FieldError::new(field, &value, expected));
    }

    fn range<T: PartialOrd + Copy + Serialize + std::fmt::Display>(
        &mut self,
        field: &str,
        value: T,
        low: T,
        high: T,
    ) {
        if value < low {
            self.fail(field, value, format!("is too small; give at least {low}"));
        } else if value > high {
            self.fail(field, value, format!("is too large; give at most {high}"));
        }
    }

    /// `longer` must not be shorter than `shorter`, which stands in another field.
    fn at_least_as_long(&mut self, longer: (&str, Interval), shorter: (&str, Interval)) {
        if longer.1 < shorter.1 {
            self.fail(
                longer.0,
                longer.1,
                format!("is too short; give at least {}, as {}", shorter.1, shorter.0),
            );
        }
    }

    fn node_selector(&mut self, spec: &ProbeConfigSpec) {
        let selector = &spec.node_selector;
        if selector.match_labels.len() + selector.match_expressions.len() > MAX_SELECTOR_TERMS {
            let terms = selector.match_labels.len() + selector.match_expressions.len();
            self.fail(
                "spec.nodeSelector",
                terms,
                format!("conditions are too many; give at most {MAX_SELECTOR_TERMS}"),
            );
        }
        for (key, value) in &selector.match_labels {
            self.label("spec.nodeSelector.matchLabels", key, std::slice::from_ref(value));
        }
        for (position, requirement) in selector.match_expressions.iter().enumerate() {
            self.requirement(
                &format!("spec.nodeSelector.matchExpressions[{position}]"),
                requirement,
            );
        }
    }

    fn requirement(&mut self, field: &str, requirement: &LabelSelectorRequirement) {
        self.label(field, &requirement.key, &requirement.values);
        let wants_values = match requirement.operator {
            LabelSelectorOperator::In | LabelSelectorOperator::NotIn => true,
            LabelSelectorOperator::Exists | LabelSelectorOperator::DoesNotExist => false,
        };
        let values = format!("{field}.values");
        match (wants_values, requirement.values.is_empty()) {
            (true, true) => {
                self.fail(&values, &requirement.values, "needs a value for this operator");
            }
            (false, false) => {
                self.fail(&values, &requirement.values, "must be empty for this operator");
            }
            _ if requirement.values.len() > MAX_SELECTOR_TERMS => {
                self.fail(
                    &values,
                    requirement.values.len(),
                    format!("values are more than {MAX_SELECTOR_TERMS}"),
                );
            }
            _ => {}
        }
    }

    fn label(&mut self, field: &str, key: &str, values: &[String]) {
        if key.is_empty() || key.len() > MAX_LABEL_KEY {
            self.fail(
                field,
                key,
                format!("is not a label's name; it has 1 to {MAX_LABEL_KEY} letters"),
            );
        }
        for value in values.iter().filter(|value| value.len() > MAX_LABEL_VALUE) {
            self.fail(
                field,
                value,
                format!("is not a label's value; it has at most {MAX_LABEL_VALUE} letters"),
            );
        }
    }

    fn intervals(&mut self, spec: &ProbeConfigSpec) {
        let intervals = &spec.intervals;
        for (field, value) in [
            ("spec.intervals.sockets", intervals.sockets),
            ("spec.intervals.processes", intervals.processes),
            ("spec.intervals.containers", intervals.containers),
            ("spec.intervals.bytes", intervals.bytes),
            ("spec.intervals.report", intervals.report),
        ] {
            self.range(field, value, Interval::from_millis(100), HOUR);
        }
        let sockets = ("spec.intervals.sockets", intervals.sockets);
        self.at_least_as_long(("spec.intervals.bytes", intervals.bytes), sockets);
    }

    fn budget(&mut self, spec: &ProbeConfigSpec) {
        let budget = &spec.budget;
        let (least, most) = (CpuQuantity::from_millicores(1), CpuQuantity::from_millicores(8000));
        self.range("spec.budget.cpu", budget.cpu, least, most);
        let window = ("spec.budget.window", budget.window);
        self.range(window.0, window.1, Interval::from_secs(10), Interval::from_secs(600));
        self.at_least_as_long(window, ("spec.intervals.sockets", spec.intervals.sockets));
    }

    fn limits(&mut self, spec: &ProbeConfigSpec) {
        let limits = &spec.limits;
        for (field, value, low, high) in [
            ("spec.limits.maxSockets", limits.max_sockets, 1024, 2_097_152),
            ("spec.limits.maxProcesses", limits.max_processes, 256, 131_072),
            ("spec.limits.procfsReadsPerSecond", limits.procfs_reads_per_second, 10, 1_000_000),
            ("spec.limits.fdsPerSecond", limits.fds_per_second, 100, 10_000_000),
            ("spec.limits.netnsPerSecond", limits.netns_per_second, 1, 100_000),
            ("spec.limits.apiWritesPerMinute", limits.api_writes_per_minute, 1, 60),
            ("spec.limits.reportRequestsPerSecond", limits.report_requests_per_second, 1, 1000),
        ] {
            self.range(field, value, low, high);
        }
    }

    fn reporting(&mut self, spec: &ProbeConfigSpec) {
        let reporting = &spec.reporting;
        let least = ("spec.reporting.minInterval", reporting.min_interval);
        let refresh = ("spec.reporting.refreshInterval", reporting.refresh_interval);
        self.range("spec.reporting.topN", reporting.top_n, 0, 5);
        self.range(least.0, least.1, Interval::from_secs(10), HOUR);
        self.range(refresh.0, refresh.1, Interval::from_secs(60), DAY);
        self.at_least_as_long(refresh, least);
    }
}
