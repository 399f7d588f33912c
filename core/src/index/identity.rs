//! Who a pod is: its UID, in sixteen bytes where it is a UUID, and its name.
//!
//! In: texts as the pod's object has them. Out: what a pod's record keeps and is found by. It must
//! not take two UIDs for one: a hash stands for a UID only together with the UID's text.
//!
//! Pure: no I/O.

use super::hash::Keyed;

/// Longest name of a pod: a DNS subdomain.
const MAX_NAME: usize = 253;
/// Longest UID. The API server's have 36 characters.
const MAX_UID: usize = 128;

/// A pod's identity: 128 bits of a UUID, or a hash of a UID that is none, which then stands in
/// front of the pod's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uid {
    pub(super) bits: [u64; 2],
    /// Length of the text in front of the name; 0 for a UUID.
    pub(super) prefix: u16,
}

impl Uid {
    /// Only the API server's own spelling: another one is another UID.
    #[inline]
    pub(super) fn of(keyed: Keyed, text: &str) -> Self {
        Self::uuid(text.as_bytes()).unwrap_or_else(|| Self {
            bits: [keyed.text(text), 0],
            prefix: u16::try_from(text.len()).unwrap_or(u16::MAX),
        })
    }

    fn uuid(text: &[u8]) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let mut halves = [0_u64; 2];
        for (at, byte) in text.iter().enumerate() {
            let digit = match (at, byte) {
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return None,
                (_, b'0'..=b'9') => byte - b'0',
                (_, b'a'..=b'f') => byte - b'a' + 10,
                _ => return None,
            };
            // The third dash stands in the middle.
            let half = &mut halves[usize::from(at > 18)];
            *half = *half << 4 | u64::from(digit);
        }
        Some(Self { bits: halves, prefix: 0 })
    }

    #[inline]
    pub(super) const fn hash(self, keyed: Keyed) -> u64 {
        keyed.wide(self.bits)
    }
}

/// A pod as its object names it.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) uid_text: &'a str,
    pub(super) uid: Uid,
    pub(super) name: &'a str,
}

impl<'a> Identity<'a> {
    /// None for what no API server would accept.
    #[inline]
    pub(super) fn of(keyed: Keyed, uid_text: &'a str, name: &'a str) -> Option<Self> {
        let acceptable =
            (1..=MAX_UID).contains(&uid_text.len()) && (1..=MAX_NAME).contains(&name.len());
        acceptable.then(|| Self { uid_text, uid: Uid::of(keyed, uid_text), name })
    }
}
