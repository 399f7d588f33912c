//! What the agent costs and how good its picture is: always on top.
//!
//! In: the view, a width. Out: lines that fit it. It must not hide a figure by cutting it in two:
//! what does not fit is left out whole.
//!
//! Pure: no I/O.

use super::{BAD, DIM, GOOD, TITLE, WARN, bar};
use crate::clock::boot_ns;
use crate::figures::{Age, Bytes, Count, Every, Share, float};
use crate::snapshot::Vitals;
use crate::top::view::{View, uptime_ms};
use probelet_core::budget::Level;
use probelet_core::facts::Loss;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// Above this an effective interval is not the desired one any more.
const LATE: f64 = 1.25;
/// Below this coverage is worth a look.
const COVERED: f64 = 0.99;

/// The lines.
pub(super) fn lines(view: &View, width: u16) -> Vec<Line<'static>> {
    let vitals = &view.snapshot().vitals;
    let mut lines = vec![
        title(view, width),
        cpu(vitals, width),
        intervals(vitals, width),
        picture(view, width),
    ];
    lines.extend(losses(view, width));
    if !vitals.level_reason.is_empty() {
        lines.push(Line::from(Span::styled(
            format!(" {}", vitals.level_reason),
            level_style(vitals.level),
        )));
    }
    if let Some(error) = &vitals.config_error {
        lines.push(Line::from(Span::styled(
            format!(" configuration refused, the last good one stays: {error}"),
            BAD,
        )));
    }
    lines
}

/// The level in its colour.
fn level_style(level: Level) -> Style {
    match level {
        Level::Full => GOOD,
        Level::Stretched => WARN,
        Level::CountersOnly => BAD,
        Level::Paused => WARN.add_modifier(Modifier::REVERSED),
    }
}

fn title(view: &View, width: u16) -> Line<'static> {
    let (snapshot, rule) = (view.snapshot(), |n| Span::styled("─".repeat(n), DIM));
    let vitals = &snapshot.vitals;
    let up =
        if view.is_empty() { String::new() } else { format!(" up {} ", Age(uptime_ms(snapshot))) };
    let parts = vec![
        vec![rule(1), Span::styled(" probelet ", TITLE)],
        vec![
            rule(1),
            Span::styled(format!(" {} ", vitals.level.name()), level_style(vitals.level)),
        ],
        vec![rule(1), Span::raw(format!(" source {} ", vitals.source_kind.name()))],
        vec![rule(1), Span::raw(format!(" {} ", snapshot.node))],
    ];
    let up = Span::raw(up);
    let used = up.width() + 1;
    let mut line = fit(parts, width.saturating_sub(u16::try_from(used).unwrap_or(0)), "");
    let gap = usize::from(width).saturating_sub(line.width() + used);
    line.spans.extend([rule(gap), up, rule(1)]);
    line
}

fn cpu(vitals: &Vitals, width: u16) -> Line<'static> {
    let share =
        if vitals.budget_cores > 0.0 { vitals.cpu_cores / vitals.budget_cores } else { 0.0 };
    let style = match share {
        s if s < 0.8 => GOOD,
        s if s <= 1.0 => WARN,
        _ => BAD,
    };
    let wide = match width {
        0..40 => 0,
        40..60 => 6,
        60..100 => 14,
        _ => 30,
    };
    let filled = bar(share, wide);
    let rest = usize::from(wide).saturating_sub(filled.chars().count());
    let mut own = vec![Span::styled("CPU ", TITLE)];
    if wide > 0 {
        own.extend([
            Span::styled("▕", DIM),
            Span::styled(filled, style),
            Span::styled("·".repeat(rest), DIM),
            Span::styled("▏", DIM),
        ]);
    }
    own.push(Span::styled(Share(vitals.cpu_cores).to_string(), style.add_modifier(Modifier::BOLD)));
    let budget = Span::raw(format!(" of a core of {}", Share(vitals.budget_cores)));
    let mut parts = vec![own];
    if width >= 40 {
        parts[0].push(budget);
    }
    parts.push(figure("memory", Bytes(float(vitals.rss_bytes)).to_string(), Style::new()));
    let freshness = vitals.freshness_at(boot_ns());
    let late = freshness > vitals.desired.sockets * LATE + 0.1;
    let fresh = if late { WARN } else { GOOD };
    parts.push(figure("fresh", Every(freshness).to_string(), fresh));
    fit(parts, width, "  ")
}

fn intervals(vitals: &Vitals, width: u16) -> Line<'static> {
    let (desired, effective) = (vitals.desired, vitals.effective_at(boot_ns()));
    let mut parts = vec![vec![Span::styled("Every", TITLE)]];
    for (name, want, have) in [
        ("sockets", desired.sockets, effective.sockets),
        ("processes", desired.processes, effective.processes),
        ("containers", desired.containers, effective.containers),
        ("bytes", desired.bytes, effective.bytes),
    ] {
        let mut part = figure(name, Every(want).to_string(), Style::new());
        if have > want * LATE {
            part.push(Span::styled(format!("→{}", Every(have)), WARN));
        }
        parts.push(part);
    }
    fit(parts, width, "  ")
}

fn picture(view: &View, width: u16) -> Line<'static> {
    let picture = &view.snapshot().picture;
    let minute = picture.coverage[0];
    let mut parts = vec![vec![Span::styled("Seen", TITLE)]];
    parts.push(match minute.ratio() {
        Some(ratio) => {
            let style = if ratio < COVERED { WARN } else { GOOD };
            let mut part = figure("coverage", Share(ratio).to_string(), style);
            part.push(Span::styled(format!(" of {} opened", Count(minute.opened)), DIM));
            part
        }
        None => figure("coverage", "–".to_owned(), Style::new()),
    });
    for (name, n) in [
        ("sockets", picture.connections.len() + picture.listeners.len()),
        ("processes", picture.processes.len()),
        ("netns", view.netns()),
        ("containers", picture.containers.len()),
    ] {
        parts.push(figure(
            name,
            Count(u64::try_from(n).unwrap_or(u64::MAX)).to_string(),
            Style::new(),
        ));
    }
    fit(parts, width, "  ")
}

/// What was lost in the last minute, largest first, but before it what nothing met; no line when nothing was.
fn losses(view: &View, width: u16) -> Option<Line<'static>> {
    let mut losses: Vec<_> = view.losses().collect();
    losses.sort_by_key(|&(loss, n)| (loss != Loss::Unseen, std::cmp::Reverse(n)));
    let mut parts = vec![vec![Span::styled("Lost", TITLE), Span::styled(" in a minute", DIM)]];
    parts.extend(losses.iter().map(|&(loss, n)| figure(loss.name(), Count(n).to_string(), WARN)));
    (!losses.is_empty()).then(|| fit(parts, width, "  "))
}

/// A name and its figure.
fn figure(name: &'static str, value: String, style: Style) -> Vec<Span<'static>> {
    vec![Span::styled(name, DIM), Span::raw(" "), Span::styled(value, style)]
}

/// As many parts as fit the width, whole; the first stands in any case.
fn fit(parts: Vec<Vec<Span<'static>>>, width: u16, between: &'static str) -> Line<'static> {
    let mut line = if between.is_empty() { Line::default() } else { Line::raw(" ") };
    for (n, part) in parts.into_iter().enumerate() {
        let wide: usize = part.iter().map(Span::width).sum();
        if n > 0 && line.width() + between.len() + wide > usize::from(width) {
            break;
        }
        if n > 0 {
            line.push_span(Span::raw(between));
        }
        line.spans.extend(part);
    }
    line
}
