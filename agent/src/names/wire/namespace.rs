//! A namespace, sent as its metadata only.
//!
//! In: JSON of `PartialObjectMetadata`. Out: [`objects::Namespace`].
//!
//! Pure: no I/O.

use super::{MAX_NAMESPACE, Metadata, Object};
use crate::kube::Malformed;
use probelet_core::cluster::objects::{self, Event};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Namespace<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

impl<'a> Object<'a> for Namespace<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn changed(self, wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
        let name = self.metadata.name.fit(MAX_NAMESPACE)?;
        let labels = self.metadata.labels.sorted(wrong);
        Some(Event::Namespace(objects::Namespace { name, labels }))
    }

    fn gone(self) -> Option<Event> {
        Some(Event::NamespaceGone(self.metadata.name.fit(MAX_NAMESPACE)?))
    }
}
