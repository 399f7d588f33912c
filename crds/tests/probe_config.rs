//! What people write into a ProbeConfig, and what is said to it.

use probelet_crds::{CpuQuantity, Interval, Peers, ProbeConfigSpec, Source};
use serde_json::{Value, json};

fn errors(value: &Value) -> Vec<String> {
    ProbeConfigSpec::from_value(value)
        .expect_err("a mistake")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_defaults_apply_the_rules() {
    assert_eq!(ProbeConfigSpec::default().validate(), Ok(()));
}

#[test]
fn an_empty_mapping_and_nothing_at_all_are_the_defaults() {
    for value in [
        json!({}),
        Value::Null,
        json!({"intervals": null, "budget": {"cpu": null}, "paused": null}),
    ] {
        assert_eq!(ProbeConfigSpec::from_value(&value), Ok(ProbeConfigSpec::default()), "{value}");
    }
}

#[test]
fn the_spec_survives_yaml() {
    let spec = ProbeConfigSpec::from_value(&json!({
        "source": "BpfCompat", "budget": {"cpu": 0.25, "window": "90s"}, "match": {"peers": "ServiceIPs"},
        "nodeSelector": {"matchLabels": {"pool": "edge"},
                         "matchExpressions": [{"key": "gpu", "operator": "Exists"}]},
    }))
    .unwrap();
    let yaml = serde_saphyr::to_string(&spec).unwrap();
    let value: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(ProbeConfigSpec::from_value(&value), Ok(spec), "{yaml}");
}

#[test]
fn what_is_written_is_what_is_set() {
    let spec = ProbeConfigSpec::from_value(&json!({
        "paused": true, "source": "Netlink", "intervals": {"sockets": "500ms"}, "match": {"peers": "Off"},
        "budget": {"cpu": "0.02"}, "limits": {"maxSockets": 2048},
    }))
    .unwrap();
    assert!(spec.paused);
    assert_eq!(spec.source, Source::Netlink);
    assert_eq!(spec.intervals.sockets, Interval::from_millis(500));
    assert_eq!(spec.matching.peers, Peers::Off);
    assert_eq!(spec.budget.cpu, CpuQuantity::from_millicores(20));
    assert_eq!(spec.limits.max_sockets, 2048);
    assert_eq!(spec.limits.max_processes, 16_384);
}

#[test]
fn what_cannot_be_read_is_one_message_that_names_its_field() {
    for (value, message) in [
        (
            json!({"budget": {"cpu": "5%"}}),
            r#"spec.budget.cpu: "5%" is not an amount of CPU; write it like 5m, 0.005 or 1"#,
        ),
        (
            json!({"budget": {"cpu": -1}}),
            "spec.budget.cpu: -1 is not an amount of CPU; write it like 5m, 0.005 or 1",
        ),
        (json!({"budgte": {}}), "unknown field `budgte` in spec, did you mean `budget`?"),
        (
            json!({"limits": {"maxsockets": 5000}}),
            "unknown field `maxsockets` in spec.limits, did you mean `maxSockets`?",
        ),
        (
            json!({"intervals": {"sockets": "1"}}),
            r#"spec.intervals.sockets: "1" is not a length of time; write it like 500ms, 1s or 1m30s"#,
        ),
        (json!({"intervals": {"sockets": 1}}), "spec.intervals.sockets: 1 is not text such as 1s"),
        (
            json!({"intervals": "1s"}),
            r#"spec.intervals: "1s" is not a mapping of fields to values"#,
        ),
        (json!({"paused": "yes"}), r#"spec.paused: "yes" is not true or false"#),
        (
            json!({"source": "Ebpf"}),
            r#"spec.source: "Ebpf" is not known here; give one of Auto, Bpf, BpfCompat, Netlink, Procfs"#,
        ),
        (
            json!({"limits": {"maxSockets": 1.5}}),
            "spec.limits.maxSockets: 1.5 is not a whole number",
        ),
        (
            json!({"limits": {"maxSockets": 5_000_000_000_u64}}),
            "spec.limits.maxSockets: 5000000000 is too large",
        ),
        (json!([1]), "spec: [1] is not a mapping of fields to values"),
    ] {
        assert_eq!(errors(&value), [message], "{value}");
    }
}

#[test]
fn a_broken_rule_is_one_message_that_says_what_would_be_right() {
    for (value, message) in [
        (
            json!({"budget": {"cpu": "0.5m"}}),
            r#"spec.budget.cpu: "0.5m" is too small; give at least 1m"#,
        ),
        (json!({"budget": {"cpu": 9}}), "spec.budget.cpu: 9 is too large; give at most 8"),
        (
            json!({"budget": {"cpu": "3709551615.0000039"}}),
            r#"spec.budget.cpu: "3709551615.0000039" is too large; give at most 8"#,
        ),
        (
            json!({"intervals": {"report": "99999h1h"}}),
            r#"spec.intervals.report: "99999h1h" is not a length of time; write it like 500ms, 1s or 1m30s"#,
        ),
        (
            json!({"intervals": {"report": "10ms"}}),
            r#"spec.intervals.report: "10ms" is too small; give at least 100ms"#,
        ),
        (
            json!({"limits": {"maxSockets": 10}}),
            "spec.limits.maxSockets: 10 is too small; give at least 1024",
        ),
        (
            json!({"intervals": {"sockets": "20s"}}),
            r#"spec.intervals.bytes: "10s" is too short; give at least 20s, as spec.intervals.sockets"#,
        ),
        (
            json!({"intervals": {"sockets": "2m", "bytes": "2m"}}),
            r#"spec.budget.window: "1m" is too short; give at least 2m, as spec.intervals.sockets"#,
        ),
        (
            json!({"reporting": {"refreshInterval": "1m", "minInterval": "5m"}}),
            r#"spec.reporting.refreshInterval: "1m" is too short; give at least 5m, as spec.reporting.minInterval"#,
        ),
        (
            json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.nodeSelector.matchExpressions[0].values: [] needs a value for this operator",
        ),
    ] {
        assert_eq!(errors(&value), [message], "{value}");
    }
}

#[test]
fn all_mistakes_of_a_kind_are_reported_at_once() {
    let reported = errors(
        &json!({"paused": 1, "jitterPercent": "x", "limits": {"maxSockets": true, "nope": 1}}),
    );
    assert_eq!(reported.len(), 4, "{reported:?}");
}

#[test]
fn the_hash_depends_on_the_content_and_not_on_its_spelling() {
    let spelt = |value: Value| ProbeConfigSpec::from_value(&value).unwrap().hash();
    assert_eq!(
        spelt(json!({"budget": {"cpu": "0.005"}})),
        spelt(json!({"budget": {"window": "1m"}}))
    );
    assert_ne!(spelt(json!({"paused": true})), spelt(json!({})));
    assert_eq!(spelt(json!({})).len(), 16);
}

fn groups(groups: &Value) -> Value {
    json!({"match": {"cidrGroups": groups}})
}

#[test]
fn named_ranges_are_read() {
    let written = groups(&json!([
        {"name": "office", "cidrs": ["192.0.2.0/24", "2001:db8::/32"]},
        {"name": "db-1", "cidrs": ["192.0.2.7/32"]},
    ]));

    let spec = ProbeConfigSpec::from_value(&written).unwrap();

    let office = &spec.matching.cidr_groups[0];
    let ranges: Vec<_> = office.ranges().map(|range| (range.address, range.prefix)).collect();
    assert_eq!(office.name, "office");
    assert_eq!(ranges, [("192.0.2.0".parse().unwrap(), 24), ("2001:db8::".parse().unwrap(), 32)]);
}

#[test]
fn a_mistake_in_a_named_range_is_one_message_that_names_its_place() {
    let one = |name: &str| json!({"name": name, "cidrs": ["10.0.0.0/8"]});
    for (value, message) in [
        (
            json!([{"name": "a", "cidrs": ["10.0.0.0/8", "10.1.2.3/16"]}]),
            r#"spec.match.cidrGroups[0].cidrs[1]: "10.1.2.3/16" does not begin at its first address; write 10.1.0.0/16"#,
        ),
        (
            json!([{"name": "a", "cidrs": ["::/0"]}, {"name": "b", "cidrs": ["::/0"]}]),
            r#"spec.match.cidrGroups[1].cidrs[0]: "::/0" is in group a already"#,
        ),
        (
            json!([{"name": "a", "cidrs": ["::/0"]}, one("a")]),
            r#"spec.match.cidrGroups[1].name: "a" is the name of group 0 already"#,
        ),
        (
            json!([one("Office")]),
            r#"spec.match.cidrGroups[0].name: "Office" is not a name; give 1 to 63 lower case letters, digits and inner dashes"#,
        ),
        (
            json!([one("other")]),
            r#"spec.match.cidrGroups[0].name: "other" is a name with a meaning of its own; choose another"#,
        ),
        (
            json!([{"name": "a", "cidrs": []}]),
            "spec.match.cidrGroups[0].cidrs: [] needs a range such as 10.0.0.0/8",
        ),
        (
            Value::Array((0..33).map(|n| one(&format!("g{n}"))).collect()),
            "spec.match.cidrGroups: 33 groups are too many; give at most 32",
        ),
        (
            json!([{"name": "a", "cidrs": vec!["10.0.0.0/8"; 65]}]),
            "spec.match.cidrGroups[0].cidrs: 65 ranges are too many; give at most 64",
        ),
    ] {
        assert_eq!(errors(&groups(&value)), [message], "{value}");
    }
}

#[test]
fn a_group_of_another_shape_is_refused() {
    for value in [json!([{"name": "a"}]), json!([{"name": "a", "cidrs": [], "x": 1}]), json!("a")] {
        let reported = errors(&groups(&value));
        assert!(
            reported.len() == 1 && reported[0].starts_with("spec.match.cidrGroups: "),
            "{reported:?}"
        );
    }
}
