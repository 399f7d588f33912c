//! What is wrong with one field, as a message for the person who wrote it.
//!
//! In: the field's path, the value as written, what would be right. Out: one line without a full stop, fit for a log,
//! a condition's message and a terminal alike. Pure: values only.

use serde_json::Value;
use thiserror::Error;

/// A field longer than this is shown cut: messages end up in logs and in conditions.
const SHOWN: usize = 80;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.message())]
pub struct FieldError {
    /// Path of the field from the top of the object, such as `spec.budget.cpu`.
    pub field: String,
    /// The value as JSON, cut to a showable length; empty if the field itself should not be there.
    pub value: String,
    /// What is wrong and what would be right, continuing the message after the value.
    pub expected: String,
}

impl FieldError {
    pub(crate) fn new(field: &str, value: &Value, expected: impl Into<String>) -> Self {
        Self { field: field.to_owned(), value: cut(&value.to_string()), expected: expected.into() }
    }

    /// A key that the configuration does not have; `known` are the keys it has at this place.
    pub(crate) fn unknown(parent: &str, name: &str, known: &[&str]) -> Self {
        let shown = plain(&cut(name));
        let hint = match nearest(name, known) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => format!("; known here: {}", known.join(", ")),
        };
        let expected = format!("unknown field `{shown}` in {parent}{hint}");
        Self { field: format!("{parent}.{shown}"), value: String::new(), expected }
    }

    fn message(&self) -> String {
        if self.value.is_empty() {
            plain(&self.expected)
        } else {
            plain(&format!("{}: {} {}", self.field, self.value, self.expected))
        }
    }
}

/// One line: what ends lines, moves a cursor or turns the direction of writing is spelt out. The core has the same; nothing
/// of ours is imported here.
fn plain(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
    };
    let spelt = |c: char| if acts(c) { c.escape_unicode().to_string() } else { c.to_string() };
    text.chars().map(spelt).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The known name that a typing error most likely meant: at most a third of the letters may differ.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > SHOWN {
        return None;
    }
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1; b.len() + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_field_gets_a_suggestion() {
        let error = FieldError::unknown("spec", "budgte", &["paused", "budget", "limits"]);
        assert_eq!(error.to_string(), "unknown field `budgte` in spec, did you mean `budget`?");
        assert_eq!(error.field, "spec.budgte");
    }

    #[test]
    fn wrong_case_is_the_nearest_name() {
        assert_eq!(nearest("MAXSOCKETS", &["maxProcesses", "maxSockets"]), Some("maxSockets"));
    }

    #[test]
    fn a_name_like_nothing_known_lists_what_is_known() {
        let error = FieldError::unknown("spec.budget", "colour", &["cpu", "window", "policy"]);
        assert_eq!(
            error.to_string(),
            "unknown field `colour` in spec.budget; known here: cpu, window, policy"
        );
    }

    #[test]
    fn a_swap_of_neighbours_is_one_mistake() {
        assert_eq!(distance("budgte", "budget"), 1);
    }

    #[test]
    fn a_name_or_value_of_odd_letters_is_one_line_that_acts_on_nothing() {
        let odd = "\u{1b}]0;x\u{7}\n\u{9b}2J\u{202e}";
        let unknown = FieldError::unknown("spec", odd, &["paused"]);
        let value = FieldError::new("spec.source", &Value::String(odd.to_owned()), odd);

        for text in [unknown.to_string(), unknown.field, value.to_string()] {
            assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
        }
    }

    #[test]
    fn a_huge_value_is_shown_cut() {
        let error = FieldError::new("spec.source", &Value::String("é".repeat(5000)), "is too long");
        assert!(error.to_string().chars().count() < 120);
    }
}
