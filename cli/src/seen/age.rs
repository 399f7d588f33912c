//! How long something is ago, as text.
//!
//! In: a time span. Out: its text. Pure: values only.

use std::time::Duration;

/// A time span as kubectl has it: `12s`, `5m`, `3h20m`, `4d`.
#[must_use]
pub fn age(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..120 => format!("{s}s"),
        120..600 if !s.is_multiple_of(60) => format!("{}m{}s", s / 60, s % 60),
        120..10_800 => format!("{}m", s / 60),
        10_800..172_800 => format!("{}h{}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d", s / 86_400),
    }
}
