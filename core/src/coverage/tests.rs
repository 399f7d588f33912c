//! The account of opened and observed ends.

use super::*;

fn netns(active: u64, passive: u64, fails: u64) -> Netns {
    Netns {
        inode: 1,
        active_opens: active,
        passive_opens: passive,
        attempt_fails: fails,
        ..Netns::default()
    }
}

/// An account in which namespace 1 is known.
fn begun() -> Coverage {
    let mut coverage = Coverage::default();
    coverage.counters(&[netns(0, 0, 0)], |_| false, 0);
    coverage.settle();
    coverage
}

fn read(coverage: &mut Coverage, now: Netns, mono_ms: u64) {
    coverage.counters(&[now], |_| false, mono_ms);
}

#[test]
fn what_opened_before_the_agent_started_is_not_asked_of_it() {
    let mut coverage = Coverage::default();

    coverage.counters(&[netns(1000, 500, 0)], |_| true, 0);

    assert_eq!(coverage.minute().ratio(), None);
    assert!(coverage.history(1));
}

#[test]
fn half_of_the_opened_seen_is_a_coverage_of_one_half() {
    let mut coverage = begun();

    read(&mut coverage, netns(10, 10, 0), 1000);
    coverage.observed(1, 10, 1000);
    coverage.settle();

    assert_eq!(coverage.minute().ratio(), Some(0.5));
    assert!(!coverage.history(1));
}

#[test]
fn failed_attempts_are_no_connections() {
    let mut coverage = begun();

    read(&mut coverage, netns(5, 0, 5), 1000);
    coverage.settle();

    assert_eq!(coverage.minute().ratio(), None);
    assert_eq!(coverage.total(), Count::default());
}

#[test]
fn a_half_open_request_that_is_reset_takes_nothing_off() {
    let mut coverage = begun();

    // 800 probes, SYN and then RST, beside 800 ends that no one saw.
    read(&mut coverage, Netns { embryonic_rsts: 800, ..netns(400, 400, 800) }, 1000);
    coverage.settle();

    assert_eq!(coverage.total(), Count { opened: 800, observed: 0 });
    assert_eq!(coverage.trouble().failed, 800);
}

#[test]
fn an_attempt_that_fails_later_is_taken_off_when_it_was_made() {
    let mut coverage = begun();
    read(&mut coverage, netns(400, 0, 0), 1000);
    coverage.settle();

    read(&mut coverage, netns(1600, 1200, 400), 21_000);
    (0..400).for_each(|_| assert!(coverage.failed(1, 1000)));
    coverage.settle();

    assert_eq!(coverage.minute(), Count { opened: 2400, observed: 0 });
    assert_eq!(coverage.total(), Count { opened: 2800 - 400, observed: 0 });
}

#[test]
fn the_total_never_shrinks() {
    let mut coverage = begun();
    read(&mut coverage, netns(10, 0, 0), 1000);
    coverage.settle();
    read(&mut coverage, netns(10, 0, 10), 2000);
    coverage.settle();
    assert_eq!(coverage.total().opened, 10);

    read(&mut coverage, netns(25, 0, 10), 3000);

    assert_eq!(coverage.total().opened, 15);
}

#[test]
fn what_opens_behind_the_counters_is_held_back_until_they_cover_it() {
    let mut coverage = begun();

    coverage.observed(1, 3, 100);
    assert_eq!(coverage.total().observed, 0);
    read(&mut coverage, netns(3, 1, 0), 1000);

    assert_eq!(coverage.total(), Count { opened: 4, observed: 3 });
    assert_eq!(coverage.minute(), Count { opened: 4, observed: 3 });
    assert_eq!(coverage.take_excess(), 0);
}

#[test]
fn more_observed_than_opened_is_a_fault_and_no_ratio() {
    let mut coverage = begun();
    read(&mut coverage, netns(1, 1, 0), 1000);

    coverage.observed(1, 5, 1000);
    read(&mut coverage, netns(1, 1, 0), 2000);

    assert_eq!(coverage.take_excess(), 3);
    assert_eq!(coverage.take_excess(), 0);
    assert_eq!(coverage.total().ratio(), Some(1.0));
}

#[test]
fn what_another_namespace_opened_covers_nothing_of_this_one() {
    let mut coverage = begun();
    let other = Netns { inode: 2, active_opens: 100, ..Netns::default() };
    coverage.counters(&[netns(0, 0, 0), other], |n| n == 2, 1000);

    coverage.observed(1, 2, 1000);
    coverage.observed(3, 2, 1000);
    coverage.counters(&[netns(0, 0, 0), other], |_| false, 2000);

    assert_eq!(coverage.total(), Count { opened: 100, observed: 0 });
    assert_eq!(coverage.take_excess(), 2);
}

#[test]
fn what_failed_or_was_reset_since_the_start_is_counted() {
    let mut coverage = Coverage::default();
    coverage.counters(&[Netns { estab_resets: 7, ..netns(0, 0, 40) }], |_| false, 0);

    coverage.counters(&[Netns { estab_resets: 9, ..netns(0, 0, 45) }], |_| false, 1000);

    assert_eq!(coverage.trouble(), Trouble { failed: 5, reset: 2 });
}

#[test]
fn a_new_namespace_counts_from_zero_and_an_old_one_does_not() {
    let mut coverage = Coverage::default();
    coverage.counters(&[], |_| false, 0);

    coverage.counters(&[netns(3, 0, 0), Netns { inode: 2, ..netns(70, 0, 0) }], |n| n == 1, 1000);

    assert_eq!(coverage.minute().opened, 3);
    assert!(coverage.history(2) && !coverage.history(1));
}

#[test]
fn a_number_that_is_used_again_is_another_namespace() {
    let born = |cookie, active| Netns { cookie, ..netns(active, 0, 0) };
    let mut coverage = Coverage::default();
    coverage.counters(&[born(7, 50)], |_| false, 0);

    coverage.counters(&[born(8, 60)], |_| false, 1000);
    assert_eq!((coverage.reborn(), coverage.total().opened), (&[1][..], 60));
    coverage.counters(&[born(8, 61)], |_| false, 2000);

    assert_eq!((coverage.reborn(), coverage.total().opened), (&[][..], 61));
}

#[test]
fn without_its_birth_a_namespace_is_known_by_counters_that_shrink() {
    let mut coverage = Coverage::default();
    coverage.counters(&[netns(50, 9, 0)], |_| false, 0);

    coverage.counters(&[netns(60, 2, 0)], |_| false, 1000);

    assert_eq!((coverage.reborn(), coverage.total().opened), (&[1][..], 62));
}

#[test]
fn the_minute_forgets_what_is_older() {
    let mut coverage = begun();
    read(&mut coverage, netns(8, 0, 0), 1000);

    read(&mut coverage, netns(9, 0, 0), 65_000);
    coverage.observed(1, 1, 65_000);
    coverage.observed(1, 4, 1000);

    assert_eq!(coverage.minute(), Count { opened: 1, observed: 1 });
    assert_eq!(coverage.total(), Count { opened: 9, observed: 5 });
}

#[test]
fn counters_that_jump_by_anything_break_no_sum() {
    let mut coverage = Coverage::default();
    let netns = |inode, n: u64| Netns {
        inode,
        active_opens: n,
        passive_opens: n,
        attempt_fails: n,
        estab_resets: n,
        ..Netns::default()
    };
    coverage.counters(&[netns(1, 0), netns(2, 0)], |_| false, 0);

    coverage.counters(&[netns(1, u64::MAX), netns(2, u64::MAX)], |_| false, 1000);
    coverage.counters(&[netns(1, 0), netns(2, 0)], |_| false, 2000);
    coverage.counters(&[netns(1, u64::MAX), netns(2, u64::MAX)], |_| false, 3000);

    assert!(coverage.total().ratio().is_none_or(|ratio| ratio <= 1.0), "{:?}", coverage.total());
    coverage.settle();
    assert_eq!(coverage.opened(1), Opened { active: MOST, passive: MOST });
}

#[test]
fn attempts_that_were_given_up_are_no_connections_and_the_total_does_not_shrink() {
    let mut coverage = Coverage::default();
    let read = |coverage: &mut Coverage, active_opens| {
        let netns = [Netns { inode: 1, active_opens, ..Netns::default() }];
        coverage.counters(&netns, |_| false, 1000);
    };
    read(&mut coverage, 0);
    read(&mut coverage, 5);
    coverage.observed(1, 2, 1000);

    coverage.given_up(1, 4);

    assert_eq!(coverage.minute(), Count { opened: 2, observed: 2 }, "never more than is missing");
    assert_eq!(coverage.total().opened, 5);
    read(&mut coverage, 10);
    assert_eq!(coverage.total().opened, 7);
}
