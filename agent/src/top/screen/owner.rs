//! The columns of the process that holds a socket: the same for connections and listeners.
//!
//! In: from which width of the table on each is shown. Out: columns. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, Width, put_or_dash};
use crate::figures::put;
use probelet_core::records::{ConnectionRecord, ListenerRecord, Owner};

/// What a process holds.
pub(super) trait Held {
    fn owner(&self) -> &Owner;
}

impl Held for ConnectionRecord {
    fn owner(&self) -> &Owner {
        &self.owner
    }
}

impl Held for ListenerRecord {
    fn owner(&self) -> &Owner {
        &self.owner
    }
}

pub(super) const fn pid<R: Held>(needs: u16) -> Column<R> {
    Column {
        heading: Heading::number("pid", "PID", 7, needs).ascending(),
        rank: |_, held| Rank::Number(f64::from(held.owner().pid)),
        text: |_, held, out| put_or_dash(out, Some(held.owner().pid).filter(|&pid| pid != 0)),
    }
}

pub(super) const fn comm<R: Held>(needs: u16) -> Column<R> {
    Column {
        heading: Heading::text("comm", "COMM", Width::Flex(1), needs),
        rank: |_, held| Rank::text(held.owner().comm.bytes()),
        text: |_, held, out| put(out, held.owner().comm),
    }
}

pub(super) const fn container<R: Held>(needs: u16) -> Column<R> {
    Column {
        heading: Heading::text("container", "CONTAINER", Width::Flex(2), needs),
        rank: |view, held| {
            let container = held.owner().container;
            container.map_or(Rank::text(b""), |id| Rank::text(view.container(id).as_bytes()))
        },
        text: |view, held, out| {
            held.owner().container.iter().for_each(|&id| out.push_str(&view.container(id)));
        },
    }
}
