//! The rules that a spec must follow, beyond what its types say.
//!
//! In: a complete spec. Out: nothing, or every broken rule at once, each naming its field, its value and what would be
//! right. The schema states the same rules for the API server; tests hold that the two agree.
//! Pure: values only.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ProbeConfigSpec;
use super::bounds::{self, LABEL_KEY, LABEL_VALUE, NODE_NAME, NODE_NAMES, Range, SELECTOR_TERMS};
use crate::{CpuQuantity, FieldError, Interval, LabelSelectorOperator, LabelSelectorRequirement};

impl ProbeConfigSpec {
    /// Whether an agent can run by this spec.
    ///
    /// # Errors
    /// All broken rules, in the order of the fields.
    pub fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Check { errors: Vec::new() };
        check.ranges(self);
        check.node_selector(self);
        check.node_names(&self.node_names);
        check.cidr_groups(&self.matching.cidr_groups);
        if check.errors.is_empty() {
            return Ok(());
        }
        let order = Self::fields();
        let place = |error: &FieldError| {
            let field = error.field.split(['.', '[']).nth(1);
            order.iter().position(|known| Some(known.as_str()) == field)
        };
        check.errors.sort_by_key(place);
        Err(check.errors)
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

    /// Every field with a range, by the spec as it is written: the table knows fields by their path.
    fn ranges(&mut self, spec: &ProbeConfigSpec) {
        let written = serde_json::to_value(spec).unwrap_or_default();
        for (field, range) in bounds::RANGES {
            match range {
                Range::Number(low, high) => self.between(&written, field, low, high),
                Range::Time(low, high) => self.between(&written, field, low, high),
                Range::Cpu(low, high) => {
                    let amount = CpuQuantity::from_millicores;
                    self.between(&written, field, amount(low), amount(high));
                }
            }
        }
        for (longer, shorter) in bounds::AT_LEAST_AS_LONG {
            let (a, b): (Option<Interval>, Option<Interval>) =
                (at(&written, longer), at(&written, shorter));
            if let (Some(a), Some(b)) = (a, b)
                && a < b
            {
                let expected = format!("is too short; give at least {b}, as spec.{shorter}");
                self.fail(&format!("spec.{longer}"), a, expected);
            }
        }
    }

    fn between<T>(&mut self, written: &Value, field: &str, low: T, high: T)
    where
        T: PartialOrd + Copy + Serialize + DeserializeOwned + Display,
    {
        let Some(value) = at::<T>(written, field) else { return };
        let expected = if value < low {
            format!("is too small; give at least {low}")
        } else if value > high {
            format!("is too large; give at most {high}")
        } else {
            return;
        };
        self.fail(&format!("spec.{field}"), value, expected);
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
}

/// The value at a path of a spec that was written from its type, so that it is there and reads back.
fn at<T: DeserializeOwned>(written: &Value, path: &str) -> Option<T> {
    let value = path.split('.').try_fold(written, |at, field| at.get(field))?;
    T::deserialize(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_tables_is_one_of_the_spec_and_has_its_place() {
        let written = serde_json::to_value(ProbeConfigSpec::default()).unwrap();
        let pairs = bounds::AT_LEAST_AS_LONG.into_iter().flat_map(|(a, b)| [a, b]);

        for field in bounds::RANGES.into_iter().map(|(field, _)| field).chain(pairs) {
            assert!(at::<Value>(&written, field).is_some(), "{field}");
        }
        let fields = written.as_object().unwrap();
        let order = ProbeConfigSpec::fields();
        assert!(fields.len() == order.len() && order.iter().all(|name| fields.contains_key(name)));
    }
}
