//! What is under way, for those who wait longer than a second.
//!
//! In: what is being done, as it goes on. Out: one line on standard error that rewrites itself, and is gone at the end.
//! Nothing is shown when that is no terminal, or when all was quick.
//!
//! I/O: standard error, the clock.

use std::cell::RefCell;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What takes no longer needs no words.
const QUICK: Duration = Duration::from_secs(1);
/// Between two lines.
const PAUSE: Duration = Duration::from_millis(200);

/// The line.
#[derive(Clone)]
pub struct Progress(Option<Rc<RefCell<State>>>);

struct State {
    began: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// For a person at a terminal.
    #[must_use]
    pub fn new() -> Self {
        let state = State { began: Instant::now(), shown: None };
        Self(stderr().is_terminal().then(|| Rc::new(RefCell::new(state))))
    }

    /// For no one.
    #[must_use]
    pub const fn silent() -> Self {
        Self(None)
    }

    /// So far it has come.
    pub fn say(&self, what: &str) {
        let Some(state) = &self.0 else { return };
        let mut state = state.borrow_mut();
        let due = state.shown.is_none_or(|shown| shown.elapsed() >= PAUSE);
        if state.began.elapsed() < QUICK || !due {
            return;
        }
        state.shown = Some(Instant::now());
        // No one is left to tell that the terminal is gone.
        write!(stderr(), "\r\x1b[K{what} …").ok();
    }

    /// It is over.
    pub fn clear(&self) {
        let Some(state) = &self.0 else { return };
        if state.borrow_mut().shown.take().is_some() {
            write!(stderr(), "\r\x1b[K").ok();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
