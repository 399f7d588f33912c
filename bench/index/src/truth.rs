//! The pairs of pod and Service that everybody has to find.
//!
//! In: pairs in any order. Out: their number and a hash of all of them, for the first pods of the
//! sample and for all pods; an error that names the rival that found others.
//!
//! Pure: no I/O.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// A set of pairs, whatever the order they were found in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs {
    pub(crate) count: u64,
    pub(crate) hash: u64,
}

impl Pairs {
    /// FNV-1a of the three names, with a byte between them that no name has.
    pub(crate) fn add(&mut self, namespace: &str, pod: &str, service: &str) {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for name in [namespace, pod, service] {
            for byte in name.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        self.count += 1;
        self.hash = self.hash.wrapping_add(hash);
    }
}

/// By number of pods of the sample, from its front.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) by_pods: BTreeMap<usize, Pairs>,
}

impl Truth {
    pub(crate) fn check(&self, who: &str, pods: usize, found: Pairs) -> Result<()> {
        let truth = self.by_pods.get(&pods).with_context(|| format!("{who}: {pods} pods?"))?;
        ensure!(*truth == found, "{who} found {found:?} for {pods} pods, the index {truth:?}");
        Ok(())
    }
}
