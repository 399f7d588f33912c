//! Kubernetes objects, cut down to what names need, and how they change.
//!
//! In: an object of the API server, parsed elsewhere. Out: plain data. It must not hold a field that
//! no one reads: a node keeps thousands of them.
//!
//! Pure: no I/O.

use crate::facts::Protocol;
use std::net::IpAddr;

/// The annotation of the mirror of a static pod: the uid that the kubelet made of the file.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Labels of nodes that are no machine an agent could run on: virtual kubelets, nodes that KWOK plays, and the clusters behind
/// Liqo's.
pub const VIRTUAL_NODES: [(&str, &str); 3] =
    [("type", "virtual-kubelet"), ("type", "kwok"), ("liqo.io/type", "virtual-node")];
/// Letters of a uid; Kubernetes' own have 36.
pub const UID_MAX: usize = 128;

/// A pod, as its node's agent needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`: the identity; a StatefulSet makes pods of one name again and again.
    pub uid: Box<str>,
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.labels`, sorted by key.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// The owner reference with `controller: true`: kind and name.
    pub controller: Option<(Box<str>, Box<str>)>,
    /// The annotation [`MIRROR`]: the uid that the cgroups of a static pod have. The kubelet
    /// deletes a pod with it that mirrors no file.
    pub mirrors: Option<Box<str>>,
    /// `spec.hostNetwork`: its address is the node's and says nothing of the pod.
    pub host_network: bool,
    /// Where its life stands.
    pub phase: Phase,
    /// `metadata.deletionTimestamp` is set.
    pub terminating: bool,
    /// The condition `Ready` is true.
    pub ready: bool,
    /// `status.podIPs` (or `podIP`).
    pub ips: Vec<IpAddr>,
    /// `status.hostIPs` (or `hostIP`).
    pub host_ips: Vec<IpAddr>,
    /// Full ids (64 hexadecimal digits, no `runtime://`) of all kinds of containers in its status,
    /// with their names.
    pub containers: Vec<(Box<str>, Box<str>)>,
}

impl Pod {
    /// Whether it is the mirror of a file on its node.
    #[must_use]
    pub(crate) fn is_static(&self) -> bool {
        self.controller.as_ref().is_some_and(|(kind, _)| &**kind == "Node")
    }

    /// The value of one of its labels.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| **k == *key).map(|(_, value)| &**value)
    }
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Accepted, not all containers started; also what is unknown.
    #[default]
    Pending,
    /// Bound to a node, at least one container runs.
    Running,
    /// Ended well or badly: its addresses may be another pod's.
    Ended,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `spec.type: ExternalName`: a name for DNS and nothing else; it has no members.
    pub external_name: bool,
    /// `spec.selector`, unsorted as it came; empty or absent selects nothing.
    pub selector: Vec<(Box<str>, Box<str>)>,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
    /// `spec.clusterIPs` (or `clusterIP`) without `None`.
    pub cluster_ips: Vec<IpAddr>,
    /// The addresses of `status.loadBalancer.ingress`, which a controller writes.
    pub outside_ips: Vec<IpAddr>,
    /// `spec.externalIPs`: any addresses that the author of the Service liked.
    pub external_ips: Vec<IpAddr>,
    /// `spec.ports`, TCP and UDP ones.
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// `name`, empty when there is one port only.
    pub name: Box<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// `port`: what clients connect to.
    pub port: u16,
    /// `nodePort`, 0 when there is none.
    pub node_port: u16,
}

/// An EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
    /// The label `kubernetes.io/service-name`.
    pub service: Box<str>,
    /// `endpoints`.
    pub endpoints: Vec<Backend>,
    /// `ports`.
    pub ports: Vec<SlicePort>,
    /// It says that the controller of EndpointSlices wrote it.
    pub managed: bool,
}

/// One port of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlicePort {
    /// `name`: that of the Service's port which it serves.
    pub name: Box<str>,
    /// Protocol.
    pub protocol: Protocol,
    /// `port`: what the endpoints listen on; 0 stands for all ports.
    pub port: u16,
}

/// One endpoint of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backend {
    /// `addresses`.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`, true when absent.
    pub ready: bool,
    /// `conditions.serving`: ready, but for its being deleted; as `ready` when absent.
    pub serving: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
    /// `targetRef` of kind Pod: namespace, name and uid.
    pub pod: Option<(Box<str>, Box<str>, Box<str>)>,
    /// `nodeName`.
    pub node: Option<Box<str>>,
    /// What it is to that node.
    pub on_node: OnNode,
}

/// What an endpoint is to the node that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnNode {
    /// It runs there.
    #[default]
    Runs,
    /// It is that node itself: `targetRef` is of kind Node, and of that name.
    Is,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: Box<str>,
    /// Every address that is its own: of its interfaces, tunnels and bridges.
    pub addresses: Vec<IpAddr>,
}

/// A pod of another node, at an address that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarPod {
    /// The address.
    pub address: IpAddr,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Which of all that had that name.
    pub uid: Box<str>,
    /// Kind and name of what made it.
    pub workload: (Box<str>, Box<str>),
    /// The node that it is on.
    pub node: Box<str>,
    /// Since when it has the address, Unix milliseconds.
    pub from_ms: u64,
    /// When it was asked about last, and had it still.
    pub until_ms: u64,
}

/// A node that has an address itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarNode {
    /// The address.
    pub address: IpAddr,
    /// Its name.
    pub name: Box<str>,
    /// When it was asked about last, Unix milliseconds.
    pub until_ms: u64,
}

impl Default for FarPod {
    fn default() -> Self {
        Self {
            address: IpAddr::from([0, 0, 0, 0]),
            namespace: Box::default(),
            name: Box::default(),
            uid: Box::default(),
            workload: Default::default(),
            node: Box::default(),
            from_ms: 0,
            until_ms: 0,
        }
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A pod of this node was added or changed.
    Pod(Pod),
    /// A pod of this node was deleted: namespace, name, uid.
    PodGone(Box<str>, Box<str>, Box<str>),
    /// A Service was added or changed.
    Service(Service),
    /// A Service was deleted: namespace, name.
    ServiceGone(Box<str>, Box<str>),
    /// An EndpointSlice was added or changed.
    EndpointSlice(EndpointSlice),
    /// An EndpointSlice was deleted: namespace, name.
    EndpointSliceGone(Box<str>, Box<str>),
    /// All nodes of the cluster.
    Nodes(Vec<Node>),
    /// Pods of other nodes that were asked for by their addresses.
    Far(Vec<FarPod>),
    /// Nodes at addresses that were asked about.
    FarNodes(Vec<FarNode>),
    /// A list of this kind begins: what it does not name until [`Event::Listed`] is gone then, and
    /// not before.
    Listing(Kind),
    /// The list of this kind is complete.
    Listed(Kind),
    /// Objects of this kind are not watched any more: forget them, without saying that they are gone.
    Unwatched(Kind),
}

/// A kind of object that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Kind {
    /// Pods of this node.
    Pod,
    /// Services.
    Service,
    /// `EndpointSlice` objects.
    EndpointSlice,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Pod, Self::Service, Self::EndpointSlice];

    /// As the API calls it, in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pod => "pods",
            Self::Service => "services",
            Self::EndpointSlice => "endpointslices",
        }
    }
}
