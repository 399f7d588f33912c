//! Figures of the status: few digits, so that what hardly changed is written the same.
//!
//! In: exact numbers. Out: numbers and texts of two significant digits. It must not show more than was measured: shares
//! are cut, not rounded, so that only all is called all.
//!
//! Pure: no I/O.

use probelet_crds::CpuQuantity;

/// Stands for what was cut; a status is ASCII.
const DOTS: &str = "...";

/// Two significant digits: 41,237 is 41,000.
pub(super) const fn two_digits(n: u64) -> u64 {
    let mut unit = 1;
    while n / unit >= 100 {
        unit *= 10;
    }
    // Half of the last digit up.
    (n + unit / 2) / unit * unit
}

/// A count.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(two_digits(n)).unwrap_or(i64::MAX)
}

/// Cores, to two digits and not finer than a hundredth of a thousandth.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few cores")]
pub(super) fn cpu(cores: f64) -> CpuQuantity {
    let ten_micros = (cores.max(0.0) * 1e5).round() as u64;
    // Only what is a number of microcores is written, so that this cannot fail.
    format!("{}u", two_digits(ten_micros) * 10).parse().unwrap_or(CpuQuantity::from_millicores(0))
}

/// Bytes, as Kubernetes writes memory: `14Mi`.
pub(super) fn memory(bytes: u64) -> String {
    format!("{}Mi", two_digits(bytes.div_ceil(1 << 20)))
}

/// A share of one as a percentage with one decimal, cut.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
pub(super) fn percent(share: f64) -> String {
    // What is a tenth already must not be cut for the sake of the last bit.
    let tenths = (share.clamp(0.0, 1.0) * 1000.0 + 1e-6) as u64;
    if tenths.is_multiple_of(10) {
        format!("{}%", tenths / 10)
    } else {
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

/// At most `most` bytes of a text, cut between characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(DOTS.len()));
    format!("{}{DOTS}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_kept_and_the_rest_is_rounded() {
        let shown = [0, 7, 42, 99, 100, 104, 105, 41_237, 41_500, 995, 999].map(two_digits);
        assert_eq!(shown, [0, 7, 42, 99, 100, 100, 110, 41_000, 42_000, 1000, 1000]);
    }

    #[test]
    fn cpu_is_shown_in_thousandths_where_that_suffices() {
        let shown = [0.0, 0.000_04, 0.004_72, 0.004, 0.012_3, 1.26].map(|c| cpu(c).to_string());
        assert_eq!(shown, ["0", "40u", "4700u", "4m", "12m", "1300m"]);
    }

    #[test]
    fn memory_is_in_mebibytes() {
        assert_eq!([13_300_000, 200 << 20, 214 << 20].map(memory), ["13Mi", "200Mi", "210Mi"]);
    }

    #[test]
    fn only_all_is_called_all() {
        let shown = [1.0, 0.9999, 0.998, 0.95, 0.0].map(percent);
        assert_eq!(shown, ["100%", "99.9%", "99.8%", "95%", "0%"]);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("grün", 5), "grün");
        assert_eq!(cut("grüner", 6), "gr...");
        assert_eq!(cut("short", 80), "short");
    }
}
