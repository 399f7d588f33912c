//! Node objects without machines.
//!
//! In: how many. Out: they are there, or gone. No one runs a kubelet for them, so anyone who starts the cluster leaves out
//! the controllers that would mind. It must not ask faster than the server answers. I/O: the API server.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::fleet::connection::Api;

const NODES: &str = "/api/v1/nodes";
/// Requests at a time.
const AT_ONCE: usize = 16;
/// Pools that nodes are labelled by, in turn.
pub const POOLS: [&str; 4] = ["a", "b", "c", "d"];

/// The name of a node.
#[must_use]
pub fn name(index: usize) -> String {
    format!("fleet-{index:05}")
}

/// The number of the node of this name.
#[must_use]
pub fn index(name: &str) -> Option<usize> {
    name.strip_prefix("fleet-")?.parse().ok()
}

/// The pool of a node.
#[must_use]
pub fn pool(index: usize) -> &'static str {
    POOLS[index % POOLS.len()]
}

/// Creates nodes 0 to `count`.
pub async fn create(api: &Api, count: usize) -> anyhow::Result<()> {
    each(api, count, |api, index| async move { api.create(NODES, &object(index)).await.map(drop) })
        .await
}

/// Deletes them.
pub async fn delete(api: &Api, count: usize) -> anyhow::Result<()> {
    each(
        api,
        count,
        |api, index| async move { api.delete(&format!("{NODES}/{}", name(index))).await },
    )
    .await
}

async fn each<F>(
    api: &Api,
    count: usize,
    ask: impl Fn(Api, usize) -> F + Copy + Send + 'static,
) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let turn = Arc::clone(&turns).acquire_owned().await?;
        let api = api.clone();
        tasks.spawn(async move {
            let answer = ask(api, index).await;
            drop(turn);
            answer
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// As a kubelet registers one, with what a cloud's labels weigh.
fn object(index: usize) -> Value {
    let name = name(index);
    json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {
            "pool": pool(index),
            "batch": format!("{}", index / 500),
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
            "node.kubernetes.io/instance-type": "standard-8",
            "topology.kubernetes.io/region": "region-1",
            "topology.kubernetes.io/zone": format!("region-1{}", ["a", "b", "c"][index % 3]),
        }},
        "spec": {"taints": [{"key": "probelet.io/simulated", "effect": "NoSchedule"}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_by_its_name() {
        assert_eq!(index(&name(4321)), Some(4321));
        assert_eq!(index("node1"), None);
    }
}
