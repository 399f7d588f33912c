//! The keyed hash of the index.
//!
//! In: bytes and a seed that is random per process, so that no one outside can choose names or
//! labels that collide. Out: 64 bits. A hash only ever rules things out: anyone who finds an equal one
//! still compares the bytes.
//!
//! Pure: no I/O.

/// Odd-looking constants: binary digits of pi, to spread what the inputs have in common.
const A: u64 = 0x243f_6a88_85a3_08d3;
const B: u64 = 0x1319_8a2e_0370_7344;
const C: u64 = 0xa409_3822_299f_31d0;

/// Hashes with one seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    seed: u64,
    /// All ones, or three bits in tests that want every answer to survive collisions.
    mask: u64,
}

impl Keyed {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, mask: u64::MAX }
    }

    pub(super) const fn weak(seed: u64) -> Self {
        Self { seed, mask: 7 }
    }

    /// Of any text: a key, a value, a name, a selector's blob.
    #[inline]
    pub(super) fn text(self, text: &str) -> u64 {
        self.bytes(text.as_bytes())
    }

    #[inline]
    fn bytes(self, bytes: &[u8]) -> u64 {
        let n = bytes.len();
        let mut state = self.seed ^ A;
        let (head, tail) = match n {
            0 => (0, 0),
            1..=3 => {
                let middle = u64::from(bytes[n / 2]) << 8;
                (u64::from(bytes[0]) | middle | u64::from(bytes[n - 1]) << 16, 0)
            }
            4..=7 => (four(bytes, 0), four(bytes, n - 4)),
            8..=16 => (eight(bytes, 0), eight(bytes, n - 8)),
            _ => {
                let mut at = 0;
                while at + 16 < n {
                    state = fold(eight(bytes, at) ^ state, eight(bytes, at + 8) ^ B);
                    at += 16;
                }
                (eight(bytes, n - 16), eight(bytes, n - 8))
            }
        };
        let mixed = fold(head ^ state, tail ^ C);
        fold(mixed ^ B, n as u64 ^ A ^ state) & self.mask
    }

    /// Of a label: its key and its value together.
    #[inline]
    pub(super) const fn pair(self, key: u64, value: u64) -> u64 {
        fold(key ^ C, value.rotate_left(23) ^ B) & self.mask
    }

    /// Of `hash` inside the namespace or scope that `salt` stands for.
    #[inline]
    pub(super) const fn within(self, salt: u64, hash: u64) -> u64 {
        fold(hash ^ salt, salt.rotate_left(32) ^ B) & self.mask
    }

    /// What separates a namespace from all others. Never weak: a salt is no filter.
    pub(super) const fn salt(self, name: u64, slot: u32) -> u64 {
        fold(name ^ self.seed ^ B, C ^ slot as u64)
    }

    /// Of a number that already has 128 well spread bits: a UUID.
    #[inline]
    pub(super) const fn wide(self, [high, low]: [u64; 2]) -> u64 {
        fold(high ^ self.seed ^ A, low ^ C) & self.mask
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are taken")]
const fn fold(a: u64, b: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    wide as u64 ^ (wide >> 64) as u64
}

#[inline]
fn eight(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline]
fn four(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u64::from(u32::from_le_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn texts_of_every_length_hash_apart() {
        let keyed = Keyed::new(7);
        let text = "abcdefghijklmnopqrstuvwxyz".repeat(12);

        let hashes: BTreeSet<_> = (0..text.len()).map(|n| keyed.text(&text[..n])).collect();

        assert_eq!(hashes.len(), text.len());
    }

    #[test]
    fn another_seed_gives_other_hashes() {
        assert_ne!(Keyed::new(1).text("app"), Keyed::new(2).text("app"));
    }

    #[test]
    fn a_weak_hash_has_eight_values() {
        let keyed = Keyed::weak(3);
        let hashes: BTreeSet<_> = (0..999).map(|n| keyed.text(&n.to_string())).collect();

        assert_eq!(hashes.len(), 8);
    }
}
