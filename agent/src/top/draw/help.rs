//! What the keys do, laid over the table.
//!
//! In: an area. Out: a box in the middle of it. It must not name a key that does nothing.
//!
//! Pure: no I/O.

use super::{DIM, TITLE};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Widget};

/// Keys and what they do.
const KEYS: [(&str, &str); 11] = [
    ("Tab, Shift-Tab, 1–5", "another screen"),
    ("↑ ↓ j k", "one row up, down"),
    ("PgUp PgDn Space", "one page up, down"),
    ("Home End g G", "first, last row"),
    ("s", "sort by the next column"),
    ("r", "reverse the order"),
    ("/", "filter by any text of a row"),
    ("p", "pause the display; the agent goes on"),
    ("c", "what the agent costs, in detail"),
    ("? h", "this help; any key closes it"),
    ("q Esc Ctrl-C", "quit"),
];

/// Width of the box.
const WIDTH: u16 = 62;

/// Draws the box.
pub(super) fn draw(area: Rect, buffer: &mut Buffer) {
    let mut lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, what)| {
            Line::from(vec![Span::styled(format!(" {key:<20}"), TITLE), Span::raw(*what)])
        })
        .collect();
    lines.push(Line::styled(" CPU is in % of one core; rates are means of some seconds.", DIM));
    lines.push(Line::styled(" Coverage: connections seen ÷ opened, by the kernel's count.", DIM));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = WIDTH.min(area.width);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let inside = Rect { x, y, width, height };
    Clear.render(inside, buffer);
    Paragraph::new(lines)
        .block(Block::bordered().title(" keys ").border_style(DIM))
        .render(inside, buffer);
}
