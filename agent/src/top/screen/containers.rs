//! The columns of the containers.
//!
//! In: a container. Out: its cells and ranks. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, Width, put_or_dash, put_percent};
use crate::figures::{Bytes, Count, float, put};
use crate::top::view::View;
use probelet_core::display::short_id;
use probelet_core::facts::Runtime;
use probelet_core::records::ContainerRecord;

/// Containers with a process.
pub(in crate::top) static CONTAINERS: [Column<ContainerRecord>; 7] = [
    Column {
        heading: Heading::text("name", "NAME", Width::Flex(1), 0),
        rank: |view, c| Rank::text(view.container(c.id).as_bytes()),
        text: |view, c, out| out.push_str(&view.container(c.id)),
    },
    Column {
        heading: Heading::text("id", "ID", Width::Text(12), 60),
        rank: |view, c| Rank::text(id(view, c).as_bytes()),
        text: |view, c, out| out.push_str(id(view, c)),
    },
    Column {
        heading: Heading::text("runtime", "RUNTIME", Width::Text(10), 90),
        rank: |view, c| Rank::text(runtime(view, c).as_bytes()),
        text: |view, c, out| out.push_str(runtime(view, c)),
    },
    Column {
        heading: Heading::number("cpu", "CPU %", 6, 0),
        rank: |view, c| Rank::of(view.container_cpu(c)),
        text: |view, c, out| put_percent(out, view.container_cpu(c)),
    },
    Column {
        heading: Heading::number("memory", "MEMORY", 8, 40),
        rank: |_, c| Rank::of(c.memory_bytes.map(float)),
        text: |_, c, out| put_or_dash(out, c.memory_bytes.map(|bytes| Bytes(float(bytes)))),
    },
    Column {
        heading: Heading::number("processes", "PROCESSES", 9, 50),
        rank: |_, c| Rank::Number(f64::from(c.processes)),
        text: |_, c, out| put(out, Count(c.processes.into())),
    },
    Column {
        heading: Heading::number("connections", "CONNECTIONS", 11, 70),
        rank: |view, c| Rank::Number(view.held_by_container(c.id).into()),
        text: |view, c, out| put(out, Count(view.held_by_container(c.id).into())),
    },
];

fn id<'v>(view: &'v View, record: &ContainerRecord) -> &'v str {
    view.snapshot().picture.container(record.id).map_or("", |c| short_id(&c.id))
}

fn runtime(view: &View, record: &ContainerRecord) -> &'static str {
    match view.snapshot().picture.container(record.id).map(|c| c.runtime) {
        Some(Runtime::Unknown) | None => "",
        Some(runtime) => runtime.name(),
    }
}
