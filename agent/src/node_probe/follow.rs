//! The configuration that the operator gives this node: `spec.config` of its `NodeProbe`.
//!
//! In: the object, as the API server has it. Out: [`Effective`] through a watch channel, and an [`Assignment`] for anyone who
//! answers for it. Of a newer release's configuration what is known here counts, and what is not is named; one that is
//! wrong leaves the last good one in force and says which field, but for `paused`, which holds whatever else it says. An
//! object that was deleted or is not there yet is waited for and never created. The hash is a word: which content it
//! stands for is the operator's to know. It must not act on the configuration, nor write anything.
//!
//! I/O: the network through `Single`.

use crate::config::{Effective, Origin};
use crate::kube::single::{Seen, Single, SingleStatus};
use crate::kube::{Connection, Pace, Timing};
use probelet_crds::{NodeConfig, ProbeConfigSpec, Unknown};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::watch::Sender;
use tracing::{info, warn};

/// Where NodeProbes are.
pub(crate) const RESOURCE: &str = "/apis/probelet.io/v1alpha1/nodeprobes";
/// A cluster of more nodes than this is taken for one of so many.
const MAX_NODES: u32 = 1 << 20;

/// What the node's `NodeProbe` asks for, and what came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assignment {
    /// The API server is being listened to.
    pub up: bool,
    /// How often it came back after it had been away.
    pub returns: u64,
    /// The object, if it is there.
    pub object: Option<Assigned>,
    /// Events about the object so far.
    pub events: u64,
}

/// The object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Assigned {
    /// Its uid: one that was deleted and created again is another one.
    pub uid: String,
    /// Its version in the API server's store.
    pub version: String,
    /// The generation of its spec.
    pub generation: i64,
    /// The `ProbeConfig` that won; empty without one.
    pub config: String,
    /// The hash by which the operator calls the configuration.
    pub hash: String,
    /// Nodes of the cluster, about.
    pub cluster_size: u32,
    /// Why the configuration is not as it should be.
    pub refusal: Option<Refusal>,
    /// What of it this release does not know.
    pub unknown: Unknown,
    /// Its status, no matter who wrote it.
    pub status: Value,
}

/// Why a configuration is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rule is broken.
    #[error("{0}")]
    Invalid(String),
}

/// What following needs.
pub struct Follow {
    /// The way to the API server.
    pub connection: Arc<Connection>,
    /// This node's name.
    pub node: Arc<str>,
    /// Where the watch says how it is doing.
    pub status: Arc<SingleStatus>,
    /// The budget.
    pub pace: Pace,
    /// How long it waits.
    pub timing: Timing,
}

/// Keeps `config` at what the node's `NodeProbe` says, until no one reads it any more.
pub async fn follow(
    follow: Follow,
    config: Sender<Arc<Effective>>,
    assignment: Sender<Arc<Assignment>>,
) {
    let Follow { connection, node, status, pace, timing } = follow;
    let single = Single { connection, status, pace, timing, resource: RESOURCE, name: node };
    let following = single.follow(|seen| take_in(seen, &config, &assignment));
    tokio::select! {
        never = following => match never {},
        () = config.closed() => {}
    }
}

pub(crate) fn take_in(
    seen: Seen,
    config: &Sender<Arc<Effective>>,
    assignment: &Sender<Arc<Assignment>>,
) {
    let known = assignment.borrow().clone();
    let mut next = Assignment::clone(&known);
    match seen {
        Seen::Object(mut object) => {
            let spec = object.get_mut("spec").map(Value::take).unwrap_or_default();
            let mut assigned = read(&object, &spec, object["status"].clone());
            // Our own status comes back as news of the object; only another spec is judged.
            let before = known.object.as_ref();
            let judged = before.filter(|before| {
                (&before.uid, before.generation) == (&assigned.uid, assigned.generation)
            });
            match judged {
                Some(before) => {
                    assigned.refusal.clone_from(&before.refusal);
                    assigned.unknown.clone_from(&before.unknown);
                }
                None => judge(&spec["config"], &mut assigned, config),
            }
            next.object = Some(assigned);
            next.events += 1;
        }
        Seen::Gone => {
            let generation = known.object.as_ref().map(|object| object.generation);
            warn!(
                generation,
                "the NodeProbe was deleted, the last good configuration stays in force"
            );
            next.object = None;
            next.events += 1;
        }
        Seen::Away => next.up = false,
        Seen::Up => {
            next.returns += u64::from(!next.up);
            next.up = true;
        }
    }
    if next != *known {
        assignment.send_replace(Arc::new(next));
    }
}

fn read(object: &Value, spec: &Value, status: Value) -> Assigned {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let size = spec["clusterSize"].as_u64().map_or(0, |n| u32::try_from(n).unwrap_or(MAX_NODES));
    Assigned {
        uid: text(&metadata["uid"]),
        version: text(&metadata["resourceVersion"]),
        generation: metadata["generation"].as_i64().unwrap_or(0),
        config: text(&spec["origin"]["name"]),
        hash: text(&spec["hash"]),
        cluster_size: size.min(MAX_NODES),
        refusal: None,
        unknown: Unknown::default(),
        status,
    }
}

/// Puts the configuration in force, if it is one.
fn judge(value: &Value, assigned: &mut Assigned, tx: &Sender<Arc<Effective>>) {
    match spec(value) {
        Ok((spec, unknown)) => {
            if unknown.count > 0 {
                let fields = unknown.names.join(", ");
                warn!(config = %assigned.config, count = unknown.count, %fields,
                    "ignoring fields of a newer version");
            }
            assigned.unknown = unknown;
            accept(spec, assigned, tx);
        }
        Err(refusal) => {
            pause(value, assigned, tx);
            refuse(&refusal, assigned, tx);
            assigned.refusal = Some(refusal);
        }
    }
}

/// The spec that a `NodeProbe`'s configuration describes, and what of it is not known here.
pub(crate) fn spec(value: &Value) -> Result<(ProbeConfigSpec, Unknown), Refusal> {
    let Some((known, unknown)) = NodeConfig::known_part(value) else {
        return Err(Refusal::Invalid("spec.config is missing".to_owned()));
    };
    let spec = ProbeConfigSpec::from_value(&known).map_err(|errors| {
        let messages: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Refusal::Invalid(messages.join("; "))
    })?;
    Ok((spec, unknown))
}

fn accept(spec: ProbeConfigSpec, assigned: &Assigned, tx: &Sender<Arc<Effective>>) {
    // An object without a word for its content was written by no one who counts; the agent needs one all the same.
    let word = if assigned.hash.is_empty() { spec.hash() } else { assigned.hash.clone() };
    tx.send_if_modified(|now| {
        let origin =
            Origin::NodeProbe { config: assigned.config.clone(), generation: assigned.generation };
        let changed = now.spec != spec;
        let known = changed
            || now.hash != word
            || now.last_error.is_some()
            || now.origin.config() != origin.config();
        let generation = now.generation + u64::from(changed);
        info!(config = %assigned.config, generation = assigned.generation, hash = %word, changed,
            "configuration in force");
        *now = Arc::new(Effective { spec, generation, hash: word, origin, last_error: None });
        known
    });
}

/// Stops or goes on by a configuration of which the rest cannot be used: it is how people stop an agent in a hurry.
fn pause(value: &Value, assigned: &Assigned, tx: &Sender<Arc<Effective>>) {
    let Some(paused) = value["paused"].as_bool() else { return };
    tx.send_if_modified(|now| {
        if now.spec.paused == paused {
            return false;
        }
        info!(config = %assigned.config, generation = assigned.generation, paused,
            "configuration is invalid; only this part of it is in force");
        let now = Arc::make_mut(now);
        now.spec.paused = paused;
        now.generation += 1;
        true
    });
}

fn refuse(refusal: &Refusal, assigned: &Assigned, tx: &Sender<Arc<Effective>>) {
    let message = refusal.to_string();
    let hash = tx.borrow().hash.clone();
    warn!(config = %assigned.config, generation = assigned.generation, error = %message, in_force = %hash,
        "configuration refused, the last good one stays in force");
    tx.send_modify(|now| Arc::make_mut(now).last_error = Some(message));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::sync::watch;

    fn hash(config: &Value) -> String {
        spec(config).map(|(spec, _)| spec.hash()).unwrap_or_default()
    }

    fn object(generation: i64, config: &Value) -> Value {
        json!({
            "metadata": {"name": "n", "uid": "u", "generation": generation, "resourceVersion": "7"},
            "spec": {"origin": {"name": "default"}, "hash": hash(config), "clusterSize": 16, "config": config},
        })
    }

    struct Scene {
        config: Sender<Arc<Effective>>,
        assignment: Sender<Arc<Assignment>>,
    }

    impl Scene {
        fn new() -> Self {
            let config = watch::Sender::new(Arc::new(Effective::defaults()));
            Self { config, assignment: watch::Sender::new(Arc::default()) }
        }

        fn see(&self, seen: Seen) {
            take_in(seen, &self.config, &self.assignment);
        }

        fn cpu(&self) -> String {
            self.config.borrow().spec.budget.cpu.to_string()
        }

        fn refusal(&self) -> Option<Refusal> {
            self.assignment.borrow().object.as_ref().unwrap().refusal.clone()
        }
    }

    #[test]
    fn an_answer_that_is_no_object_is_refused_and_ends_nothing() {
        for odd in [json!("text"), json!([1]), json!(7), json!(null), json!({"spec": "text"})] {
            let scene = Scene::new();
            scene.see(Seen::Object(odd));

            assert!(scene.refusal().is_some());
        }
    }

    #[test]
    fn a_valid_configuration_is_in_force_with_its_origin() {
        let scene = Scene::new();

        scene.see(Seen::Object(object(3, &json!({"budget": {"cpu": "9m"}}))));

        let now = scene.config.borrow().clone();
        assert_eq!(now.origin, Origin::NodeProbe { config: "default".into(), generation: 3 });
        assert_eq!((scene.cpu().as_str(), now.generation), ("9m", 2));
        assert_eq!(scene.refusal(), None);
    }

    #[test]
    fn a_broken_rule_keeps_the_last_good_one_and_names_the_field() {
        let scene = Scene::new();
        scene.see(Seen::Object(object(1, &json!({"budget": {"cpu": "9m"}}))));

        scene.see(Seen::Object(object(2, &json!({"budget": {"cpu": "0"}}))));

        assert_eq!(scene.cpu(), "9m");
        let Some(Refusal::Invalid(message)) = scene.refusal() else { panic!("accepted") };
        assert!(message.contains("spec.budget.cpu"), "{message}");
        assert_eq!(scene.config.borrow().last_error.as_deref(), Some(&*message));
    }

    #[test]
    fn what_a_newer_release_says_is_ignored_and_named_and_the_rest_is_in_force() {
        let scene = Scene::new();

        let config = json!({"budget": {"cpu": "9m", "joules": 3}, "shortLived": "Foreseen"});
        scene.see(Seen::Object(object(1, &config)));

        assert_eq!((scene.cpu().as_str(), scene.refusal()), ("9m", None));
        let unknown = scene.assignment.borrow().object.as_ref().unwrap().unknown.clone();
        assert_eq!(unknown.names, ["budget.joules", "shortLived=Foreseen"]);
        // The echo of our own status does not forget it.
        scene.see(Seen::Object(object(1, &config)));
        assert_eq!(scene.assignment.borrow().object.as_ref().unwrap().unknown, unknown);
    }

    #[test]
    fn the_hash_is_a_word_that_is_echoed_whatever_it_is() {
        let scene = Scene::new();
        let mut first = object(1, &json!({"budget": {"cpu": "9m"}}));
        first["spec"]["hash"] = "0123456789abcdef".into();
        scene.see(Seen::Object(first.clone()));
        let generation = scene.config.borrow().generation;

        assert_eq!((scene.cpu().as_str(), scene.refusal()), ("9m", None));
        assert_eq!(scene.config.borrow().hash, "0123456789abcdef");
        first["spec"]["hash"] = "another".into();
        first["metadata"]["generation"] = 2.into();
        scene.see(Seen::Object(first));
        let now = scene.config.borrow().clone();
        assert_eq!((now.hash.as_str(), now.generation), ("another", generation));
    }

    #[test]
    fn paused_holds_whatever_else_is_wrong_and_so_does_its_end() {
        let scene = Scene::new();
        scene.see(Seen::Object(object(1, &json!({"budget": {"cpu": "9m"}}))));
        let paused = |scene: &Scene| scene.config.borrow().spec.paused;

        let wrong = json!({"paused": true, "budget": {"cpu": "0"}, "new": {"x": 1}});
        scene.see(Seen::Object(object(2, &wrong)));
        assert!(paused(&scene) && scene.refusal().is_some());
        assert_eq!(scene.cpu(), "9m");

        scene.see(Seen::Object(object(3, &json!({"budget": {"cpu": "0"}}))));
        assert!(paused(&scene), "it does not say otherwise");
        scene.see(Seen::Object(object(4, &json!({"paused": false, "budget": {"cpu": "0"}}))));
        assert!(!paused(&scene));
        scene.see(Seen::Object(object(5, &json!({"paused": true, "new": {"x": 1}}))));
        assert!(paused(&scene) && scene.refusal().is_none());
    }

    #[test]
    fn a_deleted_object_keeps_the_last_good_configuration() {
        let scene = Scene::new();
        scene.see(Seen::Object(object(1, &json!({"budget": {"cpu": "9m"}}))));

        scene.see(Seen::Gone);

        assert_eq!(scene.cpu(), "9m");
        assert_eq!(scene.assignment.borrow().object, None);
    }

    #[test]
    fn our_own_status_is_no_new_configuration() {
        let scene = Scene::new();
        scene.see(Seen::Object(object(1, &json!({}))));
        let mut seen = scene.config.subscribe();
        seen.mark_unchanged();

        let mut echo = object(1, &json!({}));
        echo["status"] = json!({"observedGeneration": 1});
        scene.see(Seen::Object(echo));

        assert!(!seen.has_changed().unwrap());
        assert_eq!(scene.assignment.borrow().events, 2);
    }

    #[test]
    fn a_server_that_comes_back_is_counted() {
        let scene = Scene::new();

        for seen in [Seen::Up, Seen::Up, Seen::Away, Seen::Away, Seen::Up] {
            scene.see(seen);
        }

        assert_eq!((scene.assignment.borrow().up, scene.assignment.borrow().returns), (true, 2));
    }
}
