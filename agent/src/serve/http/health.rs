//! Whether the agent is alive, and whether it has a picture.
//!
//! In: the newest snapshot and when it came. Out: 200 or 503 with a message.
//!
//! I/O: reads the clock.

use super::route::{Answer, whole};
use crate::clock::boot_ns;
use crate::serve::Shared;
use crate::snapshot::Snapshot;
use hyper::StatusCode;
use probelet_core::budget::Level;
use std::time::Duration;

/// An engine that has said nothing for so long is stuck, however long its interval.
const SILENCE: Duration = Duration::from_secs(10);

/// `/healthz`: does the engine still publish?
pub(super) fn alive(shared: &Shared) -> Answer {
    answer(is_alive(&shared.snapshots.borrow(), shared.began_ns))
}

/// `/readyz`: is there a report?
pub(super) fn ready(shared: &Shared) -> Answer {
    answer(is_ready(&shared.snapshots.borrow()))
}

/// Whether the engine still publishes; `began_ns` is when it was begun to look at it.
pub(super) fn is_alive(snapshot: &Snapshot, began_ns: u64) -> Result<(), String> {
    let vitals = &snapshot.vitals;
    let since = vitals.moments.published.max(began_ns);
    let age = Duration::from_nanos(boot_ns().saturating_sub(since));
    verdict(age, vitals.effective.sockets, vitals.level == Level::Paused)
}

/// Whether there is a report.
pub(super) fn is_ready(snapshot: &Snapshot) -> Result<(), String> {
    let first = || "the first pass over this node is not finished yet\n".to_owned();
    (snapshot.picture.epoch > 0).then_some(()).ok_or_else(first)
}

fn answer(verdict: Result<(), String>) -> Answer {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(message) => text(StatusCode::SERVICE_UNAVAILABLE, message),
    }
}

fn verdict(age: Duration, interval: f64, paused: bool) -> Result<(), String> {
    let allowed = SILENCE.max(Duration::try_from_secs_f64(interval * 3.0).unwrap_or(SILENCE));
    if paused || age <= allowed {
        return Ok(());
    }
    let (age, allowed) = (age.as_secs(), allowed.as_secs());
    Err(format!("the engine has published nothing for {age} s, the limit is {allowed} s\n"))
}

fn text(status: StatusCode, text: String) -> Answer {
    whole(status, "text/plain; charset=utf-8", text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_engine_is_not_healthy() {
        assert!(verdict(Duration::from_secs(9), 1.0, false).is_ok());
        assert!(verdict(Duration::from_secs(11), 1.0, false).is_err());
    }

    #[test]
    fn a_stretched_interval_is_given_its_time() {
        assert!(verdict(Duration::from_secs(80), 30.0, false).is_ok());
        assert!(verdict(Duration::from_secs(91), 30.0, false).is_err());
    }

    #[test]
    fn a_paused_engine_may_be_silent() {
        assert!(verdict(Duration::from_hours(1), 1.0, true).is_ok());
    }
}
