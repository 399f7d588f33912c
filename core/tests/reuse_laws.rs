//! Laws of ports that are used again at once, by connections of which some forget their peer: no flow ever counts more
//! than was opened, in whatever order and however late the kernel reports ends; where none is lost, all are counted.
//!
//! In: schedules of connections whose truth is known. Out: assertions about flows, after each pass and at the end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "reuse/storm.rs"]
mod storm;
#[path = "reuse/world.rs"]
mod world;

use probelet_core::facts::Loss;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use world::{Close, Connection, Where, World};

const CASES: u32 = 1000;
/// Passes by which a message may be late.
const LATE: usize = 2;

/// What may go wrong in a schedule.
#[derive(Clone, Copy)]
struct Trouble {
    /// Messages are late by so many passes at most.
    late: usize,
    /// Some never come.
    lost: bool,
    /// Some connections are reset by both sides at the same time, so that no end knows both ports.
    both: bool,
}

fn close(both: bool) -> impl Strategy<Value = Close> {
    prop_oneof![
        2 => Just(Close::Fin),
        1 => Just(Close::Reset),
        2 => Just(Close::Forgets { both: false }),
        1 => Just(Close::Forgets { both }),
    ]
}

/// Connections on so many ports of the client, to two ports of the server, and passes at any time.
fn worlds(ports: u16, trouble: Trouble) -> impl Strategy<Value = World> {
    let Trouble { late, lost, both } = trouble;
    let times = (1..1500_u64, 0..2000_u64, 0..800_u64);
    let sides = (any::<bool>(), any::<bool>(), 0..20_u8);
    let one = (0..ports, times, [0..=late, 0..=late], close(both), sides);
    let all = proptest::collection::vec(one, 1..50);
    let place = prop_oneof![
        Just(Where::Loopback),
        Just(Where::Pods),
        Just(Where::NewPods),
        Just(Where::Service { tracked: false }),
        Just(Where::Service { tracked: true }),
    ];
    let intervals = proptest::collection::vec(20..1500_u64, 1..12);
    (all, intervals, place).prop_map(move |(all, intervals, place)| {
        let mut world = World::new(place, intervals);
        for (port, (opens, long, longer), late, close, (server_first, other, kind)) in all {
            // Half of them last for no longer than it takes to open the next one.
            let long = if kind % 2 == 0 { long } else { long / 50 };
            world.open(Connection {
                port,
                server: if other { 81 } else { 80 },
                opens,
                goes: [long, long + longer],
                server_first,
                late,
                lost: [lost && kind == 0, lost && kind == 1],
                close,
            });
        }
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn no_flow_ever_counts_more_than_was_opened(
        world in worlds(3, Trouble { late: LATE, lost: true, both: true })
    ) {
        world.run(|seen| {
            prop_assert!(seen.counted <= seen.opened, "{} of {}", seen.counted, seen.opened);
            for (port, counted, opened) in seen.ports {
                prop_assert!(counted <= opened, "port {port}: {counted} of {opened}");
            }
            Ok(())
        })?;
    }
}

/// Of many schedules of that kind: connections that were opened, and that were counted.
fn counted(trouble: Trouble) -> (u64, u64) {
    let mut runner = TestRunner::deterministic();
    let (mut opened, mut counted) = (0, 0);
    for _ in 0..CASES {
        let world = worlds(3, trouble).new_tree(&mut runner).unwrap().current();
        let last = world.run(|_| Ok(())).unwrap();
        assert_eq!(last.losses.get(Loss::Overcounted), 0);
        assert_eq!(last.counted, last.closed);
        (opened, counted) = (opened + last.opened, counted + last.counted);
    }
    (opened, counted)
}

#[test]
fn an_end_that_waits_for_its_other_one_asks_for_a_pass_and_is_counted_then() {
    let mut world = World::new(Where::Loopback, vec![100]);
    world.follow(Connection {
        port: 0,
        server: 80,
        opens: 0,
        goes: [0, 0],
        server_first: true,
        late: [0; 2],
        lost: [false, true],
        close: Close::Forgets { both: false },
    });
    let mut looks = Vec::new();

    world
        .run(|seen| {
            looks.push((seen.counted, seen.awaits));
            Ok(())
        })
        .unwrap();

    assert_eq!(looks[..4], [(0, false), (0, true), (1, false), (1, false)]);
}

#[test]
fn where_no_message_is_late_all_but_a_thousandth_is_counted() {
    let (opened, counted) = counted(Trouble { late: 0, lost: false, both: true });

    assert!(counted <= opened && counted >= opened - opened / 1000, "{counted} of {opened}");
}

#[test]
fn where_messages_are_late_and_ports_used_again_meanwhile_all_but_a_hundredth_is_counted() {
    let (opened, counted) = counted(Trouble { late: LATE, lost: false, both: true });

    assert!(counted <= opened && counted >= opened - opened / 100, "{counted} of {opened}");
}

/// Of three on one port the client's end of the first is never reported, and the server's of the second is late, so that what is
/// left of that is there when the third one opens.
#[test]
fn what_is_left_of_a_connection_before_it_makes_none_of_one_that_is_counted_by_its_other_end() {
    let mut world = World::new(Where::Service { tracked: true }, vec![831, 996, 1304, 551]);
    for (opens, goes, late, lost) in [
        (294, [319, 830], [1, 0], [false, true]),
        (1083, [2336, 2391], [2, 0], [false, false]),
        (3641, [3681, 4262], [1, 0], [false, false]),
    ] {
        let (port, server, server_first, close) = (0, 80, true, Close::Fin);
        world.add(Connection { port, server, opens, goes, server_first, late, lost, close });
    }

    let last = world.run(|_| Ok(())).unwrap();

    assert_eq!((last.counted, last.closed, last.opened), (3, 3, 3));
}
