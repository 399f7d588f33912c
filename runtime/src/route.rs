//! One TCP connection to the API server: straight, or through a proxy.
//!
//! In: an address. Out: a stream on which nothing has been said yet. What is said to a proxy and what its answer means is
//! in [`probelet_core::proxy`]. I/O: the network, the environment's proxy variables.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use probelet_core::proxy::{Environment, Error, Handshake, Proxy, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::{BoxError, Service};

/// From the connection to the proxy until it has opened its tunnel.
const OPENING: Duration = Duration::from_secs(10);

/// The way to one server.
#[derive(Clone, Debug)]
pub struct Route {
    tcp: HttpConnector,
    proxy: Option<Proxy>,
}

impl Route {
    /// The way to `server`; `named` is the proxy that the kubeconfig names.
    ///
    /// # Errors
    /// The proxy that is named cannot be used.
    pub fn new(tcp: HttpConnector, named: Option<&str>, server: &Uri) -> Result<Self, Error> {
        #[expect(
            clippy::disallowed_methods,
            reason = "these are the machine's, for all of its programs; they are no configuration of ours"
        )]
        let environment = Environment::read(|name| std::env::var(name).ok());
        let (tls, host, port) = place(server);
        let proxy = environment.proxy(named, Server { tls, host, port })?;
        Ok(Self { tcp, proxy })
    }

    /// Straight, whatever the environment names: within the cluster.
    #[must_use]
    pub const fn direct(tcp: HttpConnector) -> Self {
        Self { tcp, proxy: None }
    }

    /// Whether no proxy lies on it.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.proxy.is_none()
    }

    /// The TCP port that is connected to on the way to `server`; none if the proxy's cannot be determined.
    #[must_use]
    pub fn ports(&self, server: &Uri) -> Vec<u16> {
        let Some(proxy) = &self.proxy else { return vec![place(server).2] };
        proxy.url().parse::<Uri>().iter().map(|url| place(url).2).collect()
    }
}

fn place(uri: &Uri) -> (bool, &str, u16) {
    let tls = uri.scheme_str() != Some("http");
    (tls, uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(if tls { 443 } else { 80 }))
}

impl Service<Uri> for Route {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let Some(proxy) = &self.proxy else {
            let connecting = self.tcp.call(target);
            return Box::pin(async move { Ok(connecting.await?) });
        };
        let (_, host, port) = place(&target);
        let handshake = proxy.handshake(host, port);
        let (url, name) = (proxy.url(), proxy.to_string());
        let connecting = url.parse().map(|url| self.tcp.call(url));
        Box::pin(async move {
            let failed = |error: BoxError| format!("the proxy {name} cannot be reached: {error}");
            let stream = connecting?.await.map_err(|error| failed(error.into()))?;
            let opening = tokio::time::timeout(OPENING, open(stream.into_inner(), handshake));
            let silent = || {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("the proxy {name} does not respond"),
                )
            };
            Ok(TokioIo::new(opening.await.map_err(|_| silent())??))
        })
    }
}

async fn open(mut stream: TcpStream, mut handshake: Handshake) -> Result<TcpStream, BoxError> {
    let mut bytes = [0_u8; 1024];
    loop {
        stream.write_all(&handshake.send()).await?;
        let read = stream.read(&mut bytes).await?;
        if handshake.take(&bytes[..read])? {
            return Ok(stream);
        }
    }
}
