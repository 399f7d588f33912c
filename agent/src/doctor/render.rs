//! The diagnosis as text and as JSON.
//!
//! In: a diagnosis. Out: text of at most 100 columns, or one JSON object. It must not judge.
//!
//! Pure: no I/O; the caller prints.

use super::{Diagnosis, Mark};
use crate::figures::put;

/// Widest line.
const WIDTH: usize = 100;
/// Column at which what was found begins.
const INDENT: usize = 36;

/// As text for a person.
#[must_use]
pub fn render(diagnosis: &Diagnosis) -> String {
    let mut out = String::with_capacity(4096);
    for finding in &diagnosis.findings {
        let mark = match finding.mark {
            Mark::Good => "ok",
            Mark::Note => "note",
            Mark::Lost => "LOST",
        };
        line(&mut out, &format!("{mark:<6}{}", finding.topic), &finding.found);
        if let Some(meaning) = &finding.meaning {
            line(&mut out, "", meaning);
        }
        if let Some(remedy) = &finding.remedy {
            line(&mut out, "", &format!("→ {remedy}"));
        }
    }
    out.push_str("\nSources, best first\n");
    for verdict in &diagnosis.sources {
        let mark = match (verdict.usable, verdict.chosen) {
            (true, true) => "usable, chosen",
            (true, false) => "usable",
            (false, _) => "REFUSED",
        };
        line(&mut out, &format!("{:<12}{mark}", verdict.source), &verdict.why);
        if let Some(remedy) = &verdict.remedy {
            line(&mut out, "", &format!("→ {remedy}"));
        }
    }
    put(&mut out, format_args!("\n{}\n", conclusion(diagnosis)));
    out
}

/// As one JSON object for a machine.
pub fn json(diagnosis: &Diagnosis) -> Result<String, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        whole: bool,
        #[serde(flatten)]
        diagnosis: &'a Diagnosis,
    }
    serde_json::to_string_pretty(&Document { whole: diagnosis.is_whole(), diagnosis })
}

fn conclusion(diagnosis: &Diagnosis) -> String {
    let lost = diagnosis.findings.iter().filter(|f| f.mark == Mark::Lost).count();
    let source = diagnosis.sources.iter().find(|v| v.chosen).map(|v| v.source);
    match source {
        None => "No source can be used: there is nothing that the agent could show.".to_owned(),
        Some(source) if diagnosis.is_whole() => {
            format!("Nothing is lost: the agent will read through {source}.")
        }
        Some(source) if lost == 0 => {
            format!(
                "The agent will read through {source}; the lines REFUSED say why not through a better source."
            )
        }
        Some(source) => {
            format!("The agent will read through {source}; the lines LOST say what that costs.")
        }
    }
}

/// A label and a text, wrapped so that it stays beside the label.
fn line(out: &mut String, label: &str, text: &str) {
    put(out, format_args!("{label:<INDENT$}"));
    let mut column = INDENT.max(label.chars().count());
    let mut first = true;
    for word in text.split(' ') {
        let wide = word.chars().count();
        if !first && column + 1 + wide > WIDTH {
            put(out, format_args!("\n{:INDENT$}", ""));
            column = INDENT;
        } else if !first {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += wide;
        first = false;
    }
    out.push('\n');
}
