//! Which label sets of a namespace a new selector could match, without reading their text.
//!
//! In: the hashes of a set's pairs and keys. Out: a signature of 192 bits a set (a Bloom filter:
//! three bits of 128 for each pair, two of 64 for each key), kept as columns, and the places of
//! the sets that have all bits of what a selector demands. Half a percent of false candidates for
//! a pair and five for a key, at eight labels; anyone who asks reads the text of the rest.
//!
//! Pure: no I/O.

/// Sets whose answers are collected in one word before the next branch.
const BLOCK: usize = 16;

/// The bits of some pairs and keys.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signature {
    pairs: [u64; 2],
    keys: u64,
}

impl Signature {
    #[inline]
    pub(super) const fn add_pair(&mut self, hash: u64) {
        self.set_pair_bit(hash >> 57);
        self.set_pair_bit(hash >> 50 & 127);
        self.set_pair_bit(hash >> 43 & 127);
    }

    #[inline]
    const fn set_pair_bit(&mut self, bit: u64) {
        self.pairs[(bit >> 6) as usize & 1] |= 1 << (bit & 63);
    }

    #[inline]
    pub(super) const fn add_key(&mut self, hash: u64) {
        self.keys |= 1 << (hash >> 58) | 1 << (hash >> 52 & 63);
    }
}

/// The signatures of a namespace's label sets, in the order of its list of sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Signatures {
    pairs: Vec<[u64; 2]>,
    keys: Vec<u64>,
}

impl Signatures {
    pub(super) fn push(&mut self, signature: Signature) {
        self.pairs.push(signature.pairs);
        self.keys.push(signature.keys);
    }

    pub(super) fn swap_remove(&mut self, at: usize) {
        self.pairs.swap_remove(at);
        self.keys.swap_remove(at);
    }

    /// How many sets have every bit of `demand`.
    pub(super) fn count(&self, demand: Signature) -> usize {
        // Only one of the columns is asked, whichever `demand` has bits in.
        if demand.keys == 0 {
            self.pairs.iter().filter(|have| covers(have, &demand.pairs)).count()
        } else {
            self.keys.iter().filter(|have| *have & demand.keys == demand.keys).count()
        }
    }

    /// Calls `found` with the place of each set that has every bit of `demand`.
    pub(super) fn scan(&self, demand: Signature, mut found: impl FnMut(usize)) {
        for (block, (pairs, keys)) in
            self.pairs.chunks(BLOCK).zip(self.keys.chunks(BLOCK)).enumerate()
        {
            // No branch inside: the compiler turns both loops into vector code.
            let mut hits = 0_u32;
            for (i, have) in pairs.iter().enumerate() {
                hits |= u32::from(covers(have, &demand.pairs)) << i;
            }
            if demand.keys != 0 {
                let mut with_keys = 0;
                for (i, have) in keys.iter().enumerate() {
                    with_keys |= u32::from(have & demand.keys == demand.keys) << i;
                }
                hits &= with_keys;
            }
            while hits != 0 {
                found(block * BLOCK + hits.trailing_zeros() as usize);
                hits &= hits - 1;
            }
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.pairs.capacity() * 16 + self.keys.capacity() * 8
    }
}

#[inline]
const fn covers(have: &[u64; 2], demand: &[u64; 2]) -> bool {
    have[0] & demand[0] == demand[0] && have[1] & demand[1] == demand[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_finds_every_set_with_the_pair_and_few_others() {
        let mut all = Signatures::default();
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for set in 0..1000 {
            let mut signature = Signature::default();
            (0..8).for_each(|pair| signature.add_pair(hash(set * 8 + pair + 1)));
            all.push(signature);
        }
        let mut demand = Signature::default();
        demand.add_pair(hash(500 * 8 + 3));

        let mut places = Vec::new();
        all.scan(demand, |at| places.push(at));

        assert!(places.contains(&500));
        assert!(places.len() < 30, "{} candidates", places.len());
        assert_eq!(all.count(demand), places.len());
    }
}
