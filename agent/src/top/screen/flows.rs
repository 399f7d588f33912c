//! The columns of the flows.
//!
//! In: a flow. Out: its cells and ranks. It must not sort or draw.
//!
//! Pure: no I/O.

use super::{Column, Heading, Rank, Width, put_or_dash};
use crate::figures::{Bytes, Count, PerSecond, Share, Took, float, put};
use probelet_core::records::{FlowRecord, Workload};

/// Flows, from source to destination.
pub(in crate::top) static FLOWS: [Column<FlowRecord>; 12] = [
    Column {
        heading: Heading::text("source", "SOURCE", Width::Flex(1), 0),
        rank: |view, flow| Rank::text(view.workload(flow.key.source).as_bytes()),
        text: |view, flow, out| out.push_str(&view.workload(flow.key.source)),
    },
    Column {
        heading: Heading::text("destination", "→ DESTINATION", Width::Flex(1), 0),
        rank: |view, flow| Rank::text(view.workload(flow.key.destination).as_bytes()),
        text: |view, flow, out| {
            out.push_str(if flow.key.port == 0 { "– " } else { "→ " });
            out.push_str(&view.workload(flow.key.destination));
        },
    },
    Column {
        heading: Heading::number("port", "PORT", 5, 36).ascending(),
        rank: |_, flow| Rank::Number(f64::from(flow.key.port)),
        text: |_, flow, out| put_or_dash(out, Some(flow.key.port).filter(|&port| port != 0)),
    },
    Column {
        heading: Heading::text("proto", "PROTO", Width::Text(5), 60),
        rank: |_, flow| Rank::text(flow.key.protocol.name().as_bytes()),
        text: |_, flow, out| {
            if flow.key.destination != Workload::Other {
                out.push_str(flow.key.protocol.name());
            }
        },
    },
    Column {
        heading: Heading::number("now", "NOW", 5, 0),
        rank: |_, flow| Rank::Number(f64::from(flow.current)),
        text: |_, flow, out| put(out, Count(flow.current.into())),
    },
    Column {
        heading: Heading::number("rate", "OPEN/s", 6, 70),
        rank: |view, flow| Rank::of(view.opened(flow)),
        text: |view, flow, out| put_or_dash(out, view.opened(flow).map(PerSecond)),
    },
    Column {
        heading: Heading::number("opened", "OPENED", 9, 100),
        rank: |_, flow| Rank::Number(float(flow.opened)),
        text: |_, flow, out| put(out, Count(flow.opened)),
    },
    Column {
        heading: Heading::number("closed", "CLOSED", 9, 100),
        rank: |_, flow| Rank::Number(float(flow.closed)),
        text: |_, flow, out| put(out, Count(flow.closed)),
    },
    Column {
        heading: Heading::number("sent", "SENT/s", 8, 76),
        rank: |view, flow| Rank::of(view.traffic(flow).map(|[sent, _]| sent)),
        text: |view, flow, out| put_or_dash(out, view.traffic(flow).map(|[sent, _]| Bytes(sent))),
    },
    Column {
        heading: Heading::number("received", "RECV/s", 8, 76),
        rank: |view, flow| Rank::of(view.traffic(flow).map(|[_, received]| received)),
        text: |view, flow, out| {
            put_or_dash(out, view.traffic(flow).map(|[_, received]| Bytes(received)));
        },
    },
    Column {
        heading: Heading::number("rtt", "RTT", 7, 110),
        rank: |_, flow| Rank::of(rtt(flow)),
        text: |_, flow, out| put_or_dash(out, rtt(flow).map(Took)),
    },
    Column {
        heading: Heading::number("resent", "RESENT", 7, 118),
        rank: |_, flow| Rank::of(flow.health.recent.share()),
        text: |_, flow, out| {
            put_or_dash(out, flow.health.recent.share().map(Share));
            if flow.health.problems.any() {
                out.push('!');
            }
        },
    },
];

/// The median round-trip time of its connections, seconds.
fn rtt(flow: &FlowRecord) -> Option<f64> {
    let us = flow.health.rtt.median_us;
    (us > 0).then(|| f64::from(us) / 1e6)
}
