//! Changes on their way to the nodes: one that succeeds, one that is refused, one whose operator dies, one of a selector.
//!
//! In: the stage. Out: figures and checks. I/O: through the stage.

use std::{collections::BTreeSet, time::Duration};

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Play, float};
use crate::fleet::{
    connection::JSON,
    nodes,
    stage::{CONFIGS, content},
    story::Node,
};

/// Of a hundred nodes so many get a change first, by default.
const CANARIES: usize = 5;
/// Of a hundred agents so many refuse the bad configuration.
const REFUSING: u64 = 50;
/// Writes of the operator that are on their way at a time, and so may be cut off when it dies.
const IN_FLIGHT: usize = 16;
/// A change that was stopped must not go on within this.
const STAYS: Duration = Duration::from_secs(8);
const SECOND: Duration = Duration::from_secs(1);

fn interval(seconds: u32) -> Value {
    json!({"spec": {"intervals": {"sockets": format!("{seconds}s")}}})
}

impl Play<'_> {
    /// `kubectl edit probeconfig default`.
    pub(super) async fn whole_edit(&mut self) -> anyhow::Result<()> {
        let (count, patience) = (self.count(), self.stage.patience());
        let reading = self.stage.begin().await?;
        let began = self.stage.now();
        let hash = self.stage.edit("default", &interval(2)).await?;
        self.stage.until("the edit", patience, count, |node| node.applies(hash)).await?;
        let span = self.stage.end(&reading).await?;

        let chapter = self.stage.story.chapter();
        let seconds = chapter.last_applied(hash).unwrap_or_default() - began;
        let writes = span.requests.writes("nodeprobes", "");
        let (most, specs) = chapter.specs();
        self.table.figure("edit.seconds", seconds, format!("{count} nodes"));
        self.table.figure("edit.writes", float(most), format!("{writes} in all for {count} nodes"));
        self.table.figure("edit.minute", float(chapter.fastest(60.0)), "default rollout");
        self.table.figure("edit.ten", float(chapter.fastest(10.0)), "");
        self.operator_cpu("edit.cpu", &span);
        if let Some(cpu) = span.cpu("kube-apiserver") {
            let etcd = span.cpu("etcd").unwrap_or_default();
            self.table.figure("edit.api", cpu, format!("etcd {etcd:.1} %"));
        }
        self.latencies(&span);
        // Canaries come on top of the rest: what takes the others 60 s a 3,000 they do not change.
        let paper = seconds + (crate::fleet::figures::PAPER - float(count)) / 50.0;
        self.table.figure("paper.edit", paper, "50 a second more, as the default rollout allows");
        self.check(
            specs == count && most == 1 && writes == u64::try_from(count)?,
            &format!(
                "an edit is one write per node ({writes} writes, {specs} specs, {count} nodes)"
            ),
        )
    }

    /// A configuration that half of the agents refuse.
    pub(super) async fn canary(&mut self) -> anyhow::Result<()> {
        let (count, patience) = (self.count(), self.stage.patience());
        let good = self.stage.story.nodes()[0].hash;
        let bad = content(&patched(&self.default_config().await?, &interval(7)))?;
        self.stage.orders.send_modify(|orders| orders.refused = Some((bad, REFUSING)));
        let reading = self.stage.begin().await?;
        let began = self.stage.now();
        self.stage.edit("default", &interval(7)).await?;
        self.stage.until("a canary", patience, 1, |node| node.hash == bad).await?;
        self.stage.until("the roll-back", patience, count, |node| node.applies(good)).await?;
        let seconds = self.stage.now() - began;
        sleep(STAYS).await;
        let span = self.stage.end(&reading).await?;

        let assigned = self.stage.story.chapter().were_assigned(bad).len();
        let back = self.stage.story.count(|node| node.applies(good));
        let degraded = condition(&self.default_config().await?, "Degraded");
        let percent = 100.0 * float(assigned) / float(count);
        let writes = span.requests.writes("nodeprobes", "");
        self.table.figure(
            "canary.nodes",
            percent,
            format!("{assigned} of {count} nodes; {writes} writes"),
        );
        self.table.figure("canary.seconds", seconds, degraded.clone());
        self.check(
            assigned > 0 && assigned <= (count * CANARIES).div_ceil(100),
            &format!(
                "a refused configuration reached the canaries only ({assigned} of {count} nodes)"
            ),
        )?;
        self.check(back == count, &format!("all nodes work by the old one again ({back})"))?;
        self.check(
            degraded.starts_with("True"),
            &format!("`default` says that it is degraded: {degraded}"),
        )?;
        self.stage.orders.send_modify(|orders| orders.refused = None);
        // The person takes it back: what the nodes have already.
        let again = self.stage.edit("default", &interval(2)).await?;
        self.check(again == good, "the edit that takes it back asks for what the nodes have")
    }

    /// The operator dies in the middle of an edit.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        let (count, patience) = (self.count(), self.stage.patience());
        let reading = self.stage.begin().await?;
        let began = self.stage.now();
        let hash = self.stage.edit("default", &interval(3)).await?;
        self.stage
            .until("a part of the edit", patience, count * 2 / 5, |node| node.hash == hash)
            .await?;
        self.stage.kill_operator();
        let part = self.stage.story.count(|node| node.hash == hash);
        sleep(SECOND).await;
        self.stage.start_operator()?;
        self.stage
            .until("the rest of the edit", patience, count, |node| node.applies(hash))
            .await?;
        let seconds = self.stage.now() - began;
        let span = self.stage.end(&reading).await?;

        let chapter = self.stage.story.chapter();
        let (most, specs) = chapter.specs();
        let writes = span.requests.writes("nodeprobes", "");
        let extra = usize::try_from(writes)?.saturating_sub(count);
        let refused = span.requests.refused("nodeprobes", "");
        self.remember(&span);
        self.table.figure(
            "restart.seconds",
            seconds,
            format!("killed after {part} of {count} nodes"),
        );
        self.table.figure(
            "restart.writes",
            float(extra),
            format!("{writes} writes, {refused} of them without effect, {specs} specs"),
        );
        self.check(
            most == 1 && specs == count && extra <= IN_FLIGHT,
            &format!("a restarted operator goes on where it was ({part} before, {writes} writes for {count} nodes)"),
        )
    }

    /// A second configuration for one pool, then for another.
    pub(super) async fn selector(&mut self) -> anyhow::Result<()> {
        let patience = self.stage.patience();
        let of = |pool: &str| (0..self.count()).filter(|&node| nodes::pool(node) == pool).count();
        let (in_b, in_c) = (of("b"), of("c"));
        let config = json!({"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig",
            "metadata": {"name": "pool"},
            "spec": {"priority": 10, "nodeSelector": {"matchLabels": {"pool": "b"}},
                "intervals": {"sockets": "4s"}, "rollout": {"canaryPercent": 0}}});
        let hash = content(&self.stage.admin.create(CONFIGS, &config).await?)?;
        self.stage
            .until("the pool's own configuration", patience, in_b, |node| node.applies(hash))
            .await?;

        let default = content(&self.default_config().await?)?;
        let reading = self.stage.begin().await?;
        let began = self.stage.now();
        let patch = json!({"spec": {"nodeSelector": {"matchLabels": {"pool": "c"}}}});
        self.stage.edit("pool", &patch).await?;
        let settled = move |nodes: &[Node]| members(nodes, hash) == pool_of(nodes.len(), "c");
        while !(settled(&self.stage.story.nodes())
            && self.stage.story.count(|node| node.applies(hash) || node.applies(default))
                == self.count())
        {
            anyhow::ensure!(
                self.stage.now() - began < patience.as_secs_f64(),
                "the pools did not change"
            );
            sleep(SECOND / 10).await;
        }
        let seconds = self.stage.now() - began;
        let span = self.stage.end(&reading).await?;

        let needed = u64::try_from(in_b + in_c)?;
        let writes = span.requests.writes("nodeprobes", "");
        self.table.figure("selector.seconds", seconds, format!("{needed} nodes changed"));
        let extra = usize::try_from(writes.saturating_sub(needed))?;
        self.table.figure("selector.writes", float(extra), format!("{writes} writes"));
        self.check(
            writes == needed,
            &format!(
                "a nodeSelector's edit writes the nodes it concerns ({writes} writes for {needed})"
            ),
        )?;
        let url = format!("{CONFIGS}/pool");
        self.stage.admin.ask(Method::DELETE, &url, JSON, Vec::new()).await?;
        let count = self.count();
        self.stage
            .until("the pool's way back", patience, count, |node| node.applies(default))
            .await?;
        self.check(true, "nodes whose configuration was deleted work by `default` again")
    }

    async fn default_config(&mut self) -> anyhow::Result<Value> {
        self.stage.object(&format!("{CONFIGS}/default"), SECOND).await
    }
}

/// What the server would make of a merge patch of one level of objects and plain values.
fn patched(object: &Value, patch: &Value) -> Value {
    let mut object = object.clone();
    merge(&mut object, patch);
    object
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, patch) => into.clone_from(patch),
    }
}

/// A condition as `True Reason: message`.
fn condition(object: &Value, kind: &str) -> String {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|one| one["type"] == kind));
    let word = |key: &str| found.and_then(|one| one[key].as_str()).unwrap_or_default().to_owned();
    if found.is_none() {
        return format!("no condition {kind}");
    }
    format!("{} {}: {}", word("status"), word("reason"), word("message"))
}

fn members(nodes: &[Node], hash: u64) -> BTreeSet<usize> {
    (0..nodes.len()).filter(|&node| nodes[node].hash == hash).collect()
}

fn pool_of(nodes: usize, pool: &str) -> BTreeSet<usize> {
    (0..nodes).filter(|&node| nodes::pool(node) == pool).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_with_its_reason() {
        let object = json!({"status": {"conditions": [
            {"type": "Degraded", "status": "True", "reason": "RolloutStopped", "message": "3 refused"}]}});

        assert_eq!(condition(&object, "Degraded"), "True RolloutStopped: 3 refused");
        assert_eq!(condition(&object, "Ready"), "no condition Ready");
    }

    #[test]
    fn a_merge_keeps_what_the_patch_does_not_name() {
        let object = json!({"spec": {"intervals": {"sockets": "1s", "bytes": "10s"}}});

        assert_eq!(
            patched(&object, &interval(7))["spec"]["intervals"],
            json!({"sockets": "7s", "bytes": "10s"})
        );
    }
}
