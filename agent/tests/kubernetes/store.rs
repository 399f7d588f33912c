//! The agent's own object: a server that keeps one NodeProbe, and an agent that follows it and answers.
//!
//! In: what a test does to the object. Out: what the agent asked for and wrote. It must not judge anything.
//! I/O: loopback, a temporary folder.

use super::feed::{LONG, no_limit, quick, url, write_kubeconfig};
use super::server::{Asked, Server, Stream, Topic, event};
use probelet_agent::config::Effective;
use probelet_agent::kube::{Access, Connection, SingleStatus};
use probelet_agent::node_probe::follow::{self, Assignment, Follow};
use probelet_agent::node_probe::saved;
use probelet_agent::node_probe::status::{self as writer, Account, Writer};
use probelet_agent::snapshot::Snapshot;
use probelet_crds::{NodeConfig, NodeProbeStatus, condition};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const QUIET: Duration = Duration::from_millis(1200);

/// The object in the server's store.
pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) watch: Option<Stream>,
    pub(crate) version: u64,
    pub(crate) generation: i64,
    pub(crate) config: Value,
    pub(crate) status: Value,
}

/// What a write said.
pub(crate) struct Write {
    pub(crate) asked: Asked,
    pub(crate) status: NodeProbeStatus,
}

impl Store {
    pub(crate) async fn start() -> Self {
        let server = Server::start(&[Topic::NodeProbe]).await;
        let (config, status) = (json!({}), Value::Null);
        Self { server, watch: None, version: 10, generation: 0, config, status }
    }

    pub(crate) fn url(&self) -> String {
        url(self.server.address)
    }

    pub(crate) fn object(&self) -> Value {
        let config: NodeConfig = serde_json::from_value(self.config.clone()).unwrap_or_default();
        json!({
            "apiVersion": "probelet.io/v1alpha1", "kind": "NodeProbe",
            "metadata": {
                "name": "node-1", "uid": "u-1", "generation": self.generation,
                "resourceVersion": self.version.to_string(),
            },
            "spec": {"origin": {"name": "default"}, "hash": config.hash(), "clusterSize": 2, "config": self.config},
            "status": self.status,
        })
    }

    /// Answers the look whether the object is there, and begins to answer the watch.
    pub(crate) async fn watched(&mut self) -> Watched {
        self.looked().await;
        self.resumed().await
    }

    /// The next request, which must be a look.
    pub(crate) async fn looked(&mut self) {
        let asked = self.server.next(Topic::NodeProbe).await;
        assert_eq!(asked.line, "GET /apis/probelet.io/v1alpha1/nodeprobes/node-1");
        if self.generation == 0 {
            asked.refuse(404, "NotFound", &[]);
        } else {
            asked.text(&self.object().to_string());
        }
    }

    /// The next request, which must be the watch; begins to answer it.
    pub(crate) async fn resumed(&mut self) -> Watched {
        let asked = self.server.next(Topic::NodeProbe).await;
        assert!(asked.is_watch(), "{}", asked.line);
        assert_eq!(asked.parameter("fieldSelector"), Some("metadata.name%3Dnode-1"));
        let from = asked.parameter("resourceVersion").map(ToOwned::to_owned);
        self.watch = Some(asked.stream());
        Watched { from }
    }

    pub(crate) async fn refuse(&mut self, code: u16, reason: &str) {
        self.server.next(Topic::NodeProbe).await.refuse(code, reason, &[]);
    }

    pub(crate) async fn send(&mut self, verb: &str) {
        let text = event(verb, &self.object().to_string());
        let watch = self.watch.as_ref().expect("a watch");
        assert!(watch.send(&text).await, "the agent listens");
    }

    /// Someone edits the spec.
    pub(crate) async fn edit(&mut self, config: Value) {
        self.version += 1;
        self.generation += 1;
        self.config = config;
        self.send(if self.generation == 1 { "ADDED" } else { "MODIFIED" }).await;
    }

    /// Someone edits the status.
    pub(crate) async fn deface(&mut self, status: Value) {
        self.version += 1;
        self.status = status;
        self.send("MODIFIED").await;
    }

    pub(crate) async fn delete(&mut self) {
        self.version += 1;
        self.send("DELETED").await;
    }

    pub(crate) async fn cut(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.cut().await;
        }
    }

    /// The next request, which must be a write; it is not answered yet.
    pub(crate) async fn asked(&mut self) -> Write {
        let asked = self.server.next(Topic::NodeProbe).await;
        assert_eq!(asked.line, "PATCH /apis/probelet.io/v1alpha1/nodeprobes/node-1/status");
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let status = serde_json::from_value(body["status"].clone()).unwrap();
        Write { asked, status }
    }

    /// Takes a write, as the server does, and notifies the watch.
    pub(crate) async fn take(&mut self, write: Write) -> NodeProbeStatus {
        self.version += 1;
        self.status = serde_json::to_value(&write.status).unwrap();
        write.asked.text(&self.object().to_string());
        if self.watch.is_some() {
            self.send("MODIFIED").await;
        }
        write.status
    }

    /// The next write, taken.
    pub(crate) async fn written(&mut self) -> NodeProbeStatus {
        let write = self.asked().await;
        self.take(write).await
    }

    pub(crate) async fn quiet(&mut self) -> bool {
        self.server.quiet(QUIET).await
    }
}

/// How a watch was asked for.
pub(crate) struct Watched {
    pub(crate) from: Option<String>,
}

/// The part of an agent that has to do with its NodeProbe, with an engine that applies at once.
pub(crate) struct Agent {
    pub(crate) config: watch::Receiver<Arc<Effective>>,
    pub(crate) snapshots: Arc<watch::Sender<Arc<Snapshot>>>,
    pub(crate) account: Arc<Account>,
    pub(crate) applies: watch::Sender<bool>,
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) state: PathBuf,
    home: tempfile::TempDir,
}

impl Agent {
    /// Starts it in the current [`LocalSet`].
    pub(crate) fn start(url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().to_owned();
        Self::begin(url, Effective::defaults(), state, home)
    }

    /// Starts it where another one ran before.
    pub(crate) fn restart(self, url: &str) -> Self {
        let effective = saved::begin_with(Some(&self.state));
        Self::begin(url, effective, self.state, self.home)
    }

    fn begin(url: &str, effective: Effective, state: PathBuf, home: tempfile::TempDir) -> Self {
        let kubeconfig = home.path().join("config");
        write_kubeconfig(&kubeconfig, url, "first");
        let timing = quick();
        let access = Access::Kubeconfig(Some(kubeconfig));
        let connection = Arc::new(Connection::new(access, timing.renew, timing.gather));
        let node: Arc<str> = "node-1".into();
        let (sender, config) = watch::channel(Arc::new(effective));
        let (assignment, assigned) = watch::channel(Arc::default());
        let (hurried, behind) = hasty(&config, assigned);
        let (snapshots, seen) = watch::channel(Arc::new(Snapshot::empty(Arc::clone(&node))));
        let (snapshots, account) = (Arc::new(snapshots), Arc::new(Account::default()));
        let (applies, applying) = watch::channel(true);
        let (stop, stopped) = watch::channel(false);
        tokio::task::spawn_local(engine(config.clone(), applying, Arc::clone(&snapshots)));
        tokio::task::spawn_local(saved::keep(state.clone(), sender.subscribe()));
        tokio::task::spawn_local(writer::write(Writer {
            connection: Arc::clone(&connection),
            node: Arc::clone(&node),
            snapshots: seen,
            names: watch::channel(Arc::default()).1,
            config: hurried,
            assignment: behind,
            feed: None,
            pinned: false,
            account: Arc::clone(&account),
            pace: no_limit(),
            timing: timing.clone(),
            stop: stopped,
        }));
        let status = Arc::new(SingleStatus::default());
        let follow = Follow { connection, node, status, pace: no_limit(), timing };
        tokio::task::spawn_local(follow::follow(follow, sender, assignment));
        Self { config, snapshots, account, applies, stop, state, home }
    }

    pub(crate) fn cpu(&self) -> String {
        self.config.borrow().spec.budget.cpu.to_string()
    }

    /// Waits until the configuration is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl FnMut(&Arc<Effective>) -> bool) {
        timeout(LONG, self.config.wait_for(wanted)).await.expect("in time").expect("it lives");
    }
}

/// The writer's view of what it is given: what may be ten seconds at least is half a second, so that tests need not wait.
/// A configuration arrives before the assignment that it is of, as it does from [`node_probe::follow`].
fn hasty(
    config: &watch::Receiver<Arc<Effective>>,
    mut assigned: watch::Receiver<Arc<Assignment>>,
) -> (watch::Receiver<Arc<Effective>>, watch::Receiver<Arc<Assignment>>) {
    let hurry = |effective: &Effective| {
        let mut effective = effective.clone();
        effective.spec.reporting.min_interval = "500ms".parse().unwrap();
        Arc::new(effective)
    };
    let mut config = config.clone();
    let (hurried, hurried_seen) = watch::channel(hurry(&config.borrow_and_update()));
    let (behind, behind_seen) = watch::channel(Arc::clone(&assigned.borrow_and_update()));
    tokio::task::spawn_local(async move {
        loop {
            let lives = tokio::select! {
                changed = config.changed() => changed.is_ok(),
                changed = assigned.changed() => changed.is_ok(),
            };
            if !lives {
                return;
            }
            let assignment = Arc::clone(&assigned.borrow_and_update());
            hurried.send_replace(hurry(&config.borrow_and_update()));
            behind.send_replace(assignment);
        }
    });
    (hurried_seen, behind_seen)
}

/// Publishes a picture for each configuration.
async fn engine(
    mut config: watch::Receiver<Arc<Effective>>,
    mut applies: watch::Receiver<bool>,
    snapshots: Arc<watch::Sender<Arc<Snapshot>>>,
) {
    loop {
        if applies.wait_for(|&applies| applies).await.is_err() {
            return;
        }
        let now = Arc::clone(&config.borrow_and_update());
        snapshots.send_modify(|snapshot| {
            let mut next = Snapshot::clone(snapshot);
            next.vitals.config_hash.clone_from(&now.hash);
            next.vitals.budget_cores = now.spec.budget.cpu.cores();
            next.vitals.source_kind = probelet_core::facts::SourceKind::Bpf;
            next.picture.epoch = 1;
            *snapshot = Arc::new(next);
        });
        tokio::select! {
            changed = config.changed() => if changed.is_err() { return },
            _ = applies.changed() => {}
        }
    }
}

/// The store, an agent that follows it, and its first status, taken.
pub(crate) async fn settled() -> (Store, Agent) {
    let mut store = Store::start().await;
    let agent = Agent::start(&store.url());
    store.watched().await;
    store.edit(json!({"budget": {"cpu": "7m"}})).await;
    let status = store.written().await;
    assert_eq!(status.observed_generation, 1);
    (store, agent)
}

pub(crate) fn of<'a>(status: &'a NodeProbeStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    let condition = condition::get(&status.conditions, kind).expect("the condition");
    (&condition.status, &condition.reason, &condition.message)
}

/// Runs a test with tasks that stay on its thread, as the agent's do.
macro_rules! local {
    ($(#[$meta:meta])* async fn $name:ident() $body:block) => {
        #[tokio::test]
        async fn $name() {
            tokio::task::LocalSet::new().run_until(async $body).await;
        }
    };
}
pub(crate) use local;
