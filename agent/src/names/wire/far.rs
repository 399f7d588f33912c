//! Pods of other nodes that the operator names by their addresses.
//!
//! In: its answer, when it was asked. Out: [`FarPod`]s. An item of which nothing can be made is left out.
//!
//! Pure: no I/O.

use super::text::Text;
use super::{MAX_NAME, MAX_NAMESPACE, MAX_UID};
use probelet_core::cluster::objects::FarPod;
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

/// The pods in an answer to what was asked at that time; `None` if it is none.
pub(in crate::names) fn far(text: &[u8], asked_ms: u64) -> Option<Vec<FarPod>> {
    let answer: Answer<'_> = serde_json::from_slice(text).ok()?;
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
    Some(answer.items.into_iter().filter_map(pod).collect())
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
            {"address":"10.1.7.6"}]}"#;

        let found = far(text, 1_700_000_100_000).unwrap();

        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].name, found[0].from_ms), ("batch-x", 1_700_000_000_000));
        assert_eq!(found[0].workload, ("Deployment".into(), "batch".into()));
        assert_eq!(far(b"{}", 0), None);
    }
}
