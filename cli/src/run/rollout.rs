//! Runs `rollout status`, `pause`, `resume` and `undo`.
//!
//! I/O: the API server.

use std::process::ExitCode;
use std::time::Duration;

use probelet_crds::{NodeConfig, ROLLOUT_ANNOTATION, ROLLOUT_PAUSED, condition};
use serde_json::{Map, Value, json};

use super::config::{before, previous, spec};
use super::outage::Outage;
use super::{Run, checked, is_unread};
use crate::answer::configs::{changes, is_written};
use crate::answer::diff::Diff;
use crate::answer::rollout::Rollouts;
use crate::ask::{Error, Patch, config_path};
use crate::seen::config::Config;

/// Between two looks of `--watch`.
const PAUSE: Duration = Duration::from_secs(1);

impl Run {
    pub(super) async fn rollout_status(
        &self,
        name: Option<&str>,
        watch: bool,
    ) -> Result<ExitCode, Error> {
        let (mut last, mut outage) = (String::new(), Outage::default());
        loop {
            let configs = match name {
                Some(name) => self.ask.config(checked(name)?).await.map(|config| vec![config]),
                None => self.ask.configs().await,
            };
            // Exit code 1 says that it was rolled back, which a moment without an answer is not.
            let Some(configs) = outage.bear(configs, |error| self.wait_for(error))? else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let answer = Rollouts::of(&configs);
            let text = crate::show::show(&answer, self.common.output, self.colours)?;
            if text != last {
                self.show(&answer)?;
                last = text;
            }
            match answer.ended() {
                _ if !watch || is_unread() => return Ok(ExitCode::SUCCESS),
                Some(well) => return Ok(ExitCode::from(u8::from(!well))),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(super) async fn hold(&self, name: &str, hold: bool) -> Result<(), Error> {
        let word = if hold { Value::from(ROLLOUT_PAUSED) } else { Value::Null };
        let patch = json!({"metadata": {"annotations": {ROLLOUT_ANNOTATION: word}}});
        self.ask.patch(&config_path(checked(name)?), Patch::Merge, patch).await?;
        let what = if hold {
            "rollout paused: no further node gets it until `kubectl probelet rollout resume`"
        } else {
            "rollout resumed"
        };
        self.done(&format!("probeconfig/{name}"), what);
        Ok(())
    }

    pub(super) async fn undo(&self, name: &str, dry_run: bool) -> Result<(), Error> {
        let config = self.ask.config(checked(name)?).await?;
        let refused = condition::is_false(&config.status().conditions, condition::ACCEPTED);
        if refused {
            // What is in force is older than this edit and newer than what the operator keeps.
            return Err(Error::Absent {
                what: format!(
                    "the newest edit of {name} was rejected and is not in force: there is nothing to undo"
                ),
                next: format!("correct it: kubectl edit probeconfig {name}"),
            });
        }
        let old = previous(&config)?;
        let wanted = before_in_words(&config, &old);
        let now = spec(&config).unwrap_or_default();
        let then = before(&now, old);
        if dry_run {
            let from = (format!("{name}, generation {}", config.metadata.generation), &now);
            return self.show(&Diff::of(from, ("what undo would restore".to_owned(), &then)));
        }
        let count = changes(&now, &then).len();
        if count == 0 {
            self.done(&format!("probeconfig/{name}"), "already has its previous content");
            return Ok(());
        }
        // An edit that came in between is not thrown away.
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": config.metadata.resource_version},
            {"op": "replace", "path": "/spec", "value": wanted},
        ]);
        self.ask.patch(&config_path(name), Patch::Json, patch).await?;
        let what = format!(
            "undone: {count} fields are as they were; follow it with `kubectl probelet rollout status {name} --watch`"
        );
        self.done(&format!("probeconfig/{name}"), &what);
        Ok(())
    }
}

/// The spec with the content before, as short as a person would write it: what was not written and is the default
/// stays unwritten.
fn before_in_words(config: &Config, old: &NodeConfig) -> Value {
    let old = serde_json::to_value(old).unwrap_or_default();
    let default = serde_json::to_value(NodeConfig::default()).unwrap_or_default();
    let mut spec = config.spec.as_object().cloned().unwrap_or_default();
    if let (Value::Object(old), Value::Object(default)) = (&old, &default) {
        merge("", &mut spec, old, default, &config.spec);
    }
    Value::Object(spec)
}

fn merge(
    path: &str,
    spec: &mut Map<String, Value>,
    old: &Map<String, Value>,
    default: &Map<String, Value>,
    written: &Value,
) {
    for (key, value) in old {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let usual = default.get(key);
        if let (Value::Object(inner), Some(Value::Object(default))) = (value, usual) {
            let mut place = match spec.remove(key) {
                Some(Value::Object(place)) => place,
                _ => Map::new(),
            };
            merge(&path, &mut place, inner, default, written);
            if !place.is_empty() || is_written(written, &path) {
                spec.insert(key.clone(), Value::Object(place));
            }
        } else if usual == Some(value) && !is_written(written, &path) {
            spec.remove(key);
        } else {
            spec.insert(key.clone(), value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_writes_no_more_than_a_person_would() {
        let config: Config = serde_json::from_value(json!({
            "metadata": {"name": "gpu"},
            "spec": {"priority": 7, "nodeSelector": {"matchLabels": {"pool": "gpu"}},
                "budget": {"cpu": "50m"}, "paused": true},
        }))
        .unwrap();
        let old: NodeConfig =
            serde_json::from_value(json!({"intervals": {"sockets": "5s"}})).unwrap();

        let spec = before_in_words(&config, &old);

        assert_eq!(
            spec,
            json!({"priority": 7, "nodeSelector": {"matchLabels": {"pool": "gpu"}},
            "budget": {"cpu": "5m"}, "paused": false, "intervals": {"sockets": "5s"}})
        );
    }
}
