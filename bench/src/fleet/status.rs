//! The status that a simulated agent writes: as long and as detailed as a real one.
//!
//! In: what the agent was assigned and what it thinks of it. Out: the body of a server-side apply. It must not be smaller
//! than life: what a write costs the server and etcd goes by its size. Pure: the time is an argument.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use probelet_crds::{
    API_VERSION, AgentStatus, CpuQuantity, NODE_PROBE, NodeProbeStatus, Quality, ReportStatus,
    RightsStatus, Summary, Top, TopFlow, TopProcess, condition,
};
use serde_json::json;

use crate::fleet::dice::Dice;

/// What an agent has to say.
#[derive(Debug, Clone, Copy)]
pub struct Saying<'a> {
    /// Its node.
    pub node: &'a str,
    /// The generation that it has judged.
    pub generation: i64,
    /// The hash of what it works by; empty before the first.
    pub applied: &'a str,
    /// Whether that is what it was assigned.
    pub applies: bool,
    /// Number of its report.
    pub epoch: i64,
    /// When its conditions last changed.
    pub since: Timestamp,
}

/// The body of the PATCH.
#[must_use]
pub fn body(saying: &Saying<'_>, dice: &mut Dice) -> Vec<u8> {
    // As an agent shortens its own.
    let status = status(saying, dice).fit();
    let object = json!({"apiVersion": API_VERSION, "kind": NODE_PROBE,
        "metadata": {"name": saying.node}, "status": status});
    object.to_string().into_bytes()
}

fn status(saying: &Saying<'_>, dice: &mut Dice) -> NodeProbeStatus {
    let cpu = CpuQuantity::from_millicores(1 + dice.roll() % 3);
    let mut about =
        |low: i64, steps: u64| low + 10 * i64::try_from(dice.roll() % steps).unwrap_or(0);
    NodeProbeStatus {
        observed_generation: saying.generation,
        applied_config_hash: saying.applied.to_owned(),
        last_report: None,
        agent: Some(AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            source: "bpf".to_owned(),
            level: "Full".to_owned(),
            level_reason: String::new(),
            cpu,
            budget: CpuQuantity::from_millicores(5),
            memory: "14Mi".to_owned(),
        }),
        summary: Some(Summary {
            processes: about(200, 20),
            sockets: about(2000, 90),
            connections: about(1900, 90),
            open_file_descriptors: about(19_000, 200),
            containers: about(40, 5),
            pods: about(30, 5),
        }),
        quality: Some(Quality {
            coverage: Some("99.8%".to_owned()),
            unresolved: BTreeMap::from([
                ("no-owner".to_owned(), about(10, 3)),
                ("unknown-peer".to_owned(), about(20, 9)),
            ]),
            unseen: 0,
            stalest_seconds: 10,
        }),
        top: Some(top(&mut about)),
        report: Some(ReportStatus {
            epoch: saying.epoch,
            digest: format!("{:016x}", about(0, u64::MAX / 32)),
            bytes: about(410_000, 900),
        }),
        capabilities: None,
        rights: Some(RightsStatus {
            start: ["SETPCAP", "NET_BROADCAST", "NET_ADMIN", "PERFMON", "BPF"]
                .map(str::to_owned)
                .into(),
            kept: vec!["NET_ADMIN: to ask who is behind a Service's address".to_owned()],
            unprotected: Vec::new(),
        }),
        conditions: conditions(saying),
    }
}

fn top(about: &mut impl FnMut(i64, u64) -> i64) -> Top {
    let flow = |(source, destination, port): &(&str, &str, i32)| TopFlow {
        source: format!("shop/Deployment/{source}"),
        destination: format!("shop/Service/{destination}"),
        port: *port,
        protocol: "tcp".to_owned(),
        connections: about(100, 40),
    };
    let flows = [
        ("frontend", "catalogue", 8080),
        ("frontend", "cart", 8080),
        ("cart", "redis", 6379),
        ("catalogue", "postgres", 5432),
    ];
    let process = |comm: &&str| TopProcess {
        comm: (*comm).to_owned(),
        pod: Some(format!("shop/{comm}-7c9f8d6b5-x2x9k")),
        cpu: CpuQuantity::from_millicores(120),
    };
    Top {
        flows: flows.iter().map(flow).collect(),
        processes: ["postgres", "java", "node"].iter().map(process).collect(),
    }
}

fn conditions(saying: &Saying<'_>) -> Vec<Condition> {
    let one = |kind: &str, holds: bool, reason: &str, message: &str| Condition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: Some(saying.generation),
        last_transition_time: Time(saying.since),
    };
    let applied = if saying.applies {
        one(condition::CONFIG_APPLIED, true, "Applied", "")
    } else {
        one(
            condition::CONFIG_APPLIED,
            false,
            "Refused",
            "the source bpf is not available on this node",
        )
    };
    vec![
        one(condition::READY, true, "Reporting", ""),
        applied,
        one(condition::WITHIN_BUDGET, true, "WithinBudget", ""),
        one(condition::DATA_COMPLETE, true, "Complete", ""),
        one(condition::PERMISSIONS_OK, true, "Complete", ""),
        one(condition::CONNECTIONS_HEALTHY, true, "Healthy", ""),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saying(applies: bool) -> Saying<'static> {
        Saying {
            node: "fleet-00001",
            generation: 3,
            applied: "0123456789abcdef",
            applies,
            epoch: 7,
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_status_is_as_large_as_a_real_one_and_within_its_bound() {
        let length =
            serde_json::to_vec(&status(&saying(true), &mut Dice::new(1)).fit()).unwrap().len();

        assert!((1400..=probelet_crds::MAX_STATUS).contains(&length), "{length} bytes");
    }

    #[test]
    fn a_refusal_names_the_generation_that_was_judged() {
        let body: serde_json::Value =
            serde_json::from_slice(&body(&saying(false), &mut Dice::new(1))).unwrap();

        let applied = &body["status"]["conditions"][1];
        assert_eq!(applied["type"], "ConfigApplied");
        assert_eq!(
            (&applied["status"], &applied["observedGeneration"]),
            (&json!("False"), &json!(3))
        );
    }
}
