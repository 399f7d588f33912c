//! When owners of sockets change although no counter of the kernel moves.

use super::node::*;
use probelet_core::facts::{Facts, PortRange, Process, Socket, State, Want};
use probelet_core::report::{Limits, Now, Report};

#[test]
fn a_process_with_sockets_that_ends_or_execs_or_forks_is_a_reason_to_read_sockets() {
    let process = |pid, name: &str, ppid| Process { ppid, ..process(pid, name) };
    let (server, other) = (process(10, "server", 1), process(20, "other", 1));
    let handed_over = |later: Vec<Process>| {
        let mut report = Report::new(Limits::default(), PortRange::UNKNOWN);
        let socket =
            Socket { netns: HOST, inode: 5, pid: 10, state: State::Listen, ..Socket::default() };
        let mut facts = Facts {
            fresh: Some(Want::Sockets),
            processes: vec![server, other],
            sockets: vec![socket],
            ..Facts::default()
        };
        report.update(&facts, Now::default());
        assert!(!report.handed_over());
        (facts.fresh, facts.processes) = (Some(Want::Processes), later);
        report.update(&facts, Now::default());
        report.handed_over()
    };

    assert!(handed_over(vec![other]), "it ended");
    assert!(handed_over(vec![process(10, "new", 1), other]), "another program");
    assert!(handed_over(vec![server, other, process(30, "child", 10)]), "a child");
    assert!(!handed_over(vec![server, other]));
    assert!(!handed_over(vec![server, process(20, "new", 1), process(30, "child", 20)]));
    assert!(!handed_over(vec![server]));
}

#[test]
fn a_process_with_sockets_that_has_fewer_files_is_a_reason_until_it_gave_none_away() {
    let files = |open_fds| Process { open_fds: Some(open_fds), ..process(10, "server") };
    let mut report = Report::new(Limits::default(), PortRange::UNKNOWN);
    let held = Socket { netns: HOST, inode: 5, pid: 10, ..Socket::default() };
    let mut facts = Facts { processes: vec![files(9)], sockets: vec![held], ..Facts::default() };
    let mut second = 0;
    let mut pass = |facts: &Facts| {
        second += 1;
        report.update(facts, Now { mono_ms: second * 1000, ..Now::default() });
        report.handed_over()
    };
    let mut look = |want, open_fds| {
        facts.fresh = Some(want);
        facts.processes = vec![files(open_fds)];
        pass(&facts)
    };

    look(Want::Sockets, 9);
    assert!(!look(Want::Processes, 10), "a file more");
    assert!(look(Want::Processes, 9));
    assert!(!look(Want::Sockets, 9), "it was read, and no socket had gone");
    look(Want::Processes, 12);
    assert!(!look(Want::Processes, 9), "a log, or the like");
}
