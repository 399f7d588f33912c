//! A map from a key to mostly one value, sometimes several.
//!
//! In: pairs. Out: the values of a key. It must not allocate for the usual single value.
//!
//! Pure: no I/O.

use crate::hash::HashMap;
use std::hash::Hash;

#[derive(Debug)]
enum Few<T> {
    One(T),
    Many(Vec<T>),
}

/// The map.
#[derive(Debug)]
pub(super) struct MultiMap<K, T>(HashMap<K, Few<T>>);

impl<K, T> Default for MultiMap<K, T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Eq + Hash, T: Copy + PartialEq> MultiMap<K, T> {
    /// Adds a pair, if it is not there.
    pub(super) fn insert(&mut self, key: K, value: T) {
        match self.0.entry(key).or_insert(Few::One(value)) {
            Few::One(one) if *one == value => {}
            few @ Few::One(_) => {
                if let Few::One(one) = *few {
                    *few = Few::Many(vec![one, value]);
                }
            }
            Few::Many(many) if many.contains(&value) => {}
            Few::Many(many) => many.push(value),
        }
    }

    /// Takes a pair out.
    pub(super) fn remove(&mut self, key: &K, value: T) {
        let gone = match self.0.get_mut(key) {
            Some(Few::One(one)) => *one == value,
            Some(Few::Many(many)) => {
                many.retain(|v| *v != value);
                many.is_empty()
            }
            None => false,
        };
        if gone {
            self.0.remove(key);
        }
    }

    /// The values of a key.
    pub(super) fn get(&self, key: &K) -> &[T] {
        match self.0.get(key) {
            Some(Few::One(one)) => std::slice::from_ref(one),
            Some(Few::Many(many)) => many,
            None => &[],
        }
    }

    /// Keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_comes_out_until_it_is_taken_out() {
        let mut map = MultiMap::default();
        for value in [1, 2, 2, 3] {
            map.insert("a", value);
        }
        map.remove(&"a", 2);

        assert_eq!(map.get(&"a"), [1, 3]);
        map.remove(&"a", 1);
        map.remove(&"a", 3);
        map.remove(&"a", 3);
        assert_eq!(map.get(&"a"), [0_i32; 0]);
        assert_eq!(map.len(), 0);
    }
}
