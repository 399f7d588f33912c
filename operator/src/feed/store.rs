//! All pods of the cluster by node, and what changed of each node's since when.
//!
//! In: pods as a list or a watch brings them, versions. Out: the pods of one node, and what a watch of that node has yet to
//! hear. A node's changes are kept in a log of fixed length: who reads too slowly, or comes back after too long, gets a new
//! list and never a queue. It must not hold more than [`Bounds`] allow: what does not fit is left out and counted.
//!
//! Pure: no I/O, no clock.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use probelet_core::hash::{HashMap, HashSet};
use tokio::sync::watch;

use super::pod::{Peer, Trimmed, tombstone};

/// Changes of one node that are kept. A node's pods change a few times each as they start.
const LOG: usize = 256;
/// Addresses of a node that are kept, on average: two families, and the one before.
const HOSTS: usize = 4;

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Kubernetes is made for 150,000 pods and 5,000 nodes.
    pub(super) pods: usize,
    pub(super) nodes: usize,
    /// Of all texts together.
    pub(super) bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { pods: 200_000, nodes: 20_000, bytes: 256 << 20 }
    }
}

/// What became of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Added,
    Modified,
    Deleted,
}

/// One change, as a watch gets it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) verb: Verb,
    pub(super) version: u64,
    pub(super) text: Arc<[u8]>,
}

#[derive(Debug)]
struct Entry {
    node: Arc<str>,
    uid: Box<str>,
    version: u64,
    text: Arc<[u8]>,
    /// The list in which it was seen last.
    list: u32,
    peer: Peer,
}

/// A pod at an address.
#[derive(Debug)]
pub(super) struct At<'a> {
    /// `namespace/name`.
    pub(super) key: &'a str,
    pub(super) uid: &'a str,
    pub(super) node: &'a str,
    pub(super) peer: &'a Peer,
}

#[derive(Debug)]
struct Node {
    pods: HashSet<Arc<str>>,
    log: VecDeque<Change>,
    /// How many changes were forgotten, and the version up to which.
    forgotten: u64,
    floor: u64,
    /// The number of changes so far.
    changed: watch::Sender<u64>,
}

impl Node {
    fn new() -> Self {
        let (pods, log) = (HashSet::default(), VecDeque::new());
        Self { pods, log, forgotten: 0, floor: 0, changed: watch::channel(0).0 }
    }

    fn push(&mut self, change: Change) {
        if self.log.len() == LOG
            && let Some(oldest) = self.log.pop_front()
        {
            self.forgotten += 1;
            self.floor = self.floor.max(oldest.version);
        }
        self.log.push_back(change);
        self.changed.send_replace(self.forgotten + self.log.len() as u64);
    }
}

/// Where a watch stands.
#[derive(Debug)]
pub(super) struct Cursor {
    next: u64,
    /// Changes when there is more.
    pub(super) changed: watch::Receiver<u64>,
}

/// Why a watch cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// More has happened since than is kept: a new list is needed.
    Expired,
}

/// What was done with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is kept, and watches of its node learn of it.
    Kept,
    /// Nothing that an agent reads is different.
    Same,
    /// There is no place for it.
    Full,
}

/// All pods.
#[derive(Debug)]
pub(super) struct Store {
    bounds: Bounds,
    pods: HashMap<Arc<str>, Entry>,
    nodes: HashMap<Arc<str>, Node>,
    addresses: HashMap<IpAddr, Vec<Arc<str>>>,
    /// Whose each address of a node is, as its pods say.
    hosts: HashMap<IpAddr, Arc<str>>,
    bytes: usize,
    /// Everything up to it is known.
    version: u64,
    /// Nothing before it is known; `None` until a list was complete.
    floor: Option<u64>,
    list: u32,
    listing: bool,
}

impl Store {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            pods: HashMap::default(),
            nodes: HashMap::default(),
            addresses: HashMap::default(),
            hosts: HashMap::default(),
            bytes: 0,
            version: 0,
            floor: None,
            list: 0,
            listing: false,
        }
    }

    /// Pods that are held, and the bytes of their texts.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.pods.len(), self.bytes)
    }

    /// What a list or a bookmark may say is the version of it all; `None` before the first complete list.
    pub(super) fn version(&self) -> Option<u64> {
        self.floor.map(|_| self.version)
    }

    /// Where a watch of the API server can go on: what no list that broke off has made doubtful.
    pub(super) fn known(&self) -> Option<u64> {
        self.version().filter(|_| !self.listing)
    }

    /// A list begins: what it does not name is gone when it ends.
    pub(super) fn begin(&mut self) {
        self.list = self.list.wrapping_add(1);
        self.listing = true;
    }

    /// The list is complete, in this version.
    pub(super) fn end(&mut self, version: u64) {
        let now = self.list;
        let gone = self.pods.iter().filter(|(_, entry)| entry.list != now);
        let gone: Vec<Arc<str>> = gone.map(|(key, _)| Arc::clone(key)).collect();
        for key in gone {
            self.take_out(&key, version);
        }
        self.listing = false;
        self.version = version;
        // What happened before it, and in which order, no one knows any more.
        self.floor = Some(version);
    }

    /// Nothing more happened up to this version.
    pub(super) fn advance(&mut self, version: u64) {
        if !self.listing {
            self.version = self.version.max(version);
        }
    }

    /// A pod is as it is now.
    pub(super) fn apply(&mut self, pod: Trimmed, version: u64) -> Outcome {
        let Trimmed { key, uid, node, text, peer, hosts } = pod;
        let list = self.list;
        let mut verb = Verb::Added;
        if let Some(entry) = self.pods.get_mut(&*key) {
            if entry.uid == uid && *entry.node == *node {
                verb = Verb::Modified;
                entry.list = list;
                if entry.text == text {
                    entry.version = version;
                    entry.peer.since = peer.since;
                    self.advance(version);
                    return Outcome::Same;
                }
                self.bytes -= entry.text.len();
            } else {
                // Another one of its name; that the first is gone was missed.
                self.take_out(&key, version.saturating_sub(1));
            }
        }
        let Bounds { pods, bytes, .. } = self.bounds;
        if (verb == Verb::Added && self.pods.len() >= pods) || self.bytes + text.len() > bytes {
            if verb == Verb::Modified {
                // Rather no name than an old one.
                self.bytes += self.pods.get(&*key).map_or(0, |entry| entry.text.len());
                self.take_out(&key, version);
            }
            self.advance(version);
            return Outcome::Full;
        }
        self.bytes += text.len();
        let key: Arc<str> = key.into();
        let name = self.node(&node);
        if let Some(node) = self.nodes.get_mut(&name) {
            node.pods.insert(Arc::clone(&key));
            node.push(Change { verb, version, text: Arc::clone(&text) });
        }
        if let Some(before) = self.pods.get(&key).map(|entry| entry.peer.ips.clone()) {
            self.leave(&key, &before);
        }
        self.note_hosts(&hosts, &name);
        for ip in &peer.ips {
            self.addresses.entry(*ip).or_default().push(Arc::clone(&key));
        }
        self.pods.insert(key, Entry { node: name, uid, version, text, list, peer });
        self.advance(version);
        Outcome::Kept
    }

    /// A pod is gone; whether it was known.
    pub(super) fn remove(&mut self, key: &str, version: u64) -> bool {
        let known = self.take_out(key, version);
        self.advance(version);
        known
    }

    fn take_out(&mut self, key: &str, version: u64) -> bool {
        let Some((key, entry)) = self.pods.remove_entry(key) else { return false };
        self.bytes -= entry.text.len();
        self.leave(&key, &entry.peer.ips);
        if let Some(node) = self.nodes.get_mut(&entry.node) {
            node.pods.remove(&key);
            let text = tombstone(&key, &entry.uid);
            node.push(Change { verb: Verb::Deleted, version, text });
        }
        true
    }

    fn leave(&mut self, key: &str, ips: &[IpAddr]) {
        for ip in ips {
            if let Some(pods) = self.addresses.get_mut(ip) {
                pods.retain(|pod| **pod != *key);
                if pods.is_empty() {
                    self.addresses.remove(ip);
                }
            }
        }
    }

    /// The pod at an address, if there is one and no other.
    pub(super) fn at(&self, address: IpAddr) -> Option<At<'_>> {
        let [key] = self.addresses.get(&address)?.as_slice() else { return None };
        let Entry { node, uid, peer, .. } = self.pods.get(key)?;
        Some(At { key, uid, node, peer })
    }

    /// The node that has an address itself: one with pods, the last that said so.
    pub(super) fn host(&self, address: IpAddr) -> Option<&str> {
        self.hosts.get(&address).filter(|node| has_pods(&self.nodes, node)).map(|node| &**node)
    }

    fn note_hosts(&mut self, hosts: &[IpAddr], node: &Arc<str>) {
        for &ip in hosts {
            if self.hosts.get(&ip).is_some_and(|known| known == node) {
                continue;
            }
            if self.hosts.len() >= HOSTS * self.bounds.nodes {
                self.hosts.retain(|_, node| has_pods(&self.nodes, node));
            }
            if self.hosts.len() < HOSTS * self.bounds.nodes {
                self.hosts.insert(ip, Arc::clone(node));
            }
        }
    }

    /// The node of that name, which is there afterwards.
    fn node(&mut self, name: &str) -> Arc<str> {
        if let Some((known, _)) = self.nodes.get_key_value(name) {
            return Arc::clone(known);
        }
        if self.nodes.len() >= self.bounds.nodes {
            self.nodes.retain(|_, node| !node.pods.is_empty() || node.changed.receiver_count() > 0);
            // What happened on these is forgotten.
            self.floor = self.floor.map(|floor| floor.max(self.version));
        }
        let name: Arc<str> = name.into();
        self.nodes.insert(Arc::clone(&name), Node::new());
        name
    }

    /// The pods of a node, and a cursor that stands behind them.
    pub(super) fn list(&mut self, node: &str) -> (Vec<Change>, Cursor) {
        let name = self.node(node);
        let Some(node) = self.nodes.get(&name) else { return (Vec::new(), Cursor::nowhere()) };
        let entries = node.pods.iter().filter_map(|key| self.pods.get(key));
        let pods = entries.map(|entry| Change {
            verb: Verb::Added,
            version: entry.version,
            text: Arc::clone(&entry.text),
        });
        let next = node.forgotten + node.log.len() as u64;
        (pods.collect(), Cursor { next, changed: node.changed.subscribe() })
    }

    /// A cursor for who knows a node's pods up to `version`.
    pub(super) fn resume(&mut self, node: &str, version: u64) -> Result<Cursor, Lost> {
        let name = self.node(node);
        let floor = self.floor.filter(|_| !self.listing).ok_or(Lost::Expired)?;
        let node = self.nodes.get(&name).ok_or(Lost::Expired)?;
        // Two changes can be of one version: that a pod was replaced, which was missed, is dated just before its successor.
        if version < floor || (version <= node.floor && node.forgotten > 0) {
            return Err(Lost::Expired);
        }
        let seen = node.log.iter().take_while(|change| {
            change.version < version || (change.version == version && change.verb != Verb::Deleted)
        });
        let seen = seen.count();
        Ok(Cursor { next: node.forgotten + seen as u64, changed: node.changed.subscribe() })
    }

    /// What a watch has yet to hear, of at most so many bytes and one change at least; the cursor moves on.
    pub(super) fn pending(
        &self,
        node: &str,
        cursor: &mut Cursor,
        most: usize,
    ) -> Result<Vec<Change>, Lost> {
        let node = self.nodes.get(node).ok_or(Lost::Expired)?;
        let at = cursor.next.checked_sub(node.forgotten).ok_or(Lost::Expired)?;
        let at = usize::try_from(at).map_err(|_| Lost::Expired)?;
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for change in node.log.iter().skip(at) {
            bytes += change.text.len();
            if bytes > most && !changes.is_empty() {
                break;
            }
            changes.push(change.clone());
        }
        cursor.next += changes.len() as u64;
        Ok(changes)
    }
}

impl Cursor {
    fn nowhere() -> Self {
        Self { next: 0, changed: watch::channel(0).1 }
    }
}

fn has_pods(nodes: &HashMap<Arc<str>, Node>, node: &str) -> bool {
    nodes.get(node).is_some_and(|node| !node.pods.is_empty())
}

#[cfg(test)]
mod tests;
