//! One frame: the agent's cost on top, the screen below, the keys at the bottom.
//!
//! In: the settings, the view, a buffer of any size. Out: the drawn buffer, and how much fitted.
//! It must not change the settings or look at the clock: equal input gives an equal frame.
//!
//! Pure: no I/O; the terminal shows the buffer later.

mod cost;
mod detail;
mod help;
mod table;

use crate::figures::Count;
use crate::top::screen::Screen;
use crate::top::state::{Fitted, State};
use crate::top::view::View;
use probelet_core::text::acts;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// Terminals at least this wide have room for the details beside the table.
const SIDE_BY_SIDE: u16 = 150;
/// Width of the details beside the table.
const DETAIL_WIDTH: u16 = 62;

/// What is beside the point.
const DIM: Style = Style::new().fg(Color::DarkGray);
/// Figures that are as they should be.
const GOOD: Style = Style::new().fg(Color::Green);
/// Figures to look at.
const WARN: Style = Style::new().fg(Color::Yellow);
/// Figures to do something about.
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Titles.
const TITLE: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
/// What is chosen.
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws a frame.
pub(super) fn draw(state: &State, view: &View, buffer: &mut Buffer) -> Fitted {
    let area = buffer.area;
    let lines = cost::lines(view, area.width);
    let [cost, tabs, main, keys] = rooms(area, lines.len());
    // The second line holds the bar: it is the one that stays when there is room for one only.
    let lines = lines.iter().skip(usize::from(cost.height == 1));
    for (line, y) in lines.zip(cost.top()..cost.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
    let fitted = body(state, view, main, buffer);
    draw_tabs(state, fitted, tabs, buffer);
    draw_keys(state, keys, buffer);
    if state.help() {
        help::draw(main, buffer);
    }
    hide_what_acts(buffer);
    fitted
}

/// Names of nodes, files and kernels are drawn as they are, and ratatui leaves out controls alone: marks for the direction of
/// writing and ends of lines of other kinds would act on the terminal.
fn hide_what_acts(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().chars().any(acts) {
            cell.set_symbol("\u{fffd}");
        }
    }
}

/// Who gets which lines: the table keeps at least half of a small terminal.
fn rooms(area: Rect, cost_lines: usize) -> [Rect; 4] {
    let room = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    let keys = u16::from(area.height >= 4);
    let tabs = u16::from(area.height >= 6);
    let spare = area.height.saturating_sub(keys + tabs);
    let cost = match spare / 2 {
        0 => 0,
        1..3 => 1,
        half => half.min(u16::try_from(cost_lines).unwrap_or(half)),
    };
    [
        room(0, cost),
        room(cost, tabs),
        room(cost + tabs, spare - cost),
        room(area.height - keys, keys),
    ]
}

fn body(state: &State, view: &View, area: Rect, buffer: &mut Buffer) -> Fitted {
    if !state.detail() {
        return table::draw(state, view, area, buffer);
    }
    if area.width < SIDE_BY_SIDE {
        detail::draw(view, area, buffer);
        return Fitted { width: area.width, ..Fitted::default() };
    }
    let left = Rect { width: area.width - DETAIL_WIDTH - 3, ..area };
    let right = Rect { x: area.x + left.width + 3, width: DETAIL_WIDTH, ..area };
    for y in area.top()..area.bottom() {
        buffer.set_string(area.x + left.width + 1, y, "│", DIM);
    }
    detail::draw(view, right, buffer);
    table::draw(state, view, left, buffer)
}

fn draw_tabs(state: &State, fitted: Fitted, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut spans = Vec::new();
    for (n, screen) in Screen::ALL.into_iter().enumerate() {
        let style = if screen == state.screen() {
            CHOSEN.add_modifier(Modifier::BOLD)
        } else {
            Style::new()
        };
        let short = if area.width < 70 { &screen.title()[..4] } else { screen.title() };
        spans.push(Span::styled(format!(" {} {short} ", n + 1), style));
    }
    let line = Line::from(spans);
    let width = line.width();
    buffer.set_line(area.x, area.y, &line, area.width);
    let place = place(state, fitted);
    let x = usize::from(area.width).saturating_sub(place.chars().count() + 1);
    if x > width {
        buffer.set_string(area.x + u16::try_from(x).unwrap_or(0), area.y, place, DIM);
    }
}

/// Which rows of how many are seen.
fn place(state: &State, fitted: Fitted) -> String {
    let count = |n: usize| Count(u64::try_from(n).unwrap_or(u64::MAX));
    let first = state.place().offset + 1;
    let last = (state.place().offset + fitted.height).min(fitted.rows);
    match fitted.rows {
        0 => String::new(),
        rows if fitted.height >= rows => count(rows).to_string(),
        rows => format!("{}–{} of {}", count(first), count(last), count(rows)),
    }
}

fn draw_keys(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let mut spans = Vec::new();
    if state.paused() {
        spans.push(Span::styled(" PAUSED ", WARN.add_modifier(Modifier::REVERSED)));
    }
    if state.editing() {
        spans.push(Span::styled(" filter: ", TITLE));
        spans.push(Span::raw(state.filter().to_owned()));
        spans.push(Span::styled(" ", CHOSEN));
        spans.push(Span::styled("  Enter keeps  Esc clears", DIM));
    } else {
        if !state.filter().is_empty() {
            spans.push(Span::styled(
                format!(" filter: {} ", state.filter()),
                TITLE.add_modifier(Modifier::REVERSED),
            ));
        }
        let resume = if state.paused() { "resume" } else { "pause" };
        let keys =
            [("q", "quit"), ("Tab", "screen"), ("s", "sort"), ("r", "reverse"), ("/", "filter")];
        for (key, what) in keys.into_iter().chain([("p", resume), ("c", "cost"), ("?", "help")]) {
            spans.push(Span::styled(format!(" {key}"), TITLE));
            spans.push(Span::raw(format!(" {what} ")));
        }
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// A bar of `width` columns, filled to a share of one with eighths of blocks.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the width")]
fn bar(share: f64, width: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * f64::from(width) * 8.0).round() as usize;
    // Something is never shown as nothing.
    let eighths = if share > 0.0 { eighths.max(1) } else { eighths };
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(EIGHTHS[eighths % 8]);
    bar
}

#[cfg(test)]
mod tests;
