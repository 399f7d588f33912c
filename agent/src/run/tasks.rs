//! The tasks of a running agent, and how they end: when one ends, all end, within about a second.
//!
//! In: the parts. Out: nothing, or the reason for which the agent cannot go on. It must not hold
//! logic of its own.
//!
//! I/O: signals, threads, everything it starts.

use super::{Parts, serving};
use crate::args::{Args, Command, Rights, Sort};
use crate::config::{self, Effective};
use crate::engine::{End, Engine, Governor};
use crate::kube::{Connection, FeedStatus, Pace, Timing};
use crate::names;
use crate::node_probe::{self, saved};
use crate::rights::{Plan, reach::Reach};
use crate::serve;
use crate::snapshot::Snapshot;
use crate::top;
use anyhow::{Context as _, anyhow};
use probelet_core::cluster::objects::Event;
use probelet_core::display::ContainerNames;
use probelet_crds::FlowHealth;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;
use tracing::info;

/// The engine is asked to stop and looks at most one slice of a pass later; this is generous.
const STOP: Duration = Duration::from_millis(700);
/// The last write to the API server has a limit of its own; this is generous.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// The process has to be started again; what for is in the message.
#[derive(Debug, thiserror::Error)]
#[error("start the agent again: {0}")]
pub(super) struct Restart(String);

pub(super) async fn run(
    args: Args,
    parts: Parts,
    view: Option<(Option<Sort>, Option<String>)>,
) -> anyhow::Result<()> {
    let Parts { setup, config, snapshots, governor, events } = parts;
    let node = Arc::clone(&setup.node);
    let (stop, stopped) = watch::channel(false);
    // Bound before anything is loaded: a port in use is the most likely mistake.
    let listener = listener(&args, view.is_some())?;
    let access = listener.as_ref().map(|_| super::access::open(&args)).transpose()?;
    let (config_seen, config_now) = (config.subscribe(), config.subscribe());
    let admit = serving::admit(Arc::clone(&governor));
    if let Some(address) = args.probe_listen.filter(|_| view.is_none()) {
        serving::probes(address, snapshots.clone(), Arc::clone(&admit), stopped.clone())?;
    }
    let (engine, mut ended, given) = begin(&args, setup).await?;
    spawn_local(wake(config_seen.clone(), engine.thread().clone()));
    let names = names::start::follow(args.docker.clone());
    let pace = pace(Arc::clone(&governor));
    let ways = ways(&args);
    let connection = ways.as_ref().map(|(connection, _)| Arc::clone(connection));
    let seen = (config_seen.clone(), snapshots.clone());
    let feed = feed(ways, Arc::clone(&node), seen, Arc::clone(&pace), events);
    let (mut node_probe, mut writing) = (None, None);
    if let Some(path) = args.config.clone() {
        spawn_local(config::watch(path, config));
    } else if let (true, Some(connection)) = (args.node_probe && view.is_none(), connection) {
        let cluster = node_probe::Cluster { connection, node, pace, feed: feed.clone() };
        let stopped = stopped.clone();
        let (shared, task) =
            node_probe::follow(&args, cluster, config, snapshots.clone(), names.clone(), stopped);
        (node_probe, writing) = (Some(shared), Some(task));
    } else {
        // The sender must live as long as the agent: a closed channel would say "no configuration".
        spawn_local(async move { config.closed().await });
    }
    let mut serving = None;
    if let Some((listener, (auth, tls))) = listener.zip(access) {
        info!(address = %listener.address().context("own address")?, "serving");
        let state = serve::State::new(serve::Parts {
            snapshots: snapshots.clone(),
            names: names.clone(),
            series: Arc::new(move || series(&config_seen.borrow())),
            admit,
            kubernetes: feed,
            node_probe,
            debug_pprof: args.debug_pprof,
            web: args.web,
            auth,
            tls,
        });
        serving = Some(serving::start(listener, state, stopped)?);
    }
    given();
    let outcome = over(view, names, snapshots, &mut ended).await;
    remember(&outcome, args.state_dir.as_deref(), &config_now.borrow());
    governor.stop();
    engine.thread().unpark();
    stop.send_replace(true);
    finish(ended, writing, serving).await;
    outcome
}

/// No one else is served beside a view in the terminal.
fn listener(args: &Args, viewed: bool) -> Result<Option<serve::Listener>, serve::Error> {
    args.listen.as_ref().filter(|_| !viewed).map(serve::bind_at).transpose()
}

/// Waits a bounded time for what is still running: a pass that hangs in the kernel must not keep a process that was asked
/// to stop.
async fn finish(
    ended: oneshot::Receiver<End>,
    writing: Option<tokio::task::JoinHandle<()>>,
    serving: Option<serving::Serving>,
) {
    let last_write = async {
        if let Some(writing) = writing {
            let _late = tokio::time::timeout(LAST_WRITE, writing).await;
        }
    };
    let served = async {
        if let Some(serving) = serving {
            serving.end().await;
        }
    };
    let stopped = async {
        // One whose end is known already must not be asked again.
        if !ended.is_terminated() {
            let _late = tokio::time::timeout(STOP, ended).await;
        }
    };
    tokio::join!(stopped, last_write, served);
}

/// Shows what is to be shown, until someone or something ends it.
async fn over(
    view: Option<(Option<Sort>, Option<String>)>,
    names: watch::Receiver<Arc<ContainerNames>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    ended: &mut oneshot::Receiver<End>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let shown = async {
        match view {
            Some((sort, filter)) => {
                let options =
                    top::Options { sort: sort.map(column), filter, ..top::Options::default() };
                top::run(snapshots, names, options).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        shown = shown => shown.map_err(anyhow::Error::from),
        end = ended => match end {
            Ok(End::Restart(why)) => Err(Restart(why).into()),
            _ => Err(anyhow!("engine thread exited unexpectedly; see preceding log lines")),
        },
    }
}

/// Starts the engine on its own thread, where it also loads its source: entering a network
/// namespace is a matter of threads.
async fn start(
    setup: crate::engine::Setup,
) -> anyhow::Result<(JoinHandle<()>, oneshot::Receiver<End>)> {
    let (loaded, loading) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let engine = thread::Builder::new().name("probelet-engine".to_owned()).spawn(move || {
        let why = match Engine::new(setup) {
            Ok(engine) => {
                // The receiver is gone only if the agent is ending anyway.
                let _gone = loaded.send(Ok(()));
                engine.run()
            }
            Err(error) => {
                let _gone = loaded.send(Err(error));
                End::Asked
            }
        };
        let _gone = end.send(why);
    });
    let engine = engine.context("cannot start the engine's thread")?;
    loading.await.context("the engine ended while loading a source")??;
    Ok((engine, ended))
}

/// Starts the engine, and has the main thread give its rights back; what is returned last says that all is started.
async fn begin(
    args: &Args,
    mut setup: crate::engine::Setup,
) -> anyhow::Result<(JoinHandle<()>, oneshot::Receiver<End>, impl FnOnce())> {
    let plan = plan(args);
    setup.rights.clone_from(&plan);
    let (engine, ended) = start(setup).await?;
    // Now, as no other thread has been started yet: those that follow have nothing either.
    let given = plan.map(|plan| {
        let rights = plan.begin();
        (plan, rights)
    });
    let started = move || {
        if let Some((plan, rights)) = given {
            plan.started(rights);
        }
    };
    Ok((engine, ended, started))
}

/// What asks for another process must be known to that.
fn remember(outcome: &anyhow::Result<()>, directory: Option<&Path>, config: &Effective) {
    if outcome.as_ref().is_err_and(anyhow::Error::is::<Restart>)
        && let Some(directory) = directory
    {
        saved::save_last(directory, config);
    }
}

/// What is given back, unless all is to be kept. `top` ends soon, and no one reaches it over the network.
fn plan(args: &Args) -> Option<Plan> {
    let keeps = args.state_dir.is_some();
    let drops = args.rights == Rights::Drop && args.command == Command::Run;
    drops.then(|| Plan::new(Reach::new(args), args.node_probe, keeps))
}

/// Wakes the engine for every new configuration.
async fn wake(mut config: watch::Receiver<Arc<Effective>>, engine: Thread) {
    while config.changed().await.is_ok() {
        config.mark_unchanged();
        engine.unpark();
    }
}

/// Lets what comes from the API server draw on the governor's account.
fn pace(governor: Arc<Governor>) -> Pace {
    Arc::new(move |cost: Duration| {
        governor.admit_events(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX))
    })
}

/// The ways to the API server and to the operator's feed.
type Ways = (Arc<Connection>, Option<names::Operator>);

fn ways(args: &Args) -> Option<Ways> {
    let timing = Timing::default();
    let access = args.kubernetes.clone()?;
    let connection = Arc::new(Connection::new(access, timing.renew, timing.gather));
    let operator = args.feed.as_ref();
    let operator = operator.map(|feed| names::start::of_operator(feed, &connection, &timing));
    Some((connection, operator))
}

/// Follows the cluster, if there is one.
fn feed(
    ways: Option<Ways>,
    node: Arc<str>,
    (config, snapshots): (watch::Receiver<Arc<Effective>>, watch::Receiver<Arc<Snapshot>>),
    pace: Pace,
    events: mpsc::Sender<Vec<Event>>,
) -> Option<Arc<FeedStatus>> {
    let status = Arc::new(FeedStatus::default());
    let (connection, operator) = ways?;
    let feed = names::Feed {
        connection,
        operator,
        snapshots: Some(snapshots),
        node,
        config,
        status: Arc::clone(&status),
        pace,
        timing: Timing::default(),
    };
    spawn_local(names::follow(feed, events));
    Some(status)
}

/// What the configuration says of metrics.
fn series(config: &Effective) -> serve::SeriesLimits {
    let metrics = &config.spec.metrics;
    let max_series = usize::try_from(metrics.max_series).unwrap_or(0);
    let health = match metrics.health {
        FlowHealth::Problems => serve::Shown::Problems,
        FlowHealth::All => serve::Shown::All,
        FlowHealth::Off => serve::Shown::Off,
    };
    serve::SeriesLimits { max_series, ttl: metrics.ttl.duration(), health }
}

/// The column that a way to sort means.
fn column(sort: Sort) -> String {
    let name = match sort {
        Sort::Cpu => "cpu",
        Sort::Memory => "memory",
        Sort::Fds => "fds",
        Sort::Connections => "connections",
        Sort::Bytes => "bytes",
    };
    name.to_owned()
}
