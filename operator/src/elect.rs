//! Elect: takes the Lease, keeps it, lets go of it.
//!
//! In: the Lease object. Out: whether this process leads. A leader that could not renew stops leading before another may
//! take over, and is a candidate again; one that ends lets go, so that the next need not wait.
//!
//! There are two elections: among the replicas of one installation, and, for who has won that, among installations. Each
//! has its Lease; the second one is in a place that all of them know.
//!
//! I/O: reads and writes one object every few seconds.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use probelet_crds::OPERATOR;
use prometheus::IntGauge;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::lease::{Candidate, DEADLINE, Decision};
use crate::stages::apply;
use probelet_runtime::chain;

/// A leader says so often that it lives.
const RENEW: Duration = Duration::from_secs(5);
/// The others look so often.
const LOOK: Duration = Duration::from_secs(2);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(4);
/// The longest that letting go may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// Takes part in the election.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    clock: Clock,
    failing: bool,
    cluster: Option<Cluster>,
}

/// What is special about the election among installations.
struct Cluster {
    /// 1 while another installation holds the Lease.
    waits: IntGauge,
    /// Whom we said to wait for.
    logged: Option<String>,
    /// Whether we may not look, which was logged.
    forbidden: bool,
}

impl Elector {
    /// Makes it the election among installations: it says for whom it waits, and a role that does not allow it is taken for
    /// one from before there was this election.
    #[must_use]
    pub(crate) fn among_installations(mut self, waits: IntGauge) -> Self {
        self.cluster = Some(Cluster { waits, logged: None, forbidden: false });
        self
    }

    /// Runs for the Lease while `held` says that another one is held.
    pub async fn follow(
        &mut self,
        mut held: watch::Receiver<bool>,
        leads: &watch::Sender<bool>,
        stop: &mut watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                first = held.wait_for(|&held| held) => if first.is_err() { return },
                _ = stop.wait_for(|&stop| stop) => return,
            }
            let ended = tokio::select! {
                () = self.run(leads, stop) => true,
                lost = held.wait_for(|&held| !held) => lost.is_err(),
            };
            // The next process of this installation goes on under the same name.
            leads.send_replace(false);
            if ended {
                return;
            }
        }
    }

    /// A candidate for the Lease `name`.
    #[must_use]
    pub fn new(api: Api<Lease>, name: String, identity: String, clock: Clock) -> Self {
        let candidate = Candidate::new(identity);
        Self { api, name, candidate, clock, failing: false, cluster: None }
    }

    /// Runs for the Lease until asked to stop, telling `leads`; anyone who learns that it is lost must stop at once.
    pub async fn run(&mut self, leads: &watch::Sender<bool>, stop: &mut watch::Receiver<bool>) {
        let mut renewed = None;
        loop {
            let began = self.clock.millis();
            let round = tokio::select! {
                round = timeout(LIMIT, self.round()) => round,
                _ = stop.wait_for(|&stop| stop) => return,
            };
            match round.unwrap_or_else(|_| Err(format!("no answer in {} s", LIMIT.as_secs()))) {
                Ok(true) => {
                    self.failing = false;
                    self.no_rival();
                    if renewed.replace(began).is_none() {
                        info!(lease = %self.name, "leading");
                        leads.send_replace(true);
                    }
                }
                Ok(false) => {
                    self.failing = false;
                    self.say_rival();
                    if renewed.take().is_some() {
                        self.lose(leads, "another process holds it");
                    }
                }
                Err(why) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        warn!(lease = %self.name, %why, "cannot reach the lease");
                    }
                    if renewed.is_some_and(|at| self.clock.millis() + 1000 >= at + DEADLINE) {
                        renewed = None;
                        self.lose(leads, "it could not be renewed in time");
                    }
                }
            }
            let pause = match (self.failing, renewed) {
                (true, _) => AGAIN,
                (false, Some(_)) => RENEW,
                (false, None) => LOOK,
            };
            // A tenth more or less: candidates should not look in step.
            let pause = pause.mul_f64(0.9 + f64::from(self.clock.chance()) / 1275.0);
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|&stop| stop) => return,
            }
        }
    }

    fn no_rival(&mut self) {
        if let Some(cluster) = &mut self.cluster {
            cluster.waits.set(0);
            cluster.logged = None;
        }
    }

    fn say_rival(&mut self) {
        let holder = self.candidate.holder().to_owned();
        let Some(cluster) = &mut self.cluster else { return };
        cluster.waits.set(1);
        if cluster.logged.as_ref() != Some(&holder) {
            warn!(lease = %self.name, %holder,
                "another installation operates this cluster: waiting for it to end");
            cluster.logged = Some(holder);
        }
    }

    /// An error as text; to lead without the election is better than not at all where the role does not know of it, or a policy
    /// of the cluster allows no Lease there. `free` says that the Lease is no other's: who is refused another's has not won it.
    fn sort(&mut self, error: &kube::Error, free: bool) -> Result<bool, String> {
        let forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
        let refused = free && matches!(apply::sort(error), apply::Error::Refused(_));
        let Some(cluster) = self.cluster.as_mut().filter(|_| forbidden || refused) else {
            return Err(chain(error));
        };
        if !std::mem::replace(&mut cluster.forbidden, true) {
            warn!(lease = %self.name, error = %chain(error),
                "cannot see whether another installation operates this cluster");
        }
        Ok(true)
    }

    fn lose(&self, leads: &watch::Sender<bool>, why: &str) {
        leads.send_replace(false);
        warn!(lease = %self.name, why, "lost leadership");
    }

    /// Looks once; whether the Lease is ours now.
    async fn round(&mut self) -> Result<bool, String> {
        let post = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let lease = match self.api.get_opt(&self.name).await {
            Ok(lease) => lease,
            Err(error) => return self.sort(&error, false),
        };
        let Some(lease) = lease else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: None };
            let lease = self.candidate.held(lease, Timestamp::now());
            let created = self.api.create(&post, &lease).await;
            return settle(created)
                .or_else(|error| error.map_or_else(contended, |e| self.sort(&e, true)));
        };
        let decision = self.candidate.decide(&lease, self.clock.millis());
        if decision == Decision::Wait {
            return Ok(false);
        }
        let free = decision == Decision::Renew || self.candidate.holder().is_empty();
        let lease = self.candidate.held(lease, Timestamp::now());
        let replaced = self.api.replace(&self.name, &post, &lease).await;
        settle(replaced).or_else(|error| error.map_or_else(contended, |e| self.sort(&e, free)))
    }

    /// Lets go, if it is ours, so that the next need not wait. Nothing may be written after this.
    pub async fn release(mut self) {
        let goodbye = async {
            let lease = self.api.get(&self.name).await?;
            if self.candidate.decide(&lease, self.clock.millis()) == Decision::Renew {
                let lease = self.candidate.released(lease, Timestamp::now());
                self.api.replace(&self.name, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match timeout(GOODBYE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(error = %chain(&error), "cannot release the lease"),
            Err(_) => warn!("cannot release the lease in time"),
        }
    }
}

/// A conflict means that someone was quicker: who, the next look shows.
fn settle(written: kube::Result<Lease>) -> Result<bool, Option<kube::Error>> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Err(None)
        }
        Err(error) => Err(Some(error)),
    }
}

fn contended() -> Result<bool, String> {
    Err("another process wrote it at the same time".to_owned())
}
