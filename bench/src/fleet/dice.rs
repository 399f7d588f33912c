//! Random numbers for simulated agents: cheap, and the same in each run.
//!
//! In: a seed. Out: fractions. They must not be used for anything but spreading load. Pure: no entropy is read.

use std::time::Duration;

/// One agent's stream of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what a fraction holds")]
    pub fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From `low` to `high`.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        low + high.saturating_sub(low).mul_f64(self.fraction())
    }

    /// The wait until an unchanged status is written again: half to one and a half of `interval`.
    pub fn refresh(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(0.5 + self.fraction())
    }

    /// What is left of such a wait for someone who comes at any time: long waits are met more often than short ones.
    pub fn rest_of_refresh(&mut self, interval: Duration) -> Duration {
        // The density of the wait that is met is its length: the integral from 0.5 is (x² − 0.25) / 2.
        let met = (0.25 + 2.0 * self.fraction()).sqrt();
        interval.mul_f64(met * self.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn mean(mut draw: impl FnMut(&mut Dice) -> Duration) -> f64 {
        let mut dice = Dice::new(7);
        (0..20_000).map(|_| draw(&mut dice).as_secs_f64()).sum::<f64>() / 20_000.0
    }

    #[test]
    fn refreshes_come_once_per_interval_on_average() {
        assert!((mean(|dice| dice.refresh(SECOND)) - 1.0).abs() < 0.01);
    }

    #[test]
    fn what_is_left_of_a_wait_has_the_mean_of_renewal_theory() {
        // E[L²] / 2E[L] of a wait between 0.5 and 1.5: (1 + 1/12) / 2.
        assert!((mean(|dice| dice.rest_of_refresh(SECOND)) - 0.5417).abs() < 0.01);
    }

    #[test]
    fn two_agents_do_not_roll_the_same() {
        assert_ne!(Dice::new(1).roll(), Dice::new(2).roll());
    }
}
