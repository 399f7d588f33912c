//! Certify: keeps the certificates that agents and the feed show, and the authorities by which they are verified.
//!
//! In: a Secret of a name that the chart made, and the time. Out: the same with a certificate, its key and what comes next; a
//! `ConfigMap` of that name with the authorities, which are no secret. It must not write while this process does not lead, or
//! over what another one wrote meanwhile; and no private key but the certificate's is ever kept: each authority signs once.
//!
//! I/O: reads two objects every hour, writes them when something is due.

mod make;
mod turn;

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use probelet_runtime::chain;
use turn::Kept;

/// What is due is a matter of days.
const LOOK: Duration = Duration::from_hours(1);
/// After a failure: agents may wait for their first certificate.
const AGAIN: Duration = Duration::from_secs(10);
/// The longest that a round may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Where readers look for the authorities.
const AUTHORITIES: &str = "ca.crt";

/// What is certified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The Secret, and the `ConfigMap`.
    pub object: String,
    /// The name that the certificate is for.
    pub server: String,
    /// Who shows it.
    pub holder: Holder,
}

/// Who shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// All agents.
    Agents,
    /// The operator's feed.
    Feed,
}

impl Holder {
    /// As in certificates and logs.
    const fn name(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Feed => "feed",
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Keeps both objects as they should be, as long as `leads` says so.
pub async fn run(
    client: Client,
    namespace: String,
    wanted: Wanted,
    mut leads: watch::Receiver<bool>,
) {
    loop {
        if leads.wait_for(|&leads| leads).await.is_err() {
            return;
        }
        let round = tokio::select! {
            round = timeout(LIMIT, round(&client, &namespace, &wanted)) => round,
            _ = leads.wait_for(|&leads| !leads) => continue,
        };
        let pause = match round {
            Ok(Ok(())) => LOOK,
            Ok(Err(error)) => {
                warn!(
                    error = chain(&error),
                    holder = wanted.holder.name(),
                    secret = wanted.object,
                    "cannot renew a certificate"
                );
                AGAIN
            }
            Err(_) => AGAIN,
        };
        sleep(pause).await;
    }
}

async fn round(client: &Client, namespace: &str, wanted: &Wanted) -> Result<(), Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = secrets.get(&wanted.object).await?;
    let data = secret.data.unwrap_or_default();
    let before = Kept::read(&data);
    let (kept, changed) = before.turn(now(), || make::pair(&wanted.server, wanted.holder))?;
    if changed {
        // With the version that was read: what another one wrote meanwhile stays.
        let change = json!({
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": difference(&data, &kept.write()),
        });
        secrets.patch(&wanted.object, &PatchParams::default(), &Patch::Merge(change)).await?;
        let holder = wanted.holder.name();
        info!(holder, secret = wanted.object, "renewed a certificate, or what comes after it");
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = maps.get(&wanted.object).await?;
    let authorities = kept.authorities();
    if map.data.unwrap_or_default().get(AUTHORITIES) != Some(&authorities) {
        let change = json!({"data": {AUTHORITIES: authorities}});
        maps.patch(&wanted.object, &PatchParams::default(), &Patch::Merge(change)).await?;
    }
    Ok(())
}

/// What a merge has to say: what is new, and null for what goes.
fn difference(
    before: &BTreeMap<String, ByteString>,
    after: &BTreeMap<&'static str, String>,
) -> BTreeMap<String, Value> {
    let gone = before.keys().filter(|key| !after.contains_key(key.as_str()));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let new = after
        .iter()
        .map(|(key, text)| ((*key).to_owned(), json!(ByteString(text.clone().into_bytes()))));
    gone.chain(new).collect()
}

/// Unix seconds.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
