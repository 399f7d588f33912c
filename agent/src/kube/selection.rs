//! Which objects are asked for.
//!
//! In: a path, what narrows it down, parameters. Out: a URL. Pure: no I/O.

use std::fmt::Write as _;

/// The objects of one kind that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) path: &'static str,
    /// A parameter that narrows the kind down, ready for a URL; empty is all of it.
    pub(crate) filter: String,
}

impl Selection {
    /// Whether it asks for less than `other` of the same kind.
    pub(crate) fn is_narrower_than(&self, other: &Self) -> bool {
        self.path == other.path && other.filter.is_empty() && !self.filter.is_empty()
    }

    /// Path and query with these parameters.
    pub(crate) fn url(&self, parameters: &[(&str, &str)]) -> String {
        let mut url = format!("{}?{}", self.path, self.filter);
        for (name, value) in parameters {
            if !url.ends_with(['?', '&']) {
                url.push('&');
            }
            url.push_str(name);
            url.push('=');
            encode(&mut url, value);
        }
        url
    }
}

/// The one object of that name.
pub(crate) fn named(path: &'static str, name: &str) -> Selection {
    let mut filter = "fieldSelector=metadata.name%3D".to_owned();
    encode(&mut filter, name);
    Selection { path, filter }
}

/// Appends `text` as a URL's query takes it.
pub(crate) fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(url, "%{byte:02X}");
        }
    }
}
