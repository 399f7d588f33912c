//! Reads the API server's JSON into what names need.
//!
//! In: the text of one watch event or of one item of a list. Out: an [`Event`], and a count of what was wrong with the
//! object. Everything that is not named here is skipped without being kept, `managedFields` above all: that is most of
//! an object. It must not refuse an object for a part that it can do without.
//!
//! JSON, because that is what these structs make cheap: a full decode costs fourteen times as much, in either encoding.
//!
//! Pure: no I/O.

mod far;
mod node;
mod pod;
mod service;
mod slice;
mod text;

use crate::kube::failure::Failure;
use crate::kube::status::Malformed;
pub(super) use far::far;
pub(super) use node::node;
use pod::Pod;
use probelet_core::cluster::objects::{Event, Kind, UID_MAX};
use serde::{Deserialize, de::IgnoredAny};
use service::Service;
use slice::EndpointSlice;
use std::net::IpAddr;
use text::{Annotations, Labels, Text};

/// Bounds of Kubernetes' own: a namespace, any other name, a label's key with its prefix, a label's value.
const MAX_NAMESPACE: usize = 63;
const MAX_NAME: usize = 253;
const MAX_UID: usize = UID_MAX;

/// What one line of a watch said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An object changed; `None` if nothing can be made of it.
    Change(Option<Event>),
    /// Nothing changed up to here. `true` ends the list that a streaming list begins with.
    Bookmark(bool),
    /// The watch ends.
    Failed(Failure),
}

/// `metadata` of a list.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ListMetadata {
    pub resource_version: Option<String>,
    #[serde(rename = "continue")]
    pub more: Option<String>,
}

/// An object of the API, as far as it is read.
trait Object<'a>: Deserialize<'a> {
    fn metadata(&self) -> &Metadata<'a>;
    /// What it is now; `None` if it cannot be determined which object it is.
    fn changed(self, wrong: &mut dyn FnMut(Malformed)) -> Option<Event>;
    /// That it is gone.
    fn gone(self) -> Option<Event>;
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    namespace: Text<'a>,
    uid: Text<'a>,
    resource_version: Text<'a>,
    labels: Labels<'a>,
    owner_references: Option<Vec<OwnerReference<'a>>>,
    deletion_timestamp: Option<IgnoredAny>,
    annotations: Annotations<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerReference<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    name: Text<'a>,
    controller: Option<bool>,
}

impl Metadata<'_> {
    /// Namespace and name, if this can be an object of a namespace.
    fn place(&self) -> Option<(Box<str>, Box<str>)> {
        Some((self.namespace.fit(MAX_NAMESPACE)?, self.name.fit(MAX_NAME)?))
    }
}

/// What can be read of some addresses; the caller leaves out those that say that there is none.
fn addresses<'a>(
    texts: impl IntoIterator<Item = &'a Text<'a>>,
    wrong: &mut dyn FnMut(Malformed),
) -> Vec<IpAddr> {
    let read = texts.into_iter().filter_map(|text| {
        let ip = text.as_str().parse();
        ip.inspect_err(|_| wrong(Malformed::Address)).ok()
    });
    read.collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Change<O> {
    #[serde(rename = "type")]
    verb: Verb,
    object: O,
}

/// Reads a line of a watch; `version` becomes the one to go on from.
pub(super) fn line(
    kind: Kind,
    text: &[u8],
    version: &mut String,
    wrong: &mut dyn FnMut(Malformed),
) -> Line {
    match kind {
        Kind::Pod => change::<Pod<'_>>(text, version, wrong),
        Kind::Service => change::<Service<'_>>(text, version, wrong),
        Kind::EndpointSlice => change::<EndpointSlice<'_>>(text, version, wrong),
    }
}

/// Reads an item of a list.
pub(super) fn item(kind: Kind, text: &[u8], wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
    match kind {
        Kind::Pod => one::<Pod<'_>>(text, wrong),
        Kind::Service => one::<Service<'_>>(text, wrong),
        Kind::EndpointSlice => one::<EndpointSlice<'_>>(text, wrong),
    }
}

/// Whether the list that this is the metadata of goes on.
pub(super) fn has_more(metadata: &[u8]) -> bool {
    let metadata = serde_json::from_slice::<ListMetadata>(metadata).unwrap_or_default();
    metadata.more.is_some_and(|more| !more.is_empty())
}

fn change<'a, O: Object<'a>>(
    text: &'a [u8],
    version: &mut String,
    wrong: &mut dyn FnMut(Malformed),
) -> Line {
    let Ok(Change { verb, object }) = serde_json::from_slice::<Change<O>>(text) else {
        return failure(text).map_or_else(
            || {
                wrong(Malformed::Json);
                Line::Change(None)
            },
            Line::Failed,
        );
    };
    if verb == Verb::Error {
        return Line::Failed(failure(text).unwrap_or_default());
    }
    let seen = object.metadata().resource_version.as_str();
    if !seen.is_empty() {
        version.clear();
        version.push_str(seen);
    }
    let event = match verb {
        Verb::Bookmark => return Line::Bookmark(object.metadata().annotations.initial_end),
        Verb::Added | Verb::Modified => object.changed(wrong),
        Verb::Deleted => object.gone(),
        Verb::Error | Verb::Other => return Line::Change(None),
    };
    if event.is_none() {
        wrong(Malformed::Identity);
    }
    Line::Change(event)
}

fn one<'a, O: Object<'a>>(text: &'a [u8], wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
    let Ok(object) = serde_json::from_slice::<O>(text) else {
        wrong(Malformed::Json);
        return None;
    };
    let event = object.changed(wrong);
    if event.is_none() {
        wrong(Malformed::Identity);
    }
    event
}

fn failure(text: &[u8]) -> Option<Failure> {
    let change: Change<Failure> = serde_json::from_slice(text).ok()?;
    (change.verb == Verb::Error).then_some(change.object)
}

#[cfg(test)]
mod tests;
