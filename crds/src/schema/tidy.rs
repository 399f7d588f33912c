//! What a derived schema needs before the API server should see it.
//!
//! In: the schema that kube derives. Out: descriptions on one line that name the words of an enumeration, numbers and
//! strings in one, as Kubernetes writes them, formats that it knows, and no permission for null: a null is as good as
//! nothing, because the API server then takes the default. Pure: values only.

use crate::variants::WORDS;
use serde_json::{Map, Value, json};

/// Makes the schema and everything in it presentable.
pub(super) fn tidy(schema: &mut Value) {
    let Value::Object(map) = schema else { return };
    map.remove("nullable");
    if map.get("format").and_then(Value::as_str).is_some_and(|format| !known(format)) {
        map.remove("format");
    }
    if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        map.insert("anyOf".to_owned(), json!([{"type": "integer"}, {"type": "string"}]));
        return describe(map);
    }
    describe(map);
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(inner) {
            tidy(inner);
        }
    }
}

fn known(format: &str) -> bool {
    matches!(format, "int32" | "int64" | "date-time")
}

fn describe(map: &mut Map<String, Value>) {
    let words = map.remove(WORDS);
    let is_enumeration = map.contains_key("enum");
    let Some(Value::String(text)) = map.get_mut("description") else { return };
    *text = one_line(text);
    if let Some(words) = words.as_ref().and_then(Value::as_str).filter(|_| is_enumeration) {
        *text = format!("{text} {}", one_line(words));
    }
}

/// Where the source breaks its lines is no business of the reader's, nor are its marks of code.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('`', "")
}
