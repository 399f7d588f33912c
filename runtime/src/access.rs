//! Who we are to the API server and where it is.
//!
//! In: a kubeconfig and a context, or nothing. Out: kube's configuration, and the proxy that the kubeconfig names. Whether a
//! proxy is used is decided as client-go decides it (`route`), not by kube, which takes the environment's proxy for the
//! kubeconfig's and knows no exceptions.
//!
//! I/O: files of the kubeconfig and of the service account, whatever command it names for credentials.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use kube::Config;
use kube::config::{
    AuthInfo, Context, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedContext,
};

use crate::kubeconfig;
use crate::tls::without_unreadable;

/// Stands where kube looks for a proxy; whether there is one is not for kube to say.
const NOT_KUBES: &str = "http://kubeconfig.invalid";

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
    let context = context.map(str::to_owned);
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let (mut config, proxy) = chosen(file, options).await?;
    without_end_of_line(&mut config.auth_info);
    Ok((config, proxy))
}

/// The token of a file that ends with its line, as editors write it: kube would send the end of the line as well.
fn without_end_of_line(auth: &mut AuthInfo) {
    let Some(text) = auth.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok())
    else {
        return;
    };
    let token = text.trim_ascii();
    if !token.is_empty() && token != text {
        auth.token = Some(token.to_owned().into());
        auth.token_file = None;
    }
}

/// The same with a cluster or a user of one's own choice.
///
/// # Errors
/// As for [`kubeconfig`].
pub async fn chosen(
    file: Option<&Path>,
    options: KubeConfigOptions,
) -> Result<Loaded, KubeconfigError> {
    let list = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let file = match (file, list) {
        (Some(file), _) => kubeconfig::read(file)?,
        (None, Some(list)) => listed(&list)?.map_or_else(|| first(&list), Ok)?,
        (None, None) => usual()?,
    };
    configured(file, &options).await
}

async fn configured(
    mut file: Kubeconfig,
    options: &KubeConfigOptions,
) -> Result<Loaded, KubeconfigError> {
    if let Some(cluster) = &options.cluster
        && options.context.is_none()
        && file.current_context.is_none()
    {
        // Cluster and user are named: no context has to tell them.
        let (cluster, user) = (cluster.clone(), options.user.clone());
        let context = Some(Context { cluster, user, ..Context::default() });
        file.contexts.push(NamedContext { context, ..NamedContext::default() });
        file.current_context = Some(String::new());
    }
    let proxy = named_proxy(&file, options);
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // Or kube would read the environment's, which may be none that it can parse.
        cluster.proxy_url = Some(NOT_KUBES.to_owned());
    }
    let mut config = Config::from_custom_kubeconfig(file, options).await?;
    config.proxy_url = None;
    if let Some(passed) = config.auth_info.exec.as_mut().and_then(|exec| exec.cluster.as_mut()) {
        passed.proxy_url.clone_from(&proxy);
    }
    if config.accept_invalid_certs {
        without_authorities(&mut config);
    }
    without_unreadable(&mut config);
    Ok((config, proxy))
}

/// No server is verified by the authorities of this machine, which may have none at all: kube refuses that.
pub fn without_authorities(config: &mut Config) {
    config.root_cert.get_or_insert_default();
}

/// That of the home directory.
fn usual() -> Result<Kubeconfig, KubeconfigError> {
    let home = std::env::home_dir().ok_or(KubeconfigError::FindPath)?;
    kubeconfig::read(&home.join(".kube").join("config"))
}

/// Those files of the list that are there, as kubectl reads it: people name files that only some of their machines have. None
/// where all are missing.
fn listed(list: &OsStr) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths(list) {
        let missing = std::fs::metadata(&path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if !missing {
            let next = kubeconfig::read(&path)?;
            merged = Some(merged.unwrap_or_default().merge(next)?);
        }
    }
    Ok(merged)
}

/// Of a list whose files are all missing, why the first one cannot be read; a list of nothing is none.
fn first(list: &OsStr) -> Result<Kubeconfig, KubeconfigError> {
    paths(list).next().map_or_else(usual, |path| kubeconfig::read(&path))
}

fn paths(list: &OsStr) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty())
}

/// From the service account of this pod.
///
/// # Errors
/// This is no pod, or one without a service account.
pub fn pod() -> Result<Loaded, InClusterError> {
    let mut config = Config::incluster()?;
    without_unreadable(&mut config);
    Ok((config, None))
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

/// The proxy of the cluster.
fn named_proxy(file: &Kubeconfig, options: &KubeConfigOptions) -> Option<String> {
    let name = options.cluster.as_ref().or_else(|| {
        let name = options.context.as_ref().or(file.current_context.as_ref())?;
        let context = file.contexts.iter().find(|one| one.name == *name)?.context.as_ref()?;
        Some(&context.cluster)
    })?;
    let cluster = file.clusters.iter().find(|one| one.name == *name)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::{CUT_PEM, PEM};

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("access-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn list(paths: &[&Path]) -> Result<Option<Kubeconfig>, KubeconfigError> {
        listed(&std::env::join_paths(paths).unwrap())
    }

    #[test]
    fn files_of_the_list_that_are_missing_are_passed_over() {
        let folder = folder("missing");
        let [a, b, gone] = ["a", "b", "gone"].map(|name| folder.join(name));
        std::fs::write(
            &a,
            "apiVersion: v1\nkind: Config\nclusters: null\ncurrent-context: one two\n",
        )
        .unwrap();
        let context = "apiVersion: v1\r\nkind: Config\r\ncontexts:\r\n- {name: one two, context: {cluster: c, user: u}}\r\n";
        std::fs::write(&b, context).unwrap();

        let merged = list(&[&gone, &a, Path::new(""), &b]).unwrap().unwrap();

        assert_eq!(merged.current_context.as_deref(), Some("one two"));
        assert_eq!(merged.contexts.len(), 1);
        assert!(list(&[&gone]).unwrap().is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_context_that_is_empty_is_left_to_the_next_file() {
        let folder = folder("context");
        let [a, b] = ["a", "b"].map(|name| folder.join(name));
        std::fs::write(&a, "current-context: \"\"\nkind: Config\npreferences: {}\n").unwrap();
        std::fs::write(&b, "current-context: two\n").unwrap();

        let merged = list(&[&a, &b]).unwrap().unwrap();

        assert_eq!(merged.current_context.as_deref(), Some("two"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    fn file(text: &str) -> Kubeconfig {
        Kubeconfig::from_yaml(text).unwrap()
    }

    const ONE: &str = "clusters: [{name: c, cluster: {server: 'https://a', insecure-skip-tls-verify: true, proxy-url: 'socks5://p:1'}}]\n\
        users: [{name: u, user: {exec: {command: x, provideClusterInfo: true}}}]\n";

    #[tokio::test]
    async fn a_cluster_and_a_user_need_no_context() {
        let (cluster, user) = (Some("c".to_owned()), Some("u".to_owned()));
        let options = KubeConfigOptions { context: None, cluster, user };

        let (config, _) = configured(file(ONE), &options).await.unwrap();

        assert_eq!(config.cluster_url.to_string(), "https://a/");
        assert!(config.auth_info.exec.is_some());
        assert!(configured(file(ONE), &KubeConfigOptions::default()).await.is_err());
    }

    #[tokio::test]
    async fn a_command_learns_of_the_proxy_and_kube_does_not() {
        let text = format!(
            "{ONE}current-context: k\ncontexts: [{{name: k, context: {{cluster: c, user: u}}}}]"
        );

        let (config, proxy) = configured(file(&text), &KubeConfigOptions::default()).await.unwrap();

        let passed = config.auth_info.exec.unwrap().cluster.unwrap();
        assert_eq!((proxy.as_deref(), config.proxy_url), (Some("socks5://p:1"), None));
        assert_eq!(passed.proxy_url, proxy);
    }

    #[tokio::test]
    async fn a_kubeconfigs_authority_that_cannot_be_read_is_left_out() {
        let folder = folder("authorities");
        let path = folder.join("ca.crt");
        std::fs::write(&path, format!("{PEM}{CUT_PEM}")).unwrap();
        let cluster = format!("server: 'https://a', certificate-authority: '{}'", path.display());
        let text = format!("clusters: [{{name: c, cluster: {{{cluster}}}}}]");
        let options = KubeConfigOptions { cluster: Some("c".into()), ..Default::default() };

        let (config, _) = configured(file(&text), &options).await.unwrap();

        assert_eq!(config.root_cert.unwrap().len(), 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_token_of_a_file_has_no_end_of_a_line() {
        let folder = folder("token");
        let path = folder.join("token");
        std::fs::write(&path, "abc\n").unwrap();
        let token_file = Some(path.to_str().unwrap().to_owned());
        let mut auth = AuthInfo { token_file, ..AuthInfo::default() };

        without_end_of_line(&mut auth);

        assert!(auth.token.is_some() && auth.token_file.is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn files_of_the_list_that_cannot_be_read_are_said() {
        let folder = folder("odd");
        let odd = folder.join("odd");
        std::fs::write(&odd, "clusters: 7").unwrap();

        assert!(list(&[&odd]).is_err());
        assert!(list(&[&folder]).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
