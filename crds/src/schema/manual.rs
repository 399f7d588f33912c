//! The table of all fields for the user's manual.
//!
//! In: the complete schema. Out: one line of Markdown a field: its name, its default, its range and what it is for, so
//! that the page cannot say anything else than `kubectl explain` and the API server. Pure: values only.

use serde_json::Value;

use crate::CpuQuantity;
use crate::probe_config::bounds::{self, Range};

/// Where the table begins and ends in the page.
const BEGIN: &str = "<!-- fields: written by make crds -->\n";
const END: &str = "<!-- end of fields -->\n";

/// The place that `path` names, if the schema has it.
pub(super) fn find<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(schema, |at, field| at.get("properties")?.get(field))
}

/// The page with this table in its place; `None` if it has no such place.
#[must_use]
pub fn with_fields(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

/// The table for a definition's schema of `ProbeConfig`.
#[must_use]
pub fn fields(schema: &Value) -> String {
    let mut lines = ["| field | default | range | what it is for |", "|---|---|---|---|"]
        .map(str::to_owned)
        .into();
    if let Some(spec) = find(schema, "spec") {
        rows(&mut lines, "", spec);
    }
    lines.join("\n") + "\n"
}

fn rows(lines: &mut Vec<String>, path: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (name, field) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_leaf = field["properties"].is_null();
        let shown = if is_leaf { code(&field["default"]) } else { String::new() };
        let text = field["description"].as_str().unwrap_or_default().replace('|', "\\|");
        lines.push(format!("| `{path}` | {shown} | {} | {text} |", range(&path, field)));
        rows(lines, &path, field);
        if let Some(items) = field.get("items") {
            rows(lines, &format!("{path}[]"), items);
        }
    }
}

fn code(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        // Without quotes YAML reads it as false.
        Value::String(text) if text == "Off" => "`\"Off\"`".to_owned(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn range(path: &str, field: &Value) -> String {
    if let Some((_, range)) = bounds::RANGES.into_iter().find(|(field, _)| *field == path) {
        let amount = CpuQuantity::from_millicores;
        return match range {
            Range::Number(low, high) => format!("{low} to {high}"),
            Range::Time(low, high) => format!("{low} to {high}"),
            Range::Cpu(low, high) => format!("{} to {}", amount(low), amount(high)),
        };
    }
    if let Some(words) = field["enum"].as_array() {
        return words.iter().map(code).collect::<Vec<_>>().join(", ");
    }
    match (field["type"].as_str(), field["maxItems"].as_u64(), field["maxProperties"].as_u64()) {
        (Some("boolean"), ..) => "`true`, `false`".to_owned(),
        (_, Some(most), _) | (_, _, Some(most)) => format!("at most {most}"),
        _ => match field["maxLength"].as_u64() {
            Some(most) => format!("at most {most} letters"),
            None => String::new(),
        },
    }
}
