//! How long the thread slept while something was waited for: a share of the budget that is used up lets it rest, and a busy
//! machine does not run it.
//!
//! In: a future. Out: what came of it, and for how long no one was there to wait. It must not change what it waits for.
//!
//! I/O: the clock.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Looks at the clock so often.
const LOOK: Duration = Duration::from_millis(50);

/// Waits for this; with it, how long was slept meanwhile.
pub(super) async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = std::pin::pin!(work);
    let (mut last, mut slept) = (Instant::now(), Duration::ZERO);
    loop {
        let done = tokio::select! {
            biased;
            () = sleep(LOOK) => None,
            done = &mut work => Some(done),
        };
        // A timer is late by a millisecond or two; a thread that sleeps is so by more.
        slept += last.elapsed().saturating_sub(2 * LOOK);
        last = Instant::now();
        if let Some(done) = done {
            return (done, slept);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_waited_for_awake_was_not_slept_through() {
        // A busy machine may let this thread sleep, though not always.
        for _ in 0..20 {
            let (done, slept) = timed(sleep(Duration::from_millis(120))).await;
            assert_eq!(done, ());
            if slept == Duration::ZERO {
                return;
            }
        }
        panic!("always asleep");
    }

    #[tokio::test]
    async fn a_thread_that_rests_for_exactly_as_long_as_is_waited_has_slept() {
        let blocks = tokio::spawn(async {
            sleep(Duration::from_millis(10)).await;
            std::thread::sleep(Duration::from_secs(1));
        });

        let ((), slept) = timed(sleep(Duration::from_secs(1))).await;

        blocks.await.unwrap();
        assert!(slept > Duration::from_millis(500), "{slept:?}");
    }
}
