//! What a report shows to who may see some namespaces only.
//!
//! Pure: no I/O.

use super::super::query::Filter;
use super::*;
use crate::serve::testing::{everything, talking_to};
use probelet_core::display::ContainerNames;
use serde_json::{Value, json};

type Node = (Arc<Snapshot>, Arc<ContainerNames>, u64);

fn text((snapshot, names, _): Node, namespace: &str) -> String {
    let labels = DisplayNames::refresh(&Arc::default(), &snapshot.picture, &names);
    let sight = Sight::Namespaces([namespace.into()].into());
    let sieve = Sieve::new(Filter::default(), &labels).seen_by(sight);
    let mut renderer = Renderer::new(snapshot, labels, sieve, Span::Full { since: None });
    let (mut text, mut piece) = (Vec::new(), Vec::new());
    while renderer.piece(&mut piece) {
        text.append(&mut piece);
    }
    text.append(&mut piece);
    String::from_utf8(text).unwrap()
}

fn each<'a>(report: &'a Value, list: &str, field: &str) -> Vec<&'a Value> {
    report[list].as_array().unwrap().iter().map(|record| &record[field]).collect()
}

#[test]
fn a_tenant_sees_its_pods_and_of_others_neither_name_nor_address() {
    let text = text(talking_to("bank"), "shop");
    let report: Value = serde_json::from_str(&text).unwrap();

    assert_eq!(each(&report, "processes", "pid"), [&json!(100)]);
    assert_eq!(report["pods"].as_array().unwrap().len(), 1);
    assert_eq!(report["containers"].as_array().unwrap().len(), 1);
    let nothing =
        json!({"kind": "other", "name": null, "pod": null, "service": null, "workload": null});
    assert_eq!(each(&report, "connections", "peer"), [&nothing]);
    let remote = report["connections"][0]["remote"].as_str().unwrap();
    assert!(["0.0.0.0:6379", "0.0.0.0:0"].contains(&remote), "{remote}");
    let other = json!({"kind": "other", "name": null});
    for flow in report["flows"].as_array().unwrap() {
        let ends = [&flow["source"], &flow["destination"]];
        let own = |end: &&Value| end["name"].as_str().is_some_and(|name| name.starts_with("shop/"));
        assert!(ends.iter().any(own) && ends.contains(&&other), "{flow}");
        assert_eq!(flow["service"], json!(null));
    }
    assert!(!report["flows"].as_array().unwrap().is_empty());
    for foreign in ["bank", "cart", "10.1.9.9", "10.96.0.9", "EPERM", "41200", "observed"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}

#[test]
fn a_peer_of_the_same_namespace_is_shown() {
    let report: Value = serde_json::from_str(&text(everything(), "shop")).unwrap();

    assert_eq!(each(&report, "connections", "remote"), [&json!("10.1.9.9:6379")]);
    assert_eq!(report["connections"][0]["peer"]["pod"], json!("shop/cart-0"));
    assert_eq!(report["namespaces"], json!(["shop"]));
}

#[test]
fn a_tenant_of_another_namespace_sees_nothing() {
    let text = text(everything(), "ops");
    let report: Value = serde_json::from_str(&text).unwrap();

    for list in ["processes", "connections", "listeners", "containers", "pods", "flows", "risks"] {
        assert_eq!(report[list], json!([]), "{list}");
    }
    for foreign in ["shop", "web", "nginx", "10.1"] {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}

#[test]
fn the_report_of_a_part_is_another_one_than_the_whole() {
    let (snapshot, ..) = everything();
    let part = Sight::Namespaces(["shop".into()].into());

    let [whole, part] =
        [&Sight::All, &part].map(|sight| summary::instance_for(&snapshot, sight).to_string());

    assert_ne!(whole, part);
}
