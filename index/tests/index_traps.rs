//! What Kubernetes does that an index of labels is likely to get wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "index/scene.rs"]
mod scene;

use probelet_index::selector::Selector;
use probelet_index::{Change, Refused};
use scene::{DB, WEB, index, owners, parse, serve};

#[test]
fn no_selector_selects_nothing_and_the_empty_one_everything_in_its_namespace() {
    let mut index = index();
    index.upsert_pod("u1", "shop", WEB).unwrap();
    index.upsert_pod("u2", "blog", WEB).unwrap();

    index.upsert_owner(Some("shop"), "kubernetes", None, None).unwrap();
    index.upsert_owner(Some("shop"), "deny-all", Some(&Selector::everything()), None).unwrap();

    assert_eq!(owners(&index, "u1"), ["deny-all"]);
    assert!(owners(&index, "u2").is_empty());
}

#[test]
fn a_selector_that_is_taken_away_selects_nothing_any_more() {
    let mut index = index();
    index.upsert_pod("u1", "shop", WEB).unwrap();
    serve(&mut index, "shop", "web", "app=web");

    let (_, change) = index.upsert_owner(Some("shop"), "web", None, None).unwrap();

    assert_eq!(change, Change::Changed);
    assert!(owners(&index, "u1").is_empty());
    assert_eq!(index.stats().selectors, 0);
}

#[test]
fn negative_requirements_match_where_the_key_is_absent() {
    let mut index = index();
    for (name, selector) in
        [("notin", "env notin (ci)"), ("ne", "env!=ci"), ("absent", "!env"), ("in", "env=ci")]
    {
        serve(&mut index, "shop", name, selector);
    }

    index.upsert_pod("u1", "shop", WEB).unwrap();
    index.upsert_pod("u2", "shop", &[("env", "ci")]).unwrap();

    assert_eq!(owners(&index, "u1"), ["absent", "ne", "notin"]);
    assert_eq!(owners(&index, "u2"), ["in"]);
}

#[test]
fn an_empty_value_is_a_value() {
    let mut index = index();
    serve(&mut index, "shop", "empty", "canary=");
    serve(&mut index, "shop", "any", "canary");

    index.upsert_pod("u1", "shop", &[("canary", "")]).unwrap();
    index.upsert_pod("u2", "shop", &[("canary", "no")]).unwrap();

    assert_eq!(owners(&index, "u1"), ["any", "empty"]);
    assert_eq!(owners(&index, "u2"), ["any"]);
}

#[test]
fn the_same_labels_in_another_namespace_are_another_matter() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    index.upsert_pod("u1", "blog", WEB).unwrap();

    assert!(owners(&index, "u1").is_empty());
}

#[test]
fn a_namespace_that_gets_labels_is_matched_again() {
    let mut index = index();
    let (all, prod) = (Selector::everything(), parse("stage=prod"));
    index.upsert_owner(None, "baseline", Some(&all), Some(&prod)).unwrap();
    index.upsert_pod("u1", "shop", WEB).unwrap();
    assert!(owners(&index, "u1").is_empty());

    index.set_namespace("shop", &[("stage", "prod")]).unwrap();
    assert_eq!(owners(&index, "u1"), ["baseline"]);

    index.set_namespace("shop", &[("stage", "test")]).unwrap();
    assert!(owners(&index, "u1").is_empty());
}

#[test]
fn a_namespace_that_was_deleted_and_made_again_starts_without_labels() {
    let mut index = index();
    let (all, prod) = (Selector::everything(), parse("stage=prod"));
    index.upsert_owner(None, "baseline", Some(&all), Some(&prod)).unwrap();
    index.set_namespace("shop", &[("stage", "prod")]).unwrap();
    index.upsert_pod("u1", "shop", WEB).unwrap();

    assert!(index.remove_namespace("shop"));
    assert!(owners(&index, "u2").is_empty());
    index.remove_pod("u1").unwrap();
    index.set_namespace("shop", &[("other", "label")]).unwrap();
    index.upsert_pod("u2", "shop", WEB).unwrap();

    assert!(owners(&index, "u2").is_empty());
    assert!(!index.remove_namespace("never-there"));
}

#[test]
fn a_namespace_no_one_needs_is_dropped() {
    let mut index = index();
    index.upsert_pod("u1", "shop", WEB).unwrap();
    serve(&mut index, "blog", "web", "app=web");

    index.remove_pod("u1").unwrap();
    index.remove_owner(Some("blog"), "web").unwrap();

    assert_eq!(index.stats().namespaces, 0);
}

#[test]
fn a_late_delete_of_the_old_pod_does_not_remove_the_new_one_of_its_name() {
    let mut index = index();
    serve(&mut index, "shop", "db", "app=db");
    let (old, _) = index.upsert_pod("old-uid", "shop", DB).unwrap();
    let (new, change) = index.upsert_pod("new-uid", "shop", DB).unwrap();

    let removed = index.remove_pod("old-uid");

    assert_eq!((change, removed), (Change::Added, Some(old)));
    assert_eq!(index.find_pod("new-uid"), Some(new));
    assert_eq!(owners(&index, "new-uid"), ["db"]);
    assert_eq!(index.stats().pods, 1);
}

#[test]
fn a_uid_that_comes_back_in_another_namespace_is_there_only() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    serve(&mut index, "blog", "blog", "app=web");
    index.upsert_pod("u1", "shop", WEB).unwrap();

    index.upsert_pod("u1", "blog", WEB).unwrap();

    assert_eq!(owners(&index, "u1"), ["blog"]);
    assert_eq!(index.stats().pods, 1);
}

#[test]
fn uids_differ_also_where_only_one_of_them_is_a_uuid() {
    let mut index = index();
    let uids = [
        "6f5e9a1c-1b2d-4c3e-8f4a-5b6c7d8e9f01",
        "6F5E9A1C-1B2D-4C3E-8F4A-5B6C7D8E9F01",
        "6f5e9a1c1b2d4c3e8f4a5b6c7d8e9f01",
        "web",
        "webweb",
    ];
    let ids = uids.map(|uid| index.upsert_pod(uid, "shop", WEB).unwrap().0);

    assert_eq!(index.stats().pods, uids.len());
    for (uid, id) in uids.into_iter().zip(ids) {
        assert_eq!(index.find_pod(uid), Some(id), "{uid}");
    }
}

#[test]
fn updates_that_come_twice_change_nothing() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    let (pod, _) = index.upsert_pod("u1", "shop", WEB).unwrap();
    let before = index.stats();

    assert_eq!(index.upsert_pod("u1", "shop", WEB), Ok((pod, Change::Unchanged)));
    assert_eq!(index.update_pod(pod, WEB), Ok(Change::Unchanged));
    serve(&mut index, "shop", "web", "app in (web)");

    assert_eq!(index.stats(), before);
    assert_eq!(index.remove_pod("u1"), Some(pod));
    assert_eq!(index.remove_pod("u1"), None);
    assert_eq!(index.update_pod(pod, WEB), Err(Refused::Gone));
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let selectors = ["", "app=web", "app", "!app", "tier in (a,b),app!=db", "replicas>2"];
    let pods: [&[(&str, &str)]; 5] =
        [WEB, DB, &[("tier", "a")], &[("app", "db"), ("tier", "b")], &[("replicas", "+3")]];
    let build = |owners_first: bool| {
        let mut index = index();
        for round in [true, false] {
            for (i, selector) in selectors.iter().enumerate().filter(|_| round == owners_first) {
                serve(&mut index, "shop", &i.to_string(), selector);
            }
            for (i, labels) in pods.iter().enumerate().filter(|_| round != owners_first) {
                index.upsert_pod(&i.to_string(), "shop", labels).unwrap();
            }
        }
        (0..pods.len()).map(|i| owners(&index, &i.to_string())).collect::<Vec<_>>()
    };

    assert_eq!(build(true), build(false));
    assert_eq!(build(true)[0], ["0", "1", "2"]);
    assert_eq!(build(true)[4], ["0", "3", "5"]);
}
