//! Where an agent answers, and asking it there.
//!
//! In: pods as the API server lists them; whether to show the token of this process. Out: the address of an agent, and what it
//! answers. It must not follow anything that the agent sends: the first bytes of the answer are for the log only.
//!
//! I/O: one request to an agent.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::{Request, Uri};
use k8s_openapi::api::core::v1::Pod;
use kube::client::Body;
use kube::{Client, Config};

use probelet_runtime::chain;

/// The port of agents whose pods name none.
const PORT: u16 = 9466;
/// How long the connection to an agent may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// The most of an answer that is shown.
const SHOWN: usize = 200;
/// The most of an answer that is read: refusals are short, a report is not looked into, and of metrics those of the agent itself
/// come before those of the node.
const READ: usize = 256 << 10;

/// What an agent is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The token of this process.
    Token,
    /// No token.
    Nothing,
}

/// Where an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own, and any may go with any"
)]
pub(super) struct Endpoint {
    /// Its pod.
    pub(super) pod: String,
    ip: IpAddr,
    port: u16,
    tls: bool,
    /// Whether it is set up to answer everybody.
    pub(super) open: bool,
    /// Whether it is set up to get pods from the operator.
    pub(super) feeds: bool,
    ready: bool,
}

/// What an agent answered.
pub(super) struct Reply {
    pub(super) status: u16,
    /// The beginning of the body, on one line.
    pub(super) text: String,
    /// What was read of it.
    pub(super) body: String,
}

impl Endpoint {
    /// The first pod that is ready, else the first that has an address.
    pub(super) fn best(pods: &[Pod]) -> Option<Self> {
        let endpoints: Vec<Self> = pods.iter().filter_map(Self::of).collect();
        endpoints.iter().find(|endpoint| endpoint.ready).or(endpoints.first()).cloned()
    }

    fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref()?;
        let ip = status.pod_ip.as_deref()?.parse().ok()?;
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
        let containers = containers.unwrap_or_default();
        let mut ports = containers.iter().flat_map(|each| each.ports.iter().flatten());
        let (port, tls) = ports
            .find_map(|port| match port.name.as_deref() {
                Some("https") => Some((u16::try_from(port.container_port).ok()?, true)),
                Some("http") => Some((u16::try_from(port.container_port).ok()?, false)),
                _ => None,
            })
            .unwrap_or((PORT, true));
        let has = |name: &str, holds: fn(&str) -> bool| {
            let mut variables = containers.iter().flat_map(|each| each.env.iter().flatten());
            variables.any(|each| each.name == name && each.value.as_deref().is_some_and(holds))
        };
        Some(Self {
            pod: pod.metadata.name.clone()?,
            ip,
            port,
            tls,
            open: has("PROBELET_AUTH", |value| value == "off"),
            feeds: has("PROBELET_FEED", |value| !value.is_empty()),
            ready: conditions.iter().any(|each| each.type_ == "Ready" && each.status == "True"),
        })
    }

    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match self.ip {
            IpAddr::V4(ip) => format!("{scheme}://{ip}:{}", self.port),
            IpAddr::V6(ip) => format!("{scheme}://[{ip}]:{}", self.port),
        }
    }

    /// Asks for a path. Agents' certificates are their own by default, so none is verified: the token of this process lives
    /// as long as its pod.
    pub(super) async fn ask(
        &self,
        known: &Config,
        shown: Shown,
        path: &str,
    ) -> Result<Reply, String> {
        let url: Uri = self.url().parse().map_err(|error| format!("{}: {error}", self.url()))?;
        // Without a proxy: pods are asked directly, whatever stands between this process and the API server.
        let mut config = Config::new(url);
        config.accept_invalid_certs = true;
        // No authority is asked; without a list of them the system's are loaded, and the image has none.
        config.root_cert = Some(Vec::new());
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        if shown == Shown::Token {
            config.auth_info.token = known.auth_info.token.clone();
            config.auth_info.token_file = known.auth_info.token_file.clone();
        }
        let client = Client::try_from(config).map_err(|error| chain(&error))?;
        let request = Request::get(path).body(Body::empty()).map_err(|error| error.to_string())?;
        let answer = client.send(request).await.map_err(|error| chain(&error))?;
        let status = answer.status().as_u16();
        let body = beginning(answer.into_body()).await;
        let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Reply { status, text, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// As much of an answer as is read.
async fn beginning(mut body: Body) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < READ {
        let Some(Ok(frame)) = body.frame().await else { break };
        let Ok(data) = frame.into_data() else { continue };
        read.extend_from_slice(&data[..data.len().min(READ - read.len())]);
    }
    read
}
