//! One set of labels, as it came and as it is kept.
//!
//! In: pairs in any order, perhaps with repeated keys. Out: [`Canonical`] pairs (ascending, each
//! key once), and [`Packed`], which keeps them in one allocation. It must not know namespaces.
//!
//! Labels of the API server are valid and without repetition, though not in order; made by hand
//! they can be anything. Of a repeated key the last value counts, as in Go's decoder. A label that
//! no API server accepts (a longer key or value than it allows) is left out, and so are those past
//! [`MAX_LABELS`]. All three are counted.
//!
//! ```text
//! packed = number of labels, (key length, value length)*, (key, value)*
//! ```
//! Every number is two characters of seven bits, so that the whole is text and its parts need no
//! further check.
//!
//! Pure: no I/O.

use crate::selector::Labels;

/// Longest key: a prefix of 253 characters, a slash, a name of 63.
pub const MAX_KEY: usize = 317;
/// Longest value.
pub const MAX_VALUE: usize = 63;
/// Most labels in a set. Real ones have about ten; a thousand fill an object of etcd.
pub const MAX_LABELS: usize = 1024;

/// What was irregular about label sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Irregular {
    /// Sets that came in another order than ascending by key.
    pub unsorted: u64,
    /// Labels dropped because a later one has the same key.
    pub repeated: u64,
    /// Labels left out because no API server accepts them, or because there were too many.
    pub left_out: u64,
}

/// Pairs ascending by key, each key once, none too long.
#[derive(Debug)]
pub(super) struct Canonical<'a, K, V> {
    pairs: &'a [(K, V)],
    /// Which pairs, in order; `None` when they came in order.
    order: Option<&'a [u32]>,
}

impl<'a, K: AsRef<str>, V: AsRef<str>> Canonical<'a, K, V> {
    /// Sorts through `order`, a scratch buffer; the usual set, already in order, does not touch it.
    pub(super) fn of(
        pairs: &'a [(K, V)],
        order: &'a mut Vec<u32>,
        irregular: &mut Irregular,
    ) -> Self {
        let ascending = pairs.is_sorted_by(|a, b| a.0.as_ref() < b.0.as_ref());
        if ascending && pairs.len() <= MAX_LABELS && pairs.iter().all(acceptable) {
            return Self { pairs, order: None };
        }
        let key = |at: u32| pairs[at as usize].0.as_ref();
        order.clear();
        order.extend((0..).zip(pairs).filter(|(_, pair)| acceptable(pair)).map(|(at, _)| at));
        irregular.left_out += (pairs.len() - order.len()) as u64;
        irregular.unsorted += u64::from(!ascending);
        // Of equal keys the later pair comes first, and only the first stays.
        order.sort_unstable_by(|a, b| key(*a).cmp(key(*b)).then(b.cmp(a)));
        let with_repetition = order.len();
        order.dedup_by(|a, b| key(*a) == key(*b));
        irregular.repeated += (with_repetition - order.len()) as u64;
        irregular.left_out += order.len().saturating_sub(MAX_LABELS) as u64;
        order.truncate(MAX_LABELS);
        Self { pairs, order: Some(order) }
    }

    pub(super) const fn came_in_order(&self) -> bool {
        self.order.is_none()
    }

    fn len(&self) -> usize {
        self.order.map_or(self.pairs.len(), <[u32]>::len)
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let (pairs, order) = (self.pairs, self.order);
        (0..self.len()).map(move |i| {
            let (key, value) = &pairs[order.map_or(i, |order| order[i] as usize)];
            (key.as_ref(), value.as_ref())
        })
    }
}

fn acceptable<K: AsRef<str>, V: AsRef<str>>((key, value): &(K, V)) -> bool {
    key.as_ref().len() <= MAX_KEY && value.as_ref().len() <= MAX_VALUE
}

/// The last value under `key` of pairs in any order: what [`Canonical`] would keep.
pub(super) struct AsGiven<'a, K, V>(pub(super) &'a [(K, V)]);

impl<K: AsRef<str>, V: AsRef<str>> Labels for AsGiven<'_, K, V> {
    #[inline]
    fn get(&self, key: &str) -> Option<&str> {
        let mut pairs = self.0.iter().rev().filter(|pair| acceptable(pair));
        pairs.find(|(have, _)| have.as_ref() == key).map(|(_, value)| value.as_ref())
    }
}

/// A canonical set in one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packed {
    text: Box<str>,
}

/// Bytes of one number.
const NUMBER: usize = 2;

impl Packed {
    /// Packs through `scratch`, so that the only allocation has the right size.
    pub(super) fn pack<K: AsRef<str>, V: AsRef<str>>(
        labels: &Canonical<'_, K, V>,
        scratch: &mut String,
    ) -> Self {
        if labels.len() == 0 {
            return Self::default();
        }
        scratch.clear();
        push_number(scratch, labels.len());
        for (key, value) in labels.iter() {
            push_number(scratch, key.len());
            push_number(scratch, value.len());
        }
        for (key, value) in labels.iter() {
            scratch.push_str(key);
            scratch.push_str(value);
        }
        Self { text: Box::from(scratch.as_str()) }
    }

    #[inline]
    fn len(&self) -> usize {
        if self.text.is_empty() { 0 } else { number(self.text.as_bytes(), 0) }
    }

    /// Whether these are exactly `labels`, byte for byte and in order. Hashes nothing, allocates
    /// nothing: the answer to the usual event, a pod whose labels did not change.
    #[inline]
    pub(super) fn is<'a>(
        &self,
        len: usize,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> bool {
        let n = self.len();
        if n != len {
            return false;
        }
        let bytes = self.text.as_bytes();
        let mut at = NUMBER + n * 2 * NUMBER;
        for (i, (key, value)) in labels.enumerate() {
            let head = NUMBER + i * 2 * NUMBER;
            if number(bytes, head) != key.len() || number(bytes, head + NUMBER) != value.len() {
                return false;
            }
            let (middle, end) = (at + key.len(), at + key.len() + value.len());
            if &bytes[at..middle] != key.as_bytes() || &bytes[middle..end] != value.as_bytes() {
                return false;
            }
            at = end;
        }
        true
    }

    /// [`Packed::is`] for pairs that may be in any order: true implies that they were canonical.
    #[inline]
    pub(super) fn is_given<K: AsRef<str>, V: AsRef<str>>(&self, pairs: &[(K, V)]) -> bool {
        self.is(pairs.len(), pairs.iter().map(|(key, value)| (key.as_ref(), value.as_ref())))
    }

    #[inline]
    pub(super) fn is_canonical<K: AsRef<str>, V: AsRef<str>>(
        &self,
        labels: &Canonical<'_, K, V>,
    ) -> bool {
        self.is(labels.len(), labels.iter())
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.text.len()
    }
}

impl Labels for Packed {
    /// Lengths first: of ten keys seldom two are equally long.
    #[inline]
    fn get(&self, key: &str) -> Option<&str> {
        let n = self.len();
        let bytes = self.text.as_bytes();
        let mut at = NUMBER + n * 2 * NUMBER;
        for head in (0..n).map(|i| NUMBER + i * 2 * NUMBER) {
            let (key_len, value_len) = (number(bytes, head), number(bytes, head + NUMBER));
            let middle = at + key_len;
            if key_len == key.len() && &bytes[at..middle] == key.as_bytes() {
                return self.text.get(middle..middle + value_len);
            }
            at = middle + value_len;
        }
        None
    }
}

/// Lengths and counts stay far below two to the fourteen.
fn push_number(out: &mut String, number: usize) {
    let [low, high, ..] = (number << 1).to_le_bytes();
    out.push(char::from(low >> 1));
    out.push(char::from(high & 0x7f));
}

#[inline]
fn number(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(pairs: &[(&str, &str)]) -> (Packed, Irregular) {
        let mut irregular = Irregular::default();
        let mut order = Vec::new();
        let labels = Canonical::of(pairs, &mut order, &mut irregular);
        (Packed::pack(&labels, &mut String::new()), irregular)
    }

    #[test]
    fn labels_in_any_order_pack_to_the_same() {
        let (sorted, _) = pack(&[("app", "web"), ("tier", "front")]);
        let (unsorted, irregular) = pack(&[("tier", "front"), ("app", "web")]);

        assert_eq!(sorted, unsorted);
        assert_eq!(irregular, Irregular { unsorted: 1, ..Irregular::default() });
    }

    #[test]
    fn of_a_repeated_key_the_last_value_counts() {
        let (packed, irregular) = pack(&[("app", "old"), ("app", "new")]);

        assert_eq!(packed.get("app"), Some("new"));
        assert_eq!(irregular.repeated, 1);
    }

    #[test]
    fn what_no_api_server_accepts_is_left_out_and_counted() {
        let long = "k".repeat(MAX_KEY + 1);
        let value = "v".repeat(MAX_VALUE + 1);

        let (packed, irregular) = pack(&[("app", "web"), (&long, ""), ("z", &value)]);

        assert_eq!((packed.get("app"), packed.get("z")), (Some("web"), None));
        assert_eq!(irregular.left_out, 2);
    }

    #[test]
    fn labels_past_the_limit_are_left_out_and_counted() {
        let keys: Vec<_> = (0..MAX_LABELS + 3).map(|n| format!("k{n:05}")).collect();
        let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), "")).collect();

        let (packed, irregular) = pack(&pairs);

        assert_eq!((packed.len(), irregular.left_out), (MAX_LABELS, 3));
    }

    #[test]
    fn the_longest_key_and_an_empty_value_survive_packing() {
        let key = format!("{}/{}", "p".repeat(253), "n".repeat(63));
        let (packed, irregular) = pack(&[("é", "ü"), (&key, "")]);

        assert_eq!((packed.get(&key), packed.get("é")), (Some(""), Some("ü")));
        assert_eq!(irregular.left_out, 0);
    }

    #[test]
    fn the_empty_set_owns_nothing() {
        let (packed, _) = pack(&[]);

        assert!(packed.is_given::<&str, &str>(&[]));
        assert_eq!((packed.heap_bytes(), packed.get("app")), (0, None));
    }
}
