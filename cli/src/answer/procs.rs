//! `procs`: the processes of a pod, a workload or a node.
//!
//! In: reports of the nodes concerned. Out: one line a process. Pure: the time is that of the reports.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::conns::unasked;
use crate::seen::report::{Process, Report};
use crate::show::{self, Align, Cell, Column, Page, Table};
use crate::target::Target;

/// Processes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Procs {
    target: String,
    processes: Vec<Row>,
    /// Nodes that could not be asked, and why.
    pub unasked: Vec<(String, String)>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    node: String,
    pid: u32,
    comm: String,
    pod: Option<String>,
    cpu_seconds: f64,
    rss_bytes: u64,
    open_fds: Option<u64>,
    threads: u64,
    connections: usize,
    listens: Vec<String>,
    age_seconds: u64,
}

impl Procs {
    /// From these reports.
    #[must_use]
    pub fn of(target: &Target, reports: &[Report]) -> Self {
        let mut processes = Vec::new();
        for report in reports {
            let pods = target.pods(report);
            let mut open: BTreeMap<u32, usize> = BTreeMap::new();
            for pid in
                report.connections.iter().filter(|c| c.state != "time-wait").filter_map(|c| c.pid)
            {
                *open.entry(pid).or_default() += 1;
            }
            let meant = |process: &&Process| {
                pods.as_ref()
                    .is_none_or(|pods| process.pod.as_ref().is_some_and(|p| pods.contains(p)))
            };
            for process in report.processes.iter().filter(meant) {
                processes.push(row(report, process, open.get(&process.pid).copied().unwrap_or(0)));
            }
        }
        processes.sort_by(|a, b| {
            a.pod.cmp(&b.pod).then(b.cpu_seconds.total_cmp(&a.cpu_seconds)).then(a.pid.cmp(&b.pid))
        });
        Self { target: target.to_string(), processes, unasked: Vec::new() }
    }
}

fn row(report: &Report, process: &Process, connections: usize) -> Row {
    let of = |pid: Option<u32>| pid == Some(process.pid);
    let mut listens: Vec<String> = report
        .listeners
        .iter()
        .filter(|listener| of(listener.pid))
        .map(|l| format!("{}/{}", crate::seen::report::port(&l.local), l.protocol))
        .collect();
    listens.sort();
    listens.dedup();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; seconds"
    )]
    let age_seconds = (report.time - process.start_time).max(0.0) as u64;
    Row {
        node: report.node.clone(),
        pid: process.pid,
        comm: process.comm.clone(),
        pod: process.pod.clone(),
        cpu_seconds: process.cpu_seconds,
        rss_bytes: process.rss_bytes,
        open_fds: process.open_fds,
        threads: process.threads,
        connections,
        listens,
        age_seconds,
    }
}

impl show::Answer for Procs {
    fn page(&self, wide: bool) -> Page {
        let mut columns = vec![Column("POD", Align::Left), Column("PROCESS", Align::Left)];
        columns.extend(
            ["PID", "CPU-TIME", "MEMORY", "FILES", "THREADS", "CONNS"]
                .map(|n| Column(n, Align::Right)),
        );
        columns.extend([Column("LISTENS", Align::Left), Column("AGE", Align::Right)]);
        if wide {
            columns.push(Column("NODE", Align::Left));
        }
        let mut table = Table::new(&columns);
        for row in &self.processes {
            let mut cells = vec![
                row.pod.as_deref().map_or_else(|| Cell::dim("-"), Cell::from),
                row.comm.as_str().into(),
                row.pid.to_string().into(),
                format!("{:.2}s", row.cpu_seconds).into(),
                show::bytes(row.rss_bytes).into(),
                row.open_fds.map_or("-".to_owned(), |n| n.to_string()).into(),
                row.threads.to_string().into(),
                row.connections.to_string().into(),
                row.listens.join(",").into(),
                show::age(Duration::from_secs(row.age_seconds)).into(),
            ];
            if wide {
                cells.push(row.node.as_str().into());
            }
            table.row(cells);
        }
        let mut page = Page::default();
        if table.is_empty() {
            page.line(format!("No process of {} is known.", self.target));
        }
        page.table(table);
        unasked(&mut page, &self.unasked);
        page
    }

    fn names(&self) -> Vec<String> {
        self.processes.iter().map(|row| row.pid.to_string()).collect()
    }

    fn unasked(&self) -> &[(String, String)] {
        &self.unasked
    }
}
