//! `conns`: the connections of a pod, a Service, a workload or a node.
//!
//! In: reports of the nodes concerned. Out: one line a connection; what opened and closed between two looks. Pure: the
//! time is that of the reports.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::seen::report::{Connection, Peer, Report, port};
use crate::show::{self, Align, Cell, Column, Page, Table};
use crate::target::Target;

/// Which connections are shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which {
    /// Closed ones as well.
    pub closed: bool,
    /// Only those with this port at either end.
    pub port: Option<u16>,
}

/// Connections.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conns {
    target: String,
    connections: Vec<Row>,
    /// Closed ones that are not shown.
    closed: usize,
    /// Which agent of each node answered, between two of its starts.
    #[serde(skip)]
    instances: BTreeMap<String, String>,
    /// Nodes that could not be asked, and why.
    pub unasked: Vec<(String, String)>,
}

/// A connection.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    node: String,
    #[serde(skip)]
    id: u64,
    who: String,
    comm: String,
    pid: Option<u32>,
    direction: String,
    peer: String,
    via: Option<String>,
    port: u16,
    protocol: String,
    state: String,
    local: String,
    remote: String,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    rtt_seconds: Option<f64>,
    segments_sent: Option<u64>,
    segments_retransmitted: Option<u64>,
    age_seconds: u64,
}

impl Conns {
    /// From these reports.
    #[must_use]
    pub fn of(target: &Target, reports: &[Report], which: Which) -> Self {
        let (mut connections, mut closed) = (Vec::new(), 0);
        for report in reports {
            let pods = target.pods(report);
            for connection in &report.connections {
                let ports = [port(&connection.local), port(&connection.remote)];
                let fits = which.port.is_none_or(|port| ports.contains(&port));
                if !fits || !target.means(connection, pods.as_ref()) {
                    continue;
                }
                if connection.state == "time-wait" && !which.closed {
                    closed += 1;
                } else {
                    connections.push(row(report, connection));
                }
            }
        }
        connections.sort_by(|a, b| {
            let key =
                |row: &Row| (row.who.clone(), row.direction.clone(), row.peer.clone(), row.port);
            key(a).cmp(&key(b))
        });
        let instances = reports.iter().map(|one| (one.node.clone(), one.instance.clone()));
        Self {
            target: target.to_string(),
            connections,
            closed,
            instances: instances.collect(),
            unasked: Vec::new(),
        }
    }

    /// What opened and what closed since an earlier look, as lines for people. Of a node that does not answer nothing is
    /// known to have closed; of one that answers first, nothing to have opened.
    #[must_use]
    pub fn since(&self, before: &Self, colours: bool) -> String {
        let is_same = |node: &String| before.instances.get(node) == self.instances.get(node);
        let by_key = |conns: &Self| -> BTreeMap<(String, Key), Row> {
            let key = |row: &Row| {
                // Numbers begin again with the agent.
                let key = if is_same(&row.node) { Key::Id(row.id) } else { row.ends() };
                ((row.node.clone(), key), row.clone())
            };
            conns.connections.iter().map(key).collect()
        };
        let (old, new) = (by_key(before), by_key(self));
        let (was_silent, is_silent) = (before.silent(), self.silent());
        let mut page = Page::default();
        let line = |sign: &str, row: &Row| {
            let port = row.port;
            format!(
                "{sign} {} {} {}:{port} {} {}",
                row.who,
                arrow(&row.direction),
                row.peer,
                row.protocol,
                row.state
            )
        };
        for (key, row) in &old {
            if !new.contains_key(key) && !is_silent.contains(&row.node) {
                page.line(Cell::dim(line("-", row)));
            }
        }
        for (key, row) in &new {
            let was_unknown =
                was_silent.contains(&row.node) && !before.instances.contains_key(&row.node);
            if was_unknown {
                page.line(line(" ", row));
            } else if !old.contains_key(key) {
                page.line(Cell::good(line("+", row)));
            }
        }
        let newly: Vec<_> =
            self.unasked.iter().filter(|(node, _)| !was_silent.contains(node)).cloned().collect();
        unasked(&mut page, &newly);
        page.text(colours)
    }

    /// Keeps what an earlier look had of nodes that do not answer now, for the look after this one.
    #[must_use]
    pub fn keeping(mut self, before: Self) -> Self {
        let silent = self.silent();
        let Self { mut connections, mut instances, .. } = before;
        connections.retain(|row| silent.contains(&row.node));
        instances.retain(|node, _| silent.contains(node));
        self.connections.extend(connections);
        self.instances.extend(instances);
        self
    }

    /// Nodes that could not be asked.
    fn silent(&self) -> BTreeSet<String> {
        self.unasked.iter().map(|(node, _)| node.clone()).collect()
    }
}

/// What makes a connection the same in two looks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Its number in the reports of one agent.
    Id(u64),
    /// Protocol, local and remote address.
    Ends(String, String, String),
}

impl Row {
    fn ends(&self) -> Key {
        Key::Ends(self.protocol.clone(), self.local.clone(), self.remote.clone())
    }

    /// As it is shown, in all columns if `wide`.
    fn cells(&self, wide: bool) -> Vec<Cell> {
        let bytes = |n: Option<u64>| n.map_or("-".to_owned(), show::bytes);
        let port = if self.protocol == "udp" {
            format!("{}/udp", self.port)
        } else {
            self.port.to_string()
        };
        let mut cells = vec![
            Cell::from(if self.who.is_empty() { "-" } else { self.who.as_str() }),
            arrow(&self.direction).into(),
            self.peer.as_str().into(),
            port.into(),
            self.via.clone().unwrap_or_else(|| "-".to_owned()).into(),
            self.remote.as_str().into(),
            if self.state == "established" {
                self.state.as_str().into()
            } else {
                Cell::dim(&self.state)
            },
            show::age(Duration::from_secs(self.age_seconds)).into(),
            bytes(self.bytes_sent).into(),
            bytes(self.bytes_received).into(),
        ];
        if wide {
            let process =
                self.pid.map_or_else(|| self.comm.clone(), |pid| format!("{}({pid})", self.comm));
            cells.push(self.rtt_seconds.map_or_else(|| "-".to_owned(), show::took).into());
            cells.push(self.resent());
            cells.extend([self.node.as_str(), &process, &self.local].map(Cell::from));
        }
        cells
    }

    /// Of the segments sent, how many were sent again.
    fn resent(&self) -> Cell {
        let (Some(sent), Some(again)) = (self.segments_sent, self.segments_retransmitted) else {
            return "-".into();
        };
        let text = format!("{again}/{}", sent.max(again));
        if again > 0 { Cell::bad(text) } else { text.into() }
    }
}

fn row(report: &Report, connection: &Connection) -> Row {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; seconds"
    )]
    let age = (report.time - connection.since).max(0.0) as u64;
    let inbound = connection.direction == "inbound";
    let unnamed = || connection.comm.clone();
    Row {
        node: report.node.clone(),
        id: connection.id,
        who: connection.pod.clone().unwrap_or_else(unnamed),
        comm: connection.comm.clone(),
        pid: connection.pid,
        direction: connection.direction.clone(),
        peer: peer(&connection.peer, &connection.remote),
        via: connection.peer.service.clone().filter(|_| !inbound),
        port: port(if inbound { &connection.local } else { &connection.remote }),
        protocol: connection.protocol.clone(),
        state: connection.state.clone(),
        local: connection.local.clone(),
        remote: connection.remote.clone(),
        bytes_sent: connection.bytes_sent,
        bytes_received: connection.bytes_received,
        rtt_seconds: connection.rtt_seconds,
        segments_sent: connection.segments_sent,
        segments_retransmitted: connection.segments_retransmitted,
        age_seconds: age,
    }
}

/// The other end as short as it is clear.
pub(super) fn peer(peer: &Peer, remote: &str) -> String {
    let name = peer.pod.as_ref().or(peer.name.as_ref());
    match (peer.kind.as_str(), name) {
        ("service", Some(name)) => format!("svc {name}"),
        ("node", Some(name)) => format!("node {name}"),
        (_, Some(name)) => name.clone(),
        // What the reader may not see has no address either.
        ("other", None) => "other".to_owned(),
        _ => crate::seen::report::address(remote).to_owned(),
    }
}

fn arrow(direction: &str) -> &'static str {
    match direction {
        "outbound" => "→",
        "inbound" => "←",
        _ => "–",
    }
}

impl show::Answer for Conns {
    fn page(&self, wide: bool) -> Page {
        let mut page = Page::default();
        let mut columns = vec![
            Column("WHO", Align::Left),
            Column("", Align::Left),
            Column("PEER", Align::Left),
            Column("PORT", Align::Right),
            Column("VIA", Align::Left),
            Column("REMOTE", Align::Left),
            Column("STATE", Align::Left),
            Column("AGE", Align::Right),
            Column("SENT", Align::Right),
            Column("RECEIVED", Align::Right),
        ];
        if wide {
            columns.extend(["RTT", "RESENT"].map(|name| Column(name, Align::Right)));
            columns.extend(["NODE", "PROCESS", "LOCAL"].map(|name| Column(name, Align::Left)));
        }
        let mut table = Table::new(&columns);
        for row in &self.connections {
            table.row(row.cells(wide));
        }
        if table.is_empty() {
            page.line(format!("{} has no open connection.", self.target));
        }
        page.table(table);
        if self.closed > 0 {
            page.line(Cell::dim(format!(
                "{} more closed within the last minute (--closed shows them)",
                self.closed
            )));
        }
        unasked(&mut page, &self.unasked);
        page
    }

    fn names(&self) -> Vec<String> {
        let mut peers: Vec<String> = self.connections.iter().map(|row| row.peer.clone()).collect();
        peers.sort();
        peers.dedup();
        peers
    }

    fn unasked(&self) -> &[(String, String)] {
        &self.unasked
    }
}

/// Says whom no one could ask, so that an answer that is not whole does not look so.
pub(super) fn unasked(page: &mut Page, nodes: &[(String, String)]) {
    for (node, why) in nodes {
        page.line(Cell::bad(incomplete(node, why)));
    }
}

/// The same as a text.
pub(crate) fn incomplete(node: &str, why: &str) -> String {
    format!("INCOMPLETE: {node} did not respond: {why}")
}
