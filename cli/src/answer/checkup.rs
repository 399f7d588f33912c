//! `doctor POD`: what is wrong with a pod, a workload or a Service now.
//!
//! In: reports of the nodes concerned. Out: a line for each thing that is about to run full and for each flow that
//! loses segments or fails to connect; whether there is any. It must not say that all is well where an agent could not
//! be asked. Pure: values only.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::conns::unasked;
use super::finding::{Finding, Mark, lines};
use crate::seen::report::{Flow, Report, Risk};
use crate::show::{self, Cell, Page};
use crate::target::Target;

/// Each kind of risk: what is counted, what comes next, the page that says what to do.
const RISKS: [(&str, &str, &str, &str); 5] = [
    (
        "accept-queue",
        "connections wait to be accepted",
        "further ones are turned away",
        "accept-queue",
    ),
    (
        "close-wait",
        "connections that the other end closed are still open here",
        "each keeps a file open",
        "close-wait",
    ),
    ("open-files", "files are open", "at the limit the next one fails with EMFILE", "open-files"),
    (
        "ephemeral-ports",
        "ports for this destination are in use",
        "the next connection fails with EADDRNOTAVAIL",
        "ephemeral-ports",
    ),
    ("conntrack", "connections are tracked", "packets of new ones are dropped", "conntrack-full"),
];

/// What was found.
#[derive(Debug, Serialize)]
pub struct Checkup {
    target: String,
    well: bool,
    findings: Vec<Finding>,
    /// Nodes that could not be asked, and why.
    pub unasked: Vec<(String, String)>,
}

impl Checkup {
    /// From these reports.
    #[must_use]
    pub fn of(target: &Target, reports: &[Report]) -> Self {
        let mut findings = Vec::new();
        for report in reports {
            let pods = target.pods(report);
            let Some(risks) = &report.risks else {
                let found =
                    format!("the agent of {} is too old to say what runs full", report.node);
                findings.push(Finding::new(Mark::Note, "release", found));
                continue;
            };
            let meant = |risk: &&Risk| match (&pods, &risk.pod) {
                (None, _) => true,
                (Some(pods), Some(pod)) => pods.contains(pod),
                // What is the node's concerns all that is on it.
                (Some(_), None) => risk.risk == "conntrack",
            };
            findings.extend(risks.iter().filter(meant).map(|risk| self::risk(report, risk)));
            let workloads = workloads(report, pods.as_ref());
            let concerned = |flow: &&Flow| {
                let is = |name: &Option<String>| {
                    workloads
                        .as_ref()
                        .is_none_or(|all| name.as_ref().is_some_and(|name| all.contains(name)))
                };
                !flow.problems.is_empty() && (is(&flow.source.name) || is(&flow.destination.name))
            };
            findings.extend(report.flows.iter().filter(concerned).flat_map(flow));
        }
        let well = findings.iter().all(|finding| finding.mark != Mark::Bad);
        if findings.is_empty() {
            let found = "nothing runs full; no flow loses segments or fails to connect";
            findings.push(Finding::new(Mark::Ok, "health", found));
        }
        Self { target: target.to_string(), well, findings, unasked: Vec::new() }
    }

    /// What is wrong, and nothing else.
    pub(super) fn wrong(self) -> Vec<Finding> {
        self.findings.into_iter().filter(|finding| finding.mark == Mark::Bad).collect()
    }

    /// Nothing is wrong, as far as all could be asked.
    #[must_use]
    pub(crate) fn is_well(&self) -> bool {
        self.well && self.unasked.is_empty()
    }
}

/// What the flows of these pods may be counted by: their workloads, themselves, their Services.
fn workloads(report: &Report, pods: Option<&BTreeSet<String>>) -> Option<BTreeSet<String>> {
    let pods = pods?;
    let own = report.pods.iter().filter(|pod| pods.contains(&pod.id()));
    let names = own.flat_map(|pod| {
        [pod.workload.clone(), pod.id()].into_iter().chain(pod.services.iter().cloned())
    });
    Some(names.collect())
}

fn risk(report: &Report, risk: &Risk) -> Finding {
    let known = RISKS.iter().find(|(name, ..)| *name == risk.risk);
    let (what, then, page) =
        known.map_or(("are in use", "", ""), |(_, what, then, page)| (*what, *then, *page));
    let mut found = match risk.limit {
        Some(limit) => format!("{} of {limit} {what}", risk.used),
        None => format!("{} {what}", risk.used),
    };
    let place = match (&risk.remote, risk.port) {
        (Some(remote), _) => format!(", to {remote}"),
        (None, Some(port)) => format!(", at port {port}"),
        (None, None) => String::new(),
    };
    found.push_str(&place);
    let whose = match (&risk.pod, risk.pid) {
        (Some(pod), Some(pid)) => format!(" ({pod}, {} {pid})", risk.comm),
        (Some(pod), None) => format!(" ({pod})"),
        (None, Some(pid)) => format!(" ({} {pid} on {})", risk.comm, report.node),
        (None, None) => format!(" (node {})", report.node),
    };
    found.push_str(&whose);
    if !then.is_empty() {
        found.push_str(": ");
        found.push_str(then);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; seconds"
    )]
    let since = (report.time - risk.since).max(0.0) as u64;
    found.push_str(", for ");
    found.push_str(&show::age(Duration::from_secs(since)));
    let about = known.map_or("risk", |(name, ..)| *name);
    bad(about, found, page)
}

/// What is wrong, with the page that says what to do, if there is one.
fn bad(about: &'static str, found: String, page: &str) -> Finding {
    let finding = Finding::new(Mark::Bad, about, found);
    if page.is_empty() { finding } else { finding.next(format!("kubectl probelet runbook {page}")) }
}

fn flow(flow: &Flow) -> Vec<Finding> {
    let end = |name: &Option<String>| name.clone().unwrap_or_else(|| "(no name)".to_owned());
    let edge =
        format!("{} → {} port {}", end(&flow.source.name), end(&flow.destination.name), flow.port);
    let words = |problem: &str| match problem {
        "lossy" => {
            let share = flow.retransmitted_share.map(show::percent).unwrap_or_default();
            let rtt = flow.rtt_seconds.map_or_else(String::new, |rtt| {
                format!("; round-trip time {}", show::took(rtt.median))
            });
            (format!("{share} of the segments were sent again{rtt}"), "flow-lossy")
        }
        "failing" => (format!("attempts to connect fail: {} so far", flow.failed), "flow-failing"),
        other => (other.to_owned(), ""),
    };
    let finding = |problem: &String| {
        let (found, page) = words(problem);
        bad("flow", format!("{edge}: {found}"), page)
    };
    flow.problems.iter().map(finding).collect()
}

impl show::Answer for Checkup {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        page.line(Cell::bold(&self.target));
        lines(&mut page, &self.findings);
        unasked(&mut page, &self.unasked);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![self.target.clone()]
    }

    fn unasked(&self) -> &[(String, String)] {
        &self.unasked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::report::{End, Pod};

    fn pod(name: &str) -> Pod {
        let workload = format!("shop/Deployment/{name}");
        Pod { namespace: "shop".into(), name: name.into(), workload, ..Pod::default() }
    }

    fn report(risks: Vec<Risk>, flows: Vec<Flow>) -> Report {
        let (pods, risks) = (vec![pod("api"), pod("web")], Some(risks));
        Report { node: "node1".into(), time: 160.0, pods, risks, flows, ..Report::default() }
    }

    fn full() -> Risk {
        Risk {
            risk: "accept-queue".into(),
            pid: Some(7),
            comm: "api".into(),
            pod: Some("shop/api".into()),
            port: Some(8080),
            used: 129,
            limit: Some(128),
            since: 100.0,
            ..Risk::default()
        }
    }

    fn of(pod: &str, report: &Report) -> (bool, String) {
        let target = Target::Pod(format!("shop/{pod}"));
        let checkup = Checkup::of(&target, std::slice::from_ref(report));
        (checkup.is_well(), show::Answer::page(&checkup, false).text(false))
    }

    #[test]
    fn a_full_queue_is_named_with_its_pod_and_port_and_no_other_pod_is_accused() {
        let report = report(vec![full()], Vec::new());

        let (well, text) = of("api", &report);
        assert!(!well, "{text}");
        assert!(text.contains("129 of 128") && text.contains("port 8080"), "{text}");
        assert!(text.contains("runbook accept-queue") && text.contains("for 60s"), "{text}");
        assert!(of("web", &report).0);
    }

    #[test]
    fn what_is_the_nodes_is_wrong_with_every_pod_of_it() {
        let tracked =
            Risk { risk: "conntrack".into(), used: 9, limit: Some(10), ..Risk::default() };

        let (well, text) = of("web", &report(vec![tracked], Vec::new()));

        assert!(!well && text.contains("(node node1)"), "{text}");
    }

    #[test]
    fn a_lossy_flow_is_wrong_with_both_of_its_ends() {
        let end = |name: &str| End {
            kind: "workload".into(),
            name: Some(format!("shop/Deployment/{name}")),
        };
        let lossy = Flow {
            source: end("web"),
            destination: end("db"),
            port: 5432,
            problems: vec!["lossy".into()],
            retransmitted_share: Some(0.021),
            ..Flow::default()
        };
        let report = report(Vec::new(), vec![lossy]);

        let (well, text) = of("web", &report);
        assert!(!well && text.contains("2.1% of the segments"), "{text}");
        assert!(of("api", &report).0);
    }

    #[test]
    fn an_agent_that_cannot_say_is_not_well_by_silence() {
        let old = Report { risks: None, ..report(Vec::new(), Vec::new()) };
        assert!(of("api", &old).1.contains("too old"));

        let mut checkup = Checkup::of(&Target::Node("node1".into()), &[]);
        assert!(checkup.is_well());
        checkup.unasked.push(("node2".into(), "timeout".into()));
        assert!(!checkup.is_well());
    }
}
