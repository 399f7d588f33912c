//! Figures as people read them: bytes, counts, shares and times, short and with their unit.
//!
//! In: a number. Out: text through `Display`, so that nothing is allocated for a cell that is only
//! looked at. It must not colour, align or decide what is shown.
//!
//! Pure: no I/O.

use std::fmt::{Display, Formatter, Result, Write};

/// Bytes in binary units, at most 8 wide: `512 B`, `1.5 KiB`, `312 MiB`.
#[derive(Clone, Copy, Debug)]
pub struct Bytes(pub f64);

/// A count with its thousands apart, at most 9 wide: `2,031`, `12.3M`.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64);

/// A rate per second, short: `0`, `0.3`, `12.5`, `4,210`.
#[derive(Clone, Copy, Debug)]
pub struct PerSecond(pub f64);

/// A share of one: `0.07 %`, `12.3 %`, `100 %`.
#[derive(Clone, Copy, Debug)]
pub struct Share(pub f64);

/// An age in milliseconds, at most 6 wide: `12s`, `3m12s`, `2h05m`, `3d04h`, `812d`.
#[derive(Clone, Copy, Debug)]
pub struct Age(pub u64);

/// An interval in seconds as it is configured: `200ms`, `1s`, `4.1s`, `2m30s`.
#[derive(Clone, Copy, Debug)]
pub struct Every(pub f64);

/// A time that something took, in seconds: `61 µs`, `0.61 ms`, `12 ms`, `1.20 s`.
#[derive(Clone, Copy, Debug)]
pub struct Took(pub f64);

/// Appends anything to a buffer that is used again and again.
pub fn put(out: &mut String, value: impl Display) {
    write!(out, "{value}").expect("writing to a String cannot fail");
}

/// `u64` as `f64`: figures for people have four digits.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with at most four digits")]
pub const fn float(n: u64) -> f64 {
    n as f64
}

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let (mut value, mut unit) = (self.0.max(0.0), 0);
        // 999.5 would be shown as 1000 and be a digit too wide.
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let decimals = usize::from(unit > 0 && value < 99.95);
        write!(f, "{value:.decimals$} {}", UNITS[unit])
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            n @ 0..1000 => write!(f, "{n}"),
            n @ 1000..1_000_000 => write!(f, "{},{:03}", n / 1000, n % 1000),
            n @ 1_000_000..10_000_000 => {
                write!(f, "{},{:03},{:03}", n / 1_000_000, n / 1000 % 1000, n % 1000)
            }
            n @ 10_000_000..1_000_000_000 => write!(f, "{:.1}M", float(n) / 1e6),
            n => write!(f, "{:.1}G", float(n) / 1e9),
        }
    }
}

impl Display for PerSecond {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, not negative"
    )]
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            n if n < 0.005 => f.write_str("0"),
            n if n < 0.095 => write!(f, "{n:.2}"),
            n if n < 99.95 => write!(f, "{n:.1}"),
            n => Count(n.round() as u64).fmt(f),
        }
    }
}

impl Display for Share {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let percent = self.0 * 100.0;
        let decimals = if percent < 9.995 { 2 } else { usize::from(percent < 99.95) };
        write!(f, "{percent:.decimals$} %")
    }
}

impl Display for Age {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let s = self.0 / 1000;
        match s {
            0..60 => write!(f, "{s}s"),
            60..3600 => write!(f, "{}m{:02}s", s / 60, s % 60),
            3600..86_400 => write!(f, "{}h{:02}m", s / 3600, s / 60 % 60),
            86_400..8_640_000 => write!(f, "{}d{:02}h", s / 86_400, s / 3600 % 24),
            _ => write!(f, "{}d", s / 86_400),
        }
    }
}

impl Display for Every {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, not negative"
    )]
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            s if s < 0.9995 => write!(f, "{:.0}ms", s * 1000.0),
            s if s >= 59.95 => Age((s * 1000.0).round() as u64).fmt(f),
            s if (s - s.round()).abs() < 0.05 => write!(f, "{s:.0}s"),
            s => write!(f, "{s:.1}s"),
        }
    }
}

impl Display for Took {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            s if s < 0.000_099_5 => write!(f, "{:.0} µs", s * 1e6),
            s if s < 0.009_95 => write!(f, "{:.2} ms", s * 1e3),
            s if s < 0.995 => write!(f, "{:.0} ms", s * 1e3),
            s => write!(f, "{s:.2} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_never_need_more_than_eight_columns() {
        let shown = |n: u64| Bytes(float(n)).to_string();

        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(1536), "1.5 KiB");
        assert_eq!(shown(1023), "1.0 KiB");
        assert_eq!(shown(999 << 20), "999 MiB");
        for shift in 0..57 {
            assert!(shown((1 << shift) - 1).len() <= 8, "{}", shown((1 << shift) - 1));
        }
    }

    #[test]
    fn counts_keep_their_thousands_apart() {
        assert_eq!(Count(999).to_string(), "999");
        assert_eq!(Count(2_031).to_string(), "2,031");
        assert_eq!(Count(9_999_999).to_string(), "9,999,999");
        assert_eq!(Count(12_345_678).to_string(), "12.3M");
    }

    #[test]
    fn a_small_share_keeps_two_decimals() {
        assert_eq!(Share(0.0007).to_string(), "0.07 %");
        assert_eq!(Share(0.997).to_string(), "99.7 %");
        assert_eq!(Share(1.0).to_string(), "100 %");
    }

    #[test]
    fn ages_are_short() {
        assert_eq!(Age(999).to_string(), "0s");
        assert_eq!(Age(192_000).to_string(), "3m12s");
        assert_eq!(Age(7_500_000).to_string(), "2h05m");
        assert_eq!(Age(273_600_000).to_string(), "3d04h");
    }

    #[test]
    fn intervals_look_as_they_are_configured() {
        assert_eq!(Every(0.2).to_string(), "200ms");
        assert_eq!(Every(1.003).to_string(), "1s");
        assert_eq!(Every(4.13).to_string(), "4.1s");
        assert_eq!(Every(150.0).to_string(), "2m30s");
    }

    #[test]
    fn times_taken_keep_two_or_three_digits() {
        assert_eq!(Took(0.000_061).to_string(), "61 µs");
        assert_eq!(Took(0.000_61).to_string(), "0.61 ms");
        assert_eq!(Took(0.012).to_string(), "12 ms");
        assert_eq!(Took(1.2).to_string(), "1.20 s");
    }

    #[test]
    fn a_rate_of_nothing_is_zero_and_a_large_one_has_no_decimals() {
        assert_eq!(PerSecond(0.0).to_string(), "0");
        assert_eq!(PerSecond(0.05).to_string(), "0.05");
        assert_eq!(PerSecond(12.54).to_string(), "12.5");
        assert_eq!(PerSecond(4210.4).to_string(), "4,210");
    }
}
