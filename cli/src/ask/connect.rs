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
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};
use probelet_runtime::access::{self as runtime, Loaded};
use probelet_runtime::credentials::Credentials;
use probelet_runtime::{chain, route::Route, tls};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use super::{Error, FOR_AGENT};
use crate::args::Connection;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// In place of a token: the caller's own.
pub(super) const OWN: &str = "own";

/// The way to a server.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Its address.
    pub(super) server: String,
    /// The namespace that the context names.
    pub(super) namespace: String,
    /// Whether answers may be compressed.
    pub(super) compress: bool,
}

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

/// A client, the server's address, the context's namespace, and whether answers may be compressed.
pub(super) async fn connect(access: &Access) -> Result<Connected, Error> {
    let (mut config, proxy) = config(access).await?;
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let setup = |error: kube::Error| Error::Kubeconfig { why: chain(&error) };
    let credentials = Credentials::take(&mut config)
        .map_err(|error| Error::Credentials { why: chain(&error) })?;
    // Those that clouds had before there were commands are kube's; one more look would run theirs again.
    let of_old = config.auth_layer().map_err(setup)?;
    config.auth_info.auth_provider = None;
    let tcp = runtime::tcp(Some(CONNECT_TIMEOUT));
    let route = Route::new(tcp, proxy.as_deref(), &config)
        .map_err(|error| Error::Proxy { why: chain(&error) })?;
    if config.cluster_url.scheme_str() == Some("http") && !route.is_tls() {
        runtime::without_authorities(&mut config);
    }
    let impersonates = config.auth_info.impersonate.is_some();
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client(&config).map_err(setup)?)
        .https_or_http();
    let tls = match config.tls_server_name.clone() {
        Some(name) => {
            let odd = |_| Error::Kubeconfig { why: "tls-server-name is not a name".to_owned() };
            let name = FixedServerNameResolver::new(name.try_into().map_err(odd)?);
            tls.with_server_name_resolver(name)
        }
        None => tls,
    };
    let tls = tls.enable_http1().wrap_connector(route);
    let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new()).build(tls);
    let inner = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(of_old)
        .layer(config.extra_headers_layer().map_err(setup)?)
        .map_request(move |request| lend(request, impersonates))
        .map_err(BoxError::from)
        .service(client);
    let service =
        tower::service_fn(move |request| show(credentials.clone(), inner.clone(), request));
    let client = Client::new(service, namespace.clone());
    Ok(Connected { client, server, namespace, compress: !config.disable_compression })
}

/// Sends a request with the caller's credentials.
async fn show<S>(
    credentials: Credentials,
    inner: S,
    mut request: Request<Body>,
) -> Result<Response<hyper::body::Incoming>, BoxError>
where
    S: Service<Request<Body>, Response = Response<hyper::body::Incoming>, Error = BoxError>,
{
    if let Some(header) = credentials.header().await? {
        request.headers_mut().insert(AUTHORIZATION, header);
    }
    // An agent judges another token than the API server.
    let to_server = !request.uri().path().contains("/proxy/");
    let answer = inner.oneshot(request).await?;
    if to_server && answer.status() == StatusCode::UNAUTHORIZED {
        credentials.refused().await;
    }
    Ok(answer)
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
        if let Some(sent) = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut()) {
            sent.server = Some(server.to_string());
        }
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
    let auth = &mut config.auth_info;
    if let Some(token) = token {
        // As kubectl: no command is run for a token, and none is read from a file.
        *auth = AuthInfo {
            token: Some(token.into()),
            impersonate: auth.impersonate.take(),
            impersonate_uid: auth.impersonate_uid.take(),
            impersonate_groups: auth.impersonate_groups.take(),
            impersonate_user_extra: auth.impersonate_user_extra.take(),
            ..AuthInfo::default()
        };
    }
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    if let Some(certificate) = &connection.client_certificate {
        (auth.client_certificate, auth.client_certificate_data) = (Some(text(certificate)), None);
    }
    if let Some(key) = &connection.client_key {
        (auth.client_key, auth.client_key_data) = (Some(text(key)), None);
    }
    if act_as.is_some() {
        auth.impersonate = act_as;
        auth.impersonate_groups = Some(as_group).filter(|groups| !groups.is_empty());
        auth.impersonate_uid = as_uid;
    }
    if let Some(authority) = &connection.certificate_authority {
        config.root_cert_file = Some(authority.clone());
        config.accept_invalid_certs = false;
        runtime::without_authorities(&mut config);
    }
    if let Some(name) = &connection.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    config.disable_compression |= connection.disable_compression;
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
    fn a_token_of_the_command_line_leaves_who_is_acted_as() {
        let mut config = Config::new("https://a".parse().unwrap());
        config.auth_info.exec = Some(kube::config::ExecConfig::default());
        let extra = ("reason".to_owned(), vec!["drill".to_owned()]);
        config.auth_info.impersonate_user_extra = Some(std::iter::once(extra).collect());
        let connection = Connection { token: Some("t".to_owned()), ..Connection::default() };

        let auth = above(config, &connection).auth_info;

        assert!(auth.token.is_some() && auth.exec.is_none());
        assert!(auth.impersonate_user_extra.is_some());
    }

    #[test]
    fn an_authority_of_the_command_line_is_asked_whatever_the_kubeconfig_says() {
        let config = || {
            let mut config = Config::new("https://a".parse().unwrap());
            config.accept_invalid_certs = true;
            config
        };
        let authority =
            Connection { certificate_authority: Some("/ca.crt".into()), ..Connection::default() };

        assert!(!above(config(), &authority).accept_invalid_certs);
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
