//! Ask: everything that is asked of the cluster goes through here, and only to the API server.
//!
//! In: paths and bodies. Out: decoded answers, or an [`Error`] that says what was asked, what the answer was and what
//! to do next. Lists come in pages, each dropped before the next one is asked for. It must not judge answers.
//!
//! I/O: the network.

mod agents;
mod cluster;
mod connect;
mod error;
mod fleet;
mod foreign;
mod progress;
mod reply;
mod right;

pub use agents::{Agents, Fetched};
pub use connect::Access;
use connect::Connected;
pub use error::{By, Error};
pub(crate) use fleet::escape;
pub use fleet::{Nodes, Pages};
pub(crate) use fleet::{config_path, probe_path};
pub use progress::Progress;
pub use reply::{ByteBudget, Reply};
pub use right::Right;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foreign::{EVERYWHERE, Origin};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, Response};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use probelet_runtime::chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The beginning of a request's header in which a token for an agent travels.
const FOR_AGENT: &str = "x-probelet-authorization";

/// What is in paths of what the API server only passes on.
const THROUGH: &str = "/proxy/";

/// The shortest wait before the same is asked again.
const AT_LEAST: Duration = Duration::from_secs(1);

/// The way to one cluster.
#[derive(Clone)]
pub struct Ask {
    client: Client,
    server: String,
    /// The namespace that the kubeconfig's context names.
    pub namespace: String,
    compress: bool,
    patience: Duration,
    /// What is under way, for those who wait.
    pub progress: Progress,
    clock: Rc<Cell<Option<Timestamp>>>,
}

/// What goes with a request.
#[derive(Default)]
pub struct With<'a> {
    /// The body and its type.
    pub body: Option<(&'static str, Value)>,
    /// A token for the agent behind the API server's proxy.
    pub token: Option<&'a str>,
    /// Only if it is not this any more.
    pub etag: Option<&'a str>,
    /// What kinds of answer are understood.
    pub accept: Option<&'static str>,
    /// What this answer may take, with others.
    pub budget: Option<ByteBudget>,
}

impl Ask {
    /// The way to the cluster that the kubeconfig names; nothing is sent yet.
    pub async fn new(
        access: &Access,
        patience: Duration,
        progress: Progress,
    ) -> Result<Self, Error> {
        let Connected { client, server, namespace, compress } = connect::connect(access).await?;
        Ok(Self { client, server, namespace, compress, patience, progress, clock: Rc::default() })
    }

    /// The way through a client that is there already.
    #[must_use]
    pub fn through(client: Client, patience: Duration) -> Self {
        let (server, namespace) = ("the API server".to_owned(), "default".to_owned());
        let (progress, clock) = (Progress::silent(), Rc::default());
        Self { client, server, namespace, compress: true, patience, progress, clock }
    }

    /// The API server's address.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Now, by the API server's clock as its last answer had it: the own one may be wrong.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.get().unwrap_or_else(Timestamp::now)
    }

    /// The object at `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(Method::GET, path, With::default()).await?.decode(path)
    }

    /// The object at `path`, if it is there.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        match self.get(path).await {
            Ok(object) => Ok(Some(object)),
            Err(Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The text at `path`.
    pub async fn text(&self, path: &str) -> Result<String, Error> {
        let text = self.send(Method::GET, path, With::default()).await?.text(path)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Changes the object at `path`.
    pub async fn patch(&self, path: &str, kind: Patch, change: Value) -> Result<Value, Error> {
        let with = With { body: Some((kind.content_type(), change)), ..With::default() };
        self.send(Method::PATCH, path, with).await?.decode(path)
    }

    /// Makes an object in the list at `path`.
    pub async fn create(&self, path: &str, object: Value) -> Result<Value, Error> {
        let with = With { body: Some(("application/json", object)), ..With::default() };
        self.send(Method::POST, path, with).await?.decode(path)
    }

    /// Deletes the object at `path`; whether it was there.
    pub async fn delete(&self, path: &str) -> Result<bool, Error> {
        match self.send(Method::DELETE, path, With::default()).await {
            Ok(_) => Ok(true),
            Err(Error::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sends one request and reads the whole answer.
    pub async fn send(&self, method: Method, path: &str, with: With<'_>) -> Result<Reply, Error> {
        let unreachable = |why: String| Error::Unreachable { server: self.server.clone(), why };
        let began = Instant::now();
        let sent = tokio::time::timeout(self.patience, async {
            loop {
                let request = request(&method, path, &with, self.compress)?;
                let answer = self.client.send(request).await.map_err(|e| unreachable(chain(&e)))?;
                match busy(&answer) {
                    // What an agent says so is for who asks it to judge.
                    Some(wait)
                        if !path.contains(THROUGH) && began.elapsed() + wait < self.patience =>
                    {
                        self.progress.say("the API server is busy and asks to wait");
                        tokio::time::sleep(wait).await;
                    }
                    _ => return self.read(&method, path, answer, with.budget.clone()).await,
                }
            }
        });
        sent.await.map_err(|_| self.late(path))?
    }

    /// No answer in time. What is behind the API server may be at fault, which has answered by then.
    fn late(&self, path: &str) -> Error {
        let patience = self.patience;
        if path.contains(THROUGH) {
            return Error::Late { path: path.to_owned(), patience };
        }
        Error::Unreachable {
            server: self.server.clone(),
            why: format!("no answer in {patience:?}"),
        }
    }

    async fn read(
        &self,
        method: &Method,
        path: &str,
        answer: Response<Body>,
        budget: Option<ByteBudget>,
    ) -> Result<Reply, Error> {
        let (head, body) = answer.into_parts();
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let etag = header(ETAG).map(str::to_owned);
        let date = header(DATE).and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        self.clock.set(date.map(|date| date.timestamp()).or(self.clock.get()));
        let zipped = header(CONTENT_ENCODING) == Some("gzip");
        let cut = |error: &kube::Error| Error::Unreachable {
            server: self.server.clone(),
            why: chain(error),
        };
        let raw = reply::whole(body, path, budget.as_ref(), cut).await?;
        let mut reply = Reply::new(raw, zipped, budget);
        let code = head.status.as_u16();
        let well = head.status.is_success() || code == 304;
        let refusal = if well { Vec::new() } else { reply.beginning() };
        if self.is_foreign(foreign::origin(path, code, &head.headers, &refusal)).await {
            let answer = foreign::words(code, &head.headers);
            let (server, path) = (self.server.clone(), path.to_owned());
            return Err(Error::Foreign { server, path, code, answer });
        }
        if well {
            (reply.etag, reply.unchanged) = (etag, code == 304);
            return Ok(reply);
        }
        Err(Error::refused(method, path, code, &refusal))
    }

    /// Whether no Kubernetes API server answers.
    async fn is_foreign(&self, origin: Origin) -> bool {
        match origin {
            Origin::Kubernetes => false,
            Origin::Foreign => true,
            // It is rare, and every other request would carry its space.
            Origin::Doubtful => Box::pin(self.has_no_version()).await,
        }
    }

    /// Whether what every Kubernetes API server knows is not there either.
    async fn has_no_version(&self) -> bool {
        let Ok(request) = request(&Method::GET, EVERYWHERE, &With::default(), false) else {
            return false;
        };
        let Ok(answer) = self.client.send(request).await else { return false };
        let (head, body) = answer.into_parts();
        let silent =
            |_: &kube::Error| Error::Request { path: EVERYWHERE.to_owned(), why: String::new() };
        let Ok(body) = reply::whole(body, EVERYWHERE, None, silent).await else { return false };
        let code = head.status.as_u16();
        foreign::origin(EVERYWHERE, code, &head.headers, &body) == Origin::Foreign
    }
}

fn request(
    method: &Method,
    path: &str,
    with: &With<'_>,
    compress: bool,
) -> Result<Request<Body>, Error> {
    let mut request = Request::builder()
        .method(method.clone())
        .uri(path)
        .header(ACCEPT, with.accept.unwrap_or("application/json, */*"))
        .header(ACCEPT_ENCODING, if compress { "gzip" } else { "identity" })
        .header(USER_AGENT, concat!("kubectl-probelet/", env!("CARGO_PKG_VERSION")));
    for (name, value) in [(FOR_AGENT, with.token), ("if-none-match", with.etag)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let body = match &with.body {
        Some((kind, value)) => {
            request = request.header(CONTENT_TYPE, *kind);
            Body::from(value.to_string().into_bytes())
        }
        None => Body::empty(),
    };
    request
        .body(body)
        .map_err(|error| Error::Request { path: path.to_owned(), why: error.to_string() })
}

/// How long an answer asks to wait before the same is asked again, as kubectl does: it was not looked at yet.
fn busy(answer: &Response<Body>) -> Option<Duration> {
    let status = answer.status().as_u16();
    let after = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    matches!(status, 429 | 503).then(|| Duration::from_secs(after).max(AT_LEAST))
}

/// How a patch is written.
#[derive(Debug, Clone, Copy)]
pub enum Patch {
    /// What is to be different; null deletes.
    Merge,
    /// Steps.
    Json,
}

impl Patch {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<T>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
    remaining_item_count: Option<u64>,
}
