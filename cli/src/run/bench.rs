//! Runs `bench`: what the source in use costs on a node, or each source in turn.
//!
//! Without `--each` it reads an agent's metrics twice and changes nothing. With it the agent is moved from source to source by a
//! `ProbeConfig` of the node's own, as `pause --node` makes one; the agent keeps its budget meanwhile, and the configuration is
//! deleted at the end, whatever happens, an interruption too. It ends when the agent is back on the source that it had.
//!
//! I/O: the API server, the node's agent behind its proxy, the clock, the signal of Ctrl-C.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use probelet_crds::{NodeConfig, Phase, Source};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::change::{Made, PRIORITY};
use super::{Run, checked};
use crate::answer::bench::{Bench, Cost, Reading};
use crate::ask::{Agents, ByteBudget, Error, Patch, config_path, probe_path};
use crate::seen::clean;
use crate::seen::config::Config;
use crate::seen::pod::Pod;

/// By which such a configuration is known.
const LABEL: &str = "probelet.io/bench-node";
/// An edit reaches an agent within seconds. One that has given back the rights which the source takes is started again for
/// it, by the kubelet, which waits up to 10, 20, 40, 80 seconds when that happens again and again.
const PATIENCE: Duration = Duration::from_mins(3);
const STEP: Duration = Duration::from_secs(1);
/// Each, and what metrics call it.
const SOURCES: [(Source, &str); 4] = [
    (Source::Bpf, "bpf"),
    (Source::BpfCompat, "bpf-compat"),
    (Source::Netlink, "netlink"),
    (Source::Procfs, "procfs"),
];

/// Where it is measured.
struct Place {
    agents: Agents,
    pod: Pod,
    node: String,
    time: Duration,
}

impl Run {
    /// The exit code says whether anything was measured.
    pub(super) async fn bench(
        &self,
        node: &str,
        each: bool,
        time: Duration,
    ) -> Result<ExitCode, Error> {
        let node = checked(node)?.to_owned();
        let agents = self.agents().await?;
        let pod = agents.pod(&node).await?.ok_or_else(|| Error::Absent {
            what: format!("there is no agent on {node}"),
            next: format!("kubectl probelet explain {node}"),
        })?;
        let place = Place { agents, pod, node, time };
        let costs = if each { self.each(&place).await? } else { vec![self.measure(&place).await?] };
        let bench = Bench::of(place.node, costs);
        self.show(&bench)?;
        Ok(if bench.is_measured() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn reading(&self, place: &Place) -> Result<Reading, Error> {
        let reply =
            place.agents.served_by(&place.node, &place.pod, "metrics", ByteBudget::new()).await?;
        let text = reply.text("metrics")?;
        Ok(Reading::of(&clean::lines(&String::from_utf8_lossy(&text))))
    }

    async fn measure(&self, place: &Place) -> Result<Cost, Error> {
        let (before, from) = (self.reading(place).await?, Instant::now());
        self.ask.progress.say(&format!("measuring {}", before.source().unwrap_or("the agent")));
        sleep(place.time).await;
        let after = self.reading(place).await?;
        Ok(Cost::between(&before, &after, from.elapsed()))
    }

    /// Each source in turn; the node is given back in any case.
    async fn each(&self, place: &Place) -> Result<Vec<Cost>, Error> {
        let name = own(&place.node);
        let before = self.take(place).await?;
        let measured = tokio::select! {
            measured = self.in_turn(place) => measured,
            _ = tokio::signal::ctrl_c() => Err(Error::Absent {
                what: "interrupted".to_owned(),
                next: format!("the ProbeConfig {name} is deleted: the node goes on as before"),
            }),
        };
        match self.ask.delete(&config_path(&name)).await {
            Ok(_) => {
                if measured.is_ok() {
                    self.ask.progress.say("waiting for the agent to be as before");
                    self.settled(place, &before).await?;
                }
                measured
            }
            Err(error) => Err(Error::Absent {
                what: format!("the ProbeConfig {name} is left behind: {error}"),
                next: format!("kubectl delete probeconfig {name}"),
            }),
        }
    }

    /// Waits until the agent answers with the source that the node had before.
    async fn settled(&self, place: &Place, before: &Value) -> Result<(), Error> {
        let from = Instant::now();
        while from.elapsed() < PATIENCE {
            let stored: Value = self.ask.get(&probe_path(&place.node)).await?;
            if is_answered(&stored, before) && self.reading(place).await.is_ok() {
                break;
            }
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Gives the node a configuration of its own: what is in force, with the first source. The source that it had.
    async fn take(&self, place: &Place) -> Result<Value, Error> {
        let stored: Value = self.ask.get(&probe_path(&place.node)).await?;
        let before = stored["spec"]["config"]["source"].clone();
        let config: NodeConfig =
            serde_json::from_value(stored["spec"]["config"].clone()).unwrap_or_default();
        let mut spec = serde_json::to_value(config).unwrap_or_default();
        spec["source"] = json!(SOURCES[0].0);
        spec["priority"] = PRIORITY.into();
        let whom = json!({"nodeNames": [&place.node]});
        let name = own(&place.node);
        match self.make_for(&name, LABEL, &spec, whom).await? {
            Made::Now => Ok(before),
            Made::There => Err(Error::Absent {
                what: format!(
                    "{} is measured already, or was when a measurement was cut off: there is a ProbeConfig {name}",
                    place.node
                ),
                next: format!("kubectl delete probeconfig {name}"),
            }),
            Made::Dropped => Err(Error::Absent {
                what:
                    "the cluster's definition of ProbeConfigs knows no names of nodes (nodeNames)"
                        .to_owned(),
                next: "upgrade the definitions, or measure without --each".to_owned(),
            }),
        }
    }

    async fn in_turn(&self, place: &Place) -> Result<Vec<Cost>, Error> {
        let path = config_path(&own(&place.node));
        let mut costs = Vec::new();
        for (source, word) in SOURCES {
            self.ask.progress.say(&format!("waiting for {word}"));
            self.ask.patch(&path, Patch::Merge, json!({"spec": {"source": source}})).await?;
            costs.push(match self.uses(place, source, word).await? {
                Ok(()) => self.measure(place).await?,
                Err(why) => Cost::refused(word, why),
            });
        }
        Ok(costs)
    }

    /// Waits until the agent uses a source, or says why not.
    async fn uses(
        &self,
        place: &Place,
        source: Source,
        word: &str,
    ) -> Result<Result<(), String>, Error> {
        let from = Instant::now();
        while from.elapsed() < PATIENCE {
            // The operator takes back what the agent refuses, within a second or two: too fast for the look below.
            let own: Config = self.ask.get(&config_path(&own(&place.node))).await?;
            if let Some(why) = taken_back(&own) {
                return Ok(Err(why));
            }
            let stored: Value = self.ask.get(&probe_path(&place.node)).await?;
            if is_answered(&stored, &json!(source)) {
                let conditions =
                    stored["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
                let applied = conditions
                    .iter()
                    .find(|one| one["type"] == probelet_crds::condition::CONFIG_APPLIED);
                if let Some(refused) = applied.filter(|one| one["status"] == "False") {
                    let why = refused["message"].as_str().unwrap_or("the agent refuses it");
                    return Ok(Err(clean::text(why).into_owned()));
                }
                // One that is being started again for the source does not answer.
                if self.reading(place).await.is_ok_and(|read| read.source() == Some(word)) {
                    return Ok(Ok(()));
                }
            }
            sleep(STEP).await;
        }
        Ok(Err(format!("not in use after {}s", PATIENCE.as_secs())))
    }
}

/// Whether a node is assigned this source, and its agent has answered that.
fn is_answered(probe: &Value, source: &Value) -> bool {
    probe["spec"]["config"]["source"] == *source
        && probe["status"]["observedGeneration"] == probe["metadata"]["generation"]
}

/// Why the operator took the newest content of a configuration back, if it did.
fn taken_back(config: &Config) -> Option<String> {
    let status = config.status();
    let rollout = status.rollout?;
    let newest = rollout.generation == config.metadata.generation;
    (newest && rollout.phase == Phase::RolledBack).then(|| {
        let why = status.failures.first().map_or("no reason is known", |one| one.reason.as_str());
        format!("the agent refuses it: {}", clean::text(why))
    })
}

fn own(node: &str) -> String {
    format!("bench-{node}")
}
