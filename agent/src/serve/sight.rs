//! What a reader may see: all of the node, or the pods of some namespaces and nothing of others.
//!
//! In: namespaces, and a picture that says whose a container or a name is. Out: yes or no for each. What is not known to be
//! of these namespaces is foreign: an address, a process of the host, a name without a namespace. It must not guess.
//!
//! Pure: no I/O.

use probelet_core::facts::ContainerId;
use probelet_core::names::{Name, NameId};
use probelet_core::records::{ConnectionRecord, FlowRecord, Owner, Workload};
use probelet_core::report::Picture;
use std::sync::Arc;

/// Namespaces that one request may name: each costs a review of its own.
pub(crate) const NAMESPACES: usize = 8;
/// Longest name of a namespace.
const LENGTH: usize = 63;

/// What may be seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The whole node.
    #[default]
    All,
    /// The pods of these namespaces.
    Namespaces(Arc<[Box<str>]>),
}

impl Sight {
    /// Whether it is less than everything.
    pub(crate) const fn is_narrow(&self) -> bool {
        matches!(self, Self::Namespaces(_))
    }

    /// The namespaces, if it is only some.
    pub(crate) fn namespaces(&self) -> &[Box<str>] {
        match self {
            Self::All => &[],
            Self::Namespaces(names) => names,
        }
    }

    /// Whether what is in this namespace may be seen.
    pub(crate) fn namespace(&self, namespace: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Namespaces(names) => {
                namespace.is_some_and(|wanted| names.iter().any(|name| **name == *wanted))
            }
        }
    }

    /// Whether a container is one of these, by the cluster's word: labels that a runtime shows anybody may set.
    pub(crate) fn container(&self, id: Option<ContainerId>, picture: &Picture) -> bool {
        *self == Self::All
            || self.namespace(id.and_then(|id| picture.pod(id)).and_then(Name::namespace))
    }

    /// Whether who holds a socket is one of these.
    pub(crate) fn owner(&self, owner: &Owner, picture: &Picture) -> bool {
        self.container(owner.pod(), picture)
    }

    /// Whether a name is of these namespaces.
    pub(crate) fn name(&self, id: NameId, picture: &Picture) -> bool {
        *self == Self::All || self.namespace(picture.name(id).and_then(Name::namespace))
    }

    /// Whether an end of a flow is.
    pub(crate) fn workload(&self, workload: Workload, picture: &Picture) -> bool {
        match workload {
            _ if *self == Self::All => true,
            Workload::Container(id) => self.container(Some(id), picture),
            Workload::Named(id) => self.name(id, picture),
            Workload::Process(_)
            | Workload::External(_)
            | Workload::Unresolved
            | Workload::Other => false,
        }
    }

    /// Whether a flow has an end here.
    pub(crate) fn flow(&self, record: &FlowRecord, picture: &Picture) -> bool {
        [record.key.source, record.key.destination].iter().any(|end| self.workload(*end, picture))
    }

    /// Whether the other end of a connection may be named, and its address shown: what stands at that address, and the
    /// Service that the address may be of.
    pub(crate) fn peer(&self, record: &ConnectionRecord, picture: &Picture) -> bool {
        let service = record.named.service.is_none_or(|id| self.name(id, picture));
        let peer = match record.named.peer {
            Some(id) => self.name(id, picture),
            None => self.workload(record.peer, picture),
        };
        peer && service
    }
}

/// Whether a text can be the name of a namespace: what cannot is not worth a review.
pub(crate) fn is_namespace(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=LENGTH).contains(&text.len()) && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use probelet_core::facts::Address;

    fn shop() -> Sight {
        Sight::Namespaces(["shop".into()].into())
    }

    #[test]
    fn what_has_no_namespace_is_foreign() {
        assert!(shop().namespace(Some("shop")));
        for foreign in [None, Some(""), Some("shop2"), Some("sho")] {
            assert!(!shop().namespace(foreign), "{foreign:?}");
        }
        let picture = Picture::default();
        for foreign in [Workload::External(Address(1)), Workload::Unresolved, Workload::Other] {
            assert!(!shop().workload(foreign, &picture), "{foreign:?}");
            assert!(Sight::All.workload(foreign, &picture));
        }
    }

    #[test]
    fn what_cannot_be_a_namespace_is_not_asked_about() {
        assert!(is_namespace("kube-system"));
        for text in ["", "Shop", "a/b", "a.b", "shop\n", &"x".repeat(64)] {
            assert!(!is_namespace(text), "{text}");
        }
    }
}
