//! A ranking as a table.
//!
//! In: rows. Out: a page: nodes with their cost, flows with how they fare, processes. Pure: values only.

use super::{FlowRow, NodeRow, ProcRow, Row, Top};
use crate::answer::conns::unasked;
use crate::seen::probe::Level;
use crate::show::{self, Align, Cell, Column, Page, Table};

impl show::Answer for Top {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        let mut table = match self.of {
            "nodes" => table(
                &["NODE", "LEVEL", "SOURCE"],
                &["CPU", "BUDGET", "MEMORY", "PROCS", "CONNS", "COVERAGE"],
                &["SICK", "WHY"],
            ),
            "flows" if self.rows.iter().any(Row::has_health) => table(
                &["FROM", "TO"],
                &["PORT", "OPEN", "OPENED/S", "BYTES/S", "RESENT", "FAILED"],
                &["PROBLEMS"],
            ),
            "flows" => table(&["FROM", "TO"], &["PORT", "OPEN", "OPENED/S", "BYTES/S"], &[]),
            _ => table(
                &["PROCESS", "POD", "NODE"],
                &["PID", "CPU", "CPU-TIME", "MEMORY", "FILES"],
                &[],
            ),
        };
        for row in &self.rows {
            table.row(match row {
                Row::Node(row) => node_cells(row),
                Row::Flow(row) => flow_cells(row),
                Row::Proc(row) => proc_cells(row),
            });
        }
        if table.is_empty() {
            page.line("Nothing has been reported yet.");
        }
        page.table(table);
        if self.more > 0 {
            page.line(Cell::dim(format!("and {} more (--most)", self.more)));
        }
        if let Some(note) = &self.note {
            page.line(Cell::dim(note));
        }
        unasked(&mut page, &self.unasked);
        page
    }

    fn names(&self) -> Vec<String> {
        let name = |row: &Row| match row {
            Row::Node(row) => format!("node/{}", row.node),
            Row::Flow(row) => format!("{} {} {}", row.from, row.to, row.port),
            Row::Proc(row) => row.process.clone(),
        };
        self.rows.iter().map(name).collect()
    }

    fn unasked(&self) -> &[(String, String)] {
        &self.unasked
    }
}

fn table(left: &[&'static str], right: &[&'static str], last: &[&'static str]) -> Table {
    let mut columns: Vec<Column> = left.iter().map(|name| Column(name, Align::Left)).collect();
    columns.extend(right.iter().map(|name| Column(name, Align::Right)));
    columns.extend(last.iter().map(|name| Column(name, Align::Left)));
    Table::new(&columns)
}

fn node_cells(row: &NodeRow) -> Vec<Cell> {
    let level = row.level.name();
    let count = |n: i64| show::count(u64::try_from(n).unwrap_or(0));
    vec![
        row.node.as_str().into(),
        if row.level == Level::Full { Cell::good(level) } else { Cell::warn(level) },
        row.source.as_str().into(),
        if row.cpu_nanocores > row.budget_nanocores {
            Cell::warn(show::cpu(row.cpu_nanocores))
        } else {
            show::cpu(row.cpu_nanocores).into()
        },
        show::cpu(row.budget_nanocores).into(),
        show::bytes(row.memory_bytes).into(),
        count(row.processes).into(),
        count(row.connections).into(),
        row.coverage.map_or("-".to_owned(), show::percent).into(),
        row.sick.as_deref().map_or_else(|| "-".into(), Cell::bad),
        row.reason.as_str().into(),
    ]
}

fn flow_cells(row: &FlowRow) -> Vec<Cell> {
    let udp = if row.protocol == "udp" { "/udp" } else { "" };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; bytes")]
    let bytes = |rate: f64| show::bytes(rate.max(0.0) as u64);
    let mut cells: Vec<Cell> = vec![
        row.from.as_str().into(),
        row.to.as_str().into(),
        format!("{}{udp}", row.port).into(),
        show::count(row.open).into(),
        row.opened_per_second.map_or("-".to_owned(), |rate| format!("{rate:.1}")).into(),
        row.bytes_per_second.map_or("-".to_owned(), bytes).into(),
    ];
    if let Some(health) = &row.health {
        let share = health.retransmitted_share.map_or("-".to_owned(), show::percent);
        cells.push(share.into());
        cells.push(show::count(health.failed).into());
        cells.push(Cell::bad(health.problems.join(", ")));
    }
    cells
}

fn proc_cells(row: &ProcRow) -> Vec<Cell> {
    let dash = || "-".to_owned();
    vec![
        row.process.as_str().into(),
        row.pod.clone().unwrap_or_else(dash).into(),
        row.node.as_str().into(),
        row.pid.map_or_else(dash, |pid| pid.to_string()).into(),
        row.cpu_nanocores.map_or_else(dash, show::cpu).into(),
        row.cpu_seconds.map_or_else(dash, |seconds| format!("{seconds:.2}s")).into(),
        row.rss_bytes.map_or_else(dash, show::bytes).into(),
        row.open_fds.map_or_else(dash, |n| n.to_string()).into(),
    ]
}
