//! The running containers, bounded.
//!
//! In: what Docker lists and reports. Out: a map that is cheap to clone, and a count of what would not fit. Containers
//! that did not change keep their allocation when everything is listed again. Pure: values only.

use std::{collections::BTreeMap, sync::Arc};

use probelet_core::hash::{HashMap, HashSet};

/// The most containers that are kept; Docker itself gets slow long before.
pub(crate) const MAX_CONTAINERS: usize = 16_384;
/// The most labels of one container.
const MAX_LABELS: usize = 64;
/// The most bytes of one label, name and value together; also of a container's name and image.
const MAX_TEXT: usize = 256;
/// The most bytes of all labels together; containers beyond that have a name and an image only.
const MAX_LABEL_BYTES: usize = 4 << 20;
/// Docker's ids have 64 digits.
const MAX_ID: usize = 64;

/// Containers by id. Docker draws the ids by itself, so that no one can choose them to collide.
pub type Containers = HashMap<Arc<str>, Arc<DockerContainer>>;

/// What people call a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerContainer {
    /// Its name, without the slash that Docker puts in front.
    pub name: String,
    /// Its image, as it was asked for.
    pub image: String,
    /// Its labels, at most 64 of at most 256 bytes.
    pub labels: BTreeMap<String, String>,
    /// When it was started, in Unix seconds, if that was seen.
    pub started: Option<u64>,
}

impl DockerContainer {
    fn label_bytes(&self) -> usize {
        self.labels.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    containers: Containers,
    label_bytes: usize,
    dropped: u64,
}

impl Table {
    pub(super) fn containers(&self) -> &Containers {
        &self.containers
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A container whose texts are within bounds.
    pub(super) fn container(
        &mut self,
        name: &str,
        image: &str,
        labels: impl Iterator<Item = (String, String)>,
        started: Option<u64>,
    ) -> DockerContainer {
        let mut kept = BTreeMap::new();
        for (key, value) in labels {
            // A label that is cut would match what it must not.
            if key.len() + value.len() > MAX_TEXT {
                self.dropped += 1;
            } else {
                kept.insert(key, value);
            }
        }
        while kept.len() > MAX_LABELS {
            kept.pop_last();
            self.dropped += 1;
        }
        DockerContainer { name: cut(name), image: cut(image), labels: kept, started }
    }

    /// Puts in a new container or a changed one; whether that changed anything.
    pub(super) fn insert(&mut self, id: String, mut container: DockerContainer) -> bool {
        let old = self.containers.get(id.as_str());
        if old.is_some_and(|old| **old == container) {
            return false;
        }
        if old.is_none() && self.containers.len() >= MAX_CONTAINERS || id.len() > MAX_ID {
            self.dropped += 1;
            return false;
        }
        self.label_bytes -= old.map_or(0, |old| old.label_bytes());
        if self.label_bytes + container.label_bytes() > MAX_LABEL_BYTES {
            self.dropped += container.labels.len() as u64;
            container.labels.clear();
        }
        self.label_bytes += container.label_bytes();
        self.containers.insert(id.into(), Arc::new(container));
        true
    }

    /// Forgets a container; whether it was known.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let old = self.containers.remove(id);
        self.label_bytes -= old.as_ref().map_or(0, |old| old.label_bytes());
        old.is_some()
    }

    /// Makes these the only containers; how many are new, changed or gone.
    pub(super) fn replace(&mut self, running: Vec<(String, DockerContainer)>) -> usize {
        let now: HashSet<&str> = running.iter().map(|(id, _)| id.as_str()).collect();
        let gone: Vec<Arc<str>> =
            self.containers.keys().filter(|id| !now.contains(&***id)).cloned().collect();
        let mut changes = gone.iter().filter(|id| self.remove(id)).count();
        for (id, mut container) in running {
            // The list does not tell when a container was started.
            container.started = self.containers.get(id.as_str()).and_then(|old| old.started);
            changes += usize::from(self.insert(id, container));
        }
        changes
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> DockerContainer {
        DockerContainer { name: name.to_owned(), ..DockerContainer::default() }
    }

    fn labelled(bytes: usize) -> DockerContainer {
        let label = (0..bytes / 200).map(|i| (format!("{i:0100}"), "x".repeat(100))).collect();
        DockerContainer { labels: label, ..DockerContainer::default() }
    }

    #[test]
    fn a_new_list_adds_renames_and_removes() {
        let mut table = Table::default();
        let list = |names: &[(&str, &str)]| {
            names.iter().map(|(id, name)| ((*id).to_owned(), named(name))).collect()
        };
        assert_eq!(table.replace(list(&[("a", "web"), ("b", "db"), ("c", "cache")])), 3);
        let kept = Arc::clone(&table.containers()["a"]);
        assert_eq!(table.replace(list(&[("a", "web"), ("b", "database"), ("d", "queue")])), 3);
        assert_eq!(table.containers()["b"].name, "database");
        assert!(!table.containers().contains_key("c"));
        assert!(Arc::ptr_eq(&kept, &table.containers()["a"]));
    }

    #[test]
    fn the_start_that_was_seen_survives_a_new_list() {
        let mut table = Table::default();
        table.insert("a".to_owned(), DockerContainer { started: Some(7), ..named("web") });
        assert_eq!(table.replace(vec![("a".to_owned(), named("web"))]), 0);
        assert_eq!(table.containers()["a"].started, Some(7));
    }

    #[test]
    fn containers_beyond_the_bound_are_counted() {
        let mut table = Table::default();
        let many = (0..MAX_CONTAINERS + 3).map(|i| (i.to_string(), named("x"))).collect();
        assert_eq!(table.replace(many), MAX_CONTAINERS);
        assert_eq!((table.containers().len(), table.dropped()), (MAX_CONTAINERS, 3));
    }

    #[test]
    fn labels_beyond_the_bounds_are_counted() {
        let mut table = Table::default();
        let many = (0..70).map(|i| (format!("{i:02}"), "v".to_owned()));
        let large = [("big".to_owned(), "v".repeat(MAX_TEXT))];
        let container = table.container("n", "i", many.chain(large), None);
        assert_eq!((container.labels.len(), table.dropped()), (MAX_LABELS, 7));
    }

    #[test]
    fn all_labels_together_are_bounded_and_names_stay() {
        let mut table = Table::default();
        for i in 0..1000 {
            table.insert(
                i.to_string(),
                DockerContainer { name: "n".to_owned(), ..labelled(12_000) },
            );
        }
        assert!(
            table.label_bytes <= MAX_LABEL_BYTES && table.label_bytes > MAX_LABEL_BYTES - 12_000
        );
        assert!(table.containers().values().all(|container| container.name == "n"));
        assert!(table.dropped() > 0);
        table.replace(vec![]);
        assert_eq!(table.label_bytes, 0);
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let container = Table::default().container(&"é".repeat(200), "", std::iter::empty(), None);
        assert_eq!(container.name.len(), MAX_TEXT);
    }
}
