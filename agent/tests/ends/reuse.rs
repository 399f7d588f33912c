//! Ports that are used again at once, on the running kernel: flows count no more than was opened, and next to all of it.
//!
//! In: connections over the loopback of a pod, on few ports, a quarter each by FIN and by reset without lingering of either side.
//! Out: assertions about flows.
//!
//! I/O: as the ends of connections, whose agent this uses.

use super::*;

/// Connections of a storm, and the ports of the loopback that they use again and again.
const ALL: u64 = 20_000;
const PORTS: &str = "40000 43999";

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
