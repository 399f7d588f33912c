//! The way to the API server: who we are and where, and whether a proxy lies on it.
//!
//! In: a kubeconfig, or that of the environment, or the pod's service account. Out: a client. Whether a proxy is used is
//! decided as client-go decides it, not by kube, which knows no exceptions. I/O: files; nothing is sent yet.

use std::path::Path;

use anyhow::Context as _;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use crate::route::Route;

/// Who we are and where, and the proxy that the kubeconfig names.
pub(crate) async fn config(file: Option<&Path>) -> anyhow::Result<(Config, Option<String>)> {
    let options = KubeConfigOptions::default();
    let read = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let loaded = match read {
        Ok(kubeconfig) => {
            let proxy = named_proxy(&kubeconfig);
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.map(|config| (config, proxy))
        }
        Err(error) => Err(error),
    };
    match (loaded, file) {
        (Ok(loaded), _) => Ok(loaded),
        (Err(error), Some(file)) => {
            Err(error).with_context(|| format!("cannot use the kubeconfig {}", file.display()))
        }
        (Err(_), None) => {
            let config = Config::incluster().context("neither in a pod nor with a kubeconfig")?;
            Ok((config, None))
        }
    }
}

/// A client that goes straight, or through the proxy that the kubeconfig or the environment names.
pub(crate) fn client(mut config: Config, proxy: Option<&str>) -> anyhow::Result<Client> {
    // kube takes the environment's proxy for the kubeconfig's, and refuses it.
    config.proxy_url = None;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let route = Route::new(tcp, proxy, &config.cluster_url)?;
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

/// The proxy of the current cluster.
fn named_proxy(file: &Kubeconfig) -> Option<String> {
    let name = file.current_context.as_deref()?;
    let context = file.contexts.iter().find(|one| one.name == name)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|one| one.name == context.cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}
