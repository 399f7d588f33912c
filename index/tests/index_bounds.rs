//! What an index does with input that is odd, too much, or listed all at once, and what it tells
//! those who listen.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "index/scene.rs"]
mod scene;

use probelet_index::{Change, Event, Index, Limits, Listed, Refused, Silent};
use scene::{DB, WEB, index, owners, serve};

#[test]
fn labels_in_another_order_are_the_same_labels() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web,tier=front");
    let (pod, _) =
        index.upsert_pod("u1", "shop", "web-0", &[("tier", "front"), ("app", "web")]).unwrap();

    let change = index.update_pod(pod, &[("app", "web"), ("tier", "front")]);
    let again = index.update_pod(pod, &[("tier", "front"), ("app", "web")]);

    assert_eq!((change, again), (Ok(Change::Unchanged), Ok(Change::Unchanged)));
    assert_eq!(owners(&index, "shop", "web-0"), ["web"]);
    assert_eq!(index.stats().counts.irregular.unsorted, 2);
}

#[test]
fn of_a_repeated_key_the_last_value_counts_everywhere() {
    let mut index = index();
    serve(&mut index, "shop", "old", "app=old");
    serve(&mut index, "shop", "new", "app=new");
    let twice = [("app", "old"), ("app", "new")];

    index.upsert_pod("u1", "shop", "web-0", &twice).unwrap();
    let mut found = Vec::new();
    index.match_labels("shop", &twice, &mut found);

    assert_eq!(owners(&index, "shop", "web-0"), ["new"]);
    assert_eq!(found, [index.find_owner(Some("shop"), "new").unwrap()]);
    assert_eq!(index.stats().counts.irregular.repeated, 1);
}

#[test]
fn labels_that_no_api_server_accepts_are_bounded_and_counted() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web,!zzz");
    let (key, value) = ("k".repeat(70_000), "v".repeat(70_000));
    let many: Vec<_> = (0..5000).map(|n| (format!("key-{n}"), "x".to_owned())).collect();

    index
        .upsert_pod("u1", "shop", "web-0", &[("app", "web"), (&key, "x"), ("zzz", &value)])
        .unwrap();
    index.upsert_pod("u2", "shop", "web-1", &many).unwrap();

    assert_eq!(owners(&index, "shop", "web-0"), ["web"]);
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

    index.upsert_pod("u1", "shop", "web-0", &[(key.as_str(), "x")]).unwrap();

    assert_eq!(key.len(), 317);
    assert_eq!(owners(&index, "shop", "web-0"), ["long"]);
}

#[test]
fn names_that_no_api_server_gives_are_refused_and_counted() {
    let mut index = index();
    let long = "n".repeat(70_000);

    for (uid, namespace, name) in [
        ("", "shop", "web"),
        ("u", "", "web"),
        ("u", "shop", ""),
        (&long, "shop", "web"),
        ("u", &long, "web"),
        ("u", "shop", &long),
    ] {
        assert_eq!(index.upsert_pod(uid, namespace, name, WEB), Err(Refused::Name));
    }
    assert_eq!(index.upsert_owner(Some("shop"), &long, None, None), Err(Refused::Name));

    assert_eq!(index.stats().counts.refused.names, 7);
    assert_eq!(index.stats().namespaces, 0);
}

#[test]
fn what_is_over_the_limits_is_refused_and_counted() {
    let limits = Limits { pods: 2, owners: 1, classes: 2, namespaces: 2 };
    let mut index = Index::observed(1, limits, Silent);
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    index.upsert_pod("u2", "shop", "db-0", DB).unwrap();
    serve(&mut index, "blog", "web", "app=web");

    assert_eq!(index.upsert_pod("u3", "shop", "web-1", WEB), Err(Refused::Pods));
    assert_eq!(index.upsert_owner(Some("shop"), "b", None, None), Err(Refused::Owners));
    assert_eq!(index.upsert_pod("u3", "shop", "ci-0", &[("app", "ci")]), Err(Refused::Classes));
    assert_eq!(index.set_namespace("more", WEB), Err(Refused::Namespaces));
    // A pod of the same name takes the place of the old one, not a new one.
    assert_eq!(index.upsert_pod("u4", "shop", "web-0", WEB).unwrap().1, Change::Replaced);

    let refused = index.stats().counts.refused;
    assert_eq!((refused.pods, refused.owners, refused.classes, refused.namespaces), (1, 1, 1, 1));
    assert_eq!(index.stats().pods, 2);
}

#[test]
fn a_pod_whose_new_labels_do_not_fit_is_removed_rather_than_left_wrong() {
    let limits = Limits { classes: 1, ..Limits::default() };
    let mut index = Index::observed(1, limits, Silent);
    serve(&mut index, "shop", "web", "app=web");
    let (pod, _) = index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();

    assert_eq!(index.update_pod(pod, DB), Err(Refused::Classes));

    assert_eq!(index.find_pod("shop", "web-0"), None);
    assert_eq!(index.stats().classes, 0);
}

#[test]
fn ten_thousand_services_with_one_selector_are_one_selector() {
    let mut index = index();
    let ids: Vec<_> =
        (0..10_000).map(|n| serve(&mut index, "shop", &format!("s{n}"), "app=web")).collect();
    let (pod, _) = index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();

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

    index.upsert_pod("u1", "shop", "web-0", &[("app", "v41")]).unwrap();
    index.upsert_pod("u2", "shop", "web-1", &[("app", "v499")]).unwrap();
    index.upsert_pod("u3", "shop", "web-2", &[("app", "v500")]).unwrap();

    assert_eq!(owners(&index, "shop", "web-0"), ["long", "short"]);
    assert_eq!(owners(&index, "shop", "web-1"), ["long"]);
    assert!(owners(&index, "shop", "web-2").is_empty());
}

#[test]
fn a_list_gives_what_one_pod_after_another_gives() {
    let names: Vec<_> = (0..300).map(|n| format!("web-{n}")).collect();
    let labels: [&[(&str, &str)]; 3] = [WEB, DB, &[("b", "2"), ("a", "1")]];
    let mut list: Vec<_> = (0..names.len())
        .map(|i| Listed {
            uid: &names[i],
            namespace: if i < 200 { "shop" } else { "blog" },
            name: &names[i],
            labels: labels[i / 10 % 3],
        })
        .collect();
    list.push(list[7]);
    list.push(Listed { uid: "new", ..list[8] });
    list.push(Listed { uid: "", ..list[8] });

    let mut batch = index();
    serve(&mut batch, "shop", "web", "app=web");
    let mut one_by_one = batch.clone();
    let mut results = Vec::new();
    batch.upsert_pods(&list, |result| results.push(result.map(|(_, change)| change)));

    let single: Vec<_> = list
        .iter()
        .map(|pod| one_by_one.upsert_pod(pod.uid, pod.namespace, pod.name, pod.labels))
        .map(|result| result.map(|(_, change)| change))
        .collect();
    assert_eq!(results, single);
    for pod in &list {
        assert_eq!(
            owners(&batch, pod.namespace, pod.name),
            owners(&one_by_one, pod.namespace, pod.name)
        );
    }
    assert_eq!(batch.stats().classes, one_by_one.stats().classes);
}

#[test]
fn a_listener_hears_what_changed_and_nothing_else() {
    let mut index = Index::observed(1, Limits::default(), Vec::<Event>::new());
    let web = serve(&mut index, "shop", "web", "app=web");
    let both = serve(&mut index, "shop", "both", "app");
    let (pod, _) = index.upsert_pod("u1", "shop", "x", WEB).unwrap();
    let event = |owner, gained| Event { owner, pod, gained };

    let mut heard = std::mem::take(index.observer_mut());
    heard.sort();
    assert_eq!(heard, [event(web, true), event(both, true)]);

    index.update_pod(pod, DB).unwrap();
    assert_eq!(std::mem::take(index.observer_mut()), [event(web, false)]);

    serve(&mut index, "shop", "both", "app notin (web)");
    assert_eq!(std::mem::take(index.observer_mut()), []);

    index.remove_pod("u1");
    assert_eq!(std::mem::take(index.observer_mut()), [event(both, false)]);
}

#[test]
fn unknown_names_and_ids_have_no_owners_and_no_pods() {
    let mut index = index();
    let (pod, _) = index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    let web = serve(&mut index, "shop", "web", "app=web");
    index.remove_pod("u1");
    index.remove_owner(Some("shop"), "web");

    assert_eq!((index.pod(pod), index.owner(web)), (None, None));
    assert_eq!((index.owners_of(pod).count(), index.pods_of(web).count()), (0, 0));
    assert_eq!(index.remove_owner(Some("void"), "web"), None);
    assert_eq!(index.find_owner(None, "web"), None);
}

#[test]
fn a_report_visits_every_label_set_once() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    for i in 0..10 {
        index
            .upsert_pod(&format!("u{i}"), "shop", &format!("p{i}"), if i < 7 { WEB } else { DB })
            .unwrap();
    }

    let mut seen = Vec::new();
    index.each_class(|owners, pods| seen.push((owners.count(), pods.len())));
    seen.sort_unstable();

    assert_eq!(seen, [(0, 3), (1, 7)]);
}
