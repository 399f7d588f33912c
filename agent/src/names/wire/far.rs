//! Pods of other nodes, and other nodes, that the operator names by their addresses.
//!
//! In: its answer, when it was asked. Out: [`FarPod`]s and [`FarNode`]s. An item of which nothing can be made is left out.
//!
//! Pure: no I/O.

use super::text::Text;
use super::{MAX_NAME, MAX_NAMESPACE, MAX_UID};
use probelet_core::cluster::objects::{Event, FarNode, FarPod};
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item<'a> {
    #[serde(borrow)]
    address: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    uid: Text<'a>,
    kind: Text<'a>,
    workload: Text<'a>,
    node: Text<'a>,
    since: u64,
}

/// What an answer says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::names) struct Found {
    pub(in crate::names) pods: Vec<FarPod>,
    /// Of these the address is the node's own.
    pub(in crate::names) nodes: Vec<FarNode>,
}

impl Found {
    pub(in crate::names) fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> {
        self.pods.iter().map(|pod| pod.address).chain(self.nodes.iter().map(|node| node.address))
    }

    pub(in crate::names) fn events(self) -> Vec<Event> {
        let pods = (!self.pods.is_empty()).then_some(Event::Far(self.pods));
        let nodes = (!self.nodes.is_empty()).then_some(Event::FarNodes(self.nodes));
        pods.into_iter().chain(nodes).collect()
    }
}

/// Who is in an answer to what was asked at that time; `None` if it is none.
pub(in crate::names) fn far(text: &[u8], asked_ms: u64) -> Option<Found> {
    let answer: Answer<'_> = serde_json::from_slice(text).ok()?;
    let node = |item: &Item<'_>| {
        Some(FarNode {
            address: item.address.as_str().parse().ok()?,
            name: item.node.clone().fit(MAX_NAME).filter(|name| !name.is_empty())?,
            until_ms: asked_ms,
        })
    };
    let pod = |item: Item<'_>| {
        Some(FarPod {
            address: item.address.as_str().parse().ok()?,
            namespace: item.namespace.fit(MAX_NAMESPACE)?,
            name: item.name.fit(MAX_NAME)?,
            uid: item.uid.fit(MAX_UID)?,
            workload: (item.kind.fit(MAX_NAMESPACE)?, item.workload.fit(MAX_NAME)?),
            node: item.node.fit(MAX_NAME)?,
            from_ms: item.since.saturating_mul(1000),
            until_ms: asked_ms,
        })
    };
    let (pods, nodes): (Vec<_>, Vec<_>) =
        answer.items.into_iter().partition(|item| !item.name.as_str().is_empty());
    Some(Found {
        pods: pods.into_iter().filter_map(pod).collect(),
        nodes: nodes.iter().filter_map(node).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_and_what_names_no_pod_is_left_out() {
        let text = br#"{"items":[
            {"address":"10.1.7.5","namespace":"shop","name":"batch-x","uid":"u","kind":"Deployment","workload":"batch",
             "node":"node-2","since":1700000000,"later":1},
            {"address":"nowhere","namespace":"shop","name":"a","uid":"u","kind":"Pod","workload":"a","node":"n","since":1},
            {"address":"10.1.7.6"},{"address":"192.168.0.2","node":"node-3"}]}"#;

        let Found { pods: found, nodes } = far(text, 1_700_000_100_000).unwrap();

        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].name, found[0].from_ms), ("batch-x", 1_700_000_000_000));
        assert_eq!(found[0].workload, ("Deployment".into(), "batch".into()));
        let node = FarNode {
            address: [192, 168, 0, 2].into(),
            name: "node-3".into(),
            until_ms: 1_700_000_100_000,
        };
        assert_eq!(nodes, [node]);
        assert_eq!(far(b"{}", 0), None);
    }
}
