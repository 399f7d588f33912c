//! Findings: one thing each that is so, how it is to be taken, and the next step.
//!
//! In: what was found, in words. Out: the same, and lines of a page. It must not judge. Pure: values only.

use serde::Serialize;

use crate::show::{Cell, Page, Tone};

/// One thing that is so.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    pub(super) about: &'static str,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// How a finding is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    Ok,
    Note,
    Lost,
    Bad,
}

impl Finding {
    pub(super) fn new(mark: Mark, about: &'static str, found: impl Into<String>) -> Self {
        Self { mark, about, found: found.into(), next: None }
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Findings one below the other.
pub(super) fn lines(page: &mut Page, findings: &[Finding]) {
    let longest = findings.iter().map(|finding| finding.about.len()).max().unwrap_or(0);
    let width = (longest + 1).max(12);
    for finding in findings {
        let (mark, tone) = match finding.mark {
            Mark::Ok => ("ok", Tone::Good),
            Mark::Note => ("note", Tone::Dim),
            Mark::Lost => ("LOST", Tone::Warn),
            Mark::Bad => ("BAD", Tone::Bad),
        };
        page.cells(vec![
            Cell::new(format!("{mark:<6}"), tone),
            Cell::bold(format!("{:<width$}", finding.about)),
            finding.found.as_str().into(),
        ]);
        for line in finding.next.iter().flat_map(|next| next.lines()) {
            page.cells(vec![
                " ".repeat(6 + width).into(),
                Cell::dim(format!("→ {}", line.trim_start())),
            ]);
        }
    }
}
