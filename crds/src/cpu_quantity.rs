//! An amount of CPU as Kubernetes writes it: `5m`, `0.005`, `1`, `5e-3`.
//!
//! In: text, or a bare number as YAML gives one. Out: whole nanocores (finer fractions are rounded up, as Kubernetes
//! does), and the canonical text: the largest unit that needs no fraction. Pure: text to value and back.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// 1 core in nanocores.
const CORE: u64 = 1_000_000_000;

/// An amount of CPU: `1` is one core, `5m` five thousandths of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuQuantity {
    nanocores: u64,
}

/// The text is not an amount of CPU; displays as the rest of a message that began with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an amount of CPU; write it like 5m, 0.005 or 1")]
pub struct ParseCpuQuantityError;

impl CpuQuantity {
    /// `n` thousandths of a core.
    #[must_use]
    pub const fn from_millicores(n: u64) -> Self {
        Self { nanocores: n * 1_000_000 }
    }

    /// The same in whole millionths of a core.
    #[must_use]
    pub(crate) const fn round_up_to_micro(self) -> Self {
        Self { nanocores: self.nanocores.div_ceil(1000).saturating_mul(1000) }
    }

    /// Billionths of a core.
    #[must_use]
    pub const fn nanocores(self) -> u64 {
        self.nanocores
    }

    /// Cores as a number for metrics.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 8 cores: 33 bits")]
    pub fn cores(self) -> f64 {
        self.nanocores as f64 / CORE as f64
    }
}

impl FromStr for CpuQuantity {
    type Err = ParseCpuQuantityError;

    fn from_str(text: &str) -> Result<Self, ParseCpuQuantityError> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let exponent: i32 = match suffix {
            "" => 0,
            "m" => -3,
            "u" => -6,
            "n" => -9,
            _ => {
                let digits = suffix.strip_prefix(['e', 'E']).ok_or(ParseCpuQuantityError)?;
                digits
                    .parse()
                    .ok()
                    .filter(|e| (-30..=3).contains(e))
                    .ok_or(ParseCpuQuantityError)?
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        // The most nanocores have 20 digits: so many are read, that what is written is.
        if digits.is_empty() || digits.len() > 20 || fraction.contains('.') {
            return Err(ParseCpuQuantityError);
        }
        let value: u128 = digits.parse().map_err(|_| ParseCpuQuantityError)?;
        let places = i32::try_from(fraction.len()).map_err(|_| ParseCpuQuantityError)?;
        let scale = 9 + exponent - places;
        let power = 10_u128.checked_pow(scale.unsigned_abs()).ok_or(ParseCpuQuantityError)?;
        let nanocores =
            if scale >= 0 { value.checked_mul(power) } else { Some(value.div_ceil(power)) };
        let nanocores =
            nanocores.and_then(|n| u64::try_from(n).ok()).ok_or(ParseCpuQuantityError)?;
        Ok(Self { nanocores })
    }
}

impl fmt::Display for CpuQuantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("", CORE), ("m", 1_000_000), ("u", 1000), ("n", 1)];
        match units.into_iter().find(|(_, size)| self.nanocores.is_multiple_of(*size)) {
            Some((unit, size)) => write!(f, "{}{unit}", self.nanocores / size),
            None => write!(f, "{}n", self.nanocores),
        }
    }
}

impl JsonSchema for CpuQuantity {
    fn schema_name() -> Cow<'static, str> {
        "CpuQuantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    // `5m` or `1`; a bare fraction such as 0.5 has to be text in an object of the API, as everywhere in Kubernetes.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": "^([0-9]+[.]?[0-9]*|[.][0-9]+)(m|u|n|[eE][+-]?[0-9]{1,2})?$",
            "maxLength": 19, // more digits than any amount within the bounds needs
        })
    }
}

impl Serialize for CpuQuantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CpuQuantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Amount;
        impl de::Visitor<'_> for Amount {
            type Value = CpuQuantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of CPU such as 5m, 0.005 or 1")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CpuQuantity, E> {
                text.parse().map_err(|error| E::custom(format_args!("{text:?} {error}")))
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<CpuQuantity, E> {
                self.visit_number(n)
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<CpuQuantity, E> {
                self.visit_number(n)
            }

            fn visit_f64<E: de::Error>(self, n: f64) -> Result<CpuQuantity, E> {
                self.visit_number(n)
            }
        }
        impl Amount {
            #[allow(clippy::unused_self, reason = "reads like its neighbours")]
            fn visit_number<E: de::Error>(self, n: impl fmt::Display) -> Result<CpuQuantity, E> {
                n.to_string().parse().map_err(|error| E::custom(format_args!("{n} {error}")))
            }
        }
        deserializer.deserialize_any(Amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_five_millicores_is_the_same() {
        for text in ["5m", "0.005", ".005", "5000u", "5000000n", "5e-3", "0.5E-2", "5.000m"] {
            assert_eq!(text.parse(), Ok(CpuQuantity::from_millicores(5)), "{text}");
        }
    }

    #[test]
    fn the_largest_unit_without_a_fraction_is_shown() {
        for (text, shown) in
            [("1.0", "1"), ("1500m", "1500m"), ("0.5m", "500u"), ("0.5", "500m"), ("0", "0")]
        {
            assert_eq!(text.parse::<CpuQuantity>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn finer_than_a_nanocore_is_rounded_up() {
        assert_eq!("0.0000000001".parse::<CpuQuantity>().unwrap().nanocores(), 1);
    }

    #[test]
    fn an_amount_far_beyond_every_bound_reads_back_so_that_it_is_judged() {
        for text in ["3709551615.0000039", "18446744073.709551615", "0000000000.000000001"] {
            let amount: CpuQuantity = text.parse().unwrap();
            assert_eq!(amount.to_string().parse(), Ok(amount), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_of_cpu_is_refused() {
        for text in [
            "",
            "m",
            ".",
            "-5m",
            "5 m",
            "5%",
            "1..2",
            "5M",
            "1e9",
            "5mm",
            "1.2.3m",
            "9999999999999999999",
            "18446744073.709551616",
        ] {
            assert_eq!(text.parse::<CpuQuantity>(), Err(ParseCpuQuantityError), "{text}");
        }
    }

    #[test]
    fn a_bare_number_counts_cores() {
        let parsed: Vec<CpuQuantity> = serde_json::from_str("[1, 0.005]").unwrap();
        assert_eq!(parsed, [CpuQuantity::from_millicores(1000), CpuQuantity::from_millicores(5)]);
    }
}
