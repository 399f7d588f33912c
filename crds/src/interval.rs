//! A length of time as people write it: `500ms`, `1s`, `1m30s`, `1h`.
//!
//! In: one to four numbers of at most five digits, each with its unit (h, m, s, ms), as Kubernetes' Gateway API has
//! it, in all less than 100,000 hours, so that their sum can be written in the same way. Out: a `Duration`, and the
//! same text in its shortest form. Pure: text to value and back.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// From here on the hours of the shortest form have six digits.
const TOO_LONG: u64 = 100_000 * 3_600_000;

/// A length of time in whole milliseconds, written like `500ms`, `1s` or `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    millis: u64,
}

/// The text is not a length of time; displays as the rest of a message that began with the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a length of time; write it like 500ms, 1s or 1m30s")]
pub struct ParseIntervalError;

impl Interval {
    /// `n` milliseconds.
    #[must_use]
    pub const fn from_millis(n: u64) -> Self {
        Self { millis: n }
    }

    /// `n` seconds.
    #[must_use]
    pub const fn from_secs(n: u64) -> Self {
        Self { millis: n * 1000 }
    }

    /// The same length for the clock.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

impl FromStr for Interval {
    type Err = ParseIntervalError;

    fn from_str(text: &str) -> Result<Self, ParseIntervalError> {
        let mut rest = text;
        let mut millis = 0;
        for _ in 0..4 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=5).contains(&digits) {
                return Err(ParseIntervalError);
            }
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| ParseIntervalError)?;
            let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
            let (unit, tail) = tail.split_at(letters);
            millis += number
                * match unit {
                    "h" => 3_600_000,
                    "m" => 60_000,
                    "s" => 1000,
                    "ms" => 1,
                    _ => return Err(ParseIntervalError),
                };
            rest = tail;
            if rest.is_empty() {
                return (millis < TOO_LONG).then_some(Self { millis }).ok_or(ParseIntervalError);
            }
        }
        Err(ParseIntervalError)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl JsonSchema for Interval {
    fn schema_name() -> Cow<'static, str> {
        "Interval".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$",
            "maxLength": 28,
        })
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Interval;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as 500ms, 1s or 1m30s")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Interval, E> {
                text.parse().map_err(|error| E::custom(format_args!("{text:?} {error}")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_and_their_sums_are_understood() {
        for (text, millis) in
            [("1ms", 1), ("2s", 2000), ("3m", 180_000), ("1h", 3_600_000), ("1h2m3s4ms", 3_723_004)]
        {
            assert_eq!(text.parse(), Ok(Interval::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn the_shortest_form_is_shown() {
        for (text, shown) in [
            ("90s", "1m30s"),
            ("1000ms", "1s"),
            ("0ms", "0s"),
            ("1500ms", "1s500ms"),
            ("48h", "48h"),
        ] {
            assert_eq!(text.parse::<Interval>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_the_schema_pattern_refuses_is_refused() {
        for text in
            ["", "1", "s", "1.5s", "-1s", "1d", "1s ", "123456s", "1s1s1s1s1s", "1µs", "1 s", "1S"]
        {
            assert_eq!(text.parse::<Interval>(), Err(ParseIntervalError), "{text}");
        }
    }

    #[test]
    fn what_could_not_be_written_in_the_same_way_is_refused() {
        let longest: Interval = "99999h59m59s999ms".parse().unwrap();
        assert_eq!(longest.to_string().parse(), Ok(longest));
        for text in ["99999h60m", "99999h1h", "1h99999h99999h99999h"] {
            assert_eq!(text.parse::<Interval>(), Err(ParseIntervalError), "{text}");
        }
    }
}
