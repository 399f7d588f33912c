//! The live view in a terminal: what the agent costs, and who talks to whom.
//!
//! In: snapshots as the engine publishes them, keys. Out: frames on the terminal, at most four a
//! second and only when something changed: drawing is paid out of the agent's own budget. It must
//! not read the kernel or change what the agent does.
//!
//! I/O: the terminal. Keys come from a thread of their own (`input`); frames are drawn where
//! [`run`] is polled. What is drawn, and what keys do, is pure (`draw`, `state`).

mod draw;
mod input;
mod meter;
#[cfg(test)]
pub(crate) mod sample;
mod screen;
mod state;
mod view;

use crate::snapshot::Snapshot;
use probelet_core::display::ContainerNames;
use ratatui::DefaultTerminal;
use ratatui::crossterm::{cursor, execute};
use ratatui::style::{Color, Style};
use state::{Effect, Key, State};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use view::View;

/// The shortest time between two frames.
const FRAME: Duration = Duration::from_millis(250);

/// How the view begins.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The column to sort by; the first screen that has it is shown.
    pub sort: Option<String>,
    /// Only rows that show this text.
    pub filter: Option<String>,
    /// No colours (`NO_COLOR`).
    pub monochrome: bool,
}

/// Why the view cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Output goes into a file or a pipe.
    #[error(
        "top needs a terminal, and standard output is not one; use `probelet-agent once` for text or JSON"
    )]
    NotATerminal,
    /// No screen has such a column.
    #[error("no column {given:?} to sort by; columns: {known}")]
    UnknownColumn {
        /// What was asked for.
        given: String,
        /// What there is.
        known: String,
    },
    /// The terminal did not do as asked.
    #[error("cannot {operation} the terminal")]
    Terminal {
        /// What was tried.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// The exit code: 2 for what the caller can mend, 1 for the rest.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotATerminal | Self::UnknownColumn { .. } => 2,
            Self::Terminal { .. } => 1,
        }
    }
}

/// Shows snapshots until the user quits, the terminal or the engine goes away, or a signal comes.
/// The terminal is restored however it ends, a dropped future and a panic included.
pub async fn run(
    snapshots: watch::Receiver<Arc<Snapshot>>,
    names: watch::Receiver<Arc<ContainerNames>>,
    options: Options,
) -> Result<(), Error> {
    let state = begin(&options)?;
    if !io::stdout().is_terminal() {
        return Err(Error::NotATerminal);
    }
    let mut screen = Terminal::open()?;
    let keys = input::keys().map_err(failed("read keys from"))?;
    let top = Top { snapshots, keys, state, names, view: None, monochrome: options.monochrome };
    top.show(&mut screen).await
}

fn begin(options: &Options) -> Result<State, Error> {
    State::new(options.sort.as_deref(), options.filter.as_deref()).ok_or_else(|| {
        Error::UnknownColumn {
            given: options.sort.clone().unwrap_or_default(),
            known: state::sort_names().join(", "),
        }
    })
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Terminal { operation, source }
}

/// The terminal in raw mode, on its other screen; dropping it puts back what was.
struct Terminal(DefaultTerminal);

impl Terminal {
    fn open() -> Result<Self, Error> {
        let terminal = ratatui::try_init().map_err(|source| {
            restore();
            Error::Terminal { operation: "prepare", source }
        })?;
        // ratatui's own hook leaves the other screen, but with the cursor hidden; and a build that
        // aborts on a panic drops nothing.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            hook(panic);
        }));
        Ok(Self(terminal))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back; when that fails, no one is left to see it.
fn restore() {
    ratatui::restore();
    drop(execute!(io::stdout(), cursor::Show));
}

struct Top {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    keys: mpsc::Receiver<Key>,
    state: State,
    names: watch::Receiver<Arc<ContainerNames>>,
    view: Option<View>,
    monochrome: bool,
}

impl Top {
    async fn show(mut self, terminal: &mut Terminal) -> Result<(), Error> {
        let mut terminate = signal(SignalKind::terminate()).map_err(failed("catch the end of"))?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed("catch the end of"))?;
        let mut last = None::<Instant>;
        let mut stale = true;
        loop {
            let due = last.map_or_else(Instant::now, |at| at + FRAME);
            let paused = self.state.paused();
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                key = self.keys.recv() => match key.map(|key| self.state.press(key)) {
                    None | Some(Effect::Quit) => return Ok(()),
                    Some(Effect::Redraw) => stale = true,
                    Some(Effect::Nothing) => {}
                },
                changed = self.snapshots.changed(), if !paused => {
                    if changed.is_err() {
                        return Ok(()); // the engine has ended, and says why itself
                    }
                    stale = true;
                }
                () = tokio::time::sleep_until(due), if stale => {
                    self.frame(terminal)?;
                    last = Some(Instant::now());
                    stale = false;
                }
            }
        }
    }

    /// Draws what there is now; twice when rows went away from under the place.
    fn frame(&mut self, terminal: &mut Terminal) -> Result<(), Error> {
        let Self { snapshots, state, names, view, monochrome, .. } = self;
        if !state.paused() || view.is_none() {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            match view {
                Some(view) => view.observe(snapshot),
                None => *view = Some(View::new(snapshot, names.clone())),
            }
        }
        let Some(view) = view else { return Ok(()) };
        let drawn = terminal.0.draw(|frame| {
            let mut fitted = draw::draw(state, view, frame.buffer_mut());
            if state.fit(fitted) {
                frame.buffer_mut().reset();
                fitted = draw::draw(state, view, frame.buffer_mut());
                state.fit(fitted);
            }
            if *monochrome {
                let area = frame.area();
                frame.buffer_mut().set_style(area, Style::new().fg(Color::Reset).bg(Color::Reset));
            }
        });
        drawn.map(drop).map_err(failed("draw on"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sort_column_is_answered_with_the_known_ones() {
        let options = Options { sort: Some("colour".into()), ..Options::default() };

        let error = begin(&options).unwrap_err();

        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("source, destination, port"), "{error}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_a_terminal_there_is_a_message_and_exit_code_two() {
        if io::stdout().is_terminal() {
            return; // under a harness that hands the terminal through there is nothing to refuse
        }
        let (_sender, snapshots) = watch::channel(Arc::new(sample::snapshot()));

        let error =
            run(snapshots, watch::channel(Arc::default()).1, Options::default()).await.unwrap_err();

        assert_eq!(error.exit_code(), 2);
    }
}
