//! The log: lines on stderr, as text for people or as JSON for machines.
//!
//! In: a format and a filter that `args` has checked. Out: a global subscriber. It must not be changed later: what
//! should be visible at run time is a metric. I/O: writes stderr.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt};

/// How the log looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the log holds; known to be a valid filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

/// Checks a filter such as `info` or `info,hyper=warn`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn filter(text: &str) -> Result<Filter, String> {
    // An empty filter would be read as "errors only", which nobody means.
    if text.trim().is_empty() || EnvFilter::try_new(text).is_err() {
        return Err(
            "give a level such as info, or levels by module such as info,hyper=warn".to_owned()
        );
    }
    Ok(Filter(text.to_owned()))
}

/// Another subscriber was installed before; the log stays where it goes.
#[derive(Debug, thiserror::Error)]
#[error("logging was initialized twice")]
pub struct Twice(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Sends the log of the whole process to stderr from now on. `quiet` are levels by module that the filter may raise.
///
/// # Errors
/// It was called before.
pub fn init(format: Format, filter: &Filter, quiet: &[&str]) -> Result<(), Twice> {
    let directives: Vec<&str> = quiet.iter().copied().chain([filter.0.as_str()]).collect();
    let builder = fmt()
        .with_env_filter(EnvFilter::new(directives.join(",")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        Format::Text => builder.try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_are_filters() {
        for text in ["info", "off", "WARN", "info,probelet_agent::docker=debug"] {
            assert_eq!(filter(text), Ok(Filter(text.to_owned())));
        }
    }

    #[test]
    fn what_is_no_filter_is_told_so() {
        for text in ["", "  ", "info,=", "a=b=c"] {
            assert!(filter(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_second_set_up_is_refused() {
        let filter = filter("off").unwrap();
        let first = init(Format::Json, &filter, &[]);
        assert!(first.is_err() || init(Format::Text, &filter, &[]).is_err());
    }
}
