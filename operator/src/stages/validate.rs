//! Validate: whether a configuration may be put in force.
//!
//! In: the spec as people wrote it. Out: [`Valid`], with everything compiled that nodes are compared with, or
//! [`Rejected`] with the reason and message of the condition `Accepted`. Pure: values only.

use probelet_core::selector::{Expression, Selector};
use probelet_crds::condition::accepted;
use probelet_crds::{CpuQuantity, FieldError, LabelSelector, ProbeConfigSpec};
use serde_json::Value;

use crate::judged::{Judged, Rejected, Valid};
use crate::seen::SeenConfig;
use crate::stages::observe::cut;

/// The longest message of a condition that we write.
pub(crate) const MAX_MESSAGE: usize = 256;

/// Judges a configuration; `max_budget` is the most that an agent may be given.
#[must_use]
pub fn judge(seen: SeenConfig, max_budget: Option<CpuQuantity>) -> Judged {
    let verdict = validate(&seen.spec, max_budget);
    Judged { seen, verdict }
}

/// Judges a spec; `max_budget` is the most that an agent may be given.
///
/// # Errors
/// What is wrong with it.
fn validate(spec: &Value, max_budget: Option<CpuQuantity>) -> Result<Valid, Rejected> {
    let reject = |errors: &[FieldError]| {
        let unknown = errors.iter().any(|error| error.value.is_empty());
        let reason = if unknown { accepted::UNKNOWN_FIELD } else { accepted::INVALID };
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        rejected(spec, reason, &messages.join("; "))
    };
    let parsed = ProbeConfigSpec::from_value(spec).map_err(|errors| reject(&errors))?;
    let selector = compile(&parsed.node_selector).map_err(|error| {
        rejected(spec, accepted::INVALID, &format!("spec.nodeSelector: {error}"))
    })?;
    let cpu = parsed.budget.cpu;
    if let Some(most) = max_budget.filter(|&most| cpu > most) {
        let message =
            format!("spec.budget.cpu: {cpu} is more than the operator allows; give at most {most}");
        return Err(rejected(spec, accepted::BUDGET_TOO_LARGE, &message));
    }
    Ok(Valid {
        priority: parsed.priority,
        selector,
        names: parsed.node_names.iter().map(|name| name.as_str().into()).collect(),
        rollout: parsed.rollout.clone(),
        config: parsed.into(),
    })
}

fn rejected(spec: &Value, reason: &'static str, message: &str) -> Rejected {
    let priority = spec["priority"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    Rejected { reason, message: cut(message, MAX_MESSAGE).to_owned(), priority }
}

fn compile(selector: &LabelSelector) -> Result<Selector, probelet_core::selector::Error> {
    let expressions = selector.match_expressions.iter().map(|requirement| Expression {
        key: &requirement.key,
        operator: requirement.operator.as_str(),
        values: &requirement.values,
    });
    Selector::from_requirements(&selector.match_labels, expressions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use probelet_crds::NodeConfig;
    use serde_json::json;

    fn judge_spec(spec: &Value) -> Result<Valid, Rejected> {
        validate(spec, None)
    }

    #[test]
    fn an_empty_spec_is_for_all_nodes_by_the_defaults() {
        let valid = judge_spec(&Value::Null).unwrap();

        assert!(valid.selector.is_empty());
        assert_eq!(valid.config, NodeConfig::default());
    }

    #[test]
    fn a_field_from_the_future_is_named() {
        let rejected = judge_spec(&json!({"priority": 7, "quantumMode": true})).unwrap_err();

        assert_eq!(rejected.reason, accepted::UNKNOWN_FIELD);
        assert!(rejected.message.contains("quantumMode"), "{}", rejected.message);
        assert_eq!(rejected.priority, 7);
    }

    #[test]
    fn a_broken_rule_is_reported_with_its_field() {
        let rejected = judge_spec(&json!({"budget": {"cpu": "0.1m"}})).unwrap_err();

        assert_eq!(rejected.reason, accepted::INVALID);
        assert!(rejected.message.contains("spec.budget.cpu"), "{}", rejected.message);
    }

    #[test]
    fn a_budget_beyond_the_operators_own_bound_is_not_accepted() {
        let most = Some("100m".parse().unwrap());

        assert!(validate(&json!({"budget": {"cpu": "100m"}}), most).is_ok());
        let rejected = validate(&json!({"budget": {"cpu": "8"}}), most).unwrap_err();

        assert_eq!(rejected.reason, accepted::BUDGET_TOO_LARGE);
        assert!(rejected.message.contains("spec.budget.cpu: 8 is more"), "{}", rejected.message);
        assert!(rejected.message.contains("at most 100m"), "{}", rejected.message);
    }

    #[test]
    fn nodes_are_known_by_their_names() {
        let names = judge_spec(&json!({"nodeNames": ["a", "b", "a"]})).unwrap().names;

        assert_eq!(names, ["a", "b"].map(Into::into).into());
    }

    #[test]
    fn many_mistakes_make_no_long_message() {
        let many: serde_json::Map<_, _> =
            (0..50).map(|i| (format!("field-ü-{i}"), json!(1))).collect();

        assert!(judge_spec(&many.into()).unwrap_err().message.len() <= MAX_MESSAGE);
    }

    #[test]
    fn both_halves_of_a_selector_must_hold() {
        let selector = judge_spec(&json!({"nodeSelector": {"matchLabels": {"pool": "gpu"},
            "matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}}));
        let selector = selector.unwrap().selector;

        assert!(selector.matches(&Labels::new([("pool", "gpu"), ("zone", "b")])));
        assert!(!selector.matches(&Labels::new([("pool", "gpu"), ("zone", "a")])));
        assert!(!selector.matches(&Labels::new([("zone", "b")])));
    }
}
