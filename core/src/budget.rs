//! The budget: how much CPU time the whole process may still use, and what it gives up to stay
//! inside.
//!
//! In: CPU time used so far, and the time. Out: the rate that can be kept up without the mean over
//! any window ever exceeding the budget, and the level. It must not read a clock or sleep.
//!
//! Why not a plain token bucket: one that is a window deep allows twice the budget in the window
//! after an idle one. Here the window is a ring of cells, and the rate is the largest that stays
//! within the budget at the end of every future cell; after a burst it is lower for a while, and
//! at a steady load it is exactly the budget.
//!
//! Pure: no I/O, no clock; time is an argument.

mod level;
mod limiter;

pub use level::{Ladder, Level, Policy};
pub use limiter::Limiter;

/// Cells that make a window.
const WINDOW: u64 = 60;
/// Cells that are kept: one more, because the newest has only begun and the oldest must count until
/// all of it has left the window. That costs a sixtieth of the budget at a steady load.
const CELLS: usize = 61;

/// CPU time in nanoseconds per nanosecond of wall time, times 10⁹: 5,000,000 is `5m`.
pub type Nanocores = u64;

/// The account of CPU time over a sliding window.
#[derive(Debug)]
pub struct Budget {
    cores: Nanocores,
    cell_ns: u64,
    /// CPU time used in each cell, oldest overwritten first.
    cells: [u64; CELLS],
    /// Number of the newest cell since time zero.
    cell: u64,
    /// The process's CPU clock when last looked at.
    clock_ns: u64,
    started: bool,
    /// Of a full window, what is kept for someone else, nanoseconds.
    reserve_ns: u64,
}

impl Budget {
    /// A budget of `cores` over any `window_ns` (at least one cell of a nanosecond).
    #[must_use]
    pub fn new(cores: Nanocores, window_ns: u64) -> Self {
        let cell_ns = (window_ns / WINDOW).max(1);
        Self {
            cores,
            cell_ns,
            cells: [0; CELLS],
            cell: 0,
            clock_ns: 0,
            started: false,
            reserve_ns: 0,
        }
    }

    /// Changes the budget; what was used stays used. Under a new window length, what was used within it counts as used
    /// just now: later than it was, so that no edit buys time.
    pub fn set(&mut self, cores: Nanocores, window_ns: u64) {
        self.cores = cores;
        let cell_ns = (window_ns / WINDOW).max(1);
        if cell_ns == self.cell_ns {
            return;
        }
        let inside = window_ns.div_ceil(self.cell_ns).saturating_add(1).min(CELLS as u64);
        let newest = (0..inside).filter_map(|back| self.cell.checked_sub(back));
        let used = newest.map(|cell| self.cells[index(cell)]).sum();
        let cell = self.cell.saturating_mul(self.cell_ns) / cell_ns;
        let (clock_ns, started, reserve_ns) = (self.clock_ns, self.started, self.reserve_ns);
        *self = Self { cell, clock_ns, started, reserve_ns, ..Self::new(cores, window_ns) };
        self.cells[index(cell)] = used;
    }

    /// Keeps so much of each window for someone else, from whom the same clock runs: it counts as used.
    pub const fn keep(&mut self, reserve_ns: u64) {
        self.reserve_ns = reserve_ns;
    }

    /// The budget.
    #[must_use]
    pub const fn cores(&self) -> Nanocores {
        self.cores
    }

    /// Begins to count at `now_ns`: what the CPU clock says so far was someone else's.
    pub const fn begin(&mut self, now_ns: u64, cpu_clock_ns: u64) {
        self.cell = now_ns / self.cell_ns;
        self.clock_ns = cpu_clock_ns;
        self.started = true;
    }

    /// Takes note of the process's CPU clock at `now_ns`. Clocks that step back count nothing.
    pub fn charge(&mut self, now_ns: u64, cpu_clock_ns: u64) {
        let cell = now_ns / self.cell_ns;
        if !self.started {
            // What the process used before its first look counts too: starting is no gift.
            self.started = true;
            self.cell = cell;
        }
        for n in 0..cell.saturating_sub(self.cell).min(CELLS as u64) {
            self.cells[index(cell - n)] = 0;
        }
        self.cell = self.cell.max(cell);
        self.cells[index(self.cell)] += cpu_clock_ns.saturating_sub(self.clock_ns);
        self.clock_ns = self.clock_ns.max(cpu_clock_ns);
    }

    /// CPU time used in the window and the cell under way, nanoseconds.
    #[must_use]
    pub fn used_ns(&self) -> u64 {
        self.cells.iter().sum()
    }

    /// CPU time that a full window may use.
    #[must_use]
    pub const fn window_budget_ns(&self) -> u64 {
        mul(self.cores, self.window_ns())
    }

    /// The window, nanoseconds.
    #[must_use]
    pub const fn window_ns(&self) -> u64 {
        self.cell_ns * WINDOW
    }

    /// Mean use over the last whole window, in nanocores.
    #[must_use]
    pub fn used_cores(&self) -> Nanocores {
        let whole = self.used_ns() - self.cells[index(self.cell)];
        let ratio = u128::from(whole) * 1_000_000_000 / u128::from(self.window_ns());
        u64::try_from(ratio).unwrap_or(u64::MAX)
    }

    /// CPU time that may be used right now without going over, or touching what is kept for someone else.
    #[must_use]
    pub fn headroom_ns(&self) -> u64 {
        self.own_ns().saturating_sub(self.used_ns())
    }

    /// CPU time that may be used right now without going over, what is kept for someone else included.
    #[must_use]
    pub fn left_ns(&self) -> u64 {
        self.window_budget_ns().saturating_sub(self.used_ns())
    }

    const fn own_ns(&self) -> u64 {
        self.window_budget_ns().saturating_sub(self.reserve_ns)
    }

    /// The rate that can be kept up from `now_ns` on, at most the budget itself.
    #[must_use]
    pub fn rate(&self, now_ns: u64) -> Nanocores {
        let full = self.own_ns();
        let mut inside = self.used_ns();
        let mut rate = self.cores;
        for ahead in 1..=CELLS as u64 {
            // At the end of the cell `ahead - 1` from now, just before its oldest neighbour leaves.
            let until = ((self.cell + ahead) * self.cell_ns).saturating_sub(now_ns);
            let left = full.saturating_sub(inside);
            // Steps of 10 µs, rounded up: the product of 8 cores over an hour still fits.
            rate = rate.min(left.saturating_mul(100_000) / until.div_ceil(10_000).max(1));
            inside = inside.saturating_sub(self.cells[index(self.cell + ahead)]);
        }
        rate
    }

    /// How long to wait from `now_ns` on so that work that costs `cost_ns` stays inside: the time
    /// in which the kept-up rate earns it. That rate grows when the cells of a burst leave the
    /// window, so after a burst the wait ends when it is over and not long after.
    #[must_use]
    pub fn wait_ns(&self, now_ns: u64, cost_ns: u64) -> u64 {
        let rate = self.rate(now_ns);
        let earn = u128::from(cost_ns) * 1_000_000_000 / u128::from(rate.max(1));
        if earn <= u128::from(self.cell_ns) {
            return u64::try_from(earn).unwrap_or(self.cell_ns);
        }
        self.wait_by_cells(now_ns, cost_ns)
    }

    /// Goes from cell to cell as if nothing else were used meanwhile, and adds up what each earns.
    fn wait_by_cells(&self, now_ns: u64, cost_ns: u64) -> u64 {
        let mut then = Self { cells: self.cells, ..*self };
        let (mut at, mut earned) = (now_ns, 0);
        for ahead in 1..=WINDOW {
            let until = (self.cell + ahead) * self.cell_ns;
            if until > at {
                let rate = then.rate(at);
                let more = mul(rate, until - at);
                if earned + more >= cost_ns && rate > 0 {
                    let rest = u128::from(cost_ns - earned) * 1_000_000_000 / u128::from(rate);
                    return at - now_ns + u64::try_from(rest).unwrap_or(u64::MAX);
                }
                earned += more;
                // It is as good as used: it cannot be earned twice.
                then.cells[index(then.cell)] += more;
                at = until;
            }
            then.cell += 1;
            then.cells[index(then.cell)] = 0;
        }
        self.window_ns()
    }
}

const fn index(cell: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "less than CELLS")]
    let index = (cell % CELLS as u64) as usize;
    index
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "cores × window: 8 cores over an hour is 2.9e13"
)]
const fn mul(cores: Nanocores, ns: u64) -> u64 {
    (cores as u128 * ns as u128 / 1_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MINUTE: u64 = 60 * SECOND;
    const FIVE_MILLI: Nanocores = 5_000_000;

    #[test]
    fn a_quiet_agent_may_use_all_but_a_sixtieth_of_its_rate() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(0, 0);

        assert_eq!(budget.rate(0), FIVE_MILLI * 60 / 61);
        assert_eq!(budget.headroom_ns(), 300_000_000);
    }

    #[test]
    fn after_a_burst_the_rate_is_what_the_window_has_left() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);

        budget.charge(0, 150_000_000);

        let rate = budget.rate(0);
        assert!((2_450_000..=2_500_000).contains(&rate), "{rate}");
    }

    #[test]
    fn at_a_steady_load_all_but_a_sixtieth_of_the_budget_can_be_used() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        for second in 0..300 {
            budget.charge(second * SECOND + SECOND / 2, (second + 1) * 4_900_000);
        }

        budget.charge(300 * SECOND, 300 * 4_900_000);

        let rate = budget.rate(300 * SECOND);
        assert!(rate >= 4_900_000, "{rate}");
    }

    #[test]
    fn with_the_window_used_up_there_is_no_rate_until_cells_leave() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(0, 300_000_000);

        assert_eq!(budget.rate(SECOND), 0);
        assert!(budget.wait_ns(SECOND, 1) > 0);
        budget.charge(61 * SECOND, 300_000_000);
        assert_eq!(budget.rate(61 * SECOND), FIVE_MILLI * 60 / 61);
    }

    #[test]
    fn after_a_burst_one_waits_no_longer_than_for_its_end() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(0, 290_000_000);
        budget.charge(30 * SECOND, 290_000_000);

        let wait = budget.wait_ns(30 * SECOND, 20_000_000);

        // Two millionths of a core until the burst leaves at 61 s, then all of the budget.
        assert!((31 * SECOND..36 * SECOND).contains(&wait), "{wait}");
    }

    #[test]
    fn the_price_of_starting_is_a_debt_of_the_first_window() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);

        budget.charge(7 * SECOND, 120_000_000);

        assert_eq!(budget.headroom_ns(), 180_000_000);
        let rate = budget.rate(7 * SECOND);
        assert!((2_900_000..=3_000_000).contains(&rate), "{rate}");
        budget.charge(68 * SECOND, 120_000_000);
        assert_eq!(budget.headroom_ns(), 300_000_000);
    }

    #[test]
    fn who_begins_later_pays_only_for_what_follows() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.begin(7 * SECOND, 120_000_000);

        budget.charge(8 * SECOND, 121_000_000);

        assert_eq!(budget.used_ns(), 1_000_000);
    }

    #[test]
    fn what_is_kept_for_someone_else_is_in_no_rate() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(0, 0);

        budget.keep(150_000_000);

        assert_eq!(budget.headroom_ns(), 150_000_000);
        assert_eq!(budget.left_ns(), 300_000_000);
        assert!(budget.rate(0) <= FIVE_MILLI / 2, "{}", budget.rate(0));
    }

    #[test]
    fn an_edit_of_the_window_forgets_nothing_that_is_inside_it() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(SECOND, 40_000_000);
        budget.charge(50 * SECOND, 60_000_000);

        budget.set(FIVE_MILLI, 10 * SECOND);
        assert_eq!(budget.used_ns(), 20_000_000, "what was used 49 s ago is outside");

        budget.set(FIVE_MILLI, MINUTE);
        assert_eq!(budget.used_ns(), 20_000_000);
        budget.charge(111 * SECOND, 60_000_000);
        assert_eq!(budget.used_ns(), 0);
    }

    #[test]
    fn a_cpu_clock_that_steps_back_counts_nothing() {
        let mut budget = Budget::new(FIVE_MILLI, MINUTE);
        budget.charge(0, 1000);
        budget.charge(SECOND, 500);

        assert_eq!(budget.used_ns(), 1000);
    }

    /// Whatever a pass costs, a worker that waits as asked stays inside in every window.
    #[test]
    fn no_window_exceeds_the_budget_whatever_the_passes_cost() {
        for (cores, window, costs) in [
            (FIVE_MILLI, MINUTE, [3_000_000_u64, 100_000, 40_000_000]),
            (1_000_000, MINUTE, [500_000, 900_000, 700_000]),
            (20_000_000, 10 * SECOND, [1_000_000, 30_000_000, 5_000]),
        ] {
            let mut budget = Budget::new(cores, window);
            let (mut now, mut cpu, mut spent) = (0_u64, 0_u64, Vec::new());
            budget.charge(0, 0);
            for turn in 0.. {
                if now > 10 * window {
                    break;
                }
                let cost = costs[turn % costs.len()];
                let wait = budget.wait_ns(now, cost);
                now += wait.max(1_000_000);
                budget.charge(now, cpu);
                if budget.headroom_ns() < cost {
                    continue;
                }
                cpu += cost;
                spent.push((now, cost));
                now += cost;
                budget.charge(now, cpu);
            }
            let full = u128::from(cores) * u128::from(window) / 1_000_000_000;
            for &(start, _) in &spent {
                let inside = spent.iter().filter(|(at, _)| (start..start + window).contains(at));
                let sum: u128 = inside.map(|&(_, cost)| u128::from(cost)).sum();
                assert!(sum <= full * 102 / 100, "{sum} of {full} at {start}");
            }
            assert!(u128::from(cpu) > full * 5, "the budget is not left lying about: {cpu}");
        }
    }
}
