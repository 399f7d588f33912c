//! What someone could do who has taken over a running agent: code of theirs in its threads, after it gave its rights back.
//!
//! In: the agent's own engine, with a source that attacks when the time has come. Out: which attacks the kernel refused. The hook is
//! in this test alone: the program has none.
//!
//! I/O: yes; a process of its own, as what it gives back does not return.

#![allow(unsafe_code, reason = "attacks are made with bare system calls")]

use probelet_agent::args::Args;
use probelet_agent::config::Effective;
use probelet_agent::discover::choose::{self, Chosen};
use probelet_agent::discover::ends::{self, Ends};
use probelet_agent::discover::{Error, Limits, Pace, Pass, Source};
use probelet_agent::engine::{Engine, Governor, Setup};
use probelet_agent::rights::{Plan, Protection, reach::Reach};
use probelet_agent::snapshot::Snapshot;
use probelet_core::facts::{Facts, SourceKind, Want};
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

const CHILD: &str = "PROBELET_TEST_ATTACKED";

/// What the attacker found before: a namespace that is open, a place outside of the list, a listener of a stranger.
#[derive(Clone)]
struct Prey {
    namespace: Arc<File>,
    secret: PathBuf,
    stranger: std::net::SocketAddr,
    parent: i32,
}

/// Each attack, and what came of it.
fn attacks(prey: &Prey) -> Vec<(&'static str, io::Result<()>)> {
    let namespace = prey.namespace.as_raw_fd();
    // A program that returns 0, as bpf(BPF_PROG_LOAD) takes it.
    let program: [u64; 2] = [0xb7, 0x95];
    let mut attributes = [0_u64; 16];
    attributes[0] = 1 | 2 << 32;
    attributes[1] = program.as_ptr().addr() as u64;
    attributes[2] = c"GPL".as_ptr().addr() as u64;
    let (path, none) = (c"/bin/true", [std::ptr::null::<libc::c_char>()]);
    let header: [u32; 2] = [0x2008_0522, 0];
    let all: [u32; 6] = [u32::MAX; 6];
    // SAFETY: every pointer is to a value that outlives its call; a call that the kernel does make changes this process alone, which
    // then fails the test.
    let calls = unsafe {
        [
            ("setns", libc::syscall(libc::SYS_setns, namespace, libc::CLONE_NEWNET)),
            ("unshare", libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER)),
            ("ptrace", libc::syscall(libc::SYS_ptrace, libc::PTRACE_ATTACH, prey.parent, 0, 0)),
            ("kill", libc::syscall(libc::SYS_kill, prey.parent, 0)),
            (
                "execve",
                libc::syscall(libc::SYS_execve, path.as_ptr(), none.as_ptr(), none.as_ptr()),
            ),
            ("fork", libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)),
            ("bpf(PROG_LOAD)", libc::syscall(libc::SYS_bpf, 5, attributes.as_ptr(), 128)),
            ("bpf(MAP_CREATE)", libc::syscall(libc::SYS_bpf, 0, [2_u32, 4, 4, 1].as_ptr(), 16)),
            ("capset", libc::syscall(libc::SYS_capset, header.as_ptr(), all.as_ptr())),
            (
                "mount",
                libc::syscall(libc::SYS_mount, path.as_ptr(), path.as_ptr(), path.as_ptr(), 0, 0),
            ),
            ("packets", libc::syscall(libc::SYS_socket, libc::AF_PACKET, libc::SOCK_RAW, 0)),
            ("routes", libc::syscall(libc::SYS_socket, libc::AF_NETLINK, libc::SOCK_RAW, 0)),
            ("memory that is code", libc::syscall(libc::SYS_mmap, 0, 4096, 7, 0x22, -1, 0)),
            ("listen", libc::syscall(libc::SYS_listen, namespace, 1)),
            (
                "limits of a process",
                libc::syscall(libc::SYS_prlimit64, prey.parent, 7, 0, attributes.as_mut_ptr()),
            ),
            ("io_uring", libc::syscall(libc::SYS_io_uring_setup, 1, attributes.as_mut_ptr())),
        ]
    };
    let mut found: Vec<_> =
        calls.into_iter().map(|(name, answer)| (name, call_of(answer))).collect();
    let file = |path: &Path| File::open(path).map(drop);
    found.push(("a file outside the list", file(&prey.secret)));
    found.push(("the file of passwords", file(Path::new("/etc/shadow"))));
    let process = Path::new("/proc").join(prey.parent.to_string());
    found.push(("the same through a process", file(&process.join("root/etc/shadow"))));
    let pattern = Path::new("/proc/sys/kernel/core_pattern");
    found.push(("a setting of the kernel", File::options().write(true).open(pattern).map(drop)));
    found.push(("memory of a process", file(&process.join("mem"))));
    found.push(("a connection to a stranger", TcpStream::connect(prey.stranger).map(drop)));
    found
}

/// What `errno` says is another call's by now; that this one failed is what counts.
fn call_of(answer: libc::c_long) -> io::Result<()> {
    if answer < 0 { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

type Verdicts = Vec<(String, bool)>;

/// Reads by BPF, and once it is asked to attacks from the engine's thread.
struct Attacker {
    source: Box<dyn Source>,
    now: Arc<AtomicBool>,
    prey: Prey,
    verdicts: Mutex<Sender<Verdicts>>,
}

impl Source for Attacker {
    fn kind(&self) -> SourceKind {
        self.source.kind()
    }

    fn set_limits(&mut self, limits: Limits) {
        self.source.set_limits(limits);
    }

    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error> {
        if self.now.swap(false, Ordering::SeqCst) {
            self.verdicts.lock().unwrap().send(verdicts(&self.prey)).unwrap();
        }
        self.source.pass(want, facts, pace)
    }
}

fn verdicts(prey: &Prey) -> Verdicts {
    attacks(prey).into_iter().map(|(name, outcome)| (name.to_owned(), outcome.is_err())).collect()
}

/// The engine in this process, as `run` starts it.
#[allow(clippy::too_many_lines, reason = "what is set up stands in the order in which it happens")]
fn attacked(kubeconfig: Option<&str>) {
    let mut words = vec!["probelet-agent", "--node-name", "n", "--docker", "off"];
    match kubeconfig {
        Some(file) => words.extend(["--kubeconfig", file]),
        None => words.extend(["--kubernetes", "off"]),
    }
    let args = Args::parse(words.into_iter().map(Into::into)).unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let parent = std::os::unix::process::parent_id().cast_signed();
    let namespace = Arc::new(File::open("/proc/self/ns/net").unwrap());
    let stranger_at = stranger.local_addr().unwrap();
    let prey = Prey { namespace, secret, stranger: stranger_at, parent };
    let (now, (sender, begun)) = (Arc::new(AtomicBool::new(false)), channel());
    let effective = Arc::new(Effective::defaults());
    let spec = &effective.spec.budget;
    let governor = Arc::new(Governor::new(1_000_000_000, spec.window.duration(), 10));
    let (_keep, config) = watch::channel(Arc::clone(&effective));
    let (snapshots, mut seen) = watch::channel(Arc::new(Snapshot::empty("n".into())));
    let plan = Plan::new(Reach::new(&args), false, false);
    let (attacker, trigger) = (prey.clone(), Arc::clone(&now));
    let setup = Setup {
        node: "n".into(),
        source: Some(SourceKind::Bpf),
        config,
        governor: Arc::clone(&governor),
        snapshots,
        load: Box::new(move |pin, limits| {
            let chosen = choose::choose(pin, limits)?;
            let (now, prey) = (Arc::clone(&trigger), attacker.clone());
            let verdicts = Mutex::new(sender.clone());
            let source = Box::new(Attacker { source: chosen.source, now, prey, verdicts });
            Ok(Chosen { source, ..chosen })
        }),
        cluster: None,
        ends: Some(Box::new(|| Ends::open(Path::new("/proc"), ends::ROOM))),
        rights: Some(plan.clone()),
    };
    let (loaded, loading) = channel();
    // In the program the engine's thread comes first, too.
    let running = std::thread::spawn(move || match Engine::new(setup) {
        Ok(engine) => {
            loaded.send(None).unwrap();
            engine.run();
        }
        Err(error) => loaded.send(Some(error.to_string())).unwrap(),
    });
    if let Some(error) = loading.recv().unwrap() {
        return println!("SKIP: no BPF: {error}");
    }
    plan.started(plan.begin());
    while !seen.borrow_and_update().vitals.rights.is_in_force(Protection::NoNewPrivileges) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let rights = Arc::clone(&seen.borrow().vitals.rights);
    println!("in force: {:?}", rights.lacking);
    now.store(true, Ordering::SeqCst);
    let engine = begun.recv_timeout(Duration::from_secs(10)).unwrap();
    let other = std::thread::spawn({
        let prey = prey.clone();
        move || verdicts(&prey)
    });
    for (thread, verdicts) in [("engine", engine), ("other", other.join().unwrap())] {
        for (attack, refused) in verdicts {
            println!("{} {thread}: {attack}", if refused { "REFUSED" } else { "SUCCEEDED" });
        }
    }
    governor.stop();
    running.join().unwrap();
    println!("ATTACKED");
}

fn no_attack_succeeds(test: &str, kubeconfig: Option<&str>) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads", "1"])
        .env(CHILD, kubeconfig.unwrap_or("alone"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(skip) = said.lines().find(|line| line.starts_with("SKIP")) {
        return println!("{skip}");
    }
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("ATTACKED"), "{said}\n{error}");
    let done: Vec<_> = said.lines().filter(|line| line.starts_with("SUCCEEDED")).collect();
    let refused = said.lines().filter(|line| line.starts_with("REFUSED")).count();
    assert!(done.is_empty(), "{done:#?}\n{said}");
    assert!(refused >= 40, "{said}");
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_that_an_attacker_tries_in_an_agent_alone_succeeds() {
    if std::env::var_os(CHILD).is_some() {
        return attacked(None);
    }
    no_attack_succeeds("attack::nothing_that_an_attacker_tries_in_an_agent_alone_succeeds", None);
}

/// Here connections over IP are needed, so it is landlock that refuses those to a stranger: from Linux 6.7 on.
#[test]
#[ignore = "needs root and BPF"]
fn nothing_that_an_attacker_tries_in_an_agent_of_a_cluster_succeeds() {
    if let Some(file) = std::env::var_os(CHILD) {
        return attacked(file.to_str());
    }
    if probelet_agent::sys::landlock::version().unwrap_or(0) < 4 {
        return println!("SKIP: this machine: landlock of this kernel knows no ports");
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    std::fs::write(
        &file,
        "current-context: c\ncontexts: [{name: c, context: {cluster: a, user: u}}]\n\
         clusters: [{name: a, cluster: {server: 'https://127.0.0.1:6443'}}]\nusers: [{name: u, user: {}}]\n",
    )
    .unwrap();
    no_attack_succeeds(
        "attack::nothing_that_an_attacker_tries_in_an_agent_of_a_cluster_succeeds",
        file.to_str(),
    );
}

/// As a runtime's profile does that knows nothing of what is asked for.
fn forbid() -> io::Result<()> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refused = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.cast_unsigned();
    let mut program = vec![step(0x20, 0, 0, 0)];
    for (call, errno) in [
        (libc::SYS_prctl, libc::EPERM),
        (libc::SYS_capset, libc::EPERM),
        (libc::SYS_seccomp, libc::EPERM),
        (libc::SYS_landlock_create_ruleset, libc::ENOSYS),
    ] {
        program.push(step(0x15, 0, 1, u32::try_from(call).unwrap()));
        program.push(step(0x06, 0, 0, refused(errno)));
    }
    program.push(step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW));
    probelet_agent::sys::seccomp::install(&mut program, false)
}

#[test]
#[ignore = "needs root"]
fn a_sandbox_that_forbids_all_of_it_has_an_agent_that_works_and_says_so() {
    use std::os::unix::process::CommandExt as _;
    let mut agent = super::Agent::start_under(&["--source", "procfs"], super::BUDGET, |command| {
        // SAFETY: after the fork it fills a vector and makes three system calls; this process has no thread that would hold the
        // allocator's lock for good.
        unsafe { command.pre_exec(forbid) };
    });
    let given = |report: &serde_json::Value| {
        let all = report["agent"]["rights"]["protections"].as_array();
        all.is_some_and(|all| {
            all.iter().all(|one| one["why"] != "the first full report is not there yet")
        })
    };

    let report = agent.until("it has tried", given);

    for name in [
        "capabilities",
        "bounding-set",
        "no-new-privileges",
        "seccomp",
        "landlock-files",
        "landlock-tcp",
    ] {
        assert!(!super::protection(&report, name), "{name}: {}", report["agent"]["rights"]);
    }
    assert!(report["processes"].as_array().is_some_and(|all| !all.is_empty()));
}
