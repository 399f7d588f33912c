//! The rules that a spec must obey, beyond what its types say.
//!
//! In: a complete spec. Out: nothing, or every broken rule at once, each naming its field, its value and what would be
//! right. The schema states the same rules for the API server; tests hold that the two agree.
//! Pure: values only.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use super::bounds::{self, Bounds, LABEL_KEY, LABEL_VALUE, NODE_NAME, NODE_NAMES, SELECTOR_TERMS};
use super::{ProbeConfigSpec, ShortLived};
use crate::{CpuQuantity, FieldError, Interval, LabelSelectorOperator, LabelSelectorRequirement};

/// What is said of `shortLived: Trace`.
pub(crate) const UNSUPPORTED: &str = "is not supported by this version; use Counters";

impl ProbeConfigSpec {
    /// Whether an agent can run by this spec.
    ///
    /// # Errors
    /// All broken rules, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check { errors: Vec::new() };
        check.range(&bounds::PRIORITY, self.priority);
        check.node_selector(self);
        check.node_names(&self.node_names);
        check.intervals(self);
        check.range(&bounds::JITTER_PERCENT, self.jitter_percent);
        check.budget(self);
        check.limits(self);
        if self.short_lived == ShortLived::Trace {
            check.fail("spec.shortLived", self.short_lived, UNSUPPORTED);
        }
        check.cidr_groups(&self.matching.cidr_groups);
        check.range(&bounds::MAX_SERIES, self.metrics.max_series);
        check.range(&bounds::TTL, self.metrics.ttl);
        check.reporting(self);
        check.range(&bounds::NODES_PER_MINUTE, self.rollout.max_nodes_per_minute);
        check.range(&bounds::CANARY_PERCENT, self.rollout.canary_percent);
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

    fn range<T: PartialOrd + Copy + Serialize + Display>(&mut self, bounds: &Bounds<T>, value: T) {
        self.between(&format!("spec.{}", bounds.field), value, bounds.low, bounds.high);
    }

    fn between<T>(&mut self, field: &str, value: T, low: T, high: T)
    where
        T: PartialOrd + Copy + Serialize + Display,
    {
        if value < low {
            self.fail(field, value, format!("is too small; give at least {low}"));
        } else if value > high {
            self.fail(field, value, format!("is too large; give at most {high}"));
        }
    }

    /// `longer` must not be shorter than `shorter`, which stands in another field.
    fn at_least_as_long(
        &mut self,
        longer: (&Bounds<Interval>, Interval),
        shorter: (&Bounds<Interval>, Interval),
    ) {
        if longer.1 < shorter.1 {
            let expected =
                format!("is too short; give at least {}, as spec.{}", shorter.1, shorter.0.field);
            self.fail(&format!("spec.{}", longer.0.field), longer.1, expected);
        }
    }

    fn node_selector(&mut self, spec: &ProbeConfigSpec) {
        let selector = &spec.node_selector;
        if selector.match_labels.len() + selector.match_expressions.len() > SELECTOR_TERMS {
            let terms = selector.match_labels.len() + selector.match_expressions.len();
            self.fail(
                "spec.nodeSelector",
                terms,
                format!("conditions are too many; give at most {SELECTOR_TERMS}"),
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

    fn node_names(&mut self, names: &[String]) {
        if names.len() > NODE_NAMES {
            let expected = format!("names are too many; give at most {NODE_NAMES}");
            self.fail("spec.nodeNames", names.len(), expected);
        }
        let fits = |name: &&String| !(1..=NODE_NAME).contains(&name.len());
        for name in names.iter().filter(fits) {
            let expected = format!("is not a node's name; it has 1 to {NODE_NAME} letters");
            self.fail("spec.nodeNames", name, expected);
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
            _ if requirement.values.len() > SELECTOR_TERMS => {
                self.fail(
                    &values,
                    requirement.values.len(),
                    format!("values are more than {SELECTOR_TERMS}"),
                );
            }
            _ => {}
        }
    }

    fn label(&mut self, field: &str, key: &str, values: &[String]) {
        if key.is_empty() || key.len() > LABEL_KEY {
            self.fail(
                field,
                key,
                format!("is not a label's name; it has 1 to {LABEL_KEY} letters"),
            );
        }
        for value in values.iter().filter(|value| value.len() > LABEL_VALUE) {
            self.fail(
                field,
                value,
                format!("is not a label's value; it has at most {LABEL_VALUE} letters"),
            );
        }
    }

    fn intervals(&mut self, spec: &ProbeConfigSpec) {
        let intervals = &spec.intervals;
        self.range(&bounds::SOCKETS, intervals.sockets);
        self.range(&bounds::PROCESSES, intervals.processes);
        self.range(&bounds::CONTAINERS, intervals.containers);
        self.range(&bounds::BYTES, intervals.bytes);
        self.range(&bounds::REPORT, intervals.report);
        let sockets = (&bounds::SOCKETS, intervals.sockets);
        self.at_least_as_long((&bounds::BYTES, intervals.bytes), sockets);
    }

    fn budget(&mut self, spec: &ProbeConfigSpec) {
        let budget = &spec.budget;
        let (field, least, most) = bounds::CPU;
        let (least, most) =
            (CpuQuantity::from_millicores(least), CpuQuantity::from_millicores(most));
        self.between(&format!("spec.{field}"), budget.cpu, least, most);
        self.range(&bounds::WINDOW, budget.window);
        let sockets = (&bounds::SOCKETS, spec.intervals.sockets);
        self.at_least_as_long((&bounds::WINDOW, budget.window), sockets);
    }

    fn limits(&mut self, spec: &ProbeConfigSpec) {
        let limits = &spec.limits;
        self.range(&bounds::MAX_SOCKETS, limits.max_sockets);
        self.range(&bounds::MAX_PROCESSES, limits.max_processes);
        self.range(&bounds::PROCFS_READS, limits.procfs_reads_per_second);
        self.range(&bounds::FDS, limits.fds_per_second);
        self.range(&bounds::NETNS, limits.netns_per_second);
        self.range(&bounds::API_WRITES, limits.api_writes_per_minute);
        self.range(&bounds::REPORT_REQUESTS, limits.report_requests_per_second);
    }

    fn reporting(&mut self, spec: &ProbeConfigSpec) {
        let reporting = &spec.reporting;
        self.range(&bounds::TOP_N, reporting.top_n);
        self.range(&bounds::MIN_INTERVAL, reporting.min_interval);
        self.range(&bounds::REFRESH_INTERVAL, reporting.refresh_interval);
        self.at_least_as_long(
            (&bounds::REFRESH_INTERVAL, reporting.refresh_interval),
            (&bounds::MIN_INTERVAL, reporting.min_interval),
        );
    }
}
