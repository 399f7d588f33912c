//! Figures for people: CPU, bytes, shares, ages.
//!
//! In: numbers. Out: text of few letters. Pure: values only.

use std::fmt::{self, Write as _};

/// Appends formatted text.
pub(crate) fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}

/// CPU from nanocores, in the unit that leaves one to three digits before the point: `640u`, `4.2m`, `1.35`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn cpu(nanocores: u64) -> String {
    match nanocores {
        0 => "0".to_owned(),
        1..1_000_000 => format!("{}u", nanocores.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{}m", short(nanocores as f64 / 1e6)),
        _ => short(nanocores as f64 / 1e9),
    }
}

/// Bytes: `512`, `13Ki`, `1.4Gi`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(n: u64) -> String {
    let units = ["", "Ki", "Mi", "Gi", "Ti"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{}{}", short(value), units[unit])
}

/// Counts: `842`, `13k`, `1.2M`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn count(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{}k", short(n as f64 / 1e3)),
        _ => format!("{}M", short(n as f64 / 1e6)),
    }
}

/// A share: `99.8%`. What is not all is not shown as all.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = (share * 1000.0).floor() / 10.0;
    if percent >= 100.0 { "100%".to_owned() } else { format!("{percent:.1}%") }
}

/// A time that something took, in seconds: `61µs`, `0.61ms`, `12ms`, `1.2s`.
#[must_use]
pub fn took(seconds: f64) -> String {
    match seconds {
        s if s < 0.000_099_5 => format!("{:.0}µs", s * 1e6),
        s if s < 0.995 => format!("{}ms", short(s * 1e3)),
        s => format!("{}s", short(s)),
    }
}

/// One to three digits, a fraction only where it shows something.
fn short(value: f64) -> String {
    let text = if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    let value = if value >= 100.0 { format!("{value:.0}") } else { text };
    if value.contains('.') {
        value.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits_at_most() {
        assert_eq!(
            [0, 640_000, 4_200_000, 12_340_000, 1_350_000_000].map(cpu),
            ["0", "640u", "4.2m", "12.3m", "1.35"]
        );
        assert_eq!(
            [512, 1024, 13_500, 14 << 20, 1_500_000_000].map(bytes),
            ["512", "1Ki", "13.2Ki", "14Mi", "1.4Gi"]
        );
        assert_eq!([842, 12_960, 1_234_567].map(count), ["842", "13k", "1.23M"]);
        assert_eq!(percent(0.9999), "99.9%");
        assert_eq!(percent(1.0), "100%");
        assert_eq!(
            [0.000_061, 0.000_61, 0.0205, 1.2].map(took),
            ["61µs", "0.61ms", "20.5ms", "1.2s"]
        );
        let ages = [5, 125, 700, 12_000, 400_000]
            .map(|s| crate::show::age(std::time::Duration::from_secs(s)));
        assert_eq!(ages, ["5s", "2m5s", "11m", "3h20m", "4d"]);
    }
}
