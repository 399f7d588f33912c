//! What the API server does with an object before it stores it: no nulls, defaults, structure, rules.
//!
//! In: an object. Out: what is stored, and which fields are refused with which message (none for what the structure
//! refuses: those words are the server's own). Pure: values only.

use kube::core::cel::{CompiledSchema, ValidationError, Validator, apply_defaults, compile_schema};
use probelet_crds::schema;
use serde_json::{Value, json};

pub(crate) struct Server {
    definitions: [Value; 2],
    compiled: [CompiledSchema; 2],
    rules: Validator,
}

impl Server {
    pub(crate) fn new() -> Self {
        let definitions = schema::definitions();
        let compiled = [0, 1].map(|kind| compile_schema(schema::schema(&definitions[kind])));
        Self { definitions, compiled, rules: Validator::new() }
    }

    fn kind(&self, object: &Value) -> usize {
        let of_kind = |definition: &Value| definition["spec"]["names"]["kind"] == object["kind"];
        self.definitions.iter().position(of_kind).expect("one of our kinds")
    }

    pub(crate) fn stored(&self, object: &Value) -> Value {
        apply_defaults(schema::schema(&self.definitions[self.kind(object)]), &without_nulls(object))
    }

    /// Fields and messages.
    pub(crate) fn refuses(&self, object: &Value) -> Vec<(String, String)> {
        let kind = self.kind(object);
        let schema = schema::schema(&self.definitions[kind]);
        let object = self.stored(object);
        let mut reported = Vec::new();
        self.structure(schema, &object, "", &mut reported);
        if reported.is_empty()
            && let Err(errors) = self.rules.validate_compiled(&self.compiled[kind], &object, None)
        {
            let field = |path: &str| path.trim_start_matches('.').to_owned();
            let reported_by =
                |error: &ValidationError| (field(&error.field_path), error.message.clone());
            reported.extend(errors.iter().map(reported_by));
        }
        reported
    }

    fn structure(
        &self,
        schema: &Value,
        value: &Value,
        path: &str,
        reported: &mut Vec<(String, String)>,
    ) {
        let number = |key: &str| schema[key].as_f64();
        let (low, high) = (number("minimum"), number("maximum"));
        let size =
            |key: &str, size: usize| schema[key].as_u64().is_none_or(|most| size as u64 <= most);
        let kind = match schema["type"].as_str() {
            _ if schema["x-kubernetes-int-or-string"] == true => {
                value.is_string() || value.is_i64()
            }
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64(),
            other => panic!("{path}: type {other:?}"),
        };
        let mut fine = kind;
        if let Some(number) = value.as_f64() {
            fine &= low.is_none_or(|low| low <= number) && high.is_none_or(|high| number <= high);
        }
        if let Some(text) = value.as_str() {
            fine &= size("maxLength", text.len());
            fine &= schema["minLength"].as_u64().is_none_or(|least| text.len() as u64 >= least);
            fine &= schema["pattern"].as_str().is_none_or(|pattern| self.matches(text, pattern));
        }
        if let Some(words) = schema["enum"].as_array() {
            fine &= words.contains(value);
        }
        if let Some(items) = value.as_array() {
            fine &= size("maxItems", items.len());
            fine &= schema["minItems"].as_u64().is_none_or(|least| items.len() as u64 >= least);
        }
        if let Some(map) = value.as_object() {
            fine &= size("maxProperties", map.len());
            let required = schema["required"].as_array().map_or(&[][..], |names| names);
            fine &= required.iter().all(|name| map.contains_key(name.as_str().unwrap()));
        }
        if !fine {
            reported.push((path.to_owned(), String::new()));
        }
        self.inside(schema, value, path, reported);
    }

    fn inside(
        &self,
        schema: &Value,
        value: &Value,
        path: &str,
        reported: &mut Vec<(String, String)>,
    ) {
        for (position, item) in value.as_array().into_iter().flatten().enumerate() {
            self.structure(&schema["items"], item, &format!("{path}[{position}]"), reported);
        }
        for (name, member) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let schema = match &schema["properties"][name.as_str()] {
                Value::Null => &schema["additionalProperties"],
                schema => schema,
            };
            // Without a schema it is the server's own, such as metadata, or unknown and thrown away.
            if schema.is_object() && !["apiVersion", "kind", "metadata"].contains(&path.as_str()) {
                self.structure(schema, member, &path, reported);
            }
        }
    }

    fn matches(&self, text: &str, pattern: &str) -> bool {
        let pattern = pattern.replace('\\', "\\\\").replace('\'', "\\'");
        let rule = json!({"rule": format!("self.matches('{pattern}')")});
        let schema = json!({"type": "string", "x-kubernetes-validations": [rule]});
        self.rules.validate(&schema, &text.into(), None).is_ok()
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
