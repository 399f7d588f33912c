//! What flags and words say: times, shares, names.
//!
//! In: a word. Out: its value, or why it is none. Pure: values only.

use std::convert::Infallible;
use std::time::Duration;

use probelet_crds::Interval;

use crate::name;

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

/// A node, with or without its kind before it.
#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
pub(super) fn node(text: &str) -> Result<String, Infallible> {
    Ok(name::node(text).to_owned())
}

/// A namespace, with or without its kind before it.
#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
pub(super) fn namespace(text: &str) -> Result<String, Infallible> {
    Ok(name::namespace(text).to_owned())
}

/// A `ProbeConfig`, with or without its kind before it.
#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
pub(super) fn config(text: &str) -> Result<String, Infallible> {
    Ok(name::config(text).to_owned())
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().map_err(|error| error.to_string())?;
    let fits = (0.0..=100.0).contains(&number);
    if fits { Ok(number) } else { Err("a percentage is from 0 to 100".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_time_to_wait_is_given_as_to_kubectl() {
        assert_eq!(patience("30"), Ok(Duration::from_secs(30)));
        assert_eq!(patience("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(["0", "0s"].map(patience), [Ok(WITHOUT_END), Ok(WITHOUT_END)]);
        assert!(patience("-1").is_err() && patience("soon").is_err());
    }

    #[test]
    fn nodes_configurations_and_namespaces_are_given_as_kubectl_names_them() {
        for node in ["n1", "node/n1", "nodes/n1", "no/n1"] {
            for line in [
                "explain",
                "config effective",
                "bench",
                "pause --node",
                "resume --node",
                "top --node",
            ] {
                let args = parse(&format!("kubectl-probelet {line} {node}"));
                assert!(format!("{:?}", args.command).contains("\"n1\""), "{line} {node}");
            }
        }
        for config in ["fast", "probeconfig/fast", "probeconfig.probelet.io/fast"] {
            for line in [
                "config diff",
                "config diff x",
                "rollout status",
                "rollout pause",
                "rollout resume",
                "rollout undo",
                "pause",
                "resume",
            ] {
                let args = parse(&format!("kubectl-probelet {line} {config}"));
                assert!(format!("{:?}", args.command).contains("\"fast\""), "{line} {config}");
            }
        }
        for namespace in ["shop", "ns/shop", "namespace/shop", "namespaces/shop"] {
            let args = parse(&format!("kubectl-probelet -n {namespace} map {namespace}"));
            assert_eq!(args.common.namespace.as_deref(), Some("shop"), "{namespace}");
            let Command::Map { namespace: of, .. } = args.command else { panic!("{namespace}") };
            assert_eq!(of.as_deref(), Some("shop"), "{namespace}");
        }
    }
}
