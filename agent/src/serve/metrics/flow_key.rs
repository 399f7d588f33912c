//! The labels of a flow.
//!
//! In: a flow's record, what containers are called. Out: its labels as text. It must not keep any: see [`keys`](super::keys).
//!
//! Pure: no I/O, no clock.

use crate::serve::report::records::source_node;
use probelet_core::display::DisplayNames;
use probelet_core::display::series::{self, OTHER, RESERVED};
use probelet_core::facts::Protocol;
use probelet_core::names::Name;
use probelet_core::records::{FlowRecord, Reporter, Workload};
use probelet_core::report::Picture;

/// For whom all flows from other nodes are counted; no workload is called so.
const OTHER_NODES: &str = "node:";

/// The labels of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FlowKey {
    pub(super) source_namespace: Box<str>,
    pub(super) source: Box<str>,
    pub(super) source_node: Box<str>,
    pub(super) destination_namespace: Box<str>,
    /// Who answers; empty where no more than the Service is known.
    pub(super) destination: Box<str>,
    pub(super) service: Box<str>,
    pub(super) port: Box<str>,
    pub(super) service_port: Box<str>,
    pub(super) protocol: Protocol,
}

impl FlowKey {
    /// What stands for all that has no place.
    pub(super) fn folded(reporter: Reporter) -> Self {
        Self {
            source_namespace: Box::default(),
            source: OTHER.into(),
            source_node: match reporter {
                Reporter::Source => Box::default(),
                Reporter::Destination => "node:other".into(),
            },
            destination_namespace: Box::default(),
            destination: OTHER.into(),
            service: Box::default(),
            port: OTHER.into(),
            service_port: Box::default(),
            protocol: Protocol::Tcp,
        }
    }

    /// Whose flow it is: who opened it, or who was connected to from outside. Those from other nodes, which
    /// report them themselves, are the first to give way.
    pub(super) fn owner(&self) -> &str {
        if !self.source_node.is_empty() {
            return OTHER_NODES;
        }
        match RESERVED.contains(&&*self.source) {
            false => &self.source,
            true if self.destination.is_empty() => &self.service,
            true => &self.destination,
        }
    }
}

pub(super) fn key(flow: &FlowRecord, labels: &DisplayNames, picture: &Picture) -> FlowKey {
    let FlowRecord { key, .. } = flow;
    let dialled = key.service_port;
    let service_port = if dialled == 0 { Box::default() } else { dialled.to_string().into() };
    let service = |id| match picture.name(id) {
        Some(name @ Name::Service { .. }) => Some(series::text(&name.to_string())),
        _ => None,
    };
    let known = match key.destination {
        Workload::Named(id) => service(id),
        _ => None,
    };
    let destination = match known {
        Some(_) => Box::default(),
        None => series::workload(key.destination, labels, picture),
    };
    FlowKey {
        source_namespace: series::namespace(key.source, labels, picture),
        source: series::source(key, labels, picture),
        source_node: source_node(key.origin, picture).unwrap_or_default().into(),
        destination_namespace: series::namespace(key.destination, labels, picture),
        destination,
        service: key.service.and_then(service).or(known).unwrap_or_default(),
        port: series::port(key),
        service_port,
        protocol: key.protocol,
    }
}
