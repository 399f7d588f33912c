//! Elect: takes the Lease, keeps it, lets go of it.
//!
//! In: the Lease object. Out: whether this process leads. A leader that could not renew stops leading before another may
//! take over, and is a candidate again; one that ends lets go, so that the next need not wait.
//!
//! I/O: reads and writes one object every few seconds.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use probelet_crds::OPERATOR;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::apply::chain;
use crate::clock::Clock;
use crate::lease::{Candidate, DEADLINE, Decision};

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
}

impl Elector {
    /// A candidate for the Lease `name`.
    #[must_use]
    pub fn new(api: Api<Lease>, name: String, identity: String, clock: Clock) -> Self {
        let candidate = Candidate::new(identity);
        Self { api, name, candidate, clock, failing: false }
    }

    /// Runs for the Lease until told to stop, telling `leads`; whoever is told that it is lost must stop at once.
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
                    if renewed.replace(began).is_none() {
                        info!(lease = %self.name, "leading");
                        leads.send_replace(true);
                    }
                }
                Ok(false) => {
                    self.failing = false;
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

    fn lose(&self, leads: &watch::Sender<bool>, why: &str) {
        leads.send_replace(false);
        warn!(lease = %self.name, why, "not leading any more: another process may");
    }

    /// Looks once; whether the Lease is ours now.
    async fn round(&mut self) -> Result<bool, String> {
        let post = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let text = |error: kube::Error| chain(&error);
        let Some(lease) = self.api.get_opt(&self.name).await.map_err(text)? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: None };
            let lease = self.candidate.held(lease, Timestamp::now());
            return settle(self.api.create(&post, &lease).await);
        };
        if self.candidate.decide(&lease, self.clock.millis()) == Decision::Wait {
            return Ok(false);
        }
        let lease = self.candidate.held(lease, Timestamp::now());
        settle(self.api.replace(&self.name, &post, &lease).await)
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

/// A conflict means that somebody was quicker: who, the next look tells.
fn settle(written: kube::Result<Lease>) -> Result<bool, String> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
            Err("somebody else wrote it at the same time".to_owned())
        }
        Err(error) => Err(chain(&error)),
    }
}
