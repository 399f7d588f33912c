//! Runs `status`.
//!
//! I/O: the API server; what is independent is asked at once.

use tokio::join;

use super::Run;
use crate::answer::status::{Seen, Status};
use crate::ask::{Agents, Error};
use crate::seen::pod::Pod;
use crate::seen::{DaemonCounts, Daemons, Lease};

/// Who operates and how many agents run, as far as it may be known.
pub(crate) struct Installation {
    pub(crate) place: (String, String),
    pub(crate) lease: Result<Option<Lease>, String>,
    pub(crate) daemons: Option<DaemonCounts>,
    down: Vec<(String, String)>,
}

impl Run {
    pub(super) async fn status(&self, most: usize) -> Result<(), Error> {
        let status = self.fleet(most).await?;
        self.show(&status)
    }

    /// The fleet as it is now.
    pub(super) async fn fleet(&self, most: usize) -> Result<Status, Error> {
        let (probes, configs, nodes, installation) = join!(
            self.ask.probes(false),
            self.ask.configs(),
            self.ask.count_nodes(),
            self.installation()
        );
        let Installation { place, lease, daemons, down } = installation;
        let seen = Seen {
            server: self.ask.server().to_owned(),
            place,
            probes: probes?.items,
            nodes: nodes.ok(),
            configs: configs?,
            lease,
            daemons,
            down,
            now: self.ask.now(),
        };
        Ok(Status::of(&seen, most))
    }

    /// What may not be known is no reason to say nothing.
    pub(crate) async fn installation(&self) -> Installation {
        let agents = match self.agents().await {
            Ok(agents) => agents,
            Err(error) => {
                let place = ("probelet".to_owned(), "probelet".to_owned());
                let lease = Err(error.to_string());
                return Installation { place, lease, daemons: None, down: Vec::new() };
            }
        };
        let (namespace, fullname) = (&agents.namespace, &agents.fullname);
        let lease = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{fullname}-operator"
        );
        let daemons = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{fullname}-agent");
        let (lease, daemons) =
            join!(self.ask.find::<Lease>(&lease), self.ask.find::<Daemons>(&daemons));
        let daemons = daemons.ok().flatten().map(|daemons| daemons.status);
        let few = |daemons: DaemonCounts| daemons.number_ready < daemons.desired_number_scheduled;
        let down = if daemons.is_some_and(few) { down(&agents).await } else { Vec::new() };
        Installation {
            place: (namespace.clone(), fullname.clone()),
            lease: lease.map_err(|error| error.to_string()),
            daemons,
            down,
        }
    }
}

/// Nodes whose agent does not run, and why.
async fn down(agents: &Agents) -> Vec<(String, String)> {
    let pods = agents.pods("agent").await.unwrap_or_default();
    let why = |pod: &Pod| Some((pod.spec.node_name.clone(), pod.why_not()?));
    pods.iter().filter_map(why).collect()
}
