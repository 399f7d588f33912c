//! Everything that takes part, and the ways to wait for it.
//!
//! In: who is who and how many. Out: agents that live, an operator that can be stopped and started, edits, and the
//! checks that were made. It must not wait without an end: what does not come is an error that says what was waited
//! for. I/O: the API server, processes, stdout through who owns the stage.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use probelet_crds::{NodeConfig, ProbeConfigSpec};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::fleet::{
    agent::{Agent, Orders},
    connection::{Api, Credentials},
    dice::Dice,
    feed::{self, Post},
    meter::{FLEET, OPERATOR, Processes, Reading, Span},
    nodes,
    operator::{Launch, Operator},
    story::{Node, Story},
};

/// Where configurations are.
pub const CONFIGS: &str = "/apis/probelet.io/v1alpha1/probeconfigs";
/// Agents that share a connection: the API server allows 100 requests at a time on one, and a write comes on top.
const AGENTS_A_CONNECTION: usize = 80;
const POLL: Duration = Duration::from_millis(50);

/// What the program was started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Nodes.
    pub nodes: usize,
    /// One watch for all agents instead of one each.
    pub shared_watch: bool,
    /// Seconds that the steady state is watched for.
    pub steady: u64,
    /// Seconds that nothing may be written in.
    pub idle: u64,
    /// Who makes nodes and edits configurations.
    pub admin: PathBuf,
    /// Who agents are.
    pub agent: PathBuf,
    /// The operator.
    pub launch: Launch,
    /// The control plane's processes.
    pub processes: Processes,
}

/// All of it.
pub struct Stage {
    /// What it was made from.
    pub setup: Setup,
    /// The director's connection.
    pub admin: Api,
    /// What happened.
    pub story: Arc<Story>,
    /// What agents are assigned.
    pub orders: watch::Sender<Orders>,
    /// When it began.
    pub began: Instant,
    operator: Option<Operator>,
    agents: JoinSet<()>,
}

impl Stage {
    /// An empty one.
    pub async fn new(setup: Setup) -> anyhow::Result<Self> {
        let admin = Credentials::read(&setup.admin).await?.open()?;
        let story = Arc::new(Story::new(setup.nodes));
        Ok(Self {
            admin,
            story,
            orders: watch::Sender::new(Orders::default()),
            began: Instant::now(),
            operator: None,
            agents: JoinSet::new(),
            setup,
        })
    }

    /// Starts the agents; their nodes need not be there yet.
    pub async fn enter_agents(&mut self) -> anyhow::Result<()> {
        let credentials = Credentials::read(&self.setup.agent).await?;
        let post = Arc::new(Post::new(self.setup.nodes, Arc::clone(&self.story), self.began));
        if self.setup.shared_watch {
            self.agents.spawn(feed::follow(
                credentials.open()?,
                None,
                Arc::clone(&post),
                Dice::new(0),
            ));
        }
        let mut api = credentials.open()?;
        for node in 0..self.setup.nodes {
            if node % AGENTS_A_CONNECTION == 0 {
                api = credentials.open()?;
            }
            let (name, dice) = (nodes::name(node), Dice::new(node as u64 + 1));
            let agent = Agent {
                node,
                name: name.clone(),
                api: api.clone(),
                inbox: post.inbox(node),
                orders: self.orders.subscribe(),
                story: Arc::clone(&self.story),
                began: self.began,
                dice: dice.clone(),
            };
            self.agents.spawn(agent.live());
            if !self.setup.shared_watch {
                self.agents.spawn(feed::follow(api.clone(), Some(name), Arc::clone(&post), dice));
                if node % AGENTS_A_CONNECTION == 0 {
                    sleep(POLL).await; // a node group starts at a time, not 5,000 nodes at once
                }
            }
        }
        Ok(())
    }

    /// Starts the operator, if it does not run.
    pub fn start_operator(&mut self) -> anyhow::Result<()> {
        if self.operator.is_none() {
            self.operator = Some(self.setup.launch.start()?);
        }
        Ok(())
    }

    /// Kills it.
    pub fn kill_operator(&mut self) {
        self.operator = None;
    }

    /// Everybody whose cost is measured.
    #[must_use]
    pub fn processes(&self) -> Processes {
        let mut processes = self.setup.processes.clone();
        processes.insert(FLEET.to_owned(), std::process::id());
        if let Some(operator) = &self.operator {
            processes.insert(OPERATOR.to_owned(), operator.pid());
        }
        processes
    }

    /// Begins a measurement, and with it a chapter.
    pub async fn begin(&self) -> anyhow::Result<Reading> {
        self.story.begin_chapter();
        Reading::take(&self.admin, &self.processes()).await
    }

    /// Ends it.
    pub async fn end(&self, reading: &Reading) -> anyhow::Result<Span> {
        reading.until_now(&self.admin, &self.processes()).await
    }

    /// Seconds since the beginning.
    #[must_use]
    pub fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Waits until as many nodes hold to this.
    pub async fn until(
        &mut self,
        what: &str,
        patience: Duration,
        count: usize,
        holds: impl Fn(&Node) -> bool,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let so_far = self.story.count(&holds);
            if so_far >= count {
                return Ok(());
            }
            self.look_at_operator()?;
            if begun.elapsed() > patience {
                bail!("{what}: {so_far} of {count} nodes after {} s", patience.as_secs());
            }
            sleep(POLL).await;
        }
    }

    /// Fails if the operator has ended by itself.
    fn look_at_operator(&mut self) -> anyhow::Result<()> {
        if self.operator.as_mut().is_some_and(|operator| !operator.runs()) {
            bail!("the operator ended, see {}", self.setup.launch.log().display());
        }
        Ok(())
    }

    /// Waits until an object is there.
    pub async fn object(&mut self, url: &str, patience: Duration) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            if let Some(object) = self.admin.get(url).await? {
                return Ok(object);
            }
            self.look_at_operator()?;
            if begun.elapsed() > patience {
                bail!("no {url} after {} s", patience.as_secs());
            }
            sleep(POLL * 4).await;
        }
    }

    /// Edits a configuration; returns what agents must work by.
    pub async fn edit(&self, config: &str, patch: &Value) -> anyhow::Result<u64> {
        content(&self.admin.merge(&format!("{CONFIGS}/{config}"), patch).await?)
    }

    /// How long a change may take to reach so many nodes before it counts as lost: three times what the default rollout
    /// needs, and a minute and a half.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(90 + self.setup.nodes as u64 * 3 / 50)
    }
}

/// The hash of what a configuration assigns to agents.
pub fn content(config: &Value) -> anyhow::Result<u64> {
    let spec = ProbeConfigSpec::from_value(&config["spec"])
        .map_err(|errors| anyhow::anyhow!("{errors:?}"))
        .context("the server's ProbeConfig")?;
    Ok(u64::from_str_radix(&NodeConfig::from(spec).hash(), 16)?)
}
