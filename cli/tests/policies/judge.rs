//! An evaluator of NetworkPolicies, by the rules of `networking.k8s.io/v1`; it knows nothing of how they are made.
//!
//! In: a policy and a connection. Out: whether it passes. Pure: values only.

use std::net::IpAddr;

use serde_json::Value;

use super::world::{Connection, Labels, Side, holds};

/// Whether a policy lets a connection through, by the rules of `networking.k8s.io/v1`.
pub(crate) fn allows(policy: &Value, connection: &Connection) -> bool {
    let spec = &policy["spec"];
    let is = |side: &Side| {
        let Side::Pod(pod) = side else { return false };
        let labels: Labels =
            serde_json::from_value(spec["podSelector"]["matchLabels"].clone()).unwrap_or_default();
        !pod.host
            && policy["metadata"]["namespace"] == pod.namespace.as_str()
            && holds(&labels, &pod.labels)
    };
    let rules = |direction: &str, key: &str, peers: &str, other: &Side| {
        let ruled = spec["policyTypes"].as_array().unwrap().iter().any(|word| word == direction);
        !ruled
            || spec[key].as_array().into_iter().flatten().any(|rule| {
                let port = rule["ports"].as_array().is_none_or(|ports| {
                    ports.iter().any(|port| {
                        port["port"] == connection.port
                            && port["protocol"]
                                .as_str()
                                .unwrap()
                                .eq_ignore_ascii_case(connection.protocol)
                    })
                });
                let peer = rule[peers].as_array();
                port && peer.is_none_or(|peers| peers.iter().any(|peer| stands(peer, other)))
            })
    };
    (!is(&connection.to) || rules("Ingress", "ingress", "from", &connection.from))
        && (!is(&connection.from) || rules("Egress", "egress", "to", &connection.to))
}

/// Whether a peer of a policy stands for an end. Nothing but everyone stands for a node and its host network.
pub(crate) fn stands(peer: &Value, side: &Side) -> bool {
    let block = peer["ipBlock"]["cidr"].as_str();
    match (side, block) {
        (Side::Address(ip), Some(cidr)) => contains(cidr, ip),
        (Side::Pod(pod), None) if !pod.host => {
            let named = &peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
            let labels: Labels = serde_json::from_value(peer["podSelector"]["matchLabels"].clone())
                .unwrap_or_default();
            *named == pod.namespace.as_str() && holds(&labels, &pod.labels)
        }
        _ => false,
    }
}

pub(crate) fn contains(cidr: &str, ip: &str) -> bool {
    let (network, bits) = cidr.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match (network.parse().unwrap(), ip.parse().unwrap()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            (u32::from(a) ^ u32::from(b)).checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            (u128::from(a) ^ u128::from(b)).checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}
