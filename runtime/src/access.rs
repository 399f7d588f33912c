//! Who we are to the API server and where it is.
//!
//! In: a kubeconfig and a context, or nothing. Out: kube's configuration, and the proxy that the kubeconfig names. Whether a
//! proxy is used is decided as client-go decides it (`route`), not by kube, which takes the environment's proxy for the
//! kubeconfig's and knows no exceptions.
//!
//! I/O: files of the kubeconfig and of the service account, whatever command it names for credentials.

use std::path::Path;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use kube::Config;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Where the server is and who we are, and the proxy that the kubeconfig names.
pub type Loaded = (Config, Option<String>);

/// From a kubeconfig: this file, or without one that of `KUBECONFIG` or of the home directory.
///
/// # Errors
/// There is none, or it cannot be used.
pub async fn kubeconfig(
    file: Option<&Path>,
    context: Option<&str>,
) -> Result<Loaded, KubeconfigError> {
    let file = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
    let proxy = named_proxy(&file, context);
    let context = context.map(str::to_owned);
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Ok((Config::from_custom_kubeconfig(file, &options).await?, proxy))
}

/// From the service account of this pod.
///
/// # Errors
/// This is no pod, or one without a service account.
pub fn pod() -> Result<Loaded, InClusterError> {
    Ok((Config::incluster()?, None))
}

/// What opens TCP connections, for a [`crate::route::Route`].
#[must_use]
pub fn tcp(patience: Option<Duration>) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(patience);
    tcp
}

/// The proxy of the context's cluster.
fn named_proxy(file: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let name = context.or(file.current_context.as_deref())?;
    let context = file.contexts.iter().find(|one| one.name == name)?.context.as_ref()?;
    let cluster = file.clusters.iter().find(|one| one.name == context.cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}
