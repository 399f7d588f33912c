//! Strings and maps of strings, read without a copy where JSON allows it.
//!
//! In: what serde hands over. Out: borrowed text. It must not copy what no one asked for: serde's own `Cow` copies
//! when it stands inside of anything.
//!
//! Pure: no I/O.

use crate::kube::Malformed;
use probelet_core::cluster::objects::MIRROR;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Kubernetes' own bounds: a label's key with its prefix, and a label's value.
const MAX_KEY: usize = 317;
const MAX_VALUE: usize = 63;
/// No object is said to have more labels; it bounds what a broken one can cost.
const MAX_LABELS: usize = 1024;
/// Stands on the bookmark that ends the first part of a streaming list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A string; absent and `null` are empty.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, if there is one and it is not longer than `max` bytes.
    pub(super) fn fit(&self, max: usize) -> Option<Box<str>> {
        (1..=max).contains(&self.0.len()).then(|| Box::from(&*self.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a string")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
            fn visit_none<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Text<'de>, D::Error> {
                from.deserialize_str(self)
            }
        }
        from.deserialize_option(Reader)
    }
}

/// A map of strings; absent and `null` are empty.
#[derive(Debug, Default)]
pub(super) struct Labels<'a>(Vec<(Text<'a>, Text<'a>)>);

impl Labels<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&Text<'_>> {
        self.0.iter().find(|(k, _)| k.as_str() == key).map(|(_, value)| value)
    }

    /// The labels that can be labels; each of the others is reported as wrong.
    pub(super) fn valid(&self, wrong: &mut dyn FnMut(Malformed)) -> Vec<(Box<str>, Box<str>)> {
        let mut valid = Vec::with_capacity(self.0.len());
        for (key, value) in &self.0 {
            match key.fit(MAX_KEY) {
                Some(key) if value.as_str().len() <= MAX_VALUE => {
                    valid.push((key, Box::from(value.as_str())));
                }
                _ => wrong(Malformed::Label),
            }
        }
        valid
    }

    /// The same, sorted by key.
    pub(super) fn sorted(&self, wrong: &mut dyn FnMut(Malformed)) -> Vec<(Box<str>, Box<str>)> {
        let mut labels = self.valid(wrong);
        if !labels.is_sorted_by(|a, b| a.0 < b.0) {
            labels.sort_unstable();
        }
        labels
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Labels<'de>;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'de>, A::Error> {
                let mut labels = Vec::new();
                while let Some(label) = map.next_entry()? {
                    if labels.len() < MAX_LABELS {
                        labels.push(label);
                    }
                }
                Ok(Labels(labels))
            }
            fn visit_none<E: Error>(self) -> Result<Labels<'de>, E> {
                Ok(Labels::default())
            }
            fn visit_unit<E: Error>(self) -> Result<Labels<'de>, E> {
                Ok(Labels::default())
            }
            fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Labels<'de>, D::Error> {
                from.deserialize_map(self)
            }
        }
        from.deserialize_option(Reader)
    }
}

/// The annotations that matter. All others are skipped.
#[derive(Debug, Default)]
pub(super) struct Annotations<'a> {
    /// A bookmark ends the list.
    pub(super) initial_end: bool,
    /// The uid of the static pod that a pod is the mirror of.
    pub(super) mirrors: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Annotations<'de>;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Annotations<'de>, A::Error> {
                let mut found = Annotations::default();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    if key.as_str() == MIRROR {
                        found.mirrors = map.next_value()?;
                    } else {
                        found.initial_end |= key.as_str() == INITIAL_EVENTS_END;
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(found)
            }
            fn visit_none<E: Error>(self) -> Result<Annotations<'de>, E> {
                Ok(Annotations::default())
            }
            fn visit_unit<E: Error>(self) -> Result<Annotations<'de>, E> {
                Ok(Annotations::default())
            }
            fn visit_some<D: Deserializer<'de>>(
                self,
                from: D,
            ) -> Result<Annotations<'de>, D::Error> {
                from.deserialize_map(self)
            }
        }
        from.deserialize_option(Reader)
    }
}
