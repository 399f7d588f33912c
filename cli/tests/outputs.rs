//! No output holds a control byte but the end of a line, and everything that is for programs can be read by them.
//!
//! In: answers of hostile agents and API servers, with every text chosen by a stranger. Out: every answer in every format,
//! read by a parser of that format. Pure: values only.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use hyper::Method;
use jiff::Timestamp;
use kubectl_probelet::answer::conns::{Conns, Which};
use kubectl_probelet::answer::doctor::Diagnosis;
use kubectl_probelet::answer::dry_run::DryRun;
use kubectl_probelet::answer::effective::Effective;
use kubectl_probelet::answer::explain::{self, Explanation};
use kubectl_probelet::answer::map::Map;
use kubectl_probelet::answer::naming::{Asked, Names};
use kubectl_probelet::answer::netpol::{Ends, Policy, Subject};
use kubectl_probelet::answer::procs::Procs;
use kubectl_probelet::answer::rollout::Rollouts;
use kubectl_probelet::answer::status::{Seen, Status};
use kubectl_probelet::answer::top::{Look, Top};
use kubectl_probelet::args::{Format, Ranking};
use kubectl_probelet::ask::Error;
use kubectl_probelet::seen::clean;
use kubectl_probelet::seen::config::Config;
use kubectl_probelet::seen::pod::Pod;
use kubectl_probelet::seen::probe::Probe;
use kubectl_probelet::seen::report::Report;
use kubectl_probelet::seen::{DaemonCounts, Node, Service};
use kubectl_probelet::show::{Answer, show};
use kubectl_probelet::target::Target;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What strangers call things.
fn odd() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\u{1b}]0;owned\u{7}".to_owned()),
        Just("\u{9b}2J".to_owned()),
        Just("\u{2028}kind: List #".to_owned()),
        Just("\u{fffe}\u{feff}\u{202e}".to_owned()),
        Just("\r\t\u{0}\u{7f}\u{85}".to_owned()),
        Just("\"]; n1[\"#quot;&lt;".to_owned()),
        Just("\\".to_owned()),
        Just("</text><script>&'\"".to_owned()),
        Just("'on': [*x, &y, !!z] # | > %".to_owned()),
        Just("shop/Deployment/api".to_owned()),
        "[a-z]{1,8}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// As it comes over the wire: through JSON and the one way for texts.
fn read<T: DeserializeOwned>(value: &Value) -> T {
    clean::read(value.to_string().as_bytes()).unwrap()
}

struct Hostile {
    texts: Vec<String>,
    next: std::cell::Cell<usize>,
}

impl Hostile {
    fn text(&self) -> &str {
        self.next.set(self.next.get() + 1);
        &self.texts[self.next.get() % self.texts.len()]
    }

    fn report(&self) -> Report {
        let t = || self.text();
        let end = |kind: &str, name: &str| json!({"kind": kind, "name": name});
        let flow = |source: Value, destination: Value| json!({"source": source, "destination": destination, "port": 80, "protocol": t(), "current": 1, "opened": 2});
        let api = "shop/Deployment/api";
        let kinds = [
            "pod",
            "service",
            "external",
            "node",
            "group",
            "process",
            "container",
            "workload",
            t(),
        ];
        let mut flows: Vec<Value> =
            kinds.iter().map(|kind| flow(end("workload", api), end(kind, t()))).collect();
        flows.extend(kinds.iter().map(|kind| flow(end(kind, t()), end("workload", t()))));
        flows.push(flow(end("workload", api), end("external", "10.0.0.9")));
        let connection = |pod: &str| {
            json!({"id": 1, "protocol": t(), "state": t(), "local": t(), "remote": t(), "direction": t(), "comm": t(),
                "pod": pod, "peer": {"kind": t(), "name": t(), "pod": t(), "service": t(), "workload": t()}})
        };
        read(&json!({
            "time": 100.0, "node": t(), "source": t(),
            "processes": [{"pid": 1, "comm": t(), "pod": "shop/api-1", "container": t()}, {"comm": t(), "pod": t()}],
            "connections": [connection("shop/api-1"), connection(t())],
            "listeners": [{"protocol": t(), "local": t(), "pid": 1, "pod": t()}],
            "pods": [{"namespace": "shop", "name": "api-1", "services": [t()], "workload": api, "ips": [t()]},
                {"namespace": t(), "name": t(), "services": [t()], "workload": t(), "ips": [t()]}],
            "flows": flows, "losses": {t(): 3, "unseen": 4}, "unresolved": {t(): 2},
            "cluster": {t(): {"known": 1, "synced": false}, "pods": {"known": 2, "synced": true}},
            "agent": {"version": t(), "level": t(), "levelReason": t(), "refused": [t(), t()], "configError": t(),
                "desiredIntervalSeconds": {t(): 1.0}, "effectiveIntervalSeconds": {t(): 9.0}},
        }))
    }

    fn condition(&self, kind: &str) -> Value {
        json!({"type": kind, "status": "False", "reason": self.text(), "message": self.text(),
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn stored(&self) -> Value {
        let t = || self.text();
        let kinds =
            ["Ready", "ConfigApplied", "WithinBudget", "DataComplete", "PermissionsOK", t()];
        let conditions: Vec<Value> = kinds.iter().map(|kind| self.condition(kind)).collect();
        json!({"metadata": {"name": t(), "generation": 2}, "spec": {"hash": "x", "origin": {"name": t()},
                "config": {"budget": {"cpu": "5m"}, t(): t()}},
            "status": {"observedGeneration": 2, "appliedConfigHash": "x", "conditions": conditions,
                "agent": {"version": t(), "source": t(), "level": "Stretched", "levelReason": t(), "memory": "1Mi"},
                "quality": {"coverage": "47%", "unresolved": {t(): 2}},
                "top": {"flows": [{"source": t(), "destination": t(), "port": 1, "protocol": t(), "connections": 1}],
                    "processes": [{"comm": t(), "pod": t(), "cpu": "1m"}]}}})
    }

    fn config(&self) -> Config {
        let t = || self.text();
        read(&json!({
            "metadata": {"name": t(), "generation": 3, "annotations": {"probelet.io/rollout": t()}},
            "spec": {"budget": {"cpu": "5m"}, "nodeSelector": {"matchLabels": {"a": "b"}}},
            "status": {"observedGeneration": 2, "conditions": [self.condition("Accepted"), self.condition("Degraded")],
                "rollout": {"generation": 2, "hash": "ab", "phase": "RolledBack"}}}))
    }

    fn pod(&self) -> Pod {
        let t = || self.text();
        read(
            &json!({"metadata": {"namespace": "shop", "name": "api-1", "labels": {"app": t(), t(): t()},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "api-x", "controller": true}]},
            "spec": {"nodeName": t(), "containers": [{"ports": [{"name": t(), "containerPort": 1}]}]},
            "status": {"phase": t(), "reason": t(), "message": t(), "podIPs": [{"ip": t()}],
                "containerStatuses": [{"restartCount": 9, "state": {"waiting": {"reason": t(), "message": t()}},
                    "lastState": {"terminated": {"reason": t(), "message": t(), "exitCode": 1}}}]}}),
        )
    }

    fn service(&self) -> Service {
        let t = || self.text();
        read(&json!({"metadata": {"namespace": "shop", "name": t()},
            "spec": {"selector": {"app": t()}, "ports": [{"port": 80, "targetPort": t()}]}}))
    }
}

/// Everything that the program may print of it.
#[expect(clippy::too_many_lines, reason = "a list of all answers, one after the other")]
fn outputs(hostile: &Hostile) -> Vec<(String, Format, String)> {
    let (reports, pod, service) = (vec![hostile.report()], hostile.pod(), vec![hostile.service()]);
    let stored = hostile.stored();
    let probe: Probe = read(&stored);
    let stored: Value = read(&stored);
    let configs = vec![hostile.config(), hostile.config()];
    let node: Node = read(&json!({"metadata": {"name": hostile.text(), "labels": {"a": "b"}}}));
    let names = Names::of(&reports, &service, Asked::Every);
    let map = Map::of(&reports, &names, None, true);
    let name = reports[0].node.clone();
    let unasked = vec![(name.clone(), clean::text(hostile.text()).into_owned())];
    let look = |whole| Look {
        probes: vec![probe.clone()],
        reports: reports.clone(),
        whole,
        unasked: unasked.clone(),
        asked: Asked::Every,
    };
    let seen = Seen {
        server: "https://a:1".to_owned(),
        place: ("probelet".to_owned(), "probelet".to_owned()),
        probes: vec![probe.clone()],
        nodes: Some(2),
        configs: configs.clone(),
        lease: Ok(None),
        operators: Ok(vec![pod.clone()]),
        daemons: Some(DaemonCounts { desired_number_scheduled: 2, number_ready: 1 }),
        down: vec![(pod.spec.node_name.clone(), pod.why_not().unwrap_or_default())],
        now: Timestamp::UNIX_EPOCH,
    };
    let seen_with = |report| explain::Seen {
        node: &name,
        place: ("probelet", "probelet"),
        probe: Some(&probe),
        pod: Some(&pod),
        config: Some(&configs[0]),
        report,
        operated: Some(false),
    };
    let mut all = Vec::new();
    let target = Target::Node(name.clone());
    let mut conns = Conns::of(&target, &reports, Which { closed: true, port: None });
    conns.unasked.clone_from(&unasked);
    add(&mut all, "conns", &conns);
    add(&mut all, "procs", &Procs::of(&target, &reports));
    add(&mut all, "map", &map);
    for (ranking, whole) in [
        (Ranking::Nodes, true),
        (Ranking::Flows, true),
        (Ranking::Procs, true),
        (Ranking::Flows, false),
        (Ranking::Procs, false),
    ] {
        add(&mut all, "top", &Top::of(ranking, &look(whole), None, 9));
    }
    add(&mut all, "status", &Status::of(&seen, 99));
    add(&mut all, "explain", &Explanation::of(&seen_with(Ok(&reports[0]))));
    add(&mut all, "doctor", &Diagnosis::of(&seen_with(Ok(&reports[0]))));
    add(
        &mut all,
        "doctor",
        &Diagnosis::of(&seen_with(Err(explain::Unreported {
            why: unasked[0].1.clone(),
            busy: false,
            next: None,
        }))),
    );
    add(&mut all, "effective", &Effective::of(&stored, &probe, Some(&node), &configs, false));
    add(&mut all, "rollouts", &Rollouts::of(&configs));
    add(
        &mut all,
        "dry-run",
        &DryRun::of(&configs[..1], &configs[1..], &[node], std::slice::from_ref(&probe)),
    );
    for format in [Format::Dot, Format::Mermaid, Format::Svg] {
        all.push(("map".to_owned(), format, map.picture(format).unwrap()));
    }
    let subject = Subject::workload("shop/Deployment/api");
    let subject = Subject { workloads: [subject.called.clone(), pod.workload()].into(), ..subject };
    let policy =
        Policy::of(&subject, &reports, &names, &Ends::of(std::slice::from_ref(&pod), &service))
            .unwrap();
    all.push(("netpol".to_owned(), Format::Yaml, policy.text()));
    add(&mut all, "netpol", &policy);
    all
}

fn add(all: &mut Vec<(String, Format, String)>, what: &str, answer: &impl Answer) {
    for format in [Format::Table, Format::Wide, Format::Json, Format::Yaml, Format::Name] {
        all.push((what.to_owned(), format, show(answer, format, false).unwrap()));
    }
}

/// Graphviz: strings end where they begin, and outside of them stand the words that we write.
fn is_dot(text: &str) -> bool {
    let (mut plain, mut inside, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match (inside, escaped, c) {
            (true, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, _, '"') => {
                inside = !inside;
                plain.push('"');
            }
            (true, ..) => {}
            (false, ..) => plain.push(c),
        }
    }
    let ours = [
        "digraph probelet {",
        "rankdir=LR;",
        "node [shape=box, style=\"\", fillcolor=\"\"];",
        "subgraph \"\" {",
        "label=\"\";",
        "node [fillcolor=\"\"];",
        "\"\" [label=\"\"];",
        "\"\" -> \"\" [label=\"\"];",
        "}",
    ];
    !inside
        && plain.lines().all(|line| ours.contains(&line.trim()))
        && plain.matches('{').count() == plain.matches('}').count()
}

/// Mermaid: every line is one of ours, and no text ends the quotes around it.
fn is_mermaid(text: &str) -> bool {
    let quoted = |line: &str, begin: &str| {
        let rest = line.strip_prefix(begin)?;
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let inside = rest.strip_prefix("[\"")?.strip_suffix("\"]")?;
        (!inside.contains(['"', '<', '>', '`'])).then_some(())
    };
    let edge = |line: &str| {
        let (from, rest) = line.split_once(" -->|")?;
        let (port, to) = rest.split_once("| ")?;
        let id = |end: &str| end.strip_prefix('n').is_some_and(|n| n.parse::<u32>().is_ok());
        let port = port.strip_suffix("/udp").unwrap_or(port).parse::<u16>().is_ok();
        (id(from) && id(to) && port).then_some(())
    };
    let mut depth = 0_i32;
    let ours = text.lines().skip(1).all(|line| {
        let line = line.trim_start();
        depth += i32::from(line.starts_with("subgraph ")) - i32::from(line == "end");
        line == "end"
            || quoted(line, "subgraph ns")
                .or_else(|| quoted(line, "n"))
                .or_else(|| edge(line))
                .is_some()
    });
    text.starts_with("flowchart LR\n") && ours && depth == 0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_output_moves_a_cursor_and_every_format_is_one(texts in prop::collection::vec(odd(), 7..40)) {
        let hostile = Hostile { texts, next: std::cell::Cell::new(0) };
        for (what, format, text) in outputs(&hostile) {
            let control = text.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{2028}'..='\u{202e}').contains(c));
            prop_assert!(control.is_none(), "{what} as {format:?} has {control:?}:\n{text}");
            match format {
                Format::Json => prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{what}: {text}"),
                Format::Yaml => {
                    let read: Result<Value, _> = serde_saphyr::from_str(&text);
                    prop_assert!(read.is_ok(), "{what}: {read:?}\n{text}");
                }
                Format::Svg => {
                    let read = roxmltree::Document::parse(&text);
                    prop_assert!(read.is_ok(), "{read:?}\n{text}");
                }
                Format::Dot => prop_assert!(is_dot(&text), "{text}"),
                Format::Mermaid => prop_assert!(is_mermaid(&text), "{text}"),
                Format::Table | Format::Wide | Format::Name => {}
            }
        }
    }

    #[test]
    fn json_and_yaml_say_the_same(texts in prop::collection::vec(odd(), 7..20)) {
        let hostile = Hostile { texts, next: std::cell::Cell::new(0) };
        let all = outputs(&hostile);
        let json = all.iter().filter(|(_, format, _)| *format == Format::Json);
        let yaml = all.iter().filter(|(what, format, text)| *format == Format::Yaml && !(what == "netpol" && text.starts_with('#')));
        for ((what, _, json), (_, _, yaml)) in json.zip(yaml) {
            let json: Value = serde_json::from_str(json).unwrap();
            let yaml: Value = serde_saphyr::from_str(yaml).unwrap();
            prop_assert_eq!(without_numbers(json), without_numbers(yaml), "{}", what);
        }
    }

    #[test]
    fn no_error_moves_a_cursor(message in odd(), plain in any::<bool>(), code in 400_u16..600) {
        let body = if plain { message } else { json!({"message": message}).to_string() };

        let error = Error::refused(&Method::GET, "/api/v1/pods", code, body.as_bytes());

        let text = format!("{error}{}", error.next().unwrap_or_default());
        prop_assert!(!text.contains(char::is_control), "{text:?}");
    }
}

/// Whole numbers and those with a point are one kind to YAML.
fn without_numbers(value: Value) -> Value {
    match value {
        Value::Number(_) => Value::from(0),
        Value::Array(items) => items.into_iter().map(without_numbers).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, without_numbers(value))).collect()
        }
        other => other,
    }
}
