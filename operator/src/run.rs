//! The switchboard: builds each part, names each channel, joins the tasks.
//!
//! In: the command line. Out: an exit code. It must not hold logic of its own. If one task ends, all end.
//!
//! I/O: starts everything that does.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::{Api, Client, Config};
use prometheus::IntGauge;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tracing::info;

use crate::args::{Args, Command, Exit};
use crate::clock::Clock;
use crate::elect::Elector;
use crate::metrics::Metrics;
use crate::watch::Agents;
use crate::{admin, certify, connect, feed, reconcile, seed, selftest};
use probelet_runtime::logging;

/// The client library logs each error that it returns; the caller that gets it says what it means.
const QUIET: [&str; 1] = ["kube_client=off"];
/// Questions of scrapes that wait.
const QUESTIONS: usize = 32;
/// How long a connection to the API server may take to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Runs the operator; errors have been shown when it returns.
pub fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(refused) => return refused.show(),
    };
    if let Err(error) = logging::init(&args.log, &QUIET) {
        return fail(&error.into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("cannot start the runtime").and_then(|runtime| {
        let local = LocalSet::new();
        let outcome = local.block_on(&runtime, async {
            let cluster = connect(&args).await?;
            match args.command {
                Command::Run => operate(args, cluster).await.map(|()| Exit::Success),
                Command::Selftest { patience, agent_token } => {
                    let lease = args.lease.as_deref();
                    let Cluster { client, config, namespace, .. } = cluster;
                    let config = selftest::shown(config, agent_token.as_deref());
                    Ok(selftest::run(&client, &config, &namespace, lease, patience).await)
                }
            }
        });
        runtime.shutdown_timeout(Duration::from_millis(100));
        outcome
    });
    match outcome {
        Ok(exit) => exit,
        Err(error) => fail(&error),
    }
}

/// Prints an error with its chain, once.
fn fail(error: &anyhow::Error) -> Exit {
    // Without stderr there is nowhere left to report it.
    let _unheard = writeln!(std::io::stderr(), "probelet-operator: {error:#}");
    Exit::Failure
}

/// The way to the API server, and the namespace that the operator belongs to.
struct Cluster {
    client: Client,
    config: Config,
    proxy: Option<String>,
    namespace: String,
}

async fn connect(args: &Args) -> anyhow::Result<Cluster> {
    let (mut config, proxy) = connect::config(args.kubeconfig.as_deref()).await?;
    // Whether and when a write is tried again is the queue's to say.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT);
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let client = connect::client(config.clone(), proxy.as_deref())?;
    Ok(Cluster { client, config, proxy, namespace })
}

/// Serves metrics, health and the kubelet's probes on the ports that were asked for.
async fn serve(
    args: &Args,
    parts: &admin::Parts,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listeners = [(args.listen, admin::Serves::All), (args.probe_listen, admin::Serves::Probes)];
    for (address, serves) in listeners {
        let Some(address) = address else { continue };
        let listener = admin::bind(address).await?;
        info!(%address, ?serves, "serving");
        spawn_local(admin::serve(listener, serves, parts.clone(), stopped.clone()));
    }
    Ok(())
}

/// Keeps the certificates that were asked for.
fn certifying(
    args: &Args,
    client: &Client,
    namespace: &str,
    leads: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let feed = args.feed.as_ref().map(|feed| certify::Wanted {
        object: feed.object.clone(),
        server: feed.server.clone(),
        holder: certify::Holder::Feed,
    });
    let wanted = args.certify.clone().into_iter().chain(feed);
    let keep = |wanted| {
        spawn_local(certify::run(client.clone(), namespace.to_owned(), wanted, leads.clone()))
    };
    wanted.map(keep).collect()
}

/// Hands out pods to agents, if that was asked for; ends with the reason for which it cannot go on.
async fn feeding(
    args: &Args,
    cluster: &Cluster,
    metrics: &Arc<Metrics>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<impl Future<Output = anyhow::Error> + use<>> {
    let ended = match args.feed.clone() {
        None => None,
        Some(feed) => {
            let Cluster { config, proxy, namespace, .. } = cluster;
            let agents = feed::Agents {
                user: format!("system:serviceaccount:{namespace}:{}", feed.account),
                audience: feed.audience,
            };
            let wanted = feed::Wanted { listen: feed.listen, secret: feed.object, agents };
            let way = (config.clone(), proxy.clone());
            Some(feed::start(wanted, way, namespace.clone(), metrics, stopped.clone()).await?)
        }
    };
    Ok(async {
        match ended {
            None => std::future::pending().await,
            Some(ended) => match ended.await {
                Ok(why) => anyhow!("the feed cannot go on: {why}"),
                Err(_) => anyhow!("the feed's thread exited unexpectedly"),
            },
        }
    })
}

async fn break_off(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        drop(task.await);
    }
}

/// The `ProbeConfig` that is made where there is none: read when it is needed.
fn seed_of(file: Option<PathBuf>) -> reconcile::Seed {
    Rc::new(move || seed::read(file.as_deref()).map_err(|error| error.to_string()))
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Who asks for the Lease of this installation, and who for that of the cluster.
fn electors(
    args: Args,
    client: &Client,
    namespace: &str,
    clock: &Clock,
    waits: IntGauge,
) -> (Option<Elector>, Option<Elector>) {
    let lease = |namespace: &str| Api::namespaced(client.clone(), namespace);
    let cluster = args.cluster_lease.zip(args.lease.as_ref()).map(|((place, name), own)| {
        // Anyone who leads this installation holds it in the installation's name.
        let us = format!("{namespace}/{own}");
        Elector::new(lease(&place), name, us, clock.clone()).among_installations(waits)
    });
    let own =
        args.lease.map(|name| Elector::new(lease(namespace), name, args.identity, clock.clone()));
    (own, cluster)
}

async fn operate(args: Args, cluster: Cluster) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new().context("cannot set up metrics")?);
    let clock = Clock::default();
    let (stop, stopped) = watch::channel(false);
    let (lead, leads) = watch::channel(args.lease.is_none());
    let (synced, is_synced) = watch::channel(false);
    let (ask, questions) = mpsc::channel(QUESTIONS);
    info!(version = env!("CARGO_PKG_VERSION"), identity = %args.identity, "starting");
    let parts = admin::Parts { metrics: Arc::clone(&metrics), questions: ask, synced: is_synced };
    serve(&args, &parts, &stopped).await?;
    let fed = feeding(&args, &cluster, &metrics, &stopped).await?;
    let Cluster { client, namespace, .. } = cluster;
    let namespace = namespace.as_str();
    let waits = metrics.waits.clone();
    let seed = seed_of(args.seed.clone());
    let mut tasks = certifying(&args, &client, namespace, &leads);
    let mut task = spawn_local(reconcile::run(reconcile::Parts {
        client: client.clone(),
        leads,
        stop: stopped.clone(),
        questions,
        synced,
        metrics,
        seed: args.seeds.then_some(seed),
        agents: args.agents.clone().map(|name| Agents { namespace: namespace.to_owned(), name }),
        max_budget: args.max_budget,
        writes_per_second: args.writes_per_second,
        identity: args.identity.clone(),
        clock: clock.clone(),
    }));
    let (mut elector, mut cluster) = electors(args, &client, namespace, &clock, waits);
    let (mut stopping, mut stopping_too) = (stopped.clone(), stopped);
    let (held, is_held) = watch::channel(false);
    let election = async {
        match (&mut elector, &mut cluster) {
            (Some(own), Some(cluster)) => {
                let second = cluster.follow(is_held, &lead, &mut stopping_too);
                tokio::join!(own.run(&held, &mut stopping), second);
            }
            (Some(own), None) => own.run(&lead, &mut stopping).await,
            (None, _) => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        signal = stop_signal() => signal,
        () = election => Ok(()),
        _ = &mut task => Err(anyhow!("main task exited unexpectedly; see preceding log lines")),
        why = fed => Err(why),
    };
    stop.send_replace(true);
    // Writes under way are cancelled: nothing may be written once the Lease is released.
    tasks.push(task);
    break_off(tasks).await;
    if let Some(elector) = elector.filter(|_| outcome.is_ok()) {
        elector.release().await;
    }
    info!("stopped");
    outcome
}
