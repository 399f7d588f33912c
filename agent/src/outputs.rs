//! No output of the agent holds a control byte but the end of a line, and everything that is for programs can be read by
//! them: reports, metrics, the status of the `NodeProbe`, `once`, `top` and the doctor, of a node on which every text is
//! chosen by a stranger. The log has a test of its own beside its set-up.

use crate::node_probe::status::testing::status;
use crate::serve::full_report;
use crate::serve::testing::{self, hostile::Hostile};
use crate::top::sample;
use crate::{doctor, once};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

/// What strangers call things.
fn odd() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\u{1b}]0;owned\u{7}".to_owned()),
        Just("\u{9b}2J".to_owned()),
        Just("\u{2028}kind: List #".to_owned()),
        Just("\u{feff}\u{202e}".to_owned()),
        Just("\r\t\u{0}\u{7f}\u{85}".to_owned()),
        Just("\"} 1\nforged 2\n# ".to_owned()),
        Just("\\".to_owned()),
        Just("</script><b>&'\"".to_owned()),
        Just("shop/Deployment/api".to_owned()),
        Just("other".to_owned()),
        "[a-z]{1,8}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// What acts on anyone who looks at it.
fn acts(c: char) -> bool {
    (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c) || c == '\u{feff}'
}

fn is_clean(what: &str, text: &str) {
    let found = text.chars().find(|&c| acts(c));
    assert!(found.is_none(), "{what} has {found:?}:\n{text:?}");
}

/// All texts within a value: what a program shows of it.
fn texts<'v>(value: &'v Value, into: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push(key);
            texts(value, into);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Series of a scrape: each line is a name, labels in quotes and a number, and no series is there twice.
fn is_metrics(text: &str) {
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty()) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(value.parse::<f64>().is_ok(), "{line:?}");
        let (name, labels) = series.split_once('{').map_or((series, None), |(n, l)| (n, Some(l)));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line:?}");
        if let Some(labels) = labels {
            are_labels(labels.strip_suffix('}').unwrap_or_else(|| panic!("{line:?}")));
        }
        assert!(seen.insert(series), "{series} is there twice");
    }
    assert!(seen.len() > 20, "{text}");
}

/// `name="text",name="text"`, where a quote ends the text unless a backslash stands before it.
fn are_labels(mut rest: &str) {
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{rest:?}"));
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{rest:?}");
        let mut escaped = false;
        let end = behind.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or_else(|| panic!("{rest:?}"));
        rest = &behind[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn no_output_moves_a_cursor_and_every_format_is_one(all in prop::collection::vec(odd(), 7..40)) {
        let hostile = Hostile::new(all);
        let (snapshot, names) = hostile.node();

        let report = String::from_utf8(full_report(&snapshot, &names)).unwrap();
        is_clean("the report", &report);
        let read: Value = serde_json::from_str(&report).unwrap();
        prop_assert!(read["processes"].as_array().unwrap().len() > 5);

        let metrics = testing::metrics(&snapshot, &names);
        is_clean("metrics", &metrics);
        is_metrics(&metrics);

        is_clean("once", &once::render(&snapshot, &names));
        for frame in sample::frames(&snapshot, &names) {
            // A line of a terminal has no line in it.
            prop_assert!(!frame.contains('\n'), "{frame:?}");
            is_clean("top", &frame);
        }

        let status = serde_json::to_value(status(&snapshot, &names)).unwrap();
        let mut within = Vec::new();
        texts(&status, &mut within);
        for text in within {
            is_clean("the status", text);
            prop_assert!(!text.contains('\n'), "{text:?}");
        }
    }

    #[test]
    fn the_doctor_repeats_what_it_found_and_nothing_that_acts(all in prop::collection::vec(odd(), 7..20)) {
        let hostile = Hostile::new(all);
        let diagnosis = doctor::tests::hostile(|| hostile.text());

        is_clean("the doctor", &doctor::render(&diagnosis));
        let json = doctor::json(&diagnosis).unwrap();
        is_clean("the doctor's JSON", &json);
        serde_json::from_str::<Value>(&json).unwrap();
    }
}
