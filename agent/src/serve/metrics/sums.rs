//! What sums of flow metrics hold, whatever flows are called and however many there are.
//!
//! In: made-up flows. Out: a failure where a sum is wrong.
//!
//! Pure: no I/O.

use super::SeriesLimits;
use super::family::Families;
use super::flows::Flows;
use crate::serve::testing::snapshot;
use crate::snapshot::Snapshot;
use probelet_core::facts::Comm;
use probelet_core::records::{FlowKey as Key, FlowRecord, Health, Origin, Workload};
use probelet_core::report::Picture;
use probelet_core::table::Table;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn flow(id: u64, source: &str, origin: Origin, opened: u64, moved: i64) -> FlowRecord {
    FlowRecord {
        id,
        key: Key {
            source: Workload::Process(Comm::new(source.as_bytes())),
            destination: Workload::Process(Comm::new(b"server")),
            port: 80,
            origin,
            ..Key::default()
        },
        current: 0,
        opened,
        closed: opened,
        moved: [moved; 2],
        bytes_sent: 0,
        bytes_received: 0,
        health: Health::default(),
        active_ms: 0,
        changed: 1,
    }
}

fn scrape(flows: &mut Flows, records: &[FlowRecord], max_series: usize) -> Vec<String> {
    let mut table = Table::new(records.len());
    for record in records {
        table.insert(*record, 1).unwrap();
    }
    let picture = Picture { flows: table.freeze(), ..Picture::default() };
    let snapshot = Snapshot { picture, ..snapshot() };
    let limits =
        SeriesLimits { max_series, ttl: Duration::from_mins(5), ..SeriesLimits::default() };
    flows.update(&snapshot, &Arc::default(), limits, Instant::now());
    let mut families = Families::default();
    flows.add(&mut families);
    let families = families.sorted();
    let opened = families.iter().find(|f| f.name() == "probelet_connections_opened_total");
    let opened = opened.into_iter().flat_map(prometheus::proto::MetricFamily::get_metric);
    let mut lines: Vec<String> = opened
        .map(|metric| {
            let of = |name: &str| {
                let pair = metric.get_label().iter().find(|pair| pair.name() == name);
                pair.map_or("-", |pair| pair.value())
            };
            let ends = (of("reporter"), of("source_namespace"), of("source_workload"));
            format!("{}|{}|{} {}", ends.0, ends.1, ends.2, metric.get_counter().get_value())
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_connection_that_moves_to_another_flow_between_scrapes_is_counted_once() {
    let mut flows = Flows::default();
    let here = Origin::Here;
    scrape(&mut flows, &[flow(1, "early", here, 1, 0)], 5000);

    // It turned out to be another's; that one opens one more.
    let later = [flow(1, "early", here, 0, -1), flow(2, "late", here, 2, 1)];

    assert_eq!(scrape(&mut flows, &later, 5000), ["source||early 1", "source||late 1"]);
}

#[test]
fn a_connection_that_was_counted_twice_is_not_counted_a_third_time() {
    let mut flows = Flows::default();
    scrape(&mut flows, &[flow(1, "a", Origin::Here, 5, 0)], 5000);
    scrape(&mut flows, &[flow(1, "a", Origin::Here, 4, 0)], 5000);

    assert_eq!(scrape(&mut flows, &[flow(1, "a", Origin::Here, 6, 0)], 5000), ["source||a 6"]);
}

#[test]
fn what_is_folded_is_in_the_sum_of_its_own_reporter() {
    let many = |first: u64, origin, count: u64| {
        (0..count).map(move |n| flow(first + n, &format!("p{}", first + n), origin, 1, 0))
    };
    let records: Vec<FlowRecord> =
        many(0, Origin::Here, 40).chain(many(100, Origin::Outside, 30)).collect();

    let lines = scrape(&mut Flows::default(), &records, 170);

    let sum = |reporter: &str| -> u64 {
        let own = lines.iter().filter(|line| line.starts_with(reporter));
        own.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    assert_eq!((sum("source"), sum("destination")), (40, 30));
    assert!(lines.len() <= 20, "{} of 170 series for flows, five each: {lines:?}", lines.len());
    let own = lines.iter().filter(|line| line.starts_with("destination||p")).count();
    assert_eq!(own, 6, "a third is for what was accepted: {lines:?}");
}

#[test]
fn a_name_that_looks_like_a_workloads_has_no_namespace() {
    let lines = scrape(&mut Flows::default(), &[flow(1, "shop/D/web", Origin::Here, 1, 0)], 5000);

    assert_eq!(lines, ["source||process/shop/D/web 1"]);
}
