//! The parts of a report that are not lists: what it is of, how complete it is, and how the agent
//! itself is doing.
//!
//! In: a snapshot. Out: the beginning and the end of the JSON object. It must not touch a table.
//!
//! Pure: no I/O.

use super::json::{decimal, float, int, int_or_null, string, string_or_null, write};
use super::span::Span;
use crate::capabilities::Set;
use crate::clock::boot_ns;
use crate::rights::{Protection, Rights};
use crate::serve::sight::Sight;
use crate::snapshot::instance::{Instance, instance};
use crate::snapshot::{Intervals, Snapshot, Vitals};
use crate::sys::seccomp;
use probelet_core::cluster::objects::Kind;
use probelet_core::coverage::Count;

/// Width of the window that `coverage.ratio` is about, seconds.
const COVERAGE_WINDOW: u64 = 60;

/// From the opening brace to the lists.
pub(crate) fn head(out: &mut Vec<u8>, snapshot: &Snapshot, span: Span, sight: &Sight) {
    let picture = &snapshot.picture;
    let instance = instance_for(snapshot, sight);
    write(out, format_args!("{{\"epoch\":{},\"instance\":\"{instance}\",\"time\":", picture.epoch));
    decimal(out, picture.now.unix_ms, 3);
    match span {
        Span::Full { since: None } => out.extend_from_slice(b",\"full\":true"),
        Span::Full { since: Some(since) } => {
            write(out, format_args!(",\"since\":{since},\"full\":true"));
        }
        Span::Delta(since) => write(out, format_args!(",\"since\":{since},\"full\":false")),
    }
    out.extend_from_slice(b",\"node\":");
    string(out, snapshot.node.as_bytes());
    if sight.is_narrow() {
        out.extend_from_slice(b",\"namespaces\":[");
        for (n, namespace) in sight.namespaces().iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            string(out, namespace.as_bytes());
        }
        out.push(b']');
    }
    let vitals = &snapshot.vitals;
    let (source, level) = (vitals.source_kind.name(), vitals.level.name());
    write(out, format_args!(",\"source\":\"{source}\",\"level\":\"{level}\""));
    let short_lived = &vitals.short_lived;
    write(
        out,
        format_args!(",\"shortLived\":{{\"mode\":\"{}\",\"reason\":", short_lived.mode.name()),
    );
    string_or_null(out, short_lived.reason.as_deref());
    out.extend_from_slice(b",\"neededCores\":");
    float(out, short_lived.needs_cores.unwrap_or(f64::NAN));
    write(
        out,
        format_args!(
            ",\"received\":{},\"overruns\":{}}}",
            short_lived.messages, short_lived.overruns
        ),
    );
    let [minute, total] = picture.coverage;
    out.extend_from_slice(b",\"coverage\":{");
    if sight.is_narrow() {
        // How many connections the node has in all is not this reader's.
        out.extend_from_slice(b"\"ratio\":");
        float(out, minute.ratio().unwrap_or(f64::NAN));
        write(out, format_args!(",\"windowSeconds\":{COVERAGE_WINDOW}}}"));
        return;
    }
    count(out, minute);
    out.extend_from_slice(b",\"unseen\":");
    int_or_null(out, picture.unseen);
    write(out, format_args!(",\"windowSeconds\":{COVERAGE_WINDOW},\"total\":{{"));
    count(out, total);
    out.extend_from_slice(b"}}");
}

fn count(out: &mut Vec<u8>, count: Count) {
    out.extend_from_slice(b"\"ratio\":");
    // What is not a number is written as null: nothing was opened.
    float(out, count.ratio().unwrap_or(f64::NAN));
    write(out, format_args!(",\"opened\":{},\"observed\":{}", count.opened, count.observed));
}

/// Which run, as this reader sees it.
pub(crate) fn instance_for(snapshot: &Snapshot, sight: &Sight) -> Instance {
    let instance = instance(snapshot);
    if sight.is_narrow() { instance.narrowed() } else { instance }
}

/// The same for who sees some namespaces: how well the agent does, and no figure or text about all of the node.
pub(crate) fn narrow_tail(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let vitals = &snapshot.vitals;
    write(
        out,
        format_args!(
            ",\"losses\":{{}},\"agent\":{{\"version\":\"{}\",\"level\":\"{}\"",
            env!("CARGO_PKG_VERSION"),
            vitals.level.name()
        ),
    );
    let now = boot_ns();
    numbers(out, age(vitals, now));
    intervals(out, "desiredIntervalSeconds", vitals.desired);
    intervals(out, "effectiveIntervalSeconds", vitals.effective_at(now));
    out.extend_from_slice(b"}}\n");
}

/// How old the picture is, and the agent.
fn age(vitals: &Vitals, now: u64) -> [(&'static str, f64); 3] {
    [
        ("freshnessSeconds", vitals.freshness_at(now)),
        ("verified", vitals.verified_unix),
        ("started", vitals.started_unix),
    ]
}

/// Fields that follow others.
fn numbers(out: &mut Vec<u8>, fields: [(&'static str, f64); 3]) {
    for (name, value) in fields {
        write(out, format_args!(",\"{name}\":"));
        float(out, value);
    }
}

/// From the lists to the closing brace.
pub(crate) fn tail(out: &mut Vec<u8>, snapshot: &Snapshot) {
    out.extend_from_slice(b",\"losses\":{");
    for (n, (loss, count)) in snapshot.picture.losses.iter().enumerate() {
        write(out, format_args!("{}\"{}\":{count}", if n == 0 { "" } else { "," }, loss.name()));
    }
    cluster(out, snapshot);
    let vitals = &snapshot.vitals;
    write(out, format_args!("}},\"agent\":{{\"version\":\"{}\"", env!("CARGO_PKG_VERSION")));
    write(out, format_args!(",\"level\":\"{}\",\"levelReason\":", vitals.level.name()));
    string(out, vitals.level_reason.as_bytes());
    let now = boot_ns();
    let cost = [
        ("cpuCores", vitals.cpu_cores),
        ("budgetCores", vitals.budget_cores),
        ("windowSeconds", vitals.window_seconds),
    ];
    numbers(out, cost);
    numbers(out, age(vitals, now));
    out.extend_from_slice(b",\"rssBytes\":");
    int(out, vitals.rss_bytes);
    intervals(out, "desiredIntervalSeconds", vitals.desired);
    intervals(out, "effectiveIntervalSeconds", vitals.effective_at(now));
    out.extend_from_slice(b",\"refused\":[");
    let lost = vitals.conntrack_error.iter().map(|lost| &**lost);
    for (n, message) in vitals.refused.iter().map(|s| &**s).chain(lost).enumerate() {
        if n > 0 {
            out.push(b',');
        }
        string(out, message.as_bytes());
    }
    write(out, format_args!("],\"configGeneration\":{},\"configHash\":", vitals.config_generation));
    string(out, vitals.config_hash.as_bytes());
    out.extend_from_slice(b",\"configOrigin\":");
    string(out, vitals.config_origin.as_bytes());
    out.extend_from_slice(b",\"configError\":");
    string_or_null(out, vitals.config_error.as_deref());
    rights(out, &vitals.rights);
    out.extend_from_slice(b"}}\n");
}

/// What the agent may still do, and what keeps it from more.
fn rights(out: &mut Vec<u8>, rights: &Rights) {
    out.extend_from_slice(b",\"rights\":{\"start\":");
    names(out, rights.start);
    out.extend_from_slice(b",\"held\":[");
    for (n, (thread, set)) in rights.held.iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        write(out, format_args!("{comma}{{\"thread\":\"{thread}\",\"capabilities\":"));
        names(out, *set);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"protections\":[");
    for (n, protection) in Protection::ALL.into_iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        write(out, format_args!("{comma}{{\"name\":\"{}\",\"inForce\":", protection.name()));
        write(out, format_args!("{},\"why\":", rights.is_in_force(protection)));
        string_or_null(out, rights.lacking[protection as usize].as_deref());
        out.push(b'}');
    }
    write(out, format_args!("],\"refusedCalls\":{}}}", seccomp::refused().0));
}

fn names(out: &mut Vec<u8>, set: Set) {
    out.push(b'[');
    for (n, name) in set.names().enumerate() {
        write(out, format_args!("{}\"{name}\"", if n == 0 { "" } else { "," }));
    }
    out.push(b']');
}

/// Ends of connections without a name, and what is known of the cluster; nothing without one.
fn cluster(out: &mut Vec<u8>, snapshot: &Snapshot) {
    let Some(cluster) = &snapshot.picture.cluster else { return };
    out.extend_from_slice(b"},\"unresolved\":{");
    for (n, (reason, count)) in cluster.gaps.iter().enumerate() {
        write(out, format_args!("{}\"{}\":{count}", if n == 0 { "" } else { "," }, reason.name()));
    }
    out.extend_from_slice(b"},\"cluster\":{");
    let known = &cluster.known;
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let at = kind as usize;
        write(
            out,
            format_args!(
                "{}\"{}\":{{\"known\":{},\"synced\":{},\"refused\":{}}}",
                if n == 0 { "" } else { "," },
                kind.name(),
                known.objects[at],
                known.synced[at],
                known.refused[at]
            ),
        );
    }
}

fn intervals(out: &mut Vec<u8>, name: &str, intervals: Intervals) {
    let Intervals { sockets, processes, containers, bytes } = intervals;
    let fields = [
        ("sockets", sockets),
        ("processes", processes),
        ("containers", containers),
        ("bytes", bytes),
    ];
    write(out, format_args!(",\"{name}\":{{"));
    for (n, (field, seconds)) in fields.into_iter().enumerate() {
        write(out, format_args!("{}\"{field}\":", if n == 0 { "" } else { "," }));
        float(out, seconds);
    }
    out.push(b'}');
}
