//! Label selectors as Kubernetes understands them: compiled once, small, compared as bytes.
//!
//! In: the text form (`app=web,tier notin (test)`), a map of labels, or `matchLabels` with
//! `matchExpressions`. Out: [`Selector`], which answers whether a set of labels matches and lists
//! what it requires, in an order that does not depend on how it was written. It must not know
//! whose selector it is: that an absent selector, or an empty one of a Service, selects nothing is
//! for the caller to say.
//!
//! ```text
//! blob = requirement*, ascending by key, operator, values
//! requirement = operator, key length, number of values, key, (value length, value)*
//! ```
//! Every byte of it is ASCII, numbers too, so that keys and values are read as `&str` without a
//! further check. `x=a`, `x==a` and `x in (a)` are the same requirement here.
//!
//! Pure: no I/O, no clock.

mod build;
mod error;
mod labels;
mod parse;
mod requirement;
mod valid;

pub use error::{Error, Place};
pub use labels::Labels;
pub use requirement::{Op, Requirement, Requirements, Values};

use build::Builder;
use std::fmt;

/// A conjunction of requirements on labels.
///
/// Equal selectors are equal as values, whatever the order in which their requirements and values
/// were given; the order between selectors has no meaning of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Selector {
    blob: Box<str>,
}

/// One entry of `matchExpressions`. The operator is still text: refusing an unknown one is part
/// of the job.
#[derive(Clone, Copy, Debug)]
pub struct Expression<'a, S = String> {
    /// The label's key.
    pub key: &'a str,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: &'a str,
    /// At least one for `In` and `NotIn`, none for the others.
    pub values: &'a [S],
}

impl Selector {
    /// Reads the text form, as in `kubectl get -l`. Empty text is [`Selector::everything`].
    ///
    /// As in Kubernetes, NUL ends the word or operator before it, and the whole text where it
    /// stands between two of them.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse::parse(text)
    }

    /// Requires each of `labels`: the selector of a Service or ReplicationController.
    ///
    /// No label gives [`Selector::everything`], although a Service without labels in its selector
    /// has no members: the caller decides that before it comes here.
    pub fn from_labels<K: AsRef<str>, V: AsRef<str>>(
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut out = Builder::default();
        out.add_labels("selector", labels)?;
        Ok(out.finish())
    }

    /// The two halves of a `LabelSelector`, all of which must hold.
    ///
    /// Both empty gives [`Selector::everything`], as it does in Kubernetes; an absent
    /// `LabelSelector` matches nothing and is the caller's to handle.
    pub fn from_requirements<'a, K: AsRef<str>, V: AsRef<str>, S: AsRef<str> + 'a>(
        match_labels: impl IntoIterator<Item = (K, V)>,
        match_expressions: impl IntoIterator<Item = Expression<'a, S>>,
    ) -> Result<Self, Error> {
        let mut out = Builder::default();
        out.add_labels("matchLabels", match_labels)?;
        for (index, expression) in match_expressions.into_iter().enumerate() {
            out.add_expression(index, &expression)?;
        }
        Ok(out.finish())
    }

    /// The selector without requirements, which every set of labels matches.
    #[must_use]
    pub fn everything() -> Self {
        Self { blob: Box::default() }
    }

    /// Whether there is no requirement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blob.is_empty()
    }

    /// Whether `labels` meet every requirement.
    #[must_use]
    pub fn matches<L: Labels + ?Sized>(&self, labels: &L) -> bool {
        self.requirements().all(|requirement| requirement.accepts(labels.get(requirement.key)))
    }

    /// The requirements, ascending by key, then operator. A key may occur more than once.
    #[must_use]
    pub fn requirements(&self) -> Requirements<'_> {
        Requirements::of(&self.blob)
    }

    /// What the selector owns outside itself.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.blob.len()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Selector({self})")
    }
}
