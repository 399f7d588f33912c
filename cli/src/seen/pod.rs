//! A pod, as far as it is needed to find an agent, or to say why there is none.
//!
//! In: the object. Out: [`Pod`]. Pure: data.

use jiff::Timestamp;
use probelet_core::cluster::workload::workload;
use serde::Deserialize;

use super::Meta;

/// A pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name, namespace, labels.
    pub metadata: Meta,
    /// Where it runs.
    pub spec: PodSpec,
    /// How it is.
    pub status: PodStatus,
}

/// Where a pod runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Its node.
    pub node_name: String,
    /// Who it is.
    pub service_account_name: String,
    /// Whether it has its node's addresses.
    pub host_network: bool,
    /// What it consists of.
    pub containers: Vec<Container>,
}

/// A container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    /// What it runs.
    pub image: String,
    /// Its program with the words after it.
    pub command: Vec<String>,
    /// Further words.
    pub args: Vec<String>,
    /// Variables of its environment.
    pub env: Vec<Variable>,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// A variable.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, where it stands in the pod itself.
    pub value: String,
}

/// A port of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its number.
    pub container_port: u16,
}

/// How a pod is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, …
    pub phase: String,
    /// Why, of pods that were evicted or cannot be started.
    pub reason: String,
    /// The same in a message.
    pub message: String,
    /// `Ready`, `PodScheduled`, …
    pub conditions: Vec<PodCondition>,
    /// Its containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// Its addresses.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<Ip>,
}

/// An address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ip {
    /// As text.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodCondition {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it holds.
    pub status: String,
    /// Why, in a message.
    pub message: String,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// How often it was started again.
    pub restart_count: u64,
    /// How it is.
    pub state: ContainerState,
    /// How it was before its last start.
    pub last_state: ContainerState,
}

/// One of the three.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It waits.
    pub waiting: Option<Waiting>,
    /// It ended.
    pub terminated: Option<Terminated>,
}

/// Why a container waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `CrashLoopBackOff`, `ImagePullBackOff`, …
    pub reason: String,
    /// In a message.
    pub message: String,
}

/// How a container ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// `OOMKilled`, `Error`, …
    pub reason: String,
    /// Its last words.
    pub message: String,
    /// Its exit code.
    pub exit_code: i64,
    /// When.
    pub finished_at: Option<Timestamp>,
}

impl Pod {
    /// Its workload as reports, metrics and maps call it, `namespace/Kind/name`: by the rule of all programs.
    #[must_use]
    pub fn workload(&self) -> String {
        let Meta { namespace, name, labels, .. } = &self.metadata;
        let owner = self.metadata.controller();
        let owner = owner.map(|owner| (owner.kind.as_str(), owner.name.as_str()));
        let (kind, name) = workload(name, owner, |label| labels.get(label).map(String::as_str));
        format!("{namespace}/{kind}/{name}")
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }

    /// Where it serves, as the API server's proxy wants it: `https:NAME:9466`. Its own ports come before `usual`.
    #[must_use]
    pub fn endpoint(&self, usual: (&str, u16)) -> String {
        let ports = self.spec.containers.iter().flat_map(|container| &container.ports);
        let ours = ports.filter(|port| matches!(port.name.as_str(), "https" | "http"));
        let (scheme, number) =
            ours.map(|port| (port.name.as_str(), port.container_port)).next().unwrap_or(usual);
        format!("{scheme}:{}:{number}", self.metadata.name)
    }

    /// How often its containers were started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.status.container_statuses.iter().map(|container| container.restart_count).sum()
    }

    /// How its last container ended, if one did.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        let ended = |c: &ContainerStatus| {
            c.last_state.terminated.clone().or_else(|| c.state.terminated.clone())
        };
        let last = self.status.container_statuses.iter().find_map(ended)?;
        let words = [last.reason.as_str(), last.message.trim()];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        Some(format!("ended with {} ({})", last.exit_code, words.join(": ")))
    }

    /// Whether all that it was for is over: its addresses may be another's.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Why it is not ready; nothing if it is.
    #[must_use]
    pub fn why_not(&self) -> Option<String> {
        if self.metadata.deletion_timestamp.is_some() {
            return Some("is being deleted".to_owned());
        }
        if self.is_ready() {
            return None;
        }
        let waiting = self.status.container_statuses.iter().find_map(|c| c.state.waiting.as_ref());
        let unscheduled =
            self.status.conditions.iter().find(|c| c.kind == "PodScheduled" && c.status == "False");
        Some(match (waiting, unscheduled) {
            (_, Some(condition)) => format!("is not scheduled: {}", condition.message),
            (Some(waiting), _) => {
                let ended = self.ended().map_or(String::new(), |ended| format!("; it {ended}"));
                format!("waits: {}{ended}", waiting.reason)
            }
            _ if !self.status.reason.is_empty() => {
                format!("is {}: {} {}", self.status.phase, self.status.reason, self.status.message)
            }
            _ if self.status.phase == "Running" => match self.ended() {
                Some(ended) => format!("runs and is not ready; it {ended}"),
                None => "runs and is not ready".to_owned(),
            },
            _ => format!("is {}", self.status.phase),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_is_not_ready_says_why() {
        let why = |status: serde_json::Value| {
            let pod: Pod = serde_json::from_value(json!({ "status": status })).unwrap();
            pod.why_not().unwrap()
        };

        let killed = json!({"phase": "Running", "containerStatuses": [{"restartCount": 5,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]});
        assert_eq!(why(killed), "waits: CrashLoopBackOff; it ended with 137 (OOMKilled)");
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "message": "0/3 nodes are available"}]});
        assert_eq!(why(unscheduled), "is not scheduled: 0/3 nodes are available");
    }
}
