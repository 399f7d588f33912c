//! The governor with a simulated clock: schedule, budget and ladder together, as the engine joins them.

use probelet_core::budget::{Budget, Ladder, Level, Policy};
use probelet_core::facts::Want;
use probelet_core::schedule::{Intervals, Schedule};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const INTERVALS: Intervals = Intervals { sockets: SECOND, processes: SECOND, bytes: 10 * SECOND };

/// A node whose readings cost so much, nanoseconds of CPU, and whose sockets always move.
struct Node {
    look: u64,
    full: u64,
}

struct Run {
    /// When each piece of work ended, and what it cost.
    spent: Vec<(u64, u64)>,
    levels: Vec<(u64, Level)>,
    /// When sockets were read.
    read: Vec<u64>,
    /// When everything was.
    everything: Vec<u64>,
}

fn simulate(cores: u64, policy: Policy, seconds: u64, node: impl Fn(u64) -> Node) -> Run {
    let mut budget = Budget::new(cores, MINUTE);
    let mut schedule = Schedule::new(INTERVALS, 4, 0);
    let mut ladder = Ladder::default();
    let mut run =
        Run { spent: Vec::new(), levels: Vec::new(), read: Vec::new(), everything: Vec::new() };
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let stretch_of = |late: u64| late as f64 / SECOND as f64;
    let (mut now, mut cpu, mut verified) = (SECOND, 0_u64, SECOND);
    while now < seconds * SECOND {
        budget.charge(now, cpu);
        let stretch = stretch_of(now - verified);
        if ladder.look(stretch, policy, false, now / 1_000_000) {
            run.levels.push((now / SECOND, ladder.level()));
        }
        let (due, want) = schedule.next(ladder.level()).expect("never paused");
        if due > now {
            now = due.min(now + SECOND);
            continue;
        }
        let node = node(now / SECOND);
        let cost = if want >= Want::Sockets { node.full } else { node.look };
        if budget.headroom_ns() < cost.min(budget.window_budget_ns() / 2) {
            schedule.hold(want, now + budget.wait_ns(now, cost));
            continue;
        }
        schedule.began(want, now);
        let began = now;
        // Slices of a millisecond, each waiting for room.
        let mut left = cost;
        while left > 0 {
            let slice = left.min(1_000_000);
            while budget.headroom_ns() < 1_000_000 {
                now += budget.wait_ns(now, 1_000_000);
                budget.charge(now, cpu);
            }
            (cpu, now, left) = (cpu + slice, now + slice, left - slice);
            budget.charge(now, cpu);
            run.spent.push((now, slice));
        }
        let costs = [node.look, node.look, node.full, node.full];
        let shares = schedule.shares(costs, 1000);
        schedule.pay(want, began, shares.map(|share| budget.wait_ns(now, share)));
        if want >= Want::Sockets {
            run.read.push(began / SECOND);
            verified = began;
            run.everything.extend((want == Want::Everything).then_some(began / SECOND));
        } else {
            schedule.moved();
        }
    }
    run
}

fn worst_minute(spent: &[(u64, u64)]) -> u64 {
    let minute = |from: u64| {
        spent.iter().filter(|(at, _)| (from..from + MINUTE).contains(at)).map(|s| s.1).sum()
    };
    spent.iter().step_by(7).map(|&(at, _)| minute(at)).max().unwrap_or(0)
}

#[test]
fn a_small_node_is_read_as_often_as_desired() {
    let run = simulate(5_000_000, Policy::Degrade, 300, |_| Node { look: 30_000, full: 2_000_000 });

    assert!(run.levels.is_empty(), "{:?}", run.levels);
    assert!(run.read.len() >= 290, "{}", run.read.len());
}

/// The longest time between two readings of everything, seconds, or until the end.
fn longest(run: &Run, seconds: u64) -> u64 {
    let ends = run.everything.iter().skip(1).copied().chain([seconds]);
    run.everything.iter().zip(ends).map(|(from, to)| to - from).max().unwrap_or(seconds)
}

#[test]
fn traffic_is_read_as_often_as_desired_while_sockets_are_read_every_second() {
    for full in [200_000, 1_000_000, 2_000_000] {
        let run = simulate(5_000_000, Policy::Degrade, 900, |_| Node { look: 30_000, full });

        assert!(run.levels.is_empty(), "{:?}", run.levels);
        assert!(longest(&run, 900) <= 12, "{full}: {:?}", run.everything);
    }
}

#[test]
fn where_readings_are_stretched_traffic_is_read_all_the_same() {
    let run = simulate(5_000_000, Policy::Degrade, 900, |_| Node { look: 30_000, full: 8_000_000 });

    assert!(longest(&run, 900) <= 90, "{:?}", run.everything);
}

#[test]
fn a_large_node_is_stretched_and_no_minute_exceeds_the_budget() {
    let run =
        simulate(5_000_000, Policy::Degrade, 600, |_| Node { look: 100_000, full: 20_000_000 });

    let worst = worst_minute(&run.spent);
    assert!(worst <= 300_000_000 * 102 / 100, "{worst}");
    assert!(
        run.levels.contains(&(3, Level::Stretched)) || run.levels[0].1 == Level::Stretched,
        "{:?}",
        run.levels
    );
    assert!(run.read.len() > 60, "{}", run.read.len());
}

#[test]
fn a_huge_node_with_the_smallest_budget_still_stays_inside_it() {
    let run =
        simulate(1_000_000, Policy::Degrade, 900, |_| Node { look: 200_000, full: 150_000_000 });

    let worst = worst_minute(&run.spent);
    assert!(worst <= 60_000_000 * 102 / 100, "{worst}");
    assert!(run.levels.iter().any(|(_, level)| *level == Level::CountersOnly), "{:?}", run.levels);
    assert!(run.read.len() >= 3, "it is read all the same: {:?}", run.read);
}

#[test]
fn when_the_load_goes_the_level_comes_back_and_does_not_flap() {
    let heavy = |second| if (60..120).contains(&second) { 40_000_000 } else { 1_000_000 };
    let run = simulate(5_000_000, Policy::Degrade, 600, |second| Node {
        look: 30_000,
        full: heavy(second),
    });

    assert_eq!(run.levels.last().unwrap().1, Level::Full, "{:?}", run.levels);
    assert!(run.levels.len() <= 6, "{:?}", run.levels);
}
