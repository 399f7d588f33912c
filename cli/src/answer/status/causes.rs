//! Why a fleet is not as it should be: nodes with the same trouble are one line.
//!
//! In: what was seen. Out: causes, the worst first, each with how many nodes, a few names, the reason and the next step.
//! Pure: the time is an argument.

use std::collections::BTreeMap;

use probelet_crds::condition::{
    self, ACCEPTED, CONFIG_APPLIED, CONFLICTED, CONNECTIONS_HEALTHY, DATA_COMPLETE, DEGRADED,
    PERMISSIONS_OK, READY, WITHIN_BUDGET, degraded,
};
use probelet_crds::{Phase, State};
use serde::Serialize;

use super::{Seen, is_reduced};
use crate::answer::rollout::is_held;
use crate::seen::operator::Operator;
use crate::seen::probe::{Probe, Trouble};

/// Nodes that are named for each cause.
const NAMED: usize = 3;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The fleet does not apply what it was assigned.
    Bad,
    /// Something is missing from what is shown.
    Warn,
    /// A fault of workloads: probelet is well and says so.
    Sick,
    /// As it was asked for, and worth knowing.
    Note,
}

/// Something that someone should look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// How bad it is.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// On so many nodes; none if it is not about nodes.
    pub nodes: Option<usize>,
    /// A few of them.
    pub examples: Vec<String>,
    /// Why.
    pub why: String,
    /// What to do.
    pub next: String,
}

/// Whether a node does not apply what it was assigned.
pub(super) fn has_not_applied(probe: &Probe) -> bool {
    probe.state != State::Applied || probe.trouble(WITHIN_BUDGET).is_some_and(|t| t.certain)
}

/// All causes.
pub(super) fn causes(seen: &Seen, operator: &Operator) -> Vec<Cause> {
    let mut all = Vec::new();
    operating(seen, operator, &mut all);
    configs(seen, operator, &mut all);
    absent(seen, &mut all);
    nodes(seen, &mut all);
    all.sort_by(|a, b| {
        // What is wrong for all comes before what is wrong for some.
        let key =
            |cause: &Cause| (cause.severity, cause.nodes.is_some(), std::cmp::Reverse(cause.nodes));
        key(a).cmp(&key(b))
    });
    all
}

fn cause(severity: Severity, what: &str, why: String, next: String) -> Cause {
    Cause { severity, what: what.to_owned(), nodes: None, examples: Vec::new(), why, next }
}

fn operating(seen: &Seen, operator: &Operator, all: &mut Vec<Cause>) {
    let namespace = &seen.place.0;
    if let Operator::Silent { why } = operator {
        all.push(cause(
            Severity::Bad,
            "no operator runs: changes are not rolled out",
            why.clone(),
            format!("kubectl -n {namespace} get pods -l app.kubernetes.io/component=operator"),
        ));
    }
}

fn configs(seen: &Seen, operator: &Operator, all: &mut Vec<Cause>) {
    let operated = operator.runs() == Some(true);
    for config in &seen.configs {
        let (name, status) = (&config.metadata.name, config.status());
        let find = |kind| condition::get(&status.conditions, kind);
        let generation = config.metadata.generation;
        if status.observed_generation < generation {
            let why = format!("generation {generation} has not been processed by the operator");
            // Its status follows an edit within five seconds.
            let severity = if operated { Severity::Note } else { Severity::Bad };
            let next = "wait a few seconds; if it stays, see the operator's log".to_owned();
            all.push(cause(severity, &format!("edit of {name} is not in force"), why, next));
        }
        if let Some(refused) = find(ACCEPTED).filter(|c| c.status == "False") {
            let next = format!("kubectl edit probeconfig {name}");
            let what = format!("{name} is refused ({}); the last good one stays", refused.reason);
            all.push(cause(Severity::Bad, &what, refused.message.clone(), next));
        }
        if status.rollout.as_ref().is_some_and(|rollout| rollout.phase == Phase::RolledBack) {
            let why = find(DEGRADED).map_or(String::new(), |c| c.message.clone());
            let next = format!(
                "kubectl probelet config diff {name}; then rollout undo {name}, or edit it"
            );
            all.push(cause(
                Severity::Bad,
                &format!("rollout of {name} was rolled back"),
                why,
                next,
            ));
        } else if let Some(c) = find(DEGRADED).filter(|c| c.reason == degraded::WRITES_REFUSED) {
            let next = "see which webhook, quota or role refuses it".to_owned();
            let what = format!("the API server refuses to store nodes of {name}");
            all.push(cause(Severity::Bad, &what, c.message.clone(), next));
        }
        if is_held(config) {
            let why = format!(
                "{} of {} nodes have applied the newest content",
                status.nodes.applied, status.nodes.effective
            );
            let next = format!("kubectl probelet rollout resume {name}");
            all.push(cause(Severity::Note, &format!("rollout of {name} is paused"), why, next));
        }
        if let Some(conflict) = find(CONFLICTED).filter(|c| c.status == "True") {
            let next = format!("give {name} another priority or selector");
            let what = format!("{name} overlaps with another one");
            all.push(cause(Severity::Note, &what, conflict.message.clone(), next));
        }
    }
}

/// Nodes that nothing is known of, and agents that do not run.
fn absent(seen: &Seen, all: &mut Vec<Cause>) {
    let (namespace, fullname) = &seen.place;
    if seen.daemons.is_some_and(|daemons| daemons.desired_number_scheduled == 0) {
        let next = format!("helm list -A; kubectl -n {namespace} get daemonset {fullname}-agent");
        let why = "there is no pod of an agent, and none is wanted on any node".to_owned();
        all.push(cause(Severity::Bad, "no agent runs: nothing is observed", why, next));
    }
    let known = seen.probes.len() as u64 + seen.absent();
    let missing = seen.nodes.map_or(0, |nodes| nodes.saturating_sub(known));
    if missing > 0 {
        let why = "the operator has created no NodeProbe for them".to_owned();
        let next = format!("kubectl -n {namespace} logs deployment/{fullname}-operator");
        let mut cause = cause(Severity::Bad, "nodes without a NodeProbe", why, next);
        cause.nodes = usize::try_from(missing).ok();
        all.push(cause);
    }
    let mut by_why: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (node, why) in &seen.down {
        by_why.entry(why).or_default().push(node);
    }
    for (why, nodes) in by_why {
        let next = format!("kubectl probelet explain {}", nodes[0]);
        all.push(group(Severity::Bad, "agent does not run", &nodes, why, next));
    }
    let down =
        seen.daemons.map_or(0, |d| d.desired_number_scheduled.saturating_sub(d.number_ready));
    if seen.down.is_empty() && down > 0 {
        let next = format!("kubectl -n {namespace} get pods -l app.kubernetes.io/component=agent");
        let mut cause =
            cause(Severity::Bad, "agent is not ready", "Kubernetes says so".to_owned(), next);
        cause.nodes = usize::try_from(down).ok();
        all.push(cause);
    }
}

/// What agents say of themselves, the same words together.
fn nodes(seen: &Seen, all: &mut Vec<Cause>) {
    let down: Vec<&str> = seen.down.iter().map(|(node, _)| node.as_str()).collect();
    let mut groups: BTreeMap<(Severity, String), Vec<(&str, &str)>> = BTreeMap::new();
    let mut put = |severity, what: String, node, why| {
        groups.entry((severity, what)).or_default().push((node, why));
    };
    for probe in &seen.probes {
        let name = &*probe.name;
        let reported = probe.trouble(CONFIG_APPLIED);
        match probe.state {
            State::Failed => {
                let reason = reported.map_or("", |reported| &reported.reason);
                let why = reported.map_or("", |reported| &*reported.message);
                put(Severity::Bad, format!("config refused: {reason}"), name, why);
            }
            State::Pending if !probe.heard && !down.contains(&name) => {
                put(
                    Severity::Bad,
                    "agent has never reported".to_owned(),
                    name,
                    "its status is empty",
                );
            }
            State::Pending if probe.heard && !down.contains(&name) => {
                put(
                    Severity::Bad,
                    "config not applied yet".to_owned(),
                    name,
                    "assigned, and not acknowledged yet",
                );
            }
            State::Pending | State::Applied => {}
        }
        // That nothing is heard of an agent that does not run is no news.
        let amiss = |trouble: &&Trouble| {
            trouble.is_amiss() && !(trouble.is_silence() && down.contains(&name))
        };
        for trouble in probe.troubles.iter().filter(amiss) {
            if let Some((severity, what)) = judged(trouble) {
                put(severity, what, name, &trouble.message);
            }
        }
        if let Some(agent) = probe.agent.as_ref().filter(|agent| is_reduced(agent.level)) {
            let what = format!("level {}", agent.level.name());
            put(Severity::Warn, what, name, &agent.level_reason);
        }
    }
    for ((severity, what), nodes) in groups {
        let names: Vec<&str> = nodes.iter().map(|(node, _)| *node).collect();
        let verb = if what.starts_with("permissions") { "doctor" } else { "explain" };
        let next = format!("kubectl probelet {verb} {}", names[0]);
        all.push(group(severity, &what, &names, nodes[0].1, next));
    }
}

fn judged(trouble: &Trouble) -> Option<(Severity, String)> {
    let reason = &*trouble.reason;
    Some(match &*trouble.condition {
        WITHIN_BUDGET => (Severity::Bad, format!("over budget: {reason}")),
        READY if reason == condition::node_ready::PAUSED => {
            (Severity::Note, "paused by configuration".to_owned())
        }
        READY => (Severity::Bad, format!("no data: {reason}")),
        DATA_COMPLETE if reason == condition::data_complete::PAUSED => return None,
        DATA_COMPLETE => (Severity::Warn, format!("data incomplete: {reason}")),
        PERMISSIONS_OK => (Severity::Warn, format!("permissions: {reason}")),
        CONNECTIONS_HEALTHY => (Severity::Sick, format!("workloads: {reason}")),
        _ => return None,
    })
}

fn group(severity: Severity, what: &str, nodes: &[&str], why: &str, next: String) -> Cause {
    let examples = nodes.iter().take(NAMED).map(|&node| node.to_owned()).collect();
    Cause {
        severity,
        what: what.to_owned(),
        nodes: Some(nodes.len()),
        examples,
        why: why.to_owned(),
        next,
    }
}
