//! A Service: what it selects, and at which addresses and ports it is reached.
//!
//! In: JSON of `v1.Service`. Out: [`objects::Service`].
//!
//! Pure: no I/O.

use super::text::{Labels, Text};
use super::{MAX_NAMESPACE, MAX_UID, Metadata, Object, addresses};
use crate::kube::Malformed;
use probelet_core::cluster::objects::{self, Event, ServicePort};
use probelet_core::facts::Protocol;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct Service<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(default)]
    spec: Option<Spec<'a>>,
    #[serde(default)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    selector: Labels<'a>,
    publish_not_ready_addresses: Option<bool>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Text<'a>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<Text<'a>>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<Text<'a>>>,
    ports: Option<Vec<Port<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Port<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    protocol: Text<'a>,
    #[serde(rename = "port")]
    number: Option<i64>,
    #[serde(rename = "nodePort")]
    on_nodes: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    load_balancer: Option<LoadBalancer<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer<'a> {
    #[serde(borrow)]
    ingress: Option<Vec<Ingress<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ingress<'a> {
    #[serde(borrow)]
    ip: Text<'a>,
}

impl<'a> Object<'a> for Service<'a> {
    fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    fn changed(self, wrong: &mut dyn FnMut(Malformed)) -> Option<Event> {
        let Self { metadata, spec, status } = self;
        let (namespace, name) = metadata.place()?;
        let uid = metadata.uid.fit(MAX_UID)?;
        let spec = spec.unwrap_or_default();
        let one = std::slice::from_ref(&spec.cluster_ip);
        let cluster = spec.cluster_ips.as_deref().filter(|all| !all.is_empty()).unwrap_or(one);
        let balancer = status.and_then(|status| status.load_balancer).unwrap_or_default();
        let ingress = balancer.ingress.iter().flatten().map(|ingress| &ingress.ip);
        // Headless Services have the address `None`, those that wait for one have an empty one.
        let given = |ip: &&Text<'_>| !matches!(ip.as_str(), "" | "None");
        Some(Event::Service(objects::Service {
            namespace,
            name,
            uid,
            external_name: spec.kind.as_str() == "ExternalName",
            selector: spec.selector.valid(wrong),
            publish_not_ready: spec.publish_not_ready_addresses == Some(true),
            cluster_ips: addresses(cluster.iter().filter(given), wrong),
            outside_ips: addresses(ingress.filter(given), wrong),
            external_ips: addresses(spec.external_ips.iter().flatten().filter(given), wrong),
            ports: spec.ports.iter().flatten().filter_map(|port| port.read(wrong)).collect(),
        }))
    }

    fn gone(self) -> Option<Event> {
        let (namespace, name) = self.metadata.place()?;
        Some(Event::ServiceGone(namespace, name))
    }
}

impl Port<'_> {
    /// `None` for SCTP, which is not observed, and for what no port is.
    fn read(&self, wrong: &mut dyn FnMut(Malformed)) -> Option<ServicePort> {
        let protocol = protocol(&self.protocol)?;
        let port = self.number.and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0);
        let node_port = u16::try_from(self.on_nodes.unwrap_or(0)).ok();
        let (Some(port), Some(node_port)) = (port, node_port) else {
            wrong(Malformed::Port);
            return None;
        };
        let name = self.name.fit(MAX_NAMESPACE).unwrap_or_default();
        Some(ServicePort { name, protocol, port, node_port })
    }
}

/// TCP is what is meant when nothing is said.
pub(super) fn protocol(text: &Text<'_>) -> Option<Protocol> {
    match text.as_str() {
        "" | "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    }
}
