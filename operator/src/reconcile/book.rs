//! Book: which statuses are to be written and when each may be.
//!
//! In: configurations that something happened to, statuses that were written. Out: the next one that is due. A status is
//! written at most every five seconds, the first change at once, the changes meanwhile together. Pure: the time is an
//! argument.

use std::collections::{BTreeMap, BTreeSet};

use crate::pace::Millis;
use crate::world::ConfigId;

/// The least time between two writes of one status.
const EVERY: Millis = 5000;
/// A change waits so long for others of the same moment.
const TOGETHER: Millis = 100;

/// When statuses are written.
#[derive(Debug, Default)]
pub(crate) struct Book {
    due: BTreeMap<ConfigId, Millis>,
    last: BTreeMap<ConfigId, Millis>,
    flying: BTreeSet<ConfigId>,
    /// Whether this process has begun to lead.
    pub(crate) begun: bool,
}

impl Book {
    /// Something happened to the configuration.
    pub(crate) fn note(&mut self, id: ConfigId, now: Millis) {
        let soonest = self.last.get(&id).map_or(0, |last| last + EVERY);
        self.due.entry(id).or_insert((now + TOGETHER).max(soonest));
    }

    /// Takes out one whose status is due.
    pub(crate) fn take(&mut self, now: Millis) -> Option<ConfigId> {
        let flying = &self.flying;
        let due = self.due.iter().find(|(id, at)| **at <= now && !flying.contains(id));
        let id = *due?.0;
        self.due.remove(&id);
        Some(id)
    }

    /// Its status is being written.
    pub(crate) fn writing(&mut self, id: ConfigId, now: Millis) {
        self.last.insert(id, now);
        self.flying.insert(id);
    }

    /// Its status was written, or not.
    pub(crate) fn wrote(&mut self, id: ConfigId, well: bool, now: Millis) {
        self.flying.remove(&id);
        if !well {
            self.note(id, now);
        }
    }

    /// The configuration is gone.
    pub(crate) fn forget(&mut self, id: ConfigId) {
        self.due.remove(&id);
        self.last.remove(&id);
    }

    /// When [`Book::take`] may have one.
    pub(crate) fn next(&self) -> Option<Millis> {
        let flying = &self.flying;
        self.due.iter().filter(|(id, _)| !flying.contains(id)).map(|(_, at)| *at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_change_is_written_at_once_and_the_next_after_five_seconds() {
        let mut book = Book::default();
        book.note(1, 1000);
        assert_eq!(book.take(1100), Some(1));
        book.writing(1, 1100);
        book.wrote(1, true, 1110);

        book.note(1, 1200);
        book.note(1, 2000);

        assert_eq!((book.take(6099), book.next()), (None, Some(6100)));
        assert_eq!(book.take(6100), Some(1));
        assert_eq!(book.take(60_000), None);
    }

    #[test]
    fn a_status_is_not_written_twice_at_once() {
        let mut book = Book::default();
        book.note(1, 0);
        book.take(100);
        book.writing(1, 100);
        book.note(1, 200);

        assert_eq!(book.take(10_000), None);
        book.wrote(1, true, 10_000);
        assert_eq!(book.take(10_000), Some(1));
    }

    #[test]
    fn a_write_that_failed_is_due_again() {
        let mut book = Book::default();
        book.note(1, 0);
        book.take(100);
        book.writing(1, 100);
        book.wrote(1, false, 200);

        assert_eq!(book.next(), Some(5100));
    }
}
