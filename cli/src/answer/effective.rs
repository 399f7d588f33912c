//! `config effective`: what is in force on a node, and where each value comes from.
//!
//! In: the node's `NodeProbe`, its labels, all configurations. Out: every field with its value and its origin; who won
//! and over whom. Pure: values only.

use probelet_crds::{NodeConfig, State};
use serde::Serialize;
use serde_json::Value;

use super::configs::{leaves, shown};
use crate::seen::Node;
use crate::seen::config::{Config, Valid};
use crate::seen::probe::Probe;
use crate::show::{self, Cell, Page, Table};

/// Where a value comes from that no one set.
const SCHEMA: &str = "schema default";

/// What is in force on a node.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    node: String,
    config: Option<String>,
    generation: Option<i64>,
    newest_generation: Option<i64>,
    applied: &'static str,
    why_not: Option<String>,
    /// Configurations that match as well, and why they lose.
    losers: Vec<Loser>,
    fields: Vec<Field>,
    #[serde(skip)]
    changed_only: bool,
}

#[derive(Debug, Serialize)]
struct Loser {
    config: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Field {
    #[serde(rename = "field")]
    path: String,
    value: Value,
    origin: String,
}

impl Effective {
    /// Of this node. `object` is its `NodeProbe` as it is stored.
    #[must_use]
    pub fn of(
        object: &Value,
        probe: &Probe,
        node: Option<&Node>,
        configs: &[Config],
        changed_only: bool,
    ) -> Self {
        let won = configs.iter().find(|c| Some(&*c.metadata.name) == probe.config.as_deref());
        let defaults = serde_json::to_value(NodeConfig::default()).unwrap_or_default();
        let usual = leaves(&defaults);
        let mut values = usual.clone();
        values.extend(leaves(&object["spec"]["config"]));
        // The API server writes defaults into what people wrote, so that only the value shows whether it is one.
        let by = won.map_or("ProbeConfig", |config| config.metadata.name.as_str());
        let origin = |field: &str, value: &Value| {
            let set = usual.get(field) != Some(value);
            if set { format!("set by {by}") } else { SCHEMA.to_owned() }
        };
        let field = |(field, value): (String, Value)| Field {
            origin: origin(&field, &value),
            path: field,
            value,
        };
        let why_not = probe.trouble(probelet_crds::condition::CONFIG_APPLIED);
        Self {
            node: probe.name.to_string(),
            config: probe.config.as_deref().map(str::to_owned),
            generation: object.pointer("/spec/origin/generation").and_then(Value::as_i64),
            newest_generation: won.map(|config| config.metadata.generation),
            applied: match probe.state {
                State::Applied => "Applied",
                State::Pending => "Pending",
                State::Failed => "Failed",
            },
            why_not: why_not.map(|trouble| format!("{}: {}", trouble.reason, trouble.message)),
            losers: node.map_or_else(Vec::new, |node| losers(node, won, configs)),
            fields: values.into_iter().map(field).collect(),
            changed_only,
        }
    }
}

fn losers(node: &Node, won: Option<&Config>, configs: &[Config]) -> Vec<Loser> {
    let valid: Vec<(&Config, Valid)> =
        configs.iter().filter_map(|config| Some((config, config.valid().ok()?))).collect();
    let of_winner = |(config, _): &&(&Config, Valid)| {
        won.is_some_and(|won| won.metadata.name == config.metadata.name)
    };
    let winner = valid.iter().find(of_winner);
    let matching = valid.iter().filter(|pair| !of_winner(pair) && pair.1.matches(node));
    let why = |valid: &Valid| match winner {
        Some((_, first)) if first.spec.priority > valid.spec.priority => {
            format!("priority {} is below {}", valid.spec.priority, first.spec.priority)
        }
        Some((_, first)) if first.spec.priority == valid.spec.priority => {
            "same priority; the older one wins".to_owned()
        }
        _ => "the operator has not assigned one (yet)".to_owned(),
    };
    matching
        .map(|(config, valid)| Loser { config: config.metadata.name.clone(), why: why(valid) })
        .collect()
}

impl show::Answer for Effective {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        let by = match (&self.config, self.generation) {
            (Some(config), Some(generation)) => {
                format!("ProbeConfig {config}, generation {generation}")
            }
            _ => "the built-in defaults: no ProbeConfig matches".to_owned(),
        };
        let state = match self.applied {
            "Applied" => Cell::good("its agent has applied it"),
            "Failed" => Cell::bad("its agent REFUSED it and keeps the last good one"),
            _ => Cell::warn("its agent has not acknowledged it yet"),
        };
        page.cells(vec![Cell::bold(&self.node), format!(" is assigned {by}; ").into(), state]);
        if let Some(why) = &self.why_not {
            page.line(Cell::bad(format!("  {why}")));
        }
        if let (Some(newest), Some(have)) = (self.newest_generation, self.generation)
            && newest > have
        {
            page.line(Cell::dim(format!(
                "  generation {newest} is newer: it changes nothing here, or its rollout has not reached this node"
            )));
        }
        for loser in &self.losers {
            page.line(Cell::dim(format!(
                "  {} matches as well and loses: {}",
                loser.config, loser.why
            )));
        }
        page.gap();
        let mut table = Table::of_words(&["FIELD", "VALUE", "ORIGIN"]);
        let shown_fields =
            self.fields.iter().filter(|field| !self.changed_only || field.origin != SCHEMA);
        for field in shown_fields {
            let set = field.origin != SCHEMA;
            table.row(vec![
                field.path.as_str().into(),
                shown(Some(&field.value)).into(),
                if set { Cell::warn(&field.origin) } else { Cell::dim(&field.origin) },
            ]);
        }
        if table.is_empty() {
            page.line("Every value is the default.");
        }
        page.table(table);
        page
    }

    fn names(&self) -> Vec<String> {
        self.config.iter().map(|config| format!("probeconfig/{config}")).collect()
    }
}
