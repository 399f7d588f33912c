//! The doctor: what this kernel and these rights allow, what is lost, and how to get it back.
//!
//! In: `/proc`, `/sys`, and a probe that tries to load each source. Out: a [`Diagnosis`], and its
//! rendering as text or JSON. It must not change anything, and must not guess a verdict: a source
//! is usable when it loads.
//!
//! I/O: reads a dozen small files, opens one netlink and one unix socket for a moment.

mod findings;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod kernel;
mod read;
mod render;
mod sock_diag;
mod sources;
mod status;

pub use render::{json, render};

use probelet_core::facts::SourceKind;
use probelet_core::text::clean;
use serde::Serialize;
use std::borrow::Cow;
use std::path::PathBuf;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The proc file system.
    pub proc: PathBuf,
    /// The sys file system.
    pub sys: PathBuf,
    /// Docker's socket.
    pub docker: PathBuf,
    /// The agent's own binary, as remedies name it.
    pub binary: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            docker: "/var/run/docker.sock".into(),
            binary: std::env::current_exe().unwrap_or_else(|_| "probelet-agent".into()),
        }
    }
}

/// How a finding is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing; nothing is lost by it.
    Note,
    /// Something is lost.
    Lost,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub topic: &'static str,
    /// How it is to be taken.
    pub mark: Mark,
    /// What was found.
    pub found: String,
    /// What that means, if it is not plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// How to get back what is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Whether a source can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The source.
    pub source: &'static str,
    /// Whether it loads.
    pub usable: bool,
    /// Whether the agent would choose it.
    pub chosen: bool,
    /// Whether the kernel could carry it at all, given the rights.
    pub possible: bool,
    /// What it gives, or why it was refused.
    pub why: String,
    /// How to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Everything the doctor found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What was looked at, in order.
    pub findings: Vec<Finding>,
    /// The sources, best first.
    pub sources: Vec<Verdict>,
}

impl Diagnosis {
    /// Whether nothing is lost: the best source that this kernel could carry is usable, and no
    /// finding takes anything from its picture.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let best = self.sources.iter().find(|v| v.possible);
        best.is_some_and(|v| v.usable) && self.findings.iter().all(|f| f.mark != Mark::Lost)
    }

    /// Files, paths and the kernel's words are repeated in it; a terminal does what it is sent.
    fn clean(&mut self) {
        let of_finding = |finding: &mut Finding| {
            let Finding { found, meaning, remedy, .. } = finding;
            [Some(found), meaning.as_mut(), remedy.as_mut()].into_iter().flatten().for_each(tidy);
        };
        self.findings.iter_mut().for_each(of_finding);
        for Verdict { why, remedy, .. } in &mut self.sources {
            [Some(why), remedy.as_mut()].into_iter().flatten().for_each(tidy);
        }
    }

    /// The exit code: 0 when nothing is lost, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.is_whole())
    }
}

fn tidy(text: &mut String) {
    if let Cow::Owned(clean) = clean(text) {
        *text = clean;
    }
}

/// Looks at everything. `probe` tries to load a source and says in a message why it cannot.
#[must_use]
pub(crate) fn examine(
    places: &Places,
    probe: &mut dyn FnMut(SourceKind) -> Result<(), String>,
) -> Diagnosis {
    let facts = read::read(places);
    let sources = sources::verdicts(&facts, places, probe);
    let chosen = SourceKind::ALL
        .into_iter()
        .zip(&sources)
        .find(|(_, v)| v.chosen)
        .map(|(source_kind, _)| source_kind);
    let mut diagnosis = Diagnosis { findings: findings::judge(&facts, chosen, places), sources };
    diagnosis.clean();
    diagnosis
}

#[cfg(test)]
pub(crate) mod tests;
