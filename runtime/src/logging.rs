//! The log: lines on stderr, as text for people or as JSON for machines.
//!
//! In: a format and a filter that `args` has checked. Out: a global subscriber. It must not be changed later: what
//! should be visible at run time is a metric. I/O: writes stderr.

use std::io::{IsTerminal as _, Write};

use clap::ValueEnum;
use probelet_core::text::{Line, clean_line};
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
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

/// How the log looks and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Log {
    /// Log format on stderr
    #[arg(
        long,
        global = true,
        env = "PROBELET_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: Format,

    /// Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`
    #[arg(long, global = true, env = "PROBELET_LOG", value_name = "FILTER", default_value = "info", value_parser = filter)]
    pub log_level: Filter,
}

/// What the log holds; known to be a valid filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

/// Checks a filter such as `info` or `info,hyper=warn`.
///
/// # Errors
/// A message that says what would be right.
pub fn filter(text: &str) -> Result<Filter, String> {
    // An empty filter would be read as "errors only", which no one means.
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
pub fn init(flags: &Log, quiet: &[&str]) -> Result<(), Twice> {
    let Log { log_format, log_level } = flags;
    let coloured = std::io::stderr().is_terminal();
    let subscriber = subscriber(*log_format, log_level, quiet, coloured, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|error| Twice(error.into()))
}

fn subscriber(
    format: Format,
    filter: &Filter,
    quiet: &[&str],
    coloured: bool,
    writer: impl for<'w> MakeWriter<'w> + Send + Sync + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let line = match (format, coloured) {
        (Format::Text, false) => Line::Plain,
        (Format::Text, true) => Line::Coloured,
        (Format::Json, _) => Line::Json,
    };
    let directives: Vec<&str> = quiet.iter().copied().chain([filter.0.as_str()]).collect();
    let builder = fmt()
        .with_env_filter(EnvFilter::new(directives.join(",")))
        .with_writer(Clean { writer, line })
        .with_ansi(coloured && format == Format::Text);
    match format {
        Format::Text => Box::new(builder.finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    }
}

/// Writes events without what acts on a terminal or ends a line: names, paths and the words of others stand in them, and
/// what is shown by `%` was not escaped before.
struct Clean<W> {
    writer: W,
    line: Line,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Clean<W> {
    type Writer = Clean<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Clean { writer: self.writer.make_writer(), line: self.line }
    }
}

impl<W: Write> Write for Clean<W> {
    /// One event, which comes in one piece.
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        let shown = [&*clean_line(line, self.line), end].concat();
        self.writer.write_all(shown.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn levels_and_modules_are_filters() {
        for text in ["info", "off", "WARN", "info,probelet_agent::docker=debug"] {
            assert_eq!(filter(text), Ok(Filter(text.to_owned())));
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "  ", "info,=", "a=b=c"] {
            assert!(filter(text).is_err(), "{text:?}");
        }
    }

    /// Where a test's lines go.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_a_name_holds_an_event_is_one_line_that_acts_on_nothing() {
        let name = "a\u{1b}]0;owned\u{7}\n2026 INFO forged\r\u{9b}2J\u{0}\u{7f}";
        for format in [Format::Text, Format::Json] {
            let kept = Kept::default();
            let writer = kept.clone();
            let subscriber =
                subscriber(format, &filter("info").unwrap(), &[], false, move || writer.clone());

            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(shown = %name, debugged = ?name, text = name, "{name}");
                tracing::warn!(error = %std::io::Error::other(name), "second");
            });

            let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            let control = text.chars().find(|&c| c.is_control() && c != '\n');
            assert!(control.is_none(), "{control:?} in {text:?}");
            assert_eq!(text.lines().count(), 2, "{text:?}");
            if format == Format::Json {
                for line in text.lines() {
                    serde_json::from_str::<serde_json::Value>(line).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_second_set_up_is_refused() {
        let log = Log { log_format: Format::Json, log_level: filter("off").unwrap() };
        let first = init(&log, &[]);
        assert!(first.is_err() || init(&log, &[]).is_err());
    }
}
