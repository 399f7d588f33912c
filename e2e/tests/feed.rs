//! Operator and agent, both as they are: the pods of a node go from an API server in memory through the operator's feed into the agent.
//!
//! In: pods as someone makes and deletes them. Out: what the agent gets. I/O: loopback, a temporary folder.

#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use probelet_agent::snapshot::Snapshot;
use probelet_agent::{
    config::Effective,
    kube::{
        Access, Connection, FeedStatus, State, Timing,
        operator::{self, Place},
    },
    names::{self, Feed, Operator, Origin},
};
use probelet_bench::cpu_clock::cpu_time;
use probelet_core::cluster::objects::{Event, Kind};
use probelet_core::cluster::{Cluster as Named, Settings};
use probelet_core::facts::{Endpoint, Facts, Process, Socket, Want};
use probelet_core::join::PortRange;
use probelet_core::records::Unresolved;
use probelet_core::report::{Limits, Now, Report};
use probelet_fake_api::{Fake, socket::kubeconfig};
use serde_json::json;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

const LONG: Duration = Duration::from_mins(1);
const SERVICE: &str = "probelet-operator";
const USER: &str = "system:serviceaccount:probelet:probelet-agent";

/// A cluster as the chart leaves it, and the operator in it.
struct Cluster {
    fake: Fake,
    kubeconfig: PathBuf,
    port: u16,
    home: tempfile::TempDir,
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn cluster(pods: impl FnOnce(&Fake)) -> Cluster {
    let fake = Fake::default();
    fake.put("secrets", "probelet-operator-tls", |_| {});
    fake.put("configmaps", "probelet-operator-tls", |_| {});
    fake.put("services", SERVICE, |service| service["spec"] = json!({"clusterIP": "127.0.0.1"}));
    pods(&fake);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("kubeconfig");
    fs::write(&file, kubeconfig(&format!("http://{}", fake.listen()), "")).unwrap();
    Cluster { fake, kubeconfig: file, port: free().port(), home }
}

impl Cluster {
    fn operator(&self) -> Vec<String> {
        let (file, listen) =
            (self.kubeconfig.display().to_string(), format!("127.0.0.1:{}", self.port));
        let words = [
            "probelet-operator",
            "--kubeconfig",
            &file,
            "--namespace",
            "probelet",
            "--no-leader-election",
            "--no-seed",
            "--listen",
            "off",
            "--log-level",
            "warn",
            "--feed-listen",
            &listen,
            "--feed-account",
            "probelet-agent",
            "--feed-certify",
            "probelet-operator-tls",
            "--feed-certify-name",
            "probelet-operator.probelet.svc",
        ];
        words.map(str::to_owned).into()
    }

    /// An agent whose pod is on this node.
    fn agent(&self, node: &str) -> Agent {
        self.agent_that_sees(node, None)
    }

    fn agent_that_sees(&self, node: &str, seen: Option<watch::Receiver<Arc<Snapshot>>>) -> Agent {
        self.fake.token(node, USER, "probelet-feed", Some(node));
        let token = self.home.path().join(node);
        fs::write(&token, node).unwrap();
        Agent::start(&self.kubeconfig, token, self.port, node, seen)
    }
}

struct Agent {
    status: Arc<FeedStatus>,
    events: mpsc::Receiver<Vec<Event>>,
    _config: watch::Sender<Arc<Effective>>,
}

impl Agent {
    fn start(
        kubeconfig: &Path,
        token: PathBuf,
        port: u16,
        node: &str,
        snapshots: Option<watch::Receiver<Arc<Snapshot>>>,
    ) -> Self {
        let timing = Timing {
            start: Duration::ZERO,
            gather: Duration::ZERO,
            nodes: None,
            interest: Duration::from_millis(100),
            ..Timing::default()
        };
        let access = Access::Kubeconfig(Some(kubeconfig.to_owned()));
        let connection = Arc::new(Connection::new(access, timing.renew, timing.gather));
        let (service, namespace) = (SERVICE.to_owned(), "probelet".to_owned());
        let place = Place { service, namespace, port, token };
        let feed = operator::feed(Arc::clone(&connection), place, timing.renew, timing.gather);
        let (config, seen) = watch::channel(Arc::new(Effective::defaults()));
        let (sender, events) = names::channel();
        let status = Arc::new(FeedStatus::default());
        tokio::spawn(names::follow(
            Feed {
                connection,
                operator: Some(Operator { connection: Arc::new(feed), fallback: false }),
                snapshots,
                node: node.into(),
                config: seen,
                status: Arc::clone(&status),
                pace: Arc::new(|_| None),
                timing,
            },
            sender,
        ));
        Self { status, events, _config: config }
    }

    /// The next events about pods, up to this one.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|event| event != last) {
            let batch =
                timeout(LONG, self.events.recv()).await.expect("in time").expect("it lives");
            all.extend(batch.iter().filter_map(|event| match event {
                Event::Pod(pod) => Some(format!("+{}", pod.name)),
                Event::PodGone(_, name, _) => Some(format!("-{name}")),
                Event::Listed(Kind::Pod) => Some("listed".to_owned()),
                _ => None,
            }));
        }
        all
    }
}

fn runs(fake: &Fake, name: &str, node: &str) {
    fake.put("pods", name, |pod| {
        pod["metadata"]["namespace"] = json!("shop");
        pod["spec"] = json!({"nodeName": node});
        pod["status"] = json!({"phase": "Running", "podIP": "10.0.0.1"});
    });
}

/// One for all tests: a process can have one log, and an operator wants one.
fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = cluster(|fake| {
            runs(fake, "here", "node-1");
            runs(fake, "elsewhere", "node-2");
            runs(fake, "database-0", "node-3");
            fake.put("pods", "database-0", |pod| {
                pod["status"]["podIP"] = json!("10.0.7.7");
                pod["status"]["startTime"] = json!("2020-01-01T00:00:00Z");
            });
        });
        let words = cluster.operator();
        thread::spawn(move || probelet_operator::run::main(words.into_iter().map(Into::into)));
        cluster
    })
}

#[tokio::test]
async fn the_pods_of_a_node_reach_its_agent_through_the_operator_and_those_of_others_do_not() {
    let cluster = shared();
    let mut agent = cluster.agent("node-1");

    assert_eq!(agent.until("listed").await, ["+here", "listed"]);
    runs(&cluster.fake, "elsewhere-too", "node-2");
    runs(&cluster.fake, "new", "node-1");
    assert_eq!(agent.until("+new").await, ["+new"]);
    cluster.fake.remove("pods", "here");
    assert_eq!(agent.until("-here").await, ["-here"]);

    let pods = agent.status.of(Kind::Pod);
    assert_eq!((pods.origin, pods.state, pods.lists), (Origin::Feed, State::Watching, 1));
    let mut other = cluster.agent("node-2");
    let mut first = other.until("listed").await;
    first.sort_unstable();
    assert_eq!(first, ["+elsewhere", "+elsewhere-too", "listed"]);
}

/// A node with a connection to an address that nothing explains, and the time of it.
fn puzzled(address: [u8; 4]) -> (Report, Now) {
    let unix = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let now = Now { unix_ms: u64::try_from(unix).unwrap(), mono_ms: 100_000 };
    let mut report = Report::new(Limits::default(), PortRange::default());
    report.watch(Named::new(Settings { node: "node-4".into(), ..Settings::default() }, 1));
    for kind in Kind::ALL {
        for event in [Event::Listing(kind), Event::Listed(kind)] {
            report.cluster().unwrap().apply(event, now.mono_ms);
        }
    }
    let [local, remote] = [([198, 51, 100, 9], 40_000), (address, 5432)];
    let end = |(ip, port): ([u8; 4], u16)| Endpoint::v4(ip.into(), port);
    let facts = Facts {
        fresh: Some(Want::Everything),
        processes: vec![Process { pid: 50, start_ns: 1, netns: 50, ..Process::default() }],
        sockets: vec![Socket {
            netns: 50,
            inode: 1,
            pid: 50,
            local: end(local),
            remote: end(remote),
            ..Socket::default()
        }],
        ..Facts::default()
    };
    report.update(&facts, now);
    (report, now)
}

#[tokio::test]
async fn a_peer_that_no_endpoint_shows_gets_its_name_from_the_operator() {
    let cluster = shared();
    let (mut report, now) = puzzled([10, 0, 7, 7]);
    let gap =
        |report: &Report| report.picture(now).cluster.unwrap().gaps.get(Unresolved::UnknownAddress);
    assert_eq!(gap(&report), 1);
    let mut snapshot = Snapshot::empty("node-4".into());
    snapshot.picture = report.picture(now);
    let (_sender, seen) = watch::channel(Arc::new(snapshot));
    let mut agent = cluster.agent_that_sees("node-4", Some(seen));

    let found = loop {
        let batch = timeout(LONG, agent.events.recv()).await.expect("in time").expect("it lives");
        if let Some(far) = batch.into_iter().find(|event| matches!(event, Event::Far(_))) {
            break far;
        }
    };
    report.cluster().unwrap().apply(found, now.mono_ms);
    report.rename(now);

    assert_eq!(gap(&report), 0);
}

/// CPU seconds and resident KiB of a process.
fn cost(pid: u32) -> (f64, u64) {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    (cpu_time(pid).unwrap().as_secs_f64(), resident * 4)
}

const PROGRAM: &str = "PROBELET_OPERATOR_PROGRAM";

/// The operator's program: of [`PROGRAM`], such as a release to be measured, else the one beside the folder of this test. A run
/// of tests alone has not built that, or has an older one.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return program.into();
    }
    let mut cargo = std::process::Command::new(env!("CARGO"));
    // What cargo says of this package would be a change to build scripts that watch it, such as that of ring: everything that
    // uses it would be compiled now, and after the tests once more.
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        if of_package.iter().any(|&start| name.to_string_lossy().starts_with(start)) {
            cargo.env_remove(name);
        }
    }
    let end = cargo.arg("programs").status().unwrap();
    assert!(end.success(), "cargo build: {end}");
    let me = std::env::current_exe().unwrap();
    me.parent().and_then(Path::parent).unwrap().join("probelet-operator")
}

/// How long nothing changes: for the figures of a release, so long that each has had a bookmark.
fn quiet_for() -> Duration {
    Duration::from_secs(if std::env::var_os(PROGRAM).is_some() { 40 } else { 2 })
}

/// Figures of docs/adr/0015: what the operator's program costs with 3,000 pods and an agent on each of 100 nodes, and what an
/// agent gets. What is held to is what no clock measures: bytes.
#[tokio::test]
#[ignore = "builds the operator's program and runs it for half a minute"]
async fn three_thousand_pods_cost_the_operator_and_each_agent_few_bytes() {
    let program = program();
    let text = include_str!("../../agent/tests/fixtures/kubernetes/pod.json");
    let (nodes, changes) = (100, 1000);
    let mut held = Vec::new();
    for pods in [0, 3000] {
        let cluster = cluster(|fake| {
            for n in 0..pods {
                fake.put("pods", &format!("web-7d9f8c6b5-{n:05}"), |pod| {
                    let old = pod["metadata"].clone();
                    *pod = serde_json::from_str(text).unwrap();
                    for field in ["name", "uid"] {
                        pod["metadata"][field] = old[field].clone();
                    }
                    pod["spec"]["nodeName"] = json!(format!("node-{}", n % nodes));
                });
            }
        });
        let words = cluster.operator();
        let mut operator = std::process::Command::new(&program).args(&words[1..]).spawn().unwrap();
        let mut agents = Vec::new();
        for n in 0..nodes {
            let mut agent = cluster.agent(&format!("node-{n}"));
            agent.until("listed").await;
            agents.push(agent);
        }
        let bytes = agents[0].status.of(Kind::Pod).bytes;
        let (before, memory) = cost(operator.id());
        println!(
            "{pods} pods, {nodes} agents: {before:.2} s CPU to here, {memory} KiB, a list of {bytes} bytes"
        );
        let lull = quiet_for();
        tokio::time::sleep(lull).await;
        let (quiet, _) = cost(operator.id());
        println!("{lull:?} without a change: {:.4} s CPU", quiet - before);
        for n in 0..if pods > 0 { changes } else { 0 } {
            let phase = if n / pods % 2 == 0 { "Failed" } else { "Running" };
            cluster.fake.put("pods", &format!("web-7d9f8c6b5-{:05}", n % pods), |pod| {
                pod["status"]["phase"] = json!(phase);
            });
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (after, memory) = cost(operator.id());
        println!("{changes} changes: {:.3} s CPU, {memory} KiB then", after - quiet);
        operator.kill().unwrap();
        operator.wait().unwrap();
        held.push((bytes, memory));
    }

    let [(nothing, empty), (list, full)] = held[..] else { panic!("{held:?}") };
    assert!(nothing < 1024 && list < 30 * 1536, "lists of {nothing} and {list} bytes, of 30 pods");
    assert!(full < empty + 3000 * 6, "{empty} and {full} KiB");
}
