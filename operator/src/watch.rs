//! Watch: the four streams that the world is made of.
//!
//! In: a client. Out: small observations in batches, managed fields and everything else that is not needed dropped
//! before they get here. Lists come in pages: streaming lists need a server that has them, and there is no way back in
//! the client from one that has not. Streams never end: errors are reported, and waited out with a jittered back-off.
//!
//! I/O: four watches, or three if the agents' `DaemonSet` is not known.

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

use crate::placement::Placement;
use crate::seen::{SeenConfig, SeenNode, SeenProbe};
use crate::stages::observe::{RawConfig, RawDaemonSet, RawNode, RawProbe};
use crate::world::Kind;

/// Objects in one page of a list.
const PAGE: u32 = 500;
/// Nodes are larger than all else: the names of their images alone are some 10 kB.
const PAGE_OF_NODES: u32 = 100;
/// The most observations in one batch: between two of them writes get their turn.
const BATCH: usize = 256;

/// Something that a watch brought.
#[derive(Debug)]
pub enum Observation {
    /// A complete list begins.
    ListBegins(Kind),
    /// It is complete.
    ListEnds(Kind),
    /// A node is there.
    Node(SeenNode),
    /// A node is gone.
    NodeGone(String),
    /// A `NodeProbe` is there.
    Probe(Box<SeenProbe>),
    /// This `NodeProbe` (name and uid) is gone.
    ProbeGone(String, Option<String>),
    /// A configuration is there.
    Config(Box<SeenConfig>),
    /// A configuration is gone.
    ConfigGone(String),
    /// Where agents are wanted.
    Placement(Placement),
    /// A watch failed and begins again.
    Failed(Kind, Box<watcher::Error>),
}

/// The agents' `DaemonSet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agents {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// All watches as one.
pub fn watch(
    client: &Client,
    agents: Option<&Agents>,
) -> impl Stream<Item = Vec<Observation>> + use<> {
    let all = || watcher::Config::default().page_size(PAGE);
    let some = watcher::Config::default().page_size(PAGE_OF_NODES);
    let nodes = Api::<RawNode>::all(client.clone());
    let nodes = follow(nodes, some, Kind::Nodes, |seen| match seen {
        Seen::There(node) => SeenNode::of(node).map(Observation::Node),
        Seen::Gone(node) => node.metadata.name.map(Observation::NodeGone),
    });
    let probes = Api::<RawProbe>::all(client.clone());
    let probes = follow(probes, all(), Kind::Probes, |seen| match seen {
        Seen::There(probe) => SeenProbe::of(probe).map(Box::new).map(Observation::Probe),
        Seen::Gone(RawProbe { metadata, .. }) => {
            metadata.name.map(|name| Observation::ProbeGone(name, metadata.uid))
        }
    });
    let configs = Api::<RawConfig>::all(client.clone());
    let configs = follow(configs, all(), Kind::Configs, |seen| match seen {
        Seen::There(config) => SeenConfig::of(config).map(Box::new).map(Observation::Config),
        Seen::Gone(config) => config.metadata.name.map(Observation::ConfigGone),
    });
    let mut streams = vec![nodes, probes, configs];
    if let Some(Agents { namespace, name }) = agents {
        let one = all().fields(&format!("metadata.name={name}"));
        let api = Api::<RawDaemonSet>::namespaced(client.clone(), namespace);
        streams.push(follow(api, one, Kind::Agents, |seen| match seen {
            // One that cannot be read is none that could be judged by.
            Seen::There(daemonset) => {
                let placement = Placement::of(&daemonset.spec).unwrap_or_default();
                Some(Observation::Placement(placement))
            }
            Seen::Gone(_) => Some(Observation::Placement(Placement::default())),
        }));
    }
    stream::select_all(streams).ready_chunks(BATCH)
}

/// Whether a watch failed because the role does not allow it.
#[must_use]
pub fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}

enum Seen<K> {
    There(K),
    Gone(K),
}

fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: Kind,
    convert: fn(Seen<K>) -> Option<Observation>,
) -> BoxStream<'static, Observation>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            let observation = match event {
                Ok(Event::Init) => Some(Observation::ListBegins(kind)),
                Ok(Event::InitDone) => Some(Observation::ListEnds(kind)),
                Ok(Event::Apply(object) | Event::InitApply(object)) => convert(Seen::There(object)),
                Ok(Event::Delete(object)) => convert(Seen::Gone(object)),
                Err(error) => Some(Observation::Failed(kind, Box::new(error))),
            };
            std::future::ready(observation)
        })
        .boxed()
}
