//! The page of all metrics, written from a scrape of an operator to which everything has happened.
//!
//! In: the real registry. Out: Markdown. It must not know a metric by name, but has to touch those
//! whose labels are names.
//!
//! I/O: the page.

use super::*;
use probelet_reference::{WRITTEN, hold, row};

#[test]
fn the_page_of_metrics_says_what_a_scrape_holds() {
    let metrics = Metrics::new().unwrap();
    metrics.show(&Figures {
        nodes: vec![("default".into(), [1; 9])],
        generations: vec![("default".into(), 1)],
        ..Figures::default()
    });
    // No `..`: a metric whose labels are names is in a scrape, and so in the page, only after something was shown.
    let Metrics {
        registry,
        nodes: _,
        generations: _,
        rollouts: _,
        rejected: _,
        queue: _,
        leader: _,
        waits: _,
        seed_invalid: _,
        writes: _,
        watch_errors: _,
        reconcile: _,
        write_seconds: _,
        cpu: _,
        rss: _,
        feed: _,
    } = &metrics;

    let mut page = format!(
        "# Metrics of probelet-operator\n{WRITTEN}\n\nServed at `/metrics` by each replica; only the one whose `probelet_operator_leader` is 1 \
         writes and counts nodes. `config` is the name of a `ProbeConfig`, empty for the built-in defaults, `_other` for those beyond the first \
         {CONFIGS}.\n\n| metric | type | labels | what it is |\n|---|---|---|---|\n"
    );
    registry.gather().iter().for_each(|family| page.push_str(&row(family, true)));

    hold("reference/metrics-operator.md", &page);
}
