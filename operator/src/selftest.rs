//! Selftest: whether an installation works, seen from inside the cluster.
//!
//! In: the API server and one agent. Out: one line a check, and whether all went well. What the caller's role does not allow
//! to look at is said to be skipped, never taken for well. It must not change anything.
//!
//! I/O: some requests, stdout.

mod endpoint;
mod pods;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep, timeout};

use endpoint::{Endpoint, Reply, Shown};

use crate::args::Exit;
use crate::seen::SeenProbe;
use crate::stages::observe::{RawConfig, RawProbe};
use probelet_runtime::chain;

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at what is not there yet.
const PAUSE: Duration = Duration::from_secs(1);
/// `NodeProbes` that are looked at: one that is ready suffices.
const LOOK_AT: u32 = 500;
/// By what an agent's pod is found: labels that no value of the chart changes.
const AGENTS: &str = "app.kubernetes.io/part-of=probelet,app.kubernetes.io/component=agent";
/// What is read of an agent; its role is the one that this test's account must have.
const REPORT: &str = "/v1/report";
/// Agents' pods that are looked at: one that is ready suffices.
const PODS: u32 = 100;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Good(String),
    Bad(String),
    Skipped(String),
}

/// Makes all checks; those that wait for something do so for `patience` in all. `config` is how `client` was made: agents are
/// shown its token: see [`shown`].
pub async fn run(
    client: &Client,
    config: &Config,
    namespace: &str,
    lease: Option<&str>,
    patience: Duration,
) -> Exit {
    let deadline = Instant::now() + patience;
    let mut exit = Exit::Success;
    let mut tell = |check: &str, found: Found| {
        let (word, text) = match &found {
            Found::Good(text) => ("ok", text),
            Found::Bad(text) => ("FAILED", text),
            Found::Skipped(text) => ("skipped", text),
        };
        let written = writeln!(std::io::stdout(), "{word:<8}{check}: {text}");
        if matches!(found, Found::Bad(_)) || written.is_err() {
            exit = Exit::Failure;
        }
    };
    tell("ProbeConfigs are served", waiting(deadline, || configs(client)).await);
    if let Some(lease) = lease {
        let check = || held(client, namespace, lease);
        tell("the operator leads", waiting(deadline, check).await);
    }
    tell("a node reports", waiting(deadline, || ready(client)).await);
    let answers = waiting(deadline, || report(client, config, namespace, Shown::Token)).await;
    tell("an agent answers", answers);
    let refuses = waiting(deadline, || report(client, config, namespace, Shown::Nothing)).await;
    tell("it refuses a request without a token", refuses);
    let followed = waiting(deadline, || pods(client, config, namespace)).await;
    tell("it gets the pods of its node", followed);
    exit
}

/// How agents are asked: with the token of this file, if there is one, else with the one for the API server.
#[must_use]
pub fn shown(config: Config, agent_token: Option<&Path>) -> Config {
    let Some(file) = agent_token else { return config };
    let mut config = config;
    config.auth_info.token = None;
    config.auth_info.token_file = Some(file.to_string_lossy().into_owned());
    config
}

/// Tries until it is good or the time is over.
async fn waiting<F: Future<Output = Found>>(deadline: Instant, check: impl Fn() -> F) -> Found {
    loop {
        let found = timeout(LIMIT, check()).await;
        let found = found.unwrap_or_else(|_| Found::Bad("no answer in 10 s".to_owned()));
        if !matches!(found, Found::Bad(_)) || Instant::now() + PAUSE > deadline {
            return found;
        }
        sleep(PAUSE).await;
    }
}

/// What a failed request says; missing rights are no failure of the installation.
fn sort(error: &kube::Error) -> Found {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => Found::Skipped(status.message.clone()),
        error => Found::Bad(chain(error)),
    }
}

async fn configs(client: &Client) -> Found {
    let api = Api::<RawConfig>::all(client.clone());
    match api.list(&ListParams::default().limit(10)).await {
        Ok(list) if list.items.is_empty() => {
            Found::Bad("there is none, not even default".to_owned())
        }
        Ok(list) => {
            let names = list.items.into_iter().filter_map(|config| config.metadata.name);
            Found::Good(names.collect::<Vec<_>>().join(", "))
        }
        Err(error) => sort(&error),
    }
}

async fn held(client: &Client, namespace: &str, name: &str) -> Found {
    match Api::<Lease>::namespaced(client.clone(), namespace).get(name).await {
        Ok(lease) => match lease.spec.and_then(|spec| spec.holder_identity) {
            Some(holder) if !holder.is_empty() => Found::Good(format!("{holder} holds {name}")),
            _ => Found::Bad(format!("no process holds {name}")),
        },
        Err(error) => sort(&error),
    }
}

async fn ready(client: &Client) -> Found {
    let api = Api::<RawProbe>::all(client.clone());
    let list = match api.list(&ListParams::default().limit(LOOK_AT)).await {
        Ok(list) => list,
        Err(error) => return sort(&error),
    };
    let count = list.items.len();
    let seen: Vec<SeenProbe> = list.items.into_iter().filter_map(SeenProbe::of).collect();
    let fine =
        |probe: &&SeenProbe| probe.said.ready == Some(true) && probe.said.applied == Some(true);
    match seen.iter().filter(fine).count() {
        0 => Found::Bad(format!(
            "none of {count} NodeProbes is ready with its configuration applied"
        )),
        fine => {
            Found::Good(format!("{fine} of {count} are ready with their configuration applied"))
        }
    }
}

/// An agent to ask: the first that is ready, else the first that runs.
async fn agent(client: &Client, namespace: &str) -> Result<Endpoint, Found> {
    let params = ListParams::default().labels(AGENTS).fields("status.phase=Running").limit(PODS);
    let listed = Api::<Pod>::namespaced(client.clone(), namespace).list(&params).await;
    let list = listed.map_err(|error| sort(&error))?;
    let none = || Found::Bad(format!("no agent runs in {namespace}"));
    Endpoint::best(&list.items).ok_or_else(none)
}

/// Asks an agent where it has its pods from.
async fn pods(client: &Client, config: &Config, namespace: &str) -> Found {
    let endpoint = match agent(client, namespace).await {
        Ok(endpoint) => endpoint,
        Err(found) => return found,
    };
    match endpoint.ask(config, Shown::Token, pods::METRICS).await {
        Ok(answer) => followed(&endpoint, &answer),
        Err(error) => Found::Bad(format!("{}: {error}", endpoint.pod)),
    }
}

fn followed(endpoint: &Endpoint, answer: &Reply) -> Found {
    let pod = &endpoint.pod;
    match answer.status {
        200 => pods::judged(pod, endpoint.feeds, &answer.body),
        403 => Found::Skipped(format!(
            "{pod} knows the account of this test, which may not get {}: {}",
            pods::METRICS,
            answer.text
        )),
        status => {
            Found::Bad(format!("{pod} answers {} with {status}: {}", pods::METRICS, answer.text))
        }
    }
}

/// Asks an agent for its report, at the address of its pod.
async fn report(client: &Client, config: &Config, namespace: &str, shown: Shown) -> Found {
    let endpoint = match agent(client, namespace).await {
        Ok(endpoint) => endpoint,
        Err(found) => return found,
    };
    match endpoint.ask(config, shown, REPORT).await {
        Ok(answer) => judged(&endpoint, shown, &answer),
        Err(error) => Found::Bad(format!("{}: {error}", endpoint.pod)),
    }
}

/// What an agent's answer means.
fn judged(endpoint: &Endpoint, shown: Shown, answer: &Reply) -> Found {
    let Reply { status, text, .. } = answer;
    let pod = &endpoint.pod;
    match (shown, status) {
        (Shown::Token, 200) => Found::Good(format!("{pod} answers {REPORT} with 200")),
        (Shown::Token, 403) => Found::Skipped(format!(
            "{pod} knows the account of this test, which may not get {REPORT}: {text}"
        )),
        (Shown::Nothing, 401) => Found::Good(format!("{pod} answers {REPORT} with 401")),
        (Shown::Nothing, 200) if endpoint.open => {
            Found::Skipped(format!("{pod} serves every client, because agent.auth is none"))
        }
        (Shown::Nothing, 200) => Found::Bad(format!("{pod} serves its report without a token")),
        _ => Found::Bad(format!("{pod} answers {REPORT} with {status}: {text}")),
    }
}

#[cfg(test)]
mod tests;
