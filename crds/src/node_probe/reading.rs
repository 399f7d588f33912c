//! Reading a configuration that a program of another release wrote.
//!
//! In: `config` of a `NodeProbe`, which the operator wrote and the API server checked. Out: what of it is known here, and
//! the names of what is not: fields that came later, and words that an enumeration got later. People's own objects are
//! read by [`ProbeConfigSpec::from_value`](crate::ProbeConfigSpec::from_value), which refuses what it does not know.
//! Pure: values only.

use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::NodeConfig;
use crate::{
    BudgetPolicy, CidrGroup, FlowHealth, Granularity, Peers, ReportingMode, ServiceMatching,
    ShortLived, Source,
};

/// More names than these are only counted.
const NAMED: usize = 8;
/// A name from elsewhere is cut to this.
const NAME: usize = 60;

/// What this release does not know of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Fields, by their path below `config`, and words as `field=Word`: the first few.
    pub names: Vec<String>,
    /// How many there are.
    pub count: usize,
}

impl Unknown {
    fn add(&mut self, mut name: String) {
        self.count += 1;
        if self.names.len() < NAMED {
            name.truncate(name.floor_char_boundary(NAME));
            self.names.push(name);
        }
    }
}

/// Whether a value is one of the words of its field.
type Known = fn(&Value) -> bool;

/// The fields that have a fixed set of words, and whether a value is one of them.
pub(crate) const WORDS: [(&str, Known); 8] = [
    ("source", |word| Source::deserialize(word).is_ok()),
    ("budget.policy", |word| BudgetPolicy::deserialize(word).is_ok()),
    ("shortLived", |word| ShortLived::deserialize(word).is_ok()),
    ("match.serviceMatching", |word| ServiceMatching::deserialize(word).is_ok()),
    ("match.peers", |word| Peers::deserialize(word).is_ok()),
    ("metrics.granularity", |word| Granularity::deserialize(word).is_ok()),
    ("metrics.health", |word| FlowHealth::deserialize(word).is_ok()),
    ("reporting.mode", |word| ReportingMode::deserialize(word).is_ok()),
];

/// Every field that there is. An item stands for each list of objects, which the defaults have empty.
static SHAPE: LazyLock<Value> = LazyLock::new(|| {
    let mut config = NodeConfig::default();
    config.matching.cidr_groups.push(CidrGroup { name: String::new(), cidrs: Vec::new() });
    serde_json::to_value(config).unwrap_or_default()
});

impl NodeConfig {
    /// The configuration that `value` describes as far as it is known here, and what is not. `None` if even the rest is
    /// none; whether it keeps the rules is not checked.
    #[must_use]
    pub fn read(value: &Value) -> Option<(Self, Unknown)> {
        // Almost always one's own release wrote it.
        if let Ok(config) = Self::deserialize(value) {
            return Some((config, Unknown::default()));
        }
        let (known, unknown) = Self::known_part(value)?;
        Some((serde_json::from_value(known).ok()?, unknown))
    }

    /// `value` without what is not known here; `None` if it is no mapping.
    #[must_use]
    pub fn known_part(value: &Value) -> Option<(Value, Unknown)> {
        let Value::Object(given) = value else { return None };
        let mut given = given.clone();
        let mut unknown = Unknown::default();
        if let Value::Object(known) = &*SHAPE {
            drop_fields(&mut given, known, "", &mut unknown);
        }
        for (path, is_known) in WORDS {
            let (block, field) = match path.split_once('.') {
                Some((block, field)) => {
                    (given.get_mut(block).and_then(Value::as_object_mut), field)
                }
                None => (Some(&mut given), path),
            };
            let Some(block) = block else { continue };
            if let Some(Value::String(word)) = block.get(field).filter(|word| !is_known(word)) {
                unknown.add(format!("{path}={word}"));
                block.remove(field);
            }
        }
        Some((given.into(), unknown))
    }

    /// The JSON that an operator writes: agents of every release can read it.
    #[must_use]
    pub fn written(&self) -> Value {
        let mut written = crate::ProbeConfigSpec::from(self.clone()).written();
        if let (Value::Object(fields), Value::Object(known)) = (&mut written, &*SHAPE) {
            fields.retain(|field, _| known.contains_key(field));
        }
        written
    }
}

fn drop_fields(
    given: &mut Map<String, Value>,
    known: &Map<String, Value>,
    path: &str,
    unknown: &mut Unknown,
) {
    let below =
        |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    given.retain(|field, value| {
        match (value, known.get(field)) {
            (_, None) => {
                unknown.add(below(field));
                return false;
            }
            (Value::Object(given), Some(Value::Object(known))) => {
                drop_fields(given, known, &below(field), unknown);
            }
            (Value::Array(items), Some(Value::Array(shapes))) => {
                let Some(Value::Object(known)) = shapes.first() else { return true };
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    drop_fields(item, known, &format!("{}[]", below(field)), unknown);
                }
            }
            _ => {}
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn what_a_later_release_says_is_left_out_and_named() {
        let value = json!({
            "paused": true, "source": "Quantum", "fromTheFuture": {"a": 1},
            "budget": {"cpu": "9m", "joules": 3, "policy": "Beg"},
            "match": {"cidrGroups": [{"name": "db", "cidrs": ["10.0.0.0/8"], "colour": "red"}]},
        });

        let (config, unknown) = NodeConfig::read(&value).unwrap();

        assert!(config.paused);
        assert_eq!(config.source, Source::Auto);
        assert_eq!(config.budget.cpu.to_string(), "9m");
        assert_eq!(config.matching.cidr_groups[0].name, "db");
        let names: BTreeSet<&str> = unknown.names.iter().map(String::as_str).collect();
        let reported = [
            "budget.joules",
            "budget.policy=Beg",
            "fromTheFuture",
            "match.cidrGroups[].colour",
            "source=Quantum",
        ];
        assert_eq!((names, unknown.count), (reported.into(), 5));
    }

    #[test]
    fn however_much_is_unknown_little_is_kept_of_it() {
        let many: Map<String, Value> =
            (0..100).map(|at| (format!("{at}{}", "ü".repeat(100)), json!(1))).collect();

        let (config, unknown) = NodeConfig::read(&many.into()).unwrap();

        assert_eq!(config, NodeConfig::default());
        assert_eq!((unknown.count, unknown.names.len()), (100, NAMED));
        assert!(unknown.names.iter().all(|name| name.len() <= NAME));
    }

    #[test]
    fn what_is_no_configuration_at_all_is_none() {
        for value in [json!(null), json!([1]), json!("text"), json!({"paused": "perhaps"})] {
            assert_eq!(NodeConfig::read(&value), None, "{value}");
        }
    }

    #[test]
    fn every_enumeration_and_every_list_of_objects_is_looked_into() {
        fn walk(place: &Value, path: &str, words: &mut BTreeSet<String>) {
            for (name, field) in place["properties"].as_object().into_iter().flatten() {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if field["enum"].is_array() {
                    words.insert(path.clone());
                }
                if field["items"]["properties"].is_object() {
                    let pointer = format!("/{}/0", path.replace('.', "/"));
                    assert!(SHAPE.pointer(&pointer).is_some(), "{path} has no shape");
                }
                walk(field, &path, words);
            }
        }
        let [_, node] = schema::definitions();
        let mut words = BTreeSet::new();
        walk(&schema::schema(&node)["properties"]["spec"]["properties"]["config"], "", &mut words);

        assert_eq!(words, WORDS.iter().map(|(path, _)| (*path).to_owned()).collect());
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        for config in [NodeConfig::default(), NodeConfig { paused: true, ..NodeConfig::default() }]
        {
            assert_eq!(NodeConfig::read(&config.written()), Some((config, Unknown::default())));
        }
    }
}
