//! Status: what is said about one configuration.
//!
//! In: the world, the time. Out: the whole status as it should be. Conditions keep the time of their last transition
//! while they say the same, so that an equal status means that nothing is to be written. Pure: the time is an argument.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use probelet_core::text::clean;
use probelet_crds::condition::{
    self, ACCEPTED, CONFLICTED, DEGRADED, OVERRIDDEN, READY, accepted, conflicted, degraded,
    overridden, ready,
};
use probelet_crds::{CpuQuantity, Failure, Fleet, NodeCounts, NodeCpu, ProbeConfigStatus};

use crate::queue::NodeId;
use crate::rollout::Stage;
use crate::stages::observe::cut;
use crate::stages::validate::MAX_MESSAGE;
use crate::world::{Config, ConfigId, Counts, Node, State, World};

/// Bounds of the lists of a status, as the schema has them.
const FAILURES: usize = 10;
const WORST: usize = 5;
/// Other configurations that a message names.
const NAMED: usize = 5;

/// What a condition says.
type Says = (bool, &'static str, String);

/// The status of a configuration, whose nodes were counted; `None` if there is none at this place.
#[must_use]
pub fn status(
    world: &World,
    id: ConfigId,
    counts: &Counts,
    now: Timestamp,
) -> Option<ProbeConfigStatus> {
    let config = world.config_at(id)?;
    let mut conditions = known(&config.status.conditions);
    let says = [
        (ACCEPTED, accepted(config)),
        (READY, is_ready(config, counts)),
        (DEGRADED, is_degraded(world, config, counts)),
        (OVERRIDDEN, is_overridden(counts)),
        (CONFLICTED, is_conflicted(world, counts)),
    ];
    for (kind, (holds, reason, message)) in says {
        let message = clean(&message);
        let message = cut(&message, MAX_MESSAGE);
        condition::set(
            &mut conditions,
            kind,
            holds.into(),
            reason,
            message,
            config.generation,
            now,
        );
    }
    Some(ProbeConfigStatus {
        observed_generation: config.generation,
        nodes: NodeCounts {
            matched: counts.matched.into(),
            effective: counts.effective.into(),
            applied: counts.applied.into(),
            pending: counts.pending.into(),
            failed: counts.failed.into(),
            over_budget: counts.over_budget.into(),
            absent: counts.absent.into(),
        },
        failures: failures(world, counts),
        fleet: fleet(world, counts),
        // Of one that is not in force how far it had come stays: the next good edit goes on from there.
        rollout: match &config.rollout {
            Some(rollout) => Some(rollout.status()),
            None => config.status.rollout.clone(),
        },
        conditions,
    })
}

/// Conditions of the types that we write, each once: someone else's would stay for ever.
fn known(conditions: &[Condition]) -> Vec<Condition> {
    condition::OF_PROBE_CONFIG
        .iter()
        .filter_map(|kind| condition::get(conditions, kind).cloned())
        .collect()
}

fn accepted(config: &Config) -> Says {
    match &config.rejected {
        None => (true, accepted::VALID, String::new()),
        Some(rejected) => (false, rejected.reason, rejected.message.clone()),
    }
}

fn is_ready(config: &Config, counts: &Counts) -> Says {
    let Counts { effective, applied, pending, failed, assigned, silent, .. } = *counts;
    let progress = format!("{applied} of {effective} nodes have applied it");
    let stage = config.rollout.as_ref().map(|rollout| &rollout.stage);
    if config.rejected.is_some() {
        let message = "the last good configuration stays in force".to_owned();
        return (false, ready::NOT_ACCEPTED, message);
    }
    if let Some(Stage::RolledBack { .. }) = stage {
        return (false, ready::ROLLED_BACK, "the content before is in force again".to_owned());
    }
    if effective == 0 {
        let message = match counts.matched {
            0 => "no node matches".to_owned(),
            n => format!("another configuration wins on all {n} nodes that match"),
        };
        return (true, ready::NO_NODES, message);
    }
    let reason = match stage {
        _ if failed > 0 => ready::NODES_FAILED,
        _ if applied == effective => return (true, ready::ALL_APPLIED, progress),
        Some(_) if config.rollout_paused && assigned < effective => ready::ROLLOUT_PAUSED,
        Some(Stage::Canary(_)) => ready::CANARIES_WATCHED,
        _ if assigned == effective && silent == pending => ready::NODES_SILENT,
        _ => ready::ROLLING_OUT,
    };
    (false, reason, progress)
}

fn is_degraded(world: &World, config: &Config, counts: &Counts) -> Says {
    if let Some(Stage::RolledBack { why, .. }) = config.rollout.as_ref().map(|r| &r.stage) {
        return (true, degraded::ROLLED_BACK, why.clone());
    }
    let first = |is: fn(&Node) -> bool| {
        let nodes = counts.bad().filter_map(|id| world.node_at(id));
        nodes.into_iter().find(|node| is(node)).map_or(String::new(), |node| {
            let why = node.refused.as_deref().or(node.probe.as_ref().map(|p| &*p.said.reason));
            format!("{}: {}", node.name, why.unwrap_or_default())
        })
    };
    if counts.refused > 0 {
        let message = first(|node| node.refused.is_some());
        return (true, degraded::WRITES_REFUSED, message);
    }
    let of = counts.effective;
    if counts.failed > 0 {
        let message = format!("{} of {of} nodes refused it", counts.failed);
        return (true, degraded::NODES_FAILED, message);
    }
    if counts.over_budget > 0 {
        let message = format!("{} of {of} nodes exceed their budget", counts.over_budget);
        return (true, degraded::NODES_OVER_BUDGET, message);
    }
    let silent = counts.silent + counts.unheard;
    if silent > 0 {
        let message = format!("{silent} of {of} nodes have been silent for long");
        return (true, degraded::NODES_SILENT, message);
    }
    (false, degraded::AS_EXPECTED, String::new())
}

fn is_overridden(counts: &Counts) -> Says {
    match counts.overridden {
        0 => (false, overridden::NOT_OVERRIDDEN, String::new()),
        n => {
            let message = format!("one of higher priority wins on {n} of {} nodes", counts.matched);
            (true, overridden::HIGHER_PRIORITY, message)
        }
    }
}

fn is_conflicted(world: &World, counts: &Counts) -> Says {
    if counts.conflicts.is_empty() {
        return (false, conflicted::NO_CONFLICT, String::new());
    }
    let mut others: Vec<_> = counts
        .conflicts
        .iter()
        .filter_map(|(&id, &nodes)| Some((world.config_at(id)?.name.to_string(), nodes)))
        .collect();
    others.sort();
    let mut words: Vec<String> = others
        .iter()
        .take(NAMED)
        .map(|(name, nodes)| format!("{} ({nodes} nodes)", cut(name, 40)))
        .collect();
    if others.len() > NAMED {
        words.push(format!("{} more", others.len() - NAMED));
    }
    let message = format!("same priority as {}; the older one wins", words.join(", "));
    (true, conflicted::SAME_PRIORITY, message)
}

fn failures(world: &World, counts: &Counts) -> Vec<Failure> {
    counts.bad().take(FAILURES).filter_map(|id| failure(world, id)).collect()
}

fn failure(world: &World, id: NodeId) -> Option<Failure> {
    let node = world.node_at(id)?;
    let said = node.probe.as_ref().map_or("", |probe| &*probe.said.reason);
    let state = world.verdict(node).map(|verdict| verdict.state);
    let reason = match (&node.refused, node.silent || node.deaf) {
        (Some(_), _) => degraded::WRITES_REFUSED,
        (None, true) if state != Some(State::Failed) => ready::NODES_SILENT,
        _ => said,
    };
    Some(Failure { node: clean(&node.name).into_owned(), reason: reason.to_owned() })
}

fn fleet(world: &World, counts: &Counts) -> Fleet {
    // Nanocores do not fit a person; agents round to two digits anyway.
    let shown = |nanocores: u64| {
        let text = format!("{}u", nanocores.div_ceil(1000));
        text.parse::<CpuQuantity>().ok()
    };
    let worst = counts.by_cpu.iter().take(WORST).filter_map(|&(cpu, id)| {
        Some(NodeCpu { node: clean(&world.node_at(id)?.name).into_owned(), cpu: shown(cpu)? })
    });
    let p99 = counts.cpu_p99();
    Fleet {
        cpu: p99.and_then(|_| shown(counts.cpu)),
        cpu_p99: p99.and_then(shown),
        worst: worst.collect(),
    }
}
