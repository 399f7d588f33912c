//! Time in which no one edits anything.
//!
//! In: the stage. Out: figures and checks. I/O: through the stage.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Play, float};
use crate::fleet::{
    figures,
    meter::{FLEET, OPERATOR, Span},
    stage::CONFIGS,
    story::quantile,
};

/// A status is settled when it has not changed for this long; the operator writes one at most every 5 s.
const SETTLED: Duration = Duration::from_secs(7);
const SETTLING: Duration = Duration::from_mins(2);
const SECOND: Duration = Duration::from_secs(1);
const MIB: f64 = 1_048_576.0;

impl Play<'_> {
    /// Waits until the operator has said what it has to say about a change.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        let url = format!("{CONFIGS}/default");
        let (began, mut since) = (Instant::now(), Instant::now());
        let mut last = None;
        while since.elapsed() < SETTLED && began.elapsed() < SETTLING {
            let config = self.stage.object(&url, SECOND).await?;
            let version = config["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            if version != last {
                (last, since) = (version, Instant::now());
            }
            sleep(SECOND).await;
        }
        Ok(())
    }

    /// No agent refreshes and no one edits: the operator has nothing to write.
    pub(super) async fn idle(&mut self) -> anyhow::Result<()> {
        self.stage.orders.send_modify(|orders| orders.quiet = true);
        self.settle().await?;
        let reading = self.stage.begin().await?;
        sleep(SECOND * u32::try_from(self.stage.setup.idle)?).await;
        let span = self.stage.end(&reading).await?;
        self.stage.orders.send_modify(|orders| orders.quiet = false);

        let writes = span.requests.of_operator();
        self.table.figure(
            "idle.writes",
            float(usize::try_from(writes)?),
            format!("in {:.0} s, its lease aside; {}", span.seconds, span.words()),
        );
        self.check(
            writes == 0,
            &format!("an operator with nothing to do writes nothing ({writes} writes)"),
        )
    }

    /// Agents refresh, as hours after the last edit.
    pub(super) async fn steady(&mut self) -> anyhow::Result<()> {
        self.stage.orders.send_modify(|orders| orders.deal += 1);
        let reading = self.stage.begin().await?;
        sleep(SECOND * u32::try_from(self.stage.setup.steady)?).await;
        let span = self.stage.end(&reading).await?;

        let (agents, operator, leases) =
            (span.requests.of_agents(), span.requests.of_operator(), span.requests.of_leases());
        let rate = |count| span.per_second(count);
        let all = rate(agents + operator + leases);
        let room = (10.0 - all).max(0.0) * 3600.0 / float(self.count());
        self.table.figure(
            "steady.writes",
            all,
            format!(
                "over {:.0} s: agents {:.2}, operator {:.2}, leases {:.2}; leaves room for {room:.1} meaningful changes \
                 per node and hour",
                span.seconds, rate(agents), rate(operator), rate(leases)
            ),
        );
        self.table.figure("steady.operator", rate(operator), "");
        self.operator_cpu("steady.cpu", &span);
        self.table.figure("steady.rss", span.rss(OPERATOR).unwrap_or_default(), "");
        self.table.figure(
            "steady.api",
            span.rss("kube-apiserver").unwrap_or_default(),
            format!("{} nodes, a watch each and its informers", self.count()),
        );
        let file = mib(span.requests.storage_bytes);
        self.table.figure(
            "steady.etcd",
            file,
            format!("RSS {:.0} MiB", span.rss("etcd").unwrap_or_default()),
        );
        self.paper(&span, rate(agents), all);
        // A refresh is due once in ten minutes: a look that is too short to expect some says nothing.
        let expected = span.seconds * float(self.count()) / 600.0;
        if expected < 20.0 {
            return Ok(());
        }
        let agents = float(usize::try_from(agents)?);
        self.check(
            agents > expected * 0.7 && agents < expected * 1.3,
            &format!(
                "agents refresh once in ten minutes each ({agents} writes, {expected:.0} expected)"
            ),
        )
    }

    /// What the steady state says of larger fleets.
    fn paper(&mut self, span: &Span, agents: f64, all: f64) {
        let count = float(self.count());
        let rss =
            figures::on_paper(self.kept.rest_rss, span.rss(OPERATOR).unwrap_or_default(), count);
        let cpu =
            figures::on_paper(self.kept.rest_cpu, span.cpu(OPERATOR).unwrap_or_default(), count);
        let writes = figures::on_paper(all - agents, all, count);
        self.table.figure(
            "paper.rss",
            rss,
            "in proportion to the nodes, from what it needs without any",
        );
        self.table.figure("paper.cpu", cpu, "likewise");
        self.table.figure("paper.writes", writes, "agents in proportion, the operator as here");
    }

    /// The latencies of a chapter in the table.
    pub(super) fn latencies(&mut self, span: &Span) {
        let chapter = self.stage.story.chapter();
        let latencies = chapter.latencies();
        let ms = |share| quantile(&latencies, share).unwrap_or_default() * 1000.0;
        let (p50, p99, most) = (ms(0.5), ms(0.99), ms(1.0));
        let fleet = span.cpu(FLEET).unwrap_or_default();
        let detail = format!(
            "{} PATCHes, {} refused; the simulator used {fleet:.0} %",
            latencies.len(),
            chapter.refused()
        );
        self.table.figure("edit.p50", p50, detail);
        self.table.figure("edit.p99", p99, format!("the longest {most:.0} ms"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of bytes of a file")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB
}
