//! The switchboard: builds each part, names each channel, joins the tasks.
//!
//! In: the command line. Out: an exit code. It must not hold logic of its own.
//!
//! I/O: starts everything that does.

mod access;
mod serving;
mod tasks;

use probelet_runtime::logging;

use crate::args::{Args, Command, Exit, Sort};
use crate::config::Effective;
use crate::discover::ends::{self, Ends};
use crate::discover::{self, choose};
use crate::engine::{Engine, Governor, Setup};
use crate::node_probe::saved;
use crate::snapshot::Snapshot;
use crate::{doctor, names, once, serve, top};
use anyhow::Context as _;
use probelet_core::cluster::objects::Event;
use probelet_core::text::clean_page;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tracing::info;

/// Runs the agent; errors have been shown when it returns.
pub fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    let args = match Args::parse(words) {
        Ok(args) => args,
        Err(refused) => return refused.show(),
    };
    // `top` owns the terminal: a log line would tear it.
    let quiet = matches!(args.command, Command::Top { .. });
    if !quiet && let Err(error) = logging::init(&args.log, &[]) {
        return fail(&error.into(), Exit::Failure);
    }
    let config = match args.config.as_deref() {
        Some(file) => Effective::from_file(file),
        None if args.node_probe => Ok(saved::begin_with(args.state_dir.as_deref())),
        None => Ok(Effective::defaults()),
    };
    let config = match config {
        Ok(config) => config,
        Err(error) => return fail(&error.into(), Exit::Usage),
    };
    match args.command.clone() {
        Command::Run => live(args, config, None),
        Command::Top { sort, filter } => live(args, config, Some((sort, filter))),
        Command::Once { json, settle } => once(&args, config, json, settle),
        Command::Doctor { json } => examine(json),
    }
}

/// Prints an error with its chain, once.
fn fail(error: &anyhow::Error, exit: Exit) -> Exit {
    // No one is left to tell if stderr is gone.
    let _unheard =
        writeln!(std::io::stderr(), "{}", clean_page(&format!("probelet-agent: {error:#}")));
    exit
}

fn show(text: &[u8]) -> Exit {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text).and_then(|()| out.flush());
    if written.is_ok() { Exit::Success } else { Exit::Failure }
}

fn governor(config: &Effective) -> Arc<Governor> {
    let budget = &config.spec.budget;
    let reports = u32::try_from(config.spec.limits.report_requests_per_second).unwrap_or(1);
    Arc::new(Governor::new(budget.cpu.nanocores(), budget.window.duration(), reports))
}

/// The parts that every command with a picture has.
struct Parts {
    setup: Setup,
    config: watch::Sender<Arc<Effective>>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    governor: Arc<Governor>,
    events: mpsc::Sender<Vec<Event>>,
}

fn parts(args: &Args, config: Effective) -> Parts {
    let governor = governor(&config);
    let node: Arc<str> = args.node_name.as_str().into();
    let (config, config_seen) = watch::channel(Arc::new(config));
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::empty(Arc::clone(&node))));
    let (events, cluster) = names::channel();
    let setup = Setup {
        node,
        source: args.source.and_then(choose::pinned),
        config: config_seen,
        governor: Arc::clone(&governor),
        snapshots: sender,
        load: Box::new(choose::choose),
        ends: Some(Box::new(|| Ends::open(Path::new("/proc"), ends::ROOM))),
        cluster: args.kubernetes.is_some().then_some(cluster),
        rights: None,
    };
    Parts { setup, config, snapshots, governor, events }
}

fn once(args: &Args, config: Effective, json: bool, settle: Option<std::time::Duration>) -> Exit {
    let Parts { setup, config, governor: _governor, events, .. } = parts(args, config);
    names::start::follow_cluster(
        args.kubernetes.clone(),
        args.feed.as_ref(),
        Arc::clone(&setup.node),
        config.subscribe(),
        events,
    );
    let setup = Setup { ends: None, ..setup };
    let snapshot = match Engine::new(setup).and_then(|engine| engine.once(settle)) {
        Ok(snapshot) => snapshot,
        Err(error) => return fail(&error.into(), Exit::NoSource),
    };
    let names = names::start::now(args.docker.clone());
    if json {
        return show(&serve::full_report(&snapshot, &names));
    }
    show(clean_page(&once::render(&snapshot, &names)).as_bytes())
}

fn examine(json: bool) -> Exit {
    let limits = discover::Limits { max_sockets: 65_536, max_processes: 16_384 };
    let mut probe = |source_kind| {
        choose::load(source_kind, limits).map(drop).map_err(|error| choose::message(&error))
    };
    let diagnosis = doctor::examine(&doctor::Places::default(), &mut probe);
    let text = if json {
        doctor::json(&diagnosis).unwrap_or_default()
    } else {
        clean_page(&doctor::render(&diagnosis)).into_owned()
    };
    match show(text.as_bytes()) {
        Exit::Success if diagnosis.is_whole() => Exit::Success,
        _ => Exit::Failure,
    }
}

fn live(args: Args, config: Effective, view: Option<(Option<Sort>, Option<String>)>) -> Exit {
    let parts = parts(&args, config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.context("cannot start the runtime").and_then(|runtime| {
        let local = tokio::task::LocalSet::new();
        let outcome = local.block_on(&runtime, tasks::run(args, parts, view));
        // Blocked helpers (a terminal that no one reads) must not keep the process.
        runtime.shutdown_timeout(std::time::Duration::from_millis(100));
        outcome
    });
    match outcome {
        Ok(()) => {
            info!("stopped");
            Exit::Success
        }
        Err(error) => {
            let exit = if error.downcast_ref::<discover::Error>().is_some() {
                Exit::NoSource
            } else if error.downcast_ref::<tasks::Restart>().is_some() {
                Exit::Restart
            } else if error.downcast_ref::<serve::http::tls::Error>().is_some()
                || error.downcast_ref::<top::Error>().is_some_and(|e| e.exit_code() == 2)
            {
                Exit::Usage
            } else {
                Exit::Failure
            };
            fail(&error, exit)
        }
    }
}
