//! The way to the API server: who we are and where, and whether a proxy lies on it.
//!
//! In: a kubeconfig, or that of the environment, or the pod's service account. Out: a client. Whether a proxy is used is
//! decided as client-go decides it, not by kube, which knows no exceptions. I/O: files; nothing is sent yet.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use probelet_runtime::{access, route::Route};
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

/// The longest that an answer may take to begin. The API server itself gives a request up after a minute, and begins the answer to a
/// watch at once; who has answered nothing by then is gone, and a list that waits for it would keep the operator from
/// working for as long as the kernel takes to notice, or for ever behind a balancer that keeps the connection.
const ANSWER: Duration = Duration::from_secs(75);
/// The longest silence within an answer: the server ends a watch after 290 seconds.
const SILENCE: Duration = Duration::from_secs(310);

/// Who we are and where, and the proxy that the kubeconfig names.
pub(crate) async fn config(file: Option<&Path>) -> anyhow::Result<access::Loaded> {
    match (access::kubeconfig(file, None).await, file) {
        (Ok(loaded), _) => Ok(loaded),
        (Err(error), Some(file)) => {
            Err(error).with_context(|| format!("cannot use the kubeconfig {}", file.display()))
        }
        (Err(_), None) => access::pod().context("neither in a pod nor with a kubeconfig"),
    }
}

/// A client that goes straight, or through the proxy that the kubeconfig or the environment names.
pub(crate) fn client(config: Config, proxy: Option<&str>) -> anyhow::Result<Client> {
    within(ANSWER, config, proxy)
}

/// The same with a time within which answers begin.
fn within(limit: Duration, mut config: Config, proxy: Option<&str>) -> anyhow::Result<Client> {
    // kube takes the environment's proxy for the kubeconfig's, and refuses it.
    config.proxy_url = None;
    config.read_timeout = Some(SILENCE);
    let route = Route::new(access::tcp(config.connect_timeout), proxy, &config)?;
    if route.is_direct() {
        let builder = ClientBuilder::try_from(config).context("cannot build a client")?;
        return Ok(builder.with_layer(&TimeoutLayer::new(limit)).build());
    }
    let namespace = config.default_namespace.clone();
    let tls = config.rustls_https_connector_with_connector(route)?;
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(limit))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, namespace))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use k8s_openapi::api::core::v1::Node;
    use kube::Api;
    use kube::api::{ListParams, WatchParams};
    use probelet_fake_api::socket;

    use super::*;

    #[tokio::test]
    async fn a_server_that_takes_a_question_and_says_nothing_is_given_up() {
        // As a proxy it opens the tunnel, and is as silent behind it.
        let silent = socket::listen(|mut stream| {
            while let Some((lines, _)) = socket::request(&mut stream) {
                if lines[0].starts_with("CONNECT") {
                    stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                }
            }
        });
        let url = format!("http://{silent}");

        for proxy in [None, Some(url.as_str())] {
            let config = Config::new(url.parse().unwrap());
            let client = within(Duration::from_millis(50), config, proxy).unwrap();
            let nodes = Api::<Node>::all(client);
            let asked = async {
                let listed = nodes.list(&ListParams::default()).await.is_err();
                (listed, nodes.watch(&WatchParams::default(), "0").await.is_err())
            };

            let given_up = tokio::time::timeout(Duration::from_secs(10), asked).await;

            assert_eq!(given_up.unwrap(), (true, true), "{proxy:?}");
        }
    }
}
