//! Apply: one write to the API server, and what came of it.
//!
//! In: a planned step, a status, a configuration to make. Out: the object as it is now, or why not, sorted by what is to
//! be done about it. Each write has a time limit and none is repeated here: when and whether to try again is the
//! queue's to say.
//!
//! I/O: one request.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::Status;
use kube::{Api, Client};
use probelet_core::text::clean;
use probelet_crds::condition::{self, READY, node_ready};
use probelet_crds::{
    API_VERSION, DEFAULT, NODE_PROBE, OPERATOR, PROBE_CONFIG, ProbeConfigStatus, SEED,
};
use probelet_runtime::chain;
use serde_json::{Value, json};

use crate::seen::{SeenConfig, SeenProbe};
use crate::stages::observe::{CONFIG_LABEL, RawConfig, RawProbe, cut, label_value};
use crate::stages::plan::Order;

/// The longest that a write may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The wait if the server asks for one but does not say how long.
const WAIT: Duration = Duration::from_secs(1);
/// The longest text of a refusal that is kept.
const MAX_REFUSAL: usize = 200;

/// Why a write came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The server has too much to do and says for how long.
    #[error("the API server asks to wait {0:?}")]
    Busy(Duration),
    /// The server would not have it: a webhook, a quota, a policy, missing rights. A person has to act.
    #[error("refused: {0}")]
    Refused(String),
    /// Anything that may be better next time.
    #[error("{0}")]
    Other(String),
}

/// Every [`Error::result`].
pub(crate) const RESULTS: [&str; 3] = ["busy", "refused", "error"];

impl Error {
    /// For the label of a metric; one of `RESULTS`.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self {
            Self::Busy(_) => "busy",
            Self::Refused(_) => "refused",
            Self::Other(_) => "error",
        }
    }
}

/// The clients for what is written.
#[derive(Clone)]
pub struct Writer {
    probes: Api<RawProbe>,
    configs: Api<RawConfig>,
}

impl Writer {
    /// Writes through this client.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        Self { probes: Api::all(client.clone()), configs: Api::all(client.clone()) }
    }

    /// Makes a `NodeProbe` be as ordered.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn probe(&self, order: &Order) -> Result<SeenProbe, Error> {
        let patch = Patch::Apply(probe(order));
        let params = PatchParams::apply(OPERATOR).force();
        let raw = limited(self.probes.patch(&order.name, &params, &patch)).await?;
        SeenProbe::of(raw).ok_or_else(nameless)
    }

    /// Deletes this very `NodeProbe`, not one that was made under the same name since.
    ///
    /// # Errors
    /// See [`Error`]; one that is gone already is none.
    pub async fn delete(&self, name: &str, uid: &str) -> Result<(), Error> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams::default().preconditions(preconditions);
        let deleted = tokio::time::timeout(LIMIT, self.probes.delete(name, &params)).await;
        match deleted.map_err(|_| late())? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(sort(&error)),
        }
    }

    /// Writes the status of a configuration.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(
        &self,
        name: &str,
        status: &ProbeConfigStatus,
    ) -> Result<SeenConfig, Error> {
        let patch = Patch::Apply(json!({
            "apiVersion": API_VERSION, "kind": PROBE_CONFIG,
            "metadata": {"name": name}, "status": status,
        }));
        let params = PatchParams::apply(OPERATOR).force();
        let raw = limited(self.configs.patch_status(name, &params, &patch)).await?;
        SeenConfig::of(raw).ok_or_else(nameless)
    }

    /// Makes the configuration `default`, unless someone was quicker. It is applied, not posted: only the fields of the
    /// seed are ours then, and not all those that the API server fills in, so that others may apply theirs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn default(&self, spec: &Value) -> Result<Option<SeenConfig>, Error> {
        if limited(self.configs.get_opt(DEFAULT)).await?.is_some() {
            return Ok(None);
        }
        let patch = Patch::Apply(json!({
            "apiVersion": API_VERSION, "kind": PROBE_CONFIG,
            "metadata": {"name": DEFAULT}, "spec": spec,
        }));
        let params = PatchParams::apply(SEED);
        let applied = self.configs.patch(DEFAULT, &params, &patch);
        match tokio::time::timeout(LIMIT, applied).await.map_err(|_| late())? {
            Ok(raw) => Ok(SeenConfig::of(raw)),
            // Someone made it meanwhile, with other values.
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(None),
            Err(error) => Err(sort(&error)),
        }
    }

    /// Writes into a `NodeProbe` that its agent is silent, unless the agent has written meanwhile.
    ///
    /// # Errors
    /// See [`Error`]; an agent that spoke is none, nor an object that is gone.
    pub async fn silent(&self, name: &str, uid: &str, now: Timestamp) -> Result<(), Error> {
        let Some(probe) = limited(self.probes.get_opt(name)).await? else { return Ok(()) };
        let Some(version) = probe.metadata.resource_version else { return Ok(()) };
        if probe.metadata.uid.as_deref() != Some(uid) {
            return Ok(());
        }
        let conditions = silenced(&probe.status, now);
        let metadata = json!({"resourceVersion": version});
        let patch =
            Patch::Merge(json!({"metadata": metadata, "status": {"conditions": conditions}}));
        let params = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..Default::default() };
        let written = tokio::time::timeout(LIMIT, self.probes.patch_status(name, &params, &patch));
        match written.await.map_err(|_| late())? {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
                Ok(())
            }
            Err(error) => Err(sort(&error)),
        }
    }
}

/// The conditions of a status with `Ready` as it is of an agent that says nothing any more. The others stay as the agent
/// wrote them, whether we can read them or not: the patch replaces the whole list.
fn silenced(status: &Value, now: Timestamp) -> Vec<Value> {
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let place = conditions.iter_mut().find(|condition| condition["type"] == READY);
    let old = place.as_deref().cloned().and_then(|old| serde_json::from_value(old).ok());
    let mut ready: Vec<Condition> = old.into_iter().collect();
    let generation = status["observedGeneration"].as_i64().unwrap_or(0);
    let message = match status["lastReport"].as_str() {
        Some(last) => format!("no report from the agent since {}", cut(last, 20)),
        None => "no report from the agent for long".to_owned(),
    };
    let unknown = condition::Status::Unknown;
    let reason = node_ready::AGENT_SILENT;
    condition::set(&mut ready, READY, unknown, reason, message, generation, now);
    match place {
        Some(place) => *place = json!(ready.first()),
        None => conditions.extend(ready.first().map(|ready| json!(ready))),
    }
    conditions
}

/// The object as it is sent.
#[must_use]
pub fn probe(order: &Order) -> Value {
    let Order { name, uid, origin, content, cluster_size } = order;
    let label = origin.as_ref().and_then(|origin| label_value(&origin.name));
    let labels = label.map(|value| json!({CONFIG_LABEL: value})).unwrap_or(json!({}));
    let mut spec = json!({
        "hash": content.hash, "clusterSize": cluster_size, "config": content.config.written(),
    });
    if let Some(origin) = origin {
        spec["origin"] = json!(origin);
    }
    json!({
        "apiVersion": API_VERSION, "kind": NODE_PROBE,
        "metadata": {
            "name": **name, "labels": labels,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": **name, "uid": **uid}],
        },
        "spec": spec,
    })
}

async fn limited<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    let answer = tokio::time::timeout(LIMIT, request).await.map_err(|_| late())?;
    answer.map_err(|error| sort(&error))
}

fn late() -> Error {
    Error::Other(format!("no answer in {} s", LIMIT.as_secs()))
}

fn nameless() -> Error {
    Error::Other("the answer has no name or uid".to_owned())
}

/// Sorts an answer by what is to be done about it.
pub(crate) fn sort(error: &kube::Error) -> Error {
    let kube::Error::Api(status) = error else { return Error::Other(chain(error)) };
    // A webhook's words are anybody's, and end up in a status.
    let message = clean(cut(&status.message, MAX_REFUSAL)).into_owned();
    let asked = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    let wait = if asked > 0 { Duration::from_secs(asked.into()) } else { WAIT };
    match status.code {
        429 => Error::Busy(wait),
        503 | 504 if asked > 0 => Error::Busy(wait),
        400 | 403 | 405 | 413 | 422 => Error::Refused(message),
        // A webhook that is not there, or did not answer in time: the server says that it is an error of its own, and names
        // the cause. What its store says has no cause and no reason.
        500 if is_internal(status) => Error::Refused(message),
        _ => Error::Other(format!("{} {}: {message}", status.code, status.reason)),
    }
}

fn is_internal(status: &Status) -> bool {
    let named = status.details.as_ref().is_some_and(|details| !details.causes.is_empty());
    status.reason == "InternalError" && named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(code: u16, message: &str) -> Error {
        sort(&kube::Error::Api(Status::failure(message, "Reason").with_code(code).boxed()))
    }

    #[test]
    fn a_webhook_or_quota_is_a_refusal_that_a_person_can_read() {
        let webhook = "admission webhook \"x\" denied the request: no";

        assert_eq!(sorted(403, webhook), Error::Refused(webhook.to_owned()));
        assert!(matches!(sorted(500, "etcdserver: request timed out"), Error::Other(_)));
    }

    #[test]
    fn a_webhook_that_cannot_be_called_is_reported_by_reason_and_cause_whatever_its_name() {
        // As Kubernetes 1.34 answers, in the order of its fields.
        let text = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"Internal error occurred: failed calling hook \"x.example\": context deadline exceeded",
            "reason":"InternalError","details":{"causes":[{"message":"failed calling hook"}]},"code":500}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        let store = Status::failure("a webhook's name is in it", "").with_code(500);

        assert!(matches!(sort(&kube::Error::Api(Box::new(status))), Error::Refused(_)));
        assert!(matches!(sort(&kube::Error::Api(Box::new(store))), Error::Other(_)));
    }

    #[test]
    fn what_else_a_silent_agent_said_stays_as_it_wrote_it() {
        let full = json!({"type": "ConfigApplied", "status": "True", "reason": "Applied",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "fromTheFuture": 1});
        let bare = json!({"type": "WithinBudget", "status": "True"});
        let ready = json!({"type": "Ready", "status": "True", "reason": "Reporting"});
        let status = json!({"observedGeneration": 3, "conditions": [full, ready, bare]});

        let written = silenced(&status, Timestamp::UNIX_EPOCH);

        assert_eq!((&written[0], &written[2], written.len()), (&full, &bare, 3));
        let ready = &written[1];
        assert_eq!((&ready["type"], &ready["status"]), (&json!("Ready"), &json!("Unknown")));
        assert_eq!(ready["reason"], node_ready::AGENT_SILENT);
        assert_eq!(ready["observedGeneration"], 3);
        // Since when it is so does not change when it is said again.
        let again = silenced(&json!({"conditions": written}), Timestamp::from_second(99).unwrap());
        assert_eq!(again[1]["lastTransitionTime"], "1970-01-01T00:00:00Z");
        assert_eq!(silenced(&json!({}), Timestamp::UNIX_EPOCH).len(), 1);
    }

    #[test]
    fn a_busy_server_is_given_its_time() {
        let details = serde_json::from_value(json!({"retryAfterSeconds": 7})).unwrap();
        let status = Status::failure("slow down", "TooManyRequests").with_code(429);

        let busy = sort(&kube::Error::Api(status.with_details(details).boxed()));

        assert_eq!(busy, Error::Busy(Duration::from_secs(7)));
        assert_eq!(sorted(429, ""), Error::Busy(WAIT));
    }
}
