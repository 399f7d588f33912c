//! The terminal while `top` lives: another screen, keys without Enter, and everything as before at the end.
//!
//! In: text. Out: frames; keys. A thread waits for keys, for that cannot be waited for otherwise; it ends with the
//! process. I/O: the terminal.

use std::io::{self, Write as _};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};
use tokio::sync::mpsc;

use crate::args::Ranking;
use crate::ask::Error;

/// Keys that are waiting.
const KEYS: usize = 16;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Rank(Ranking),
}

/// The screen; dropped, the terminal is as it was.
pub(super) struct Screen {
    keys: mpsc::Receiver<Key>,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Error> {
        terminal::enable_raw_mode().map_err(|error| failed(&error))?;
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
            .map_err(|error| failed(&error))?;
        let (send, keys) = mpsc::channel(KEYS);
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if let Some(key) = meaning(&event)
                    && send.blocking_send(key).is_err()
                {
                    break;
                }
            }
        });
        Ok(Self { keys })
    }

    pub(super) fn size() -> (u16, u16) {
        terminal::size().unwrap_or((80, 24))
    }

    /// Draws a frame from the top left; lines are cut at the right edge.
    pub(super) fn draw(head: &str, text: &str, width: u16) -> Result<(), Error> {
        let mut frame = String::from("\x1b[H");
        for line in [head, ""].into_iter().chain(text.lines()) {
            frame.push_str(&cut(line, usize::from(width)));
            frame.push_str("\x1b[0m\x1b[K\r\n");
        }
        frame.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(frame.as_bytes()).and_then(|()| out.flush()).map_err(|error| failed(&error))
    }

    /// The next key, or nothing when the time is up.
    pub(super) async fn key(&mut self, patience: Duration) -> Option<Key> {
        tokio::time::timeout(patience, self.keys.recv()).await.ok().flatten()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show).ok();
        terminal::disable_raw_mode().ok();
    }
}

fn failed(error: &io::Error) -> Error {
    Error::File { path: "the terminal".to_owned(), why: error.to_string() }
}

fn meaning(event: &Event) -> Option<Key> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('n') => Some(Key::Rank(Ranking::Nodes)),
        KeyCode::Char('f') => Some(Key::Rank(Ranking::Flows)),
        KeyCode::Char('p') => Some(Key::Rank(Ranking::Procs)),
        _ => None,
    }
}

/// The first `width` letters; colours take no room.
fn cut(line: &str, width: usize) -> String {
    let (mut out, mut shown, mut code) = (String::with_capacity(line.len()), 0, false);
    for letter in line.chars() {
        let starts = letter == '\x1b';
        if !starts && !code {
            if shown == width {
                break;
            }
            shown += 1;
        }
        out.push(letter);
        code = starts || (code && letter != 'm');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(cut("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc");
        assert_eq!(cut("ab", 3), "ab");
    }
}
