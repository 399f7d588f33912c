//! The columns of the processes.
//!
//! In: a process. Out: its cells and ranks. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, Width, put_or_dash, put_percent};
use crate::figures::{Age, Bytes, Count, float, put};
use probelet_core::records::ProcessRecord;

/// Processes.
pub(in crate::top) static PROCESSES: [Column<ProcessRecord>; 9] = [
    Column {
        heading: Heading::number("pid", "PID", 7, 0).ascending(),
        rank: |_, p| Rank::Number(f64::from(p.fact.pid)),
        text: |_, p, out| put(out, p.fact.pid),
    },
    Column {
        heading: Heading::text("comm", "COMM", Width::Flex(1), 0),
        rank: |_, p| Rank::text(p.fact.comm.bytes()),
        text: |_, p, out| put(out, p.fact.comm),
    },
    Column {
        heading: Heading::text("container", "CONTAINER", Width::Flex(1), 76),
        rank: |view, p| {
            p.fact.container.map_or(Rank::text(b""), |id| Rank::text(view.container(id).as_bytes()))
        },
        text: |view, p, out| {
            p.fact.container.iter().for_each(|&id| out.push_str(&view.container(id)));
        },
    },
    Column {
        heading: Heading::number("cpu", "CPU %", 6, 30),
        rank: |view, p| Rank::of(view.process_cpu(p)),
        text: |view, p, out| put_percent(out, view.process_cpu(p)),
    },
    Column {
        heading: Heading::number("memory", "RSS", 8, 40),
        rank: |_, p| Rank::Number(float(p.fact.rss_bytes)),
        text: |_, p, out| put(out, Bytes(float(p.fact.rss_bytes))),
    },
    Column {
        heading: Heading::number("threads", "THREADS", 7, 60),
        rank: |_, p| Rank::Number(f64::from(p.fact.threads)),
        text: |_, p, out| put(out, Count(p.fact.threads.into())),
    },
    Column {
        heading: Heading::number("fds", "FDS", 7, 50),
        rank: |_, p| Rank::of(p.fact.open_fds.map(f64::from)),
        text: |_, p, out| put_or_dash(out, p.fact.open_fds.map(|n| Count(n.into()))),
    },
    Column {
        heading: Heading::number("connections", "CONNS", 7, 60),
        rank: |view, p| Rank::Number(view.held_by_process(p.fact.pid).into()),
        text: |view, p, out| put(out, Count(view.held_by_process(p.fact.pid).into())),
    },
    Column {
        heading: Heading::number("age", "AGE", 6, 90).ascending(),
        rank: |view, p| Rank::Number(float(view.age_since_boot_ms(p.fact.start_ns))),
        text: |view, p, out| put(out, Age(view.age_since_boot_ms(p.fact.start_ns))),
    },
];
