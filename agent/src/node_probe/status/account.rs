//! What became of the writes of the status, for metrics.
//!
//! In: each attempt's end. Out: counts by result. It must not hold names or error texts: labels are made of it.
//!
//! Pure: no I/O.

use crate::kube::Class;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it.
    Written,
    /// There is no such object (any more).
    NotFound,
    /// It was refused or lost.
    Failed(Class),
}

/// The counts, shared with those who look.
#[derive(Debug, Default)]
pub struct Account {
    written: AtomicU64,
    not_found: AtomicU64,
    failed: [AtomicU64; Class::ALL.len()],
    acknowledged: AtomicI64,
    bytes: AtomicU64,
}

impl Account {
    pub(super) fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Written => &self.written,
            Outcome::NotFound => &self.not_found,
            Outcome::Failed(class) => &self.failed[class as usize],
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn acknowledge(&self, generation: i64, bytes: usize) {
        self.acknowledged.store(generation, Ordering::Relaxed);
        self.bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Writes by result: those that were taken always, others once they happened.
    pub fn results(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failed = Class::ALL.iter().map(move |&c| (c.name(), of(&self.failed[c as usize])));
        let others = [("not_found", of(&self.not_found))].into_iter().chain(failed);
        [("written", of(&self.written))].into_iter().chain(others.filter(|&(_, n)| n > 0))
    }

    /// The generation of the NodeProbe that was last answered for; 0 if none was.
    #[must_use]
    pub fn acknowledged(&self) -> i64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// How long the last status was that was written, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
