//! What every source must do when its budget, its limits or its tables are too small.
//!
//! In: a source and a pace that grants little. Out: assertions.
//!
//! I/O: as the sources, on this host and on namespaces made here.

use std::net::TcpListener;
use std::path::Path;

use probelet_core::facts::{Facts, Loss, State, Want};

use super::{Elsewhere, LIMITS, at, read, tiers};
use crate::discover::procfs::Procfs;
use crate::discover::{Limiter, Limits, Pace, Pass, Source};

#[derive(Default)]
struct Sparing {
    fds: u32,
    asked: u32,
}

impl Pace for Sparing {
    fn breathe(&mut self) -> bool {
        true
    }

    fn take(&mut self, limiter: Limiter, n: u32) -> u32 {
        if limiter != Limiter::Fds {
            return n;
        }
        let granted = n.min(self.fds);
        self.fds -= granted;
        self.asked += granted;
        granted
    }
}

#[test]
#[ignore = "needs root"]
fn the_owner_among_twenty_thousand_fds_is_found_piece_by_piece() {
    let program = "import resource as r\nh=r.getrlimit(r.RLIMIT_NOFILE)[1];r.setrlimit(r.RLIMIT_NOFILE,(h,h));n=min(h-100,20000)\nf=[os.open('/dev/null',0) for _ in range(n)]\ns=socket.create_server(('127.0.0.1',4247));print(n)";
    let there = Elsewhere::start(program);
    let fds: u32 = there.said().parse().unwrap();
    if fds < 10_000 {
        println!("SKIP: this machine: a process may open only {fds} files");
        return;
    }
    let tree = tempfile::tempdir().unwrap();
    let pid = there.0.id();
    std::os::unix::fs::symlink(format!("/proc/{pid}"), tree.path().join(pid.to_string())).unwrap();
    let mut source = Procfs::with_root(tree.path(), LIMITS).unwrap();
    let mut pace = Sparing::default();
    for pending in 0..30 {
        let mut facts = Facts::default();
        // The count of a copied tree comes from listing: let it be done before.
        pace.fds = if pending == 0 { fds + 300 } else { 0 } + 1_000;
        source.pass(Want::Sockets, &mut facts, &mut pace).unwrap();
        if at(&facts, 4247).contains(&(pid, State::Listen)) {
            assert!(pending >= fds / 1_000 - 1, "{pending} passes for {fds} fds");
            return;
        }
        assert_eq!(facts.losses.get(Loss::OwnerPending), 1);
        assert_eq!(at(&facts, 4247), [(0, State::Listen)].into());
    }
    panic!("not found; {} fds looked at", pace.asked);
}

#[test]
#[ignore = "needs root"]
fn a_socket_that_no_process_holds_is_looked_for_everywhere_and_then_let_be() {
    // The holder is outside of the tree, as one in another pid namespace would be.
    let there = Elsewhere::start(
        "s=socket.create_server(('127.0.0.1',4248))\nc=os.fork()\nif c==0:\n s.close();time.sleep(600)\nprint(c)\nimport atexit;atexit.register(lambda: os.kill(c,9))",
    );
    let child = there.said();
    let tree = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(format!("/proc/{child}"), tree.path().join(child)).unwrap();
    let mut source = Procfs::with_root(tree.path(), LIMITS).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));

    let facts = read(&mut source, Want::Sockets);
    assert_eq!(facts.losses.get(Loss::OwnerPending), 1);
    let facts = read(&mut source, Want::Everything);
    assert_eq!(facts.losses.get(Loss::NoOwner), 1);
    let mut pace = Sparing { fds: 1_000_000, asked: 0 };
    let mut facts = facts;
    source.pass(Want::Sockets, &mut facts, &mut pace).unwrap();
    assert_eq!(pace.asked, 0, "walked again for a socket that nobody holds");
}

#[test]
fn a_pass_that_may_not_go_on_is_abandoned() {
    struct Stopped;
    impl Pace for Stopped {
        fn breathe(&mut self) -> bool {
            false
        }
        fn take(&mut self, _: Limiter, n: u32) -> u32 {
            n
        }
    }
    for mut source in tiers() {
        let mut facts = Facts::default();

        let pass = source.pass(Want::Everything, &mut facts, &mut Stopped).unwrap();

        assert_eq!(pass, Pass::Abandoned);
        assert_eq!(facts.fresh, None);
    }
}

#[test]
fn the_tables_of_sockets_and_processes_are_bounded() {
    let _listeners: Vec<_> = (0..5).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let limits = Limits { max_sockets: 3, max_processes: 2 };
    let mut source = Procfs::with_root(Path::new("/proc"), limits).unwrap();

    let facts = read(&mut source, Want::Everything);

    assert!(facts.sockets.len() <= 3);
    assert!(facts.processes.len() <= 2);
    assert!(facts.losses.get(Loss::ProcessesFull) > 0);
}
