//! One watch of all pods for all agents: a list in pages, then what changes.
//!
//! In: a client. Out: the store, and when the API server was last heard of. Our own loop and not kube's `runtime`: that keeps the
//! versions of lists and bookmarks to itself, and agents go on from these. It must not list again without need, or ask again at
//! once after a failure. Never ends.
//!
//! I/O: a watch of the API server.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::Hub;
use super::pod::{self, Left, RawPod, version};
use super::store::Outcome;
use probelet_core::backoff::doubled;
use probelet_runtime::chain;

/// Pods in a page: 5 MB of JSON.
const PAGE: u32 = 500;
/// The longest that a page may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// The server ends a watch after so many seconds, and is given a little longer.
const WATCH: u32 = 290;
const SILENCE: Duration = Duration::from_secs(310);
/// The first wait after a failure, and the longest; a watch that lasted longer was a good one.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Why a watch ended.
enum End {
    /// The list is complete.
    Listed,
    /// In good order: it goes on from where it was.
    Over,
    /// What was known last is too old for the server: a new list is needed.
    Expired,
    Failed(String),
}

pub(super) async fn follow(client: Client, hub: &Hub) -> std::convert::Infallible {
    let pods = Api::<RawPod>::all(client);
    let (mut failures, mut expired) = (0_u32, false);
    loop {
        let began = Instant::now();
        let known = hub.store.borrow().known().filter(|_| !std::mem::take(&mut expired));
        let end = match known {
            Some(from) => watch(&pods, hub, from).await,
            None => list(&pods, hub).await,
        };
        match end {
            End::Listed => continue,
            // A server that takes a watch only to end it is as bad as one that refuses it.
            End::Over if began.elapsed() > AGAIN.1 => {
                failures = 0;
                continue;
            }
            End::Over => {}
            End::Expired => {
                debug!("the pods have to be listed again");
                expired = true;
            }
            End::Failed(error) => hub.failed(&error),
        }
        sleep(doubled(AGAIN, failures, RandomState::new().hash_one(failures))).await;
        failures = failures.saturating_add(1);
    }
}

async fn list(pods: &Api<RawPod>, hub: &Hub) -> End {
    hub.store.borrow_mut().begin();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let answer = match timeout(PATIENCE, pods.list(&page)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(kube::Error::Api(status))) if status.code == 410 => return End::Expired,
            Ok(Err(error)) => return End::Failed(chain(&error)),
            Err(_) => return End::Failed("the API server did not answer for a minute".to_owned()),
        };
        hub.heard();
        for pod in answer.items {
            apply(hub, pod);
        }
        page.continue_token = answer.metadata.continue_.filter(|more| !more.is_empty());
        if page.continue_token.is_none() {
            let version = version(answer.metadata.resource_version.as_deref());
            hub.store.borrow_mut().end(version);
            break;
        }
    }
    hub.show();
    let (held, bytes) = hub.store.borrow().held();
    info!(pods = held, bytes, "the feed knows the pods of the cluster");
    End::Listed
}

async fn watch(pods: &Api<RawPod>, hub: &Hub, from: u64) -> End {
    let parameters = WatchParams::default().timeout(WATCH);
    let from = from.to_string();
    let stream = match timeout(PATIENCE, pods.watch(&parameters, &from)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(kube::Error::Api(status))) if status.code == 410 => return End::Expired,
        Ok(Err(error)) => return End::Failed(chain(&error)),
        Err(_) => return End::Failed("the API server did not answer for a minute".to_owned()),
    };
    let mut stream = std::pin::pin!(stream);
    loop {
        let event = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(None) => return End::Over,
            Ok(Some(Err(error))) => return End::Failed(chain(&error)),
            Err(_) => return End::Failed("the watch was silent for five minutes".to_owned()),
        };
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => apply(hub, pod),
            WatchEvent::Deleted(pod) => {
                if let Some((key, version)) = pod::key(&pod) {
                    hub.store.borrow_mut().remove(&key, version);
                }
            }
            WatchEvent::Bookmark(bookmark) => {
                let version = version(Some(&bookmark.metadata.resource_version));
                hub.store.borrow_mut().advance(version);
            }
            WatchEvent::Error(status) if status.code == 410 => return End::Expired,
            WatchEvent::Error(status) => return End::Failed(status.message.clone()),
        }
        hub.heard();
        hub.show();
    }
}

fn apply(hub: &Hub, pod: RawPod) {
    let Some((key, version)) = pod::key(&pod) else { return };
    let mut store = hub.store.borrow_mut();
    match pod::trim(pod) {
        Ok(pod) => {
            if store.apply(pod, version) == Outcome::Full {
                hub.figures.dropped("full");
            }
        }
        Err(why) => {
            // What was kept of it is not true any more.
            store.remove(&key, version);
            if why == Left::TooLarge {
                hub.figures.dropped("too_large");
            }
        }
    }
}
