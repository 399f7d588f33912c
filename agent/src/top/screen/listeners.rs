//! The columns of the listeners.
//!
//! In: a listener. Out: its cells and ranks. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, Width, owner};
use crate::figures::{Age, float, put};
use probelet_core::records::ListenerRecord;

/// Sockets that wait for connections or datagrams.
pub(in crate::top) static LISTENERS: [Column<ListenerRecord>; 8] = [
    Column {
        heading: Heading::text("proto", "PROTO", Width::Text(5), 40),
        rank: |_, l| Rank::text(l.protocol.name().as_bytes()),
        text: |_, l, out| out.push_str(l.protocol.name()),
    },
    Column {
        heading: Heading::address("local", "LOCAL", 2),
        rank: |_, l| Rank::endpoint(l.local),
        text: |_, l, out| put(out, l.local),
    },
    owner::pid(30),
    owner::comm(50),
    owner::container(70),
    Column {
        heading: Heading::number("queue", "QUEUE", 11, 84),
        rank: |_, l| Rank::of(l.queue.map(|queue| f64::from(queue.waiting))),
        text: |_, l, out| match l.queue {
            Some(queue) => put(out, format_args!("{}/{}", queue.waiting, queue.most)),
            None => out.push('-'),
        },
    },
    Column {
        heading: Heading::number("netns", "NETNS", 10, 90).ascending(),
        rank: |_, l| Rank::Number(f64::from(l.netns)),
        text: |_, l, out| put(out, l.netns),
    },
    Column {
        heading: Heading::number("age", "AGE", 6, 76).ascending(),
        rank: |view, l| Rank::Number(float(view.age_ms(l.since_ms))),
        text: |view, l, out| put(out, Age(view.age_ms(l.since_ms))),
    },
];
