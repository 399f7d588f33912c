//! What a selector is matched against.
//!
//! In: whatever keeps labels. Out: the value of one key. It must not copy.
//!
//! Pure: no I/O.

use std::borrow::Borrow;
use std::collections::BTreeMap;

/// A set of labels, each key at most once.
pub trait Labels {
    /// The value under `key`.
    fn get(&self, key: &str) -> Option<&str>;
}

/// Pairs ascending by key. Labels of the API may come in any order: sort them first.
impl<K: AsRef<str>, V: AsRef<str>> Labels for [(K, V)] {
    fn get(&self, key: &str) -> Option<&str> {
        debug_assert!(self.is_sorted_by_key(|(key, _)| key.as_ref()), "labels must be sorted");
        let found = self.binary_search_by(|(have, _)| have.as_ref().cmp(key)).ok()?;
        Some(self[found].1.as_ref())
    }
}

impl<K: Borrow<str> + Ord, V: AsRef<str>> Labels for BTreeMap<K, V> {
    fn get(&self, key: &str) -> Option<&str> {
        Self::get(self, key).map(AsRef::as_ref)
    }
}
