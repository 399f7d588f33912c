//! One requirement of a selector, read from the selector's blob.
//!
//! In: a blob that `build` wrote. Out: requirements with key, operator and values, their text, and
//! whether a label's value meets them. It must not copy, and must never see any other blob.
//!
//! Pure: no I/O.

use std::fmt;
use std::iter::FusedIterator;

/// Bits of a number that one byte of the blob carries; the next one says that more follow.
pub(super) const DIGIT_BITS: u32 = 6;
/// Set in every byte of a number but its last. One less than the sign bit: the blob is ASCII.
pub(super) const MORE: u8 = 1 << DIGIT_BITS;

/// What a requirement demands of the label under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Present, with one of the values. `=` and `==` are `In` with one value.
    In,
    /// Absent, or present with none of the values. `!=` is `NotIn` with one value.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// Present, and a greater integer than the value. In text only.
    GreaterThan,
    /// Present, and a lesser integer than the value. In text only.
    LessThan,
}

impl Op {
    pub(super) const ALL: [Self; 6] = [
        Self::In,
        Self::NotIn,
        Self::Exists,
        Self::DoesNotExist,
        Self::GreaterThan,
        Self::LessThan,
    ];
}

/// Kubernetes' name of the operator.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::GreaterThan => "Gt",
            Self::LessThan => "Lt",
        })
    }
}

/// One requirement.
#[derive(Clone, Debug)]
pub struct Requirement<'a> {
    /// The label's key, prefix included.
    pub key: &'a str,
    /// What is demanded.
    pub op: Op,
    /// One or more for `In` and `NotIn`, one for `Gt` and `Lt`, otherwise none.
    pub values: Values<'a>,
    /// The requirement as it stands in the blob.
    pub(super) encoded: &'a str,
}

impl Requirement<'_> {
    /// Whether a label with this value, or the absence of the label, is as demanded.
    #[must_use]
    pub fn accepts(&self, value: Option<&str>) -> bool {
        match self.op {
            Op::In => value.is_some_and(|value| self.values.contains(value)),
            Op::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Op::Exists => value.is_some(),
            Op::DoesNotExist => value.is_none(),
            Op::GreaterThan => self.compare(value, |have, limit| have > limit),
            Op::LessThan => self.compare(value, |have, limit| have < limit),
        }
    }

    /// A label that is no integer is neither greater nor less.
    fn compare(&self, value: Option<&str>, holds: fn(i64, i64) -> bool) -> bool {
        let limit = self.values.clone().next().and_then(integer);
        value.and_then(integer).zip(limit).is_some_and(|(have, limit)| holds(have, limit))
    }
}

/// Canonical text: the shortest that reads back as the same requirement.
impl fmt::Display for Requirement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = match (self.op, self.values.len()) {
            (Op::DoesNotExist, _) => return write!(f, "!{}", self.key),
            (Op::Exists, _) => return f.write_str(self.key),
            (Op::In, 1) => "=",
            (Op::NotIn, 1) => "!=",
            (Op::GreaterThan, _) => ">",
            (Op::LessThan, _) => "<",
            (Op::In, _) => " in (",
            (Op::NotIn, _) => " notin (",
        };
        write!(f, "{}{symbol}", self.key)?;
        for (i, value) in self.values.clone().enumerate() {
            write!(f, "{}{value}", if i > 0 { "," } else { "" })?;
        }
        f.write_str(if symbol.ends_with('(') { ")" } else { "" })
    }
}

/// The 64-bit integer that a decimal text with optional sign stands for, and nothing looser.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// The requirements of a selector, in order.
#[derive(Clone, Debug)]
pub struct Requirements<'a> {
    rest: &'a str,
}

impl<'a> Requirements<'a> {
    pub(super) const fn of(blob: &'a str) -> Self {
        Self { rest: blob }
    }
}

impl<'a> Iterator for Requirements<'a> {
    type Item = Requirement<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest;
        let op = Op::ALL[usize::from(*start.as_bytes().first()?)];
        let (key_len, rest) = number(&start[1..]);
        let (len, rest) = number(rest);
        let (key, rest) = rest.split_at(key_len);
        let mut values = Values { rest, len };
        let whole = values.clone();
        values.by_ref().for_each(drop);
        self.rest = values.rest;
        let encoded = &start[..start.len() - self.rest.len()];
        Some(Requirement { key, op, values: whole, encoded })
    }
}

impl FusedIterator for Requirements<'_> {}

/// The values of a requirement, ascending and without repetition.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    rest: &'a str,
    len: usize,
}

impl Values<'_> {
    /// Whether `value` is among those not yet taken.
    #[must_use]
    pub fn contains(&self, value: &str) -> bool {
        self.clone().any(|have| have == value)
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.len = self.len.checked_sub(1)?;
        let (len, rest) = number(self.rest);
        let (value, rest) = rest.split_at(len);
        self.rest = rest;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Values<'_> {}
impl FusedIterator for Values<'_> {}

/// Takes a number off the front.
fn number(text: &str) -> (usize, &str) {
    let (mut number, mut shift) = (0, 0);
    for (i, byte) in text.bytes().enumerate() {
        number |= usize::from(byte & (MORE - 1)) << shift;
        if byte & MORE == 0 {
            return (number, &text[i + 1..]);
        }
        shift += DIGIT_BITS;
    }
    (number, "") // not reached: a blob ends with a whole requirement
}
