//! How a fleet comes and goes: an operator without nodes, the first fill, and the end.
//!
//! In: the stage. Out: figures and checks. I/O: through the stage.

use std::time::Duration;

use tokio::time::sleep;

use super::{Play, float};
use crate::fleet::{
    meter::{OPERATOR, Reading},
    nodes,
    stage::CONFIGS,
};

const START: Duration = Duration::from_secs(30);
/// What an operator, or thousands of watches, are given to come to rest.
const REST: Duration = Duration::from_secs(3);

impl Play<'_> {
    /// The operator alone, as it idles in a cluster that has no node yet.
    pub(super) async fn rest(&mut self) -> anyhow::Result<()> {
        self.stage.start_operator()?;
        self.stage.object(&format!("{CONFIGS}/default"), START).await?;
        sleep(REST).await;
        let reading = Reading::take(&self.stage.admin, &self.stage.processes()).await?;
        sleep(Duration::from_secs(self.stage.setup.idle)).await;
        let span = self.stage.end(&reading).await?;
        self.operator_cpu("rest.cpu", &span);
        self.kept.rest_cpu = span.cpu(OPERATOR).unwrap_or_default();
        self.kept.rest_rss = span.rss(OPERATOR).unwrap_or_default();
        self.table.figure("rest.rss", self.kept.rest_rss, "");
        self.stage.kill_operator();
        self.check(true, "an operator without configurations makes `default`")
    }

    /// Nodes and agents are there, and an operator comes.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        let before = self.stage.now();
        nodes::create(&self.stage.admin, self.count()).await?;
        let made = self.stage.now() - before;
        self.stage.enter_agents().await?;
        sleep(REST).await;
        self.say(&format!("{} nodes made in {made:.1} s; their agents watch", self.count()))?;

        let reading = self.stage.begin().await?;
        let began = self.stage.now();
        self.stage.start_operator()?;
        let (patience, count) = (self.stage.patience() * 2, self.count());
        let all = |node: &crate::fleet::story::Node| {
            node.generation > 0 && node.judged == node.generation && node.applied == node.hash
        };
        self.stage.until("the first fill", patience, count, all).await?;
        let seconds = self.stage.now() - began;
        let span = self.stage.end(&reading).await?;

        let chapter = self.stage.story.chapter();
        let writes = span.requests.writes("nodeprobes", "");
        self.table.figure(
            "fill.seconds",
            seconds,
            format!(
                "at most {} a minute; agents spread their first write over a minute",
                chapter.fastest(60.0)
            ),
        );
        let per_node = float(usize::try_from(writes)?) / float(count);
        self.table.figure("fill.writes", per_node, format!("{writes} in all"));
        self.operator_cpu("fill.cpu", &span);
        self.check(true, "every node acknowledged its first configuration")?;
        let (most, _) = chapter.specs();
        self.check(
            most <= 2 && per_node < 2.01,
            &format!("the first fill wrote each NodeProbe at most twice ({writes} writes for {count} nodes)"),
        )
    }

    /// All nodes go.
    pub(super) async fn last(&mut self) -> anyhow::Result<()> {
        let reading = self.stage.begin().await?;
        let (began, count, patience) = (self.stage.now(), self.count(), self.stage.patience() * 2);
        nodes::delete(&self.stage.admin, count).await?;
        let deleted = self.stage.now() - began;
        self.stage.until("NodeProbes gone", patience, count, |node| node.generation == 0).await?;
        let seconds = self.stage.now() - began;
        let span = self.stage.end(&reading).await?;
        self.remember(&span);
        self.table.figure(
            "end.seconds",
            seconds,
            format!("of these {deleted:.0} s to delete the nodes; {}", span.words()),
        );
        self.table.figure("steady.peak", self.kept.peak_rss, "");
        self.check(true, "no NodeProbe outlives its node")
    }
}
