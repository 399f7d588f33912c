//! `map`: who talks to whom.
//!
//! In: reports of several nodes, and the Services' ports. Out: one edge for each pair of ends and port, in which each
//! connection is counted once. Pure: values only.

mod picture;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::conns::unasked;
use super::edges::all_flows;
use super::naming::Names;
use crate::args::Format;
use crate::seen::report::{Flow, Report, Rtt};
use crate::show::{self, Align, Cell, Column, Page, Table};

/// What an end is called that no one knows.
pub(super) const NAMELESS: &str = "(no name)";

/// Who talks to whom.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Map {
    namespace: Option<String>,
    /// The edges, the busiest first.
    pub edges: Vec<Edge>,
    /// Flows with an end without a name, which are left out.
    nameless: usize,
    /// Nodes that could not be asked, and why.
    pub unasked: Vec<(String, String)>,
}

/// Connections between two ends, on one port.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Who opened them: `namespace/Kind/name`, an address, …
    pub from: String,
    /// Who accepted them.
    pub to: String,
    /// The Services that were used, `namespace/name`.
    pub services: BTreeSet<String>,
    /// The port that answers.
    pub port: u16,
    /// The ports that were connected to, where another one answers.
    pub service_ports: BTreeSet<u16>,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Open now.
    pub current: u64,
    /// Seen to open.
    pub opened: u64,
    /// From opener to acceptor.
    pub bytes_sent: u64,
    /// Back.
    pub bytes_received: u64,
    /// How its connections fare.
    #[serde(flatten)]
    pub health: Health,
}

/// How the connections of an edge fare: of several flows the worst.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Round-trip times, seconds.
    pub rtt_seconds: Option<Rtt>,
    /// Of what was sent lately, the share that was sent again.
    pub retransmitted_share: Option<f64>,
    /// Attempts to connect that failed.
    pub failed: u64,
    /// Connections that ended by a reset.
    pub resets: u64,
    /// What is wrong with it now.
    pub problems: BTreeSet<String>,
}

impl Health {
    fn of(flow: &Flow) -> Self {
        Self {
            rtt_seconds: flow.rtt_seconds,
            retransmitted_share: flow.retransmitted_share,
            failed: flow.failed,
            resets: flow.resets,
            // Words that become part of pictures; those of a later release are words as well.
            problems: flow.problems.iter().filter(|word| is_word(word)).cloned().collect(),
        }
    }

    /// Together with another flow of the same edge, as the same node sees it.
    fn and(&self, other: &Self) -> Self {
        let worse = |one: Option<f64>, another: Option<f64>| match (one, another) {
            (Some(one), Some(another)) => Some(one.max(another)),
            (one, another) => one.or(another),
        };
        let rtt_seconds = match (self.rtt_seconds, other.rtt_seconds) {
            (Some(a), Some(b)) => Some(Rtt {
                min: a.min.min(b.min),
                median: a.median.max(b.median),
                p99: a.p99.max(b.p99),
            }),
            (one, another) => one.or(another),
        };
        Self {
            rtt_seconds,
            retransmitted_share: worse(self.retransmitted_share, other.retransmitted_share),
            failed: self.failed + other.failed,
            resets: self.resets + other.resets,
            problems: self.problems.union(&other.problems).cloned().collect(),
        }
    }

    /// Together with what the node of the other end sees of the same connections.
    fn seen_by_both(&self, other: &Self) -> Self {
        let failed = self.failed.max(other.failed);
        Self { failed, resets: self.resets.max(other.resets), ..self.and(other) }
    }
}

impl Map {
    /// Of a namespace, or of everything.
    #[must_use]
    pub fn of(reports: &[Report], names: &Names, namespace: Option<&str>, all: bool) -> Self {
        let mut edges: BTreeMap<(String, String, u16, String), Edge> = BTreeMap::new();
        // What the node of the other end sees of connections that are counted here.
        let mut far = BTreeMap::new();
        let mut nameless = 0;
        for known in all_flows(reports, names) {
            let inside = |end: &Option<String>| {
                namespace.is_none_or(|namespace| {
                    end.as_ref().is_some_and(|end| {
                        end.split_once('/').is_some_and(|(first, _)| first == namespace)
                    })
                })
            };
            let (from, to) = (known.from, known.to);
            if !inside(&from) && !inside(&to) {
                continue;
            }
            if (from.is_none() || to.is_none() || known.unattributed) && !all {
                nameless += usize::from(known.counts);
                continue;
            }
            let shown = |end: Option<String>| end.unwrap_or_else(|| NAMELESS.to_owned());
            let (from, to) = (shown(from), shown(to));
            let protocol = known.flow.protocol.clone();
            let key = (from.clone(), to.clone(), known.port, protocol.clone());
            if !known.counts {
                let other: &mut Health = far.entry(key).or_default();
                *other = other.and(&Health::of(known.flow));
                continue;
            }
            let new = Edge { from, to, port: known.port, protocol, ..Edge::default() };
            add(edges.entry(key).or_insert(new), known.flow);
        }
        for (key, health) in far {
            if let Some(edge) = edges.get_mut(&key) {
                edge.health = edge.health.seen_by_both(&health);
            }
        }
        let mut edges: Vec<Edge> = edges.into_values().collect();
        edges.sort_by(|a, b| {
            let key =
                |edge: &Edge| std::cmp::Reverse((edge.opened + edge.current, edge.bytes_sent));
            key(a).cmp(&key(b))
        });
        Self { namespace: namespace.map(str::to_owned), edges, nameless, unasked: Vec::new() }
    }

    /// As a picture, if one was asked for.
    #[must_use]
    pub fn picture(&self, format: Format) -> Option<String> {
        match format {
            Format::Dot => Some(picture::dot(&self.edges)),
            Format::Mermaid => Some(picture::mermaid(&self.edges)),
            Format::Svg => Some(picture::svg(&self.edges)),
            _ => None,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn add(edge: &mut Edge, flow: &Flow) {
    edge.current += flow.current;
    edge.opened += flow.opened;
    edge.bytes_sent += flow.bytes_sent;
    edge.bytes_received += flow.bytes_received;
    edge.health = edge.health.and(&Health::of(flow));
    edge.services.extend(flow.service.clone());
    edge.service_ports.extend(flow.service_port);
}

/// The Services, each with the ports that were connected to.
fn via(edge: &Edge) -> String {
    if edge.services.is_empty() {
        return "-".to_owned();
    }
    let services: Vec<&str> = edge.services.iter().map(String::as_str).collect();
    let ports: Vec<String> = edge.service_ports.iter().map(u16::to_string).collect();
    let colon = if ports.is_empty() { "" } else { ":" };
    format!("{}{colon}{}", services.join(","), ports.join(","))
}

impl show::Answer for Map {
    fn page(&self, wide: bool) -> Page {
        let mut columns = vec![Column("FROM", Align::Left), Column("TO", Align::Left)];
        columns.extend(
            ["PORT", "OPEN", "OPENED", "SENT", "RECEIVED"].map(|name| Column(name, Align::Right)),
        );
        if wide {
            columns.push(Column("VIA", Align::Left));
            let names = ["RTT-MIN", "RTT", "RTT-P99", "RESENT", "FAILED", "RESETS"];
            columns.extend(names.map(|name| Column(name, Align::Right)));
        }
        let sick = self.edges.iter().any(|edge| !edge.health.problems.is_empty());
        if sick {
            columns.push(Column("PROBLEMS", Align::Left));
        }
        let mut table = Table::new(&columns);
        for edge in &self.edges {
            let udp = if edge.protocol == "udp" { "/udp" } else { "" };
            let mut cells = vec![
                edge.from.as_str().into(),
                edge.to.as_str().into(),
                format!("{}{udp}", edge.port).into(),
                show::count(edge.current).into(),
                show::count(edge.opened).into(),
                show::bytes(edge.bytes_sent).into(),
                show::bytes(edge.bytes_received).into(),
            ];
            let health = &edge.health;
            if wide {
                cells.push(via(edge).into());
                let rtt = health.rtt_seconds;
                let time = |pick: fn(Rtt) -> f64| {
                    rtt.map_or_else(|| "-".to_owned(), |rtt| show::took(pick(rtt))).into()
                };
                cells.extend([time(|rtt| rtt.min), time(|rtt| rtt.median), time(|rtt| rtt.p99)]);
                let share = health.retransmitted_share.map(show::percent);
                cells.push(share.unwrap_or_else(|| "-".to_owned()).into());
                cells.extend([health.failed, health.resets].map(|n| show::count(n).into()));
            }
            if sick {
                let problems: Vec<&str> = health.problems.iter().map(String::as_str).collect();
                cells.push(Cell::bad(problems.join(", ")));
            }
            table.row(cells);
        }
        let mut page = Page::default();
        if table.is_empty() {
            let place = self.namespace.as_deref().unwrap_or("any namespace");
            page.line(format!("No flow with named ends is known in {place}."));
        }
        page.table(table);
        if self.nameless > 0 {
            page.line(Cell::dim(format!(
                "{} flows have an end without a name, or a source on a node that is not known, and are left out (--all shows them)",
                self.nameless
            )));
        }
        unasked(&mut page, &self.unasked);
        page
    }

    fn names(&self) -> Vec<String> {
        let mut ends: Vec<String> =
            self.edges.iter().flat_map(|edge| [edge.from.clone(), edge.to.clone()]).collect();
        ends.sort();
        ends.dedup();
        ends
    }

    fn unasked(&self) -> &[(String, String)] {
        &self.unasked
    }
}
