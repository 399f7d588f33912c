//! Maps for keys that others choose: their hash has a seed of this process.
//!
//! In: keys. Out: maps and hashes that are good for this process only. Addresses, ports, names and
//! cgroups come from anyone who opens a socket or makes an object: with a hash that is known beforehand
//! a stranger makes all of them collide, and a look-up costs as much as the map is long.
//!
//! The seed is drawn from the standard library's [`RandomState`], which asks the kernel once and is
//! no I/O of ours: a seed that had to be handed in could be forgotten, or be a constant in a test
//! that then becomes the program's. Every map takes it, also those whose keys no one chooses: one
//! rule that a lint can hold is worth a nanosecond.
//!
//! Pure: no I/O.

use foldhash::{SharedSeed, fast::FoldHasher};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::OnceLock;

/// A map whose hash has the seed.
#[expect(clippy::disallowed_types, reason = "this is what to use instead")]
pub type HashMap<K, V> = std::collections::HashMap<K, V, Seeded>;
/// A set whose hash has the seed.
#[expect(clippy::disallowed_types, reason = "this is what to use instead")]
pub type HashSet<K> = std::collections::HashSet<K, Seeded>;

#[derive(Debug)]
struct Seed {
    each: u64,
    shared: SharedSeed,
}

static SEED: OnceLock<Seed> = OnceLock::new();

/// Makes hashers with the seed of this process.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(&'static Seed);

impl Default for Seeded {
    fn default() -> Self {
        Self(SEED.get_or_init(|| {
            let random = RandomState::new();
            Seed { each: random.hash_one(1), shared: SharedSeed::from_u64(random.hash_one(2)) }
        }))
    }
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        FoldHasher::with_seed(self.0.each, &self.0.shared)
    }
}

/// The hash of one value.
#[must_use]
#[inline]
pub fn of<T: Hash>(value: T) -> u64 {
    Seeded::default().hash_one(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static COMPARED: Cell<u64> = const { Cell::new(0) };
    }

    /// A key that counts how often it is compared.
    #[derive(Clone, Copy, Eq)]
    struct Counting(u128);

    impl PartialEq for Counting {
        fn eq(&self, other: &Self) -> bool {
            COMPARED.set(COMPARED.get() + 1);
            self.0 == other.0
        }
    }

    impl Hash for Counting {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    /// The multiplier of FxHash, which is linear: with it one solves for half of an address.
    const FX: u64 = 0xf135_7aea_2e62_a9c5;

    fn fx(address: u128) -> u64 {
        let [low, high] =
            [0, 64].map(|by| u64::try_from(address >> by & u128::from(u64::MAX)).unwrap());
        low.wrapping_mul(FX).wrapping_add(high).wrapping_mul(FX)
    }

    fn crafted(n: u64) -> u128 {
        u128::from(n.wrapping_mul(FX).wrapping_neg()) << 64 | u128::from(n)
    }

    fn scattered(n: u64) -> u128 {
        u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n >> 3) << 32 | 0x2001_0db8 << 96
    }

    fn comparisons(keys: impl Iterator<Item = u128>) -> u64 {
        COMPARED.set(0);
        let mut set = HashSet::default();
        for key in keys {
            set.insert(Counting(key));
        }
        COMPARED.get()
    }

    #[test]
    fn addresses_made_to_collide_cost_no_more_than_others() {
        assert!((1..100).all(|n| fx(crafted(n)) == fx(crafted(0))), "they are made to collide");

        let (crafted, others) =
            (comparisons((0..20_000).map(crafted)), comparisons((0..20_000).map(scattered)));

        // By chance one in 128 of the keys that share a group is compared.
        assert!(crafted < 2 * others + 1000, "{crafted} comparisons against {others}");
        assert!(crafted < 20_000, "{crafted} comparisons for 20,000 keys");
    }

    #[test]
    fn a_value_has_one_hash_in_a_process() {
        assert_eq!(of(("a", 1)), of(("a", 1)));
        assert_ne!(of(("a", 1)), of(("a", 2)));
    }
}
