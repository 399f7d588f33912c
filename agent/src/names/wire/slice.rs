//! An `EndpointSlice`: the addresses behind a Service.
//!
//! In: JSON of `discovery.k8s.io/v1.EndpointSlice`. Out: [`objects::EndpointSlice`].
//!
//! Pure: no I/O.

use super::service::protocol;
use super::text::Text;
use super::{MAX_NAME, MAX_NAMESPACE, MAX_UID, Metadata, Object, addresses};
use crate::kube::Malformed;
use probelet_core::cluster::objects::{self, Backend, Event, OnNode, SlicePort};
use serde::Deserialize;

/// Names the Service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Who keeps a slice, and the controller that keeps those of selectors.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(default)]
    address_type: Text<'a>,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint<'a>>>,
    #[serde(default)]
    ports: Option<Vec<Port<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint<'a> {
    #[serde(borrow)]
    addresses: Option<Vec<Text<'a>>>,
    conditions: Option<Conditions>,
    target_ref: Option<Target<'a>>,
    node_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target<'a> {
    #[serde(borrow)]
    kind: Text<'a>,
    namespace: Text<'a>,
    name: Text<'a>,
    uid: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    protocol: Text<'a>,
    #[serde(rename = "port")]
    number: Option<i64>,
}

impl<'a> Object<'a> for EndpointSlice<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn changed(self, wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
        let (namespace, name) = self.metadata.place()?;
        let service =
            self.metadata.labels.get(SERVICE_NAME).and_then(|name| name.fit(MAX_NAMESPACE));
        let keeper = self.metadata.labels.get(MANAGED_BY);
        let managed = keeper.is_some_and(|name| name.as_str() == CONTROLLER);
        // Slices of host names have no address that a connection could show.
        let named = self.address_type.as_str() == "FQDN";
        let endpoints = self.endpoints.iter().flatten().filter(|_| !named);
        let endpoints = endpoints.map(|endpoint| endpoint.read(&namespace, wrong)).collect();
        Some(Event::EndpointSlice(objects::EndpointSlice {
            namespace,
            name,
            service: service.unwrap_or_default(),
            endpoints,
            ports: self.ports.iter().flatten().filter_map(|port| port.read(wrong)).collect(),
            managed,
        }))
    }

    fn gone(self) -> Option<Event> {
        let (namespace, name) = self.metadata.place()?;
        Some(Event::EndpointSliceGone(namespace, name))
    }
}

impl Endpoint<'_> {
    fn read(&self, namespace: &str, wrong: &mut dyn FnMut(Malformed)) -> Backend {
        let of = |kind: &str| {
            self.target_ref.as_ref().filter(move |target| target.kind.as_str() == kind)
        };
        let target = of("Pod");
        let itself = of("Node").and_then(|target| target.name.fit(MAX_NAME));
        // Who keeps a slice of nodes need not say twice which node an endpoint is.
        let node = self.node_name.fit(MAX_NAME).or_else(|| itself.clone());
        // Unknown is to be taken as ready, says the API, and as neither serving nor ending otherwise.
        let known = |of: fn(&Conditions) -> Option<bool>| self.conditions.as_ref().and_then(of);
        let ready = known(|c| c.ready).unwrap_or(true);
        Backend {
            addresses: addresses(self.addresses.iter().flatten(), wrong),
            ready,
            serving: known(|c| c.serving).unwrap_or(ready),
            terminating: known(|c| c.terminating).unwrap_or(false),
            pod: target.and_then(|target| {
                let own = || Box::from(namespace);
                let namespace = target.namespace.fit(MAX_NAMESPACE).unwrap_or_else(own);
                // Who writes a slice by hand may leave the uid out.
                let uid = target.uid.fit(MAX_UID).unwrap_or_default();
                Some((namespace, target.name.fit(MAX_NAME)?, uid))
            }),
            on_node: if itself.is_some() && itself == node { OnNode::Is } else { OnNode::Runs },
            node,
        }
    }
}

impl Port<'_> {
    /// `None` for SCTP and for what no port is; no number stands for all ports.
    fn read(&self, wrong: &mut dyn FnMut(Malformed)) -> Option<SlicePort> {
        let protocol = protocol(&self.protocol)?;
        let port = u16::try_from(self.number.unwrap_or(0)).ok();
        if port.is_none() {
            wrong(Malformed::Port);
        }
        let name = self.name.fit(MAX_NAMESPACE).unwrap_or_default();
        Some(SlicePort { name, protocol, port: port? })
    }
}
