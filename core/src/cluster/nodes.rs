//! The nodes of the cluster by their addresses, as far as the cluster shows.
//!
//! In: a list of nodes, as a whole. Out: the node of an address. It must not name one by an address
//! that two have.
//!
//! Pure: no I/O.

use super::address;
use super::objects::Node;
use std::collections::BTreeMap;

/// Nodes that are kept: of a larger cluster no list is made.
const NODES: usize = 1024;
/// Addresses that are kept of a node: two families, a tunnel and a bridge of each, and some more.
const EACH: usize = 16;

/// The nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    /// `None` where several say that the address is theirs.
    by_address: BTreeMap<u128, Option<Box<str>>>,
}

impl Nodes {
    /// These are all nodes from now on; whether anything changed.
    pub(super) fn replace(&mut self, nodes: Vec<Node>) -> bool {
        let mut by_address: BTreeMap<u128, Option<Box<str>>> = BTreeMap::new();
        for node in nodes.into_iter().take(NODES) {
            for ip in node.addresses.iter().take(EACH) {
                let held =
                    by_address.entry(address(*ip)).or_insert_with(|| Some(node.name.clone()));
                if held.as_ref().is_some_and(|name| *name != node.name) {
                    *held = None;
                }
            }
        }
        let changed = by_address != self.by_address;
        self.by_address = by_address;
        changed
    }

    pub(super) fn at(&self, address: u128) -> Option<&str> {
        self.by_address.get(&address)?.as_deref()
    }
}
