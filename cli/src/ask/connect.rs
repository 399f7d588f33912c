//! The way to the API server: who we are and whom we trust, as the kubeconfig says.
//!
//! In: a kubeconfig and a context. Out: a client. Requests whose agent token reads `own` get the caller's own bearer
//! token in its place, whatever way the kubeconfig has to come by one (token, file, command). Whether a proxy lies on the
//! way is decided as client-go decides it, not by kube, which knows no exceptions.
//!
//! I/O: files of the kubeconfig, whatever command it names for credentials.

use std::path::PathBuf;
use std::time::Duration;

use hyper::header::AUTHORIZATION;
use hyper::{Request, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};
use probelet_runtime::access::{self as runtime, Loaded};
use probelet_runtime::{chain, route::Route};
use tower::ServiceBuilder;

use super::{Error, FOR_AGENT};
use crate::args::Connection;

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
    /// What stands above the kubeconfig.
    pub connection: Connection,
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
    let impersonates = config.auth_info.impersonate.is_some();
    let tls = config.rustls_https_connector_with_connector(route).map_err(setup)?;
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(setup)?)
        .layer(config.extra_headers_layer().map_err(setup)?)
        .map_request(move |request| lend(request, impersonates))
        .map_err(tower::BoxError::from)
        .service(client);
    Ok((Client::new(service, namespace.clone()), server, namespace))
}

/// Puts the caller's own token where an agent looks for one. Who acts as another has none of that other's, and would see with
/// the own rights.
fn lend(mut request: Request<Body>, impersonates: bool) -> Request<Body> {
    let headers = request.headers_mut();
    if headers.get(FOR_AGENT).is_some_and(|value| value == OWN) {
        headers.remove(FOR_AGENT);
        if let Some(own) = headers.get(AUTHORIZATION).filter(|_| !impersonates).cloned() {
            headers.insert(FOR_AGENT, own);
        }
    }
    request
}

/// Who we are and where, and the proxy that the kubeconfig names.
async fn config(access: &Access) -> Result<Loaded, Error> {
    let Access { kubeconfig, context, connection } = access;
    let options = KubeConfigOptions {
        context: context.clone(),
        cluster: connection.cluster.clone(),
        user: connection.user.clone(),
    };
    let named = context.is_some() || kubeconfig.is_some();
    let named = named || options.cluster.is_some() || options.user.is_some();
    let loaded = runtime::chosen(kubeconfig.as_deref(), options).await;
    let refused = |error: kube::config::KubeconfigError| Error::Kubeconfig { why: chain(&error) };
    let server = connection.server.as_deref().map(address).transpose()?;
    let loaded = match (loaded, &server) {
        (Err(_), Some(server)) if !named => Ok((Config::new(server.clone()), None)),
        // In a pod there is a service account instead.
        (Err(error), None) if !named => runtime::pod().map_err(|_| refused(error)),
        (loaded, _) => loaded.map_err(refused),
    };
    let (mut config, proxy) = loaded?;
    if let Some(server) = server {
        config.cluster_url = server;
    }
    Ok((above(config, connection), proxy))
}

/// The API server's address; without a scheme it speaks TLS.
fn address(text: &str) -> Result<Uri, Error> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let parsed =
        whole.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    parsed.ok_or_else(|| Error::Usage {
        what: format!("`{text}` is not the address of an API server"),
        next: "an address is such as https://10.0.0.1:6443".to_owned(),
    })
}

/// What the command line says stands above what the kubeconfig says.
fn above(mut config: Config, connection: &Connection) -> Config {
    let Connection { token, act_as, as_group, as_uid, .. } = connection.clone();
    if let Some(token) = token {
        // As kubectl: no command is run for a token, and none is read from a file.
        let AuthInfo { impersonate, impersonate_uid, impersonate_groups, .. } = config.auth_info;
        let token = Some(token.into());
        config.auth_info = AuthInfo {
            token,
            impersonate,
            impersonate_uid,
            impersonate_groups,
            ..AuthInfo::default()
        };
    }
    if act_as.is_some() {
        config.auth_info.impersonate = act_as;
        config.auth_info.impersonate_groups = Some(as_group).filter(|groups| !groups.is_empty());
        config.auth_info.impersonate_uid = as_uid;
    }
    if let Some(authority) = &connection.certificate_authority {
        config.root_cert_file = Some(authority.clone());
    }
    if let Some(name) = &connection.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(token: &str, own: Option<&str>) -> Option<String> {
        lent_by(token, own, false)
    }

    fn lent_by(token: &str, own: Option<&str>, impersonates: bool) -> Option<String> {
        let mut request = Request::builder().uri("/").header(FOR_AGENT, token);
        if let Some(own) = own {
            request = request.header(AUTHORIZATION, own);
        }
        let request = lend(request.body(Body::empty()).unwrap(), impersonates);
        request.headers().get(FOR_AGENT).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_own_token_is_lent_only_where_it_is_asked_for() {
        assert_eq!(lent(OWN, Some("Bearer mine")).as_deref(), Some("Bearer mine"));
        assert_eq!(lent("Bearer viewer", Some("Bearer mine")).as_deref(), Some("Bearer viewer"));
        assert_eq!(lent(OWN, None), None);
    }

    #[test]
    fn an_address_without_a_scheme_speaks_tls() {
        let whole = |text| address(text).map(|uri| uri.to_string()).ok();

        assert_eq!(whole("api.example:6443").as_deref(), Some("https://api.example:6443/"));
        assert_eq!(whole("http://[::1]:8080").as_deref(), Some("http://[::1]:8080/"));
        assert_eq!(
            whole("https://rancher.example/k8s/clusters/c-1").as_deref(),
            Some("https://rancher.example/k8s/clusters/c-1")
        );
        assert_eq!((whole("a b"), whole("https://")), (None, None));
    }

    #[test]
    fn who_acts_as_another_lends_no_token() {
        assert_eq!(lent_by(OWN, Some("Bearer mine"), true), None);
        assert_eq!(
            lent_by("Bearer made", Some("Bearer mine"), true).as_deref(),
            Some("Bearer made")
        );
    }
}
