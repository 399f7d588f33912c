//! What a `LimitRange` of the namespace makes of the pods: refused, or throttled.
//!
//! In: its limits for containers and pods. Out: findings, and values with which the pods are admitted. The pods have one
//! container each, so that what is said of a pod holds for its container. Pure: values only.

use serde_json::{Value, json};

use crate::answer::finding::{Finding, Mark};
use crate::quantity::{bytes, mebibytes, millicores, times};
use crate::seen::cluster::{Limit, Range};

/// What a component asks for by default, and the CPU limit that is proposed where it must have one.
pub(super) struct Asks {
    component: &'static str,
    /// MiB.
    pub(super) memory_request: u64,
    pub(super) memory_limit: u64,
    /// Millicores.
    pub(super) cpu_request: u64,
    cpu_limit: u64,
}

/// By charts/probelet/values.yaml; the pod of `helm test` has what the operator has.
pub(super) const CHART: [Asks; 2] = [
    Asks {
        component: "agent",
        memory_request: 32,
        memory_limit: 128,
        cpu_request: 10,
        cpu_limit: 100,
    },
    Asks {
        component: "operator",
        memory_request: 32,
        memory_limit: 256,
        cpu_request: 10,
        cpu_limit: 500,
    },
];

pub(super) fn limits(ranges: &[Range], values: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    for range in ranges {
        let name = &range.metadata.name;
        let meant = |one: &&Limit| ["Container", "Pod"].contains(&one.kind.as_str());
        for limit in range.spec.limits.iter().filter(meant) {
            found.extend(default_cpu(name, limit));
            found.extend(most(name, limit, values));
            found.extend(least(name, limit, values));
            found.extend(ratio(name, limit, values));
        }
    }
    found
}

fn finding(mark: Mark, found: String) -> Finding {
    Finding::new(mark, "limits", found)
}

/// Sets a quantity of a component.
fn set(component: &str, kind: &str, resource: &str, quantity: &str) -> Value {
    json!({component: {"resources": {kind: {resource: quantity}}}})
}

fn default_cpu(name: &str, limit: &Limit) -> Option<Finding> {
    let cpu = limit.default.get("cpu")?;
    let found = format!(
        "{name} gives pods without a CPU limit one of {cpu}: an agent whose budget is above it is throttled"
    );
    let next = "keep spec.budget.cpu of the ProbeConfigs well below it";
    Some(finding(Mark::Note, found).next(next))
}

/// The most that may be asked for.
fn most(name: &str, limit: &Limit, values: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    let memory = limit.max.get("memory").and_then(|most| mebibytes(most));
    for Asks { component, memory_limit, .. } in &CHART {
        if let Some(most) = memory.filter(|most| most < memory_limit) {
            let text = format!(
                "{name} allows at most {most}Mi of memory, and an {component}'s limit is {memory_limit}Mi: its pods are refused"
            );
            let next = match *component {
                "agent" => {
                    "raise it, or set agent.resources.limits.memory and lower spec.limits.maxSockets with it"
                }
                _ => "raise it, or set operator.resources.limits.memory (docs/user/sizes.md)",
            };
            found.push(finding(Mark::Bad, text).next(next));
        }
    }
    // Containers without a limit are given it; pods are not.
    if limit.kind == "Pod"
        && let Some(most) = limit.max.get("cpu")
    {
        let text = format!(
            "{name} allows a pod at most {most} of CPU, so one without a CPU limit is refused, and agents have none"
        );
        found.push(finding(Mark::Bad, text).next(LIMITED));
        values.extend(CHART.iter().map(cpu_limit));
    }
    found
}

pub(super) const LIMITED: &str =
    "set limits, as in the values below; an agent's must be above its budget, or it is throttled";

pub(super) fn cpu_limit(asks: &Asks) -> Value {
    set(asks.component, "limits", "cpu", &format!("{}m", asks.cpu_limit))
}

/// The least that must be asked for.
fn least(name: &str, limit: &Limit, values: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut refused = |resource: &str, least: &str, asked: String| {
        let text = format!(
            "{name} wants requests of at least {least} of {resource}, and pods ask for {asked}: they are refused"
        );
        let next = "ask for more, as in the values below: it is kept free on every node";
        found.push(finding(Mark::Bad, text).next(next));
    };
    let [agent, _] = &CHART;
    if let Some(least) = limit.min.get("cpu")
        && millicores(least).is_some_and(|least| least > agent.cpu_request)
    {
        refused("CPU", least, format!("{}m", agent.cpu_request));
        values.extend(CHART.iter().map(|asks| set(asks.component, "requests", "cpu", least)));
    }
    if let Some(least) = limit.min.get("memory")
        && let Some(amount) = bytes(least).filter(|least| *least > agent.memory_request << 20)
    {
        refused("memory", least, format!("{}Mi", agent.memory_request));
        for asks in &CHART {
            values.push(set(asks.component, "requests", "memory", least));
            if amount > asks.memory_limit << 20 {
                values.push(set(asks.component, "limits", "memory", least));
            }
        }
    }
    found
}

/// How many times its request a limit may be.
fn ratio(name: &str, limit: &Limit, values: &mut Vec<Value>) -> Vec<Finding> {
    let mut found = Vec::new();
    let next = "ask for more, as in the values below: it is kept free on every node";
    let ratio = |resource| limit.max_limit_request_ratio.get(resource).and_then(|text| times(text));
    if let Some(most) = ratio("memory") {
        let mut refused = Vec::new();
        let floor = limit.min.get("memory").and_then(|least| bytes(least)).unwrap_or(0);
        for asks in &CHART {
            let least = part(asks.memory_limit, most);
            if least > asks.memory_request && least << 20 > floor {
                refused.push(asks.component);
                values.push(set(asks.component, "requests", "memory", &format!("{least}Mi")));
            }
        }
        if !refused.is_empty() {
            let text = format!(
                "{name} allows memory limits of {most} times the request, and {} have more: their pods are refused",
                refused.join("s and ") + "s"
            );
            found.push(finding(Mark::Bad, text).next(next));
        }
    }
    if let Some(most) = ratio("cpu") {
        let given = limit.default.get("cpu").and_then(|given| millicores(given));
        let fits = |asks: &Asks| given.is_some_and(|given| part(given, most) <= asks.cpu_request);
        if !CHART.iter().all(fits) {
            let text = format!(
                "{name} wants CPU limits of at most {most} times the request, and agents and operators have none or are given more: their pods are refused"
            );
            found.push(finding(Mark::Bad, text).next(LIMITED));
            let floor = limit.min.get("cpu").and_then(|least| millicores(least)).unwrap_or(0);
            for asks in &CHART {
                values.push(cpu_limit(asks));
                let least = part(asks.cpu_limit, most).max(asks.cpu_request).max(floor);
                values.push(set(asks.component, "requests", "cpu", &format!("{least}m")));
            }
        }
    }
    found
}

/// The least request for a limit.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are small, and the ratio is at least one"
)]
fn part(limit: u64, ratio: f64) -> u64 {
    (limit as f64 / ratio).ceil() as u64
}
