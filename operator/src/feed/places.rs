//! Who is connected: strangers, who have little time, and agents, by their node.
//!
//! In: connections as they come, show a token and go; watches as they begin. Out: which of them ends. A stranger takes no
//! agent's place; a node has few places, and the first of its own gives way to a new one, for an agent that starts again
//! leaves connections behind that no one has closed.
//!
//! Pure: no I/O; ends tasks.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use probelet_core::hash::HashMap;
use probelet_runtime::places::Places;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id};

/// Connections that have not shown a token yet, and of them those of one peer: all pods of a node may come from one address.
const STRANGERS: usize = 512;
const OF_A_PEER: usize = 16;
/// Connections of a node's agent, and watches: one, and one more of an agent that takes its place.
const OF_A_NODE: usize = 4;
pub(super) const WATCHES: usize = 2;
/// Between two questions of a node for addresses; agents leave twice as much.
const BETWEEN: Duration = Duration::from_secs(1);
/// All connections: four agents' worth for the largest cluster.
const ALL: usize = 20_000;

pub(super) struct Connections {
    strangers: Places,
    open: HashMap<Id, (AbortHandle, Option<Arc<str>>)>,
    nodes: HashMap<Arc<str>, VecDeque<Id>>,
    watches: HashMap<Arc<str>, VecDeque<Rc<Notify>>>,
    /// When each node asked for addresses last.
    asked: HashMap<Arc<str>, Instant>,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self {
            strangers: Places::new(STRANGERS, OF_A_PEER),
            open: HashMap::default(),
            nodes: HashMap::default(),
            watches: HashMap::default(),
            asked: HashMap::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether one more from `peer` may come; who is in its way goes.
    pub(super) fn make_room(&mut self, peer: IpAddr) -> bool {
        if self.open.len() >= ALL {
            return false;
        }
        self.strangers.make_room(peer);
        true
    }

    pub(super) fn take(&mut self, peer: IpAddr, task: AbortHandle) {
        self.open.insert(task.id(), (task.clone(), None));
        self.strangers.take(peer, task);
    }

    /// A connection is that of a node's agent.
    pub(super) fn recognise(&mut self, connection: Id, node: &Arc<str>) {
        let Some((_, known)) = self.open.get_mut(&connection) else { return };
        if known.as_ref() == Some(node) {
            return;
        }
        if let Some(before) = known.replace(Arc::clone(node)) {
            forget(&mut self.nodes, &before, |id| *id != connection);
        }
        self.strangers.leave(connection);
        let of_node = self.nodes.entry(Arc::clone(node)).or_default();
        of_node.push_back(connection);
        if of_node.len() > OF_A_NODE
            && let Some((first, _)) = of_node.pop_front().and_then(|id| self.open.get(&id))
        {
            first.abort();
        }
    }

    pub(super) fn leave(&mut self, connection: Id) {
        self.strangers.leave(connection);
        if let Some((_, Some(node))) = self.open.remove(&connection) {
            forget(&mut self.nodes, &node, |id| *id != connection);
        }
    }

    /// A watch of a node begins; what is returned says when it has to end.
    pub(super) fn watch(&mut self, node: &Arc<str>) -> Rc<Notify> {
        let end = Rc::new(Notify::new());
        let of_node = self.watches.entry(Arc::clone(node)).or_default();
        of_node.push_back(Rc::clone(&end));
        if of_node.len() > WATCHES
            && let Some(first) = of_node.pop_front()
        {
            first.notify_one();
        }
        end
    }

    /// Whether a node may ask for addresses again.
    pub(super) fn may_ask(&mut self, node: &Arc<str>) -> bool {
        if self.asked.len() >= ALL {
            self.asked.retain(|_, asked| asked.elapsed() < BETWEEN);
        }
        if self.asked.get(node).is_some_and(|asked| asked.elapsed() < BETWEEN) {
            return false;
        }
        self.asked.insert(Arc::clone(node), Instant::now());
        true
    }

    pub(super) fn unwatch(&mut self, node: &Arc<str>, watch: &Rc<Notify>) {
        forget(&mut self.watches, node, |other| !Rc::ptr_eq(other, watch));
    }
}

fn forget<T>(
    of: &mut HashMap<Arc<str>, VecDeque<T>>,
    node: &Arc<str>,
    others: impl Fn(&T) -> bool,
) {
    if let Some(all) = of.get_mut(node) {
        all.retain(others);
        if all.is_empty() {
            of.remove(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task() -> AbortHandle {
        tokio::spawn(std::future::pending::<()>()).abort_handle()
    }

    fn connect(places: &mut Connections, peer: u8) -> AbortHandle {
        let (peer, task) = (IpAddr::from([10, 0, 0, peer]), task());
        assert!(places.make_room(peer));
        places.take(peer, task.clone());
        task
    }

    async fn over(task: &AbortHandle) -> bool {
        tokio::task::yield_now().await;
        task.is_finished()
    }

    #[tokio::test]
    async fn no_crowd_of_strangers_takes_an_agents_place() {
        let mut places = Connections::new();
        let agent = connect(&mut places, 1);
        places.recognise(agent.id(), &"node-1".into());

        for peer in 0..100 {
            for _ in 0..20 {
                connect(&mut places, peer);
            }
        }

        assert!(!over(&agent).await);
    }

    #[tokio::test]
    async fn a_node_has_few_places_and_its_first_connection_gives_way() {
        let mut places = Connections::new();
        let (one, other): (Arc<str>, Arc<str>) = ("node-1".into(), "node-2".into());
        let first = connect(&mut places, 1);
        places.recognise(first.id(), &one);
        let stays = connect(&mut places, 2);
        places.recognise(stays.id(), &other);

        for _ in 0..OF_A_NODE {
            let next = connect(&mut places, 1);
            places.recognise(next.id(), &one);
        }

        assert_eq!((over(&first).await, over(&stays).await), (true, false));
    }

    #[tokio::test]
    async fn a_third_watch_of_a_node_ends_the_first() {
        let mut places = Connections::new();
        let node: Arc<str> = "node-1".into();
        let first = places.watch(&node);
        let second = places.watch(&node);
        places.watch(&node);

        first.notified().await;
        places.unwatch(&node, &second);

        assert_eq!(places.watches[&node].len(), 1);
    }
}
