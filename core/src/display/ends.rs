//! What people call the ends of a flow: pods and workloads, container names, process names,
//! addresses.
//!
//! In: ids of a picture, and whatever knows the names of containers. Out: text. It must not ask
//! anybody over the network: a name that is not known is the short id.
//!
//! Pure: no I/O of its own.

use crate::facts::ContainerId;
use crate::names::Name;
use crate::records::Workload;
use crate::report::Picture;
use crate::text::clean;
use std::borrow::Cow;

/// Who knows the names of containers, as far as anybody does.
pub type Names = dyn Fn(ContainerId) -> Option<String>;

/// Digits of a container id that people type.
const SHORT_ID: usize = 12;

/// The first digits of a container id; where it is a name that a person chose, the whole: two may begin alike.
#[must_use]
pub fn short_id(id: &str) -> &str {
    let number = id.bytes().all(|b| b.is_ascii_hexdigit());
    id.get(..SHORT_ID).filter(|_| number).unwrap_or(id)
}

/// The pod of a container, else its name, else its short id.
#[must_use]
pub fn container(picture: &Picture, names: &Names, id: ContainerId) -> String {
    if id == ContainerId::UNKNOWN {
        return "(unknown)".to_owned();
    }
    let pod = picture.pod(id).map(ToString::to_string);
    let name = pod.or_else(|| names(id)).unwrap_or_else(|| {
        picture
            .container(id)
            .map_or_else(|| format!("container {}", id.0), |c| short_id(&c.id).to_owned())
    });
    match clean(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(clean) => clean,
    }
}

/// One end of a flow.
#[must_use]
pub fn workload(picture: &Picture, names: &Names, workload: Workload) -> String {
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
    use super::*;
    use crate::facts::{Comm, Container, Endpoint};

    fn picture() -> Picture {
        let id = "0123456789abcdef".repeat(4);
        Picture { names: [Container { id, ..Container::default() }].into(), ..Picture::default() }
    }

    #[test]
    fn a_container_without_a_name_is_its_short_id() {
        assert_eq!(container(&picture(), &|_| None, ContainerId(0)), "0123456789ab");
        assert_eq!(container(&picture(), &|_| Some("web".into()), ContainerId(0)), "web");
    }

    #[test]
    fn a_name_that_is_an_id_is_not_cut() {
        for name in ["customer-portal-blue", "customer-portal-green", "web", "deb-0123456789ab"] {
            assert_eq!(short_id(name), name);
        }
        assert_eq!(short_id(&"0123456789abcdef".repeat(4)), "0123456789ab");
    }

    #[test]
    fn external_addresses_are_shown_as_v4_when_they_are() {
        let mapped = Endpoint::v4([192, 0, 2, 7].into(), 0).address();

        assert_eq!(workload(&picture(), &|_| None, Workload::External(mapped)), "192.0.2.7");
        assert_eq!(workload(&picture(), &|_| None, Workload::Process(Comm::new(b"curl"))), "curl");
    }
}
