//! The table of a screen: headings, and the rows that can be seen.
//!
//! In: the settings, the view, an area. Out: its lines. It must not format a row that is not seen.
//!
//! Pure: no I/O.

use super::{DIM, TITLE};
use crate::top::screen::{
    CONNECTIONS, CONTAINERS, Clip, Column, FLOWS, Heading, LISTENERS, PROCESSES, Screen, Wanted,
    Width, select,
};
use crate::top::state::{Fitted, State};
use crate::top::view::View;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;
use std::borrow::Cow;

/// What makes a table: who draws, and where.
struct Table<'a> {
    state: &'a State,
    view: &'a View,
    area: Rect,
}

/// A column that is shown, and where.
#[derive(Clone, Copy)]
struct Slot {
    column: usize,
    x: u16,
    width: u16,
}

/// Draws the table of the chosen screen.
pub(super) fn draw(state: &State, view: &View, area: Rect, buffer: &mut Buffer) -> Fitted {
    if area.is_empty() {
        return Fitted::default();
    }
    let picture = &view.snapshot().picture;
    let table = Table { state, view, area };
    match state.screen() {
        Screen::Flows => table.rows(&FLOWS, picture.flows.iter(), buffer),
        Screen::Connections => table.rows(&CONNECTIONS, picture.connections.iter(), buffer),
        Screen::Processes => table.rows(&PROCESSES, picture.processes.iter(), buffer),
        Screen::Containers => table.rows(&CONTAINERS, picture.containers.iter(), buffer),
        Screen::Listeners => table.rows(&LISTENERS, picture.listeners.iter(), buffer),
    }
}

impl Table<'_> {
    fn rows<'r, R: 'r>(
        &self,
        columns: &[Column<R>],
        records: impl Iterator<Item = &'r R>,
        buffer: &mut Buffer,
    ) -> Fitted {
        let (area, place) = (self.area, self.state.place());
        let headings: Vec<Heading> = columns.iter().map(|c| c.heading).collect();
        let slots: Vec<Slot> = slots(&headings, area.width)
            .into_iter()
            .map(|s| Slot { x: area.x + s.x, ..s })
            .collect();
        self.headings(&headings, &slots, buffer);
        let height = usize::from(area.height - 1);
        let filter = self.state.filter().to_ascii_lowercase();
        let (sort, descending) = (place.sort, place.descending);
        let wanted = Wanted { sort, descending, filter: &filter, offset: place.offset, height };
        let (rows, total) = select(self.view, columns, records, wanted);
        if total == 0 {
            self.nothing(buffer);
        }
        let mut text = String::new();
        for (record, y) in rows.into_iter().zip(area.y + 1..) {
            for slot in &slots {
                let column = &columns[slot.column];
                text.clear();
                (column.text)(self.view, record, &mut text);
                let style = if slot.column == place.sort {
                    Style::new().add_modifier(Modifier::BOLD)
                } else {
                    Style::new()
                };
                cell(&column.heading, *slot, y, &text, style, buffer);
            }
        }
        Fitted { height, rows: total, width: area.width }
    }

    fn headings(&self, headings: &[Heading], slots: &[Slot], buffer: &mut Buffer) {
        let place = self.state.place();
        for slot in slots {
            let heading = &headings[slot.column];
            if slot.column == place.sort {
                let title =
                    format!("{}{}", heading.title, if place.descending { '▾' } else { '▴' });
                let style = TITLE.add_modifier(Modifier::UNDERLINED);
                // The mark may use the gap to the left of a number.
                let wide = matches!(heading.width, Width::Number(_)) && slot.x > self.area.x;
                let slot = if wide {
                    Slot { x: slot.x - 1, width: slot.width + 1, ..*slot }
                } else {
                    *slot
                };
                cell(heading, slot, self.area.y, &title, style, buffer);
            } else {
                cell(heading, *slot, self.area.y, heading.title, TITLE, buffer);
            }
        }
    }

    fn nothing(&self, buffer: &mut Buffer) {
        let text = if self.view.is_empty() {
            "waiting for the first pass"
        } else if !self.state.filter().is_empty() {
            "nothing matches the filter (/ then Esc clears it)"
        } else {
            "nothing seen"
        };
        let width = u16::try_from(text.len()).unwrap_or(u16::MAX);
        let x = self.area.x + self.area.width.saturating_sub(width) / 2;
        let y = self.area.y + self.area.height.saturating_sub(1).min(2);
        if y > self.area.y {
            buffer.set_stringn(x, y, text, usize::from(self.area.width), DIM);
        }
    }
}

/// Which columns are shown at `width`, and where: one blank stands between two.
fn slots(headings: &[Heading], width: u16) -> Vec<Slot> {
    let shown: Vec<usize> = (0..headings.len()).filter(|&n| headings[n].needs <= width).collect();
    let (mut fixed, mut weights) = (u16::try_from(shown.len().saturating_sub(1)).unwrap_or(0), 0);
    for &n in &shown {
        match headings[n].width {
            Width::Number(w) | Width::Text(w) => fixed += w,
            Width::Flex(w) => weights += w,
        }
    }
    let mut left = width.saturating_sub(fixed);
    let mut x = 0;
    let mut slots = Vec::with_capacity(shown.len());
    for column in shown {
        let wide = match headings[column].width {
            Width::Number(w) | Width::Text(w) => w,
            Width::Flex(w) => {
                let share = left * w / weights.max(1);
                left -= share;
                weights -= w;
                share
            }
        };
        let wide = wide.min(width.saturating_sub(x));
        if wide > 0 {
            slots.push(Slot { column, x, width: wide });
        }
        x += wide + 1;
    }
    slots
}

fn cell(heading: &Heading, slot: Slot, y: u16, text: &str, style: Style, buffer: &mut Buffer) {
    let text = clip(text, usize::from(slot.width), heading.clip);
    let pad = match heading.width {
        Width::Number(_) => usize::from(slot.width).saturating_sub(Span::raw(&*text).width()),
        Width::Text(_) | Width::Flex(_) => 0,
    };
    let x = slot.x + u16::try_from(pad).unwrap_or(0);
    buffer.set_stringn(x, y, &text, usize::from(slot.width) - pad, style);
}

/// Shortens a text to `width` columns, with an ellipsis where something is missing.
fn clip(text: &str, width: usize, clip: Clip) -> Cow<'_, str> {
    /// `…` and what follows of an address: a port and the colon before it.
    const TAIL: usize = 6;
    if Span::raw(text).width() <= width {
        return Cow::Borrowed(text);
    }
    let chars: Vec<char> = text.chars().collect();
    let tail = if clip == Clip::Middle && width > TAIL + 2 { TAIL } else { 0 };
    let head = width.saturating_sub(tail + 1).min(chars.len());
    let mut short: String = chars[..head].iter().collect();
    short.push('…');
    short.extend(&chars[chars.len().saturating_sub(tail)..]);
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_address_keeps_its_port() {
        assert_eq!(clip("[2001:db8::42]:44321", 14, Clip::Middle), "[2001:d…:44321");
        assert_eq!(clip("a-long-container-name", 8, Clip::End), "a-long-…");
        assert_eq!(clip("short", 8, Clip::End), "short");
    }

    #[test]
    fn columns_fill_the_width_and_never_pass_it() {
        for screen in Screen::ALL {
            for width in [1, 20, 40, 80, 104, 200] {
                let slots = slots(&screen.headings(), width);
                let end = slots.iter().map(|s| s.x + s.width).max().unwrap_or(0);

                assert!(end <= width, "{screen:?} at {width}");
                assert!(width < 20 || end == width, "{screen:?} at {width} ends at {end}");
            }
        }
    }
}
