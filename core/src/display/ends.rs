//! What the ends of a flow are called where a person reads: pods and workloads, containers, processes, addresses.
//!
//! In: ids of a picture, and what a runtime calls its containers. Out: text without anything that acts on a terminal.
//! It must not have a rule of its own for containers: that is [`super`]'s.
//!
//! Pure: no I/O.

use super::{Called, ContainerNames, called, names_inside};
use crate::facts::ContainerId;
use crate::names::Name;
use crate::records::Workload;
use crate::report::Picture;
use crate::text::clean;

/// What no one has a name for: it is not known which container it is, or it is gone.
const UNKNOWN: &str = "(unknown)";

/// The pod of a container, else its name, else its short id.
#[must_use]
pub fn container(picture: &Picture, names: &ContainerNames, id: ContainerId) -> String {
    let there = picture.container(id).filter(|container| !container.id.is_empty());
    let Some(container) = there else { return UNKNOWN.to_owned() };
    let inside = || {
        // Where there is a pod its name is shown, and what pods call their containers need not be searched.
        if picture.pod(id).is_some() {
            return None;
        }
        names_inside(picture).find(|(id, _)| *id == container.id).map(|(_, name)| name)
    };
    let Called { pod, name } = called(picture, names, id, container, inside);
    clean(pod.as_deref().unwrap_or(name)).into_owned()
}

/// One end of a flow.
#[must_use]
pub fn workload(picture: &Picture, names: &ContainerNames, workload: Workload) -> String {
    match workload {
        Workload::Container(id) => container(picture, names, id),
        Workload::Process(comm) => comm.to_string(),
        Workload::External(addr) => addr.ip().to_string(),
        Workload::Named(id) => {
            let name = picture.name(id).map_or_else(|| "(unresolved)".to_owned(), Name::label);
            clean(&name).into_owned()
        }
        Workload::Unresolved => "(unresolved)".to_owned(),
        Workload::Other => "(other)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ContainerName;
    use super::*;
    use crate::facts::{Comm, Container, Endpoint};
    use std::collections::BTreeMap;

    const NONE: ContainerNames = ContainerNames(BTreeMap::new());

    fn picture() -> Picture {
        let id = "0123456789abcdef".repeat(4);
        Picture { names: [Container { id, ..Container::default() }].into(), ..Picture::default() }
    }

    #[test]
    fn a_container_without_a_name_is_its_short_id() {
        let web = ContainerName { name: "web".into(), ..ContainerName::default() };
        let web = ContainerNames([(picture().names[0].id.clone(), web)].into());

        assert_eq!(container(&picture(), &NONE, ContainerId(0)), "0123456789ab");
        assert_eq!(container(&picture(), &web, ContainerId(0)), "web");
    }

    #[test]
    fn a_container_that_is_not_known_has_no_name() {
        let nameless = Picture { names: [Container::default()].into(), ..Picture::default() };

        assert_eq!(container(&picture(), &NONE, ContainerId::UNKNOWN), "(unknown)");
        assert_eq!(container(&picture(), &NONE, ContainerId::new(0, 1)), "(unknown)");
        assert_eq!(container(&nameless, &NONE, ContainerId(0)), "(unknown)");
    }

    #[test]
    fn external_addresses_are_shown_as_v4_when_they_are() {
        let mapped = Endpoint::v4([192, 0, 2, 7].into(), 0).address();

        assert_eq!(workload(&picture(), &NONE, Workload::External(mapped)), "192.0.2.7");
        assert_eq!(workload(&picture(), &NONE, Workload::Process(Comm::new(b"curl"))), "curl");
    }
}
