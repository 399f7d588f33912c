//! Space that all namespaces have together, and who gives way when it is used up.
//!
//! In: what objects of a namespace take and give back. Out: whether there is space, or which namespace
//! has the most. No namespace displaces one that has less than itself.
//!
//! Pure: no I/O.

use std::collections::BTreeMap;

/// The space, and what each namespace has of it.
#[derive(Debug)]
pub(super) struct Shares {
    used: BTreeMap<Box<str>, usize>,
    total: usize,
    limit: usize,
}

/// What becomes of an object that needs space.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// There is some.
    Free,
    /// There is when this namespace gives up something.
    From(Box<str>),
    /// There is none: no one has more than the one who asks.
    None,
}

impl Shares {
    pub(super) const fn new(limit: usize) -> Self {
        Self { used: BTreeMap::new(), total: 0, limit }
    }

    /// Whether a namespace may have so much more; not if there is no place for another object.
    pub(super) fn space(&self, namespace: &str, more: usize, full: bool) -> Space {
        if !full && self.total + more <= self.limit {
            return Space::Free;
        }
        let own = self.used.get(namespace).copied().unwrap_or(0);
        // Of equals the first by name, so that it is always the same one.
        let biggest = self.used.iter().rev().max_by_key(|(_, used)| **used);
        match biggest {
            Some((name, &used)) if used > own + more => Space::From(name.clone()),
            _ => Space::None,
        }
    }

    pub(super) fn take(&mut self, namespace: &str, n: usize) {
        self.total += n;
        match self.used.get_mut(namespace) {
            Some(used) => *used += n,
            None => drop(self.used.insert(namespace.into(), n)),
        }
    }

    pub(super) fn give_back(&mut self, namespace: &str, n: usize) {
        self.total = self.total.saturating_sub(n);
        if let Some(used) = self.used.get_mut(namespace) {
            *used = used.saturating_sub(n);
            if *used == 0 {
                self.used.remove(namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_with_most_gives_way_to_one_with_less() {
        let mut shares = Shares::new(10);
        shares.take("big", 8);
        shares.take("small", 2);

        assert_eq!(shares.space("big", 1, false), Space::None);
        assert_eq!(shares.space("small", 3, false), Space::From("big".into()));
        assert_eq!(shares.space("small", 6, false), Space::None, "it would have as much itself");
        shares.give_back("big", 3);
        assert_eq!(shares.space("small", 3, false), Space::Free);
        assert_eq!(shares.space("small", 4, false), Space::None);
        assert_eq!(shares.space("small", 1, true), Space::From("big".into()));
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let mut shares = Shares::new(10);
        shares.take("a", 3);

        shares.give_back("a", 3);

        assert!(shares.used.is_empty() && shares.total == 0);
    }
}
