//! The way to the API server, and the one to the operator's feed: who we are, whom we trust, one connection for everything.
//!
//! In: a service account or a kubeconfig, or where the feed is. Out: answers whose bodies are read as they come. It must not repeat a
//! request by itself: who asks knows what a failure means and how long to wait.
//!
//! One HTTP/2 connection carries all watches of a node (four with HTTP/1.1, at a server that speaks nothing else): the
//! server holds a connection for every agent as it is. Windows are small, so that what no one reads stays with the
//! server. A ping each half minute finds a connection that died without a word, which a quiet watch would not notice
//! for ten minutes. Compression is not asked for: it costs both ends more CPU than a node's share of bytes is worth.
//!
//! I/O: the network; files of the service account or kubeconfig; whatever command a kubeconfig names for credentials.

use super::calm::Calm;
use super::destination::{Destination, Unknown};
use super::failure::Failure;
use super::status::Class;
use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, http};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use probelet_runtime::{
    access,
    route::{Route, Stream},
};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tower::ServiceBuilder;

/// The form that costs least to read.
const JSON: &str = "application/json";
/// A dead connection is found after one of these and [`PING_TIMEOUT`].
const PING: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What may be on its way and not yet read: of one watch, and of all.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 512 << 10;
/// The same for a server without HTTP/2.
const READ_BUFFER: usize = 64 << 10;
/// An idle connection is closed after so long; watches are never idle.
const IDLE: Duration = Duration::from_secs(30);
/// Of an error's body so much is read.
const MAX_ERROR: usize = 64 << 10;

/// Where the API server is and who we are to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The service account of this pod.
    InCluster,
    /// This kubeconfig; without a path the one of `KUBECONFIG` or of the home directory.
    Kubeconfig(Option<PathBuf>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no usable service account")]
    InCluster(#[source] Box<kube::config::InClusterError>),
    #[error("no usable kubeconfig")]
    Kubeconfig(#[source] Box<kube::config::KubeconfigError>),
    #[error("no usable way")]
    Proxy(#[source] probelet_runtime::route::Error),
    #[error("invalid TLS server name")]
    ServerName,
    #[error("cannot set up the connection")]
    Setup(#[source] Box<kube::Error>),
    #[error("the way to the operator's feed is not known")]
    Feed(#[source] Unknown),
    #[error("the server cannot be reached")]
    Send(#[source] Box<kube::Error>),
    #[error("the server did not answer for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("stream closed unexpectedly")]
    Broken(#[source] Box<kube::Error>),
    #[error("list ended early")]
    Incomplete,
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the server answered {}: {}", .failure.code, .failure.message)]
    Refused { failure: Failure, retry_after: Option<Duration> },
}

impl Error {
    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Refused { failure, .. } => Class::of(failure),
            Self::Silent(_) | Self::Broken(_) | Self::Incomplete | Self::TooLong(_) => {
                Class::Broken
            }
            _ => Class::Connect,
        }
    }

    /// The server knows no such version yet: its store was restored from a backup.
    pub(crate) fn is_from_the_future(&self) -> bool {
        matches!(self, Self::Refused { failure, .. } if failure.is_from_the_future())
    }

    /// When the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The error with its causes.
    pub(crate) fn chain(&self) -> String {
        probelet_runtime::chain(self)
    }
}

/// The way to the API server, for everything that asks it something: made when it is first needed, and made again when it fails.
pub struct Connection {
    to: To,
    /// Credentials are read again at most so often.
    renew: Duration,
    gather: Duration,
    current: Mutex<Option<Current>>,
    /// Anyone who comes first opens the connection and the others wait to share it. When the server is away, only one
    /// watcher at a time tries.
    opening: tokio::sync::Mutex<()>,
}

struct Current {
    client: Client,
    made: Instant,
    /// It was answered.
    open: bool,
}

/// Which server.
enum To {
    Api(Access),
    Feed(Box<dyn Destination>),
}

impl Connection {
    /// The way to that server; nothing is sent yet.
    #[must_use]
    pub fn new(access: Access, renew: Duration, gather: Duration) -> Self {
        Self::with(To::Api(access), renew, gather)
    }

    /// The way to the operator's feed.
    pub(super) fn feed(way: Box<dyn Destination>, renew: Duration, gather: Duration) -> Self {
        Self::with(To::Feed(way), renew, gather)
    }

    fn with(to: To, renew: Duration, gather: Duration) -> Self {
        Self { to, renew, gather, current: Mutex::new(None), opening: tokio::sync::Mutex::new(()) }
    }

    /// Whom it leads to, for the log.
    pub(crate) const fn server(&self) -> &'static str {
        match self.to {
            To::Api(_) => "API server",
            To::Feed(_) => "operator",
        }
    }

    /// Asks for `url`, to be answered in JSON; the body of the answer is still to be read.
    pub(crate) async fn get(&self, url: &str, patience: Duration) -> Result<Response<Body>, Error> {
        let request = Request::get(url).header(ACCEPT, JSON);
        self.ask(request, Body::empty(), patience).await
    }

    /// Sends `body` to `url`, to be answered in JSON; the body of the answer is still to be read.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Vec<u8>,
        content_type: &'static str,
        patience: Duration,
    ) -> Result<Response<Body>, Error> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, content_type);
        self.ask(request, Body::from(body), patience).await
    }

    async fn ask(
        &self,
        request: http::request::Builder,
        body: Body,
        patience: Duration,
    ) -> Result<Response<Body>, Error> {
        let _first = if self.is_open() { None } else { Some(self.opening.lock().await) };
        let client = self.client().await?;
        let request = request
            .header(ACCEPT_ENCODING, "identity")
            .header(USER_AGENT, concat!("probelet-agent/", env!("CARGO_PKG_VERSION")))
            .body(body)
            .map_err(|error| Error::Setup(Box::new(kube::Error::HttpError(error))))?;
        let answer = timeout(patience, client.send(request)).await;
        if matches!(answer, Ok(Ok(_))) {
            self.opened();
        }
        let failed = match answer {
            Ok(Ok(answer)) if answer.status().is_success() => return Ok(answer),
            Ok(Ok(answer)) => refusal(answer, patience).await,
            Ok(Err(error)) => Error::Send(Box::new(error)),
            Err(_) => Error::Silent(patience),
        };
        self.doubt(&failed);
        Err(failed)
    }

    /// Credentials and certificates change on disk: who is turned away reads them again. Watches that go on keep the
    /// old connection as long as they last.
    fn doubt(&self, error: &Error) {
        let doubtful = match error {
            Error::Refused { failure, .. } => failure.code == 401,
            _ => true,
        };
        let mut current = self.current();
        if doubtful && current.as_ref().is_some_and(|current| current.made.elapsed() >= self.renew)
        {
            *current = None;
        }
    }

    fn is_open(&self) -> bool {
        self.current().as_ref().is_some_and(|current| current.open)
    }

    fn opened(&self) {
        if let Some(current) = self.current().as_mut() {
            current.open = true;
        }
    }

    async fn client(&self) -> Result<Client, Error> {
        if let Some(current) = self.current().as_ref() {
            return Ok(current.client.clone());
        }
        let tcp = tcp();
        let (config, route) = match &self.to {
            To::Api(access) => {
                let (config, proxy) = config(access).await?;
                let route = Route::new(tcp, proxy.as_deref(), &config);
                (config, route.map_err(Error::Proxy)?)
            }
            To::Feed(way) => (way.look().await.map_err(Error::Feed)?, Route::direct(tcp)),
        };
        let client = connect(config, route, self.gather)?;
        let made = Instant::now();
        *self.current() = Some(Current { client: client.clone(), made, open: false });
        Ok(client)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A whole body of at most `most` bytes.
pub(crate) async fn whole(
    mut body: Body,
    most: usize,
    patience: Duration,
) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    while let Some(chunk) = chunk(&mut body, patience).await? {
        if text.len() + chunk.len() > most {
            return Err(Error::TooLong(most));
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// The next piece of a body; `None` is its end.
pub(crate) async fn chunk(
    body: &mut Body,
    patience: Duration,
) -> Result<Option<bytes::Bytes>, Error> {
    loop {
        let frame = timeout(patience, body.frame()).await.map_err(|_| Error::Silent(patience))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(Error::Broken(Box::new(error))),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// Who we are and where, and the proxy that the kubeconfig names.
async fn config(access: &Access) -> Result<access::Loaded, Error> {
    match access {
        Access::InCluster => access::pod().map_err(|error| Error::InCluster(Box::new(error))),
        Access::Kubeconfig(file) => access::kubeconfig(file.as_deref(), None)
            .await
            .map_err(|error| Error::Kubeconfig(Box::new(error))),
    }
}

/// What opens TCP connections.
fn tcp() -> HttpConnector {
    let mut tcp = access::tcp(Some(CONNECT_TIMEOUT));
    // Only HTTP/2 has pings; the kernel's do for the rest.
    tcp.set_keepalive(Some(PING));
    tcp.set_keepalive_interval(Some(PING_TIMEOUT / 3));
    tcp.set_keepalive_retries(Some(3));
    tcp
}

/// kube's layers for the address and the credentials, on a connector of our own: kube's knows HTTP/1.1 only.
fn connect(config: Config, route: Route, gather: Duration) -> Result<Client, Error> {
    let setup = |error| Error::Setup(Box::new(error));
    let tcp = ServiceBuilder::new()
        .map_response(move |stream: Stream| TokioIo::new(Calm::new(TokioIo::new(stream), gather)))
        .service(route);
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config().map_err(setup)?)
        .https_or_http();
    let tls = match config.tls_server_name.clone() {
        Some(name) => {
            let name = name.try_into().map_err(|_| Error::ServerName)?;
            tls.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => tls,
    };
    let connector = tls.enable_all_versions().wrap_connector(tcp);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(1)
        .http1_max_buf_size(READ_BUFFER)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(setup)?)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace))
}

/// Reads why the server refuses. A proxy's page is no `Status`; its code is.
async fn refusal(answer: Response<Body>, patience: Duration) -> Error {
    let code = answer.status().as_u16();
    let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.trim().parse().ok());
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = chunk(&mut body, patience).await {
        if text.len() + chunk.len() > MAX_ERROR {
            break;
        }
        text.extend_from_slice(&chunk);
    }
    let mut failure: Failure = serde_json::from_slice(&text).unwrap_or_default();
    failure.code = code;
    let retry_after = seconds.map(Duration::from_secs).or_else(|| failure.retry_after());
    Error::Refused { failure, retry_after }
}
