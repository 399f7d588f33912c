//! Why something is no selector.
//!
//! In: the place and the words at fault. Out: an error that names both. Words of strangers are
//! cut, since these errors end up in logs and conditions.
//!
//! Pure: no I/O.

use super::Op;
use std::fmt;

/// Characters of a stranger's word that an error repeats: a value and a half.
const SHOWN: usize = 96;

/// Where the fault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this byte of the text.
    Byte(usize),
    /// In this field of the object.
    Field(Box<str>),
}

impl Place {
    pub(super) fn label(path: &str, key: &str) -> Self {
        Self::Field(format!("{path}[{}]", cut(key)).into())
    }

    pub(super) fn expression(index: usize, field: &str) -> Self {
        Self::Field(format!("matchExpressions[{index}].{field}").into())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(at) => write!(f, "byte {at}"),
            Self::Field(path) => f.write_str(path),
        }
    }
}

/// Why something is no selector: the first fault found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what the fields are")]
pub enum Error {
    #[error("byte {at}: found {found}, expected {expected}")]
    Syntax { at: usize, found: Box<str>, expected: &'static str },
    #[error("{at}: key {key:?} {fault}")]
    Key { at: Place, key: Box<str>, fault: &'static str },
    #[error("{at}: value {value:?} {fault}")]
    Value { at: Place, value: Box<str>, fault: &'static str },
    #[error("{at}: value {value:?} must be a 64-bit integer for operator {op}")]
    Number { at: Place, value: Box<str>, op: Op },
    #[error("{at}: {operator:?} is none of In, NotIn, Exists, DoesNotExist")]
    Operator { at: Place, operator: Box<str> },
    #[error("{at}: must not be empty for operator {op}")]
    NoValues { at: Place, op: Op },
    #[error("{at}: must be empty for operator {op}")]
    Values { at: Place, op: Op },
}

impl Error {
    pub(super) fn key(at: Place, key: &str, fault: &'static str) -> Self {
        Self::Key { at, key: cut(key).into(), fault }
    }

    pub(super) fn value(at: Place, value: &str, fault: &'static str) -> Self {
        Self::Value { at, value: cut(value).into(), fault }
    }

    pub(super) fn number(at: Place, value: &str, op: Op) -> Self {
        Self::Number { at, value: cut(value).into(), op }
    }

    pub(super) fn operator(at: Place, operator: &str) -> Self {
        Self::Operator { at, operator: cut(operator).into() }
    }

    pub(super) fn syntax(at: usize, found: Option<&str>, expected: &'static str) -> Self {
        let found = found.map_or_else(|| "the end".into(), |word| format!("{:?}", cut(word)));
        Self::Syntax { at, found: found.into(), expected }
    }
}

fn cut(word: &str) -> &str {
    word.char_indices().nth(SHOWN).map_or(word, |(end, _)| &word[..end])
}
