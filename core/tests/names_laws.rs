//! Laws of names: however a history of events comes in, twice, late or mixed, in the end everything
//! is called what it would be called if only the last state of each object had ever been reported.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "names/node.rs"]
mod named;

use named::*;
use probelet_core::cluster::objects::{EndpointSlice, Event, Kind, Phase, Pod, Service};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Address, pod and readiness of each; the port.
type Endpoints = (Vec<(u8, u8, bool)>, u16);

/// One change of one object; `None` is its deletion.
#[derive(Clone, Debug)]
enum Step {
    /// Name, incarnation, state.
    Pod(u8, u8, Option<PodState>),
    /// Name, whether with the selector, cluster address.
    Service(u8, Option<(bool, u8)>),
    /// Service, endpoints (address, pod, ready), port.
    EndpointSlice(u8, Option<Endpoints>),
    /// A list of everything as it is at this point of the history.
    Relist,
}

#[derive(Clone, Debug)]
struct PodState {
    ip: u8,
    phase: u8,
    ready: bool,
    host: bool,
    labelled: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let state =
        (0..3u8, 0..3u8, any::<bool>(), proptest::bool::weighted(0.2), any::<bool>()).prop_map(
            |(ip, phase, ready, host, labelled)| PodState { ip, phase, ready, host, labelled },
        );
    let pod = (0..3u8, 0..2u8, proptest::option::weighted(0.8, state))
        .prop_map(|(name, incarnation, state)| Step::Pod(name, incarnation, state));
    let service = (0..3u8, proptest::option::weighted(0.8, (any::<bool>(), 0..2u8)))
        .prop_map(|(name, state)| Step::Service(name, state));
    let endpoint = (0..5u8, 0..3u8, any::<bool>());
    let endpoints = proptest::collection::vec(endpoint, 0..4);
    let port = prop_oneof![Just(8080u16), Just(9090)];
    let slice = (0..3u8, proptest::option::weighted(0.8, (endpoints, port)))
        .prop_map(|(service, state)| Step::EndpointSlice(service, state));
    let step = prop_oneof![4 => pod, 2 => service, 3 => slice, 1 => Just(Step::Relist)];
    proptest::collection::vec(step, 1..30)
}

fn make_pod(name: u8, incarnation: u8, state: &PodState) -> Pod {
    let ip = if state.host { HOST_IP.to_owned() } else { format!("10.1.0.{}", 5 + state.ip) };
    let name_text = format!("p{name}");
    let id = container_id(&format!("{name}.{incarnation}"));
    Pod {
        uid: uid(&format!("p{name}-{incarnation}")),
        host_network: state.host,
        ready: state.ready,
        phase: [Phase::Pending, Phase::Running, Phase::Ended][usize::from(state.phase)],
        labels: if state.labelled { labels(&[("app", "x")]) } else { Vec::new() },
        containers: vec![(id.into(), "main".into())],
        ..pod("ns", &name_text, &ip)
    }
}

fn make_service(name: u8, (selects, ip): (bool, u8)) -> Service {
    let selector = if selects { labels(&[("app", "x")]) } else { Vec::new() };
    Service { selector, ..service("ns", &format!("s{name}"), &format!("10.96.0.{ip}"), 80) }
}

fn make_slice(name: u8, (endpoints, port): &Endpoints) -> EndpointSlice {
    let address = |n: u8| match n {
        4 => HOST_IP.to_owned(),
        n => format!("10.1.0.{}", 5 + n),
    };
    let mut made = slice("ns", &format!("s{name}"), &[], *port);
    for (ip, pod, ready) in endpoints {
        let (ip, pod) = (address(*ip), format!("p{pod}"));
        let mut one = slice("ns", "x", &[(&ip, &pod)], 1).endpoints.remove(0);
        one.ready = *ready;
        made.endpoints.push(one);
    }
    made
}

/// The objects that there are after some steps. A pod that was deleted never comes back.
#[derive(Clone, Default)]
struct Objects {
    pods: BTreeMap<(u8, u8), Pod>,
    buried: Vec<(u8, u8)>,
    services: BTreeMap<u8, Service>,
    slices: BTreeMap<u8, EndpointSlice>,
}

impl Objects {
    /// What a step says to anyone who watches.
    fn step(&mut self, step: &Step) -> Vec<Event> {
        match step {
            Step::Pod(name, n, _) if self.buried.contains(&(*name, *n)) => Vec::new(),
            Step::Pod(name, n, Some(state)) => {
                let pod = make_pod(*name, *n, state);
                self.pods.insert((*name, *n), pod.clone());
                vec![Event::Pod(pod)]
            }
            Step::Pod(name, n, None) => {
                self.buried.push((*name, *n));
                self.pods.remove(&(*name, *n)).iter().map(gone).collect()
            }
            Step::Service(name, Some(state)) => {
                let service = make_service(*name, *state);
                self.services.insert(*name, service.clone());
                vec![Event::Service(service)]
            }
            Step::Service(name, None) => {
                self.services.remove(name);
                vec![Event::ServiceGone("ns".into(), format!("s{name}").into())]
            }
            Step::EndpointSlice(name, Some(state)) => {
                let slice = make_slice(*name, state);
                self.slices.insert(*name, slice.clone());
                vec![Event::EndpointSlice(slice)]
            }
            Step::EndpointSlice(name, None) => {
                self.slices.remove(name);
                vec![Event::EndpointSliceGone("ns".into(), format!("s{name}-abcde").into())]
            }
            Step::Relist => self.list(),
        }
    }

    fn list(&self) -> Vec<Event> {
        let mut events = vec![Event::Listing(Kind::Pod), Event::Listing(Kind::Service)];
        events.push(Event::Listing(Kind::EndpointSlice));
        events.extend(self.pods.values().cloned().map(Event::Pod));
        events.extend(self.services.values().cloned().map(Event::Service));
        events.extend(self.slices.values().cloned().map(Event::EndpointSlice));
        events.extend([Kind::Pod, Kind::Service, Kind::EndpointSlice].map(Event::Listed));
        events
    }
}

const ASKED: [&str; 7] = [
    "10.1.0.5:8080",
    "10.1.0.6:9090",
    "10.1.0.7:1",
    "10.1.0.8:8080",
    "10.96.0.0:80",
    "10.96.0.1:80",
    "172.18.0.2:9090",
];

/// A host process that asks for everything, before anything is known or after.
fn ask(node: &mut Node) {
    for at in ASKED {
        node.connect_from_host(at);
    }
    node.accept_on_host("10.1.0.5:41000");
    node.accept_on_host("10.1.0.8:41000");
}

fn answers(node: &Node) -> Vec<String> {
    let picture = node.picture();
    let plain =
        |id| picture.name(id).map_or_else(|| "?".to_owned(), |n| format!("{} {n}", n.kind()));
    let mut all: Vec<_> = picture
        .connections
        .iter()
        .map(|c| {
            let (peer, service) = (c.named.peer.map(plain), c.named.service.map(plain));
            format!("{} {peer:?} by {service:?} gaps {:?}", c.remote, c.named.gaps)
        })
        .collect();
    let pods = picture.cluster.unwrap().pods;
    all.extend(pods.iter().map(|p| format!("{:?}", p.shown)));
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_everything_is_called_what_the_last_objects_say(
        steps in steps(),
        echoes in proptest::collection::vec((0..40usize, 0..40usize), 0..10),
        early in any::<bool>(),
    ) {
        let mut objects = Objects::default();
        let mut history: Vec<Event> = Vec::new();
        for step in &steps {
            history.extend(objects.step(step));
        }
        // What was reported is reported again: a pod's state at any later time if it was deleted, anything
        // at once. Only a pod says of itself which one it is.
        for (at, later) in echoes {
            let Some(event) = history.get(at).cloned() else { continue };
            let dead = |uid: &str| objects.pods.values().all(|p| &*p.uid != uid);
            let stale = match &event {
                Event::Pod(pod) => dead(&pod.uid) && history[..=at + later.min(history.len() - at - 1)]
                    .iter().any(|e| matches!(e, Event::PodGone(_, _, uid) if *uid == pod.uid)),
                Event::PodGone(..) => true,
                Event::Listing(_) | Event::Listed(_) => continue,
                _ => false,
            };
            let place = if stale { (at + 1 + later).min(history.len()) } else { at + 1 };
            // Within a list, an event is part of the list.
            history.insert(place, event);
        }

        let mut live = Node::synced();
        if early {
            ask(&mut live);
        }
        for event in history {
            live.apply([event]);
        }
        if !early {
            ask(&mut live);
        }
        let mut rebuilt = Node::synced();
        ask(&mut rebuilt);
        rebuilt.apply(objects.list());
        live.wait(100);
        rebuilt.wait(100);

        prop_assert_eq!(answers(&live), answers(&rebuilt));
    }
}
