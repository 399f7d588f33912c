//! A node: every address that the cluster says is its own.
//!
//! In: JSON of `v1.Node`. Out: [`objects::Node`]. Addresses come from the status, and from what CNIs
//! and distributions write into annotations. It must not take the first addresses of a node's range
//! for its gateways unless flannel says that it gives them out: elsewhere they may be a pod's.
//!
//! Pure: no I/O.

use super::MAX_NAME;
use super::text::{Labels, Text};
use probelet_core::cluster::objects;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Annotations that hold addresses of the node, with or without a prefix, separated by commas.
const ANNOTATED: [&str; 14] = [
    "flannel.alpha.coreos.com/public-ip",
    "flannel.alpha.coreos.com/public-ipv6",
    "projectcalico.org/IPv4Address",
    "projectcalico.org/IPv6Address",
    "projectcalico.org/IPv4IPIPTunnelAddr",
    "projectcalico.org/IPv4VXLANTunnelAddr",
    "projectcalico.org/IPv6VXLANTunnelAddr",
    "network.cilium.io/ipv4-cilium-host",
    "network.cilium.io/ipv6-cilium-host",
    "io.cilium.network.ipv4-cilium-host",
    "io.cilium.network.ipv6-cilium-host",
    "k3s.io/internal-ip",
    "k3s.io/external-ip",
    "alpha.kubernetes.io/provided-node-ip",
];
/// Anyone who runs flannel has its tunnel at the first address of the range and its bridge at the next.
const FLANNEL: [&str; 2] = [ANNOTATED[0], ANNOTATED[1]];

#[derive(Debug, Deserialize)]
struct Node<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(default)]
    spec: Option<Spec<'a>>,
    #[serde(default)]
    status: Option<Status<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    annotations: Labels<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, rename = "podCIDR")]
    range: Text<'a>,
    #[serde(rename = "podCIDRs")]
    ranges: Option<Vec<Text<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    addresses: Option<Vec<Address<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    address: Text<'a>,
}

/// Reads an item of a list of nodes; `None` if it cannot be determined which one it is.
pub(in crate::names) fn node(text: &[u8]) -> Option<objects::Node> {
    let Node { metadata, spec, status } = serde_json::from_slice(text).ok()?;
    let name = metadata.name.fit(MAX_NAME)?;
    let status = status.unwrap_or_default();
    let own = status.addresses.iter().flatten();
    let own = own.filter(|a| matches!(a.kind.as_str(), "InternalIP" | "ExternalIP"));
    let mut addresses: Vec<IpAddr> =
        own.filter_map(|address| address.address.as_str().parse().ok()).collect();
    let annotated = ANNOTATED.iter().filter_map(|key| metadata.annotations.get(key));
    let annotated = annotated.flat_map(|text| text.as_str().split(','));
    addresses
        .extend(annotated.filter_map(|text| text.split('/').next()?.trim().parse::<IpAddr>().ok()));
    if FLANNEL.iter().any(|key| metadata.annotations.get(key).is_some()) {
        let spec = spec.unwrap_or_default();
        let one = std::slice::from_ref(&spec.range);
        let ranges = spec.ranges.as_deref().filter(|all| !all.is_empty()).unwrap_or(one);
        addresses.extend(ranges.iter().filter_map(|range| first(range.as_str())).flatten());
    }
    addresses.sort_unstable();
    addresses.dedup();
    Some(objects::Node { name, addresses })
}

/// The first two addresses of a range with room for more.
fn first(range: &str) -> Option<[IpAddr; 2]> {
    let (ip, prefix) = range.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match ip.parse().ok()? {
        IpAddr::V4(ip) if prefix <= 30 => {
            let network = ip.to_bits() & u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            Some([network, network | 1].map(|bits| Ipv4Addr::from_bits(bits).into()))
        }
        IpAddr::V6(ip) if prefix <= 126 => {
            let network = ip.to_bits() & u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            Some([network, network | 1].map(|bits| Ipv6Addr::from_bits(bits).into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(annotations: &str) -> Vec<String> {
        let text = format!(
            r#"{{"metadata":{{"name":"n-1","annotations":{annotations}}},
                "spec":{{"podCIDR":"10.244.3.0/24","podCIDRs":["10.244.3.0/24","fd00:3::/64"]}},
                "status":{{"addresses":[{{"type":"InternalIP","address":"10.77.0.3"}},
                    {{"type":"Hostname","address":"n-1"}},{{"type":"ExternalIP","address":"nonsense"}}]}}}}"#
        );
        let node = node(text.as_bytes()).unwrap();
        assert_eq!(&*node.name, "n-1");
        node.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_has_the_addresses_of_its_status() {
        assert_eq!(addresses("{}"), ["10.77.0.3"]);
        assert_eq!(addresses("null"), ["10.77.0.3"]);
    }

    #[test]
    fn flannel_has_the_first_two_addresses_of_a_range() {
        let flannel = addresses(r#"{"flannel.alpha.coreos.com/public-ip":"10.77.0.3"}"#);

        assert_eq!(flannel, ["10.77.0.3", "10.244.3.0", "10.244.3.1", "fd00:3::", "fd00:3::1"]);
    }

    #[test]
    fn tunnels_and_hosts_of_other_networks_are_annotated() {
        let calico = r#"{"projectcalico.org/IPv4Address":"10.77.0.3/24",
            "projectcalico.org/IPv4VXLANTunnelAddr":"192.168.7.64","other":"10.1.1.1"}"#;
        assert_eq!(addresses(calico), ["10.77.0.3", "192.168.7.64"]);
        let k3s = r#"{"k3s.io/internal-ip":"10.77.0.3,fd00::3"}"#;
        assert_eq!(addresses(k3s), ["10.77.0.3", "fd00::3"]);
    }

    #[test]
    fn garbage_is_no_range() {
        for range in
            ["", "10.0.0.0", "10.0.0.0/x", "10.0.0.0/31", "10.0.0.0/99", "x/8", "fd00::/127"]
        {
            assert_eq!(first(range), None, "{range}");
        }
        assert!(first("10.9.9.9/0").is_some() && first("fd00::/0").is_some());
        assert!(node(b"{}").is_none() && node(b"{\"metadata\":{}}").is_none());
    }
}
