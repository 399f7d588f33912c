//! What the configuration says of names, in this crate's own words.
//!
//! In: nothing. Out: plain values. It must not hold defaults that differ from the specification's.
//!
//! Pure: no I/O.

use super::cidr::Table;

/// What one end of a flow stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Grain {
    /// A workload; a Service where the workload is not known.
    #[default]
    Workload,
    /// A Service for what is connected to; else a workload.
    Service,
    /// A pod.
    Pod,
}

/// How the Services of this node's pods are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServiceMatching {
    /// By their selectors, and through slices for Services without one.
    #[default]
    Selectors,
    /// Through slices.
    EndpointSlices,
    /// Not at all.
    Off,
}

/// How the other end of a connection is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Peers {
    /// By pod and Service, through slices.
    #[default]
    EndpointSlices,
    /// By the Services' own addresses.
    ServiceIPs,
    /// Not at all, but for the node's own pods.
    Off,
}

/// What the configuration says of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Name of this node.
    pub node: Box<str>,
    /// There is no cluster: only ranges of addresses have names.
    pub alone: bool,
    /// How Services are found.
    pub service_matching: ServiceMatching,
    /// How peers are named.
    pub peers: Peers,
    /// What flows are counted by.
    pub grain: Grain,
    /// Ranges of addresses that people gave names to, by number.
    pub ranges: Table,
    /// Those names.
    pub groups: Vec<Box<str>>,
}
