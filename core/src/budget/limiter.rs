//! A rate limit for one kind of work: a token bucket of one second's depth.
//!
//! In: how much is wanted, and the time. Out: how much is granted now. It must not wait.
//!
//! Pure: no I/O, no clock; time is an argument.

/// A token bucket. Units are whatever its user counts.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    per_second: u32,
    /// Tokens in millionths, so that a slow rate does not round to nothing.
    tokens: u64,
    at_ns: u64,
    /// Units that were refused, for the metrics.
    refused: u64,
}

const MILLION: u64 = 1_000_000;

impl Limiter {
    /// A full bucket of one second's worth.
    #[must_use]
    pub const fn new(per_second: u32) -> Self {
        Self { per_second, tokens: per_second as u64 * MILLION, at_ns: 0, refused: 0 }
    }

    /// Changes the rate; what is in the bucket stays, up to the new depth.
    pub fn set(&mut self, per_second: u32) {
        self.per_second = per_second;
        self.tokens = self.tokens.min(u64::from(per_second) * MILLION);
    }

    /// Grants up to `n` units.
    pub fn take(&mut self, now_ns: u64, n: u32) -> u32 {
        let passed = now_ns.saturating_sub(self.at_ns).min(1_000_000_000);
        self.at_ns = self.at_ns.max(now_ns);
        let depth = u64::from(self.per_second) * MILLION;
        self.tokens = (self.tokens + passed * u64::from(self.per_second) / 1000).min(depth);
        let granted = u32::try_from(self.tokens / MILLION).unwrap_or(u32::MAX).min(n);
        self.tokens -= u64::from(granted) * MILLION;
        self.refused += u64::from(n - granted);
        granted
    }

    /// Units refused so far.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Seconds of work that were put off: refused units at the allowed rate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn refused_seconds(&self) -> f64 {
        self.refused as f64 / f64::from(self.per_second.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_grants_its_rate_and_no_more() {
        let mut limiter = Limiter::new(100);

        assert_eq!(limiter.take(0, 70), 70);
        assert_eq!(limiter.take(0, 70), 30);
        assert_eq!(limiter.take(500_000_000, 70), 50);
        assert_eq!(limiter.refused(), 60);
    }

    #[test]
    fn a_slow_rate_is_not_rounded_away() {
        let mut limiter = Limiter::new(1);
        limiter.take(0, 1);
        let granted: u32 = (1..=10).map(|n| limiter.take(n * 200_000_000, 1)).sum();

        assert_eq!(granted, 2);
    }

    #[test]
    fn an_idle_hour_saves_up_one_second() {
        let mut limiter = Limiter::new(10);

        assert_eq!(limiter.take(3_600_000_000_000, 100), 10);
    }
}
