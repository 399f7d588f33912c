//! The real feed, pointed at the test's server, with waits that a test can wait for.

use super::server::Server;
use probelet_agent::config::Effective;
use probelet_agent::kube::{Access, Connection, FeedStatus, KindStatus, Pace, State, Timing};
use probelet_agent::names::{self, Feed, Operator};
use probelet_core::cluster::objects::{Event, Kind};
use probelet_crds::Match;
use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kubernetes")
}

/// A feed under test.
pub(crate) struct Running {
    pub(crate) status: Arc<FeedStatus>,
    pub(crate) events: mpsc::Receiver<Vec<Event>>,
    pub(crate) config: watch::Sender<Arc<Effective>>,
    pub(crate) kubeconfig: PathBuf,
    waiting: VecDeque<Event>,
    task: JoinHandle<()>,
    _home: tempfile::TempDir,
}

pub(crate) fn quick() -> Timing {
    Timing {
        start: Duration::ZERO,
        relist: Duration::from_millis(20),
        retry: Duration::from_millis(20)..Duration::from_millis(200),
        operator: Duration::from_millis(200),
        forbidden: Duration::from_millis(600),
        gather: Duration::ZERO,
        nodes: None,
        renew: Duration::ZERO,
        ..Timing::default()
    }
}

/// A server with scripted kinds, and a feed that follows it.
pub(crate) async fn start(scripted: &[Kind]) -> (Server, Running) {
    let server = Server::start(scripted).await;
    let running = Running::start(&format!("http://{}", server.address), quick(), no_limit());
    (server, running)
}

pub(crate) fn no_limit() -> Pace {
    Arc::new(|_| None)
}

pub(crate) fn write_kubeconfig(path: &Path, url: &str, token: &str) {
    let authority = fixtures().join("ca.pem");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
         clusters: [{{name: c, cluster: {{server: '{url}', certificate-authority: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: '{token}'}}}}]\n\
         contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n",
        authority.display()
    );
    fs::write(path, text).unwrap();
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Running {
    pub(crate) fn start(url: &str, timing: Timing, pace: Pace) -> Self {
        Self::start_by(url, timing, pace, |_| None)
    }

    /// One that gets its pods from the operator.
    pub(crate) fn start_with(
        url: &str,
        timing: Timing,
        pace: Pace,
        operator: impl FnOnce(&Arc<Connection>) -> Operator,
    ) -> Self {
        Self::start_by(url, timing, pace, |api| Some(operator(api)))
    }

    fn start_by(
        url: &str,
        timing: Timing,
        pace: Pace,
        operator: impl FnOnce(&Arc<Connection>) -> Option<Operator>,
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = home.path().join("config");
        write_kubeconfig(&kubeconfig, url, "first");
        let status = Arc::new(FeedStatus::default());
        let (config, seen) = watch::channel(Arc::new(Effective::defaults()));
        let (sender, events) = names::channel();
        let access = Access::Kubeconfig(Some(kubeconfig.clone()));
        let connection = Arc::new(Connection::new(access, timing.renew, timing.gather));
        let feed = Feed {
            operator: operator(&connection),
            connection,
            snapshots: None,
            node: "node-1".into(),
            config: seen,
            status: Arc::clone(&status),
            pace,
            timing,
        };
        let task = tokio::spawn(names::follow(feed, sender));
        Self { status, events, config, kubeconfig, waiting: VecDeque::new(), task, _home: home }
    }

    /// The next event of `kind`, as a short text.
    pub(crate) async fn next(&mut self, kind: Kind) -> String {
        loop {
            while let Some(event) = self.waiting.pop_front() {
                let (of, text) = summary(&event);
                if of == kind {
                    return text;
                }
            }
            let batch = timeout(LONG, self.events.recv()).await.expect("an event in time");
            self.waiting.extend(batch.expect("the feed lives"));
        }
    }

    /// The next `N` events of `kind`.
    pub(crate) async fn take<const N: usize>(&mut self, kind: Kind) -> [String; N] {
        let mut texts = [const { String::new() }; N];
        for text in &mut texts {
            *text = self.next(kind).await;
        }
        texts
    }

    pub(crate) fn of(&self, kind: Kind) -> KindStatus {
        self.status.of(kind)
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, kind: Kind, wanted: impl Fn(&KindStatus) -> bool) {
        let looks = async {
            while !wanted(&self.of(kind)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(LONG, looks).await.is_ok();
        assert!(in_time, "{:?}", self.of(kind));
    }

    pub(crate) async fn watching(&self, kind: Kind) {
        self.until(kind, |status| status.state == State::Watching).await;
    }

    pub(crate) fn configure(&self, matching: Match) {
        self.config.send_modify(|now| {
            let mut next = Effective::clone(now);
            next.spec.matching = matching;
            *now = Arc::new(next);
        });
    }

    /// Stops receiving; the feed must end.
    pub(crate) async fn stop(self) {
        drop(self.events);
        timeout(LONG, self.task).await.expect("the feed ends").unwrap();
    }
}

/// The kind and a short text of an event.
pub(crate) fn summary(event: &Event) -> (Kind, String) {
    match event {
        Event::Pod(pod) => (Kind::Pod, format!("+{}", pod.name)),
        Event::PodGone(_, name, uid) => (Kind::Pod, format!("-{name} {uid}")),
        Event::Service(service) => (Kind::Service, format!("+{}", service.name)),
        Event::ServiceGone(_, name) => (Kind::Service, format!("-{name}")),
        Event::EndpointSlice(slice) => (Kind::EndpointSlice, format!("+{}", slice.name)),
        Event::EndpointSliceGone(_, name) => (Kind::EndpointSlice, format!("-{name}")),
        Event::Nodes(nodes) => unreachable!("no one asked for nodes: {nodes:?}"),
        Event::Far(_) | Event::FarNodes(_) => unreachable!("no one was asked: {event:?}"),
        Event::Listing(kind) => (*kind, "listing".to_owned()),
        Event::Listed(kind) => (*kind, "listed".to_owned()),
        Event::Unwatched(kind) => (*kind, "unwatched".to_owned()),
    }
}
