//! The agents: where they run, and what they serve behind the API server's proxy.
//!
//! In: the name of a node. Out: its agent's pod and report. The token that agents are shown is one of the viewer's
//! service account, made for agents alone and for ten minutes: an agent that was taken over gets nothing by it. Who
//! may not make such a token shows the own one of the kubeconfig, or one of an account of theirs. Whom an agent lets see no
//! more than some namespaces is asked again for the one that is meant. An installation is found by labels that no value of the
//! chart changes; everything else of it is found by what its first pod says.
//!
//! I/O: the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use super::connect::OWN;
use super::fleet::escape;
use super::{Ask, By, ByteBudget, Error, Reply, With};
use crate::seen::pod::Pod;
use crate::seen::report::Report;

/// The variable in which agents learn whom tokens have to be for.
const AUDIENCE: &str = "PROBELET_TOKEN_AUDIENCE";
/// A label that no value of the chart changes, and what it is.
const PART_OF: &str = "app.kubernetes.io/part-of=probelet";
/// The same before there was that label.
const NAMED: &str = "app.kubernetes.io/name=probelet";
/// Labels of an installation, which its pods keep as long as they live.
const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// The namespace of an installation by the book, for those who may not look into others.
const NAMESPACE: &str = "probelet";
/// Where agents serve unless their pod says otherwise.
const ENDPOINT: (&str, u16) = ("https", 9466);
/// Reports that are on their way at a time.
const AT_ONCE: usize = 16;
/// How long to wait before an agent that is busy is asked again.
const BUSY: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// The least that Kubernetes allows, seconds.
const TOKEN_LIFE: u32 = 600;

/// The agents of an installation.
#[derive(Clone)]
pub struct Agents {
    ask: Ask,
    /// Where they run.
    pub namespace: String,
    /// The name that all objects of the installation begin with.
    pub fullname: String,
    /// Selects everything of the installation.
    pub selector: String,
    token: Arc<OnceCell<Token>>,
    /// The audience of tokens for agents; older agents accept those for the API server.
    audience: Option<String>,
    /// The account whose token is shown instead of the viewer's: its namespace and its name.
    account: Option<(String, String)>,
    /// Whether an agent said that not everything may be seen.
    narrow: Arc<AtomicBool>,
}

struct Token {
    header: String,
    /// Why it is not the viewer's.
    why_own: Option<String>,
}

/// A report, or why there is none.
pub struct Fetched {
    /// The node.
    pub node: String,
    /// Its report.
    pub report: Result<Report, Error>,
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
struct TokenStatus {
    token: String,
}

impl Agents {
    /// Finds the installation by its agents: in `namespace`, else wherever one is.
    pub async fn find(ask: &Ask, namespace: Option<&str>) -> Result<Self, Error> {
        Self::by(ask, namespace, "agent").await?.ok_or_else(|| {
            let place = namespace.map_or("in no namespace".to_owned(), |n| format!("not in {n}"));
            Error::Absent {
                what: format!("there is no agent of probelet, {place}"),
                next: "check where it is installed: helm list -A; another cluster: --context NAME"
                    .to_owned(),
            }
        })
    }

    /// Finds the installation by the pods of a component, if there are any.
    pub async fn by(
        ask: &Ask,
        namespace: Option<&str>,
        component: &str,
    ) -> Result<Option<Self>, Error> {
        let Some(pod) = locate(ask, namespace, component).await? else { return Ok(None) };
        let account = pod.spec.service_account_name.as_str();
        let workload = pod.workload();
        let ends = format!("-{component}");
        let fullname = [workload.rsplit('/').next().unwrap_or_default(), account]
            .into_iter()
            .find_map(|name| name.strip_suffix(ends.as_str()))
            .unwrap_or(NAMESPACE)
            .to_owned();
        let label = |key: &str| pod.metadata.labels.get(key).map(|value| format!("{key}={value}"));
        let selector = match (label(NAME), label(INSTANCE)) {
            (Some(name), Some(instance)) => format!("{name},{instance}"),
            (Some(name), None) => name,
            _ => PART_OF.to_owned(),
        };
        let mut variables = pod.spec.containers.iter().flat_map(|container| &container.env);
        let audience = variables.find(|variable| variable.name == AUDIENCE);
        Ok(Some(Self {
            ask: ask.clone(),
            audience: audience.map(|variable| variable.value.clone()),
            namespace: pod.metadata.namespace,
            fullname,
            selector,
            token: Arc::default(),
            account: None,
            narrow: Arc::default(),
        }))
    }

    /// The same agents, who are shown a token of this account.
    #[must_use]
    pub fn with_account(self, namespace: &str, name: &str) -> Self {
        Self { account: Some((namespace.to_owned(), name.to_owned())), ..self }
    }

    /// Whom the tokens that agents accept are for; nothing where older agents accept those for the API server.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The path of something in their namespace.
    #[must_use]
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The pods of a component; those that are going are left out.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>, Error> {
        let labels = self.component(component);
        let path = self.path(&format!("pods?labelSelector={}", escape(&labels)));
        let pods = self.ask.pages(&path, None, "pods", |pod: Pod| pod).await?.items;
        Ok(pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect())
    }

    fn component(&self, component: &str) -> String {
        format!("{},app.kubernetes.io/component={component}", self.selector)
    }

    /// The agent's pod of a node, if there is one.
    pub async fn pod(&self, node: &str) -> Result<Option<Pod>, Error> {
        let field = format!("spec.nodeName={node}");
        let query = format!(
            "labelSelector={}&fieldSelector={}",
            escape(&self.component("agent")),
            escape(&field)
        );
        let list: super::List<Pod> = self.ask.get(&self.path(&format!("pods?{query}"))).await?;
        let pods = list.items.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        // One that was evicted stays beside its successor for a while.
        Ok(pods.min_by_key(|pod| (!pod.is_ready(), pod.status.phase != "Running")))
    }

    /// The report of a node; `query` narrows it down.
    pub async fn report(&self, node: &str, query: &str) -> Result<Report, Error> {
        self.report_in(node, query, None, ByteBudget::new()).await
    }

    /// The report, or, where no more may be seen, that of the namespace.
    async fn report_in(
        &self,
        node: &str,
        query: &str,
        namespace: Option<&str>,
        budget: ByteBudget,
    ) -> Result<Report, Error> {
        let narrowed = namespace.filter(|_| !query.contains("namespace=")).map(|namespace| {
            let sign = if query.is_empty() { '?' } else { '&' };
            format!("{query}{sign}namespace={namespace}")
        });
        let Some(narrowed) = narrowed else { return self.whole_report(node, query, budget).await };
        if !self.narrow.load(Ordering::Relaxed) {
            match self.whole_report(node, query, budget.clone()).await {
                Err(Error::Agent { refused: true, .. }) => {
                    self.narrow.store(true, Ordering::Relaxed);
                }
                report => return report,
            }
        }
        self.whole_report(node, &narrowed, budget).await
    }

    async fn whole_report(
        &self,
        node: &str,
        query: &str,
        budget: ByteBudget,
    ) -> Result<Report, Error> {
        let path = format!("v1/report{query}");
        let pod = self.pod(node).await?.ok_or_else(|| Error::Agent {
            node: node.to_owned(),
            why: "there is none on this node".to_owned(),
            next: format!(
                "is there such a node, and do the agents' tolerations and nodeSelector fit it? kubectl get nodes; kubectl -n {} get daemonset {}-agent",
                self.namespace, self.fullname
            ),
                busy: false,
                refused: false,
            })?;
        self.served_by(node, &pod, &path, budget).await?.decode(&path)
    }

    /// What the agent of a node serves at a path.
    pub async fn served_by(
        &self,
        node: &str,
        pod: &Pod,
        path: &str,
        budget: ByteBudget,
    ) -> Result<Reply, Error> {
        let name = &pod.metadata.name;
        if let Some(why) = pod.why_not().filter(|_| pod.status.phase != "Running") {
            return Err(self.silent(node, &format!("its pod {name} {why}")));
        }
        let token = self.token().await?;
        let path = self.path(&format!("pods/{}/proxy/{path}", pod.endpoint(ENDPOINT)));
        let with =
            || With { token: Some(&token.header), budget: Some(budget.clone()), ..With::default() };
        let mut waits = BUSY.iter();
        loop {
            match self.ask.send(Method::GET, &path, with()).await {
                Ok(reply) => return Ok(reply),
                // It has no room in its budget just now, and says so.
                Err(
                    Error::Refused { code: 429, .. }
                    | Error::Refused { code: 503, by: By::Agent | By::Unnamed, .. },
                ) if waits.len() > 0 => {
                    tokio::time::sleep(*waits.next().unwrap_or(&BUSY[0])).await;
                }
                Err(error) => return Err(self.explain(node, pod, token, error)),
            }
        }
    }

    fn silent(&self, node: &str, why: &str) -> Error {
        Error::Agent {
            node: node.to_owned(),
            why: why.to_owned(),
            next: format!(
                "kubectl probelet explain {node}; kubectl -n {} get pods -o wide",
                self.namespace
            ),
            busy: false,
            refused: false,
        }
    }

    /// Distinguishes the agent's refusals from the API server's.
    fn explain(&self, node: &str, pod: &Pod, token: &Token, error: Error) -> Error {
        match error {
            Error::Unauthorized { message } => Error::Agent {
                node: node.to_owned(),
                why: match &token.why_own {
                    Some(why) => {
                        format!("it requires a token ({message}), and there is none: {why}")
                    }
                    None => format!("it does not accept the token: {message}"),
                },
                next: format!(
                    "ask for the right to create serviceaccounts/token for {0}-viewer in {1}; to see a namespace alone, show a token of one of its accounts that may get pods (--account NAME -n NAMESPACE), or have agents accept your own (agent.tokens.acceptApiServer of the chart); to see all with your own, it must be bound to the ClusterRole {0}-viewer",
                    self.fullname, self.namespace
                ),
                busy: false,
                refused: false,
            },
            Error::Forbidden { message, by: By::Agent, .. } => Error::Agent {
                node: node.to_owned(),
                why: message,
                next: format!(
                    "for a namespace whose pods you may get: -n NAMESPACE; for the whole node, bind the user it names to the ClusterRole {0}-viewer: kubectl create clusterrolebinding NAME --clusterrole={0}-viewer --user=NAME",
                    self.fullname
                ),
                busy: false,
                refused: true,
            },
            Error::Refused { code: 429 | 503, message, by: By::Agent, .. } if pod.is_ready() => {
                Error::Agent {
                    node: node.to_owned(),
                    why: format!("it is busy: {message}"),
                    next: format!(
                        "try again later; if this happens often, its budget is too small: kubectl probelet explain {node}"
                    ),
                    busy: true,
                    refused: false,
                }
            }
            error => self.no_way(node, pod, error),
        }
    }

    /// What lies between the API server and the agent, or the agent that is not there.
    fn no_way(&self, node: &str, pod: &Pod, error: Error) -> Error {
        let name = &pod.metadata.name;
        match error {
            // A pod that is not ready is reason enough.
            Error::Refused { code: 500 | 502 | 503, message, by: By::Server, .. }
                if pod.why_not().is_none() =>
            {
                let endpoint = pod.endpoint(ENDPOINT);
                let port = endpoint.rsplit(':').next().unwrap_or_default().to_owned();
                Error::Cut { node: node.to_owned(), port, message }
            }
            Error::Late { patience, .. } => Error::Agent {
                node: node.to_owned(),
                why: format!("nothing came through the API server in {patience:?}"),
                next: format!(
                    "allow it more time: --timeout TIME; how it is: kubectl probelet explain {node}"
                ),
                busy: false,
                refused: false,
            },
            Error::Refused { code: 500, message, by: By::Server, .. }
            | Error::Refused { code: 502..=504, message, .. } => {
                let why = pod.why_not().unwrap_or(format!("cannot be reached: {message}"));
                self.silent(node, &format!("its pod {name} {why}"))
            }
            Error::Missing { .. } => self.silent(node, &format!("its pod {name} is gone")),
            other => other,
        }
    }

    /// Reports of several nodes, a few at a time, in the order of their names.
    ///
    /// Where an agent lets see no more than namespaces, that of this namespace.
    pub async fn reports(
        &self,
        nodes: &[String],
        query: &str,
        namespace: Option<&str>,
    ) -> Vec<Fetched> {
        let total = nodes.len();
        let progress = &self.ask.progress;
        let budget = &ByteBudget::new();
        let fetched = stream::iter(nodes.iter().enumerate()).map(|(at, node)| async move {
            progress.say(&format!("reading reports: {at} of {total}"));
            let report = self.report_in(node, query, namespace, budget.clone()).await;
            Fetched { node: node.clone(), report }
        });
        let mut all: Vec<Fetched> = fetched.buffer_unordered(AT_ONCE).collect().await;
        all.sort_by(|a, b| a.node.cmp(&b.node));
        all
    }

    async fn token(&self) -> Result<&Token, Error> {
        self.token.get_or_try_init(|| self.new_token()).await
    }

    async fn new_token(&self) -> Result<Token, Error> {
        let viewer = || (self.namespace.clone(), format!("{}-viewer", self.fullname));
        let (namespace, account) = self.account.clone().unwrap_or_else(viewer);
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        let mut request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": TOKEN_LIFE}});
        if let Some(audience) = &self.audience {
            request["spec"]["audiences"] = json!([audience]);
        }
        let own = |why: String| Ok(Token { header: OWN.to_owned(), why_own: Some(why) });
        match self.ask.create(&path, request).await {
            Ok(answer) => {
                let TokenRequest { status } = serde_json::from_value(answer)
                    .map_err(|error| Error::Unreadable { path, why: error.to_string() })?;
                Ok(Token { header: format!("Bearer {}", status.token), why_own: None })
            }
            Err(error) if self.account.is_some() => Err(error),
            Err(Error::Missing { .. }) => own(format!("there is no service account {account}")),
            Err(error @ Error::Forbidden { .. }) => own(error.to_string()),
            Err(error) => Err(error),
        }
    }
}

/// A pod of a component: by the label that nothing changes, by the name of older charts, and at last by what it looks
/// like, for `nameOverride` of such a chart.
async fn locate(ask: &Ask, namespace: Option<&str>, component: &str) -> Result<Option<Pod>, Error> {
    let component_is = format!("app.kubernetes.io/component={component}");
    for selector in [format!("{PART_OF},{component_is}"), format!("{NAMED},{component_is}")] {
        let query = format!("pods?labelSelector={}&limit=1", escape(&selector));
        let found: super::List<Pod> = match namespace {
            Some(_) => ask.get(&place(namespace, &query)).await?,
            None => match ask.get(&place(None, &query)).await {
                Err(Error::Forbidden { .. }) => ask.get(&place(Some(NAMESPACE), &query)).await?,
                found => found?,
            },
        };
        if let Some(pod) = found.items.into_iter().next() {
            return Ok(Some(pod));
        }
    }
    let query = format!("pods?labelSelector={}", escape(&component_is));
    let ours = |pod: Pod| is_ours(&pod, component).then_some(pod);
    let pods = match ask.pages(&place(namespace, &query), None, "pods", ours).await {
        Err(Error::Forbidden { .. }) if namespace.is_none() => {
            ask.pages(&place(Some(NAMESPACE), &query), None, "pods", ours).await?
        }
        pods => pods?,
    };
    Ok(pods.items.into_iter().flatten().next())
}

fn place(namespace: Option<&str>, query: &str) -> String {
    match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{query}"),
        None => format!("/api/v1/{query}"),
    }
}

/// Whether a pod with this component's label is of probelet: its image, its account or its port says so.
fn is_ours(pod: &Pod, component: &str) -> bool {
    let name = format!("probelet-{component}");
    let port = if component == "agent" { ENDPOINT.1 } else { 9467 };
    let runs = |image: &str| {
        let last = image.rsplit('/').next().unwrap_or_default();
        last.split([':', '@']).next() == Some(name.as_str())
    };
    pod.spec.containers.iter().any(|container| {
        let serves = |one: &crate::seen::pod::Port| {
            one.container_port == port && matches!(one.name.as_str(), "http" | "https")
        };
        runs(&container.image) || container.ports.iter().any(serves)
    }) || pod.spec.service_account_name.ends_with(&name)
}
