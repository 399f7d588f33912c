//! The way to the API server: who we are and where, and whether a proxy lies on it.
//!
//! In: a kubeconfig, or that of the environment, or the pod's service account. Out: a client. Whether a proxy is used is
//! decided as client-go decides it, not by kube, which knows no exceptions. I/O: files; nothing is sent yet.

use std::path::Path;

use anyhow::Context as _;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::{Client, Config};
use probelet_runtime::{access, route::Route};
use tower::{BoxError, ServiceBuilder};

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
pub(crate) fn client(mut config: Config, proxy: Option<&str>) -> anyhow::Result<Client> {
    // kube takes the environment's proxy for the kubeconfig's, and refuses it.
    config.proxy_url = None;
    let route = Route::new(access::tcp(config.connect_timeout), proxy, &config)?;
    if route.is_direct() {
        return Client::try_from(config).context("cannot build a client");
    }
    let namespace = config.default_namespace.clone();
    let tls = config.rustls_https_connector_with_connector(route)?;
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, namespace))
}
