//! Screens and their columns, and which rows of a table are to be seen.
//!
//! In: records, a sort column, a filter, a window of rows. Out: the records of that window, in
//! order. It must not sort what no one sees: a node may have 200,000 connections, a terminal has
//! fifty lines.
//!
//! Pure: no I/O.

mod connections;
mod containers;
mod flows;
mod listeners;
mod owner;
mod processes;

use crate::figures::put;
use crate::top::view::View;
pub(super) use connections::CONNECTIONS;
pub(super) use containers::CONTAINERS;
pub(super) use flows::FLOWS;
pub(super) use listeners::LISTENERS;
pub(super) use processes::PROCESSES;
use std::cmp::Ordering;

/// What the lower part of the terminal shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Screen {
    /// Who talks to whom.
    #[default]
    Flows,
    /// Every connection.
    Connections,
    /// Every process.
    Processes,
    /// Every container.
    Containers,
    /// Every socket that waits.
    Listeners,
}

impl Screen {
    /// All screens, in the order of their number keys.
    pub(super) const ALL: [Self; 5] =
        [Self::Flows, Self::Connections, Self::Processes, Self::Containers, Self::Listeners];

    /// The title of its tab.
    #[must_use]
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Flows => "Flows",
            Self::Connections => "Connections",
            Self::Processes => "Processes",
            Self::Containers => "Containers",
            Self::Listeners => "Listeners",
        }
    }

    /// Its columns, from left to right.
    pub(super) fn headings(self) -> Vec<Heading> {
        fn of<R>(columns: &[Column<R>]) -> Vec<Heading> {
            columns.iter().map(|c| c.heading).collect()
        }
        match self {
            Self::Flows => of(&FLOWS),
            Self::Connections => of(&CONNECTIONS),
            Self::Processes => of(&PROCESSES),
            Self::Containers => of(&CONTAINERS),
            Self::Listeners => of(&LISTENERS),
        }
    }

    /// The column that it is sorted by until set otherwise.
    pub(super) const fn default_sort(self) -> &'static str {
        match self {
            Self::Flows => "now",
            Self::Connections => "age",
            Self::Processes | Self::Containers => "cpu",
            Self::Listeners => "local",
        }
    }
}

/// How wide a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Always this wide; numbers, at the right edge.
    Number(u16),
    /// Always this wide; text.
    Text(u16),
    /// A share of what is left; text.
    Flex(u16),
}

/// What is lost first of a text that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clip {
    /// Its end.
    End,
    /// Its middle: addresses end with their port.
    Middle,
}

/// The part of a column that does not depend on its records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading {
    /// As `--sort` names it.
    pub(super) name: &'static str,
    /// As the table shows it.
    pub(super) title: &'static str,
    /// How wide it is.
    pub(super) width: Width,
    /// Narrower tables leave it out.
    pub(super) needs: u16,
    /// How it is shortened.
    pub(super) clip: Clip,
    /// Whether the largest comes first.
    pub(super) descending: bool,
}

impl Heading {
    /// A number: the largest first.
    const fn number(name: &'static str, title: &'static str, width: u16, needs: u16) -> Self {
        Self { name, title, width: Width::Number(width), needs, clip: Clip::End, descending: true }
    }

    /// A number of which the smallest comes first: ages and ports.
    const fn ascending(self) -> Self {
        Self { descending: false, ..self }
    }

    /// A text.
    const fn text(name: &'static str, title: &'static str, width: Width, needs: u16) -> Self {
        Self { name, title, width, needs, clip: Clip::End, descending: false }
    }

    /// An address with its port.
    const fn address(name: &'static str, title: &'static str, weight: u16) -> Self {
        let width = Width::Flex(weight);
        Self { name, title, width, needs: 0, clip: Clip::Middle, descending: false }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rank {
    /// A number; what is not known comes after all that is.
    Number(f64),
    /// The first bytes of a text, or an address.
    Bytes([u8; 24]),
}

impl Rank {
    fn of(number: Option<f64>) -> Self {
        Self::Number(number.unwrap_or(-1.0))
    }

    fn text(text: &[u8]) -> Self {
        let mut bytes = [0; 24];
        let len = text.len().min(bytes.len());
        bytes[..len].copy_from_slice(&text[..len]);
        bytes.make_ascii_lowercase();
        Self::Bytes(bytes)
    }

    fn endpoint(endpoint: probelet_core::facts::Endpoint) -> Self {
        let (addr, port) = (endpoint.addr, endpoint.port);
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&addr.to_be_bytes());
        bytes[16..18].copy_from_slice(&port.to_be_bytes());
        Self::Bytes(bytes)
    }

    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Number(_), Self::Bytes(_)) => Ordering::Less,
            (Self::Bytes(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// A column of records `R`.
pub(super) struct Column<R> {
    /// What it is called and how wide it is.
    pub(super) heading: Heading,
    /// What it is sorted by.
    pub(super) rank: fn(&View, &R) -> Rank,
    /// What it shows.
    pub(super) text: fn(&View, &R, &mut String),
}

/// Which rows are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The column to sort by.
    pub(super) sort: usize,
    /// Whether the largest comes first.
    pub(super) descending: bool,
    /// In lower case; rows that do not show it are left out.
    pub(super) filter: &'a str,
    /// The first row.
    pub(super) offset: usize,
    /// How many.
    pub(super) height: usize,
}

/// The wanted rows in order, and how many there are in all.
pub(super) fn select<'r, R>(
    view: &View,
    columns: &[Column<R>],
    records: impl Iterator<Item = &'r R>,
    wanted: Wanted<'_>,
) -> (Vec<&'r R>, usize) {
    let Some(rank) = columns.get(wanted.sort).map(|c| c.rank) else { return (Vec::new(), 0) };
    let mut scratch = String::new();
    let mut rows: Vec<(Rank, usize, &R)> = records
        .filter(|record| {
            wanted.filter.is_empty() || shows(view, columns, record, wanted.filter, &mut scratch)
        })
        .enumerate()
        .map(|(n, record)| (rank(view, record), n, record))
        .collect();
    let total = rows.len();
    // Equal rows keep the order of the table, which stays the same from snapshot to snapshot.
    let compare = |a: &(Rank, usize, &R), b: &(Rank, usize, &R)| {
        let order = a.0.compare(&b.0);
        if wanted.descending { order.reverse() } else { order }.then(a.1.cmp(&b.1))
    };
    let end = wanted.offset.saturating_add(wanted.height).min(total);
    if end == 0 {
        return (Vec::new(), total);
    }
    if end < total {
        rows.select_nth_unstable_by(end - 1, compare);
        rows.truncate(end);
    }
    let start = wanted.offset.min(end);
    if start > 0 && start < rows.len() {
        rows.select_nth_unstable_by(start, compare);
    }
    let window = &mut rows[start..];
    window.sort_unstable_by(compare);
    (window.iter().map(|row| row.2).collect(), total)
}

fn shows<R>(
    view: &View,
    columns: &[Column<R>],
    record: &R,
    filter: &str,
    scratch: &mut String,
) -> bool {
    scratch.clear();
    for column in columns {
        (column.text)(view, record, scratch);
        scratch.push(' ');
    }
    scratch.make_ascii_lowercase();
    scratch.contains(filter)
}

/// What stands for a figure that is not known.
const UNKNOWN: &str = "–";

/// Appends a figure, or a dash when it is not known.
fn put_or_dash(out: &mut String, value: Option<impl std::fmt::Display>) {
    match value {
        Some(value) => put(out, value),
        None => out.push_str(UNKNOWN),
    }
}

/// A share of a core without its sign, which stands in the heading.
fn put_percent(out: &mut String, cores: Option<f64>) {
    put_or_dash(out, cores.map(|c| format!("{:.1}", c * 100.0)));
}
