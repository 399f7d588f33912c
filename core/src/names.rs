//! Names of pods, workloads, Services and nodes as small ids that records can hold.
//!
//! In: a name. Out: a [`NameId`], the same one for the same name, and a table of the names that
//! readers share. A name never changes: a pod that moves to another workload is another name with
//! another id, so that anyone who holds an id knows without looking whether anything changed. Names
//! that no one holds are swept when the table fills up; a reused place has another generation, and
//! an id of an earlier one finds nothing rather than a wrong name.
//!
//! Pure: no I/O.

use crate::table::{Frozen, Table};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Names at a time: the peers and Services that a node talked to lately. At about 200 bytes each.
pub const NAMES: usize = 65_536;
/// Bits of an id that say which place; the others say which of its generations.
const PLACE: u32 = 18;

/// An interned name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(NonZeroU32);

impl NameId {
    fn new(place: u32, generation: u32) -> Self {
        let value = generation << PLACE | place;
        // Generations begin at one.
        Self(NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN))
    }

    const fn place(self) -> u32 {
        self.0.get() & ((1 << PLACE) - 1)
    }

    const fn generation(self) -> u32 {
        self.0.get() >> PLACE
    }
}

impl std::fmt::Debug for NameId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NameId({}.{})", self.place(), self.generation())
    }
}

/// What something is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: Box<str>,
        /// Its name.
        name: Box<str>,
        /// Its uid, when it is one of this node's; empty for pods of other nodes.
        uid: Box<str>,
        /// What made it, when it is one of this node's or was asked about.
        workload: Option<NameId>,
    },
    /// What pods are made by: a Deployment, a StatefulSet; of a bare pod, itself.
    Workload {
        /// The namespace.
        namespace: Box<str>,
        /// The kind, as Kubernetes spells it.
        kind: Box<str>,
        /// The name.
        name: Box<str>,
    },
    /// A Service.
    Service {
        /// The namespace.
        namespace: Box<str>,
        /// The name.
        name: Box<str>,
    },
    /// A node of the cluster.
    Node(Box<str>),
    /// A range of addresses that the configuration names.
    Group(Box<str>),
}

impl Name {
    /// What the report calls this kind of name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Pod { .. } => "pod",
            Self::Workload { .. } => "workload",
            Self::Service { .. } => "service",
            Self::Node(_) => "node",
            Self::Group(_) => "group",
        }
    }

    /// The namespace, for what has one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Pod { namespace, .. }
            | Self::Workload { namespace, .. }
            | Self::Service { namespace, .. } => Some(namespace),
            Self::Node(_) | Self::Group(_) => None,
        }
    }

    /// As a label that is unlike any other kind's: `shop/Deployment/web`, `shop/Service/cart`,
    /// `shop/Pod/web-0`, `Node/worker-1`, `Group/office`.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Pod { namespace, name, .. } => format!("{namespace}/Pod/{name}"),
            Self::Workload { namespace, kind, name } => format!("{namespace}/{kind}/{name}"),
            Self::Service { namespace, name } => format!("{namespace}/Service/{name}"),
            Self::Node(name) => format!("Node/{name}"),
            Self::Group(name) => format!("Group/{name}"),
        }
    }
}

impl std::fmt::Display for Name {
    /// `namespace/name` of a pod or Service, else the label.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod { namespace, name, .. } | Self::Service { namespace, name } => {
                write!(f, "{namespace}/{name}")
            }
            Self::Workload { .. } => f.write_str(&self.label()),
            Self::Node(name) | Self::Group(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    generation: u32,
    name: Arc<Name>,
}

/// The names in use.
#[derive(Debug)]
pub struct Names {
    table: Table<Entry>,
    ids: BTreeMap<Arc<Name>, NameId>,
    /// The generation that each place is given out in next.
    next: Vec<u32>,
}

/// The names of one moment, for readers.
#[derive(Clone, Debug, Default)]
pub struct FrozenNames(Frozen<Entry>);

impl Default for Names {
    fn default() -> Self {
        Self::new(NAMES)
    }
}

impl Names {
    /// No name yet, and never more than `limit`.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(1 << PLACE);
        Self { table: Table::new(limit), ids: BTreeMap::new(), next: Vec::new() }
    }

    /// The id of a name; `None` when the table is full.
    pub(crate) fn intern(&mut self, name: Name) -> Option<NameId> {
        if let Some(&id) = self.ids.get(&name) {
            return Some(id);
        }
        let name = Arc::new(name);
        let entry = Entry { generation: 0, name: Arc::clone(&name) };
        let place = self.table.insert(entry, 0).ok()?;
        let at = place as usize;
        if self.next.len() <= at {
            self.next.resize(at + 1, 1);
        }
        let generation = self.next[at];
        let following = (generation + 1) & ((1 << (32 - PLACE)) - 1);
        self.next[at] = following.max(1);
        if let Some(entry) = self.table.get_mut(place, 0) {
            entry.generation = generation;
        }
        let id = NameId::new(place, generation);
        self.ids.insert(name, id);
        Some(id)
    }

    /// The name of an id that is still in use.
    #[must_use]
    pub fn get(&self, id: NameId) -> Option<&Name> {
        let entry = self.table.get(id.place())?;
        (entry.generation == id.generation()).then_some(&*entry.name)
    }

    /// How many names there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Forgets every name that `held` does not name.
    pub fn sweep(&mut self, held: impl Fn(NameId) -> bool) {
        let table = &mut self.table;
        self.ids.retain(|_, id| {
            let stays = held(*id);
            if !stays {
                table.remove(id.place(), 0);
            }
            stays
        });
    }

    /// What a reader may keep.
    #[must_use]
    pub fn freeze(&self) -> FrozenNames {
        FrozenNames(self.table.freeze())
    }
}

impl FrozenNames {
    /// The name of an id.
    #[must_use]
    pub fn get(&self, id: NameId) -> Option<&Name> {
        let entry = self.0.get(id.place())?;
        (entry.generation == id.generation()).then_some(&*entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Name {
        Name::Node(name.into())
    }

    #[test]
    fn the_same_name_has_the_same_id() {
        let mut names = Names::default();

        let id = names.intern(node("a"));

        assert_eq!(names.intern(node("a")), id);
        assert_ne!(names.intern(node("b")), id);
        assert_eq!(names.get(id.unwrap()), Some(&node("a")));
    }

    #[test]
    fn the_id_of_a_forgotten_name_finds_nothing_when_its_place_is_taken() {
        let mut names = Names::new(1);
        let old = names.intern(node("a")).unwrap();
        names.sweep(|_| false);

        let new = names.intern(node("b")).unwrap();

        assert_eq!(old.place(), new.place());
        assert_eq!(names.get(old), None);
        assert_eq!(names.freeze().get(new), Some(&node("b")));
    }

    #[test]
    fn a_full_table_gives_no_id_and_a_sweep_makes_room() {
        let mut names = Names::new(2);
        let kept = names.intern(node("a")).unwrap();
        names.intern(node("b")).unwrap();
        assert_eq!(names.intern(node("c")), None);

        names.sweep(|id| id == kept);

        assert!(names.intern(node("c")).is_some());
        assert_eq!(names.get(kept), Some(&node("a")));
    }

    #[test]
    fn a_reader_keeps_the_names_that_it_had() {
        let mut names = Names::new(1);
        let id = names.intern(node("a")).unwrap();
        let before = names.freeze();

        names.sweep(|_| false);
        names.intern(node("b"));

        assert_eq!(before.get(id), Some(&node("a")));
    }

    #[test]
    fn generations_go_round_without_becoming_zero() {
        let mut names = Names::new(1);
        for _ in 0..(1 << (32 - PLACE)) + 3 {
            let id = names.intern(node("a")).unwrap();
            assert!(id.generation() > 0);
            names.sweep(|_| false);
        }
    }
}
