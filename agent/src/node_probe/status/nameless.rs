//! Ends of connections that stay without a name.
//!
//! In: how many there are at each look, by reason. Out: how many there were at every look of the last quarter to half of
//! a minute, by reason. Pods come up before their names arrive, so that in every cluster some end is without a name for
//! a moment; a status that is read minutes later must not show it. The report and the metrics have the counts of now.
//!
//! Pure: no I/O, no clock; time is an argument.

use probelet_core::records::Gaps;
use std::time::Duration;

/// The least count of a time this long is kept, and the one of the time before.
const SPAN: Duration = Duration::from_secs(15);

/// The least counts of the present span and of the one before; before there was one, those of the present alone.
#[derive(Debug, Default)]
pub(super) struct Nameless {
    began: Duration,
    present: Option<Gaps>,
    before: Option<Gaps>,
}

impl Nameless {
    /// Those of now that are not new.
    pub(super) fn look(&mut self, now: Duration, gaps: Gaps) -> Gaps {
        if now.saturating_sub(self.began) >= SPAN {
            self.began = now;
            self.before = self.present.take();
        }
        let present = self.present.map_or(gaps, |least| least.least(gaps));
        self.present = Some(present);
        self.before.map_or(present, |before| before.least(present))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::records::Unresolved::{NoPodForContainer, UnknownAddress};

    /// What is counted when so many ends are without a name at these seconds.
    fn at_last(counts: &[(u64, [u64; 2])]) -> [u64; 2] {
        let mut nameless = Nameless::default();
        let mut lasting = Gaps::default();
        for &(second, [pods, addresses]) in counts {
            let gaps = Gaps::of([(NoPodForContainer, pods), (UnknownAddress, addresses)]);
            lasting = nameless.look(Duration::from_secs(second), gaps);
        }
        [lasting.get(NoPodForContainer), lasting.get(UnknownAddress)]
    }

    #[test]
    fn what_is_without_a_name_for_a_moment_is_not_counted() {
        assert_eq!(at_last(&[(0, [0, 1]), (5, [13, 1])]), [0, 1]);
        assert_eq!(at_last(&[(0, [0, 0]), (15, [13, 2]), (20, [13, 2]), (25, [0, 2])]), [0, 0]);
    }

    #[test]
    fn what_stays_without_a_name_is_counted_within_half_a_minute() {
        let looks: Vec<_> =
            (0..8).map(|look| (look * 5, [if look == 0 { 0 } else { 7 }, 0])).collect();

        assert_eq!(at_last(&looks[..6]), [0, 0]);
        assert_eq!(at_last(&looks), [7, 0]);
    }

    #[test]
    fn an_agent_that_begins_counts_what_it_sees() {
        assert_eq!(at_last(&[(2, [40, 0])]), [40, 0]);
    }

    #[test]
    fn looks_that_are_far_apart_count_what_both_saw() {
        assert_eq!(at_last(&[(0, [5, 0]), (60, [3, 0])]), [3, 0]);
    }
}
