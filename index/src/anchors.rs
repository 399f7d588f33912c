//! Under which one label each selector is filed.
//!
//! In: a hash of (scope, label) and a selector. Out: the selectors filed under a hash, which are
//! the only ones that a label set with that label has to be tried on. It must not choose the
//! label, and must not look at text: what it gives back are candidates.
//!
//! The selectors under one hash form a chain, and so do the filings of one selector (`x in (a, b)`
//! has two): filing and unfiling cost no allocation and no search, also where ten thousand
//! selectors share a label.
//!
//! Pure: no I/O.

use super::hash::Keyed;
use super::namespaces::Scope;
use super::slab::{NONE, Slab};
use super::table::Table;

#[derive(Clone, Debug, Default)]
struct Filing {
    hash: u64,
    selector: u32,
    next: u32,
    previous: u32,
    /// Length of the chain; kept by its first filing.
    len: u32,
    /// Next filing of the same selector.
    sibling: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Anchors {
    filings: Slab<Filing>,
    /// First filing of each chain, by hash.
    chains: Table,
}

impl Anchors {
    /// Files `selector`; `sibling` is its previous filing or [`NONE`]. Gives the filing.
    pub(super) fn file(&mut self, hash: u64, selector: u32, sibling: u32) -> u32 {
        let head = self.head(hash);
        let (next, len) = head.map_or((NONE, 1), |head| (head, self.filings[head].len + 1));
        let filing = Filing { hash, selector, next, previous: NONE, len, sibling };
        let filing = self.filings.insert(filing);
        if let Some(head) = head {
            self.filings[head].previous = filing;
            self.chains.replace(hash, head, filing);
        } else {
            self.chains.insert(hash, filing, |slot| self.filings[slot].hash);
        }
        filing
    }

    /// Takes back `filing` and its siblings.
    pub(super) fn unfile(&mut self, mut filing: u32) {
        while filing != NONE {
            let Filing { hash, next, previous, len, sibling, .. } = self.filings[filing];
            if next != NONE {
                self.filings[next].previous = previous;
            }
            if previous != NONE {
                self.filings[previous].next = next;
                if let Some(head) = self.head(hash) {
                    self.filings[head].len -= 1;
                }
            } else if next != NONE {
                self.filings[next].len = len - 1;
                self.chains.replace(hash, filing, next);
            } else {
                self.chains.remove(hash, filing, |slot| self.filings[slot].hash);
            }
            self.filings.remove(filing);
            filing = sibling;
        }
    }

    /// How many selectors are filed under `hash`.
    pub(super) fn load(&self, hash: u64) -> u32 {
        self.head(hash).map_or(0, |head| self.filings[head].len)
    }

    /// Adds the selectors under `hash` to `out`.
    #[inline]
    fn gather(&self, hash: u64, out: &mut impl Extend<u32>) {
        if let Some(head) = self.head(hash) {
            let next = |filing: &&Filing| self.filings.get(filing.next);
            let chain = std::iter::successors(self.filings.get(head), next);
            out.extend(chain.map(|filing| filing.selector));
        }
    }

    /// Adds the selectors of a scope that demand a certain label, or its key.
    #[inline]
    pub(super) fn probe(
        &self,
        keyed: Keyed,
        (scope, salt): (&Scope, u64),
        (key, pair): (u64, u64),
        out: &mut impl Extend<u32>,
    ) {
        self.gather(keyed.within(salt, pair), out);
        if scope.on_key > 0 {
            self.gather(keyed.within(!salt, key), out);
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.filings.heap_bytes() + self.chains.heap_bytes()
    }

    #[inline]
    fn head(&self, hash: u64) -> Option<u32> {
        self.chains.find(hash, |slot| self.filings[slot].hash == hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(anchors: &Anchors, hash: u64) -> Vec<u32> {
        let mut found = Vec::new();
        anchors.gather(hash, &mut found);
        found.sort_unstable();
        found
    }

    #[test]
    fn a_selector_is_found_under_each_of_its_hashes() {
        let mut anchors = Anchors::default();
        let first = anchors.file(10, 7, NONE);
        anchors.file(11, 7, first);
        anchors.file(11, 8, NONE);

        assert_eq!((under(&anchors, 10), under(&anchors, 11)), (vec![7], vec![7, 8]));
        assert_eq!((anchors.load(10), anchors.load(11), anchors.load(12)), (1, 2, 0));
    }

    #[test]
    fn filings_leave_from_the_head_the_middle_and_the_end_of_a_chain() {
        let mut anchors = Anchors::default();
        let filings: Vec<_> = (0..4).map(|selector| anchors.file(5, selector, NONE)).collect();

        for (gone, left) in [(1, vec![0, 2, 3]), (3, vec![0, 2]), (0, vec![2]), (2, vec![])] {
            anchors.unfile(filings[gone]);

            assert_eq!(under(&anchors, 5), left);
            assert_eq!(anchors.load(5) as usize, left.len());
        }
        assert_eq!(anchors.heap_bytes(), 0);
    }
}
