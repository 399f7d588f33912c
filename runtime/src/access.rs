//! Who we are to the API server and where it is.
//!
//! In: a kubeconfig and a context, or nothing. Out: kube's configuration, and the proxy that the kubeconfig names. Whether a
//! proxy is used is decided as client-go decides it (`route`), not by kube, which takes the environment's proxy for the
//! kubeconfig's and knows no exceptions.
//!
//! I/O: files of the kubeconfig and of the service account, whatever command it names for credentials.

use std::ffi::OsStr;
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
    let context = context.map(str::to_owned);
    chosen(file, KubeConfigOptions { context, ..KubeConfigOptions::default() }).await
}

/// The same with a cluster or a user of one's own choice.
///
/// # Errors
/// As for [`kubeconfig`].
pub async fn chosen(
    file: Option<&Path>,
    options: KubeConfigOptions,
) -> Result<Loaded, KubeconfigError> {
    let list = std::env::var_os("KUBECONFIG");
    let file = match (file, list) {
        (Some(file), _) => Kubeconfig::read_from(file)?,
        (None, Some(list)) => listed(&list)?.map_or_else(Kubeconfig::read, Ok)?,
        (None, None) => Kubeconfig::read()?,
    };
    let proxy = named_proxy(&file, &options);
    Ok((Config::from_custom_kubeconfig(file, &options).await?, proxy))
}

/// Those files of the list that are there, as kubectl reads it: people name files that only some of their machines have. None
/// where all are missing: kube names the first one then.
fn listed(list: &OsStr) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()) {
        let missing = std::fs::metadata(&path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if !missing {
            let next = Kubeconfig::read_from(&path)?;
            merged = Some(merged.unwrap_or_default().merge(next)?);
        }
    }
    Ok(merged)
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
    fn files_of_the_list_that_cannot_be_read_are_said() {
        let folder = folder("odd");
        let odd = folder.join("odd");
        std::fs::write(&odd, "clusters: 7").unwrap();

        assert!(list(&[&odd]).is_err());
        assert!(list(&[&folder]).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
