//! The thread that serves readers, and nothing else: what it uses is what they use, and it can sleep when that is too much.
//!
//! In: the listener, the server's state. Out: its end. It must not hold logic of its own.
//!
//! I/O: starts a thread with a runtime of its own.

use crate::engine::Governor;
use crate::serve::http::cost::{Admission, Admit, Cost};
use crate::serve::{self, Listener, State};
use crate::snapshot::Snapshot;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::LocalSet;
use tracing::info;

/// The server's own time to end, and some.
const STOP: Duration = Duration::from_secs(1);

/// The thread.
pub(super) struct Serving {
    thread: Thread,
    ended: oneshot::Receiver<()>,
}

impl Serving {
    /// Waits for its end, which it was asked for: it may be asleep.
    pub(super) async fn end(self) {
        self.thread.unpark();
        let _late = tokio::time::timeout(STOP, self.ended).await;
    }
}

/// Starts it.
pub(super) fn start(
    listener: Listener,
    state: State,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<Serving> {
    // It is of this thread's runtime, and has to become the other one's.
    let listener = listener.detach().context("cannot hand on the listening socket")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime that serves")?;
    let (end, ended) = oneshot::channel();
    let serve = move || {
        let serving = async {
            match listener.attach() {
                Ok(listener) => serve::serve(listener, state, stop).await,
                Err(error) => tracing::error!(%error, "cannot serve"),
            }
        };
        LocalSet::new().block_on(&runtime, serving);
        runtime.shutdown_timeout(Duration::from_millis(100));
        // No one is left to tell if the agent has ended.
        let _gone = end.send(());
    };
    let thread = thread::Builder::new().name("probelet-serve".to_owned()).spawn(serve);
    let thread = thread.context("cannot start the thread that serves")?.thread().clone();
    Ok(Serving { thread, ended })
}

/// Answers probes, on the runtime of who calls.
pub(super) fn probes(
    address: SocketAddr,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    admit: Admit,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = serve::http::probes::bind(address)?;
    info!(address = %listener.local_addr().context("own address for probes")?, "answering probes");
    tokio::task::spawn_local(serve::http::probes::serve(listener, snapshots, admit, stop));
    Ok(())
}

/// Lets the server draw on the governor's account.
pub(super) fn admit(governor: Arc<Governor>) -> Admit {
    Arc::new(move |cost| {
        let answer = match cost {
            Cost::Request => governor.request(),
            Cost::Cpu(time) => governor.admit_report(nanos(time)),
            Cost::Newer(time) => governor.admit_newer(nanos(time)),
            Cost::Spent(time) => governor.served(time),
            Cost::Accept => governor.accept(),
            Cost::Probes(time) => governor.probed(time),
        };
        answer.map_or(Admission::Granted, Admission::RetryAfter)
    })
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
