//! The screen of `status`.
//!
//! In: the status. Out: a page of some twenty lines, whatever the size of the fleet. Pure: values only.

use std::time::Duration;

use super::{Cause, Severity, Status};
use crate::show::{self, Align, Cell, Column, Page, Table};

/// Where what follows a word in capitals begins.
const INDENT: usize = 10;

pub(super) fn page(status: &Status, wide: bool) -> Page {
    let mut page = Page::default();
    page.cells(head(status));
    for missing in &status.missing {
        page.line(Cell::warn(format!("MISSING   {missing}")));
    }
    for unjudged in &status.unjudged {
        page.line(Cell::warn(format!("NOT SEEN  {unjudged}")));
    }
    page.gap();
    cost(status, &mut page);
    page.gap();
    configs(status, wide, &mut page);
    page.gap();
    causes(status, &mut page);
    page
}

fn head(status: &Status) -> Vec<Cell> {
    let nodes = status.nodes.unwrap_or(status.node_probes as u64);
    let absent = match status.absent {
        0 => String::new(),
        absent => format!(" ({absent} meant to have no agent)"),
    };
    let mut cells = vec![
        Cell::bold("probelet"),
        format!(" at {}: {}{absent}, ", status.server, some(nodes, "node", "nodes")).into(),
    ];
    match (status.agents_desired, status.agents_ready) {
        (Some(desired), Some(ready)) if ready < desired => {
            cells.push(Cell::bad(format!("{ready} of {desired} agents ready")));
        }
        (_, Some(0)) => cells.push(Cell::bad("NO AGENT RUNS")),
        (_, Some(ready)) => cells.push(format!("{} ready", some(ready, "agent", "agents")).into()),
        _ => cells.push(Cell::dim("agents not counted (no right to see them)")),
    }
    cells.push(", ".into());
    let operator = &status.operator;
    let age = operator.renewed_seconds_ago.and_then(|s| u64::try_from(s).ok());
    let age = age
        .map_or(String::new(), |s| format!(" (renewed {} ago)", show::age(Duration::from_secs(s))));
    cells.push(match (operator.running, &operator.leader) {
        (Some(true), Some(leader)) => format!("operator {leader} leads{age}").into(),
        (Some(true), None) => match &operator.ready {
            Some(pod) => format!("operator {pod} is ready").into(),
            None => "an operator runs".into(),
        },
        (None, _) => Cell::dim("operator not seen (no right to see its lease or pods)"),
        _ => Cell::bad("NO OPERATOR RUNS"),
    });
    cells
}

fn cost(status: &Status, page: &mut Page) {
    let cost = &status.cost;
    let line = |page: &mut Page, word: &str, rest: Vec<Cell>| {
        page.cells([vec![Cell::bold(format!("{word:<INDENT$}"))], rest].concat());
    };
    let Some((node, most)) = &cost.most else {
        return line(page, "CPU", vec![Cell::bad("no agent has reported yet")]);
    };
    #[expect(clippy::cast_precision_loss, reason = "a share of three digits")]
    let share = cost.cpu_nanocores as f64 / (cost.budget_nanocores.max(1)) as f64;
    let used = format!(
        "{} of {} ({})",
        show::cpu(cost.cpu_nanocores),
        show::cpu(cost.budget_nanocores),
        show::percent(share)
    );
    let each = format!(
        "; per node p50 {}, p99 {}, most {} on {node}",
        show::cpu(cost.p50_nanocores),
        show::cpu(cost.p99_nanocores),
        show::cpu(*most)
    );
    let used = if share <= 1.0 { Cell::good(used) } else { Cell::bad(used) };
    line(page, "CPU", vec![used, each.into()]);
    let most = cost
        .most_memory
        .as_ref()
        .map_or(String::new(), |(node, most)| format!("; most {} on {node}", show::bytes(*most)));
    line(page, "MEMORY", vec![format!("{}{most}", show::bytes(cost.memory_bytes)).into()]);
    quality(status, page, line);
}

/// What was given up, and how far the picture can be trusted.
fn quality(status: &Status, page: &mut Page, line: impl Fn(&mut Page, &str, Vec<Cell>)) {
    let mut levels = Vec::new();
    for (level, nodes) in &status.levels {
        let comma = if levels.is_empty() { "" } else { ", " };
        let text = format!("{comma}{level} {nodes}");
        levels.push(if *level == "Full" { Cell::good(text) } else { Cell::warn(text) });
    }
    line(page, "LEVELS", levels);
    let sources = status.sources.iter().map(|(source, nodes)| format!("{source} {nodes}"));
    line(page, "SOURCES", vec![sources.collect::<Vec<_>>().join(", ").into()]);
    let coverage = match &status.coverage {
        Some(seen) => {
            let text =
                format!("{} of opened connections seen (median node)", show::percent(seen.median));
            let least = format!("; least {} on {}", show::percent(seen.least), seen.node);
            vec![
                if seen.median >= 0.95 { Cell::good(text) } else { Cell::warn(text) },
                least.into(),
            ]
        }
        None => vec![Cell::dim("no connection was opened in the last minute")],
    };
    line(page, "COVERAGE", coverage);
    let known = &status.known;
    let figures = [
        (known.processes, "processes"),
        (known.connections, "connections"),
        (known.containers, "containers"),
        (known.pods, "pods"),
        (known.unresolved, "ends without a name"),
    ];
    let figures =
        figures.map(|(n, what)| format!("{} {what}", show::count(u64::try_from(n).unwrap_or(0))));
    line(page, "KNOWN", vec![figures.join(", ").into()]);
}

fn configs(status: &Status, wide: bool, page: &mut Page) {
    if status.configs.is_empty() {
        return page.line(Cell::bad(
            "There is no ProbeConfig: agents use the built-in defaults until the operator creates one.",
        ));
    }
    let mut columns = vec![Column("CONFIG", Align::Left)];
    columns.extend(
        ["PRIORITY", "NODES", "APPLIED", "PENDING", "FAILED", "BUDGET", "CPU"]
            .map(|name| Column(name, Align::Right)),
    );
    columns.push(Column("ROLLOUT", Align::Left));
    if wide {
        columns.push(Column("OVER-BUDGET", Align::Right));
    }
    let mut table = Table::new(&columns);
    for line in &status.configs {
        let count = |n: i64, bad: bool| {
            if bad && n > 0 { Cell::bad(n.to_string()) } else { n.to_string().into() }
        };
        let mut row = vec![
            line.name.as_str().into(),
            line.priority.to_string().into(),
            line.nodes.to_string().into(),
            line.applied.to_string().into(),
            if line.pending > 0 { Cell::warn(line.pending.to_string()) } else { "0".into() },
            count(line.failed, true),
            line.budget.as_str().into(),
            line.cpu.clone().unwrap_or_else(|| "-".to_owned()).into(),
            match line.rollout.as_str() {
                "RolledBack" => Cell::bad("RolledBack"),
                other => other.into(),
            },
        ];
        if wide {
            row.push(count(line.over_budget, true));
        }
        table.row(row);
    }
    page.table(table);
}

fn causes(status: &Status, page: &mut Page) {
    if status.causes.is_empty() {
        let whole = status.missing.is_empty() && !status.is_deserted() && !status.levels.is_empty();
        return page.line(match (whole, status.unjudged.is_empty()) {
            (true, true) => Cell::good(
                "All nodes have applied their configuration, and nothing that counts is missing.",
            ),
            (true, false) => {
                Cell::warn("No problem found, but not everything is visible: see above.")
            }
            (false, _) => Cell::warn(
                "All nodes have applied their configuration; see above for what is missing.",
            ),
        });
    }
    let mut table = Table::new(&[
        Column("", Align::Left),
        Column("NODES", Align::Right),
        Column("WHAT", Align::Left),
        Column("WHERE", Align::Left),
    ]);
    for cause in status.causes.iter().take(status.most) {
        row(&mut table, cause);
    }
    page.table(table);
    let more = status.causes.len().saturating_sub(status.most);
    if more > 0 {
        page.line(Cell::dim(format!("and {more} more: --most {}", status.causes.len())));
    }
    page.gap();
    page.line(Cell::bold("Why, and what to do"));
    for cause in status.causes.iter().take(status.most) {
        let why = if cause.why.is_empty() { "" } else { ": " };
        page.line(format!("  {}{why}{}", cause.what, cause.why));
        page.line(Cell::dim(format!("    → {}", cause.next)));
    }
}

fn row(table: &mut Table, cause: &Cause) {
    let mark = match cause.severity {
        Severity::Bad => Cell::bad("BAD"),
        Severity::Warn => Cell::warn("warn"),
        Severity::Sick => Cell::bad("sick"),
        Severity::Note => Cell::dim("note"),
    };
    let more = cause.nodes.unwrap_or(0).saturating_sub(cause.examples.len());
    let mut examples = cause.examples.join(", ");
    if more > 0 && !examples.is_empty() {
        examples = format!("{examples} and {more} more");
    }
    table.row(vec![
        mark,
        cause.nodes.map_or(String::new(), |n| n.to_string()).into(),
        cause.what.as_str().into(),
        examples.into(),
    ]);
}

fn some(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}
