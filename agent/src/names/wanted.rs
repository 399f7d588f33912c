//! What is watched: decided by `spec.match`.
//!
//! In: the configuration, the node's name. Out: for each kind the resource and its selector, or nothing. It must not
//! ask for more than the configuration needs: thousands of agents ask the same.
//!
//! Pure: no I/O.

use crate::kube::selection::{Selection, encode};
use probelet_core::cluster::objects::Kind;
use probelet_crds::{Match, Peers, ServiceMatching};

/// Slices that no selector explains: those of the endpoint slice controller follow from Services and pods. Mirrored and
/// hand-written ones name another manager or none.
const NOT_FROM_SELECTORS: &str =
    "labelSelector=endpointslice.kubernetes.io%2Fmanaged-by%21%3Dendpointslice-controller.k8s.io";
/// What is watched of `kind` on this node.
pub(crate) fn wanted(kind: Kind, config: &Match, node: &str) -> Option<Selection> {
    let selection = |path, filter: String| Some(Selection { path, filter });
    let slices = config.peers == Peers::EndpointSlices
        || config.service_matching == ServiceMatching::EndpointSlices;
    let services = config.peers != Peers::Off || config.service_matching != ServiceMatching::Off;
    match kind {
        Kind::Pod => {
            let mut filter = "fieldSelector=spec.nodeName%3D".to_owned();
            encode(&mut filter, node);
            selection("/api/v1/pods", filter)
        }
        Kind::Service if services => selection("/api/v1/services", String::new()),
        Kind::EndpointSlice if slices => selection(SLICES, String::new()),
        Kind::EndpointSlice if config.service_matching == ServiceMatching::Selectors => {
            selection(SLICES, NOT_FROM_SELECTORS.to_owned())
        }
        Kind::Service | Kind::EndpointSlice => None,
    }
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(service_matching: ServiceMatching, peers: Peers) -> Vec<String> {
        let config = Match { service_matching, peers, ..Match::default() };
        let all = Kind::ALL.iter().filter_map(|&kind| wanted(kind, &config, "n-1.example"));
        all.map(|selection| selection.url(&[("watch", "1")])).collect()
    }

    const PODS: &str = "/api/v1/pods?fieldSelector=spec.nodeName%3Dn-1.example&watch=1";
    const SERVICES: &str = "/api/v1/services?watch=1";
    const ALL_SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices?watch=1";

    #[test]
    fn by_default_everything_that_names_both_ends_is_watched() {
        assert_eq!(
            watched(ServiceMatching::Selectors, Peers::EndpointSlices),
            [PODS, SERVICES, ALL_SLICES]
        );
    }

    #[test]
    fn without_peers_only_slices_that_no_selector_explains_are_watched() {
        for peers in [Peers::ServiceIPs, Peers::Off] {
            let slices = "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=endpointslice.kubernetes.io\
                          %2Fmanaged-by%21%3Dendpointslice-controller.k8s.io&watch=1";
            assert_eq!(watched(ServiceMatching::Selectors, peers), [PODS, SERVICES, slices]);
        }
    }

    #[test]
    fn matching_by_slices_needs_all_of_them_whatever_names_the_peers() {
        assert_eq!(
            watched(ServiceMatching::EndpointSlices, Peers::Off),
            [PODS, SERVICES, ALL_SLICES]
        );
    }

    #[test]
    fn service_addresses_alone_need_no_slices() {
        assert_eq!(watched(ServiceMatching::Off, Peers::ServiceIPs), [PODS, SERVICES]);
    }

    #[test]
    fn with_both_off_nothing_of_services_is_watched() {
        assert_eq!(watched(ServiceMatching::Off, Peers::Off), [PODS]);
    }

    #[test]
    fn whatever_a_server_sends_as_a_token_stays_one_parameter() {
        let config = Match::default();
        let services = wanted(Kind::Service, &config, "n").unwrap();
        assert_eq!(
            services.url(&[("continue", "a&b=c ü")]),
            "/api/v1/services?continue=a%26b%3Dc%20%C3%BC"
        );
    }
}
