//! Configurations as lists of leaves, which is how people compare them.
//!
//! In: JSON. Out: paths such as `budget.cpu` with their values, and the differences of two. Pure: values only.

use std::collections::BTreeMap;

use probelet_crds::ProbeConfigSpec;
use serde::Serialize;
use serde_json::Value;

/// A field whose value differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Its path.
    pub field: String,
    /// Before; none if it was not there.
    pub from: Option<Value>,
    /// After.
    pub to: Option<Value>,
}

/// All leaves of an object by their paths; a list is one leaf.
#[must_use]
pub fn leaves(value: &Value) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    walk(String::new(), value, &mut all);
    all
}

fn walk(path: String, value: &Value, all: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(path, value, all);
            }
        }
        // Nothing in it: there is nothing to compare.
        Value::Object(_) => {}
        leaf => drop(all.insert(path, leaf.clone())),
    }
}

/// In what two specs differ, with every field that they leave out at its default.
#[must_use]
pub fn changes(from: &ProbeConfigSpec, to: &ProbeConfigSpec) -> Vec<Change> {
    let value = |spec: &ProbeConfigSpec| leaves(&serde_json::to_value(spec).unwrap_or_default());
    let (from, to) = (value(from), value(to));
    let mut fields: Vec<&String> = from.keys().chain(to.keys()).collect();
    fields.sort();
    fields.dedup();
    let differs = |field: &&String| from.get(*field) != to.get(*field);
    let change = |field: &String| Change {
        field: field.clone(),
        from: from.get(field).cloned(),
        to: to.get(field).cloned(),
    };
    fields.into_iter().filter(differs).map(change).collect()
}

/// Whether a person wrote this field.
#[must_use]
pub(crate) fn is_written(spec: &Value, path: &str) -> bool {
    path.split('.').try_fold(spec, |at, key| at.get(key)).is_some_and(|value| !value.is_null())
}

/// A value as people write it.
#[must_use]
pub fn shown(value: Option<&Value>) -> String {
    match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(value: &Value) -> ProbeConfigSpec {
        ProbeConfigSpec::from_value(value).unwrap()
    }

    #[test]
    fn a_field_that_is_written_with_its_default_is_no_change() {
        let from = spec(&json!({}));
        let to = spec(&json!({"intervals": {"sockets": "1000ms"}, "budget": {"cpu": "9m"}}));

        let changes = changes(&from, &to);

        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(changes[0].field, "budget.cpu");
        assert_eq!(
            (shown(changes[0].from.as_ref()), shown(changes[0].to.as_ref())),
            ("5m".to_owned(), "9m".to_owned())
        );
    }

    #[test]
    fn labels_that_come_and_go_are_changes() {
        let from = spec(&json!({"nodeSelector": {"matchLabels": {"pool": "gpu"}}}));
        let to = spec(&json!({"nodeSelector": {"matchLabels": {"zone": "a"}}}));

        let fields: Vec<String> = changes(&from, &to).into_iter().map(|c| c.field).collect();

        assert_eq!(fields, ["nodeSelector.matchLabels.pool", "nodeSelector.matchLabels.zone"]);
    }
}
