//! The columns of the connections.
//!
//! In: a connection. Out: its cells and ranks. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, UNKNOWN, Width, owner, put_or_dash};
use crate::figures::{Age, Bytes, float, put};
use probelet_core::records::{ConnectionRecord, Direction};

/// Connections, as this end sees them.
pub(in crate::top) static CONNECTIONS: [Column<ConnectionRecord>; 12] = [
    Column {
        heading: Heading::text("proto", "L4", Width::Text(3), 78),
        rank: |_, c| Rank::text(c.protocol.name().as_bytes()),
        text: |_, c, out| out.push_str(c.protocol.name()),
    },
    Column {
        heading: Heading::text("state", "STATE", Width::Text(11), 78),
        rank: |_, c| Rank::text(c.state.name().as_bytes()),
        text: |_, c, out| out.push_str(c.state.name()),
    },
    Column {
        heading: Heading::address("local", "LOCAL", 2),
        rank: |_, c| Rank::endpoint(c.local),
        text: |_, c, out| put(out, c.local),
    },
    Column {
        heading: Heading::text("direction", " ", Width::Text(1), 0),
        rank: |_, c| Rank::text(c.direction.name().as_bytes()),
        text: |_, c, out| {
            out.push_str(match c.direction {
                Direction::Outbound => "→",
                Direction::Inbound => "←",
                Direction::Unknown => UNKNOWN,
            });
        },
    },
    Column {
        heading: Heading::address("remote", "REMOTE", 2),
        rank: |_, c| Rank::endpoint(c.remote),
        text: |_, c, out| put(out, c.remote),
    },
    owner::pid(60),
    owner::comm(60),
    owner::container(130),
    Column {
        heading: Heading::text("peer", "PEER", Width::Flex(2), 150),
        rank: |view, c| Rank::text(view.peer(c).as_bytes()),
        text: |view, c, out| out.push_str(&view.peer(c)),
    },
    Column {
        heading: Heading::number("sent", "SENT", 8, 104),
        rank: |_, c| Rank::of(c.bytes.map(|(sent, _)| float(sent))),
        text: |_, c, out| put_or_dash(out, c.bytes.map(|(sent, _)| Bytes(float(sent)))),
    },
    Column {
        heading: Heading::number("received", "RECEIVED", 8, 104),
        rank: |_, c| Rank::of(c.bytes.map(|(_, received)| float(received))),
        text: |_, c, out| put_or_dash(out, c.bytes.map(|(_, received)| Bytes(float(received)))),
    },
    Column {
        heading: Heading::number("age", "AGE", 6, 40).ascending(),
        rank: |view, c| Rank::Number(float(view.age_ms(c.since_ms))),
        text: |view, c, out| put(out, Age(view.age_ms(c.since_ms))),
    },
];
