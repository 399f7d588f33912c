//! Rest: how the engine waits, and what it leaves to others meanwhile.
//!
//! In: when something is due. Out: nothing before that. It must not read the node.
//!
//! I/O: waits by parking the calling thread; system calls for memory and timers.

use super::{Engine, tuning};
use crate::sys::text;
use rustix::thread::set_current_timer_slack;
use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;
use tracing::debug;

/// A snapshot is published at least so often when nothing changed: who looks sees the agent's own
/// cost move and that it lives. Publishing wakes another thread, so it is not done for nothing.
pub(super) const PUBLISH_NS: u64 = 5_000_000_000;
/// And so much later if something is to be read until then.
const PUBLISH_LATE_NS: u64 = 1_000_000_000;
/// So much later a wait may end, so that the kernel wakes the CPU once for several timers, nanoseconds: less than what
/// readings that are due together are apart.
const SLACK_NS: NonZeroU64 = NonZeroU64::new(20_000_000).expect("it is not zero");

impl Engine {
    /// Waits for what is due. A snapshot that only says that nothing changed waits for a reading that comes soon: it makes
    /// one then, and no one is woken twice.
    pub(super) fn idle(&mut self, due: u64, now: u64) {
        let publish = self.published_ns + PUBLISH_NS;
        if due <= publish + PUBLISH_LATE_NS {
            thread::park_timeout(Duration::from_nanos(due - now));
        } else if publish <= now {
            self.publish(now);
        } else {
            thread::park_timeout(Duration::from_nanos(publish - now));
        }
    }

    pub(super) fn looks(&self) -> u64 {
        tuning::looks(self.source.kind(), self.reported.kept())
    }
}

/// From now on waits of the calling thread end together with those of others, if there are any within 20 ms.
pub(super) fn wake_with_others() {
    if let Err(error) = set_current_timer_slack(Some(SLACK_NS)) {
        debug!(%error, "waits end to the microsecond");
    }
}

/// Whether code is to be given back at this reading of everything: what each of the first minutes used once is not there for good, and
/// of what comes back each time, 50 pages' surroundings in some 0.3 ms, little is paid later.
pub(super) const fn is_time_to_give_back(reading: u32) -> bool {
    const OFTEN: u32 = 64;
    reading > 1 && (reading.is_power_of_two() || reading.is_multiple_of(OFTEN))
}

/// Gives back code and constants that were used so far: what is used again comes back.
pub(super) fn give_back_code() {
    if let Err(error) = text::release() {
        debug!(%error, "code and constants of the start stay in memory");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_given_back_after_the_start_and_then_more_and_more_seldom_but_for_ever() {
        let times: Vec<_> = (0..=256).filter(|reading| is_time_to_give_back(*reading)).collect();

        assert_eq!(times, [2, 4, 8, 16, 32, 64, 128, 192, 256]);
    }
}
