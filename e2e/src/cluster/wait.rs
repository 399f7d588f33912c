//! Waiting for something to become true, and watching that something stays true.
//!
//! In: a look that says what is not yet so. Out: its value, or, when the time is up, its last words. I/O: the clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;

/// Between two looks: each costs a process or two.
const PAUSE: Duration = Duration::from_millis(80);

/// Looks until there is something to see.
///
/// # Errors
/// What the last look said, once `patience` is over.
pub fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        match look() {
            Ok(seen) => return Ok(seen),
            Err(why) if began.elapsed() > patience => {
                return Err(why)
                    .with_context(|| format!("{what}: not within {} s", patience.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Looks for that long, and it must be so each time.
///
/// # Errors
/// What the first look said that failed.
pub fn throughout(
    what: &str,
    time: Duration,
    mut look: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while began.elapsed() < time {
        look().with_context(|| format!("{what}: after {:.1} s", began.elapsed().as_secs_f64()))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{bail, ensure};

    #[test]
    fn what_becomes_true_is_returned() {
        let mut looks = 0;

        let seen = until("three looks", Duration::from_secs(10), || {
            looks += 1;
            ensure!(looks == 3);
            Ok(looks)
        });

        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn the_last_reason_is_kept_when_time_is_up() {
        let seen: anyhow::Result<()> = until("it", Duration::ZERO, || bail!("the door is closed"));

        assert_eq!(format!("{:#}", seen.unwrap_err()), "it: not within 0 s: the door is closed");
    }
}
