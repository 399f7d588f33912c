//! What flags say: times and shares.
//!
//! In: a word. Out: its value, or why it is none. Pure: values only.

use std::time::Duration;

use probelet_crds::Interval;

/// Longer than anybody waits; a clock can add it.
const WITHOUT_END: Duration = Duration::from_hours(24 * 365);

/// As kubectl takes it.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<u32>().map(|seconds| Duration::from_secs(seconds.into()));
    let time = seconds.or_else(|_| time(text))?;
    Ok(if time.is_zero() { WITHOUT_END } else { time })
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    text.parse::<Interval>().map(Interval::duration).map_err(|error| error.to_string())
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().map_err(|error| error.to_string())?;
    let fits = (0.0..=100.0).contains(&number);
    if fits { Ok(number) } else { Err("a percentage is from 0 to 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_given_as_to_kubectl() {
        assert_eq!(patience("30"), Ok(Duration::from_secs(30)));
        assert_eq!(patience("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(["0", "0s"].map(patience), [Ok(WITHOUT_END), Ok(WITHOUT_END)]);
        assert!(patience("-1").is_err() && patience("soon").is_err());
    }
}
