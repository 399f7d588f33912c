//! Kubernetes quantities as the plugin reads them: of CPU, of memory, and a ratio.
//!
//! In: text. Out: numbers; none for what is written in another way, so that callers say what that means. Pure: values only.

use probelet_crds::CpuQuantity;

/// A ratio; none if it is no number, or less than one, which no pod could have.
pub(crate) fn times(text: &str) -> Option<f64> {
    let times = match text.strip_suffix('m') {
        Some(thousandths) => thousandths.parse::<f64>().ok()? / 1000.0,
        None => text.parse().ok()?,
    };
    (times.is_finite() && times >= 1.0).then_some(times)
}

/// A quantity of CPU as millicores; none if it is none.
pub(crate) fn millicores(quantity: &str) -> Option<u64> {
    let quantity: CpuQuantity = quantity.parse().ok()?;
    Some(quantity.nanocores().div_ceil(1_000_000))
}

/// A quantity of memory as whole MiB; none if it is written in another way.
pub(crate) fn mebibytes(quantity: &str) -> Option<u64> {
    bytes(quantity).map(|bytes| bytes >> 20)
}

/// A quantity of memory as bytes; none if it is written in another way than with one of the usual units.
pub(crate) fn bytes(quantity: &str) -> Option<u64> {
    let digits = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_the_ways_that_people_write_it() {
        for (text, read) in [
            ("128Mi", Some(128)),
            ("1Gi", Some(1024)),
            ("100000k", Some(95)),
            ("64M", Some(61)),
            ("1.5Gi", None),
            ("18446744073709551615Gi", None),
            ("", None),
        ] {
            assert_eq!(mebibytes(text), read, "{text}");
        }
    }

    #[test]
    fn cpu_and_ratios_are_read_in_the_ways_that_people_write_them() {
        for (text, read) in
            [("50m", Some(50)), ("0.1", Some(100)), ("2", Some(2000)), ("-1", None), ("x", None)]
        {
            assert_eq!(millicores(text), read, "{text}");
        }
        for (text, read) in
            [("2", Some(2.0)), ("1500m", Some(1.5)), ("0", None), ("inf", None), ("", None)]
        {
            assert_eq!(times(text), read, "{text}");
        }
    }
}
