//! One snapshot as text: what `probelet-agent once` prints without `--json`.
//!
//! In: a snapshot, names of containers. Out: at most 100 columns of text: a summary, the busiest
//! flows, the heaviest processes, what was lost. It must not print the whole node: that is what
//! `--json` is for.
//!
//! Pure: no I/O; the caller prints.

use crate::figures::{Bytes, Count, Share, Took, float, put};
use crate::snapshot::Snapshot;
use probelet_core::display::{ContainerNames, ends};
use probelet_core::hash::HashSet;
use probelet_core::records::{FlowRecord, ProcessRecord};
use probelet_core::report::Picture;
use probelet_core::text::clean;
use std::cmp::Reverse;

/// Rows of each table.
const ROWS: usize = 10;

/// The text.
#[must_use]
pub fn render(snapshot: &Snapshot, names: &ContainerNames) -> String {
    let mut out = String::with_capacity(4096);
    summary(&mut out, snapshot);
    flows(&mut out, &snapshot.picture, names);
    processes(&mut out, snapshot, names);
    losses(&mut out, &snapshot.picture);
    out
}

fn summary(out: &mut String, snapshot: &Snapshot) {
    let (picture, vitals) = (&snapshot.picture, &snapshot.vitals);
    let netns: HashSet<u32> =
        picture.processes.iter().map(|p| p.fact.netns).filter(|&n| n != 0).collect();
    let count = |n: usize| Count(u64::try_from(n).unwrap_or(u64::MAX));
    row(out, "node", snapshot.node.as_ref());
    row(out, "source", vitals.source_kind.name());
    for why in vitals.refused.iter() {
        row(out, "", why);
    }
    row(
        out,
        "seen",
        &format!(
            "{} processes, {} containers, {} connections, {} listeners, {} flows, {} network namespaces",
            count(picture.processes.len()),
            count(picture.containers.len()),
            count(picture.connections.len()),
            count(picture.listeners.len()),
            count(picture.flows.len()),
            count(netns.len()),
        ),
    );
    if let Some(ratio) = picture.coverage[1].ratio() {
        row(
            out,
            "coverage",
            &format!("{} of {} opened", Share(ratio), Count(picture.coverage[1].opened)),
        );
    }
    row(
        out,
        "cost",
        &format!(
            "{} CPU for the pass, {} memory",
            Took(vitals.full_pass_cpu),
            Bytes(float(vitals.rss_bytes))
        ),
    );
}

/// A name and a text, which is wrapped at 100 columns.
fn row(out: &mut String, name: &str, text: &str) {
    const NAME: usize = 10;
    const WIDTH: usize = 100;
    let text = clean(text);
    put(out, format_args!("{name:<NAME$}"));
    let mut column = NAME;
    for word in text.split(' ') {
        let wide = word.chars().count();
        if column > NAME && column + 1 + wide > WIDTH {
            put(out, format_args!("\n{:NAME$}", ""));
            column = NAME;
        } else if column > NAME {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += wide;
    }
    out.push('\n');
}

fn flows(out: &mut String, picture: &Picture, names: &ContainerNames) {
    let mut flows: Vec<&FlowRecord> = picture.flows.iter().collect();
    let heaviest = largest(&mut flows, |f| (f.current, f.opened, f.id));
    if heaviest.is_empty() {
        return;
    }
    put(
        out,
        format_args!(
            "\n{:<32} {:<32} {:>9} {:>5} {:>9} {:>8}\n",
            "FLOW FROM", "TO", "PORT", "NOW", "OPENED", "BYTES"
        ),
    );
    for flow in heaviest {
        let port = match flow.key.port {
            0 => flow.key.protocol.name().to_owned(),
            port => format!("{port}/{}", flow.key.protocol.name()),
        };
        put(
            out,
            format_args!(
                "{:<32} {:<32} {port:>9} {:>5} {:>9} {:>8}\n",
                cut(&ends::workload(picture, names, flow.key.source), 32),
                cut(&ends::workload(picture, names, flow.key.destination), 32),
                Count(flow.current.into()).to_string(),
                Count(flow.opened).to_string(),
                Bytes(float(flow.bytes_sent.saturating_add(flow.bytes_received))).to_string(),
            ),
        );
    }
}

fn processes(out: &mut String, snapshot: &Snapshot, names: &ContainerNames) {
    let picture = &snapshot.picture;
    let mut processes: Vec<&ProcessRecord> = picture.processes.iter().collect();
    let by_cpu = largest(&mut processes, |p| (p.fact.cpu_ns, p.fact.pid)).to_vec();
    let by_fds = largest(&mut processes, |p| (p.fact.open_fds, p.fact.pid)).to_vec();
    for (title, rows) in [("PROCESS BY CPU TIME", by_cpu), ("PROCESS BY OPEN FILES", by_fds)] {
        if rows.is_empty() {
            continue;
        }
        put(
            out,
            format_args!(
                "\n{title:<23} {:>7} {:<29} {:>9} {:>8} {:>9} {:>9}\n",
                "PID", "CONTAINER", "CPU", "RSS", "FDS", "THREADS"
            ),
        );
        for process in rows {
            let fact = &process.fact;
            let container =
                fact.container.map_or_else(String::new, |id| ends::container(picture, names, id));
            put(
                out,
                format_args!(
                    "{:<23} {:>7} {:<29} {:>9} {:>8} {:>9} {:>9}\n",
                    cut(&fact.comm.to_string(), 23),
                    fact.pid,
                    cut(&container, 29),
                    Took(float(fact.cpu_ns) / 1e9).to_string(),
                    Bytes(float(fact.rss_bytes)).to_string(),
                    fact.open_fds.map_or_else(|| "–".to_owned(), |n| Count(n.into()).to_string()),
                    Count(fact.threads.into()).to_string(),
                ),
            );
        }
    }
}

fn losses(out: &mut String, picture: &Picture) {
    let lost: Vec<String> = picture
        .losses
        .iter()
        .filter(|&(_, n)| n > 0)
        .map(|(loss, n)| format!("{} {}", loss.name(), Count(n)))
        .collect();
    let text = if lost.is_empty() { "nothing".to_owned() } else { lost.join(", ") };
    out.push('\n');
    row(out, "lost", &text);
}

/// The largest few, in order; the rest stay unsorted.
fn largest<T, K: Ord>(records: &mut [T], key: impl Fn(&T) -> K) -> &[T] {
    let rows = records.len().min(ROWS);
    if rows < records.len() {
        records.select_nth_unstable_by_key(rows, |r| Reverse(key(r)));
    }
    records[..rows].sort_unstable_by_key(|r| Reverse(key(r)));
    &records[..rows]
}

/// At most `width` letters of a name. A process calls itself what it likes, and a terminal does what it is sent.
fn cut(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text.into_owned();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::sample;
    use probelet_core::display::ContainerName;

    /// All containers of the sample under one name.
    fn named(name: &str) -> ContainerNames {
        let name = ContainerName { name: name.to_owned(), ..ContainerName::default() };
        let containers = &sample::snapshot().picture.names;
        ContainerNames(containers.iter().map(|c| (c.id.clone(), name.clone())).collect())
    }

    #[test]
    fn the_text_fits_a_hundred_columns() {
        let text =
            render(&sample::snapshot(), &named("a-container-name-that-goes-on-and-on-and-on"));

        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn a_name_cannot_change_the_terminal() {
        let text = render(&sample::snapshot(), &named("a\x1b]0;owned\x07\u{9b}2J\nb"));

        assert!(text.contains("a\\x1b]0;owned\\x07\\x9b2J"), "{text}");
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text}");
    }

    #[test]
    fn the_summary_counts_what_there_is() {
        let text = render(&sample::snapshot(), &ContainerNames::default());

        assert!(
            text.contains(
                "40 processes, 4 containers, 400 connections, 10 listeners, 40 flows, 7 network"
            ),
            "{text}"
        );
        assert!(text.contains("lost      vanished 514, no_owner 120\n"), "{text}");
    }

    #[test]
    fn the_busiest_flow_comes_first() {
        let text = render(&sample::snapshot(), &ContainerNames::default());
        let first = text.lines().skip_while(|l| !l.starts_with("FLOW")).nth(1).unwrap();

        assert!(first.contains(" 49 "), "{first}");
    }

    #[test]
    fn an_empty_node_has_no_tables() {
        let text = render(&sample::empty(), &ContainerNames::default());

        assert!(!text.contains("FLOW"));
        assert!(text.contains("lost      nothing"), "{text}");
    }
}
