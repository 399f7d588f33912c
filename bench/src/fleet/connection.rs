//! The way to the API server: one HTTP/2 connection each, as an agent has one.
//!
//! In: a kubeconfig. Out: answers, with their bodies whole or as they come. It must not repeat a request by itself:
//! every request that the server counts is one that someone meant. I/O: the network, the kubeconfig.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ConfigExt as _},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use tower::ServiceBuilder;

/// Media types of bodies.
pub const JSON: &str = "application/json";
/// An edit as `kubectl patch --type merge` makes it.
pub const MERGE: &str = "application/merge-patch+json";
/// A server-side apply; JSON is YAML.
pub const APPLY: &str = "application/apply-patch+yaml";
/// No request may take longer: the server ends its own at 60 s.
const PATIENCE: Duration = Duration::from_secs(90);

/// Who asks, and whom.
#[derive(Debug, Clone)]
pub struct Credentials(Config);

/// A connection; clones share it.
#[derive(Clone)]
pub struct Api(Client);

/// An answer, whatever its code.
#[derive(Debug)]
pub struct Reply {
    /// 200, 429, …
    pub code: u16,
    /// When the server wants to be asked again.
    pub retry_after: Option<Duration>,
    /// All of it.
    pub body: Bytes,
}

impl Credentials {
    /// Reads a kubeconfig.
    pub async fn read(path: &Path) -> anyhow::Result<Self> {
        let file = Kubeconfig::read_from(path).with_context(|| path.display().to_string())?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self(config))
    }

    /// A connection of its own, opened by its first request.
    pub fn open(&self) -> anyhow::Result<Api> {
        let config = &self.0;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.rustls_client_config()?)
            .https_only()
            .enable_http2()
            .wrap_connector(tcp);
        let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(true)
            .build(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .map_err(tower::BoxError::from)
            .service(client);
        Ok(Api(Client::new(service, "default")))
    }
}

impl Api {
    /// Asks; the body is still to be read.
    pub async fn send(&self, url: &str, accept: &'static str) -> anyhow::Result<Response<Body>> {
        let request = Request::get(url)
            .header(ACCEPT, accept)
            .header(USER_AGENT, "probelet-fleet")
            .body(Body::empty())?;
        Ok(tokio::time::timeout(PATIENCE, self.0.send(request)).await??)
    }

    /// Asks, and reads the answer whole.
    pub async fn ask(
        &self,
        method: Method,
        url: &str,
        content: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Reply> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, content)
            .header(USER_AGENT, "probelet-fleet")
            .body(Body::from(body))?;
        let whole = async {
            let answer = self.0.send(request).await?;
            let code = answer.status().as_u16();
            let header = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|text| text.parse().ok()).map(Duration::from_secs);
            let body = answer.into_body().collect().await?.to_bytes();
            anyhow::Ok(Reply { code, retry_after, body })
        };
        tokio::time::timeout(PATIENCE, whole).await?
    }

    /// Reads an object; `None` if there is none.
    pub async fn get(&self, url: &str) -> anyhow::Result<Option<Value>> {
        let answer = self.ask(Method::GET, url, JSON, Vec::new()).await?;
        if answer.code == 404 { Ok(None) } else { answer.object(url).map(Some) }
    }

    /// Edits an object.
    pub async fn merge(&self, url: &str, patch: &Value) -> anyhow::Result<Value> {
        self.ask(Method::PATCH, url, MERGE, patch.to_string().into_bytes()).await?.object(url)
    }

    /// Makes an object.
    pub async fn create(&self, url: &str, object: &Value) -> anyhow::Result<Value> {
        self.ask(Method::POST, url, JSON, object.to_string().into_bytes()).await?.object(url)
    }

    /// Deletes an object; one that is gone already is as good.
    pub async fn delete(&self, url: &str) -> anyhow::Result<()> {
        let answer = self.ask(Method::DELETE, url, JSON, Vec::new()).await?;
        if answer.code != 404 {
            answer.object(url)?;
        }
        Ok(())
    }

    /// Reads text, such as metrics.
    pub async fn text(&self, url: &str) -> anyhow::Result<String> {
        let whole = self.send(url, "*/*").await?.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&whole).into_owned())
    }
}

impl Reply {
    fn object(self, url: &str) -> anyhow::Result<Value> {
        if !(200..300).contains(&self.code) {
            bail!("{url}: {} {}", self.code, String::from_utf8_lossy(&self.body));
        }
        serde_json::from_slice(&self.body).with_context(|| url.to_owned())
    }
}
