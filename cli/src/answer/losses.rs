//! Losses in words, with what to do about them.
//!
//! In: a reason and a count, as the report has them. Out: a finding. It must not judge how much is too much. Pure: values only.

use super::finding::{Finding, Mark};
use crate::seen::report::UNSEEN;
use crate::show;

/// Losses in words, with what a person can do about them, if anything.
const LOSSES: [(&str, &str, &str); 17] = [
    (
        "listeners_full",
        "listeners that closed did not fit into what is remembered of them for a minute",
        "",
    ),
    ("risks_full", "things that run full did not fit into the list of risks", ""),
    ("vanished", "processes ended while they were read", ""),
    (
        "permission",
        "files of processes may not be read",
        "grant SYS_PTRACE and DAC_READ_SEARCH (agent.capabilities of the chart)",
    ),
    ("no_owner", "sockets belong to no process that could be found", ""),
    ("owner_pending", "sockets wait for their owner to be looked for", ""),
    ("closed_no_owner", "connections closed before their process was known", ""),
    (
        "sockets_full",
        "sockets did not fit into the table and are counted only",
        "raise limits.maxSockets",
    ),
    (
        "processes_full",
        "processes did not fit into the table and are counted only",
        "raise limits.maxProcesses",
    ),
    ("chain_cut", "sockets are in a chain of the kernel's table that is too long to scan", ""),
    ("torn", "records changed while the kernel wrote them", ""),
    (
        "malformed",
        "records of the kernel were malformed",
        "please report it with kubectl probelet dump",
    ),
    ("netns_vanished", "network namespaces ended while they were read", ""),
    ("rate_limited", "reads were put off by limits", "see spec.limits"),
    (
        "container_unknown",
        "processes are in a container that is not known",
        "see docs/user/troubleshooting.md",
    ),
    (
        "flows_full",
        "flows did not fit into the table and are folded into `other`",
        "use metrics.granularity Workload or Service",
    ),
    (
        UNSEEN,
        "sockets that the kernel counts were seen by no source",
        "see the source above: a better one sees them",
    ),
];

/// A loss in words; one of another release by its name alone.
pub(super) fn loss(mark: Mark, reason: &str, count: u64) -> Finding {
    let known = LOSSES.iter().find(|(name, ..)| *name == reason);
    let n = show::count(count);
    let found = match known {
        Some((_, words, _)) => format!("{n} {words}, since the agent's start ({reason})"),
        None => format!("{n} {reason}, since the agent's start"),
    };
    let finding = Finding::new(mark, "loss", found);
    match known {
        Some((_, _, remedy)) if !remedy.is_empty() => finding.next(*remedy),
        _ => finding,
    }
}
