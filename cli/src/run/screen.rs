//! The terminal while `top` lives: another screen, keys without Enter, and everything as before at the end.
//!
//! In: text. Out: frames; keys. A thread waits for keys, for that cannot be waited for otherwise; it ends with the
//! process. I/O: the terminal.

use std::io::{self, Write as _};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, terminal};
use tokio::sync::mpsc;
use unicode_width::UnicodeWidthChar as _;

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

    /// A terminal that does not know how large it is, such as a serial console, is as large as terminals were.
    pub(super) fn size() -> (u16, u16) {
        known(terminal::size().unwrap_or_default())
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
    pub(super) async fn key(&mut self, patience: Duration) -> Result<Option<Key>, Error> {
        next(&mut self.keys, patience).await
    }
}

/// Without a thread that reads keys no key could end it, and nothing would make it wait.
async fn next(keys: &mut mpsc::Receiver<Key>, patience: Duration) -> Result<Option<Key>, Error> {
    match tokio::time::timeout(patience, keys.recv()).await {
        Ok(Some(key)) => Ok(Some(key)),
        Ok(None) => Err(Error::File {
            path: "the terminal".to_owned(),
            why: "no key can be read from it; --once shows it once".to_owned(),
        }),
        Err(_) => Ok(None),
    }
}

fn known((width, height): (u16, u16)) -> (u16, u16) {
    (if width == 0 { 80 } else { width }, if height == 0 { 24 } else { height })
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

/// What fits into `width` columns; colours take no room, and letters of some languages take two.
fn cut(line: &str, width: usize) -> String {
    let (mut out, mut shown, mut code) = (String::with_capacity(line.len()), 0, false);
    for letter in line.chars() {
        let starts = letter == '\x1b';
        if !starts && !code {
            shown += letter.width().unwrap_or(0);
            if shown > width {
                break;
            }
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
        assert_eq!(cut("\u{4e2d}\u{6587}x", 4), "\u{4e2d}\u{6587}");
        assert_eq!(cut("\u{4e2d}\u{6587}x", 3), "\u{4e2d}");
    }

    #[test]
    fn a_terminal_without_a_size_is_not_empty() {
        assert_eq!((known((0, 0)), known((40, 10))), ((80, 24), (40, 10)));
    }

    #[tokio::test]
    async fn a_terminal_without_keys_ends_it_at_once() {
        let (send, mut keys) = mpsc::channel(1);
        assert!(next(&mut keys, Duration::from_millis(1)).await.unwrap().is_none());
        drop(send);

        assert!(next(&mut keys, Duration::from_mins(1)).await.is_err());
    }
}
