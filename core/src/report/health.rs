//! Round-trip times of flows.
//!
//! In: the round-trip times of one reading of everything. Out: the least, the median and the 99th percentile of each
//! flow. It must not look at a connection.
//!
//! Pure: no I/O.

use crate::records::Rtt;
use crate::table::Slot;

/// Round-trip times of one reading that are kept: the default of `limits.maxSockets`, half a megabyte.
const MOST_SAMPLES: usize = 65_536;
/// The same of connections that ended between two readings: the first of them stand for the others.
const MOST_ENDED: usize = 4096;

/// The round-trip times of one reading of everything. Its room is used again.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// The flow above the time, so that sorting puts those of one flow together, the shortest first.
    all: Vec<u64>,
    rtts: Vec<Rtt>,
    /// Of connections that ended since the last reading: flow by place and number, and the time.
    ended: Vec<(Slot, u64, u32)>,
}

impl Samples {
    pub(super) fn begin(&mut self) {
        self.all.clear();
    }

    /// One connection of a flow.
    pub(super) fn add(&mut self, flow: Slot, rtt_us: u32) {
        if rtt_us > 0 && flow != Slot::MAX && self.all.len() < MOST_SAMPLES {
            self.all.push(u64::from(flow) << 32 | u64::from(rtt_us));
        }
    }

    /// One connection that ended, of the flow with that number. It counts with the next reading of everything.
    pub(super) fn ended(&mut self, (flow, id): (Slot, u64), rtt_us: u32) {
        if rtt_us > 0 && flow != Slot::MAX && self.ended.len() < MOST_ENDED {
            self.ended.push((flow, id, rtt_us));
        }
    }

    /// Adds those that ended, as far as their flow is still that of its place.
    pub(super) fn add_ended(&mut self, stays: impl Fn(Slot, u64) -> bool) {
        let mut ended = std::mem::take(&mut self.ended);
        for (flow, id, rtt_us) in ended.drain(..) {
            if stays(flow, id) {
                self.add(flow, rtt_us);
            }
        }
        ended.shrink_to(256);
        self.ended = ended;
    }

    /// The figures of each flow, by slot.
    pub(super) fn settle(&mut self, slots: usize) -> &[Rtt] {
        self.all.sort_unstable();
        self.rtts.clear();
        self.rtts.resize(slots, Rtt::default());
        for of_one in self.all.chunk_by(|a, b| a >> 32 == b >> 32) {
            let at = |nth: usize| u32::try_from(of_one[nth] & u64::from(u32::MAX)).unwrap_or(0);
            let rtt = Rtt {
                min_us: at(0),
                median_us: at((of_one.len() - 1) / 2),
                p99_us: at((of_one.len() * 99).div_ceil(100) - 1),
            };
            let flow = usize::try_from(of_one[0] >> 32).ok();
            if let Some(place) = flow.and_then(|flow| self.rtts.get_mut(flow)) {
                *place = rtt;
            }
        }
        &self.rtts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_flow_are_those_of_its_connections_and_of_no_others() {
        let mut samples = Samples::default();
        samples.begin();
        (1..=200).rev().for_each(|rtt| samples.add(3, rtt));
        samples.add(1, 7);
        samples.add(3, 0);
        samples.add(Slot::MAX, 9);

        let rtts = samples.settle(5).to_vec();

        assert_eq!(rtts[3], Rtt { min_us: 1, median_us: 100, p99_us: 198 });
        assert_eq!(rtts[1], Rtt { min_us: 7, median_us: 7, p99_us: 7 });
        assert_eq!((rtts[0], rtts[2], rtts[4]), (Rtt::default(), Rtt::default(), Rtt::default()));
    }

    #[test]
    fn connections_that_ended_count_with_the_next_reading_and_once() {
        let mut samples = Samples::default();
        samples.ended((3, 7), 50);
        samples.ended((4, 8), 60);
        samples.begin();
        samples.add_ended(|flow, id| (flow, id) == (3, 7));
        let rtts = samples.settle(5).to_vec();
        samples.begin();
        samples.add_ended(|_, _| true);

        assert_eq!((rtts[3].median_us, rtts[4]), (50, Rtt::default()), "4 is another flow by now");
        assert_eq!(samples.settle(5)[3], Rtt::default());
        (0..u32::try_from(MOST_ENDED).unwrap() + 10).for_each(|n| samples.ended((n, 1), 1));
        assert_eq!(samples.ended.len(), MOST_ENDED);
    }

    #[test]
    fn the_room_for_samples_is_bounded() {
        let mut samples = Samples::default();
        (0..u32::try_from(MOST_SAMPLES).unwrap() + 10).for_each(|n| samples.add(n, 1));

        assert_eq!(samples.all.len(), MOST_SAMPLES);
    }
}
