//! What an index does with input that is odd or too much.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "index/scene.rs"]
mod scene;

use probelet_index::{Change, Index, Limits, Refused};
use scene::{DB, WEB, index, owners, serve};

#[test]
fn labels_in_another_order_are_the_same_labels() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web,tier=front");
    let (pod, _) = index.upsert_pod("u1", "shop", &[("tier", "front"), ("app", "web")]).unwrap();

    let change = index.update_pod(pod, &[("app", "web"), ("tier", "front")]);
    let again = index.update_pod(pod, &[("tier", "front"), ("app", "web")]);

    assert_eq!((change, again), (Ok(Change::Unchanged), Ok(Change::Unchanged)));
    assert_eq!(owners(&index, "u1"), ["web"]);
    assert_eq!(index.stats().counts.irregular.unsorted, 2);
}

#[test]
fn of_a_repeated_key_the_last_value_counts() {
    let mut index = index();
    serve(&mut index, "shop", "old", "app=old");
    let new = serve(&mut index, "shop", "new", "app=new");
    let twice = [("app", "old"), ("app", "new")];

    index.upsert_pod("u1", "shop", &twice).unwrap();
    let mut found = Vec::new();
    index.match_labels("shop", &twice, &mut found);

    assert_eq!(owners(&index, "u1"), ["new"]);
    assert_eq!(found, [new]);
    assert_eq!(index.stats().counts.irregular.repeated, 1);
}

#[test]
fn labels_that_no_api_server_accepts_are_bounded_and_counted() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web,!zzz");
    let (key, value) = ("k".repeat(70_000), "v".repeat(70_000));
    let many: Vec<_> = (0..5000).map(|n| (format!("key-{n}"), "x".to_owned())).collect();

    index.upsert_pod("u1", "shop", &[("app", "web"), (&key, "x"), ("zzz", &value)]).unwrap();
    index.upsert_pod("u2", "shop", &many).unwrap();

    assert_eq!(owners(&index, "u1"), ["web"]);
    assert_eq!(index.stats().counts.irregular.left_out, 2 + 5000 - 1024);
    assert!(index.stats().bytes < 200_000, "{} bytes", index.stats().bytes);
}

#[test]
fn a_label_key_of_the_greatest_length_is_matched() {
    let mut index = index();
    let key = format!(
        "{}/{}",
        ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join("."),
        "n".repeat(63)
    );
    serve(&mut index, "shop", "long", &format!("{key}=x"));

    index.upsert_pod("u1", "shop", &[(key.as_str(), "x")]).unwrap();

    assert_eq!(key.len(), 317);
    assert_eq!(owners(&index, "u1"), ["long"]);
}

#[test]
fn names_that_no_api_server_gives_are_refused_and_counted() {
    let mut index = index();
    let long = "n".repeat(70_000);

    for (uid, namespace) in [("", "shop"), ("u", ""), (&long, "shop"), ("u", &long)] {
        assert_eq!(index.upsert_pod(uid, namespace, WEB), Err(Refused::Name));
    }
    assert_eq!(index.upsert_owner(Some("shop"), &long, None, None), Err(Refused::Name));

    assert_eq!(index.stats().counts.refused.names, 5);
    assert_eq!(index.stats().namespaces, 0);
}

#[test]
fn what_is_over_the_limits_is_refused_and_counted() {
    let limits = Limits { pods: 3, owners: 1, classes: 2, namespaces: 2 };
    let mut index = Index::with_limits(1, limits);
    index.upsert_pod("u1", "shop", WEB).unwrap();
    index.upsert_pod("u2", "shop", DB).unwrap();
    serve(&mut index, "blog", "web", "app=web");

    assert_eq!(index.upsert_pod("u3", "shop", &[("app", "ci")]), Err(Refused::Classes));
    index.upsert_pod("u3", "shop", WEB).unwrap();
    assert_eq!(index.upsert_pod("u4", "shop", WEB), Err(Refused::Pods));
    assert_eq!(index.upsert_owner(Some("shop"), "b", None, None), Err(Refused::Owners));
    assert_eq!(index.set_namespace("more", WEB), Err(Refused::Namespaces));

    let refused = index.stats().counts.refused;
    assert_eq!((refused.pods, refused.owners, refused.classes, refused.namespaces), (1, 1, 1, 1));
    assert_eq!(index.stats().pods, 3);
}

#[test]
fn a_pod_whose_new_labels_do_not_fit_is_removed_rather_than_left_wrong() {
    let limits = Limits { classes: 1, ..Limits::default() };
    let mut index = Index::with_limits(1, limits);
    serve(&mut index, "shop", "web", "app=web");
    let (pod, _) = index.upsert_pod("u1", "shop", WEB).unwrap();

    assert_eq!(index.update_pod(pod, DB), Err(Refused::Classes));

    assert_eq!(index.find_pod("u1"), None);
    assert_eq!(index.stats().classes, 0);
}

#[test]
fn ten_thousand_services_with_one_selector_are_one_selector() {
    let mut index = index();
    let ids: Vec<_> =
        (0..10_000).map(|n| serve(&mut index, "shop", &format!("s{n}"), "app=web")).collect();
    let (pod, _) = index.upsert_pod("u1", "shop", WEB).unwrap();

    assert_eq!(index.stats().selectors, 1);
    assert_eq!(index.owners_of(pod).count(), 10_000);
    for n in (0..10_000).step_by(2) {
        index.remove_owner(Some("shop"), &format!("s{n}")).unwrap();
    }
    let left: Vec<_> = index.owners_of(pod).collect();
    assert_eq!(left.len(), 5000);
    assert!(left.iter().all(|id| ids.contains(id)));
}

#[test]
fn selectors_written_in_another_way_are_one_selector() {
    let mut index = index();
    for (i, text) in
        ["a=1,b in (2,3)", "b in (3,2,3),a in (1)", "a==1,b in (2,3)"].iter().enumerate()
    {
        serve(&mut index, "shop", &i.to_string(), text);
    }

    assert_eq!(index.stats().selectors, 1);
}

#[test]
fn a_value_in_a_long_list_is_found() {
    let mut index = index();
    let values: Vec<_> = (0..500).map(|n| format!("v{n}")).collect();
    serve(&mut index, "shop", "long", &format!("app in ({})", values.join(",")));
    serve(&mut index, "shop", "short", &format!("app in ({})", values[..60].join(",")));

    index.upsert_pod("u1", "shop", &[("app", "v41")]).unwrap();
    index.upsert_pod("u2", "shop", &[("app", "v499")]).unwrap();
    index.upsert_pod("u3", "shop", &[("app", "v500")]).unwrap();

    assert_eq!(owners(&index, "u1"), ["long", "short"]);
    assert_eq!(owners(&index, "u2"), ["long"]);
    assert!(owners(&index, "u3").is_empty());
}

#[test]
fn unknown_names_and_ids_have_no_owners_and_no_pods() {
    let mut index = index();
    let (pod, _) = index.upsert_pod("u1", "shop", WEB).unwrap();
    let web = serve(&mut index, "shop", "web", "app=web");
    index.remove_pod("u1");
    index.remove_owner(Some("shop"), "web");

    assert_eq!((index.find_pod("u1"), index.owner(web)), (None, None));
    assert_eq!((index.owners_of(pod).count(), index.pods_of(web).count()), (0, 0));
    assert_eq!(index.remove_owner(Some("void"), "web"), None);
}
