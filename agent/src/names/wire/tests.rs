//! What the API server writes, and what is made of it.

use super::*;
use probelet_core::cluster::objects::{self, Backend, OnNode, Phase, ServicePort, SlicePort};
use probelet_core::facts::Protocol;
use std::net::IpAddr;
use std::time::Duration;

const POD: &str = include_str!("../../../tests/fixtures/kubernetes/pod.json");
const HOST_NETWORK_POD: &str =
    include_str!("../../../tests/fixtures/kubernetes/host_network_pod.json");
const SERVICE: &str = include_str!("../../../tests/fixtures/kubernetes/service.json");
const HEADLESS: &str = include_str!("../../../tests/fixtures/kubernetes/headless_service.json");
const EXTERNAL_NAME: &str =
    include_str!("../../../tests/fixtures/kubernetes/external_name_service.json");
const SELECTORLESS: &str =
    include_str!("../../../tests/fixtures/kubernetes/selectorless_service.json");
const SLICE: &str = include_str!("../../../tests/fixtures/kubernetes/slice.json");

/// What an item amounts to, and what was wrong with it.
fn read(kind: Kind, text: &str) -> (Option<Event>, Vec<Malformed>) {
    let mut wrong = Vec::new();
    let event = item(kind, text.as_bytes(), &mut |fault| wrong.push(fault));
    (event, wrong)
}

fn pod(text: &str) -> (objects::Pod, Vec<Malformed>) {
    match read(Kind::Pod, text) {
        (Some(Event::Pod(pod)), wrong) => (pod, wrong),
        other => panic!("{other:?}"),
    }
}

fn service(text: &str) -> (objects::Service, Vec<Malformed>) {
    match read(Kind::Service, text) {
        (Some(Event::Service(service)), wrong) => (service, wrong),
        other => panic!("{other:?}"),
    }
}

fn slice(text: &str) -> (objects::EndpointSlice, Vec<Malformed>) {
    match read(Kind::EndpointSlice, text) {
        (Some(Event::EndpointSlice(slice)), wrong) => (slice, wrong),
        other => panic!("{other:?}"),
    }
}

/// A line of a watch: what it says, the version after it, and what was wrong.
fn watched(kind: Kind, text: &str) -> (Line, String, Vec<Malformed>) {
    let (mut version, mut wrong) = ("1".to_owned(), Vec::new());
    let line = line(kind, text.as_bytes(), &mut version, &mut |fault| wrong.push(fault));
    (line, version, wrong)
}

fn ips<const N: usize>(texts: [&str; N]) -> Vec<IpAddr> {
    texts.map(|text| text.parse().unwrap()).to_vec()
}

fn labels<const N: usize>(labels: [(&str, &str); N]) -> Vec<(Box<str>, Box<str>)> {
    labels.map(|(key, value)| (key.into(), value.into())).to_vec()
}

#[test]
fn a_pod_is_who_it_is_whose_it_is_and_where_it_is() {
    let (pod, wrong) = pod(POD);

    let containers = [("a", "web"), ("b", "migrate"), ("c", "debugger-1")];
    assert_eq!(
        pod,
        objects::Pod {
            uid: "6f0d7c1e-2d7b-4d5e-9a55-3a4f1a9d2c01".into(),
            namespace: "shop".into(),
            name: "web-7d4b9c6f5-x2x7k".into(),
            labels: labels([
                ("app", "web"),
                ("app.kubernetes.io/part-of", "shop"),
                ("pod-template-hash", "7d4b9c6f5"),
            ]),
            controller: Some(("ReplicaSet".into(), "web-7d4b9c6f5".into())),
            mirrors: None,
            host_network: false,
            phase: Phase::Running,
            terminating: false,
            ready: true,
            ips: ips(["10.244.1.17", "fd00:10:244:1::11"]),
            host_ips: ips(["192.0.2.11", "2001:db8::11"]),
            containers: containers.map(|(id, name)| (id.repeat(64).into(), name.into())).to_vec(),
        }
    );
    assert_eq!(wrong, []);
}

#[test]
fn a_pod_of_the_host_network_that_ends_says_so() {
    let (pod, wrong) = pod(HOST_NETWORK_POD);

    assert!(pod.host_network && pod.terminating && !pod.ready);
    assert_eq!(pod.phase, Phase::Ended);
    assert_eq!((pod.ips, pod.host_ips), (ips(["192.0.2.11"]), ips(["192.0.2.11"])));
    assert_eq!(pod.containers, labels([(&"e".repeat(64), "kube-proxy")]));
    assert_eq!(wrong, []);
}

#[test]
fn a_service_is_what_it_selects_and_how_it_is_reached() {
    let (service, wrong) = service(SERVICE);

    assert_eq!(
        service,
        objects::Service {
            namespace: "shop".into(),
            name: "web".into(),
            uid: "a3f2b0b7-0f3d-45a0-9b1c-6f1d2f6f7f11".into(),
            external_name: false,
            selector: labels([("tier", "front"), ("app", "web")]),
            publish_not_ready: true,
            cluster_ips: ips(["10.96.14.2", "fd00:10:96::e02"]),
            outside_ips: ips(["203.0.113.9"]),
            external_ips: ips(["198.51.100.7"]),
            ports: vec![
                ServicePort {
                    name: "http".into(),
                    protocol: Protocol::Tcp,
                    port: 80,
                    node_port: 30080
                },
                ServicePort { name: "dns".into(), protocol: Protocol::Udp, port: 53, node_port: 0 },
            ],
        }
    );
    assert_eq!(wrong, []);
}

#[test]
fn a_headless_service_has_no_address_and_nothing_is_wrong_with_it() {
    let (service, wrong) = service(HEADLESS);
    assert_eq!((service.cluster_ips, wrong), (vec![], vec![]));
    assert_eq!(service.selector, labels([("app", "db")]));
}

#[test]
fn an_external_name_is_distinguished() {
    let (service, wrong) = service(EXTERNAL_NAME);
    assert!(service.external_name && service.cluster_ips.is_empty() && service.ports.is_empty());
    assert_eq!(wrong, []);
}

#[test]
fn a_service_without_a_selector_selects_nothing() {
    let (service, _) = service(SELECTORLESS);
    assert_eq!(service.selector, []);
    assert_eq!(service.cluster_ips, ips(["10.96.0.1"]));
    let empty = SELECTORLESS.replace(r#""clusterIP":"#, r#""selector":{},"clusterIP":"#);
    assert_eq!(self::service(&empty).0.selector, []);
}

#[test]
fn a_slice_names_the_pods_behind_its_addresses() {
    let (slice, wrong) = slice(SLICE);

    let (node, other) = (Some("node-1".into()), Some("node-2".into()));
    let uid = "6f0d7c1e-2d7b-4d5e-9a55-3a4f1a9d2c01";
    let pod = |name: &str, uid: &str| Some(("shop".into(), name.into(), uid.into()));
    let backend = |ip, ready, pod, node| Backend {
        addresses: ips([ip]),
        ready,
        serving: true,
        terminating: !ready,
        pod,
        node,
        on_node: OnNode::Runs,
    };
    assert_eq!(
        slice,
        objects::EndpointSlice {
            namespace: "shop".into(),
            name: "web-9tq2s".into(),
            service: "web".into(),
            endpoints: vec![
                backend("10.244.1.17", true, pod("web-7d4b9c6f5-x2x7k", uid), node),
                backend("10.244.2.4", false, pod("web-7d4b9c6f5-qqq11", "u2"), other),
                backend("203.0.113.50", true, None, None),
            ],
            ports: vec![SlicePort { name: "http".into(), port: 8080, ..SlicePort::default() }],
            managed: true,
        }
    );
    assert_eq!(wrong, []);
}

#[test]
fn an_endpoint_is_its_node_if_it_is_said_to_be_that_of_its_name() {
    let text = |reference: &str| {
        format!(
            r#"{{"metadata":{{"name":"s","namespace":"kube-system"}},"endpoints":[{{"addresses":["10.0.0.3"],"nodeName":"n3","targetRef":{reference}}}]}}"#
        )
    };
    for (reference, is_node) in [
        (r#"{"kind":"Node","name":"n3"}"#, true),
        (r#"{"kind":"Node","name":"n4"}"#, false),
        (r#"{"kind":"Pod","name":"n3"}"#, false),
        ("null", false),
    ] {
        let (slice, _) = slice(&text(reference));
        assert_eq!(slice.endpoints[0].on_node == OnNode::Is, is_node, "{reference}");
    }
}

#[test]
fn an_endpoint_that_is_a_node_is_on_that_node_though_only_its_reference_says_so() {
    let text = r#"{"metadata":{"name":"s","namespace":"kube-system"},"endpoints":[{"addresses":["10.0.0.3"],"targetRef":{"kind":"Node","name":"n3","uid":"u"}}]}"#;

    let endpoint = slice(text).0.endpoints.remove(0);

    assert_eq!((endpoint.on_node, endpoint.node.as_deref()), (OnNode::Is, Some("n3")));
}

#[test]
fn an_endpoint_by_hand_is_the_pod_that_it_names_though_without_its_uid() {
    let text = r#"{"metadata":{"name":"s","namespace":"shop"},"endpoints":[{"addresses":["10.0.0.3"],"targetRef":{"kind":"Pod","name":"cart-0"}}]}"#;

    let endpoint = slice(text).0.endpoints.remove(0);

    assert_eq!(endpoint.pod, Some(("shop".into(), "cart-0".into(), "".into())));
}

#[test]
fn a_slice_without_endpoints_has_null_for_them() {
    let text = r#"{"metadata":{"name":"s","namespace":"n","labels":null},"addressType":"IPv6","endpoints":null,"ports":null}"#;
    let (slice, wrong) = slice(text);
    assert_eq!((slice.endpoints, slice.ports, wrong), (vec![], vec![], vec![]));
    assert_eq!(&*slice.service, "");
}

#[test]
fn a_slice_of_host_names_has_no_addresses() {
    let text = r#"{"metadata":{"name":"s","namespace":"n"},"addressType":"FQDN","endpoints":[{"addresses":["db.example.com"]}],"ports":[{"port":null}]}"#;
    let (slice, wrong) = slice(text);
    assert_eq!((slice.endpoints, wrong), (vec![], vec![]));
    assert_eq!(slice.ports, [SlicePort::default()]);
}

#[test]
fn what_is_wrong_with_a_pod_is_counted_and_the_rest_of_it_is_used() {
    let text = POD
        .replace("\"10.244.1.17\"", "\"10.244.1.1700\"")
        .replace(&format!("containerd://{}", "a".repeat(64)), "containerd://not-an-id")
        .replace("\"app\":\"web\"", &format!("\"{}\":\"web\"", "k".repeat(318)));

    let (pod, mut wrong) = pod(&text);

    wrong.sort_by_key(|fault| *fault as usize);
    assert_eq!(wrong, [Malformed::Label, Malformed::Address, Malformed::Container]);
    assert_eq!((pod.labels.len(), pod.ips.len(), pod.containers.len()), (2, 1, 2));
    assert_eq!(&*pod.name, "web-7d4b9c6f5-x2x7k");
}

#[test]
fn a_port_that_is_none_is_left_out() {
    for port in ["70000", "-1", "0", "null"] {
        let text = SERVICE.replace("\"port\":80,", &format!("\"port\":{port},"));
        let (service, wrong) = service(&text);
        assert_eq!((service.ports.len(), wrong), (1, vec![Malformed::Port]), "{port}");
    }
}

#[test]
fn an_object_that_does_not_say_which_it_is_is_counted_and_left_out() {
    for (kind, text) in [
        (Kind::Pod, r#"{"metadata":{"namespace":"n","uid":"u"}}"#.to_owned()),
        (Kind::Pod, r#"{"metadata":{"namespace":"n","name":"p"}}"#.to_owned()),
        (Kind::Service, r#"{"metadata":{"name":"s","uid":"u"}}"#.to_owned()),
        (
            Kind::EndpointSlice,
            format!(r#"{{"metadata":{{"namespace":"n","name":"{}"}}}}"#, "s".repeat(254)),
        ),
    ] {
        assert_eq!(read(kind, &text), (None, vec![Malformed::Identity]), "{text}");
    }
}

#[test]
fn what_is_no_object_at_all_is_counted_and_left_out() {
    for text in ["", "{", "[]", "null", r#"{"metadata":7}"#, "{\"metadata\":{\"name\":\"\u{0}\"}}"]
    {
        assert_eq!(read(Kind::Pod, text), (None, vec![Malformed::Json]), "{text}");
        let (line, version, wrong) = watched(Kind::Pod, text);
        assert_eq!((line, &*version), (Line::Change(None), "1"), "{text}");
        assert_eq!(wrong, [Malformed::Json]);
    }
}

#[test]
fn a_watch_says_what_changed_and_where_it_stands() {
    let event = |verb: &str| format!(r#"{{"type":"{verb}","object":{POD}}}"#);

    for verb in ["ADDED", "MODIFIED"] {
        let (line, version, _) = watched(Kind::Pod, &event(verb));
        assert!(matches!(line, Line::Change(Some(Event::Pod(_)))), "{line:?}");
        assert_eq!(version, "48213");
    }
    let (line, ..) = watched(Kind::Pod, &event("DELETED"));
    let gone = Event::PodGone(
        "shop".into(),
        "web-7d4b9c6f5-x2x7k".into(),
        "6f0d7c1e-2d7b-4d5e-9a55-3a4f1a9d2c01".into(),
    );
    assert_eq!(line, Line::Change(Some(gone)));
    assert_eq!(watched(Kind::Pod, &event("RENAMED")).0, Line::Change(None));
}

#[test]
fn deleted_objects_of_every_kind_are_gone() {
    let gone = |kind, text| watched(kind, &format!(r#"{{"type":"DELETED","object":{text}}}"#)).0;

    let service = Event::ServiceGone("shop".into(), "web".into());
    assert_eq!(gone(Kind::Service, SERVICE), Line::Change(Some(service)));
    let slice = Event::EndpointSliceGone("shop".into(), "web-9tq2s".into());
    assert_eq!(gone(Kind::EndpointSlice, SLICE), Line::Change(Some(slice)));
}

#[test]
fn a_bookmark_moves_on_and_one_of_them_ends_the_list() {
    let bookmark = |annotations: &str| {
        format!(
            r#"{{"type":"BOOKMARK","object":{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"50000","creationTimestamp":null{annotations}}},"spec":{{"containers":null}},"status":{{}}}}}}"#
        )
    };

    let (line, version, _) = watched(Kind::Pod, &bookmark(""));
    assert_eq!((line, &*version), (Line::Bookmark(false), "50000"));
    let end = bookmark(r#","annotations":{"k8s.io/initial-events-end":"true"}"#);
    assert_eq!(watched(Kind::Pod, &end).0, Line::Bookmark(true));
}

#[test]
fn an_error_of_a_watch_is_a_failure_for_every_kind() {
    let text = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (48000)","reason":"Expired","code":410}}"#;

    for kind in Kind::ALL {
        let (Line::Failed(failure), version, wrong) = watched(kind, text) else {
            panic!("{kind:?}");
        };
        assert!(failure.wants_new_list() && !failure.is_from_the_future());
        assert_eq!((failure.code, &*failure.message), (410, "too old resource version: 1 (48000)"));
        assert_eq!((&*version, wrong), ("1", vec![]));
    }
}

#[test]
fn a_version_from_the_future_is_reported_by_its_cause() {
    let text = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","message":"Timeout: Too large resource version: 9, current: 3","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}}"#;

    let (Line::Failed(failure), ..) = watched(Kind::Service, text) else { panic!("no failure") };

    assert!(failure.is_from_the_future());
    assert_eq!(failure.retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn the_mirror_of_a_static_pod_says_what_it_mirrors() {
    let mirror = |annotations: &str| {
        let text = format!(
            r#"{{"metadata":{{"name":"etcd-n1","namespace":"kube-system","uid":"c1a1","annotations":{annotations}}}}}"#
        );
        pod(&text).0.mirrors
    };
    let hash = "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1";
    let all = format!(
        r#"{{"kubernetes.io/config.hash":"x","kubernetes.io/config.mirror":"{hash}","other":"y"}}"#
    );

    assert_eq!(mirror(&all).as_deref(), Some(hash));
    assert_eq!(mirror(r#"{"kubernetes.io/config.hash":"x"}"#), None);
    assert_eq!(mirror("null"), None);
}
