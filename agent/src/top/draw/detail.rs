//! The agent's own details: CPU by task, passes, refused sources, losses, configuration.
//!
//! In: the view, an area. Out: its lines; what does not fit is cut at the end. It must not show
//! anything that the metrics do not show too.
//!
//! Pure: no I/O.

use super::{BAD, DIM, GOOD, TITLE, WARN, bar};
use crate::discover::Limiter;
use crate::figures::{Bytes, Count, Share, Took, float};
use crate::snapshot::{BUCKETS, Skip, Task, Vitals};
use crate::top::view::View;
use probelet_core::report::Picture;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Widget, Wrap};

/// Width of the bars.
const BAR: u16 = 20;

/// Draws the details.
pub(super) fn draw(view: &View, area: Rect, buffer: &mut Buffer) {
    let snapshot = view.snapshot();
    let vitals = &snapshot.vitals;
    // What explains a poorer picture comes first: it must survive on a small terminal.
    let sections = [
        tasks(vitals),
        refused(vitals),
        passes(vitals),
        put_off(vitals),
        lost(&snapshot.picture),
        configuration(vitals),
    ];
    let lines: Vec<Line<'_>> = sections.into_iter().flatten().collect();
    let inner = Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(2), ..area };
    Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }).render(inner, buffer);
}

fn heading(text: impl Into<String>) -> Line<'static> {
    Line::from(Span::styled(text.into(), TITLE))
}

fn tasks(vitals: &Vitals) -> Vec<Line<'static>> {
    let total: f64 = vitals.cpu.iter().map(|t| t.user + t.system).sum();
    let mut lines = vec![Line::from(vec![
        Span::styled("CPU by task ", TITLE),
        Span::styled("     user   kernel", DIM),
    ])];
    for task in Task::ALL {
        let time = vitals.cpu[task as usize];
        let share = if total > 0.0 { (time.user + time.system) / total } else { 0.0 };
        lines.push(Line::from(vec![
            Span::raw(format!(
                " {:<9} {:>8} {:>8} ",
                task.name(),
                took(time.user),
                took(time.system)
            )),
            Span::styled(format!("{:>7} ", Share(share).to_string()), DIM),
            Span::styled(bar(share, BAR / 2), GOOD),
        ]));
    }
    lines
}

fn took(seconds: f64) -> String {
    Took(seconds).to_string()
}

fn refused(vitals: &Vitals) -> Vec<Line<'static>> {
    let mut lines = vec![Line::from(vec![
        Span::styled("Source ", TITLE),
        Span::styled(vitals.source_kind.name(), GOOD),
        Span::styled(
            if vitals.refused.is_empty() { ", none better was refused" } else { "; refused:" },
            DIM,
        ),
    ])];
    lines
        .extend(vitals.refused.iter().map(|why| Line::from(Span::styled(format!(" {why}"), WARN))));
    lines
}

fn passes(vitals: &Vitals) -> Vec<Line<'static>> {
    let (wall, cpu) = (&vitals.pass_duration, &vitals.pass_cpu);
    let (count, most) = (cpu.count(), cpu.counts.iter().copied().max().unwrap_or(0));
    if count == 0 {
        return vec![heading("Passes: none yet")];
    }
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!("Passes {}", Count(count)), TITLE),
            Span::raw(format!(
                "  mean {} CPU, {} wall",
                Took(cpu.sum / float(count)),
                mean(wall.sum, wall.count())
            )),
        ]),
        Line::from(Span::raw(format!(" last full pass {} CPU", Took(vitals.full_pass_cpu)))),
    ];
    for (n, &hits) in cpu.counts.iter().enumerate().filter(|&(_, &hits)| hits > 0) {
        let bound =
            BUCKETS.get(n).map_or_else(|| "more".to_owned(), |&b| format!("≤ {}", bound(b)));
        lines.push(Line::from(vec![
            Span::raw(format!(" {bound:>8} CPU {:>9} ", Count(hits).to_string())),
            Span::styled(bar(float(hits) / float(most), BAR), GOOD),
        ]));
    }
    lines
}

fn mean(sum: f64, count: u64) -> Took {
    Took(if count > 0 { sum / float(count) } else { 0.0 })
}

/// A bound of a bucket: these are round, and need no decimals.
fn bound(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

fn put_off(vitals: &Vitals) -> Vec<Line<'static>> {
    let mut parts: Vec<String> = Skip::ALL
        .iter()
        .map(|&skip| (skip.name(), vitals.skipped[skip as usize]))
        .filter(|&(_, n)| n > 0)
        .map(|(name, n)| format!("{name} {}", Count(n)))
        .collect();
    for &(limiter, seconds) in
        vitals.limiter_wait_seconds.iter().filter(|(_, seconds)| *seconds > 0.0)
    {
        parts.push(format!("{} limit {}", limiter_name(limiter), Took(seconds)));
    }
    let text = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    vec![heading("Passes skipped or postponed"), Line::raw(format!(" {text}"))]
}

const fn limiter_name(limiter: Limiter) -> &'static str {
    match limiter {
        Limiter::ProcfsReads => "procfs",
        Limiter::Fds => "fd",
        Limiter::Netns => "netns",
    }
}

fn lost(picture: &Picture) -> Vec<Line<'static>> {
    let mut lines = vec![heading("Lost since the start")];
    let parts: Vec<String> = picture
        .losses
        .iter()
        .filter(|&(_, n)| n > 0)
        .map(|(loss, n)| format!("{} {}", loss.name(), Count(n)))
        .collect();
    let text = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
    lines.push(Line::raw(format!(" {text}")));
    let total = picture.coverage[1];
    let ratio = total.ratio().map_or_else(|| "–".to_owned(), |r| Share(r).to_string());
    lines.push(Line::raw(format!(" coverage {ratio} of {} opened", Count(total.opened))));
    lines
}

fn configuration(vitals: &Vitals) -> Vec<Line<'static>> {
    let mut lines = vec![
        heading("Configuration"),
        Line::raw(format!(
            " {}, generation {}, hash {}",
            vitals.config_origin, vitals.config_generation, vitals.config_hash
        )),
        Line::raw(format!(
            " budget window {:.0} s, memory {}",
            vitals.window_seconds,
            Bytes(float(vitals.rss_bytes))
        )),
    ];
    lines.extend(
        vitals
            .config_error
            .iter()
            .map(|error| Line::from(Span::styled(format!(" refused: {error}"), BAD))),
    );
    lines
}
