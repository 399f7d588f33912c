//! The page of all metrics, written from a scrape of an agent to which everything has happened.
//!
//! In: the real renderer. Out: Markdown. It must not know a metric by name.
//!
//! I/O: the page; the sources beside this file, for the names in them.

use super::*;
use crate::capabilities::Capability;
use crate::kube::{Class, FeedStatus, Malformed};
use crate::node_probe::NodeProbe;
use crate::serve::testing::everything;
use probelet_core::cluster::objects::Kind;
use probelet_core::display::DisplayNames;
use probelet_reference::{WRITTEN, hold, row};
use prometheus::proto::MetricFamily;
use std::collections::BTreeSet;

/// A feed in which each thing happened once: what never did has no series.
fn eventful(now: Instant) -> FeedStatus {
    let feed = FeedStatus::default();
    {
        let mut pods = feed.at(Kind::Pod);
        pods.contact = Some(now);
        pods.errors = [1; Class::ALL.len()];
        pods.malformed = [1; Malformed::ALL.len()];
        pods.engine_wait = Duration::from_secs(1);
        pods.budget_wait = Duration::from_secs(1);
    }
    feed
}

/// Every family, as a scrape would hold it, and the text of that scrape.
fn scraped() -> (Vec<MetricFamily>, String) {
    let (snapshot, names, _) = everything();
    let mut snapshot = Arc::unwrap_or_clone(snapshot);
    snapshot.vitals.conntrack_error = Some("Operation not permitted".into());
    let (now, http) = (Instant::now(), http::Counters::default());
    http.report(200);
    http.answered("/metrics", 200);
    for reason in ["idle", "limit", "slow_reader", "slow_request", "tls"] {
        http.closed(reason);
    }
    for result in ["allowed", "budget", "failed", "forbidden", "limited", "unauthenticated"] {
        http.review(result);
    }
    for result in ["failed", "ok"] {
        http.reload(result);
    }
    let mut families = Families::default();
    families.extend(http.gather());
    kubernetes::add(&mut families, &eventful(now), Some(&NodeProbe::default()), now);
    let labels = DisplayNames::refresh(&Arc::default(), &snapshot.picture, &names);
    let mut metrics = Metrics { lacking: Capability::ALL.to_vec(), ..Metrics::default() };
    let (families, text) =
        metrics.families(&snapshot, &labels, SeriesLimits::default(), families, now);
    (families, String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn the_page_of_metrics_says_what_a_scrape_holds() {
    let (families, _) = scraped();
    let mut page = format!(
        "# Metrics of probelet-agent\n{WRITTEN}\n\nServed at `/metrics` by each agent, of its own node. A metric of something that never happened \
         is not there. The first rows describe the node, `probelet_agent_*` the agent. `source_workload`, `destination_workload` and `workload` are names as \
         [names](../names.md) explains; what does not fit into `spec.metrics.maxSeries` is added up under `other`.\n\n\
         | metric | type | labels | what it is |\n|---|---|---|---|\n"
    );
    let (agent, node): (Vec<_>, Vec<_>) =
        families.iter().partition(|family| !is_of_the_node(family.name()));
    // What describes the node is labelled with names that people chose; what describes the agent, with a few words of ours.
    for family in node.into_iter().chain(agent) {
        page.push_str(&row(family, family.name().starts_with("probelet_agent_")));
    }

    hold("reference/metrics-agent.md", &page);
}

fn is_of_the_node(name: &str) -> bool {
    name.starts_with("probelet_") && !name.starts_with("probelet_agent_")
}

#[test]
fn every_name_of_a_metric_in_the_sources_is_in_the_scrape_of_the_page() {
    let (_, text) = scraped();
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/metrics");
    let mut names = BTreeSet::new();
    for file in std::fs::read_dir(sources).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let is_name = |word: &&str| {
            ["probelet_", "process_"].iter().any(|prefix| word.starts_with(prefix))
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        };
        names.extend(
            source
                .split('"')
                .filter(is_name)
                .filter(|word| !word.ends_with('_'))
                .map(str::to_owned),
        );
    }

    let absent: Vec<_> =
        names.iter().filter(|name| !text.contains(&format!("# TYPE {name} "))).collect();

    assert!(names.len() > 40, "{names:?}");
    assert!(absent.is_empty(), "let `scraped` have something to say of {absent:?}");
}
