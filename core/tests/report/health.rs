//! How flows fare, and what is about to run full, from pass to pass.

use super::node::*;
use probelet_core::facts::{
    Facts, Netns, PortRange, Process, Quality, Queue, Socket, State, Tcp, Tracked, Want,
};
use probelet_core::records::{FlowRecord, Risk, RiskRecord, Rtt};

fn with(socket: Socket, rtt_us: u32, retransmitted: u32, segments: u32) -> Socket {
    Socket { tcp: Tcp::Quality(Quality { rtt_us, retransmitted, segments }), ..socket }
}

fn outside(port: u16) -> probelet_core::facts::Endpoint {
    at([192, 0, 2, 1], port)
}

/// Of the client's, number `n`, to that port.
fn client(n: u16, port: u16) -> Socket {
    let role = probelet_core::facts::Role::Dialled;
    Socket { role, ..socket(20, 100 + u32::from(n), local(40_000 + n), outside(port)) }
}

fn flow(node: &Node, port: u16) -> FlowRecord {
    *node.picture().flows.iter().find(|f| f.key.port == port).unwrap()
}

fn risks(node: &Node) -> Vec<RiskRecord> {
    node.picture().risks.iter().copied().collect()
}

fn of(sockets: &[Socket]) -> Facts {
    facts(&[process(10, "server"), process(20, "client")], sockets)
}

#[test]
fn a_flow_has_the_round_trip_times_of_its_connections_now() {
    let mut node = Node::new();
    let all: Vec<_> = (1..=10).map(|n| with(client(n, 80), u32::from(n) * 10, 0, 1)).collect();
    node.pass(&of(&all));
    assert_eq!(flow(&node, 80).health.rtt, Rtt { min_us: 10, median_us: 50, p99_us: 100 });

    let slower: Vec<_> = all.iter().map(|s| with(*s, 20_000, 0, 1)).collect();
    node.pass(&of(&slower));
    assert_eq!(flow(&node, 80).health.rtt.min_us, 20_000);

    node.pass(&of(&[]));
    assert_eq!(flow(&node, 80).health.rtt, Rtt::default());
}

#[test]
fn what_was_sent_again_before_the_agent_came_is_not_counted_and_what_comes_is() {
    let mut node = Node::new();
    node.pass(&of(&[with(client(1, 80), 10, 40, 400)]));
    assert_eq!(flow(&node, 80).health.retransmitted, 0);

    node.pass(&of(&[with(client(1, 80), 10, 52, 1000), with(client(2, 443), 10, 0, 1000)]));

    let health = flow(&node, 80).health;
    assert_eq!((health.segments, health.retransmitted), (600, 12));
    assert!(health.problems.lossy);
    assert!(!flow(&node, 443).health.problems.any());
}

#[test]
fn what_the_other_end_on_this_node_sends_again_is_of_the_same_flow() {
    let mut node = Node::new();
    let (processes, mut sockets) = pair();
    sockets[1] = with(sockets[1], 10, 0, 100);
    sockets[2] = with(sockets[2], 10, 0, 100);
    node.pass(&facts(&processes, &sockets));
    sockets[2] = with(sockets[2], 10, 20, 1100);

    node.pass(&facts(&processes, &sockets));

    let health = flow(&node, 8080).health;
    assert_eq!((health.segments, health.retransmitted, health.problems.lossy), (1000, 20, true));
}

#[test]
fn a_source_that_does_not_say_leaves_what_is_known() {
    let mut node = Node::new();
    node.pass(&of(&[with(client(1, 80), 10, 0, 400)]));

    node.pass(&of(&[client(1, 80)]));

    let known = node.connection(local(40_001)).unwrap().quality;
    assert_eq!(known, Some(Quality { rtt_us: 10, retransmitted: 0, segments: 400 }));
}

#[test]
fn attempts_that_are_not_answered_or_end_without_a_connection_are_of_their_flow() {
    let mut node = Node::new();
    let counted = |attempt_fails, active_opens, sockets: &[Socket]| Facts {
        netns: vec![Netns { inode: HOST, attempt_fails, active_opens, ..Netns::default() }],
        ..of(sockets)
    };
    node.pass(&counted(0, 0, &[]));
    let attempt = |n| Socket { state: State::SynSent, ..client(n, 81) };
    node.pass(&counted(0, 4, &[attempt(1), attempt(2), attempt(3), attempt(4)]));
    assert_eq!(flow(&node, 81).health.failed, 0);

    // One is still tried, for the third time; one came through; two ended.
    let tried = with(attempt(1), 0, 2, 0);
    node.pass(&counted(2, 4, &[tried, client(2, 81)]));
    assert_eq!(flow(&node, 81).health.failed, 3);
    assert!(flow(&node, 81).health.problems.failing);

    node.pass(&counted(3, 4, &[client(2, 81)]));
    assert_eq!(flow(&node, 81).health.failed, 3, "once for each");
}

#[test]
fn a_flow_whose_syns_are_not_answered_is_failing_and_not_lossy() {
    let mut node = Node::new();
    let attempts = |syns| {
        let attempt = |n| with(Socket { state: State::SynSent, ..client(n, 81) }, 0, syns, 0);
        of(&[attempt(1), attempt(2), attempt(3), attempt(4)])
    };
    node.pass(&attempts(0));
    node.pass(&attempts(5));

    let health = flow(&node, 81).health;

    assert!(health.problems.failing && !health.problems.lossy, "{health:?}");
    assert_eq!((health.failed, health.retransmitted), (4, 0), "no segment with data was sent");
}

#[test]
fn resets_are_blamed_on_a_flow_only_where_no_other_could_have_had_them() {
    let resets = |estab_resets, active_opens, sockets: &[Socket]| Facts {
        netns: vec![Netns { inode: HOST, estab_resets, active_opens, ..Netns::default() }],
        ..of(sockets)
    };
    let all = [client(1, 80), client(2, 80), client(3, 443)];
    let after = |estab_resets, active_opens, left: &[Socket]| {
        let mut node = Node::new();
        node.pass(&resets(0, 3, &all));
        node.pass(&resets(estab_resets, active_opens, left));
        let of = |port| flow(&node, port).health.resets;
        (of(80), of(443))
    };

    assert_eq!(after(3, 3, &[]), (2, 1), "as many as are gone");
    assert_eq!(after(1, 3, &all[2..]), (1, 0), "all that are gone are of one flow");
    assert_eq!(after(1, 3, &[]), (0, 0), "it may have been any of three");
    assert_eq!(after(3, 4, &[]), (0, 0), "it may have been one that no scan met");
    assert_eq!(after(0, 3, &[]), (0, 0));
}

#[test]
fn a_queue_that_stays_full_is_a_risk_with_its_owner_and_port() {
    let mut node = Node::new();
    let waits = |waiting| {
        let tcp = Tcp::Queue(Queue { waiting, most: 128 });
        of(&[Socket { tcp, ..listener(10, 1, 8080) }])
    };
    node.pass(&waits(129));
    assert!(risks(&node).is_empty() && node.report.suspects());

    node.pass(&waits(129));

    let [risk] = risks(&node)[..] else { panic!() };
    assert_eq!((risk.risk, risk.port, risk.owner.pid), (Risk::AcceptQueue, 8080, 10));
    assert_eq!((risk.used, risk.limit), (129, 128));
    node.pass(&waits(0));
    assert!(risks(&node).is_empty() && !node.report.suspects());
}

#[test]
fn a_process_that_leaves_connections_in_close_wait_is_a_risk_and_a_few_are_none() {
    let mut node = Node::new();
    let left = |n| {
        let of_port = |n| if n % 5 == 0 { 81 } else { 80 };
        let close_wait = |n| Socket { state: State::CloseWait, ..client(n, of_port(n)) };
        of(&(0..n).map(close_wait).collect::<Vec<_>>())
    };
    for _ in 0..3 {
        node.pass(&left(99));
    }
    assert!(risks(&node).is_empty());
    node.pass(&left(120));

    node.pass(&left(120));

    let [risk] = risks(&node)[..] else { panic!("{:?}", risks(&node)) };
    assert_eq!((risk.risk, risk.port, risk.owner.pid), (Risk::CloseWait, 80, 20));
    assert_eq!((risk.used, risk.limit), (120, 0));
}

#[test]
fn open_files_are_judged_by_the_limit_of_the_process() {
    let mut node = Node::new();
    let files = |open, files_limit| {
        let many = Process { open_fds: Some(open), files_limit, ..process(10, "server") };
        let fresh = Some(Want::Processes);
        Facts { fresh, ..facts(&[many], &[]) }
    };
    node.pass(&files(900, 0));
    node.pass(&files(900, 65_536));
    assert!(risks(&node).is_empty());

    node.pass(&files(900, 1024));

    let [risk] = risks(&node)[..] else { panic!() };
    assert_eq!((risk.risk, risk.owner.pid, risk.port), (Risk::OpenFiles, 10, 0));
}

#[test]
fn ports_are_counted_for_each_destination_by_itself() {
    let mut node = Node::new();
    let dialled = |to_one: u16, to_another: u16| {
        let ports = PortRange::new(40_000, 40_099);
        let one = (0..to_one).map(|n| client(n, 5432));
        let sockets: Vec<_> = one.chain((0..to_another).map(|n| client(n + 100, 443))).collect();
        let netns = vec![Netns { inode: HOST, ports, ..Netns::default() }];
        Facts { netns, ..of(&sockets) }
    };
    node.pass(&dialled(79, 79));
    assert!(risks(&node).is_empty());

    node.pass(&dialled(80, 60));

    let [risk] = risks(&node)[..] else { panic!("{:?}", risks(&node)) };
    assert_eq!((risk.risk, risk.port), (Risk::EphemeralPorts, 5432));
    assert_eq!((risk.remote, risk.used, risk.limit), (outside(5432), 80, 100));
}

#[test]
fn connection_tracking_is_the_nodes() {
    let mut node = Node::new();
    let tracked = |now| Facts { conntrack: Some(Tracked { now, most: 1000 }), ..of(&[]) };
    node.pass(&tracked(799));
    assert!(risks(&node).is_empty());

    node.pass(&tracked(800));

    let [risk] = risks(&node)[..] else { panic!() };
    assert_eq!((risk.risk, risk.netns, risk.owner.pid), (Risk::Conntrack, 0, 0));
}

/// What the kernel reports of attempts that no scan met.
mod attempts {
    use super::*;
    use probelet_core::facts::{Ended, Loss};

    fn attempt(n: u16, port: u16) -> Ended {
        let (local, remote) = (local(50_000 + n), outside(port));
        Ended { netns: HOST, local, remote, answered: true, ..Ended::default() }
    }

    /// As one that failed in a blocking `connect()`.
    fn blocking(n: u16) -> Ended {
        let local = at([0; 4], 50_000 + n);
        Ended { local, answered: false, ..attempt(n, 0) }
    }

    /// As one that was given up, or ended by ICMP.
    fn silent(n: u16, port: u16) -> Ended {
        Ended { answered: false, ..attempt(n, port) }
    }

    /// The kernel has counted so many failures since the start.
    fn reported(attempt_fails: u64, ended: Vec<Ended>, sockets: &[Socket]) -> Facts {
        let active_opens = attempt_fails;
        let netns = vec![Netns { inode: HOST, attempt_fails, active_opens, ..Netns::default() }];
        Facts { netns, ended, reported: vec![(HOST, 1)], ..of(sockets) }
    }

    fn failed(node: &Node) -> Vec<(u16, u64)> {
        let picture = node.picture();
        let mut all: Vec<_> = picture.flows.iter().map(|f| (f.key.port, f.health.failed)).collect();
        all.sort_unstable();
        assert_eq!(picture.losses.get(Loss::Overcounted), 0);
        assert!(picture.flows.iter().all(|f| f.current == 0));
        assert_eq!((picture.coverage[1].opened, picture.coverage[1].observed), (0, 0));
        all
    }

    fn started() -> Node {
        let mut node = Node::new();
        node.pass(&reported(0, vec![], &[]));
        node
    }

    #[test]
    fn refused_at_once_are_of_their_flow_each_once() {
        let mut node = started();

        node.pass(&reported(1000, (0..900).map(|n| attempt(n, 81)).collect(), &[]));
        // The kernel's worker is late for some of them.
        node.pass(&reported(1000, (900..1000).map(|n| attempt(n, 82)).collect(), &[]));

        assert_eq!(failed(&node), [(81, 900), (82, 100)]);
        assert!(flow(&node, 81).health.problems.failing);
    }

    #[test]
    fn never_more_than_the_kernel_says_failed_in_their_namespace() {
        let mut node = started();

        node.pass(&reported(7, (0..10).map(|n| attempt(n, 81)).collect(), &[]));

        assert_eq!(failed(&node), [(81, 7)]);
    }

    #[test]
    fn one_that_forgot_the_port_is_of_a_flow_without_it() {
        let mut node = started();

        node.pass(&reported(5, (0..5).map(blocking).collect(), &[]));

        assert_eq!(failed(&node), [(0, 5)]);
    }

    #[test]
    fn who_gives_up_is_no_failure_and_what_icmp_ended_is() {
        let mut node = started();
        let all = || (0..5).map(|n| silent(n, 81)).collect::<Vec<_>>();

        let mut given_up = reported(0, all(), &[]);
        given_up.netns[0].active_opens = 5;
        node.pass(&given_up);
        assert!(node.picture().flows.is_empty());
        assert_eq!(node.picture().coverage[0].opened, 0, "no connection was meant to come of it");
        let mut node = started();
        node.pass(&reported(5, all(), &[]));
        assert_eq!(failed(&node), [(81, 5)]);

        // Of ten, to two ports, five failed: whose these were no one knows.
        let both = (0..10).map(|n| silent(n, 82 + n % 2)).collect();
        node.pass(&reported(10, both, &[]));
        assert_eq!(failed(&node), [(81, 5)]);
        // Of those that are certain it is known all the same.
        node.pass(&reported(
            15,
            (0..10).map(|n| silent(n, 82)).chain([attempt(10, 84)]).collect(),
            &[],
        ));
        assert!(failed(&node).contains(&(84, 1)), "{:?}", failed(&node));
    }

    #[test]
    fn one_that_a_scan_met_is_counted_once_whenever_the_kernel_reports_it() {
        let trying = |n: u16| Socket {
            state: State::SynSent,
            ..socket(20, 100 + u32::from(n), local(50_000 + n), outside(81))
        };
        for (forgets, late) in [(false, 0), (false, 2), (true, 0), (true, 2)] {
            let end = |n| if forgets { blocking(n) } else { attempt(n, 81) };
            let mut node = started();
            node.pass(&reported(0, vec![], &[trying(1), trying(2)]));
            let both = vec![end(1), end(2)];
            let (soon, later) = if late == 0 { (both, vec![]) } else { (vec![], both) };
            node.pass(&reported(2, soon, &[]));
            node.pass(&reported(2, vec![], &[]));
            node.pass(&reported(2, later, &[]));

            assert_eq!(failed(&node), [(81, 2)], "forgets: {forgets}, late: {late}");
            // The next one on these ports is another one; whose process it was no scan saw.
            node.pass(&reported(3, vec![attempt(1, 81)], &[]));
            assert_eq!(failed(&node).iter().map(|(_, n)| n).sum::<u64>(), 3);
        }
    }

    #[test]
    fn what_is_no_attempt_counts_nothing() {
        let mut node = started();
        let never = Ended { netns: HOST, ..Ended::default() };
        let bound = Ended { local: local(8080), ..never };

        node.pass(&reported(
            3,
            vec![never, bound, Ended { established: true, ..attempt(1, 81) }],
            &[],
        ));

        let picture = node.picture();
        assert_eq!(picture.flows.iter().map(|f| f.health.failed).sum::<u64>(), 0);
    }
}
