//! Profiles of the agent itself: where its CPU time goes, and what holds its memory.
//!
//! In: a query. Out: pprof's protobuf for CPU, jemalloc's own text for the heap (`jeprof` and
//! `pprof` read both). Off unless asked for at the start: a profile shows much about a process.
//! It must not run two profiles at once: the kernel has one profiling timer per process.
//!
//! I/O: a timer and its signals; a temporary file for the heap.

use super::route::{Answer, refuse, whole};
use crate::serve::report::query::decode;
use crate::serve::{Shared, until_stopped};
use crate::sys::heap;
use hyper::StatusCode;
use pprof::protos::Message as _;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::watch as channel;
use tracing::warn;

/// Samples per second of CPU time. Not a divisor of 100 or 1000, so that what the agent does at
/// round intervals is not always, or never, hit.
const FREQUENCY: i32 = 199;
const FREQUENCY_MAX: i32 = 1000;
const SECONDS_MAX: u64 = 60;

const OFF: &str = "profiles are off: start with --debug-pprof";
const BUSY: &str = "another profile is being taken; try again when it is done";

/// Turns the heap profiler on.
pub(crate) fn activate() {
    if !heap::profile() {
        warn!("the allocator does not support profiling; /debug/pprof/heap is not available");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u64,
    frequency: i32,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, String> {
        let mut wanted = Self { seconds: 10, frequency: FREQUENCY };
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).unwrap_or_default();
            let shown: String = value.chars().take(64).collect();
            match name {
                "seconds" => {
                    let parsed = value.parse().ok().filter(|s| (1..=SECONDS_MAX).contains(s));
                    wanted.seconds = parsed.ok_or_else(|| {
                        format!("`seconds={shown}` is not understood: it takes whole seconds from 1 to {SECONDS_MAX}")
                    })?;
                }
                "frequency" => {
                    let parsed = value.parse().ok().filter(|s| (1..=FREQUENCY_MAX).contains(s));
                    wanted.frequency = parsed.ok_or_else(|| {
                        format!("`frequency={shown}` is not understood: it takes samples a second from 1 to {FREQUENCY_MAX}")
                    })?;
                }
                _ => {
                    let name: String = name.chars().take(64).collect();
                    return Err(format!(
                        "unknown parameter `{name}`: a profile takes seconds and frequency"
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

/// `/debug/pprof/profile`.
pub(crate) async fn cpu(shared: &Shared, query: &str, mut stop: channel::Receiver<bool>) -> Answer {
    if !shared.debug_pprof {
        return refuse(StatusCode::NOT_FOUND, OFF);
    }
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let Ok(_one) = shared.profiler.try_acquire() else { return refuse(StatusCode::CONFLICT, BUSY) };
    // Its tables are tens of milliseconds of work: readers of the report are not to wait until that is earned back.
    let started = tokio::task::spawn_blocking(move || pprof::ProfilerGuard::new(wanted.frequency));
    let guard = match started.await {
        Ok(Ok(guard)) => guard,
        Ok(Err(error)) => return failed(&error),
        Err(error) => return failed(&error),
    };
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(wanted.seconds)) => {}
        () = until_stopped(&mut stop) => {}
    }
    // Naming the functions takes a good part of a second: not on the thread that serves.
    let named = tokio::task::spawn_blocking(move || {
        let profile = guard.report().build()?.pprof()?;
        Ok::<_, pprof::Error>(profile.encode_to_vec())
    });
    match named.await {
        Ok(Ok(bytes)) => whole(StatusCode::OK, "application/octet-stream", bytes),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

/// `/debug/pprof/heap`.
pub(crate) async fn heap(shared: &Shared) -> Answer {
    if !shared.debug_pprof {
        return refuse(StatusCode::NOT_FOUND, OFF);
    }
    let Ok(_one) = shared.profiler.try_acquire() else { return refuse(StatusCode::CONFLICT, BUSY) };
    match tokio::task::spawn_blocking(dump).await {
        Ok(Ok(text)) => whole(StatusCode::OK, "text/plain; charset=utf-8", text),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

/// Has jemalloc write its profile into memory that has a path only for this process.
fn dump() -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    // mallctl keeps no pointer, but the binding asks for a path that lives forever: one it is.
    static PATH: OnceLock<Option<(std::fs::File, String)>> = OnceLock::new();
    let memory = PATH.get_or_init(|| {
        use rustix::fs::{MemfdFlags, memfd_create};
        use std::os::fd::AsRawFd as _;
        let file = std::fs::File::from(memfd_create("heap", MemfdFlags::CLOEXEC).ok()?);
        let path = format!("/proc/self/fd/{}\0", file.as_raw_fd());
        Some((file, path))
    });
    let (_file, path) = memory.as_ref().ok_or("no memory file could be made")?;
    // jemalloc opens the file again, cutting it to nothing first.
    tikv_jemalloc_ctl::raw::write_str(b"prof.dump\0", path.as_bytes())
        .map_err(|error| format!("the allocator does not profile: {error}"))?;
    let text = std::fs::read(Path::new(path.trim_end_matches('\0')))?;
    std::fs::write(path.trim_end_matches('\0'), [])?;
    Ok(text)
}

fn failed(error: &dyn std::fmt::Display) -> Answer {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, &format!("no profile could be taken: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_sensible_defaults() {
        assert_eq!(Wanted::parse(""), Ok(Wanted { seconds: 10, frequency: FREQUENCY }));
        assert_eq!(
            Wanted::parse("seconds=3&frequency=99"),
            Ok(Wanted { seconds: 3, frequency: 99 })
        );
    }

    #[test]
    fn an_endless_or_unknown_profile_is_refused() {
        for query in ["seconds=0", "seconds=61", "seconds=x", "frequency=5000", "second=3"] {
            assert!(Wanted::parse(query).is_err(), "{query}");
        }
    }
}
