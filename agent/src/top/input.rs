//! Keys from the terminal, read on a small thread of their own.
//!
//! In: the terminal. Out: keys on a bounded channel; when it is full, keys are dropped, as a
//! person who types faster than the screen follows would wish. It must not touch any state.
//!
//! I/O: blocks in poll() until a key comes; wakes up now and then to see whether anybody listens.

use crate::top::state::Key;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// Keys that may wait: more than a burst of key repeats between two frames.
const QUEUE: usize = 64;
/// How often the thread looks whether it is still wanted; each look costs some 20 µs.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts reading. The channel ends when the terminal is gone.
pub(super) fn keys() -> io::Result<mpsc::Receiver<Key>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::Builder::new()
        .name("top-keys".into())
        .stack_size(128 << 10)
        .spawn(move || read(&sender))?;
    Ok(receiver)
}

fn read(sender: &mpsc::Sender<Key>) {
    while !sender.is_closed() {
        match event::poll(PATIENCE) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return, // the terminal is gone; the closed channel says so
        }
        let Ok(event) = event::read() else { return };
        let _dropped = key(&event).is_some_and(|key| sender.try_send(key).is_err());
    }
}

/// What an event means here, if anything.
fn key(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(key) => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Key::Interrupt)
            }
            KeyCode::Char(c)
                if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) =>
            {
                Some(Key::Char(c))
            }
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Tab => Some(Key::Tab),
            KeyCode::BackTab => Some(Key::BackTab),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::PageUp => Some(Key::PageUp),
            KeyCode::PageDown => Some(Key::PageDown),
            KeyCode::Home => Some(Key::Home),
            KeyCode::End => Some(Key::End),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_c_is_an_interrupt_and_c_is_a_letter() {
        let with = |modifiers| key(&Event::Key(KeyEvent::new(KeyCode::Char('c'), modifiers)));

        assert_eq!(with(KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(with(KeyModifiers::NONE), Some(Key::Char('c')));
        assert_eq!(with(KeyModifiers::ALT), None);
    }

    #[test]
    fn a_resize_asks_for_a_new_frame() {
        assert_eq!(key(&Event::Resize(80, 24)), Some(Key::Resized));
    }
}
