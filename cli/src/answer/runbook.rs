//! `runbook`: what an alert means and what to do, without a network.
//!
//! In: the name of a page or of an alert. Out: the page, as it was when this program was built. Pure: text only.

use serde::Serialize;

use crate::ask::Error;
use crate::show::{self, Align, Cell, Column, Page, Table};

/// Names and texts, by name: every page of docs/user/runbooks, listed by build.rs.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/runbooks.rs"));

/// All pages, or one.
#[derive(Debug, Serialize)]
pub struct Runbooks {
    runbooks: Vec<Runbook>,
}

/// A page.
#[derive(Debug, Serialize)]
struct Runbook {
    name: &'static str,
    alert: &'static str,
    title: &'static str,
    text: &'static str,
}

impl Runbooks {
    /// The page of this name, or of the alert of this name; all of them without one.
    pub fn of(name: Option<&str>) -> Result<Self, Error> {
        let runbooks: Vec<Runbook> = PAGES.iter().map(|(name, text)| page(name, text)).collect();
        let Some(wanted) = name else { return Ok(Self { runbooks }) };
        let short = wanted.rsplit('/').next().unwrap_or(wanted).trim_end_matches(".md");
        let is = |one: &Runbook| {
            let alert = one.alert.eq_ignore_ascii_case(short);
            let bare = one.alert.strip_prefix("Probelet").unwrap_or(one.alert);
            alert || bare.eq_ignore_ascii_case(short) || one.name.eq_ignore_ascii_case(short)
        };
        let found: Vec<Runbook> = runbooks.into_iter().filter(is).collect();
        if found.is_empty() {
            return Err(Error::Usage {
                what: format!("there is no runbook of `{wanted}`"),
                next: "to list them: kubectl probelet runbook".to_owned(),
            });
        }
        Ok(Self { runbooks: found })
    }
}

fn page(name: &'static str, text: &'static str) -> Runbook {
    let head = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let (alert, title) = head.split_once(": ").unwrap_or((name, head));
    Runbook { name, alert, title, text }
}

impl show::Answer for Runbooks {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        if let [one] = self.runbooks.as_slice() {
            for line in one.text.lines() {
                page.line(if line.starts_with('#') { Cell::bold(line) } else { line.into() });
            }
            return page;
        }
        let words = ["NAME", "ALERT", "WHAT IT MEANS"].map(|name| Column(name, Align::Left));
        let mut table = Table::new(&words);
        for one in &self.runbooks {
            table.row(vec![one.name.into(), one.alert.into(), one.title.into()]);
        }
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        self.runbooks.iter().map(|one| one.name.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::Answer as _;
    use std::path::Path;

    #[test]
    fn every_page_of_the_manual_is_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/user/runbooks");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().to_str()?.strip_suffix(".md").map(str::to_owned)
            })
            .filter(|name| name != "README")
            .collect();
        names.sort();

        assert_eq!(Runbooks::of(None).unwrap().names(), names);
        assert!(PAGES.iter().all(|(name, text)| page(name, text).alert.starts_with("Probelet")));
    }

    #[test]
    fn an_alert_leads_to_its_page_under_any_of_its_names() {
        for name in ["over-budget", "ProbeletAgentOverBudget", "agentoverbudget", "over-budget.md"]
        {
            assert_eq!(Runbooks::of(Some(name)).unwrap().names(), ["over-budget"], "{name}");
        }
        let text = Runbooks::of(Some("agent-down")).unwrap().page(false).text(false);
        assert!(text.starts_with("# ProbeletAgentDown: ") && text.contains("## What to do\n"));
        assert!(Runbooks::of(Some("nonsense")).is_err());
    }

    #[test]
    fn every_alert_of_the_chart_names_the_page_that_is_about_it() {
        let rules = include_str!("../../../charts/probelet/rules/probelet.yaml");
        let (mut alert, mut open, mut alerts, mut named) = ("", "", 0, 0);
        for line in rules.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("- alert: ") {
                assert_eq!(open, "", "an alert without the annotation runbook");
                (alert, open) = (name, name);
                alerts += 1;
            } else if let Some(name) = line.strip_prefix("runbook: kubectl probelet runbook ") {
                let (_, text) = PAGES.iter().find(|(page, _)| *page == name).expect(name);
                assert_eq!(page("", text).alert, alert, "the page {name} is about another alert");
                open = "";
                named += 1;
            }
        }

        assert_eq!((open, named), ("", PAGES.len()), "an alert, or a page, is alone");
        assert_eq!(alerts, named);
    }
}
