//! Runs `status`.
//!
//! I/O: the API server; what is independent is asked at once.

use std::process::ExitCode;

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
    pub(crate) operators: Result<Vec<Pod>, String>,
    pub(crate) daemons: Option<DaemonCounts>,
    down: Vec<(String, String)>,
}

impl Run {
    /// Shows it. The exit code says whether there is anybody at work, and with `check` whether anything is missing at all.
    pub(super) async fn status(
        &self,
        most: usize,
        check: bool,
        tolerated: f64,
    ) -> Result<ExitCode, Error> {
        let mut status = self.fleet(most).await?;
        status.tolerate(tolerated);
        self.show(&status)?;
        let fails = if check { !status.is_whole() } else { status.is_deserted() };
        Ok(ExitCode::from(u8::from(fails)))
    }

    /// The fleet as it is now.
    pub(super) async fn fleet(&self, most: usize) -> Result<Status, Error> {
        let (probes, configs, nodes, installation) = join!(
            self.ask.probes(false),
            self.ask.configs(),
            self.ask.count_nodes(),
            self.installation()
        );
        let Installation { place, lease, operators, daemons, down } = installation;
        let seen = Seen {
            server: self.ask.server().to_owned(),
            place,
            probes: probes?.items,
            nodes: nodes.ok(),
            configs: configs?,
            lease,
            operators,
            daemons,
            down,
            now: self.ask.now(),
        };
        Ok(Status::of(&seen, most))
    }

    /// What may not be known is no reason to say nothing.
    pub(crate) async fn installation(&self) -> Installation {
        let wanted = self.common.probelet_namespace.as_deref();
        let found = match Agents::by(&self.ask, wanted, "agent").await {
            Ok(None) => Agents::by(&self.ask, wanted, "operator").await,
            found => found,
        };
        let agents = match found {
            Ok(Some(agents)) => agents,
            // Nothing of it is there, which is something else than not to see it.
            Ok(None) => {
                let place = (wanted.unwrap_or("probelet").to_owned(), "probelet".to_owned());
                let daemons = Some(DaemonCounts::default());
                let operators = Ok(Vec::new());
                return Installation {
                    place,
                    lease: Ok(None),
                    operators,
                    daemons,
                    down: Vec::new(),
                };
            }
            Err(error) => {
                let place = ("probelet".to_owned(), "probelet".to_owned());
                let why = || error.to_string();
                let (lease, operators) = (Err(why()), Err(why()));
                return Installation { place, lease, operators, daemons: None, down: Vec::new() };
            }
        };
        let (namespace, fullname) = (&agents.namespace, &agents.fullname);
        let lease = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{fullname}-operator"
        );
        let daemons = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{fullname}-agent");
        let (lease, daemons, operators) = join!(
            self.ask.find::<Lease>(&lease),
            self.ask.find::<Daemons>(&daemons),
            agents.pods("operator")
        );
        let counted = daemons.ok().flatten().map(|daemons| daemons.status);
        let few = |daemons: DaemonCounts| daemons.number_ready < daemons.desired_number_scheduled;
        let pods = if counted.is_none_or(few) { agents.pods("agent").await.ok() } else { None };
        let why = |pod: &Pod| Some((pod.spec.node_name.clone(), pod.why_not()?));
        let down = pods.iter().flatten().filter_map(why).collect();
        Installation {
            place: (namespace.clone(), fullname.clone()),
            lease: lease.map_err(|error| error.to_string()),
            operators: operators.map_err(|error| error.to_string()),
            daemons: counted.or_else(|| pods.as_deref().map(count)),
            down,
        }
    }
}

/// Agents by their pods, where their DaemonSet may not be seen.
fn count(pods: &[Pod]) -> DaemonCounts {
    let ready = pods.iter().filter(|pod| pod.is_ready()).count();
    DaemonCounts { desired_number_scheduled: pods.len() as u64, number_ready: ready as u64 }
}
