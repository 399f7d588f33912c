//! What a connection to the API server takes of the machine: ports, files, commands.
//!
//! In: a kubeconfig, or the pod that this is. Out: the TCP ports that are connected to, the files that are read, whether a command is
//! run for credentials. It must not connect, nor read a file but the kubeconfig.
//!
//! I/O: the kubeconfig, the environment's proxy variables and those of a pod.

use crate::route::ports;
use hyper::Uri;
use kube::Config;
use kube::config::Kubeconfig;
use std::path::{Path, PathBuf};

/// Where Kubernetes mounts a pod's account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Ports of the API server and of the proxy to it; empty when they are not known.
    pub ports: Vec<u16>,
    /// Files that are read, and read again when they change.
    pub files: Vec<PathBuf>,
    /// A command is run for credentials.
    pub commands: bool,
}

/// In a pod, by its account.
#[must_use]
pub fn pod() -> Reach {
    let ports = Config::incluster().map(|config| ports(None, &config.cluster_url));
    let files = ["token", "ca.crt", "namespace"].map(|name| Path::new(ACCOUNT).join(name)).into();
    Reach { ports: ports.unwrap_or_default(), files, commands: false }
}

/// By a kubeconfig: this file, or without one that of `KUBECONFIG` or of the home directory.
#[must_use]
pub fn kubeconfig(file: Option<&Path>) -> Reach {
    let Ok(read) = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from) else {
        return Reach { files: file.map(Path::to_owned).into_iter().collect(), ..Reach::default() };
    };
    let mut reach = of(&read);
    match file {
        Some(file) => reach.files.push(file.to_owned()),
        None => reach.files.extend(usual()),
    }
    reach
}

/// Where a kubeconfig is if none is named.
fn usual() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("KUBECONFIG") {
        return std::env::split_paths(&named).collect();
    }
    std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect()
}

fn of(config: &Kubeconfig) -> Reach {
    let mut reach = Reach::default();
    let context =
        config.contexts.iter().find(|one| Some(&one.name) == config.current_context.as_ref());
    let Some(context) = context.and_then(|one| one.context.as_ref()) else { return reach };
    let clusters = config.clusters.iter().filter(|one| one.name == context.cluster);
    for cluster in clusters.filter_map(|named| named.cluster.as_ref()) {
        let server: Option<Uri> = cluster.server.as_deref().and_then(|server| server.parse().ok());
        reach
            .ports
            .extend(server.iter().flat_map(|server| ports(cluster.proxy_url.as_deref(), server)));
        reach.files.extend(cluster.certificate_authority.iter().map(PathBuf::from));
    }
    let users = config.auth_infos.iter().filter(|one| Some(&one.name) == context.user.as_ref());
    for user in users.filter_map(|named| named.auth_info.as_ref()) {
        let files = [&user.client_certificate, &user.client_key, &user.token_file];
        reach.files.extend(files.into_iter().flatten().map(PathBuf::from));
        reach.commands |= user.exec.is_some() || user.auth_provider.is_some();
    }
    reach.ports.sort_unstable();
    reach.ports.dedup();
    reach
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        of(&Kubeconfig::from_yaml(text).unwrap())
    }

    #[test]
    fn ports_and_files_are_those_of_the_current_context() {
        let reach = reach(
            "current-context: c\n\
             contexts: [{name: c, context: {cluster: a, user: u}}]\n\
             clusters: [{name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority: /pki/ca.crt}},\n  \
               {name: b, cluster: {server: 'https://127.0.0.1'}}]\n\
             users: [{name: u, user: {client-certificate: /pki/u.crt, client-key: /pki/u.key, tokenFile: /pki/token}},\n  \
               {name: v, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}]\n",
        );

        assert_eq!(reach.ports, [6443]);
        let files = ["/pki/ca.crt", "/pki/u.crt", "/pki/u.key", "/pki/token"];
        assert_eq!(reach.files, files.map(PathBuf::from));
        assert!(!reach.commands);
    }

    #[test]
    fn a_proxy_has_a_port_of_its_own_and_a_command_is_noticed() {
        let reach = reach(
            "current-context: c\n\
             contexts: [{name: c, context: {cluster: a, user: u}}]\n\
             clusters: [{name: a, cluster: {server: 'https://10.0.0.1:6443', proxy-url: 'http://10.0.0.2:3128'}}]\n\
             users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}}}]\n",
        );

        assert_eq!(reach.ports, [3128]);
        assert!(reach.commands);
    }
}
