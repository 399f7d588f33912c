//! The schedule: which reading of the node is due next.
//!
//! In: the desired intervals, and when each kind of reading last began. Out: the next reading and
//! its time, as desired; whether the budget lets it be then is asked elsewhere. It must not read a
//! clock.
//!
//! A look at the counters is so cheap with the BPF sources that it may be made several times an
//! interval: a change on a quiet node is then seen within a part of an interval, and a busy node is
//! read in full once an interval and no more.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::budget::{Level, Nanocores};
use crate::facts::Want;

/// Readings that are due this close together are made as one.
const TOGETHER_NS: u64 = 30_000_000;
/// The shortest time between two looks at the counters.
const LOOK_NS: u64 = 50_000_000;

/// Desired intervals, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Between readings of sockets when something changes all the time.
    pub sockets: u64,
    /// Between readings of processes.
    pub processes: u64,
    /// Between readings of everything, whether or not anything seems to have changed.
    pub bytes: u64,
}

/// When each kind of reading last began, and what is known to be waiting.
#[derive(Debug)]
pub struct Schedule {
    intervals: Intervals,
    /// Looks at the counters in a sockets interval.
    looks: u64,
    looked_ns: u64,
    processes_ns: u64,
    sockets_ns: u64,
    bytes_ns: u64,
    moved: bool,
    /// The last look found that sockets had changed: the next one probably does.
    stirred: bool,
    /// Nothing was read yet.
    fresh: bool,
    /// The budget has no room before these, by [`Want`].
    not_before: [u64; 4],
    /// Added to the first interval of `bytes`, so that a fleet does not read in step.
    phase_ns: u64,
}

impl Schedule {
    /// A schedule whose first reading, of everything, is due at once.
    #[must_use]
    pub const fn new(intervals: Intervals, looks: u64, phase_ns: u64) -> Self {
        let (looked_ns, processes_ns, sockets_ns, bytes_ns) = (0, 0, 0, 0);
        let (moved, fresh) = (false, true);
        Self {
            intervals,
            looks,
            looked_ns,
            processes_ns,
            sockets_ns,
            bytes_ns,
            moved,
            stirred: false,
            fresh,
            not_before: [0; 4],
            phase_ns,
        }
    }

    /// Takes over new intervals without losing what was read when.
    pub const fn set(&mut self, intervals: Intervals, looks: u64) {
        self.intervals = intervals;
        self.looks = looks;
    }

    /// So many looks at the counters in a sockets interval from now on.
    pub const fn set_looks(&mut self, looks: u64) {
        self.looks = looks;
    }

    /// What is due next and when. At [`Level::CountersOnly`] processes are not read for their own
    /// sake; at [`Level::Paused`] nothing is.
    #[must_use]
    pub fn next(&self, level: Level) -> Option<(u64, Want)> {
        if level == Level::Paused {
            return None;
        }
        if self.fresh {
            return Some((self.not_before[Want::Everything as usize], Want::Everything));
        }
        let look = (self.intervals.sockets / self.looks.max(1)).max(LOOK_NS);
        // What is known to have moved need not be looked at again before it is read.
        let counters = (!self.moved).then_some((self.looked_ns + look, Want::Counters));
        let sockets =
            self.moved.then_some((self.sockets_ns + self.intervals.sockets, Want::Sockets));
        let detail = level < Level::CountersOnly;
        let processes =
            detail.then_some((self.processes_ns + self.intervals.processes, Want::Processes));
        let everything = detail.then_some((self.bytes_ns + self.intervals.bytes, Want::Everything));
        let room = |(at, want): (u64, Want)| (at.max(self.not_before[want as usize]), want);
        let due = [counters, processes, sockets, everything].map(|due| due.map(room));
        let first = due.iter().flatten().map(|&(at, _)| at).min()?;
        let together = due.iter().flatten().filter(|&&(at, _)| at <= first + TOGETHER_NS);
        let want = together.map(|&(_, want)| want).max()?;
        // A reading of sockets reads processes too, so where one is likely it is asked for first.
        let asks = want == Want::Processes
            && self.stirred
            && due.iter().flatten().any(|&(at, want)| want == Want::Counters && at <= first)
            && self.sockets_ns + self.intervals.sockets <= first + TOGETHER_NS;
        Some((first, if asks { Want::Counters } else { want }))
    }

    /// Notes that a reading began at `now_ns`.
    pub const fn began(&mut self, want: Want, now_ns: u64) {
        self.looked_ns = now_ns;
        if matches!(want, Want::Counters | Want::Processes) {
            self.stirred = false;
        }
        if matches!(want, Want::Processes | Want::Sockets | Want::Everything) {
            self.processes_ns = now_ns;
        }
        if matches!(want, Want::Sockets | Want::Everything) {
            self.sockets_ns = now_ns;
            self.moved = false;
        }
        if matches!(want, Want::Everything) {
            self.bytes_ns = if self.fresh { now_ns + self.phase_ns } else { now_ns };
            self.fresh = false;
        }
    }

    /// CPU that the desired intervals take all together, in nanocores, when a reading of each kind
    /// costs `costs_ns` and `moved` of a thousand looks find that sockets have changed.
    #[must_use]
    pub fn need(&self, costs_ns: [u64; 4], moved: u64) -> Nanocores {
        let Intervals { sockets, processes, bytes } = self.intervals;
        let [look, process, changed, everything] = costs_ns.map(u128::from);
        let moved = u128::from(moved.min(1000));
        let a_second = |cost: u128, every: u64| cost * 1_000_000_000 / u128::from(every.max(1));
        let need = a_second(look * u128::from(self.looks), sockets)
            + a_second(changed, sockets) * moved / 1000
            + a_second(process, processes) * (1000 - moved) / 1000
            + a_second(everything, bytes);
        u64::try_from(need).unwrap_or(u64::MAX)
    }

    /// What has to be earned before the next reading of each kind, nanoseconds of CPU: what the
    /// whole agent uses from one to the next. Each kind then takes its part of what can be kept up,
    /// and all of them stretch alike; earning only their own cost, they would each take all of it.
    #[must_use]
    pub fn shares(&self, costs_ns: [u64; 4], moved: u64) -> [u64; 4] {
        let need = u128::from(self.need(costs_ns, moved));
        let Intervals { sockets, processes, bytes } = self.intervals;
        let every = [sockets / self.looks.max(1), processes, sockets, bytes];
        let mut shares = costs_ns;
        for (share, every) in shares.iter_mut().zip(every) {
            let used = need * u128::from(every) / 1_000_000_000;
            *share = (*share).max(u64::try_from(used).unwrap_or(u64::MAX));
        }
        shares
    }

    /// Notes that a reading that began at `began_ns` was made, and how long the budget takes to earn
    /// the next one of each kind. What this one included waits as well; the others go on waiting as
    /// they did: a reading that is made more often than another one has earned its share would put that off for ever.
    pub fn pay(&mut self, want: Want, began_ns: u64, waits: [u64; 4]) {
        for (not_before, wait) in self.not_before.iter_mut().zip(waits).take(want as usize + 1) {
            *not_before = began_ns + wait;
        }
    }

    /// Puts one kind of reading off.
    pub const fn hold(&mut self, want: Want, until_ns: u64) {
        self.not_before[want as usize] = until_ns;
    }

    /// Puts every reading off, or with 0 none.
    pub const fn hold_all(&mut self, until_ns: u64) {
        self.not_before = [until_ns; 4];
    }

    /// Notes that sockets have changed since they were last read.
    pub const fn moved(&mut self) {
        (self.moved, self.stirred) = (true, true);
    }

    /// Notes that what was read is no good: everything is due again.
    pub const fn restart(&mut self) {
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const INTERVALS: Intervals =
        Intervals { sockets: SECOND, processes: SECOND, bytes: 10 * SECOND };

    fn ran(looks: u64, seconds: u64, moves: impl Fn(u64) -> bool) -> Vec<(u64, Want)> {
        let mut schedule = Schedule::new(INTERVALS, looks, 0);
        let (mut now, mut ran) = (0, Vec::new());
        while let Some((at, want)) = schedule.next(Level::Full) {
            now = at.max(now);
            if now >= seconds * SECOND {
                break;
            }
            ran.push((now / 1_000_000, want));
            schedule.began(want, now);
            now += 1_000_000;
            if want < Want::Sockets && moves(now) {
                schedule.moved();
            }
        }
        ran
    }

    #[test]
    fn everything_is_read_first_and_then_every_bytes_interval() {
        let ran = ran(1, 25, |_| false);

        let full: Vec<_> = ran.iter().filter(|(_, want)| *want == Want::Everything).collect();
        assert_eq!(full.iter().map(|(at, _)| at / 1000).collect::<Vec<_>>(), [0, 10, 20]);
    }

    #[test]
    fn a_quiet_node_is_looked_at_four_times_a_second_and_its_sockets_left_alone() {
        let ran = ran(4, 9, |_| false);

        assert!(ran.iter().all(|(_, want)| *want != Want::Sockets));
        assert!((34..=37).contains(&ran.len()), "{}", ran.len());
    }

    #[test]
    fn what_the_intervals_take_together_is_the_share_of_each_by_its_length() {
        let schedule = Schedule::new(INTERVALS, 2, 0);
        let costs = [10_000, 200_000, 1_000_000, 4_000_000];

        // 20 µs of looks, half a millisecond of sockets, 100 µs of processes, 400 µs of everything.
        assert_eq!(schedule.need(costs, 500), 1_020_000);
        assert_eq!(schedule.shares(costs, 500), [510_000, 1_020_000, 1_020_000, 10_200_000]);
    }

    #[test]
    fn a_share_is_never_less_than_what_one_reading_costs() {
        let schedule = Schedule::new(INTERVALS, 2, 0);

        let shares = schedule.shares([10_000, 200_000, 50_000_000, 60_000_000], 0);

        assert_eq!(shares[Want::Sockets as usize], 50_000_000);
    }

    /// Readings by kind, in the order of `Want`.
    fn by_kind(ran: &[(u64, Want)]) -> [usize; 4] {
        Want::ALL.map(|kind| ran.iter().filter(|(_, want)| *want == kind).count())
    }

    #[test]
    fn with_one_look_an_interval_a_quiet_node_wakes_no_one_more_often() {
        let ran = ran(1, 9, |_| false);

        assert_eq!(by_kind(&ran), [0, 8, 0, 1], "{ran:?}");
    }

    #[test]
    fn with_one_look_an_interval_a_busy_node_has_no_processes_read_before_its_sockets() {
        let ran = ran(1, 9, |_| true);

        let [looks, processes, sockets, everything] = by_kind(&ran);
        assert_eq!((processes, sockets, everything), (1, 8, 1), "{ran:?}");
        assert!(looks <= sockets, "{ran:?}");
    }

    #[test]
    fn with_one_look_an_interval_a_change_is_read_within_one() {
        let changed_ms = 3_240;
        let ran = ran(1, 6, |now| (changed_ms..changed_ms + 1000).contains(&(now / 1_000_000)));

        let (at, _) = ran.iter().find(|(at, want)| *at > 0 && *want == Want::Sockets).unwrap();
        assert!((changed_ms..=changed_ms + 1005).contains(at), "{ran:?}");
    }

    #[test]
    fn when_a_busy_node_calms_down_its_processes_are_read_at_once_all_the_same() {
        let ran = ran(1, 9, |now| now < 4 * SECOND);

        let calm: Vec<_> =
            ran.iter().filter(|(at, want)| *at > 4_500 && *want >= Want::Processes).collect();
        assert!(
            calm.len() >= 4 && calm.iter().all(|(_, want)| *want == Want::Processes),
            "{ran:?}"
        );
    }

    #[test]
    fn a_busy_node_is_read_once_an_interval() {
        let ran = ran(4, 9, |_| true);

        let sockets = ran.iter().filter(|(_, want)| *want >= Want::Sockets).count();
        assert_eq!(sockets, 9);
    }

    #[test]
    fn a_change_after_a_quiet_interval_is_read_at_once() {
        let ran = ran(4, 5, |now| (3_240..3_260).contains(&(now / 1_000_000)));

        let at = ran.iter().find(|(at, want)| *at > 0 && *want == Want::Sockets).unwrap().0;
        assert!(at < 3_300, "{at}");
    }

    #[test]
    fn what_the_budget_has_room_for_goes_on_while_the_rest_waits() {
        let mut schedule = Schedule::new(INTERVALS, 4, 0);
        schedule.began(Want::Everything, SECOND);
        schedule.moved();
        let later = 8 * SECOND;
        schedule.pay(Want::Everything, 0, [0, 0, later, later]);

        let mut done = Vec::new();
        while let Some((at, want)) = schedule.next(Level::Full) {
            schedule.began(want, at);
            done.push((at, want));
            if want >= Want::Sockets {
                break;
            }
        }

        assert_eq!(done.last(), Some(&(later, Want::Sockets)));
        assert!(done.iter().filter(|(_, want)| *want == Want::Processes).count() >= 6);
    }

    #[test]
    fn nothing_is_due_while_paused() {
        assert_eq!(Schedule::new(INTERVALS, 4, 0).next(Level::Paused), None);
    }

    #[test]
    fn at_counters_only_processes_are_not_read_for_their_own_sake() {
        let mut schedule = Schedule::new(INTERVALS, 4, 0);
        schedule.began(Want::Everything, 0);

        for _ in 0..50 {
            let (at, want) = schedule.next(Level::CountersOnly).unwrap();
            assert_eq!(want, Want::Counters);
            schedule.began(want, at);
        }
    }
}
