//! What Kubernetes does that an index of labels is likely to get wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use probelet_core::index::{Change, Event, Index, Limits, Listed, OwnerId, Refused, Silent};
use probelet_core::selector::Selector;

const WEB: &[(&str, &str)] = &[("app", "web")];
const DB: &[(&str, &str)] = &[("app", "db")];

fn index() -> Index {
    Index::new(0x5eed)
}

fn parse(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

fn serve<O: probelet_core::index::Observe>(
    index: &mut Index<O>,
    namespace: &str,
    name: &str,
    selector: &str,
) -> OwnerId {
    index.upsert_owner(Some(namespace), name, Some(&parse(selector)), None).unwrap().0
}

/// Names of the owners of a pod, sorted.
fn owners(index: &Index, namespace: &str, pod: &str) -> Vec<String> {
    let Some(pod) = index.find_pod(namespace, pod) else { return Vec::new() };
    let names = index.owners_of(pod).map(|id| index.owner(id).unwrap().1.to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn no_selector_selects_nothing_and_the_empty_one_everything_in_its_namespace() {
    let mut index = index();
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    index.upsert_pod("u2", "blog", "web-0", WEB).unwrap();

    index.upsert_owner(Some("shop"), "kubernetes", None, None).unwrap();
    index.upsert_owner(Some("shop"), "deny-all", Some(&Selector::everything()), None).unwrap();

    assert_eq!(owners(&index, "shop", "web-0"), ["deny-all"]);
    assert!(owners(&index, "blog", "web-0").is_empty());
}

#[test]
fn a_selector_that_is_taken_away_selects_nothing_any_more() {
    let mut index = index();
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    serve(&mut index, "shop", "web", "app=web");

    let (_, change) = index.upsert_owner(Some("shop"), "web", None, None).unwrap();

    assert_eq!(change, Change::Changed);
    assert!(owners(&index, "shop", "web-0").is_empty());
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

    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    index.upsert_pod("u2", "shop", "ci-0", &[("env", "ci")]).unwrap();

    assert_eq!(owners(&index, "shop", "web-0"), ["absent", "ne", "notin"]);
    assert_eq!(owners(&index, "shop", "ci-0"), ["in"]);
}

#[test]
fn an_empty_value_is_a_value() {
    let mut index = index();
    serve(&mut index, "shop", "empty", "canary=");
    serve(&mut index, "shop", "any", "canary");

    index.upsert_pod("u1", "shop", "web-0", &[("canary", "")]).unwrap();
    index.upsert_pod("u2", "shop", "web-1", &[("canary", "no")]).unwrap();

    assert_eq!(owners(&index, "shop", "web-0"), ["any", "empty"]);
    assert_eq!(owners(&index, "shop", "web-1"), ["any"]);
}

#[test]
fn the_same_labels_in_another_namespace_are_another_matter() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    index.upsert_pod("u1", "blog", "web-0", WEB).unwrap();

    assert!(owners(&index, "blog", "web-0").is_empty());
}

#[test]
fn a_namespace_that_gets_labels_is_matched_again() {
    let mut index = index();
    let (all, prod) = (Selector::everything(), parse("stage=prod"));
    index.upsert_owner(None, "baseline", Some(&all), Some(&prod)).unwrap();
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    assert!(owners(&index, "shop", "web-0").is_empty());

    index.set_namespace("shop", &[("stage", "prod")]).unwrap();
    assert_eq!(owners(&index, "shop", "web-0"), ["baseline"]);

    index.set_namespace("shop", &[("stage", "test")]).unwrap();
    assert!(owners(&index, "shop", "web-0").is_empty());
}

#[test]
fn a_namespace_that_was_deleted_and_made_again_starts_without_labels() {
    let mut index = index();
    let (all, prod) = (Selector::everything(), parse("stage=prod"));
    index.upsert_owner(None, "baseline", Some(&all), Some(&prod)).unwrap();
    index.set_namespace("shop", &[("stage", "prod")]).unwrap();
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();

    assert!(index.remove_namespace("shop"));
    assert!(owners(&index, "shop", "web-0").is_empty());
    index.remove_pod("u1").unwrap();
    index.set_namespace("shop", &[("other", "label")]).unwrap();
    index.upsert_pod("u2", "shop", "web-0", WEB).unwrap();

    assert!(owners(&index, "shop", "web-0").is_empty());
    assert!(!index.remove_namespace("never-there"));
}

#[test]
fn a_namespace_nobody_needs_is_dropped() {
    let mut index = index();
    index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    serve(&mut index, "blog", "web", "app=web");

    index.remove_pod("u1").unwrap();
    index.remove_owner(Some("blog"), "web").unwrap();

    assert_eq!(index.stats().namespaces, 0);
}

#[test]
fn a_late_delete_of_the_old_pod_does_not_remove_the_new_one() {
    let mut index = index();
    serve(&mut index, "shop", "db", "app=db");
    index.upsert_pod("old-uid", "shop", "db-0", DB).unwrap();

    let (new, change) = index.upsert_pod("new-uid", "shop", "db-0", DB).unwrap();
    let removed = index.remove_pod("old-uid");

    assert_eq!((change, removed), (Change::Replaced, None));
    assert_eq!(index.find_pod("shop", "db-0"), Some(new));
    assert_eq!(owners(&index, "shop", "db-0"), ["db"]);
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
    for (i, uid) in uids.into_iter().enumerate() {
        index.upsert_pod(uid, "shop", &format!("web{i}"), WEB).unwrap();
    }

    assert_eq!(index.stats().pods, uids.len());
    for (i, uid) in uids.into_iter().enumerate() {
        let pod = index.find_uid(uid).unwrap();
        assert_eq!(index.pod(pod), Some(("shop", format!("web{i}").as_str())));
    }
}

#[test]
fn what_a_new_list_does_not_bring_up_is_swept() {
    let mut index = index();
    let (stays, _) = index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    index.upsert_pod("u2", "shop", "web-1", WEB).unwrap();
    serve(&mut index, "shop", "stays", "app=web");
    serve(&mut index, "shop", "goes", "app=web");
    serve(&mut index, "shop", "policy/other-list", "app=web");
    index.set_namespace("gone", WEB).unwrap();

    let mark = index.mark();
    index.update_pod(stays, WEB).unwrap();
    serve(&mut index, "shop", "stays", "app=web");
    let swept = (
        index.sweep_pods(mark),
        index.sweep_owners(mark, |_, name| !name.starts_with("policy/")),
        index.sweep_namespaces(mark),
    );

    assert_eq!(swept, (1, 1, 1));
    assert_eq!(owners(&index, "shop", "web-0"), ["policy/other-list", "stays"]);
    assert_eq!(index.find_pod("shop", "web-1"), None);
    assert_eq!(index.stats().counts.swept, 3);
}

#[test]
fn updates_that_come_twice_change_nothing() {
    let mut index = index();
    serve(&mut index, "shop", "web", "app=web");
    let (pod, _) = index.upsert_pod("u1", "shop", "web-0", WEB).unwrap();
    let before = index.stats();

    assert_eq!(index.upsert_pod("u1", "shop", "web-0", WEB), Ok((pod, Change::Unchanged)));
    assert_eq!(index.update_pod(pod, WEB), Ok(Change::Unchanged));
    serve(&mut index, "shop", "web", "app in (web)");

    assert_eq!(index.stats(), before);
    assert_eq!(index.remove_pod("u1"), Some(pod));
    assert_eq!(index.remove_pod("u1"), None);
    assert_eq!(index.update_pod(pod, WEB), Err(Refused::Gone));
}

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
                index.upsert_pod(&i.to_string(), "shop", &i.to_string(), labels).unwrap();
            }
        }
        (0..pods.len()).map(|i| owners(&index, "shop", &i.to_string())).collect::<Vec<_>>()
    };

    assert_eq!(build(true), build(false));
    assert_eq!(build(true)[0], ["0", "1", "2"]);
    assert_eq!(build(true)[4], ["0", "3", "5"]);
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
