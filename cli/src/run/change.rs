//! Runs `pause` and `resume`: the kill switch of a configuration, or of one node.
//!
//! One node is paused by a `ProbeConfig` of its own: the one in force on it, with `paused`, the highest priority and the
//! node's name. It is an object as any other: `kubectl get probeconfigs` shows it. A definition of an older release knows
//! no names of nodes and would drop them, which would pause all nodes: there the label is used that only this node has.
//!
//! I/O: the API server.

use probelet_crds::{API_VERSION, NodeConfig, PROBE_CONFIG};
use serde_json::{Value, json};

use super::{Run, checked};
use crate::args::Who;
use crate::ask::{Error, Patch, config_path, probe_path};
use crate::seen::Node;

/// Beats every other configuration.
pub(super) const PRIORITY: i32 = 1000;
/// By which such a configuration is known.
const LABEL: &str = "probelet.io/paused-node";
const HOST: &str = "kubernetes.io/hostname";

/// What became of a configuration.
pub(super) enum Made {
    Now,
    There,
    /// The cluster's definition does not know by what the node is meant.
    Dropped,
}

impl Run {
    pub(super) async fn pause(&self, who: &Who, pause: bool) -> Result<(), Error> {
        match &who.node {
            Some(node) if pause => self.pause_node(checked(node)?).await,
            Some(node) => self.resume_node(checked(node)?).await,
            None => self.pause_config(checked(&who.config)?, pause).await,
        }
    }

    async fn pause_config(&self, name: &str, pause: bool) -> Result<(), Error> {
        let patch = json!({"spec": {"paused": pause}});
        self.ask.patch(&config_path(name), Patch::Merge, patch).await?;
        let what = if pause { "paused: its agents stop within seconds" } else { "resumed" };
        self.done(&format!("probeconfig/{name}"), what);
        Ok(())
    }

    async fn pause_node(&self, node: &str) -> Result<(), Error> {
        let object: Node = self.ask.get(&format!("/api/v1/nodes/{node}")).await?;
        let stored: Value = self.ask.get(&probe_path(node)).await?;
        let config: NodeConfig =
            serde_json::from_value(stored["spec"]["config"].clone()).unwrap_or_default();
        // What is in force now, so that what is not about pausing stays: limits, metrics, names.
        let mut spec = serde_json::to_value(config).unwrap_or_default();
        spec["paused"] = true.into();
        spec["priority"] = PRIORITY.into();
        let made = match self.pause_by(node, &spec, json!({"nodeNames": [node]})).await? {
            Made::Dropped => {
                let host = self.label(node, &object).await?;
                let selector = json!({"nodeSelector": {"matchLabels": {HOST: host}}});
                self.pause_by(node, &spec, selector).await?
            }
            made => made,
        };
        let what = match made {
            Made::There => "is paused already".to_owned(),
            Made::Now | Made::Dropped => format!(
                "paused by ProbeConfig {}; go on with `kubectl probelet resume --node {node}`",
                own(node)
            ),
        };
        self.done(&format!("node/{node}"), &what);
        Ok(())
    }

    async fn pause_by(&self, node: &str, spec: &Value, whom: Value) -> Result<Made, Error> {
        self.make_for(&own(node), LABEL, spec, whom).await
    }

    /// Makes a configuration, and none that means other nodes than these.
    pub(super) async fn make_for(
        &self,
        name: &str,
        label: &str,
        spec: &Value,
        whom: Value,
    ) -> Result<Made, Error> {
        let mut spec = spec.clone();
        let fields = whom.as_object().cloned().unwrap_or_default();
        for (field, value) in &fields {
            spec[field] = value.clone();
        }
        let object = json!({"apiVersion": API_VERSION, "kind": PROBE_CONFIG, "spec": spec,
            "metadata": {"name": name, "labels": {label: "true"}}});
        let means_it = |made: &Value| fields.iter().all(|(key, value)| made["spec"][key] == *value);
        // Without the field that names the node it would pause every node, so that is tried first, and judged by what
        // comes back: the words of a refusal are for people.
        for how in ["dryRun=All&fieldValidation=Ignore", "fieldValidation=Strict"] {
            let path = format!("/apis/probelet.io/v1alpha1/probeconfigs?{how}");
            match self.ask.create(&path, object.clone()).await {
                Ok(made) if means_it(&made) => {}
                Ok(_) if how.starts_with("dryRun") => return Ok(Made::Dropped),
                Ok(_) => return self.take_back(name).await,
                Err(Error::Refused { code: 409, .. }) => return Ok(Made::There),
                Err(error) => return Err(error),
            }
        }
        Ok(Made::Now)
    }

    /// The definition was replaced by an older one between two requests.
    async fn take_back(&self, name: &str) -> Result<Made, Error> {
        self.ask.delete(&config_path(name)).await?;
        Ok(Made::Dropped)
    }

    /// The value of the label that only this node has.
    async fn label(&self, node: &str, object: &Node) -> Result<String, Error> {
        let host = object.metadata.labels.get(HOST).ok_or_else(|| Error::Absent {
            what: format!("the node {node} has no label {HOST} by which it could be selected"),
            next: format!("kubectl label node {node} {HOST}={node}"),
        })?;
        self.alone(node, host).await?;
        Ok(host.clone())
    }

    /// The label is what a machine calls itself: several may call themselves the same, and all of them would be paused.
    async fn alone(&self, node: &str, host: &str) -> Result<(), Error> {
        let others: Vec<String> = self
            .ask
            .nodes()
            .await?
            .into_iter()
            .filter(|other| other.metadata.labels.get(HOST).is_some_and(|value| value == host))
            .map(|other| other.metadata.name)
            .filter(|name| name != node)
            .collect();
        let Some(first) = others.first() else { return Ok(()) };
        let more = match others.len() {
            1 => String::new(),
            n => format!(" and {} more nodes", n - 1),
        };
        Err(Error::Absent {
            what: format!(
                "the node {node} cannot be paused alone: {first}{more} has the same label {HOST}={host}"
            ),
            next: format!(
                "give it a label of its own, and pause by that: kubectl label node {node} probelet.io/pause=true; then a ProbeConfig with that nodeSelector, paused: true and priority: {PRIORITY}"
            ),
        })
    }

    async fn resume_node(&self, node: &str) -> Result<(), Error> {
        let name = own(node);
        if self.ask.delete(&config_path(&name)).await? {
            self.done(&format!("node/{node}"), "resumed");
            return Ok(());
        }
        Err(Error::Absent {
            what: format!(
                "the node {node} is not paused by itself: there is no ProbeConfig {name}"
            ),
            next: format!(
                "to see by which one it is paused: kubectl probelet config effective {node} --changed"
            ),
        })
    }
}

fn own(node: &str) -> String {
    format!("paused-{node}")
}
