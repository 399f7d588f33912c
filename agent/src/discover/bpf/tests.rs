//! The cursor: what happens between two slices. Ignored: they need root and BPF; what the kernel refuses is said as a SKIP.

use std::process::{Child, Command};

use probelet_core::facts::{Facts, Loss, Process, SourceKind, Want};

use super::records::{self, Heads, Sock};
use super::{Bpf, Ctl, load, run};
use crate::discover::{Limiter, Limits, Pace, Pass, Source as _, Unpaced};

/// Runs `body` with every source that loads, with slices that end at the first look at the clock.
fn each_source(body: impl Fn(&mut Bpf)) {
    let limits = Limits { max_sockets: 100_000, max_processes: 100_000 };
    let loaded =
        [SourceKind::Bpf, SourceKind::BpfCompat].map(|source_kind| load(source_kind, limits));
    if let [Err(best), Err(compat)] = &loaded {
        return eprintln!("SKIP: no BPF: {best}; {compat}");
    }
    for mut source in loaded.into_iter().flatten() {
        source.set(&[(Ctl::SliceNs, 0)]);
        body(&mut source);
    }
}

fn sleepers(n: usize) -> Vec<Child> {
    (0..n).map(|_| Command::new("sleep").arg("60").spawn().unwrap()).collect()
}

fn end(children: Vec<Child>) {
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn seen(facts: &Facts, pid: u32) -> Vec<Process> {
    facts.processes.iter().filter(|p| p.pid == pid).copied().collect()
}

#[test]
#[ignore = "needs root and BPF"]
fn the_shortest_slices_see_every_process_once() {
    let children = sleepers(30);
    each_source(|source| {
        let mut facts = Facts::default();
        source.pass(Want::Everything, &mut facts, &mut Unpaced).unwrap();

        for child in &children {
            assert_eq!(seen(&facts, child.id()).len(), 1, "pid {}", child.id());
        }
    });
    end(children);
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_that_exits_under_the_cursor_costs_no_other_one() {
    each_source(|source| {
        let mut children = sleepers(30);
        let mut facts = Facts::default();
        source.pass(Want::Processes, &mut facts, &mut Unpaced).unwrap();
        let starts: Vec<_> = children.iter().map(|c| seen(&facts, c.id())[0].start_ns).collect();
        facts.processes.clear();
        source.pids.clear();
        source.set(&[
            (Ctl::Task, 0),
            (Ctl::Fd, 0),
            (Ctl::FromStart, 0),
            (Ctl::Lost, 0),
            (Ctl::WantSockets, 0),
        ]);
        let mut killed = None;

        while source.get(Ctl::Done) == 0 || facts.processes.is_empty() {
            run("tasks", &source.loaded.tasks).unwrap();
            source.take_processes(&mut facts).unwrap();
            let under_cursor = starts.iter().position(|&s| s == source.get(Ctl::TaskStart));
            if let (None, Some(nth)) = (killed, under_cursor) {
                children[nth].kill().unwrap();
                children[nth].wait().unwrap();
                killed = Some(nth);
            }
        }

        let killed = killed.expect("slices of four tasks stop at one of thirty");
        assert_eq!(source.get(Ctl::Lost), 1);
        for (nth, child) in children.iter().enumerate() {
            assert_eq!(
                seen(&facts, child.id()).len(),
                usize::from(nth != killed),
                "pid {}",
                child.id()
            );
        }
        end(children);
    });
}

#[test]
#[ignore = "needs root and BPF"]
fn a_table_of_many_fds_is_left_and_entered_again_between_any_two_words() {
    let sockets: Vec<_> =
        (0..300).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    each_source(|source| {
        let mut facts = Facts::default();
        source.pass(Want::Sockets, &mut facts, &mut Unpaced).unwrap();

        let port = |s: &std::net::UdpSocket| s.local_addr().unwrap().port();
        let me = std::process::id();
        for socket in &sockets {
            let found = facts
                .sockets
                .iter()
                .filter(|s| s.pid == me && s.local.port == port(socket))
                .count();
            assert_eq!(found, 1, "port {}", port(socket));
        }
        assert_eq!(facts.losses.get(Loss::Torn), 0);
    });
}

/// Says stop at the n-th breath.
struct Breaths(u32);

impl Pace for Breaths {
    fn breathe(&mut self) -> bool {
        self.0 = self.0.saturating_sub(1);
        self.0 > 0
    }

    fn take(&mut self, _: Limiter, n: u32) -> u32 {
        n
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn after_a_walk_that_was_given_up_nothing_is_taken_from_memory() {
    let children = sleepers(30);
    each_source(|source| {
        let mut facts = Facts::default();
        let end = |source: &mut Bpf, facts: &mut Facts, pace: &mut dyn Pace| {
            source.pass(Want::Sockets, facts, pace).unwrap()
        };
        assert_eq!(end(source, &mut facts, &mut Unpaced), Pass::Complete);
        while source.kept() < 10 {
            end(source, &mut facts, &mut Unpaced);
        }

        let stopped_inside_the_walk = (1..1000).any(|breaths| {
            facts.processes.clear();
            let ended = end(source, &mut facts, &mut Breaths(breaths));
            ended == Pass::Abandoned && !facts.processes.is_empty()
        });
        assert!(stopped_inside_the_walk);

        end(source, &mut facts, &mut Unpaced);
        assert_eq!((source.kept(), facts.losses.get(Loss::Torn)), (0, 0));
        for child in &children {
            let [process] = seen(&facts, child.id())[..] else { panic!("pid {}", child.id()) };
            assert_eq!((process.threads, process.ppid), (1, std::process::id()));
        }
    });
    end(children);
}

/// Walks the hash by what is remembered of it; whether that reports a closed connection with this port at its end.
fn reports(source: &mut Bpf, port: u16, since: u64) -> bool {
    let words = [(Ctl::Heads, Heads::Trusted as u64), (Ctl::Bucket, 0), (Ctl::Since, since)];
    source.set(&words);
    let mut found = false;
    loop {
        run("sockhash", &source.loaded.sockhash).unwrap();
        let count = source.count(Ctl::Nsocks, records::SOCKS);
        source.loaded.socks.reach(count).unwrap();
        let all = (0..count).map(|nth| records::sock(&source.loaded.socks.get(nth)));
        found |=
            all.flatten().any(|one| matches!(one, Sock::Closed(c, ..) if c.local.port == port));
        if source.get(Ctl::Done) != 0 {
            return found;
        }
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_closed_connection_that_is_met_before_its_expiry_is_set_is_reported_by_the_next_walk() {
    each_source(|source| {
        source.pass(Want::Sockets, &mut Facts::default(), &mut Unpaced).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        let accepted = listener.accept().unwrap();
        drop(client);
        drop(accepted);

        // As the kernel leaves it between hashing the socket and starting its timer: what was there before had another expiry.
        let later_than_all = u64::MAX / 4;
        assert!(!reports(source, port, later_than_all));

        assert!(reports(source, port, 0));
        assert!(!reports(source, port, 0), "it is remembered by then");
    });
}
