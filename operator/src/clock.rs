//! The clock and the dice of the process: the only place that reads them.
//!
//! In: nothing. Out: milliseconds since the start, and numbers that need not be good. I/O: reads the monotonic clock.

use std::cell::Cell;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use crate::pace::Millis;

/// A clock that began with the process.
#[derive(Debug, Clone)]
pub struct Clock {
    began: Instant,
    dice: Cell<u64>,
}

impl Default for Clock {
    fn default() -> Self {
        let nanos = Timestamp::now().subsec_nanosecond().unsigned_abs();
        let seed = u64::from(nanos) << 20 | u64::from(std::process::id());
        Self { began: Instant::now(), dice: Cell::new(seed | 1) }
    }
}

impl Clock {
    /// Now.
    #[must_use]
    pub fn millis(&self) -> Millis {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The same moment for timers.
    #[must_use]
    pub fn instant(&self, at: Millis) -> Instant {
        self.began + Duration::from_millis(at)
    }

    /// A number from 0 to 255.
    #[must_use]
    pub fn chance(&self) -> u8 {
        let mut x = self.dice.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.dice.set(x);
        (x >> 56).to_le_bytes()[0]
    }
}
