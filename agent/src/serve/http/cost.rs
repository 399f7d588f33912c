//! What a request costs, and whether the budget has it.
//!
//! In: measured CPU time of responses. Out: an estimate for the next one, and the words for a
//! refusal. It must not decide: the governor does, through `Admit`.
//!
//! Pure: no I/O.

use std::sync::Arc;
use std::time::Duration;

/// What the server asks the governor for, or reports to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// One request for a report, counted by `spec.limits.reportRequestsPerSecond`.
    Request,
    /// So much CPU time, estimated, for rendering a report.
    Cpu(Duration),
    /// The same for what has an answer already, only older: granted while enough is saved up to answer many others besides.
    Newer(Duration),
    /// So much CPU time was used, measured, whatever for. Not granted means: stop serving for so long.
    Spent(Duration),
    /// Letting someone new in.
    Accept,
    /// So much CPU time was used for probes, measured. Not granted means: answer none for so long.
    Probes(Duration),
}

/// The governor's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Granted,
    /// Not now; after that time it may be granted.
    RetryAfter(Duration),
}

/// Asks the governor. Never waits.
pub(crate) type Admit = Arc<dyn Fn(Cost) -> Admission + Send + Sync>;

/// Before anything was measured: nanoseconds for a record, from the project's own measurement.
const FIRST_PER_RECORD: f64 = 1000.0;
/// Weight of the newest measurement.
const WEIGHT: f64 = 0.2;
/// A response of fewer records says nothing about the cost of one.
const TELLING: usize = 256;

/// What responses were seen to cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learned {
    /// Nanoseconds for a record of a full report, encoded.
    per_record: f64,
    /// Nanoseconds for a delta or a filtered report as a whole.
    per_partial: f64,
}

impl Default for Learned {
    fn default() -> Self {
        Self { per_record: FIRST_PER_RECORD, per_partial: 0.0 }
    }
}

impl Learned {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(crate) fn full(&self, records: usize) -> Duration {
        Duration::from_nanos((self.per_record * records as f64) as u64)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    pub(crate) fn partial(&self) -> Duration {
        Duration::from_nanos(self.per_partial as u64)
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn learn(&mut self, full: bool, records: usize, cpu: Duration) {
        let ns = cpu.as_nanos() as f64;
        if !full {
            self.per_partial += (ns - self.per_partial) * WEIGHT;
        } else if records >= TELLING {
            self.per_record += (ns / records as f64 - self.per_record) * WEIGHT;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_what_was_measured() {
        let mut learned = Learned::default();
        for _ in 0..40 {
            learned.learn(true, 10_000, Duration::from_millis(5));
        }

        let estimate = learned.full(10_000);

        assert!((estimate.as_secs_f64() - 0.005).abs() < 0.000_1, "{estimate:?}");
    }

    #[test]
    fn a_tiny_report_teaches_nothing_about_a_record() {
        let mut learned = Learned::default();

        learned.learn(true, 2, Duration::from_millis(5));

        assert_eq!(learned.full(1), Duration::from_micros(1));
    }
}
