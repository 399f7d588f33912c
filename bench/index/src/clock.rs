//! CPU time of this thread: the machine is shared, so time on the wall says little.
//!
//! In: something to repeat. Out: nanoseconds of CPU for each operation, the median of several
//! rounds. I/O: the clock.

use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::time::Duration;

/// A round goes on for at least this long, so that the clock's own cost does not count.
const ROUND: Duration = Duration::from_millis(2);
const ROUNDS: usize = 5;

fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

pub(crate) fn once<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = now();
    let result = black_box(work());
    (now().saturating_sub(start), result)
}

/// Nanoseconds for each of `operations` that one call of `work` does, without changing anything.
pub(crate) fn repeated<T>(operations: usize, mut work: impl FnMut() -> T) -> f64 {
    let round = || {
        let (mut spent, mut calls) = (Duration::ZERO, 0);
        while spent < ROUND {
            spent += once(&mut work).0;
            calls += 1;
        }
        each(spent, operations * calls)
    };
    median(std::iter::repeat_with(round).take(ROUNDS))
}

/// Nanoseconds for each operation of `forth`, and of `back`, which undoes it.
pub(crate) fn there_and_back<S>(
    operations: usize,
    state: &mut S,
    mut forth: impl FnMut(&mut S),
    mut back: impl FnMut(&mut S),
) -> (f64, f64) {
    let mut both = Vec::new();
    for _ in 0..ROUNDS {
        let (mut there, mut again, mut calls) = (Duration::ZERO, Duration::ZERO, 0);
        while there < ROUND {
            there += once(|| forth(state)).0;
            again += once(|| back(state)).0;
            calls += 1;
        }
        both.push((each(there, operations * calls), each(again, operations * calls)));
    }
    (median(both.iter().map(|it| it.0)), median(both.iter().map(|it| it.1)))
}

/// Milliseconds of a few runs of something long.
pub(crate) fn milliseconds<T>(mut work: impl FnMut() -> T) -> f64 {
    median((0..ROUNDS).map(|_| once(&mut work).0.as_secs_f64() * 1e3))
}

/// Nanoseconds for each.
#[allow(clippy::cast_precision_loss, reason = "counts of operations")]
fn each(spent: Duration, operations: usize) -> f64 {
    spent.as_secs_f64() * 1e9 / operations.max(1) as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
