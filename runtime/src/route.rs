//! One TCP connection to the API server: straight, or through a proxy.
//!
//! In: an address. Out: a stream on which nothing has been said yet. What is said to a proxy and what its answer means is
//! in [`probelet_core::proxy`]. A proxy over TLS is verified as the API server is, as client-go does it. I/O: the network,
//! the environment's proxy variables.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use kube::Config;
use kube::client::ConfigExt as _;
use probelet_core::proxy::{Environment, Handshake, Proxy, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

/// From the connection to the proxy until it has opened its tunnel.
const OPENING: Duration = Duration::from_secs(10);

/// What is connected: TLS only on the way to a proxy that wants it.
pub type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The way to one server.
#[derive(Clone, Debug)]
pub struct Route {
    tcp: HttpConnector,
    proxy: Option<Proxy>,
    /// Of a proxy over TLS.
    tls: Option<HttpsConnector<HttpConnector>>,
}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proxy that is named cannot be used.
    #[error(transparent)]
    Proxy(#[from] probelet_core::proxy::Error),
    /// A proxy over TLS, and the authorities by which it would be verified cannot be used.
    #[error("cannot verify the proxy {proxy}")]
    Authorities {
        /// It, without its password.
        proxy: String,
        /// Why.
        #[source]
        why: Box<kube::Error>,
    },
}

impl Route {
    /// The way to the server of `config`, by whose authorities a proxy is verified too; `named` is the proxy that the
    /// kubeconfig names.
    ///
    /// # Errors
    /// The proxy that is named cannot be used.
    pub fn new(tcp: HttpConnector, named: Option<&str>, config: &Config) -> Result<Self, Error> {
        let proxy = proxy(named, &config.cluster_url)?;
        let tls = proxy.as_ref().filter(|proxy| proxy.is_tls()).map(|proxy| {
            let why = |why| Error::Authorities { proxy: proxy.to_string(), why: Box::new(why) };
            let tls = config.rustls_client_config().map_err(why)?;
            Ok::<_, Error>(HttpsConnector::from((tcp.clone(), tls)))
        });
        Ok(Self { tcp, proxy, tls: tls.transpose()? })
    }

    /// Straight, whatever the environment names: within the cluster.
    #[must_use]
    pub const fn direct(tcp: HttpConnector) -> Self {
        Self { tcp, proxy: None, tls: None }
    }

    /// Whether a proxy on it is spoken to over TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether no proxy lies on it.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.proxy.is_none()
    }
}

/// The TCP port that is connected to on the way to `server`; none if the proxy's cannot be determined.
#[must_use]
pub fn ports(named: Option<&str>, server: &Uri) -> Vec<u16> {
    match proxy(named, server) {
        Ok(None) => vec![place(server).2],
        Ok(Some(proxy)) => proxy.url().parse::<Uri>().iter().map(|url| place(url).2).collect(),
        Err(_) => Vec::new(),
    }
}

/// The TCP connection below a stream.
#[must_use]
pub fn tcp(stream: &Stream) -> &TcpStream {
    match stream {
        MaybeHttpsStream::Http(tcp) => tcp.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    }
}

fn proxy(named: Option<&str>, server: &Uri) -> Result<Option<Proxy>, probelet_core::proxy::Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "these are the machine's, for all of its programs; they are no configuration of ours"
    )]
    let environment = Environment::read(|name| std::env::var(name).ok());
    let (tls, host, port) = place(server);
    environment.proxy(named, Server { tls, host, port })
}

fn place(uri: &Uri) -> (bool, &str, u16) {
    let tls = uri.scheme_str() != Some("http");
    (tls, uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(if tls { 443 } else { 80 }))
}

impl Service<Uri> for Route {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = &self.proxy else {
            let connecting = self.tcp.call(target);
            return Box::pin(async move { Ok(connecting.await?.into()) });
        };
        let (_, host, port) = place(&target);
        let handshake = proxy.handshake(host, port);
        let (url, name) = (proxy.url(), proxy.to_string());
        let (mut tcp, tls) = (self.tcp.clone(), self.tls.clone());
        Box::pin(async move {
            let failed = |error: BoxError| format!("the proxy {name} cannot be reached: {error}");
            let silent = |_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the proxy {name} does not respond"),
                )
            };
            let url = url.parse()?;
            let stream = match tls {
                // One that takes the connection and is silent then has no timeout of its own.
                Some(mut tls) => {
                    tokio::time::timeout(OPENING, tls.call(url)).await.map_err(silent)?
                }
                None => tcp.call(url).await.map(Stream::from).map_err(BoxError::from),
            };
            let stream = TokioIo::new(stream.map_err(failed)?);
            let opening = tokio::time::timeout(OPENING, open(stream, handshake));
            Ok(opening.await.map_err(silent)??.into_inner())
        })
    }
}

async fn open(
    mut stream: TokioIo<Stream>,
    mut handshake: Handshake,
) -> Result<TokioIo<Stream>, BoxError> {
    let mut bytes = [0_u8; 1024];
    loop {
        stream.write_all(&handshake.send()).await?;
        stream.flush().await?;
        let read = stream.read(&mut bytes).await?;
        if handshake.take(&bytes[..read])? {
            return Ok(stream);
        }
    }
}
