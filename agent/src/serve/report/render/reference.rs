//! The page of all fields of a report, held to a report in which every field is there.
//!
//! In: the page, two reports. Out: a failure that names the fields that are on one side only, or of another type.
//!
//! I/O: reads the page.

use super::super::query::Filter;
use super::*;
use crate::serve::testing::everything;
use probelet_core::budget::Level;
use probelet_core::facts::Loss;
use probelet_core::records::Unresolved;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type Fields = BTreeMap<String, BTreeSet<&'static str>>;

/// Objects whose keys are strangers' words.
const FREE: &str = "containers[].labels";

fn collect(path: &str, value: &Value, fields: &mut Fields) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    if !path.is_empty() && !path.ends_with("[]") {
        fields.entry(path.to_owned()).or_default().insert(kind);
    }
    match value {
        Value::Array(items) => {
            for item in items {
                collect(&format!("{path}[]"), item, fields);
            }
        }
        Value::Object(map) if path != FREE => {
            for (name, value) in map {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, value, fields);
            }
        }
        _ => {}
    }
}

fn report(span: Span, sight: Sight) -> Value {
    let (snapshot, names, _) = everything();
    let labels = DisplayNames::refresh(&Arc::default(), &snapshot.picture, &names);
    let sieve = Sieve::new(Filter::default(), &labels).seen_by(sight);
    let mut renderer = Renderer::new(snapshot, labels, sieve, span);
    let mut text = Vec::new();
    let mut piece = Vec::new();
    while renderer.piece(&mut piece) {
        text.append(&mut piece);
    }
    text.append(&mut piece);
    serde_json::from_slice(&text).unwrap()
}

/// Fields of the page: name and type, from its tables.
fn documented() -> BTreeMap<String, String> {
    let page = include_str!("../../../../../docs/user/reference/report.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?.to_owned();
        Some((name, cells.next()?.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

#[test]
fn the_page_of_the_report_names_every_field_and_no_other() {
    let mut fields = Fields::new();
    collect("", &report(Span::Full { since: None }, Sight::All), &mut fields);
    let (.., before) = everything();
    collect("", &report(Span::Delta(before), Sight::All), &mut fields);
    let part = Sight::Namespaces(["shop".into()].into());
    collect("", &report(Span::Full { since: None }, part), &mut fields);
    let page = documented();

    let unnamed: Vec<_> = fields.iter().filter(|(name, _)| !page.contains_key(*name)).collect();
    let invented: Vec<_> = page.keys().filter(|name| !fields.contains_key(*name)).collect();
    let of_another_type: Vec<_> = fields
        .iter()
        .filter(|(name, kinds)| {
            page.get(*name).is_some_and(|said| kinds.iter().any(|kind| !said.contains(kind)))
        })
        .collect();

    let advice = "docs/user/reference/report.md is written by hand: put it right";
    assert!(unnamed.is_empty(), "{advice}; fields without a row: {unnamed:#?}");
    assert!(invented.is_empty(), "{advice}; rows without a field: {invented:?}");
    assert!(of_another_type.is_empty(), "{advice}; types: {of_another_type:?}");
}

/// Everything that `read` has is in `written`, with the same value.
fn is_part(read: &Value, written: &Value) -> bool {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => read
            .iter()
            .all(|(name, value)| written.get(name).is_some_and(|there| is_part(value, there))),
        (Value::Array(read), Value::Array(written)) => {
            read.len() == written.len() && read.iter().zip(written).all(|(r, w)| is_part(r, w))
        }
        (Value::Number(read), Value::Number(written)) => read.as_f64() == written.as_f64(),
        _ => read == written,
    }
}

#[test]
fn what_others_read_of_a_report_is_what_it_says() {
    let (.., before) = everything();
    for span in [Span::Full { since: None }, Span::Delta(before)] {
        let written = report(span, Sight::All);

        let read: probelet_report::Report = serde_json::from_value(written.clone()).unwrap();

        let read = serde_json::to_value(&read).unwrap();
        for (name, value) in read.as_object().unwrap() {
            assert!(is_part(value, &written[name]), "{name}: {value} of {}", written[name]);
        }
    }
}

#[test]
fn whatever_the_report_complains_of_is_in_the_page_on_troubles() {
    let page = include_str!("../../../../../docs/user/troubleshooting.md");
    let losses = Loss::ALL.iter().map(|loss| loss.name());
    let unresolved = Unresolved::ALL.iter().map(|reason| reason.name());
    let words = losses.chain(unresolved).chain(Level::ALL.iter().map(|level| level.name()));

    let absent: Vec<_> = words.filter(|word| !page.contains(&format!("`{word}`"))).collect();

    assert!(absent.is_empty(), "docs/user/troubleshooting.md says nothing of {absent:?}");
}
