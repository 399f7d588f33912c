//! Runs `explain` and `doctor`.
//!
//! I/O: the API server, the node's agent behind its proxy.

use std::process::ExitCode;

use tokio::join;

use super::{Run, checked};
use crate::answer::checkup::Checkup;
use crate::answer::doctor::Diagnosis;
use crate::answer::explain::{Explanation, Seen, Unreported};
use crate::ask::{Agents, Error, config_path, probe_path};
use crate::seen::config::Config;
use crate::seen::operator::Operator;
use crate::seen::pod::Pod;
use crate::seen::probe::Probe;
use crate::seen::report::Report;
use crate::target::{Kind, Typed};

/// What is known of a node.
struct Known {
    place: (String, String),
    probe: Option<Probe>,
    pod: Option<Pod>,
    config: Option<Config>,
    report: Result<Report, Unreported>,
    operated: Option<bool>,
}

impl Run {
    pub(super) async fn explain(&self, node: &str) -> Result<(), Error> {
        let known = self.known(checked(node)?).await?;
        self.show(&Explanation::of(&known.seen(node)))
    }

    /// Of a node, or of pods; code 1 if something is wrong with those.
    pub(super) async fn doctor(&self, text: &str) -> Result<ExitCode, Error> {
        let typed = Typed::parse(text)?;
        let node = matches!(typed.kind, Some(Kind::Node));
        if node || (typed.kind.is_none() && typed.namespace.is_none()) {
            match self.known(checked(&typed.name)?).await {
                // A bare name that is no node's may be a pod's, of which who may not see nodes may see something.
                Err(Error::Absent { .. } | Error::Forbidden { .. }) if !node => {}
                known => {
                    self.show(&Diagnosis::of(&known?.seen(&typed.name)))?;
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        let found = self.find(text).await?;
        let (reports, unasked) = self.reports_of(&found).await?;
        let mut checkup = Checkup::of(&found.target, &reports);
        checkup.unasked = unasked;
        self.show(&checkup)?;
        Ok(if checkup.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn known(&self, node: &str) -> Result<Known, Error> {
        let agents = self.agents().await?;
        let path = probe_path(node);
        let (probe, pod, report, installation) = join!(
            self.ask.find::<Probe>(&path),
            agents.pod(node),
            agents.report(node, super::look::FLOWS_ONLY),
            self.installation()
        );
        let (probe, pod) = (probe?, pod?);
        if probe.is_none() && pod.is_none() {
            return Err(self.without_agent(node, &agents).await);
        }
        let config = match probe.as_ref().and_then(|probe| probe.config.as_deref()) {
            Some(name) => self.ask.find::<Config>(&config_path(name)).await?,
            None => None,
        };
        let operated =
            Operator::of(&installation.lease, &installation.operators, self.ask.now()).runs();
        let report = report.map_err(Unreported::from);
        let place = (agents.namespace.clone(), agents.fullname.clone());
        Ok(Known { place, probe, pod, config, report, operated })
    }

    /// Of this node nothing is known: because no agent runs there, or because there is none.
    async fn without_agent(&self, node: &str, agents: &Agents) -> Error {
        let there = self.ask.find::<serde::de::IgnoredAny>(&format!("/api/v1/nodes/{node}")).await;
        let Agents { namespace, fullname, .. } = agents;
        if matches!(there, Ok(Some(_))) {
            let next = format!(
                "where agents are wanted: kubectl -n {namespace} get daemonset {fullname}-agent -o yaml (nodeSelector, affinity, tolerations)"
            );
            return Error::Absent { what: format!("no agent runs on the node {node}"), next };
        }
        let next = "to list nodes: kubectl get nodeprobes".to_owned();
        Error::Absent { what: format!("no such node: {node}"), next }
    }
}

impl Known {
    fn seen<'a>(&'a self, node: &'a str) -> Seen<'a> {
        Seen {
            node,
            place: (&self.place.0, &self.place.1),
            probe: self.probe.as_ref(),
            pod: self.pod.as_ref(),
            config: self.config.as_ref(),
            report: self.report.as_ref().map_err(Clone::clone),
            operated: self.operated,
        }
    }
}
