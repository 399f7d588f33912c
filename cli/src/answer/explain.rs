//! `explain`: why a node is as it is, and what it would take to change that.
//!
//! In: its `NodeProbe`, its agent's pod, the configuration that won, its report if it can be had. Out: findings, each
//! with the next step. Pure: values only.

mod missing;

use probelet_crds::condition::{CONFIG_APPLIED, CONNECTIONS_HEALTHY, WITHIN_BUDGET};
use probelet_crds::{ROLLOUT_PAUSED, State};
use serde::Serialize;

use super::checkup::Checkup;
use super::finding::{Finding, Mark, lines};
use super::status::is_reduced;
use crate::ask::Error;
use crate::seen::config::Config;
use crate::seen::pod::Pod;
use crate::seen::probe::{Agent, Level, Probe};
use crate::seen::report::Report;
use crate::show::{self, Cell, Page};
use crate::target::Target;

/// Faults of workloads that are shown.
const WORKLOADS: usize = 20;

/// What is known of a node.
pub struct Seen<'a> {
    /// Its name.
    pub node: &'a str,
    /// probelet's namespace and the name that its objects begin with.
    pub place: (&'a str, &'a str),
    /// Its `NodeProbe`, if there is one.
    pub probe: Option<&'a Probe>,
    /// Its agent's pod, if there is one.
    pub pod: Option<&'a Pod>,
    /// The configuration that won.
    pub config: Option<&'a Config>,
    /// Its report, or why it cannot be had.
    pub report: Result<&'a Report, Unreported>,
    /// Whether an operator runs; none if that may not be known.
    pub operated: Option<bool>,
}

/// Why there is no report of a node.
#[derive(Debug, Clone)]
pub struct Unreported {
    /// What happened.
    pub why: String,
    /// The agent answers, and its budget is used up just now.
    pub busy: bool,
    /// What to do, where it is not the agent that one should look at.
    pub next: Option<String>,
}

impl From<Error> for Unreported {
    fn from(error: Error) -> Self {
        let busy = matches!(error, Error::Agent { busy: true, .. });
        let next = matches!(error, Error::Cut { .. }).then(|| error.next()).flatten();
        Self { why: error.to_string(), busy, next }
    }
}

/// Why a node is as it is.
#[derive(Debug, Serialize)]
pub struct Explanation {
    node: String,
    level: Option<Level>,
    findings: Vec<Finding>,
}

impl Explanation {
    /// From what is known.
    #[must_use]
    pub fn of(seen: &Seen<'_>) -> Self {
        let mut findings = vec![agent(seen)];
        let now = seen.probe.and_then(|probe| probe.agent.as_ref()).map(|agent| agent.level);
        // An agent that collects nothing has no intervals and no coverage.
        let collects = now != Some(Level::Paused);
        let (lost, rest) = if collects { missing::picture(seen) } else { Default::default() };
        // What is missing is said first: the figures that follow are read with it in mind.
        findings.extend(lost);
        findings.push(config(seen));
        if let Some((probe, agent)) = seen.probe.and_then(|p| Some((p, p.agent.as_ref()?))) {
            findings.push(level(seen, probe, agent));
            findings.push(budget(seen, probe, agent));
        }
        if collects {
            findings.push(intervals(seen));
            findings.extend(rest);
            findings.extend(workloads(seen));
        }
        Self { node: seen.node.to_owned(), level: now, findings }
    }
}

/// How the agent's pod is.
pub(super) fn agent(seen: &Seen<'_>) -> Finding {
    let (namespace, fullname) = seen.place;
    let Some(pod) = seen.pod else {
        return Finding::new(Mark::Bad, "agent", "there is no agent's pod on this node").next(format!(
            "is there such a node, and does the DaemonSet tolerate its taints? kubectl describe node {}; kubectl -n {namespace} get daemonset {fullname}-agent",
            seen.node
        ));
    };
    let name = &pod.metadata.name;
    let restarts = match pod.restarts() {
        0 => String::new(),
        n => format!(", {n} restarts; it {}", pod.ended().unwrap_or_else(|| "ended".to_owned())),
    };
    match pod.why_not() {
        Some(why) => Finding::new(Mark::Bad, "agent", format!("{namespace}/{name} {why}")).next(format!(
            "kubectl -n {namespace} describe pod {name}; kubectl -n {namespace} logs {name} --previous"
        )),
        None if pod.restarts() > 2 => Finding::new(Mark::Lost, "agent", format!("{namespace}/{name} is ready{restarts}"))
            .next(format!("kubectl -n {namespace} logs {name} --previous")),
        None => Finding::new(Mark::Ok, "agent", format!("{namespace}/{name} is ready{restarts}")),
    }
}

fn config(seen: &Seen<'_>) -> Finding {
    let Some(probe) = seen.probe else {
        let finding = Finding::new(Mark::Bad, "config", "there is no NodeProbe of this node");
        return finding
            .next("the operator creates it: kubectl probelet status shows whether one runs");
    };
    let by = probe.config.as_deref().unwrap_or("the built-in defaults");
    let refused = probe.trouble(CONFIG_APPLIED);
    let held = super::rollout::is_held;
    match probe.state {
        State::Failed => {
            let why = refused.map_or(String::new(), |t| format!("{}: {}", t.reason, t.message));
            Finding::new(Mark::Bad, "config", format!("its agent refuses {by}: {why}; the last good one is in force"))
                .next(format!("kubectl edit probeconfig {by}; if the agent is older than the operator, finish the upgrade"))
        }
        State::Pending if !probe.heard => {
            Finding::new(Mark::Bad, "config", format!("assigned {by}, but the agent has never reported"))
                .next("see the agent above")
        }
        State::Pending => Finding::new(Mark::Bad, "config", format!("assigned {by}; the agent has not acknowledged it yet"))
            .next("it takes seconds, and up to a minute where limits.apiWritesPerMinute is used up; then see its log"),
        State::Applied if seen.operated == Some(false) => {
            Finding::new(Mark::Bad, "config", format!("uses {by}, but no operator runs: changes are not rolled out"))
                .next("kubectl probelet status")
        }
        State::Applied => match seen.config {
            Some(config) if held(config) => {
                Finding::new(Mark::Note, "config", format!("uses {by}, whose rollout is {ROLLOUT_PAUSED}"))
                    .next(format!("kubectl probelet rollout resume {by}"))
            }
            _ => Finding::new(Mark::Ok, "config", format!("uses {by}")),
        },
    }
}

fn level(seen: &Seen<'_>, probe: &Probe, agent: &Agent) -> Finding {
    let config = probe.config.as_deref().unwrap_or(probelet_crds::DEFAULT);
    match agent.level {
        Level::Full => Finding::new(Mark::Ok, "level", "Full: nothing was given up for the budget"),
        Level::Paused => {
            Finding::new(Mark::Note, "level", "Paused by the configuration: nothing is collected")
                .next(if config == format!("paused-{}", seen.node) {
                    format!("kubectl probelet resume --node {}", seen.node)
                } else {
                    format!("kubectl probelet resume {config}")
                })
        }
        Level::Unknown => {
            Finding::new(Mark::Note, "level", "unknown to this release of the plugin")
        }
        Level::Stretched | Level::CountersOnly => {
            let what = if agent.level == Level::Stretched {
                "Stretched: it scans less often than configured, because more does not fit its budget"
            } else {
                "CountersOnly: process details are left out, because they do not fit the budget"
            };
            let found = format!("{what} of {}; it {}", show::cpu(agent.budget), agent.level_reason);
            Finding::new(Mark::Lost, "level", found).next(remedy(seen, config, agent))
        }
    }
}

/// What it would take: the agent's own estimate as a command.
fn remedy(seen: &Seen<'_>, config: &str, agent: &Agent) -> String {
    let patch = |spec: &str| {
        format!("kubectl patch probeconfig {config} --type=merge -p '{{\"spec\":{spec}}}'")
    };
    let slower = seen.report.as_ref().ok().and_then(|report| {
        let seconds = report.agent.effective_interval_seconds.get("sockets").copied().flatten()?;
        Some(format!("{}s", seconds.ceil().max(1.0)))
    });
    let slower = patch(&format!(
        "{{\"intervals\":{{\"sockets\":\"{0}\",\"processes\":\"{0}\"}}}}",
        slower.as_deref().unwrap_or("5s")
    ));
    match needed(&agent.level_reason) {
        Some(need) if need * 1_000_000 <= agent.budget => {
            "it fits again: the agent returns to Full after a while".to_owned()
        }
        Some(need) => {
            let more = patch(&format!("{{\"budget\":{{\"cpu\":\"{need}m\"}}}}"));
            format!("give it what it needs: {more}\n      or ask for less: {slower}")
        }
        None => format!("raise budget.cpu, or ask for less: {slower}"),
    }
}

/// The millicores in `needs 9m for …`.
fn needed(reason: &str) -> Option<u64> {
    let rest = reason.split_once("needs ")?.1;
    rest.split_once('m')?.0.parse().ok()
}

fn budget(seen: &Seen<'_>, probe: &Probe, agent: &Agent) -> Finding {
    let used = format!("{} of {} used", show::cpu(agent.cpu), show::cpu(agent.budget));
    match probe.trouble(WITHIN_BUDGET).filter(|trouble| trouble.certain) {
        Some(trouble) => Finding::new(Mark::Bad, "budget", format!("{used}: {}", trouble.message)).next(format!(
            "this should never happen: please report it with kubectl probelet dump; meanwhile kubectl probelet pause --node {}",
            seen.node
        )),
        None if is_reduced(agent.level) => Finding::new(Mark::Ok, "budget", format!("{used}: held")),
        None => Finding::new(Mark::Ok, "budget", used),
    }
}

fn intervals(seen: &Seen<'_>) -> Finding {
    let report = match &seen.report {
        Ok(report) => report,
        Err(no) => return unreported(no),
    };
    let agent = &report.agent;
    let pairs = agent.desired_interval_seconds.iter().filter_map(|(kind, desired)| {
        let attained = agent.effective_interval_seconds.get(kind).copied().flatten()?;
        let desired = (*desired)?;
        (attained > desired * 1.5 && attained > 0.0)
            .then(|| format!("{kind} every {attained:.1} s instead of {desired:.1} s"))
    });
    let pairs: Vec<String> = pairs.collect();
    let fresh = format!("{:.1} s old at most", agent.freshness_seconds);
    if pairs.is_empty() {
        Finding::new(Mark::Ok, "intervals", format!("as configured; the data is {fresh}"))
    } else {
        Finding::new(Mark::Lost, "intervals", format!("{}; the data is {fresh}", pairs.join(", ")))
    }
}

/// Why there is no report. An agent whose budget is used up does as it was configured to.
pub(super) fn unreported(no: &Unreported) -> Finding {
    let mark = if no.busy { Mark::Lost } else { Mark::Bad };
    let finding = Finding::new(mark, "report", no.why.as_str());
    match &no.next {
        Some(next) => finding.next(next.as_str()),
        None => finding,
    }
}

/// What is wrong with the workloads of the node, which is none of the agent's faults: all of it by the report, else the worst
/// by the status.
fn workloads(seen: &Seen<'_>) -> Vec<Finding> {
    if let Ok(report) = seen.report {
        let node = Target::Node(seen.node.to_owned());
        let mut wrong = Checkup::of(&node, std::slice::from_ref(report)).wrong();
        let more = wrong.len().saturating_sub(WORKLOADS);
        wrong.truncate(WORKLOADS);
        if more > 0 {
            let found = format!("and {more} more, of flows and of what runs full");
            wrong.push(Finding::new(Mark::Note, "workloads", found));
        }
        return wrong;
    }
    let trouble = seen.probe.and_then(|probe| probe.trouble(CONNECTIONS_HEALTHY));
    let trouble = trouble.filter(|trouble| trouble.certain);
    let found = trouble.map(|trouble| format!("{}: {}", trouble.reason, trouble.message));
    found.map(|found| Finding::new(Mark::Bad, "workloads", found)).into_iter().collect()
}

impl show::Answer for Explanation {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        let level = self.level.map_or("nothing known of its level", Level::name);
        page.line(Cell::bold(format!("{}: {level}", self.node)));
        lines(&mut page, &self.findings);
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("node/{}", self.node)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_estimate_becomes_a_number() {
        assert_eq!(needed("needs 9m for 1s freshness at 41200 sockets"), Some(9));
        assert_eq!(needed("not affordable"), None);
    }
}
