//! A namespace and a name as a key that can be looked up without owning a copy of its text.
//!
//! In: two texts. Out: an order of pairs. It must not order owned and borrowed pairs differently.
//!
//! Pure: no I/O.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// A namespace and a name.
pub(super) type Key = (Box<str>, Box<str>);

/// What can stand for a [`Key`].
pub(super) trait Pair {
    fn pair(&self) -> (&str, &str);
}

impl Pair for Key {
    fn pair(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl Pair for (&str, &str) {
    fn pair(&self) -> (&str, &str) {
        *self
    }
}

impl<'a> Borrow<dyn Pair + 'a> for Key {
    fn borrow(&self) -> &(dyn Pair + 'a) {
        self
    }
}

impl PartialEq for dyn Pair + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl Eq for dyn Pair + '_ {}

impl PartialOrd for dyn Pair + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Pair + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pair().cmp(&other.pair())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_borrowed_pair_finds_the_owned_one() {
        let keys = [("a", "b"), ("a", ""), ("ab", ""), ("", "ab")];
        let map: BTreeMap<Key, usize> =
            keys.iter().zip(0..).map(|(&(n, k), at)| ((n.into(), k.into()), at)).collect();

        for (at, key) in keys.into_iter().enumerate() {
            assert_eq!(map.get(&key as &dyn Pair), Some(&at));
        }
        assert_eq!(map.get(&("a", "c") as &dyn Pair), None);
    }
}
