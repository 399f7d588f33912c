//! What every source must do when its budget, its limits or its tables are too small.
//!
//! In: a source and a pace that grants little. Out: assertions.
//!
//! I/O: as the sources, on this host and on namespaces made here.

use std::net::TcpListener;
use std::path::Path;

use probelet_core::facts::{Facts, Loss, State, Want};

use super::{Elsewhere, LIMITS, at, read, source_kinds};
use crate::discover::netlink::Netlink;
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
    assert_eq!(pace.asked, 0, "walked again for a socket that no one holds");
}

/// A tree with one process of another namespace, and copies of some of its files.
fn tree(there: &Elsewhere) -> (tempfile::TempDir, std::path::PathBuf) {
    let tree = tempfile::tempdir().unwrap();
    let pid = there.0.id().to_string();
    let (real, copy) = (Path::new("/proc").join(&pid), tree.path().join(&pid));
    std::fs::create_dir_all(copy.join("net")).unwrap();
    let link = |name: &str| std::os::unix::fs::symlink(real.join(name), copy.join(name)).unwrap();
    ["stat", "fd", "ns", "task"].into_iter().for_each(link);
    for file in ["tcp", "tcp6", "udp", "udp6", "snmp", "netstat", "sockstat", "sockstat6"] {
        link(&format!("net/{file}"));
    }
    let net = copy.join("net");
    (tree, net)
}

#[test]
#[ignore = "needs root"]
fn a_socket_that_the_kernel_counts_and_no_table_shows_is_unseen_until_it_is_seen() {
    type Load = fn(&Path) -> Box<dyn Source>;
    let loads: [Load; 2] = [
        |root| Box::new(Procfs::with_root(root, LIMITS).unwrap()),
        |root| Box::new(Netlink::with_root(root, LIMITS).unwrap()),
    ];
    for load in loads {
        let there = Elsewhere::start(
            "u=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);u.bind(('127.0.0.1',4260));print(1)",
        );
        let (tree, net) = tree(&there);
        let count = net.join("sockstat");
        let real = std::fs::read_to_string(&count).unwrap();
        std::fs::remove_file(&count).unwrap();
        std::fs::write(&count, real.replace("UDP: inuse 1", "UDP: inuse 3")).unwrap();
        let mut source = load(tree.path());
        let mut facts = Facts::default();
        let mut unseen = |source: &mut dyn Source| {
            facts.losses = probelet_core::facts::Losses::default();
            super::again(source, Want::Everything, &mut facts);
            facts.compared.then(|| facts.losses.get(Loss::Unseen))
        };
        let source_kind = source.kind().name();

        let reported: Vec<_> = (0..3).map(|_| unseen(&mut *source)).collect();
        assert_eq!(reported, [None, Some(2), Some(2)], "{source_kind}");
        std::fs::write(&count, real).unwrap();
        let reported: Vec<_> = (0..2).map(|_| unseen(&mut *source)).collect();
        // Something has moved, so that the next one is the first to know.
        assert_eq!(reported, [Some(2), Some(0)], "{source_kind}");
    }
}

/// Puts the processes of a namespace into a tree that stands for `/proc`.
fn show(tree: &Path, there: &Elsewhere) {
    let mine = there.netns().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let net = std::fs::read_link(entry.path().join("ns/net")).unwrap_or_default();
        if net.to_string_lossy().contains(&mine) {
            std::os::unix::fs::symlink(entry.path(), tree.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
#[ignore = "needs root"]
fn sockets_of_one_namespace_take_no_place_of_anothers() {
    type Load = fn(&Path, Limits) -> Box<dyn Source>;
    let many = "import resource as r\nr.setrlimit(r.RLIMIT_NOFILE,(4096,4096))\nk=[socket.socket(socket.AF_INET,socket.SOCK_DGRAM) for _ in range(900)]\nfor s in k: s.bind(('127.0.0.1',0))\nprint(1)";
    let few = "s=socket.create_server(('127.0.0.1',4261));print(1)";
    let loads: [Load; 2] = [
        |root, limits| Box::new(Procfs::with_root(root, limits).unwrap()),
        |root, limits| Box::new(Netlink::with_root(root, limits).unwrap()),
    ];
    for load in loads {
        // Nothing else of this machine takes a place.
        let tree = tempfile::tempdir().unwrap();
        let hostile = Elsewhere::start(many);
        show(tree.path(), &hostile);
        let mut source = load(tree.path(), Limits { max_sockets: 400, ..LIMITS });
        read(&mut *source, Want::Everything);
        let victims: Vec<_> = (0..3).map(|_| Elsewhere::start(few)).collect();
        for victim in &victims {
            show(tree.path(), victim);
        }

        let facts = read(&mut *source, Want::Everything);

        let of = |there: &Elsewhere| {
            let netns = there.netns();
            facts.sockets.iter().filter(|socket| socket.netns == netns).count()
        };
        let source_kind = source.kind().name();
        assert_eq!(victims.iter().map(of).collect::<Vec<_>>(), [1, 1, 1], "{source_kind}");
        assert!((250..=300).contains(&of(&hostile)), "{source_kind}: {}", of(&hostile));
        let left = facts.losses.get(Loss::SocketsFull);
        assert!(left >= 600, "{source_kind}: {left}, {} of {}", of(&hostile), facts.sockets.len());
        assert!(!facts.compared, "what was left out is counted once");
    }
}

#[test]
#[ignore = "needs root"]
fn the_holders_of_one_socket_take_no_place_of_another() {
    let program = "s=[socket.create_server(('127.0.0.1',4300+i)) for i in range(20)]\nc=[]\nfor _ in range(9):\n p=os.fork()\n if p==0: time.sleep(600)\n c.append(p)\nprint(1)\nimport atexit;atexit.register(lambda: [os.kill(p,9) for p in c])";
    let there = Elsewhere::start(program);
    let tree = tempfile::tempdir().unwrap();
    show(tree.path(), &there);
    let limits = Limits { max_sockets: 60, ..LIMITS };
    let mut source = Procfs::with_root(tree.path(), limits).unwrap();
    let mut facts = read(&mut source, Want::Everything);
    for _ in 0..20 {
        super::again(&mut source, Want::Everything, &mut facts);
    }

    let ports: std::collections::BTreeSet<u16> =
        facts.sockets.iter().map(|socket| socket.local.port).collect();
    assert_eq!(ports.len(), 20);
    assert_eq!(facts.sockets.len(), 60);
    assert!(facts.losses.get(Loss::SocketsFull) > 0);
}

#[test]
fn a_table_that_does_not_end_is_left_off_and_the_rest_is_counted() {
    let tree = tempfile::tempdir().unwrap();
    let pid = std::process::id().to_string();
    let copy = tree.path().join(&pid);
    std::fs::create_dir_all(copy.join("net")).unwrap();
    for name in ["stat", "fd", "ns", "task", "net/netstat", "net/snmp", "net/sockstat6", "net/tcp6"]
    {
        std::os::unix::fs::symlink(Path::new("/proc").join(&pid).join(name), copy.join(name))
            .unwrap();
    }
    let line = "   0: 0100007F:1F90 0200007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 20 4 30 10 -1\n";
    let rows = 500_000;
    let heading = "  sl  local_address rem_address   st\n";
    std::fs::write(copy.join("net/tcp"), heading.to_owned() + &line.repeat(rows)).unwrap();
    let counts = format!("TCP: inuse {rows} orphan 0 tw 0 alloc 9 mem 9\nUDP: inuse 0 mem 0\n");
    std::fs::write(copy.join("net/sockstat"), counts).unwrap();
    let limits = Limits { max_sockets: 1000, ..LIMITS };
    let mut source = Procfs::with_root(tree.path(), limits).unwrap();

    let facts = read(&mut source, Want::Sockets);

    let (kept, left_out) = (facts.sockets.len() as u64, facts.losses.get(Loss::SocketsFull));
    assert!((500..=1000).contains(&kept), "{kept}");
    assert!(kept + left_out >= rows as u64, "{kept} {left_out}");
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
    for mut source in source_kinds() {
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
