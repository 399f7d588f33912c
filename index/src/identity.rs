//! Who a pod is: its UID, in sixteen bytes where it is a UUID.
//!
//! In: the text as the pod's object has it. Out: what a pod's record keeps and is found by. It must
//! not take two UIDs for one: a hash stands for a UID only together with the UID's text.
//!
//! Pure: no I/O.

use super::hash::Keyed;

/// Longest UID. The API server's have 36 characters.
const MAX_UID: usize = 128;

/// Where a UUID has its dashes, and the digits of each half.
const DASHES: [usize; 4] = [8, 13, 18, 23];
const GROUPS: [[(usize, usize); 3]; 2] =
    [[(0, 8), (9, 13), (14, 18)], [(19, 23), (24, 30), (30, 36)]];

/// What a digit stands for; more than 15 for everything that is none. Upper case is none.
const DIGITS: [u8; 256] = {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
};

/// A pod's identity: 128 bits of a UUID, or a hash of a UID that is none, whose text the pod keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uid {
    pub(super) bits: [u64; 2],
    /// Whether it is a UUID: nothing else has to be compared.
    pub(super) uuid: bool,
}

impl Uid {
    /// None for what no API server would accept.
    #[inline]
    pub(super) fn acceptable(keyed: Keyed, text: &str) -> Option<Self> {
        (1..=MAX_UID).contains(&text.len()).then(|| Self::of(keyed, text))
    }

    /// Only the API server's own spelling: another one is another UID.
    #[inline]
    pub(super) fn of(keyed: Keyed, text: &str) -> Self {
        Self::uuid(text.as_bytes())
            .unwrap_or_else(|| Self { bits: [keyed.text(text), 0], uuid: false })
    }

    /// Without a branch for each digit, since digits are random: a wrong guess costs as much as
    /// reading all of them.
    fn uuid(text: &[u8]) -> Option<Self> {
        let text: &[u8; 36] = text.try_into().ok()?;
        if DASHES.iter().any(|at| text[*at] != b'-') {
            return None;
        }
        let (mut bits, mut all) = ([0_u64; 2], 0);
        for (half, groups) in bits.iter_mut().zip(GROUPS) {
            for byte in groups.into_iter().flat_map(|(from, to)| &text[from..to]) {
                let digit = DIGITS[usize::from(*byte)];
                all |= digit;
                *half = *half << 4 | u64::from(digit & 15);
            }
        }
        (all < 16).then_some(Self { bits, uuid: true })
    }

    #[inline]
    pub(super) const fn hash(self, keyed: Keyed) -> u64 {
        keyed.wide(self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_its_digits() {
        let uid = Uid::of(Keyed::new(1), "01234567-89ab-cdef-fedc-ba9876543210");

        let bits = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
        assert_eq!(uid, Uid { bits, uuid: true });
    }

    #[test]
    fn only_the_api_servers_spelling_is_a_uuid() {
        for text in [
            "",
            "01234567-89ab-cdef-fedc-ba987654321",
            "01234567-89ab-cdef-fedc-ba98765432100",
            "01234567-89ab-cdef-fedc-ba987654321G",
            "01234567-89AB-cdef-fedc-ba9876543210",
            "0123456-789ab-cdef-fedc-ba9876543210",
        ] {
            let uid = Uid::of(Keyed::new(1), text);

            assert!(!uid.uuid, "{text:?}");
        }
    }
}
