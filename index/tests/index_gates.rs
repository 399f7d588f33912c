//! What the index may cost, counted instead of timed: these hold on any machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::cast_precision_loss, reason = "ratios of small numbers")]

#[path = "index_gates/cluster.rs"]
#[allow(dead_code, reason = "the bench uses the rest")]
mod cluster;

use cluster::{Cluster, Labels, Pod, Service};
use probelet_allocations::{Counting, allocations, held};
use probelet_index::selector::Selector;
use probelet_index::{Change, Index, PodId};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Scale L of the bench.
fn large() -> Cluster {
    Cluster::of(50_000, 5_000, 300, 42)
}

fn borrowed(labels: &Labels) -> Vec<(&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn selector_of(service: &Service) -> Option<Selector> {
    service
        .wanted()
        .map(|labels| Selector::from_labels(labels.iter().map(|(k, v)| (k, v))).unwrap())
}

fn add_service(index: &mut Index, service: &Service, selector: Option<&Selector>) {
    index.upsert_owner(Some(&service.namespace), &service.name, selector, None).unwrap();
}

fn add_services(index: &mut Index, services: &[Service]) {
    for service in services {
        add_service(index, service, selector_of(service).as_ref());
    }
}

fn add_pods(index: &mut Index, pods: &[Pod]) -> Vec<PodId> {
    let mut add = |pod: &Pod| {
        let labels = borrowed(&pod.labels);
        index.upsert_pod(&pod.uid, &pod.namespace, &labels).unwrap().0
    };
    pods.iter().map(&mut add).collect()
}

#[test]
fn a_new_label_set_is_tried_on_about_one_selector() {
    let cluster = large();
    let mut index = Index::new(1);
    add_services(&mut index, &cluster.services);
    add_pods(&mut index, &cluster.pods);

    let counts = index.stats().counts;
    let tried = counts.candidates as f64 / counts.new_classes as f64;

    assert!(counts.new_classes > 5_000, "{counts:?}");
    assert!(tried <= 1.1, "{tried:.3} candidates per label set, {counts:?}");
}

#[test]
fn the_anchors_are_as_good_when_the_pods_were_there_first() {
    let cluster = large();
    let mut index = Index::new(1);
    add_pods(&mut index, &cluster.pods);
    add_services(&mut index, &cluster.services);
    for pod in &cluster.pods {
        index.remove_pod(&pod.uid).unwrap();
    }
    let before = index.stats().counts;
    add_pods(&mut index, &cluster.pods);
    let after = index.stats().counts;

    let tried = (after.candidates - before.candidates) as f64
        / (after.new_classes - before.new_classes) as f64;

    assert!(tried <= 1.1, "{tried:.3} candidates per label set");
}

#[test]
fn an_update_without_change_allocates_nothing() {
    let cluster = Cluster::of(5_000, 500, 50, 42);
    let mut index = Index::new(1);
    add_services(&mut index, &cluster.services);
    let ids = add_pods(&mut index, &cluster.pods);
    let labels: Vec<_> = cluster.pods.iter().map(|pod| borrowed(&pod.labels)).collect();
    let before = allocations();

    for ((pod, id), labels) in cluster.pods.iter().zip(&ids).zip(&labels) {
        assert_eq!(index.update_pod(*id, labels), Ok(Change::Unchanged));
        let by_uid = index.upsert_pod(&pod.uid, &pod.namespace, labels);
        assert_eq!(by_uid, Ok((*id, Change::Unchanged)));
    }

    assert_eq!(allocations() - before, 0);
}

#[test]
fn a_pod_with_known_labels_costs_less_than_half_an_allocation() {
    let cluster = Cluster::of(5_000, 500, 50, 42);
    let mut index = Index::new(1);
    add_pods(&mut index, &cluster.pods);
    let more: Vec<_> =
        (0..cluster.pods.len()).map(|n| format!("{n:08x}-0000-4000-8000-00000000000a")).collect();
    let labels: Vec<_> = cluster.pods.iter().map(|pod| borrowed(&pod.labels)).collect();
    let before = allocations();

    for ((pod, uid), labels) in cluster.pods.iter().zip(&more).zip(&labels) {
        index.upsert_pod(uid, &pod.namespace, labels).unwrap();
    }

    // Lists and tables that grow.
    let each = (allocations() - before) as f64 / more.len() as f64;
    assert!(each < 0.5, "{each:.2} allocations per pod");
}

#[test]
fn memory_per_pod_is_at_most_250_bytes_with_everything() {
    let cluster = large();
    let before = held();
    let mut index = Index::new(1);
    add_services(&mut index, &cluster.services);
    let ids = add_pods(&mut index, &cluster.pods);
    drop(ids);

    let held = held() - before;
    let each = held as f64 / cluster.pods.len() as f64;

    assert!(each <= 250.0, "{each:.1} bytes per pod");
    let counted = index.stats().bytes as f64 / held as f64;
    assert!((0.97..1.03).contains(&counted), "the index counts {counted:.3} of what it holds");
}

#[test]
fn memory_per_service_is_at_most_350_bytes_on_a_node_that_keeps_all() {
    let cluster = Cluster::of(150_000, 10_000, 500, 42).node(200);
    let before = held();
    let mut index = Index::new(1);
    add_services(&mut index, &cluster.services);
    drop(add_pods(&mut index, &cluster.pods));

    let each = (held() - before) as f64 / cluster.services.len() as f64;

    assert!(each <= 350.0, "{each:.1} bytes per Service");
}

#[test]
fn a_service_costs_at_most_three_allocations() {
    let cluster = large();
    let mut index = Index::new(1);
    add_pods(&mut index, &cluster.pods);
    let selectors: Vec<_> = cluster.services.iter().map(selector_of).collect();
    let before = allocations();

    for (service, selector) in cluster.services.iter().zip(&selectors) {
        add_service(&mut index, service, selector.as_ref());
    }

    let each = (allocations() - before) as f64 / cluster.services.len() as f64;
    assert!(each <= 3.0, "{each:.2} allocations per Service");
}

#[test]
fn everything_is_given_back_when_everything_is_removed() {
    let cluster = Cluster::of(20_000, 2_000, 100, 42);
    let before = held();
    let mut index = Index::new(1);
    add_services(&mut index, &cluster.services);
    drop(add_pods(&mut index, &cluster.pods));
    assert!(held() - before > 1_000_000);

    for pod in &cluster.pods {
        index.remove_pod(&pod.uid).unwrap();
    }
    for service in &cluster.services {
        index.remove_owner(Some(&service.namespace), &service.name).unwrap();
    }

    // What is left are the buffers that are used again.
    let left = held() - before;
    assert!(left < 4_096, "{left} bytes left");
    assert_eq!(index.stats().bytes, 0);
}

#[test]
fn a_service_of_a_thousand_addresses_and_ports_costs_no_more_than_its_lists() {
    use probelet_core::cluster::objects::{Event, Kind, Service, ServicePort};
    use probelet_core::cluster::{Cluster, Settings};
    use std::net::{IpAddr, Ipv4Addr};

    let mut cluster = Cluster::new(Settings::default(), 1);
    let before = held();
    let addresses = (0..1000).map(|n| IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + n)));
    let port = |port| ServicePort { name: "p".into(), port, ..ServicePort::default() };
    let service = Service {
        namespace: "tenant".into(),
        name: "wide".into(),
        external_ips: addresses.clone().collect(),
        outside_ips: addresses.collect(),
        ports: (1..=1000).map(port).collect(),
        ..Service::default()
    };

    cluster.apply(Event::Service(service), 0);

    let held = held().wrapping_sub(before);
    assert_eq!(cluster.known().refused[Kind::Service as usize], 3 * (1000 - 256));
    assert!(held < 256 << 10, "{held} bytes");
}
