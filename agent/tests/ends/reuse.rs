//! What is used again at once, on the running kernel: ports, of which flows count no more than was opened, and next to all of it;
//! and the short number of a namespace, by which no end is taken for one of who had it before.
//!
//! In: connections over the loopback of a pod, on few ports, a quarter each by FIN and by reset without lingering of either side;
//! pods that come after each other. Out: assertions about flows and ends.
//!
//! I/O: as the ends of connections, whose agent this uses.

use super::*;
use std::net::{IpAddr, Ipv4Addr};

/// Connections of a storm, and the ports of the loopback that they use again and again.
const ALL: u64 = 20_000;
const PORTS: &str = "40000 43999";
/// The address of pod 3.
const THIRD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 3));

/// Flows count a storm with a pass after each interval.
fn storm(interval: Duration) {
    bridge();
    let mut pod = Pod::start(1);
    let pid = pod.child.id();
    sh(&format!(
        "nsenter -t {pid} -n sh -c 'echo {PORTS} > /proc/sys/net/ipv4/ip_local_port_range'"
    ));
    // Room for what the fastest machine does between two passes: this is about what is made of ends, not about lost ones.
    let mut agent = Agent::start(SourceKind::Bpf, 8 * ROOM);
    agent.settle();

    pod.tell(&format!("turns 81 {ALL}"));
    let began = Instant::now();
    let reported = std::thread::scope(|scope| {
        let answer = scope.spawn(|| pod.answer());
        while !answer.is_finished() {
            std::thread::sleep(interval);
            agent.pass();
        }
        answer.join().unwrap()
    });
    assert_eq!(reported, "done");
    println!("{ALL} connections in {:?} at most", began.elapsed());
    agent.settle();

    let total = agent.total();
    assert_eq!((agent.overruns, total.opened), (0, 2 * ALL));
    assert_eq!(total.observed, 2 * ALL, "ends");
    let all: Vec<_> = agent.picture().flows.iter().map(|f| (f.key.port, f.opened)).collect();
    let counted = all.iter().map(|flow| flow.1).sum::<u64>();
    assert!(counted <= ALL, "{counted}: {all:?}");
    // Where the kernel's worker is late some may be taken for others on their ports.
    assert!(counted >= ALL - ALL / 1000, "{counted}: {all:?}");
    assert_eq!(agent.picture().losses.get(Loss::Overcounted), 0);
    pod.kill();
}

#[test]
#[ignore = "needs root and BPF"]
fn a_storm_on_few_ports_of_the_loopback_is_counted_and_never_too_much() {
    in_a_node(|| storm(Duration::from_millis(50)));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_storm_on_few_ports_that_few_passes_see_is_counted_and_never_too_much() {
    in_a_node(|| storm(Duration::from_millis(900)));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_pod_that_no_pass_saw_is_not_taken_for_the_one_that_had_its_number() {
    in_a_node(|| {
        bridge();
        let (mut server, mut first) = (Pod::start(1), Pod::start(2));
        server.ask("serve 86 first 4");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);
        first.ask("talk 10.9.0.1 86 5 first 0");
        agent.settle();
        assert_eq!(agent.counted(86), (5, 5));
        first.kill();
        agent.settle();

        let mut second = Pod::start(3);
        second.ask("talk 10.9.0.1 86 7 first 0");
        second.kill();

        let mut ends = Vec::new();
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(100));
            agent.pass();
            let of_second = agent.facts.ended.iter().filter(|e| e.local.ip() == THIRD);
            ends.extend(of_second.map(|ended| ended.netns));
        }
        // Its client's ends are of no namespace that is known; the server's say that there were connections.
        assert!(ends.iter().all(|&netns| netns == 0), "{ends:?}");
        let elsewhere = agent.picture().losses.get(Loss::EndsElsewhere);
        assert!(elsewhere >= 7, "{elsewhere}");
        assert_eq!(agent.counted(86), (12, 12));
        server.kill();
    });
}
