//! The way to the API server: who we are and whom we trust, as the kubeconfig says.
//!
//! In: a kubeconfig and a context. Out: a client. Requests whose agent token reads `own` get the caller's own bearer
//! token in its place, whatever way the kubeconfig has to come by one (token, file, command). Whether a proxy lies on the
//! way is decided as client-go decides it, not by kube, which knows no exceptions.
//!
//! I/O: files of the kubeconfig, whatever command it names for credentials.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Request;
use hyper::header::AUTHORIZATION;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::{Body, ConfigExt as _};
use probelet_runtime::access::{self as runtime, Loaded};
use probelet_runtime::{chain, route::Route};
use tower::ServiceBuilder;

use super::{Error, FOR_AGENT};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// In place of a token: the caller's own.
pub(super) const OWN: &str = "own";

/// Where the cluster is described.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The kubeconfig; without it the one of `KUBECONFIG`, of the home directory, or the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context.
    pub context: Option<String>,
}

/// A client, the server's address and the context's namespace.
pub(super) async fn connect(access: &Access) -> Result<(Client, String, String), Error> {
    let (config, proxy) = config(access).await?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let setup = |error: kube::Error| Error::Kubeconfig { why: chain(&error) };
    let tcp = runtime::tcp(Some(CONNECT_TIMEOUT));
    let route = Route::new(tcp, proxy.as_deref(), &config)
        .map_err(|error| Error::Proxy { why: chain(&error) })?;
    let tls = config.rustls_https_connector_with_connector(route).map_err(setup)?;
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(setup)?)
        .layer(config.extra_headers_layer().map_err(setup)?)
        .map_request(lend)
        .map_err(tower::BoxError::from)
        .service(client);
    Ok((Client::new(service, namespace.clone()), server, namespace))
}

/// Puts the caller's own token where an agent looks for one.
fn lend(mut request: Request<Body>) -> Request<Body> {
    let headers = request.headers_mut();
    if headers.get(FOR_AGENT).is_some_and(|value| value == OWN) {
        headers.remove(FOR_AGENT);
        if let Some(own) = headers.get(AUTHORIZATION).cloned() {
            headers.insert(FOR_AGENT, own);
        }
    }
    request
}

/// Who we are and where, and the proxy that the kubeconfig names.
async fn config(access: &Access) -> Result<Loaded, Error> {
    let Access { kubeconfig, context } = access;
    let loaded = runtime::kubeconfig(kubeconfig.as_deref(), context.as_deref()).await;
    let refused = |error: kube::config::KubeconfigError| Error::Kubeconfig { why: chain(&error) };
    match loaded {
        // In a pod there is a service account instead.
        Err(error) if context.is_none() && kubeconfig.is_none() => {
            runtime::pod().map_err(|_| refused(error))
        }
        loaded => loaded.map_err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(token: &str, own: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri("/").header(FOR_AGENT, token);
        if let Some(own) = own {
            request = request.header(AUTHORIZATION, own);
        }
        let request = lend(request.body(Body::empty()).unwrap());
        request.headers().get(FOR_AGENT).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_own_token_is_lent_only_where_it_is_asked_for() {
        assert_eq!(lent(OWN, Some("Bearer mine")).as_deref(), Some("Bearer mine"));
        assert_eq!(lent("Bearer viewer", Some("Bearer mine")).as_deref(), Some("Bearer viewer"));
        assert_eq!(lent(OWN, None), None);
    }
}
