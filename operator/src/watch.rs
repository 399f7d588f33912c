//! Watch: the three streams that the world is made of.
//!
//! In: a client. Out: small observations in batches, managed fields and everything else that is not needed dropped
//! before they get here. Lists come in pages: streaming lists need a server that has them, and there is no way back in
//! the client from one that has not. Streams never end: errors are told, and waited out with a jittered back-off.
//!
//! I/O: three watches.

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Node;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

use crate::observe::{RawConfig, RawProbe, SeenConfig, SeenNode, SeenProbe};
use crate::world::Kind;

/// Objects in one page of a list.
const PAGE: u32 = 500;
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
    /// A watch failed and begins anew.
    Failed(Kind, Box<watcher::Error>),
}

/// All three watches as one.
pub fn watch(client: &Client) -> impl Stream<Item = Vec<Observation>> + use<> {
    let nodes =
        follow(
            Api::<PartialObjectMeta<Node>>::all(client.clone()),
            Kind::Nodes,
            |seen| match seen {
                Seen::There(node) => SeenNode::of(&node.metadata).map(Observation::Node),
                Seen::Gone(node) => node.metadata.name.map(Observation::NodeGone),
            },
        );
    let probes = follow(Api::<RawProbe>::all(client.clone()), Kind::Probes, |seen| match seen {
        Seen::There(probe) => SeenProbe::of(probe).map(Box::new).map(Observation::Probe),
        Seen::Gone(RawProbe { metadata, .. }) => {
            metadata.name.map(|name| Observation::ProbeGone(name, metadata.uid))
        }
    });
    let configs = follow(Api::<RawConfig>::all(client.clone()), Kind::Configs, |seen| match seen {
        Seen::There(config) => SeenConfig::of(config).map(Box::new).map(Observation::Config),
        Seen::Gone(config) => config.metadata.name.map(Observation::ConfigGone),
    });
    stream::select_all([nodes, probes, configs]).ready_chunks(BATCH)
}

enum Seen<K> {
    There(K),
    Gone(K),
}

fn follow<K>(
    api: Api<K>,
    kind: Kind,
    convert: fn(Seen<K>) -> Option<Observation>,
) -> BoxStream<'static, Observation>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    watcher(api, watcher::Config::default().page_size(PAGE))
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
