//! Pods of other nodes at addresses that nothing else explains, each for the time in which it had the address, and nodes likewise.
//!
//! In: answers about addresses that were asked about. Out: the pod, or the node, that had an address when a connection began. It must not name
//! by an answer what began after it, or before the pod was there: an address is used again, and the dead give no names.
//!
//! Pure: no I/O, no clock.

use super::objects::{FarNode, FarPod};
use super::{Dirt, address};
use std::collections::BTreeMap;

/// Addresses that are kept; a node has a few hundred such peers.
const ADDRESSES: usize = 8192;
/// Pods that had an address one after the other and are remembered.
const EACH: usize = 4;
/// For so long after an answer an address is still taken for the node's, milliseconds: connections of a node come again and again, and
/// a node's address is rarely another's within this.
const NODE_MS: u64 = 60_000;

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Far {
    by_address: BTreeMap<u128, Vec<FarPod>>,
    nodes: BTreeMap<u128, FarNode>,
}

impl Far {
    /// Takes in what was found.
    pub(super) fn take(&mut self, found: Vec<FarPod>, dirt: &mut Dirt) {
        for pod in found {
            let at = address(pod.address);
            if !self.by_address.contains_key(&at) && self.by_address.len() >= ADDRESSES {
                self.forget_oldest();
            }
            let held = self.by_address.entry(at).or_default();
            if let Some(same) = held.iter_mut().find(|held| held.uid == pod.uid) {
                same.until_ms = same.until_ms.max(pod.until_ms);
            } else {
                if held.len() >= EACH {
                    held.remove(0);
                }
                held.push(pod);
            }
            dirt.address(at);
        }
    }

    /// Takes in the nodes that were found.
    pub(super) fn take_nodes(&mut self, found: Vec<FarNode>, dirt: &mut Dirt) {
        for node in found {
            let at = address(node.address);
            if !self.nodes.contains_key(&at) && self.nodes.len() >= ADDRESSES {
                let oldest = self.nodes.iter().min_by_key(|(_, node)| node.until_ms);
                if let Some((&oldest, _)) = oldest {
                    self.nodes.remove(&oldest);
                }
            }
            self.nodes.insert(at, node);
            dirt.address(at);
        }
    }

    /// The node that had this address at that time; a pod that had it then is known by [`Self::at`].
    pub(super) fn node_at(&self, address: u128, since_ms: u64) -> Option<&str> {
        let node = self.nodes.get(&address)?;
        (since_ms <= node.until_ms.saturating_add(NODE_MS)).then_some(&*node.name)
    }

    /// The half that was confirmed longest ago: rare, and each costs a question if it is still needed.
    fn forget_oldest(&mut self) {
        let last = |pods: &Vec<FarPod>| pods.iter().map(|pod| pod.until_ms).max().unwrap_or(0);
        let mut times: Vec<u64> = self.by_address.values().map(last).collect();
        let middle = times.len() / 2;
        let (_, &mut limit, _) = times.select_nth_unstable(middle);
        self.by_address.retain(|_, pods| last(pods) > limit);
    }

    /// The pod that had this address at that time.
    pub(super) fn at(&self, address: u128, since_ms: u64) -> Option<&FarPod> {
        let held = self.by_address.get(&address)?;
        let then = |pod: &&FarPod| (pod.from_ms..=pod.until_ms).contains(&since_ms);
        // Of two that both say so the later one: the other had not been asked about since.
        held.iter().filter(then).max_by_key(|pod| pod.from_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn pod(uid: &str, n: u16, from_ms: u64, until_ms: u64) -> FarPod {
        let [high, low] = n.to_be_bytes();
        let address = IpAddr::from([10, 1, high, low]);
        FarPod { address, uid: uid.into(), from_ms, until_ms, ..FarPod::default() }
    }

    fn uid(far: &Far, n: u16, since: u64) -> Option<&str> {
        far.at(address(pod("", n, 0, 0).address), since).map(|pod| &*pod.uid)
    }

    #[test]
    fn a_pod_names_what_began_while_it_had_the_address() {
        let (mut far, mut dirt) = (Far::default(), Dirt::default());
        far.take(vec![pod("a", 1, 1000, 5000)], &mut dirt);
        far.take(vec![pod("b", 1, 7000, 9000)], &mut dirt);

        assert_eq!(uid(&far, 1, 999), None, "before it was there");
        assert_eq!(uid(&far, 1, 3000), Some("a"));
        assert_eq!(uid(&far, 1, 6000), None, "no one was asked about it");
        assert_eq!(uid(&far, 1, 8000), Some("b"));
        assert_eq!(uid(&far, 1, 9001), None);
        far.take(vec![pod("b", 1, 7000, 10_000)], &mut dirt);
        assert_eq!(uid(&far, 1, 9001), Some("b"));
        assert_eq!(dirt.addresses.len(), 1);
    }

    #[test]
    fn a_node_names_what_began_before_the_answer_and_for_a_minute_after_it() {
        let (mut far, mut dirt) = (Far::default(), Dirt::default());
        let ip = pod("", 1, 0, 0).address;
        let node = |name: &str, until_ms| FarNode { address: ip, name: name.into(), until_ms };
        far.take_nodes(vec![node("node-2", 5000)], &mut dirt);

        let at = |far: &Far, since| far.node_at(address(ip), since).map(ToOwned::to_owned);
        assert_eq!(at(&far, 0).as_deref(), Some("node-2"));
        assert_eq!(at(&far, 65_000).as_deref(), Some("node-2"));
        assert_eq!(at(&far, 65_001), None, "who has it by then was not asked");
        far.take_nodes(vec![node("node-3", 70_000)], &mut dirt);
        assert_eq!(at(&far, 71_000).as_deref(), Some("node-3"));
        for n in 0..20_000 {
            let address = pod("", n, 0, 0).address;
            far.take_nodes(vec![FarNode { address, ..node("n", u64::from(n)) }], &mut dirt);
        }
        assert_eq!(far.nodes.len(), ADDRESSES);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut far, mut dirt) = (Far::default(), Dirt::default());
        for n in 0..20_000 {
            far.take(vec![pod("a", n, 0, u64::from(n))], &mut dirt);
        }
        for n in 0..100 {
            far.take(vec![pod(&format!("p{n}"), 19_999, 0, 30_000)], &mut dirt);
        }

        assert!(far.by_address.len() <= ADDRESSES);
        assert_eq!(uid(&far, 19_998, 5), Some("a"), "the latest stay");
        assert_eq!(far.by_address[&address(pod("", 19_999, 0, 0).address)].len(), EACH);
    }
}
