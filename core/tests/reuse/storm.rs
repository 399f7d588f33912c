//! Storms: very many connections within few passes, a quarter each by FIN and reset of either side.
//!
//! In: how many on how many ports, passes, how late messages are. Out: assertions about what flows count.

use proptest::prop_assert;

use super::world::{Close, Connection, Where, World};

/// A stream of numbers that looks random: the same in every run.
struct Numbers(u64);

impl Numbers {
    const fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// `all` connections one after the other, a millisecond each, on `ports` ports in turn; a pass after each `each`.
fn storm(all: u64, ports: u16, each: u64, late: u64, place: Where) -> (u64, u64) {
    storm_after(0, all, ports, each, late, place)
}

/// The same after another one: so many of the ports are still in TIME_WAIT or FIN_WAIT2, of either side, when the report begins.
fn storm_after(left: u16, all: u64, ports: u16, each: u64, late: u64, place: Where) -> (u64, u64) {
    let mut numbers = Numbers(all + each);
    let mut world = World::new(place, vec![each]);
    for n in 0..left {
        let ago = u32::try_from(1 + numbers.below(59_000)).unwrap();
        world.was(n * (ports / left), usize::from(n % 2 == 1), (n % 4 != 2).then_some(ago));
    }
    for n in 0..all {
        let late = [(); 2].map(|()| usize::try_from(numbers.below(late + 1)).unwrap());
        world.follow(Connection {
            port: u16::try_from(n % u64::from(ports)).unwrap(),
            server: 80,
            opens: 0,
            goes: [0, 0],
            server_first: n % 2 == 1,
            late,
            lost: [false; 2],
            close: if n % 4 < 2 { Close::Fin } else { Close::Forgets { both: false } },
        });
    }
    let last = world.run(|seen| {
        prop_assert!(seen.counted <= seen.opened, "{} of {}", seen.counted, seen.opened);
        Ok(())
    });
    let last = last.unwrap();
    assert_eq!(last.ends, (2 * all, 2 * all), "ends");
    (last.counted, last.opened)
}

#[test]
fn hundreds_of_connections_on_two_hundred_ports_are_counted_to_the_last() {
    for late in [0, 1, 2] {
        for place in [Where::Loopback, Where::Pods, Where::NewPods] {
            assert_eq!(storm(720, 200, 60, late, place), (720, 720), "{late} {place:?}");
        }
    }
}

#[test]
fn thousands_of_connections_in_few_passes_are_counted_to_the_last() {
    for (each, late) in [(250, 0), (1000, 0), (1000, 2), (4000, 1)] {
        assert_eq!(
            storm(20_000, 4000, each, late, Where::Loopback),
            (20_000, 20_000),
            "{each} {late}"
        );
    }
}

#[test]
fn a_storm_that_goes_on_is_counted_to_the_last() {
    // Five thousand a pass, for as long as it takes to forget the first of them several times.
    assert_eq!(storm(40_000, 20_000, 5000, 1, Where::Loopback), (40_000, 40_000));
}

#[test]
fn a_storm_after_another_one_is_counted_to_the_last() {
    for place in [Where::Loopback, Where::Pods, Where::NewPods] {
        for late in [0, 1] {
            let seen = storm_after(1000, 20_000, 4001, 1000, late, place);
            assert_eq!(seen, (20_000, 20_000), "{late} {place:?}");
        }
    }
}

#[test]
fn what_ended_before_its_namespace_had_a_number_and_is_reported_is_counted_once() {
    for place in [Where::Loopback, Where::Pods] {
        let mut world = World::new(place, vec![1000]);
        world.numbered = 4;
        for n in 0..8000 {
            world.follow(Connection {
                port: n,
                server: 80,
                opens: 0,
                goes: [0, 0],
                server_first: n % 2 == 1,
                late: [0; 2],
                lost: [false; 2],
                close: Close::Fin,
            });
        }

        let seen = world.run(|seen| {
            prop_assert!(seen.counted <= seen.opened, "{} of {}", seen.counted, seen.opened);
            Ok(())
        });

        let seen = seen.unwrap();
        assert_eq!((seen.counted, seen.opened), (8000, 8000), "{place:?}");
    }
}

#[test]
fn a_storm_through_a_service_is_counted_to_the_last() {
    for (each, late) in [(60, 2), (250, 0), (1000, 1), (5000, 0)] {
        let seen = storm(20_000, 4000, each, late, Where::Service { tracked: false });
        assert_eq!(seen, (20_000, 20_000), "{each} {late}");
    }
}

/// What waits for its other end is bounded: beyond that the count is too low, and not too high.
#[test]
fn a_storm_of_which_more_ends_are_late_than_are_remembered_is_not_counted_too_often() {
    for place in [Where::Loopback, Where::Service { tracked: false }] {
        let (counted, opened) = storm(60_000, 25_000, 20_000, 2, place);

        assert!(counted <= opened && counted >= opened / 2, "{place:?}: {counted} of {opened}");
    }
}
