//! The status of a `NodeProbe` can never outgrow its 2 KiB, and `fit` makes one that the API server takes.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "offline/server.rs"]
mod server;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use probelet_crds::{
    AgentStatus, Capabilities, CpuQuantity, MAX_STATUS, NodeConfig, NodeProbe, NodeProbeSpec,
    NodeProbeStatus, Quality, ReportStatus, RightsStatus, Summary, Top, TopFlow, TopProcess,
    condition,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};
use server::Server;

fn length(status: &NodeProbeStatus) -> usize {
    serde_json::to_string(status).unwrap().len()
}

fn object(status: &NodeProbeStatus) -> Value {
    let config = NodeConfig::default();
    let spec = NodeProbeSpec { hash: config.hash(), config, ..Default::default() };
    let mut probe = NodeProbe::new("node1", spec);
    probe.status = Some(status.clone());
    serde_json::to_value(probe).unwrap()
}

/// The largest value of a place of the schema, on its own.
fn largest(schema: &Value) -> Value {
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().max_by_key(|word| word.to_string().len()).unwrap().clone();
    }
    if schema["x-kubernetes-int-or-string"] == true || schema["type"] == "string" {
        let length = usize::try_from(schema["maxLength"].as_u64().unwrap()).unwrap();
        if schema["format"] == "date-time" {
            return "2026-11-23T10:00:00Z".into();
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return format!("{}u", "9".repeat(length - 1)).into();
        }
        return "m".repeat(length).into();
    }
    match schema["type"].as_str().unwrap() {
        "integer" => schema["maximum"].clone(),
        "array" => {
            let items = usize::try_from(schema["maxItems"].as_u64().unwrap()).unwrap();
            vec![largest(&schema["items"]); items].into()
        }
        "object" if schema["properties"].is_object() => {
            let properties = schema["properties"].as_object().unwrap();
            properties.iter().map(|(name, inner)| (name.clone(), largest(inner))).collect()
        }
        "object" => {
            let value = largest(&schema["additionalProperties"]);
            let names = 0..schema["maxProperties"].as_u64().unwrap();
            names.map(|n| (format!("{n}").repeat(24), value.clone())).collect()
        }
        other => panic!("{other}"),
    }
}

/// The largest status that the bounds of its fields allow, all of them used up.
fn all_bounds_used_up() -> NodeProbeStatus {
    let [_, node] = probelet_crds::schema::definitions();
    let schema = &probelet_crds::schema::schema(&node)["properties"]["status"];
    let mut status: NodeProbeStatus = serde_json::from_value(largest(schema)).unwrap();
    for (condition, kind) in status.conditions.iter_mut().zip(condition::OF_NODE_PROBE) {
        kind.clone_into(&mut condition.type_);
    }
    status
}

#[test]
fn the_bounds_of_the_fields_alone_would_allow_more_so_that_the_rule_is_needed() {
    let status = all_bounds_used_up();

    assert!(length(&status) > MAX_STATUS);
    let reported = Server::new().refuses(&object(&status));
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(reported[0].0, "status");
    assert!(reported[0].1.ends_with("at most 2048 bytes of JSON"), "{reported:?}");
}

#[test]
fn the_largest_status_that_the_schema_accepts_has_at_most_2048_bytes() {
    let server = Server::new();
    let mut largest = 0;
    // Everything at its bounds but for one sort of thing, which gives way letter by letter until the schema accepts.
    for flows in 0..=5 {
        for processes in 0..=5 {
            let mut status = all_bounds_used_up();
            let top = status.top.as_mut().unwrap();
            top.flows.truncate(flows);
            top.processes.truncate(processes);
            let (mut few, mut many) = (0, 300);
            while few < many {
                let middle = usize::midpoint(few, many + 1);
                if server.refuses(&object(&cut(&status, middle))).is_empty() {
                    few = middle;
                } else {
                    many = middle - 1;
                }
            }
            let accepted = cut(&status, few);
            if server.refuses(&object(&accepted)).is_empty() {
                largest = largest.max(length(&accepted));
            }
        }
    }
    assert!((1900..=MAX_STATUS).contains(&largest), "{largest}");
}

/// All texts cut to `most` letters.
fn cut(status: &NodeProbeStatus, most: usize) -> NodeProbeStatus {
    let mut status = status.clone();
    let mut texts: Vec<&mut String> =
        status.conditions.iter_mut().map(|c| &mut c.message).collect();
    texts.extend(status.agent.as_mut().map(|agent| &mut agent.level_reason));
    let top = status.top.as_mut().unwrap();
    texts.extend(top.flows.iter_mut().flat_map(|flow| [&mut flow.source, &mut flow.destination]));
    texts.extend(top.processes.iter_mut().filter_map(|process| process.pod.as_mut()));
    if let Some(Capabilities { missing, lost }) = &mut status.capabilities {
        texts.extend(missing.iter_mut().chain(lost));
    }
    if let Some(RightsStatus { start, kept, unprotected }) = &mut status.rights {
        texts.extend(start.iter_mut().chain(kept).chain(unprotected));
    }
    for text in texts {
        text.truncate(most);
    }
    status
}

#[test]
fn fitting_gives_up_the_least_of_it() {
    let mut status = all_bounds_used_up();
    let top = status.top.as_mut().unwrap();
    for (n, flow) in (0..).zip(&mut top.flows) {
        flow.connections = 10 - n;
    }

    let fitted = status.fit();

    let connections: Vec<i64> =
        fitted.top.as_ref().unwrap().flows.iter().map(|flow| flow.connections).collect();
    assert!(connections.iter().copied().eq((0..).map(|n| 10 - n).take(connections.len())));
    assert_eq!(fitted.conditions.len(), condition::OF_NODE_PROBE.len());
    assert!(fitted.conditions.iter().all(|condition| condition.message.len() == 60));
    assert!(fitted.conditions[0].message.ends_with("mm.."));
}

/// One entry in each list, where the schema's count is too high by the most, and messages so long that `bytes` are reached.
fn one_of_each(bytes: usize) -> NodeProbeStatus {
    let mut status = all_bounds_used_up();
    let Top { flows, processes } = status.top.as_mut().unwrap();
    let Capabilities { missing, lost } = status.capabilities.as_mut().unwrap();
    let RightsStatus { start, kept, unprotected } = status.rights.as_mut().unwrap();
    for list in [missing, lost, start, kept, unprotected] {
        list.truncate(1);
    }
    flows.truncate(1);
    processes.truncate(1);
    let reasons = &mut status.quality.as_mut().unwrap().unresolved;
    while reasons.len() > 1 {
        reasons.pop_last();
    }
    let messages = status.clone().conditions;
    status = cut(&status, 20);
    status.conditions = messages;
    status.conditions.iter_mut().for_each(|condition| condition.reason.truncate(10));
    for n in 0..status.conditions.len() {
        let over = length(&status).saturating_sub(bytes);
        let message = &mut status.conditions[n].message;
        message.truncate(message.len().saturating_sub(over));
    }
    assert_eq!(length(&status), bytes);
    status
}

#[test]
fn what_is_unchanged_is_accepted_however_many_lists_have_something() {
    let server = Server::new();
    let unchanged = |&bytes: &usize| {
        let status = one_of_each(bytes);
        status.clone().fit() == status
    };
    let longest = (MAX_STATUS - 50..=MAX_STATUS).rev().find(unchanged).unwrap();

    assert_eq!(server.refuses(&object(&one_of_each(longest))), Vec::new());
    assert_eq!(server.refuses(&object(&one_of_each(longest + 1))).len(), 1, "none is given away");
}

#[test]
fn a_usual_status_stays_whole() {
    let text = include_str!("examples/status/accepted/usual.yaml");
    let usual: Value = serde_saphyr::from_str(text).unwrap();
    let status: NodeProbeStatus = serde_json::from_value(usual["status"].clone()).unwrap();

    assert!(length(&status) > 1000);
    assert_eq!(status.clone().fit(), status);
}

#[test]
fn letters_that_json_writes_in_several_bytes_are_replaced() {
    let mut status = NodeProbeStatus::default();
    condition::set(
        &mut status.conditions,
        condition::CONFIG_APPLIED,
        condition::Status::False,
        condition::config_applied::INVALID,
        "spec.budget.cpu: \"9\" > 8 – zu groß…",
        1,
        Timestamp::UNIX_EPOCH,
    );

    let fitted = status.fit();

    assert_eq!(fitted.conditions[0].message, "spec.budget.cpu: '9' ) 8 ? zu gro?~");
}

fn amount() -> impl Strategy<Value = CpuQuantity> {
    any::<u64>().prop_map(|nanos| {
        format!("{}n", nanos >> (nanos % 64)).parse().unwrap_or(CpuQuantity::from_millicores(5))
    })
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(words).prop_map(str::to_owned), 1 => ".{0,30}"]
}

fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    let types = &condition::OF_NODE_PROBE;
    let one = (
        word(types),
        word(&["True", "False", "Unknown"]),
        ".{0,30}",
        ".{0,300}",
        any::<Option<i64>>(),
    );
    vec(
        (one, 0..4_000_000_000_i64).prop_map(
            |((type_, status, reason, message, observed_generation), at)| Condition {
                type_,
                status,
                reason,
                message,
                observed_generation,
                last_transition_time: Time(Timestamp::from_second(at).unwrap()),
            },
        ),
        0..8,
    )
}

fn agent() -> impl Strategy<Value = AgentStatus> {
    let levels = &["Full", "Stretched", "CountersOnly", "Paused"];
    let texts = (
        ".{0,30}",
        word(&["bpf", "bpf-compat", "netlink", "procfs", "none"]),
        word(levels),
        ".{0,200}",
        ".{0,12}",
    );
    (texts, amount(), amount()).prop_map(
        |((version, source, level, level_reason, memory), cpu, budget)| AgentStatus {
            version,
            source,
            level,
            level_reason,
            cpu,
            budget,
            memory,
        },
    )
}

fn top() -> impl Strategy<Value = Top> {
    let flow = (".{0,120}", ".{0,120}", any::<i32>(), word(&["tcp", "udp"]), any::<i64>())
        .prop_map(|(source, destination, port, protocol, connections)| TopFlow {
            source,
            destination,
            port,
            protocol,
            connections,
        });
    let process = (".{0,20}", prop::option::of(".{0,120}"), amount())
        .prop_map(|(comm, pod, cpu)| TopProcess { comm, pod, cpu });
    (vec(flow, 0..8), vec(process, 0..8)).prop_map(|(flows, processes)| Top { flows, processes })
}

fn quality() -> impl Strategy<Value = Quality> {
    let reasons = btree_map(".{0,30}", any::<i64>(), 0..8);
    (prop::option::of(".{0,9}"), reasons, any::<[i64; 2]>()).prop_map(
        |(coverage, unresolved, [unseen, stalest_seconds]): (_, BTreeMap<_, _>, _)| Quality {
            coverage,
            unresolved,
            unseen,
            stalest_seconds,
        },
    )
}

fn statuses() -> impl Strategy<Value = NodeProbeStatus> {
    let summary = any::<[i64; 6]>().prop_map(
        |[processes, sockets, connections, open_file_descriptors, containers, pods]| Summary {
            processes,
            sockets,
            connections,
            open_file_descriptors,
            containers,
            pods,
        },
    );
    let report = (any::<i64>(), ".{0,40}", any::<i64>())
        .prop_map(|(epoch, digest, bytes)| ReportStatus { epoch, digest, bytes });
    let capabilities = (vec(".{0,30}", 0..10), vec(".{0,100}", 0..8))
        .prop_map(|(missing, lost)| Capabilities { missing, lost });
    let rights = (vec(".{0,30}", 0..12), vec(".{0,100}", 0..5), vec(".{0,30}", 0..8))
        .prop_map(|(start, kept, unprotected)| RightsStatus { start, kept, unprotected });
    (
        any::<i64>(),
        ".{0,20}",
        (prop::option::of(agent()), prop::option::of(summary), prop::option::of(quality())),
        (prop::option::of(top()), prop::option::of(report)),
        (prop::option::of(capabilities), prop::option::of(rights)),
        conditions(),
    )
        .prop_map(
            |(
                observed_generation,
                applied_config_hash,
                (agent, summary, quality),
                (top, report),
                (capabilities, rights),
                conditions,
            )| {
                NodeProbeStatus {
                    observed_generation,
                    applied_config_hash,
                    last_report: None,
                    agent,
                    summary,
                    quality,
                    top,
                    report,
                    capabilities,
                    rights,
                    conditions,
                }
            },
        )
}

thread_local! {
    static SERVER: Server = Server::new();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_an_agent_says_fits_afterwards(status in statuses()) {
        let fitted = status.fit();

        prop_assert!(length(&fitted) <= MAX_STATUS);
        prop_assert_eq!(fitted.clone().fit(), fitted.clone(), "what fits is unchanged");
    }

    #[test]
    fn the_api_server_takes_what_fits(status in statuses()) {
        let reported = SERVER.with(|server| server.refuses(&object(&status.fit())));

        prop_assert!(reported.is_empty(), "{:?}", reported);
    }
}

#[test]
fn the_smallest_status_fits_too() {
    let status = NodeProbeStatus::default();
    assert_eq!(status.clone().fit(), status);
    assert_eq!(Server::new().refuses(&object(&status)), Vec::new());
    assert_eq!(
        serde_json::to_value(&status).unwrap(),
        json!({"observedGeneration": 0, "appliedConfigHash": ""})
    );
}
