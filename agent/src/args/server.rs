//! Which API server is asked, if any.
//!
//! In: what was typed, whether this is a pod. Out: the way to it. It must not reach for it.
//!
//! Pure: no I/O.

use crate::kube::Access;
use clap::ValueEnum;
use std::path::PathBuf;

/// Who wants a `NodeProbe` wants a server.
pub(super) const NO_SERVER: &str = "--node-probe needs an API server: run the agent in a pod, or give --kubeconfig FILE or --kubernetes on\n";

/// When to ask an API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kubernetes {
    Auto,
    Off,
    On,
}

/// What was given wins over what the pod has, and that over what a person's home has.
pub(super) fn access(
    asked: Kubernetes,
    kubeconfig: Option<PathBuf>,
    in_cluster: bool,
) -> Option<Access> {
    match (asked, kubeconfig) {
        (Kubernetes::Off, _) => None,
        (_, Some(file)) => Some(Access::Kubeconfig(Some(file))),
        (_, None) if in_cluster => Some(Access::InCluster),
        (Kubernetes::On, None) => Some(Access::Kubeconfig(None)),
        (Kubernetes::Auto, None) => None,
    }
}
