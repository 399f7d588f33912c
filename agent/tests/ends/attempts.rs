//! Attempts to connect of which nothing came: each counted once where it failed, and no connection.
//!
//! In: closed ports, addresses that no one has, a firewall that refuses. Out: assertions about what the report counts.
//!
//! I/O: as the ends of connections, whose agent this uses.

use super::*;

#[test]
#[ignore = "needs root and BPF"]
fn what_failed_or_was_never_connected_is_no_connection() {
    in_a_node(|| {
        bridge();
        let (server, mut client) = (Pod::start(1), Pod::start(2));
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);

        client.ask("talk 10.9.0.1 9 100 second 0");
        agent.settle();

        assert_eq!(agent.total(), Count::default());
        assert!(agent.picture().flows.iter().all(|flow| flow.opened == 0));
        server.kill();
    });
}

fn every_refused_attempt_is_counted(source_kind: SourceKind) {
    bridge();
    let (server, mut client) = (Pod::start(1), Pod::start(2));
    let mut agent = Agent::start(source_kind, ROOM);

    // As fast as it goes: most begin and end between two passes.
    client.ask("attempt 10.9.0.1 9 1000 5");
    client.ask("attempt fd09::1 10 500 5");
    client.ask("attempt 127.0.0.1 11 500 5");
    agent.settle();
    assert_eq!([9, 10, 11].map(|port| agent.failed(port)), [1000, 500, 500]);

    // A blocking connect() makes the socket forget the port, and nothing else.
    client.ask("talk 10.9.0.1 12 1000 second 0");
    agent.settle();
    assert_eq!([12, 0].map(|port| agent.failed(port)), [0, 1000]);

    // Passes meet some of them under way.
    client.tell("attempt 10.9.0.1 13 3000 20");
    for _ in 0..20 {
        agent.pass();
    }
    assert_eq!(client.answer(), "done");
    agent.settle();
    assert_eq!(agent.failed(13), 3000);

    // Who gives up by itself is no failure of the server's. No one has that address.
    let neighbour = "ip neigh add 10.9.0.99 lladdr 02:00:00:00:00:99 dev eth0";
    sh(&format!("nsenter -t {} -n {neighbour}", client.child.id()));
    client.ask("attempt 10.9.0.99 14 50 0");
    agent.settle();
    assert_eq!(agent.failed(14), 0);

    let picture = agent.picture();
    assert_eq!(picture.trouble.failed, 6000);
    assert_eq!(picture.losses.get(Loss::Overcounted), 0);
    // One that is made just before a reading, and fails just after, may count as missing.
    let minute = picture.coverage[0];
    assert!(minute.opened <= 2 && minute.observed == 0, "{minute:?}");
    server.kill();
    client.kill();
}

#[test]
#[ignore = "needs root and BPF"]
fn bpf_counts_every_refused_attempt_once() {
    in_a_node(|| {
        every_refused_attempt_is_counted(SourceKind::Bpf);
    });
}

#[test]
#[ignore = "needs root"]
fn netlink_counts_every_refused_attempt_once() {
    in_a_node(|| {
        every_refused_attempt_is_counted(SourceKind::Netlink);
    });
}

#[test]
#[ignore = "needs root"]
fn procfs_counts_every_refused_attempt_once() {
    in_a_node(|| {
        every_refused_attempt_is_counted(SourceKind::Procfs);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn attempts_without_an_answer_and_those_that_icmp_fails_are_counted_once() {
    in_a_node(|| {
        bridge();
        let (server, mut client) = (Pod::start(1), Pod::start(2));
        let pid = client.child.id();
        let inside = |command: &str| sh(&format!("nsenter -t {pid} -n sh -ec '{command}'"));
        // Two SYNs more, after one second and three: it fails after seven. No one has that address.
        inside("echo 2 > /proc/sys/net/ipv4/tcp_syn_retries");
        inside(
            "[ ! -e /proc/sys/net/ipv4/tcp_syn_linear_timeouts ] || echo 0 > /proc/sys/net/ipv4/tcp_syn_linear_timeouts",
        );
        inside("ip neigh add 10.9.0.50 lladdr 02:00:00:00:00:50 dev eth0");
        let mut agent = Agent::start(SourceKind::Bpf, ROOM);

        client.tell("attempt 10.9.0.50 9 40 30");
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| client.answer());
            while !answer.is_finished() {
                std::thread::sleep(Duration::from_millis(300));
                agent.pass();
            }
            answer.join().unwrap()
        });
        assert_eq!(answer, "done");
        agent.settle();
        assert_eq!((agent.failed(9), agent.picture().trouble.failed), (40, 40));

        // What kube-proxy answers for a Service without endpoints.
        let pid = server.child.id();
        let reject =
            "iptables -A INPUT -p tcp --dport 10 -j REJECT --reject-with icmp-port-unreachable";
        sh(&format!("nsenter -t {pid} -n {reject}"));
        // A connect() that blocks tries once more after a second, and fails. One that does not hears of it at once, and its
        // process gives up: that the kernel does not count either.
        client.ask("talk 10.9.0.1 10 3 second 0");
        client.ask("attempt 10.9.0.1 10 5 5");
        agent.settle();
        assert_eq!(agent.failed(0), 3);
        // The kernel limits how many such messages there are a second: who hears none tries again, and fails.
        assert_eq!(agent.failed(10) + 43, agent.picture().trouble.failed);
        server.kill();
        client.kill();
    });
}
