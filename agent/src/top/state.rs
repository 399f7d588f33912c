//! What the keys have changed: screen, order, filter, place, and what is laid over it.
//!
//! In: keys, and how much fitted on the terminal when it was last drawn. Out: the settings that
//! drawing reads. It must not know the terminal or the records.
//!
//! Pure: no I/O, no clock.

use crate::top::screen::{Heading, Screen};

/// A filter longer than this matches nothing that is ever shown.
const FILTER_MAX: usize = 64;

/// A key, as far as it means anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character, with the shift key already applied.
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Esc.
    Escape,
    /// Enter.
    Enter,
    /// Backspace.
    Backspace,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Not a key: the terminal has another size now.
    Resized,
}

/// What a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that can be seen.
    Nothing,
    /// The screen has to be drawn again.
    Redraw,
    /// Time to go.
    Quit,
}

/// How a screen is sorted and how far it is scrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The first row.
    pub(super) offset: usize,
    /// The column.
    pub(super) sort: usize,
    /// Whether the largest comes first.
    pub(super) descending: bool,
}

/// What fitted when it was last drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fitted {
    /// Lines for rows.
    pub(super) height: usize,
    /// Rows that the filter lets through.
    pub(super) rows: usize,
    /// Width of the table.
    pub(super) width: u16,
}

/// What takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The table: keys are commands.
    Table,
    /// The filter: keys are its text.
    Filter,
    /// The help: any key closes it.
    Help,
}

/// The settings.
#[derive(Debug)]
pub(super) struct State {
    screen: Screen,
    places: [Place; Screen::ALL.len()],
    filter: String,
    /// What takes the keys.
    mode: Mode,
    paused: bool,
    detail: bool,
    fitted: Fitted,
}

impl State {
    /// The settings to begin with. A sort column is looked for on every screen; the first screen
    /// that has it is shown. `None` when no screen has it.
    pub(super) fn new(sort: Option<&str>, filter: Option<&str>) -> Option<Self> {
        // Traffic goes both ways; what comes in is usually the larger part.
        let sort = sort.map(|name| if name == "bytes" { "received" } else { name });
        let mut places = Screen::ALL.map(|screen| place(screen, screen.default_sort()));
        let mut shown = None;
        for (n, screen) in Screen::ALL.into_iter().enumerate().filter(|_| sort.is_some()) {
            if let Some(place) = sort.and_then(|name| place(screen, name)) {
                places[n] = Some(place);
                shown = shown.or(Some(screen));
            }
        }
        if sort.is_some() && shown.is_none() {
            return None;
        }
        let places = places.map(|p| p.unwrap_or(Place { offset: 0, sort: 0, descending: false }));
        Some(Self {
            screen: shown.unwrap_or_default(),
            places,
            filter: filter.unwrap_or_default().chars().take(FILTER_MAX).collect(),
            mode: Mode::Table,
            paused: false,
            detail: false,
            fitted: Fitted::default(),
        })
    }

    /// The screen.
    pub(super) const fn screen(&self) -> Screen {
        self.screen
    }

    /// Its order and place.
    pub(super) const fn place(&self) -> Place {
        self.places[self.screen as usize]
    }

    /// What is being looked for, as typed.
    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    /// Whether the filter is being typed.
    pub(super) const fn editing(&self) -> bool {
        matches!(self.mode, Mode::Filter)
    }

    /// Whether the display stands still.
    pub(super) const fn paused(&self) -> bool {
        self.paused
    }

    /// Whether the agent's own details are shown.
    pub(super) const fn detail(&self) -> bool {
        self.detail
    }

    /// Whether the keys are explained.
    pub(super) const fn help(&self) -> bool {
        matches!(self.mode, Mode::Help)
    }

    /// Takes note of what fitted; `true` when the place was beyond the end and has moved.
    pub(super) fn fit(&mut self, fitted: Fitted) -> bool {
        self.fitted = fitted;
        let before = self.place().offset;
        self.scroll_to(before);
        self.place().offset != before
    }

    /// Does what a key asks for.
    pub(super) fn press(&mut self, key: Key) -> Effect {
        if key == Key::Interrupt {
            return Effect::Quit;
        }
        if self.mode == Mode::Filter {
            return self.edit(key);
        }
        if self.mode == Mode::Help && key != Key::Resized {
            self.mode = Mode::Table;
            return Effect::Redraw;
        }
        match key {
            Key::Escape | Key::Char('q') => return Effect::Quit,
            Key::Tab => self.turn(1),
            Key::BackTab => self.turn(Screen::ALL.len() - 1),
            Key::Up | Key::Char('k') => self.scroll_to(self.place().offset.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.scroll_to(self.place().offset + 1),
            Key::PageUp => self.scroll_to(self.place().offset.saturating_sub(self.fitted.height)),
            Key::PageDown | Key::Char(' ') => {
                self.scroll_to(self.place().offset + self.fitted.height);
            }
            Key::Home => self.scroll_to(0),
            Key::End => self.scroll_to(usize::MAX),
            Key::Char(c) => return self.command(c),
            Key::Resized => {}
            Key::Enter | Key::Backspace | Key::Interrupt => return Effect::Nothing,
        }
        Effect::Redraw
    }

    fn command(&mut self, c: char) -> Effect {
        match c {
            '1'..='5' => self.screen = Screen::ALL[c as usize - '1' as usize],
            's' => self.next_sort(),
            'r' => {
                let place = self.place_mut();
                *place = Place { descending: !place.descending, offset: 0, ..*place };
            }
            '/' => self.mode = Mode::Filter,
            'p' => self.paused = !self.paused,
            'c' => self.detail = !self.detail,
            '?' | 'h' => self.mode = Mode::Help,
            'g' => self.scroll_to(0),
            'G' => self.scroll_to(usize::MAX),
            _ => return Effect::Nothing,
        }
        Effect::Redraw
    }

    fn edit(&mut self, key: Key) -> Effect {
        match key {
            Key::Enter => self.mode = Mode::Table,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            Key::Backspace => {
                self.filter.pop();
            }
            Key::Char(c) if !c.is_control() && self.filter.chars().count() < FILTER_MAX => {
                self.filter.push(c);
            }
            Key::Resized => return Effect::Redraw,
            _ => return Effect::Nothing,
        }
        self.places.iter_mut().for_each(|place| place.offset = 0);
        Effect::Redraw
    }

    fn turn(&mut self, by: usize) {
        self.screen = Screen::ALL[(self.screen as usize + by) % Screen::ALL.len()];
    }

    fn place_mut(&mut self) -> &mut Place {
        &mut self.places[self.screen as usize]
    }

    /// Goes to the next column to the right that is shown.
    fn next_sort(&mut self) {
        let headings = self.screen.headings();
        let (width, sort) = (self.fitted.width, self.place().sort);
        let shown = |n: &usize| headings[*n].needs <= width;
        let next = (sort + 1..headings.len()).chain(0..sort).find(shown).unwrap_or(sort);
        *self.place_mut() = Place { offset: 0, sort: next, descending: headings[next].descending };
    }

    fn scroll_to(&mut self, offset: usize) {
        let last = self.fitted.rows.saturating_sub(self.fitted.height);
        self.place_mut().offset = offset.min(last);
    }
}

/// Every name that a screen may be sorted by.
pub(super) fn sort_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for heading in Screen::ALL.into_iter().flat_map(Screen::headings) {
        if !names.contains(&heading.name) {
            names.push(heading.name);
        }
    }
    names
}

fn place(screen: Screen, sort: &str) -> Option<Place> {
    let headings: Vec<Heading> = screen.headings();
    let sort = headings.iter().position(|h| h.name == sort)?;
    Some(Place { offset: 0, sort, descending: headings[sort].descending })
}

#[cfg(test)]
mod tests;
