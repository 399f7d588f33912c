//! Whether the agent is alive, and whether it has a picture.
//!
//! In: the newest snapshot and when it came. Out: 200 or 503 with a sentence.
//!
//! I/O: reads the clock.

use super::Shared;
use super::route::{Answer, whole};
use hyper::StatusCode;
use probelet_core::budget::Level;
use std::time::Duration;

/// An engine that has said nothing for so long is stuck, however long its interval.
const SILENCE: Duration = Duration::from_secs(10);

/// `/healthz`: does the engine still publish?
pub(super) fn alive(shared: &Shared) -> Answer {
    let (paused, interval) = {
        let snapshot = shared.snapshots.borrow();
        (snapshot.vitals.level == Level::Paused, snapshot.vitals.effective.sockets)
    };
    let age = shared.published().elapsed();
    match verdict(age, interval, paused) {
        Ok(()) => text(StatusCode::OK, "ok\n".to_owned()),
        Err(sentence) => text(StatusCode::SERVICE_UNAVAILABLE, sentence),
    }
}

/// `/readyz`: is there a report?
pub(super) fn ready(shared: &Shared) -> Answer {
    if shared.snapshots.borrow().picture.epoch > 0 {
        text(StatusCode::OK, "ok\n".to_owned())
    } else {
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the first pass over this node is not finished yet\n".to_owned(),
        )
    }
}

fn verdict(age: Duration, interval: f64, paused: bool) -> Result<(), String> {
    let allowed = SILENCE.max(Duration::try_from_secs_f64(interval * 3.0).unwrap_or(SILENCE));
    if paused || age <= allowed {
        return Ok(());
    }
    let (age, allowed) = (age.as_secs(), allowed.as_secs());
    Err(format!(
        "the engine has published nothing for {age} s, more than the {allowed} s that it may take\n"
    ))
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
        assert!(verdict(Duration::from_secs(3600), 1.0, true).is_ok());
    }
}
