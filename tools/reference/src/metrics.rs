//! The page of metrics, a row for each family.
//!
//! In: a family as a scrape would hold it. Out: its row. Pure: values only.

use crate::cell;
use prometheus::proto::{Metric, MetricFamily};
use std::collections::{BTreeMap, BTreeSet};

/// `| metric | type | labels | what it is |` of this family. Labels come with their values where `lists_values`: right for
/// a label that has a few words of ours, wrong for one that holds names that people chose.
#[must_use]
pub fn row(family: &MetricFamily, lists_values: bool) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for pair in family.get_metric().iter().flat_map(Metric::get_label) {
        labels.entry(pair.name()).or_default().insert(pair.value());
    }
    let label = |(name, values): (&&str, &BTreeSet<&str>)| {
        let words: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
        let listed = lists_values && words.len() > 1;
        let words = if listed { format!(": {}", words.join(", ")) } else { String::new() };
        format!("`{name}`{words}")
    };
    let labels: Vec<_> = labels.iter().map(label).collect();
    let kind = format!("{:?}", family.get_field_type()).to_lowercase();
    let (name, help) = (family.name(), cell(family.help()));
    format!("| `{name}` | {kind} | {} | {help} |\n", labels.join("; "))
}
