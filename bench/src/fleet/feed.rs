//! How simulated agents hear of their configuration: a watch each, as in life, or one for all of them.
//!
//! In: a connection. Out: each node's latest spec in its agent's inbox, and the story of what came. It must not list:
//! as a real agent it gets its object from the server's cache and watches from there on. What is not there yet is
//! watched from the cache's state, without bookmarks, which etcd before 3.4.25 cannot give from the beginning. I/O: the
//! API server.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::ensure;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use probelet_crds::Interval;
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};

use crate::fleet::{
    connection::{Api, JSON},
    dice::Dice,
    nodes,
    story::{Entry, Story, What},
};

/// Where the objects are.
pub const NODE_PROBES: &str = "/apis/probelet.io/v1alpha1/nodeprobes";
/// The server's limit of a watch, seconds; agents take the same.
const WATCH: (u64, u64) = (290, 580);
/// A line of a watch that is longer is not one of ours.
const MAX_LINE: usize = 1 << 20;

/// What an agent is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The generation of the spec.
    pub generation: i64,
    /// The hash in it.
    pub hash: u64,
    /// Nodes of the cluster, as the operator says.
    pub cluster_size: i64,
    /// How often an unchanged status is written.
    pub refresh: Duration,
}

/// The agents' inboxes.
#[derive(Debug)]
pub struct Post {
    inboxes: Vec<watch::Sender<Option<Wanted>>>,
    story: Arc<Story>,
    began: Instant,
}

impl Post {
    /// Inboxes of as many agents.
    #[must_use]
    pub fn new(agents: usize, story: Arc<Story>, began: Instant) -> Self {
        let inboxes = (0..agents).map(|_| watch::Sender::new(None)).collect();
        Self { inboxes, story, began }
    }

    /// An agent's inbox.
    #[must_use]
    pub fn inbox(&self, agent: usize) -> watch::Receiver<Option<Wanted>> {
        self.inboxes[agent].subscribe()
    }

    fn deliver(&self, name: &str, wanted: Option<&Wanted>) {
        let Some(node) = nodes::index(name) else { return };
        let Some(inbox) = self.inboxes.get(node) else { return };
        // Most events are echoes of the agent's own status.
        let news = inbox.send_if_modified(|old| {
            let differs = old.as_ref() != wanted;
            *old = wanted.cloned();
            differs
        });
        if news {
            let what =
                wanted.map_or(What::Gone, |wanted| What::Saw(wanted.generation, wanted.hash));
            self.story.tell(Entry { at: self.began.elapsed().as_secs_f64(), node, what });
        }
    }
}

/// Watches one node's object, or with `None` all of them, for good.
pub async fn follow(api: Api, name: Option<String>, post: Arc<Post>, mut dice: Dice) {
    let mut version = match &name {
        Some(name) => get(&api, name, &post).await.unwrap_or_default(),
        None => None,
    };
    loop {
        let ended = watch_once(&api, name.as_deref(), &mut version, &post, &mut dice).await;
        if let Err(why) = ended {
            post.story.complain(|| format!("a watch of {name:?}: {why:#}"));
            // Whatever it was: from the cache's state, a little later.
            version = None;
            sleep(dice.between(Duration::from_millis(500), Duration::from_secs(5))).await;
            // What went meanwhile is in no state and in no event.
            if let Some(name) = name.as_deref()
                && matches!(get(&api, name, &post).await, Ok(None))
            {
                post.deliver(name, None);
            }
        }
    }
}

/// Delivers the object; returns its version, if it is there.
async fn get(api: &Api, name: &str, post: &Post) -> anyhow::Result<Option<String>> {
    let answer = api.send(&format!("{NODE_PROBES}/{name}?resourceVersion=0"), JSON).await?;
    if answer.status() == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    ensure!(answer.status().is_success(), "{}", answer.status());
    let body = answer.into_body().collect().await?.to_bytes();
    let object: Object<'_> = serde_json::from_slice(&body)?;
    post.deliver(name, object.wanted().as_ref());
    Ok(Some(object.metadata.resource_version.into_owned()))
}

async fn watch_once(
    api: &Api,
    name: Option<&str>,
    version: &mut Option<String>,
    post: &Post,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let seconds = WATCH.0 + dice.roll() % (WATCH.1 - WATCH.0);
    let from = match version {
        Some(version) => format!("&resourceVersion={version}&allowWatchBookmarks=true"),
        None => "&resourceVersion=0".to_owned(),
    };
    let field = name.map_or(String::new(), |name| format!("&fieldSelector=metadata.name%3D{name}"));
    let url = format!("{NODE_PROBES}?watch=1&timeoutSeconds={seconds}{from}{field}");
    let answer = api.send(&url, JSON).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let mut body = answer.into_body();
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        rest.extend_from_slice(&bytes);
        let mut done = 0;
        while let Some(length) = rest[done..].iter().position(|&byte| byte == b'\n') {
            take(&rest[done..done + length], version, post)?;
            done += length + 1;
        }
        rest.drain(..done);
        ensure!(rest.len() < MAX_LINE, "a line of {} bytes", rest.len());
    }
    Ok(())
}

fn take(line: &[u8], version: &mut Option<String>, post: &Post) -> anyhow::Result<()> {
    let event: Event<'_> = serde_json::from_slice(line)?;
    ensure!(event.kind != "ERROR", "the watch ended with an error");
    *version = Some(event.object.metadata.resource_version.clone().into_owned());
    let name = &event.object.metadata.name;
    match &*event.kind {
        "BOOKMARK" => {}
        "DELETED" => post.deliver(name, None),
        _ => post.deliver(name, event.object.wanted().as_ref()),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default)]
    metadata: Metadata<'a>,
    spec: Option<Spec<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
    generation: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)] // a bookmark's spec has defaults only
    hash: Cow<'a, str>,
    #[serde(default)]
    cluster_size: i64,
    #[serde(default)]
    config: Config,
}

#[derive(Deserialize, Default)]
struct Config {
    #[serde(default)]
    reporting: Reporting,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Reporting {
    refresh_interval: Option<Interval>,
}

impl Object<'_> {
    fn wanted(&self) -> Option<Wanted> {
        let spec = self.spec.as_ref()?;
        let refresh = spec.config.reporting.refresh_interval;
        Some(Wanted {
            generation: self.metadata.generation,
            hash: u64::from_str_radix(&spec.hash, 16).ok()?,
            cluster_size: spec.cluster_size,
            refresh: refresh.unwrap_or(Interval::from_secs(600)).duration(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDED: &[u8] = br#"{"type":"MODIFIED","object":{"apiVersion":"probelet.io/v1alpha1","kind":"NodeProbe","metadata":{"creationTimestamp":"2026-01-01T00:00:00Z","generation":4,"name":"fleet-00001","resourceVersion":"901","uid":"6f0e"},"spec":{"clusterSize":8192,"config":{"paused":false,"reporting":{"mode":"Summary","refreshInterval":"10m"}},"hash":"00000000000000ff"},"status":{"observedGeneration":3}}}"#;

    fn post() -> Post {
        Post::new(2, Arc::new(Story::new(2)), Instant::now())
    }

    #[test]
    fn a_spec_lands_in_the_inbox_of_its_node() {
        let (post, mut version) = (post(), None);

        take(ADDED, &mut version, &post).unwrap();

        let wanted = Wanted {
            generation: 4,
            hash: 255,
            cluster_size: 8192,
            refresh: Duration::from_mins(10),
        };
        assert_eq!(*post.inbox(1).borrow(), Some(wanted));
        assert_eq!(*post.inbox(0).borrow(), None);
        assert_eq!(version.as_deref(), Some("901"));
    }

    #[test]
    fn the_echo_of_a_status_is_no_news() {
        let (post, mut version) = (post(), None);

        take(ADDED, &mut version, &post).unwrap();
        take(ADDED, &mut version, &post).unwrap();

        assert_eq!(post.story.chapter().specs(), (1, 1));
    }

    #[test]
    fn a_bookmark_moves_the_version_and_reaches_no_one() {
        let (post, mut version) = (post(), None);
        let line = br#"{"type":"BOOKMARK","object":{"kind":"NodeProbe","apiVersion":"probelet.io/v1alpha1","metadata":{"resourceVersion":"1000"}}}"#;

        take(line, &mut version, &post).unwrap();

        assert_eq!((version.as_deref(), post.story.chapter().specs()), (Some("1000"), (0, 0)));
    }
}
