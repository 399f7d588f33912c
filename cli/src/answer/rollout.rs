//! `rollout`: how far the newest change of each configuration has come.
//!
//! In: configurations with the operator's status. Out: phases, counts, and what stands in the way. Pure: values only.

use probelet_crds::condition::{self, DEGRADED, READY};
use probelet_crds::{Phase, ProbeConfigStatus, ROLLOUT_ANNOTATION, ROLLOUT_PAUSED};
use serde::Serialize;

use crate::seen::config::Config;
use crate::show::{self, Align, Cell, Column, Page, Table};

/// How far changes have come.
#[derive(Debug, Serialize)]
pub struct Rollouts {
    configs: Vec<Rollout>,
}

/// How far one has come.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    config: String,
    generation: i64,
    /// The phase, with whether it is paused or not begun.
    pub phase: String,
    assigned_generation: i64,
    nodes: i64,
    applied: i64,
    pending: i64,
    failed: i64,
    canaries: i64,
    hash: String,
    previous_hash: Option<String>,
    message: String,
}

/// The phase of a change of which the operator does not know yet.
const NOT_SEEN: &str = "NotSeen";

/// Where a rollout is, in a word or two.
#[must_use]
pub fn phase(config: &Config, status: &ProbeConfigStatus) -> String {
    if status.observed_generation < config.metadata.generation {
        return NOT_SEEN.to_owned();
    }
    let phase = match status.rollout.as_ref().map(|rollout| rollout.phase) {
        Some(Phase::Canary) => "Canary",
        Some(Phase::Rolling) => "Rolling",
        Some(Phase::Complete) => "Complete",
        Some(Phase::RolledBack) => "RolledBack",
        None => "-",
    };
    let moves = matches!(phase, "Canary" | "Rolling");
    if is_held(config) && moves { format!("{phase}, paused") } else { phase.to_owned() }
}

/// Whether a person paused its rollout.
#[must_use]
pub fn is_held(config: &Config) -> bool {
    config.metadata.annotations.get(ROLLOUT_ANNOTATION).is_some_and(|word| word == ROLLOUT_PAUSED)
}

impl Rollouts {
    /// Of these configurations.
    #[must_use]
    pub fn of(configs: &[Config]) -> Self {
        Self { configs: configs.iter().map(rollout).collect() }
    }

    /// Whether all are complete; or false once one was taken back. Nothing while they go on.
    #[must_use]
    pub fn ended(&self) -> Option<bool> {
        let all = |phase: &str| self.configs.iter().all(|one| one.phase == phase);
        let applied = self.configs.iter().all(|one| one.applied == one.nodes);
        // What the operator has not seen yet cannot have failed: its counts are those of the content before.
        let failed =
            |one: &Rollout| one.phase == "RolledBack" || (one.failed > 0 && one.phase != NOT_SEEN);
        if self.configs.iter().any(failed) {
            Some(false)
        } else {
            (all("Complete") && applied).then_some(true)
        }
    }
}

fn rollout(config: &Config) -> Rollout {
    let status = config.status();
    let newest = status.rollout.as_ref();
    let message = |kind, holds: &str| {
        condition::get(&status.conditions, kind)
            .filter(|c| c.status == holds)
            .map(|c| [c.reason.as_str(), c.message.as_str()].join(": "))
    };
    Rollout {
        config: config.metadata.name.clone(),
        generation: config.metadata.generation,
        phase: phase(config, &status),
        assigned_generation: newest.map_or(0, |rollout| rollout.generation),
        nodes: status.nodes.effective,
        applied: status.nodes.applied,
        pending: status.nodes.pending,
        failed: status.nodes.failed,
        canaries: newest.map_or(0, |rollout| rollout.canaries),
        hash: newest.map_or(String::new(), |rollout| rollout.hash.clone()),
        previous_hash: newest.and_then(|rollout| rollout.previous_hash.clone()),
        message: message(DEGRADED, "True").or_else(|| message(READY, "False")).unwrap_or_default(),
    }
}

impl show::Answer for Rollouts {
    fn page(&self, wide: bool) -> Page {
        let mut columns = vec![Column("CONFIG", Align::Left), Column("ROLLOUT", Align::Left)];
        columns.extend(
            ["GENERATION", "NODES", "APPLIED", "PENDING", "FAILED", "CANARIES"]
                .map(|name| Column(name, Align::Right)),
        );
        if wide {
            columns.extend([Column("HASH", Align::Left), Column("BEFORE", Align::Left)]);
        }
        columns.push(Column("WHY", Align::Left));
        let mut table = Table::new(&columns);
        for one in &self.configs {
            let mut row = vec![
                one.config.as_str().into(),
                match one.phase.as_str() {
                    "Complete" => Cell::good("Complete"),
                    "RolledBack" => Cell::bad("RolledBack"),
                    other => Cell::warn(other),
                },
                one.generation.to_string().into(),
                one.nodes.to_string().into(),
                one.applied.to_string().into(),
                one.pending.to_string().into(),
                if one.failed > 0 { Cell::bad(one.failed.to_string()) } else { "0".into() },
                one.canaries.to_string().into(),
            ];
            if wide {
                row.push(one.hash.as_str().into());
                row.push(one.previous_hash.clone().unwrap_or_else(|| "-".to_owned()).into());
            }
            row.push(one.message.as_str().into());
            table.row(row);
        }
        let mut page = Page::default();
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        self.configs.iter().map(|one| format!("probeconfig/{}", one.config)).collect()
    }
}
