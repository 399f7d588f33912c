//! `config diff`: in what two configurations differ.
//!
//! In: two specs and what they are called. Out: the fields that differ. Pure: values only.

use probelet_crds::ProbeConfigSpec;
use serde::Serialize;

use super::configs::{Change, changes, shown};
use crate::show::{self, Cell, Page};

/// The differences of two configurations.
#[derive(Debug, Serialize)]
pub struct Diff {
    from: String,
    to: String,
    changes: Vec<Change>,
}

impl Diff {
    /// Between these two.
    #[must_use]
    pub fn of(from: (String, &ProbeConfigSpec), to: (String, &ProbeConfigSpec)) -> Self {
        Self { changes: changes(from.1, to.1), from: from.0, to: to.0 }
    }
}

/// Lines with `-` and `+` for each change.
pub(super) fn lines(page: &mut Page, changes: &[Change]) {
    for change in changes {
        if let Some(from) = &change.from {
            page.line(Cell::bad(format!("- {}: {}", change.field, shown(Some(from)))));
        }
        if let Some(to) = &change.to {
            page.line(Cell::good(format!("+ {}: {}", change.field, shown(Some(to)))));
        }
    }
}

impl show::Answer for Diff {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        if self.changes.is_empty() {
            page.line(format!("{} and {} say the same.", self.from, self.to));
            return page;
        }
        page.line(Cell::bold(format!("--- {}", self.from)));
        page.line(Cell::bold(format!("+++ {}", self.to)));
        lines(&mut page, &self.changes);
        page
    }

    fn names(&self) -> Vec<String> {
        self.changes.iter().map(|change| change.field.clone()).collect()
    }
}
