//! An index with a few Services, for tests of what it answers.

use probelet_index::selector::Selector;
use probelet_index::{Index, OwnerId};

pub(crate) const WEB: &[(&str, &str)] = &[("app", "web")];
pub(crate) const DB: &[(&str, &str)] = &[("app", "db")];

pub(crate) fn index() -> Index {
    Index::new(0x5eed)
}

pub(crate) fn parse(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

pub(crate) fn serve(index: &mut Index, namespace: &str, name: &str, selector: &str) -> OwnerId {
    index.upsert_owner(Some(namespace), name, Some(&parse(selector)), None).unwrap().0
}

/// Names of the owners of a pod, sorted.
pub(crate) fn owners(index: &Index, uid: &str) -> Vec<String> {
    let Some(pod) = index.find_pod(uid) else { return Vec::new() };
    let names = index.owners_of(pod).map(|id| index.owner(id).unwrap().1.to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}
