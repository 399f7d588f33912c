//! What Kubernetes accepts as the key and the value of a label.
//!
//! In: text. Out: nothing, or what is wrong with it. Lengths are in bytes. What passes is ASCII.
//!
//! Pure: no I/O.

/// Longest name part of a key, and longest value.
const NAME_MAX: usize = 63;
/// Longest prefix of a key, so that a whole key has at most 317 bytes.
const PREFIX_MAX: usize = 253;

/// A name, or a DNS subdomain, a slash and a name.
pub(super) fn key(key: &str) -> Result<(), &'static str> {
    let name_of = match key.split_once('/') {
        None => key,
        Some((_, name)) if name.contains('/') => return Err("has more than one '/'"),
        Some((prefix, name)) => {
            subdomain(prefix.as_bytes())?;
            name
        }
    };
    match name_of.len() {
        0 => Err("has an empty name"),
        1..=NAME_MAX if name(name_of.as_bytes()) => Ok(()),
        1..=NAME_MAX => Err(
            "has a name that is not of letters, digits, '-', '_' and '.', with a letter or digit at both ends",
        ),
        _ => Err("has a name longer than 63 bytes"),
    }
}

/// Empty, or made like the name of a key.
pub(super) fn value(value: &str) -> Result<(), &'static str> {
    match value.len() {
        0 => Ok(()),
        1..=NAME_MAX if name(value.as_bytes()) => Ok(()),
        1..=NAME_MAX => {
            Err("is not of letters, digits, '-', '_' and '.', with a letter or digit at both ends")
        }
        _ => Err("is longer than 63 bytes"),
    }
}

fn name(text: &[u8]) -> bool {
    let inside = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    ends(text, u8::is_ascii_alphanumeric) && text.iter().all(inside)
}

/// Labels of a subdomain have no limit of their own here, unlike in DNS.
fn subdomain(text: &[u8]) -> Result<(), &'static str> {
    let alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &[u8]| {
        ends(label, alphanumeric) && label.iter().all(|c| alphanumeric(c) || *c == b'-')
    };
    match text.len() {
        0 => Err("has an empty prefix"),
        1..=PREFIX_MAX if text.split(|c| *c == b'.').all(label) => Ok(()),
        1..=PREFIX_MAX => Err("has a prefix that is not a DNS subdomain in lower case"),
        _ => Err("has a prefix longer than 253 bytes"),
    }
}

fn ends(text: &[u8], allowed: impl Fn(&u8) -> bool) -> bool {
    text.first().is_some_and(&allowed) && text.last().is_some_and(&allowed)
}
