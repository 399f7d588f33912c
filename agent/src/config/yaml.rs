//! YAML to spec, with every mistake at its line.
//!
//! In: the bytes of a file that holds the spec of a `ProbeConfig`, bare or under `spec` of a whole object. Out: the
//! spec, or all that is wrong. The document is read into plain values first, with the line of every key beside them,
//! because the rules are the CRD crate's and it knows fields, not lines. Pure: bytes to values.

use std::{collections::BTreeMap, fmt};

use probelet_core::text::clean;
use probelet_crds::{API_VERSION, FieldError, PROBE_CONFIG, ProbeConfigSpec};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};
use serde_saphyr::{Budget, Options, Spanned};

/// Nothing in a configuration is nested deeper; it bounds the recursion.
const MAX_DEPTH: usize = 32;
/// The keys of an object in Kubernetes.
const OBJECT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", line.map(|line| format!(" (line {line})")).unwrap_or_default())]
pub struct Mistake {
    /// The field, such as `spec.budget.cpu`; empty if the text is not YAML.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// The line of the file that it is on, where that is known.
    pub line: Option<u64>,
}

/// The spec that a file holds.
pub(super) fn spec(bytes: &[u8]) -> Result<ProbeConfigSpec, Vec<Mistake>> {
    let mut options = Options::default();
    options.with_snippet = false;
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    options.budget = Some(budget);
    let root: Located = serde_saphyr::from_slice_with_options(bytes, options)
        .map_err(|error| vec![unreadable(&error)])?;
    let mut lines = BTreeMap::new();
    let root_name = if root.is_object() { "" } else { "spec" };
    let value = root.flatten(root_name, &mut lines);
    let at_line = |error: FieldError| Mistake {
        line: line_of(&lines, &error.field),
        message: error.to_string(),
        field: error.field,
    };
    let spec =
        if root_name.is_empty() { in_object(&value).map_err(|e| vec![at_line(e)])? } else { value };
    ProbeConfigSpec::from_value(&spec).map_err(|errors| errors.into_iter().map(at_line).collect())
}

/// The spec of a whole object.
fn in_object(object: &Value) -> Result<Value, FieldError> {
    for (key, right) in [("apiVersion", API_VERSION), ("kind", PROBE_CONFIG)] {
        let given = &object[key];
        if given != right {
            let (field, value) = (key.to_owned(), given.to_string());
            return Err(FieldError {
                field,
                value,
                expected: format!("is of the wrong type or kind; give {right}"),
            });
        }
    }
    let keys = object.as_object().into_iter().flat_map(Map::keys);
    if let Some(key) = keys.into_iter().find(|key| !OBJECT.contains(&key.as_str())) {
        let expected =
            format!("unknown field `{key}` beside spec; known here: {}", OBJECT.join(", "));
        return Err(FieldError { field: key.clone(), value: String::new(), expected });
    }
    Ok(object["spec"].clone())
}

fn unreadable(error: &serde_saphyr::Error) -> Mistake {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let text = error.without_snippet().to_string();
    // The parser puts its own position at the end.
    let text = text.split(" at line ").next().unwrap_or(&text).lines().next().unwrap_or_default();
    // It repeats what it stumbled over.
    let text = clean(text);
    Mistake { field: String::new(), message: format!("is not readable as YAML: {text}"), line }
}

/// The line of the field, or of what contains it.
fn line_of(lines: &BTreeMap<String, u64>, field: &str) -> Option<u64> {
    let mut name = field;
    loop {
        if let Some(line) = lines.get(name) {
            return Some(*line);
        }
        name = &name[..name.rfind(['.', '['])?];
    }
}

/// A YAML node whose mappings remember the lines of their keys.
enum Located {
    Scalar(Value),
    Sequence(Vec<Located>),
    Mapping(Vec<(Spanned<String>, Located)>),
}

impl Located {
    fn is_object(&self) -> bool {
        let Self::Mapping(entries) = self else { return false };
        entries.iter().any(|(key, _)| ["apiVersion", "kind", "spec"].contains(&key.value.as_str()))
    }

    /// The plain value; the lines of its keys go to `lines`, under the path of their field.
    fn flatten(self, path: &str, lines: &mut BTreeMap<String, u64>) -> Value {
        match self {
            Self::Scalar(value) => value,
            Self::Sequence(items) => {
                let flat = |(i, item): (usize, Self)| item.flatten(&format!("{path}[{i}]"), lines);
                Value::Array(items.into_iter().enumerate().map(flat).collect())
            }
            Self::Mapping(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    let dot = if path.is_empty() { "" } else { "." };
                    let path = format!("{path}{dot}{}", key.value);
                    let value = value.flatten(&path, lines);
                    lines.insert(path, key.referenced.line());
                    object.insert(key.value, value);
                }
                Value::Object(object)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Node)
    }
}

struct Node;

impl<'de> de::Visitor<'de> for Node {
    type Value = Located;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping, a sequence or a plain value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Located, E> {
        Ok(Located::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Located, E> {
        Ok(Located::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Located, E> {
        Ok(Located::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Located, E> {
        Ok(Located::Scalar(value.into()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Located, E> {
        Ok(Located::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Located, E> {
        Ok(Located::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Located, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Located, D::Error> {
        Located::deserialize(deserializer)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut access: A) -> Result<Located, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Located::Sequence(items))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Located, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Located::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        spec(text.as_bytes()).expect_err("a mistake").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bare_spec_and_a_whole_object_say_the_same() {
        let bare = spec(b"paused: true\nbudget: {cpu: 10m}\n").unwrap();
        let text = "apiVersion: probelet.io/v1alpha1\nkind: ProbeConfig\nmetadata: {name: default}\n\
                    spec:\n  paused: true\n  budget:\n    cpu: 0.01\n";
        assert!(bare.paused);
        assert_eq!(spec(text.as_bytes()), Ok(bare));
    }

    #[test]
    fn comments_alone_are_the_defaults() {
        assert_eq!(spec(b"# nothing yet\n"), Ok(ProbeConfigSpec::default()));
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line_and_its_likely_meaning() {
        let text = "paused: false\n\nbudgte:\n  cpu: 5m\n";
        assert_eq!(
            messages(text),
            ["unknown field `budgte` in spec, did you mean `budget`? (line 3)"]
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_with_its_line() {
        let text = "limits:\n  maxSockets: many\nintervals: [1s]\n";
        assert_eq!(
            messages(text),
            [
                r#"spec.intervals: ["1s"] is not a mapping of fields to values (line 3)"#,
                r#"spec.limits.maxSockets: "many" is not a whole number (line 2)"#,
            ]
        );
    }

    #[test]
    fn a_broken_rule_is_named_with_its_line_in_a_whole_object() {
        let text = "apiVersion: probelet.io/v1alpha1\nkind: ProbeConfig\nspec:\n  budget:\n    cpu: 0.5m\n";
        assert_eq!(
            messages(text),
            [r#"spec.budget.cpu: "0.5m" is too small; give at least 1m (line 5)"#]
        );
    }

    #[test]
    fn a_rule_about_an_unwritten_field_has_the_line_of_what_would_contain_it() {
        let text = "intervals:\n  sockets: 20s\n";
        let message = r#"spec.intervals.bytes: "10s" is too short; give at least 20s, as spec.intervals.sockets (line 1)"#;
        assert_eq!(messages(text), [message]);
    }

    #[test]
    fn another_kind_of_object_is_refused() {
        let text = "apiVersion: v1\nkind: ConfigMap\nspec: {}\n";
        assert_eq!(
            messages(text),
            [
                r#"apiVersion: "v1" is of the wrong type or kind; give probelet.io/v1alpha1 (line 1)"#
            ]
        );
    }

    #[test]
    fn what_is_no_yaml_is_one_message_with_a_line() {
        let messages = messages("budget:\n  cpu: [5m\npaused: }\n");
        assert!(messages[0].starts_with("is not readable as YAML: "), "{messages:?}");
        assert!(messages[0].contains("(line "), "{messages:?}");
    }

    #[test]
    fn what_a_file_holds_is_repeated_without_what_acts_on_a_terminal() {
        for text in [
            "\"\\e]0;owned\\a\": 1\n",
            "budget: {cpu: \"\\x9b2J\"}\n",
            "source: \"\\e[2J\\n\"\n",
            "paused: !<tag:\u{1b}> x\n",
            "*\u{9b}2J\n",
            "? \u{1b}\n",
        ] {
            for message in messages(text) {
                assert!(!message.contains(char::is_control), "{message:?}");
            }
        }
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        assert!(messages("paused: true\npaused: false\n")[0].contains("(line 2)"));
    }

    #[test]
    fn nesting_without_end_is_refused_and_not_a_stack_overflow() {
        assert_eq!(messages(&"[".repeat(1 << 19)).len(), 1);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            text = format!("{text}a{i}: &a{i} [{items}]\n");
        }
        assert!(messages(&text)[0].starts_with("is not readable as YAML: "));
    }
}
