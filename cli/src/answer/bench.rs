//! `bench`: what sources cost on a node, beside the figures that are published.
//!
//! In: an agent's metrics, read twice, with the time between. Out: a row for each source. It must not compare what differs: the
//! published figure is for the standard load, and the page says so. Pure: values only.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::show::{self, Align, Cell, Column, Page, Table};

/// Measured by `make bench`; the rows of each source are found by their first words.
const BENCHMARKS: &str = include_str!("../../../docs/benchmarks.md");
/// A page of metrics has few sources; further ones are made up.
const SOURCES: usize = 16;

/// What an agent's metrics say of its own cost.
#[derive(Debug, Default)]
pub struct Reading {
    cpu: f64,
    budget: f64,
    source: Option<String>,
    /// How many passes of each source, and their CPU time.
    passes: BTreeMap<String, (f64, f64)>,
}

/// What a source costs, or why it could not be measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Percent of a core at the standard load.
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<&'static str>,
}

/// What was measured of a source.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    seconds: f64,
    /// CPU of the whole agent, in cores.
    cores: f64,
    budget: f64,
    passes: u64,
    /// CPU time of one, in seconds.
    per_pass: Option<f64>,
}

/// All that was measured on a node.
#[derive(Debug, Serialize)]
pub struct Bench {
    node: String,
    sources: Vec<Cost>,
}

impl Reading {
    /// From the text of `/metrics`; what is missing or no number counts as nothing.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Some(value) = value.parse::<f64>().ok().filter(|value| value.is_finite()) else {
                continue;
            };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let source = || label(labels, "source").filter(|_| reading.passes.len() < SOURCES);
            match name {
                "process_cpu_seconds_total" => reading.cpu += value,
                // Done by the kernel for the agent, and not in its process.
                "probelet_agent_cpu_seconds_total" if labels.contains("mode=\"kernel_worker\"") => {
                    reading.cpu += value;
                }
                "probelet_agent_cpu_budget_cores" => reading.budget = value,
                "probelet_agent_source_info" if value > 0.0 => {
                    reading.source = label(labels, "source");
                }
                "probelet_agent_pass_cpu_seconds_count" => {
                    if let Some(source) = source() {
                        reading.passes.entry(source).or_default().0 += value;
                    }
                }
                "probelet_agent_pass_cpu_seconds_sum" => {
                    if let Some(source) = source() {
                        reading.passes.entry(source).or_default().1 += value;
                    }
                }
                _ => {}
            }
        }
        reading
    }

    /// The source in use.
    #[must_use]
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }
}

/// The value of a label; sources have no quotes in their names.
fn label(labels: &str, name: &str) -> Option<String> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// What `make bench` measured of a source at the standard load, with as much budget as it wants.
fn published(source: &str) -> Option<&'static str> {
    let row = format!("| CPU at W, {source}, budget of a whole core |");
    BENCHMARKS.lines().find(|line| line.starts_with(&row))?.split('|').nth(3).map(str::trim)
}

impl Cost {
    /// Of the source in use, between two readings.
    #[must_use]
    pub fn between(before: &Reading, after: &Reading, time: Duration) -> Self {
        let source = after.source.clone().unwrap_or_else(|| "unknown".to_owned());
        if after.cpu < before.cpu {
            return Self::refused(&source, "the agent was started again meanwhile");
        }
        if before.source != after.source {
            return Self::refused(&source, "the agent changed its source meanwhile");
        }
        let of = |reading: &Reading| reading.passes.get(&source).copied().unwrap_or_default();
        let ((count, sum), (count_before, sum_before)) = (of(after), of(before));
        let passes = (count - count_before).max(0.0);
        let seconds = time.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of some seconds"
        )]
        let measured = Measured {
            seconds,
            cores: (after.cpu - before.cpu) / seconds,
            budget: after.budget,
            passes: passes as u64,
            per_pass: (passes >= 1.0).then(|| (sum - sum_before).max(0.0) / passes),
        };
        Self { published: published(&source), source, measured: Some(measured), refused: None }
    }

    /// Of a source that could not be measured.
    #[must_use]
    pub fn refused(source: &str, why: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            measured: None,
            refused: Some(why.into()),
            published: published(source),
        }
    }
}

impl Bench {
    /// Of a node.
    #[must_use]
    pub const fn of(node: String, sources: Vec<Cost>) -> Self {
        Self { node, sources }
    }

    /// Anything was measured.
    #[must_use]
    pub(crate) fn is_measured(&self) -> bool {
        self.sources.iter().any(|cost| cost.measured.is_some())
    }
}

impl show::Answer for Bench {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        page.line(Cell::bold(format!("{}: the agent's whole CPU, by source", self.node)));
        let mut table = Table::new(&[
            Column("SOURCE", Align::Left),
            Column("CPU", Align::Right),
            Column("OF BUDGET", Align::Right),
            Column("SCANS", Align::Right),
            Column("CPU/SCAN", Align::Right),
            Column("OVER", Align::Right),
            Column("PUBLISHED", Align::Right),
            Column("", Align::Left),
        ]);
        for cost in &self.sources {
            let mut row: Vec<Cell> = vec![cost.source.as_str().into()];
            match &cost.measured {
                Some(measured) => {
                    let share = measured.cores / measured.budget;
                    row.push(format!("{:.3} %", measured.cores * 100.0).into());
                    row.push(
                        if share.is_finite() {
                            format!("{:.0} %", share * 100.0)
                        } else {
                            "-".to_owned()
                        }
                        .into(),
                    );
                    row.push(measured.passes.to_string().into());
                    row.push(measured.per_pass.map_or_else(|| "-".to_owned(), show::took).into());
                    row.push(show::took(measured.seconds).into());
                }
                None => row.extend(std::iter::repeat_with(|| Cell::from("-")).take(5)),
            }
            row.push(cost.published.unwrap_or("-").into());
            row.push(cost.refused.as_deref().map_or_else(Cell::default, Cell::warn));
            table.row(row);
        }
        page.table(table);
        page.line(Cell::dim("CPU is of one core. Published: at 200 processes, 20,000 open files and 2,000 connections, read every second, on the machine of docs/benchmarks.md."));
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("node/{}", self.node)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::Answer as _;

    fn metrics(cpu: f64, passes: u32, sum: f64) -> Reading {
        Reading::of(&format!(
            "# HELP x y\nprocess_cpu_seconds_total {cpu}\nprobelet_agent_cpu_seconds_total{{mode=\"user\",task=\"serve\"}} 9\n\
             probelet_agent_cpu_budget_cores 0.005\nprobelet_agent_source_info{{source=\"bpf\"}} 1\n\
             probelet_agent_pass_cpu_seconds_bucket{{source=\"bpf\",le=\"1\"}} 3\n\
             probelet_agent_pass_cpu_seconds_count{{source=\"bpf\"}} {passes}\nprobelet_agent_pass_cpu_seconds_sum{{source=\"bpf\"}} {sum}\n\
             nonsense\nprocess_cpu_seconds_total NaN\n"
        ))
    }

    #[test]
    fn cost_is_what_came_between_two_readings() {
        let cost = Cost::between(
            &metrics(1.0, 100, 0.1),
            &metrics(1.01, 110, 0.107),
            Duration::from_secs(10),
        );

        let text = Bench::of("node1".to_owned(), vec![cost]).page(false).text(false);
        let row: Vec<&str> = text
            .lines()
            .nth(2)
            .unwrap()
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(row[..6], ["bpf", "0.100 %", "20 %", "10", "0.7ms", "10s"], "{text}");
    }

    #[test]
    fn a_restart_or_another_source_is_no_measurement() {
        let (before, after) = (metrics(5.0, 100, 0.1), metrics(1.0, 1, 0.1));
        let bench = Bench::of(
            "n".to_owned(),
            vec![Cost::between(&before, &after, Duration::from_secs(10))],
        );
        assert!(!bench.is_measured() && bench.page(false).text(false).contains("started again"));

        let none =
            Cost::between(&Reading::default(), &metrics(1.0, 1, 0.1), Duration::from_secs(10));
        assert!(!Bench::of("n".to_owned(), vec![none]).is_measured());
    }

    #[test]
    fn every_source_has_a_published_figure() {
        for source in ["bpf", "bpf-compat", "netlink", "procfs"] {
            assert!(published(source).is_some_and(|figure| figure.ends_with(" %")), "{source}");
        }
    }

    #[test]
    fn metrics_of_a_stranger_are_bounded() {
        let series = |n| format!("probelet_agent_pass_cpu_seconds_count{{source=\"s{n}\"}} 1\n");
        let text = (0..1000).map(series).collect::<Vec<_>>().concat();

        assert_eq!(Reading::of(&text).passes.len(), SOURCES);
    }
}
