//! Selftest: whether an installation works, seen from inside the cluster.
//!
//! In: the API server. Out: one line a check, and whether all went well. What the caller's role does not allow to look at
//! is said to be skipped, never taken for well. It must not change anything.
//!
//! I/O: some requests, stdout.

use std::io::Write as _;
use std::time::Duration;

use http_body_util::BodyExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::client::Body;
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use crate::apply::chain;
use crate::args::Exit;
use crate::observe::{RawConfig, RawProbe, SeenProbe};

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two looks at what is not there yet.
const PAUSE: Duration = Duration::from_secs(1);
/// `NodeProbes` that are looked at: one that is ready suffices.
const LOOK_AT: u32 = 500;
/// The port of agents.
const AGENT_PORT: u16 = 9466;

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Good(String),
    Bad(String),
    Skipped(String),
}

/// Makes all checks; those that wait for something do so for `patience` in all.
pub async fn run(
    client: &Client,
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
    let pod = agent(client, namespace).await;
    let pod = match pod {
        Ok(pod) => pod,
        Err(found) => {
            tell("an agent answers", found);
            return exit;
        }
    };
    tell(
        "an agent answers",
        waiting(deadline, || get(client, namespace, &pod, "/healthz", 200)).await,
    );
    // Without a token of its own the API server's proxy hands on no identity: the agent must refuse.
    tell("it refuses strangers", get(client, namespace, &pod, "/v1/report", 401).await);
    exit
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
            _ => Found::Bad(format!("nobody holds {name}")),
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

/// The name of some running agent's pod.
async fn agent(client: &Client, namespace: &str) -> Result<String, Found> {
    let params = ListParams::default()
        .labels("app.kubernetes.io/name=probelet,app.kubernetes.io/component=agent")
        .fields("status.phase=Running")
        .limit(1);
    let listed = Api::<Pod>::namespaced(client.clone(), namespace).list(&params).await;
    let list = listed.map_err(|error| sort(&error))?;
    let name = list.items.into_iter().find_map(|pod| pod.metadata.name);
    name.ok_or_else(|| Found::Bad(format!("no agent runs in {namespace}")))
}

/// Asks an agent through the API server's proxy.
async fn get(client: &Client, namespace: &str, pod: &str, path: &str, want: u16) -> Found {
    let uri = format!("/api/v1/namespaces/{namespace}/pods/https:{pod}:{AGENT_PORT}/proxy{path}");
    let request = match hyper::Request::get(uri).body(Body::empty()) {
        Ok(request) => request,
        Err(error) => return Found::Bad(error.to_string()),
    };
    let answer = match client.send(request).await {
        Ok(answer) => answer,
        Err(error) => return sort(&error),
    };
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    match status {
        status if status == want => Found::Good(format!("{pod} answers {path} with {status}")),
        // The API server's own refusal is about the caller of this test, not about the agent.
        403 if body.starts_with(b"{\"kind\":\"Status\"") => {
            Found::Skipped("the role of this test does not allow pods/proxy".to_owned())
        }
        status => Found::Bad(format!("{pod} answers {path} with {status}, not {want}")),
    }
}
