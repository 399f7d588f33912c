//! A pod: who it is, whose it is, its addresses and its containers.
//!
//! In: JSON of `v1.Pod`. Out: [`objects::Pod`]. It must not make a name of anything that the kubelet did not write:
//! containers come from the status, with the ids that the kernel's cgroups show.
//!
//! Pure: no I/O.

use super::text::Text;
use super::{MAX_NAME, MAX_NAMESPACE, MAX_UID, Metadata, Object, addresses};
use crate::kube::Malformed;
use probelet_core::cluster::objects::{self, Event, Phase};
use serde::Deserialize;
use std::net::IpAddr;

/// Length of a container's id: 32 bytes in hexadecimal, with every runtime.
const ID: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct Pod<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    host_network: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    phase: Text<'a>,
    conditions: Option<Vec<Condition<'a>>>,
    #[serde(rename = "hostIP")]
    host_ip: Text<'a>,
    #[serde(rename = "hostIPs")]
    host_ips: Option<Vec<Address<'a>>>,
    #[serde(rename = "podIP")]
    pod_ip: Text<'a>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Address<'a>>>,
    container_statuses: Option<Vec<Container<'a>>>,
    init_container_statuses: Option<Vec<Container<'a>>>,
    ephemeral_container_statuses: Option<Vec<Container<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    status: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(rename = "containerID")]
    id: Text<'a>,
}

impl<'a> Object<'a> for Pod<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn changed(self, wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
        let Self { metadata, spec, status } = self;
        let (namespace, name) = metadata.place()?;
        let uid = metadata.uid.fit(MAX_UID)?;
        let status = status.unwrap_or_default();
        let owners = metadata.owner_references.iter().flatten();
        let controller = owners
            .filter(|owner| owner.controller == Some(true))
            .find_map(|owner| Some((owner.kind.fit(MAX_NAMESPACE)?, owner.name.fit(MAX_NAME)?)));
        Some(Event::Pod(objects::Pod {
            uid,
            namespace,
            name,
            labels: metadata.labels.sorted(wrong),
            controller,
            mirrors: metadata.annotations.mirrors.fit(MAX_UID),
            host_network: spec.unwrap_or_default().host_network == Some(true),
            phase: status.phase(),
            terminating: metadata.deletion_timestamp.is_some(),
            ready: status.ready(),
            ips: listed(status.pod_ips.as_deref(), &status.pod_ip, wrong),
            host_ips: listed(status.host_ips.as_deref(), &status.host_ip, wrong),
            containers: status.containers(wrong),
        }))
    }

    fn gone(self) -> Option<Event> {
        let (namespace, name) = self.metadata.place()?;
        Some(Event::PodGone(namespace, name, self.metadata.uid.fit(MAX_UID)?))
    }
}

impl Status<'_> {
    fn phase(&self) -> Phase {
        match self.phase.as_str() {
            "Running" => Phase::Running,
            "Succeeded" | "Failed" => Phase::Ended,
            _ => Phase::Pending,
        }
    }

    fn ready(&self) -> bool {
        let mut conditions = self.conditions.iter().flatten();
        conditions.any(|one| one.kind.as_str() == "Ready" && one.status.as_str() == "True")
    }

    /// Containers that have an id; one that was never started has none.
    fn containers(&self, wrong: &mut dyn FnMut(Malformed)) -> Vec<(Box<str>, Box<str>)> {
        let statuses = [
            &self.container_statuses,
            &self.init_container_statuses,
            &self.ephemeral_container_statuses,
        ];
        let all = statuses.into_iter().flatten().flatten();
        let mut containers = Vec::with_capacity(self.container_statuses.iter().flatten().count());
        for container in all.filter(|container| !container.id.as_str().is_empty()) {
            let id = container.id.as_str().split_once("://").map(|(_, id)| id);
            let hexadecimal = |id: &&str| {
                id.len() == ID && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
            };
            match (id.filter(hexadecimal), container.name.fit(MAX_NAME)) {
                (Some(id), Some(name)) => containers.push((Box::from(id), name)),
                _ => wrong(Malformed::Container),
            }
        }
        containers
    }
}

/// All addresses, or the one of a server that writes no list.
fn listed(
    all: Option<&[Address<'_>]>,
    one: &Text<'_>,
    wrong: &mut dyn FnMut(Malformed),
) -> Vec<IpAddr> {
    let given = |ip: &&Text<'_>| !ip.as_str().is_empty();
    match all {
        Some(all) if !all.is_empty() => {
            addresses(all.iter().map(|address| &address.ip).filter(given), wrong)
        }
        _ => addresses(Some(one).filter(given), wrong),
    }
}
