//! Pace: how many writes may go out, in all and for one rollout.
//!
//! In: a rate, the time, what the API server answered. Out: whether one more may go now, and when the next may. Pure: the
//! time is an argument.

use std::collections::VecDeque;

/// Milliseconds on a clock that only goes forward.
pub(crate) type Millis = u64;

/// A refusal halves the pace; it does not become slower than one write in so many milliseconds.
const SLOWEST: Millis = 1000;

/// A bucket that fills by the clock: one token is one write.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Time in which a token comes, microseconds.
    every: u64,
    /// The most that is saved up, microseconds.
    depth: u64,
    /// What is saved up, microseconds.
    saved: u64,
    at: Millis,
}

impl Bucket {
    /// A full bucket that gives `count` tokens in `period`, at most `burst` at once.
    #[must_use]
    pub fn new(count: u32, period: Millis, burst: u32, now: Millis) -> Self {
        let every = (period * 1000 / u64::from(count.max(1))).max(1);
        let depth = every * u64::from(burst.max(1));
        Self { every, depth, saved: depth, at: now }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Millis) -> bool {
        self.fill(now);
        let enough = self.saved >= self.every;
        if enough {
            self.saved -= self.every;
        }
        enough
    }

    /// When there will be a token, if none is taken before.
    #[must_use]
    pub fn next(&self) -> Millis {
        self.at + self.every.saturating_sub(self.saved).div_ceil(1000)
    }

    fn fill(&mut self, now: Millis) {
        let passed = now.saturating_sub(self.at).saturating_mul(1000);
        self.saved = self.saved.saturating_add(passed).min(self.depth);
        self.at = self.at.max(now);
    }
}

/// At most so many nodes in any minute: a bucket, and a count of what it gave in the seconds before.
///
/// A bucket alone gives its burst on top of its rate, so that a minute may see more than its share.
#[derive(Debug, Clone)]
pub struct Minute {
    bucket: Bucket,
    most: u32,
    /// Seconds in which tokens were given, oldest first, each with their number.
    given: VecDeque<(u64, u32)>,
    sum: u32,
}

/// For so many seconds a token counts: a minute, what a second is coarse by, and a second in which one write may take longer
/// than another, so that the API server sees no more in a minute either.
const COUNTS: u64 = 62;

impl Minute {
    /// At most `most` tokens in any minute, a sixth of them at once.
    #[must_use]
    pub fn new(most: u32, now: Millis) -> Self {
        let most = most.max(1);
        let bucket = Bucket::new(most, 60_000, most / 6, now);
        Self { bucket, most, given: VecDeque::new(), sum: 0 }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Millis) -> bool {
        let second = now / 1000;
        while let Some(&(_, count)) = self.given.front().filter(|(at, _)| at + COUNTS <= second) {
            self.given.pop_front();
            self.sum -= count;
        }
        if self.sum >= self.most || !self.bucket.take(now) {
            return false;
        }
        match self.given.back_mut() {
            Some((at, count)) if *at == second => *count += 1,
            _ => self.given.push_back((second, 1)),
        }
        self.sum += 1;
        true
    }

    /// When there will be a token, if none is taken before.
    #[must_use]
    pub fn next(&self) -> Millis {
        let oldest = self.given.front().filter(|_| self.sum >= self.most);
        oldest.map_or(0, |(at, _)| (at + COUNTS) * 1000).max(self.bucket.next())
    }
}

/// The pace of all writes: a bucket, slowed down while the API server refuses, stopped while it asks for that.
#[derive(Debug)]
pub struct Pace {
    bucket: Bucket,
    not_before: Millis,
    slow: Millis,
}

impl Pace {
    /// At most `per_second` writes a second, a quarter of them at once.
    #[must_use]
    pub fn new(per_second: u32, now: Millis) -> Self {
        Self { bucket: Bucket::new(per_second, 1000, per_second / 4, now), not_before: 0, slow: 0 }
    }

    /// Whether a write may go now.
    pub fn take(&mut self, now: Millis) -> bool {
        let may = now >= self.not_before && self.bucket.take(now);
        if may && self.slow > 0 {
            self.not_before = now + self.slow;
        }
        may
    }

    /// When to ask again.
    #[must_use]
    pub fn next(&self) -> Millis {
        self.not_before.max(self.bucket.next())
    }

    /// The server took a write.
    pub(crate) fn went_well(&mut self) {
        self.slow /= 2;
    }

    /// The server refused a write for a reason that the next one may meet too.
    pub(crate) fn was_refused(&mut self) {
        self.slow = (self.slow * 2).clamp(50, SLOWEST);
    }

    /// The server asked to be left alone.
    pub(crate) fn wait_until(&mut self, at: Millis) {
        self.not_before = self.not_before.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bucket: &mut Bucket, now: Millis) -> u32 {
        let mut count = 0;
        while bucket.take(now) {
            count += 1;
        }
        count
    }

    #[test]
    fn a_minute_gives_its_rate_and_a_burst() {
        let mut bucket = Bucket::new(3000, 60_000, 500, 0);

        let count: u32 = (0..=60_000).step_by(10).map(|now| taken(&mut bucket, now)).sum();

        assert_eq!(count, 3500);
    }

    #[test]
    fn nothing_is_saved_beyond_the_burst() {
        let mut bucket = Bucket::new(60, 60_000, 10, 0);
        taken(&mut bucket, 0);

        assert_eq!(taken(&mut bucket, 3_600_000), 10);
    }

    #[test]
    fn the_next_token_comes_when_it_says() {
        let mut bucket = Bucket::new(1, 60_000, 1, 0);
        assert!(bucket.take(0));

        assert_eq!(bucket.next(), 60_000);
        assert!(!bucket.take(59_999));
        assert!(bucket.take(60_000));
    }

    #[test]
    fn no_minute_sees_more_than_its_share_and_hardly_less() {
        for most in [1, 7, 60, 600, 3000] {
            let mut minute = Minute::new(most, 0);
            // A loop that is late now and then.
            let looks = (0..620_000).step_by(10).filter(|at| at % 20_000 > 1000);
            let mut given: Vec<Millis> = Vec::new();
            for now in looks {
                while minute.take(now) {
                    given.push(now);
                }
            }

            let within = |from: Millis| given.partition_point(|&at| at < from + 60_000);
            let fullest =
                given.iter().enumerate().map(|(index, &from)| within(from) - index).max().unwrap();
            assert!(fullest <= most as usize, "{most}: {fullest} in a minute");
            assert!(given.len() >= 9 * most as usize, "{most}: {} in ten minutes", given.len());
        }
    }

    #[test]
    fn a_full_minute_says_when_it_has_room_again() {
        let mut minute = Minute::new(2, 0);
        assert!(minute.take(0));
        assert!(minute.take(minute.next()));

        assert_eq!(minute.next(), COUNTS * 1000);
        assert!(!minute.take(COUNTS * 1000 - 1));
        assert!(minute.take(COUNTS * 1000));
    }

    #[test]
    fn refusals_slow_the_pace_to_one_a_second_and_success_restores_it() {
        let mut pace = Pace::new(100, 0);
        for _ in 0..20 {
            pace.was_refused();
        }
        let slow = (0..10_000).step_by(10).filter(|&now| pace.take(now)).count();
        for _ in 0..20 {
            pace.went_well();
        }
        let fast = (20_000..21_000).step_by(10).filter(|&now| pace.take(now)).count();

        assert_eq!(slow, 10);
        assert!(fast >= 100, "{fast}");
    }

    #[test]
    fn nothing_goes_before_the_server_allows() {
        let mut pace = Pace::new(100, 0);
        pace.wait_until(7000);

        assert!(!pace.take(6999));
        assert_eq!(pace.next(), 7000);
        assert!(pace.take(7000));
    }
}
