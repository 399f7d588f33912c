//! What strangers can make the real agent do: wait, and show their name as it is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and one that cannot run says so"
)]

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[path = "agent/program.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod program;
#[path = "http/reading.rs"]
mod reading;
use program::Agent;

/// An agent with a listener for probes.
fn start(config: &str, more: &[&str]) -> Agent {
    let probes: &[&str] = &["--probe-listen", "127.0.0.1:0", "--kubernetes", "off"];
    Agent::start(&[probes, more].concat(), config)
}

/// CPU time that all its threads have used.
fn cpu(agent: &Agent) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", agent.child.id())).unwrap();
    let used = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

/// A connection from an address of its own: all of 127/8 is this machine.
fn from(peer: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    // An agent that another test starts at this moment is not to have it.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, peer), 0))?;
    connect(&socket, &to)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Sends one request and reads its answer by its length or its last chunk; the connection stays open.
fn ask(stream: &mut TcpStream, path: &str) -> std::io::Result<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let (mut raw, mut piece) = (Vec::new(), vec![0; 65536]);
    loop {
        let n = stream.read(&mut piece)?;
        raw.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&raw);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let whole = match length.and_then(|length| length.parse::<usize>().ok()) {
                Some(length) => body.len() >= length,
                None => body.ends_with("0\r\n\r\n"),
            };
            if whole || n == 0 {
                return Ok((head[9..12].parse().unwrap(), body.to_owned()));
            }
        } else if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn status(peer: u8, to: SocketAddr, path: &str) -> u16 {
    let asked = from(peer, to).and_then(|mut stream| ask(&mut stream, path));
    asked.map_or(0, |(status, _)| status)
}

fn value(metrics: &str, name: &str) -> f64 {
    let line =
        metrics.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn connections_that_say_nothing_keep_out_neither_readers_nor_probes() {
    let agent = start("budget: {cpu: 200m}", &[]);
    let silent: Vec<_> = (0..70).map(|_| from(9, agent.serves).unwrap()).collect();
    let at_the_probes: Vec<_> = (0..70).map(|_| from(9, agent.probes.unwrap()).unwrap()).collect();
    thread::sleep(Duration::from_millis(500));

    let readers: Vec<_> = (0..10).map(|_| status(2, agent.serves, "/metrics")).collect();
    let probes: Vec<_> = (0..10).map(|_| status(3, agent.probes.unwrap(), "/healthz")).collect();

    assert_eq!(readers, [200; 10]);
    assert_eq!(probes, [200; 10]);
    assert_eq!(status(3, agent.probes.unwrap(), "/metrics"), 404);
    drop((silent, at_the_probes));
}

/// One after the other from one peer, some 300 a second.
fn storm(storming: &AtomicBool, sent: &AtomicUsize, to: SocketAddr, hello: &[u8]) {
    while storming.load(Ordering::Relaxed) {
        if let Ok(mut stream) = from(9, to) {
            let _cut = stream.write_all(hello);
            let _short = stream.set_read_timeout(Some(Duration::from_millis(20)));
            let _ended = stream.read(&mut [0; 512]);
            sent.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(3));
    }
}

/// Ends a storm, also when what is asserted meanwhile does not hold: a test that fails must not wait for it.
struct Calm<'a>(&'a AtomicBool);

impl Drop for Calm<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The report, for a reader who comes again when the readers' share is used up: that it comes is what counts, not when. Beside
/// builds on both cores a report of a debug build costs several times its share of a second.
fn answered(reader: &mut TcpStream) -> String {
    for _ in 0..80 {
        match ask(reader, "/v1/report").unwrap() {
            (200, report) => return report,
            (status, why) => assert_eq!(status, 503, "{why}"),
        }
        thread::sleep(Duration::from_millis(500));
    }
    panic!("refused for forty seconds")
}

/// Whatever a peer without a token sends: the budget is kept as a mean over its window, the node is read on, a new listener
/// is seen, and who was in before is answered.
fn is_withstood(more: &[&str], hellos: &[&[u8]]) {
    const WINDOW: Duration = Duration::from_secs(10);
    let config = "{budget: {cpu: 40m, window: 10s}, intervals: {sockets: 1s}}";
    let agent = start(config, more);
    let secured = more.contains(&"self-signed");
    let mut reader = (!secured).then(|| from(2, agent.serves).unwrap());
    let metrics = |reader: &mut Option<TcpStream>| {
        reader.as_mut().map(|reader| ask(reader, "/metrics").unwrap().1)
    };
    metrics(&mut reader);
    // The price of starting leaves the window.
    thread::sleep(WINDOW + Duration::from_secs(1));
    let (storming, sent) = (AtomicBool::new(true), AtomicUsize::new(0));
    thread::scope(|scope| {
        let calm = Calm(&storming);
        for hello in hellos {
            scope.spawn(|| storm(&storming, &sent, agent.serves, hello));
        }
        let mut marks = Vec::new();
        let began = Instant::now();
        while began.elapsed() < WINDOW * 2 + Duration::from_secs(2) {
            marks.push((Instant::now(), cpu(&agent)));
            thread::sleep(Duration::from_millis(250));
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::sleep(Duration::from_secs(5));
        let metrics = metrics(&mut reader);
        let report = reader.as_mut().map(answered);
        drop(calm);

        let windows = marks.iter().filter_map(|&(from, before)| {
            let far = marks.iter().find(|(to, _)| *to - from >= WINDOW);
            far.map(|&(to, after)| {
                (after.as_secs_f64() - before.as_secs_f64()) / (to - from).as_secs_f64()
            })
        });
        let worst = windows.fold(0.0, f64::max);
        assert!(worst <= 0.040 * 1.02, "{worst} cores of 0.040, {sent:?} were sent");
        if let Some(metrics) = metrics {
            let freshness = value(&metrics, "probelet_agent_freshness_seconds ");
            assert!(freshness <= 5.0, "{freshness}");
        }
        if let Some(report) = report {
            assert!(report.contains(&format!("127.0.0.1:{port}")), "a listener of 5 s ago");
        }
        assert_eq!(status(3, agent.probes.unwrap(), "/healthz"), 200);
    });
}

#[test]
#[ignore = "forty seconds of storm; make test runs it"]
fn a_storm_of_requests_costs_no_more_than_the_readers_share() {
    is_withstood(
        &[],
        &[
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"",
        ],
    );
}

/// The beginning of a handshake as OpenSSL sends it, with one key share of X25519.
const HELLO: &[u8] = b"\x16\x03\x01\x00\x7c\x01\x00\x00\x78\x03\x03\
    0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x4d\
    \x00\x2b\x00\x03\x02\x03\x04\x00\x0d\x00\x0a\x00\x08\x04\x03\x08\x04\x08\x07\x04\x01\
    \x00\x0a\x00\x04\x00\x02\x00\x1d\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20\
    \x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
    \x00\x2d\x00\x02\x01\x01";

#[test]
#[ignore = "forty seconds of storm; make test runs it"]
fn a_storm_of_handshakes_costs_no_more_than_the_readers_share() {
    is_withstood(
        &["--tls", "self-signed"],
        &[HELLO, HELLO, b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"],
    );
}

/// A process that calls itself by bytes that act on a terminal, until it is dropped.
struct Hostile(Child);

impl Hostile {
    fn start() -> Self {
        let shell = r"printf '\033]0;own\n\302\233\342\200\256' > /proc/$$/comm; read -r wait";
        let child = Command::new("sh").args(["-c", shell]).stdin(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(300));
        Self(child)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn what_a_process_calls_itself_acts_on_no_one() {
    let hostile = Hostile::start();
    let once = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_probelet-agent"));
        command.args(["once", "--docker", "off", "--kubernetes", "off"]).args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let agent = start("budget: {cpu: 200m}", &[]);
    thread::sleep(Duration::from_secs(2));
    let served = |path| ask(&mut from(2, agent.serves).unwrap(), path).unwrap().1;

    let outputs = [
        once(&[]),
        once(&["--json"]),
        served("/v1/report"),
        served("/metrics"),
        served("/\u{9b}31m\u{202e}"),
    ];

    let name = r"\\x1b]0;own\\x0a\\x9b\\u{202e}";
    for output in &outputs[1..3] {
        let process = format!("\"pid\":{}", hostile.0.id());
        assert!(output.contains(&process) && output.contains(name), "{output}");
    }
    for output in outputs {
        let acts = output.chars().find(|&c| probelet_core::text::acts(c) && !"\r\n".contains(c));
        assert_eq!(acts, None, "{output:?}");
    }
}

#[test]
fn with_few_files_allowed_the_agent_keeps_some_to_be_asked_with() {
    // Whatever is held open to save work, for each of these too.
    let mut others: Vec<Child> =
        (0..40).map(|_| Command::new("sleep").arg("60").spawn().unwrap()).collect();
    let before = ["prlimit", "--nofile=64:64"];
    let words = ["--source", "procfs", "--kubernetes", "off"];
    // A busy machine has more to read than the default budget pays for within the time.
    let agent = Agent::start_by(&before, &words, "budget: {cpu: \"1\"}").unwrap();

    let mut seen = 0;
    let began = Instant::now();
    while seen <= others.len() && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(500));
        let report = agent.report();
        seen = report.map_or(0, |report| report["processes"].as_array().map_or(0, Vec::len));
    }

    for other in &mut others {
        other.kill().unwrap();
        other.wait().unwrap();
    }
    assert!(seen > others.len(), "{seen} processes");
}
