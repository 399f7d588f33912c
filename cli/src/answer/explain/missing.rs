//! What is missing from the picture of a node, and what to do about it.
//!
//! In: what is known of the node. Out: findings: what is lost, beyond the share that `status` tolerates, and what is only worth
//! knowing. Pure: values only.

use probelet_crds::condition::{
    DATA_COMPLETE, PERMISSIONS_OK, READY, data_complete, permissions_ok,
};

use super::Seen;
use crate::answer::finding::{Finding, Mark};
use crate::answer::losses::loss;
use crate::answer::status::TOLERATED;
use crate::seen::report::{Report, UNSEEN};
use crate::show;

/// What is missing from the picture, beyond what `status` tolerates, and what else is to be said of it.
pub(super) fn picture(seen: &Seen<'_>) -> (Vec<Finding>, Vec<Finding>) {
    let all = picture_of(seen);
    all.into_iter().partition(|finding| finding.mark == Mark::Lost)
}

fn picture_of(seen: &Seen<'_>) -> Vec<Finding> {
    let Some(probe) = seen.probe else { return Vec::new() };
    let mut all = Vec::new();
    for (kind, about) in
        [(READY, "report"), (DATA_COMPLETE, "data"), (PERMISSIONS_OK, "permissions")]
    {
        let Some(trouble) = probe.trouble(kind).filter(|trouble| trouble.is_amiss()) else {
            continue;
        };
        let found = if trouble.message.is_empty() {
            trouble.reason.to_string()
        } else {
            format!("{}: {}", trouble.reason, trouble.message)
        };
        let next = remedy_of(seen, &trouble.reason);
        all.push(Finding::new(Mark::Lost, about, found).next(next));
    }
    let reported =
        probe.trouble(DATA_COMPLETE).is_some_and(|t| &*t.reason == data_complete::LOW_COVERAGE);
    if let Some(share) = probe.coverage.filter(|_| !reported) {
        let mark = if share >= 1.0 - TOLERATED { Mark::Ok } else { Mark::Lost };
        let found = format!(
            "{} of the connections opened in the last minute were seen",
            show::percent(share)
        );
        all.push(Finding::new(mark, "coverage", found));
    }
    all.extend(seen.report.as_ref().ok().and_then(|report| short_lived(seen, report)));
    let report = seen.report.as_ref().ok();
    // The status is older than the report, and better than nothing.
    let written = |n: i64| u64::try_from(n).unwrap_or(0);
    let unseen = report.map_or_else(|| written(probe.unseen), |report| report.unseen());
    all.extend((unseen > 0).then(|| loss(Mark::Lost, UNSEEN, unseen)));
    let nameless: u64 =
        report.map_or_else(|| written(probe.unresolved), |r| r.unresolved.values().sum());
    if nameless > 0 {
        let reasons = report.iter().flat_map(|report| &report.unresolved).filter(|(_, n)| **n > 0);
        let reasons: Vec<String> = reasons.map(|(why, n)| format!("{why} {n}")).collect();
        let colon = if reasons.is_empty() { "" } else { ": " };
        let found =
            format!("{nameless} ends of connections have no name{colon}{}", reasons.join(", "));
        let of = probe.summary.map_or(0, |summary| written(summary.connections));
        #[expect(clippy::cast_precision_loss, reason = "a share of three digits")]
        let weighs = nameless as f64 > of as f64 * TOLERATED;
        let mark = if weighs { Mark::Lost } else { Mark::Note };
        all.push(
            Finding::new(mark, "names", found)
                .next("docs/user/names.md says what each reason means"),
        );
    }
    all
}

/// That short connections are counted by what the kernel keeps of closed ones, about half of their ends, and what it would take
/// to count each.
fn short_lived(seen: &Seen<'_>, report: &Report) -> Option<Finding> {
    let short = &report.short_lived;
    let reason = short.reason.as_deref().filter(|_| short.mode == "Counters")?;
    let found = format!(
        "short connections are counted by what the kernel keeps of them, about half of the ends: {reason}"
    );
    let finding = Finding::new(Mark::Lost, "ends", found);
    let config = seen.probe.and_then(|probe| probe.config.as_deref());
    let config = config.unwrap_or(probelet_crds::DEFAULT);
    Some(match short.needed_cores {
        Some(cores) => {
            let milli = (cores * 1000.0).ceil().max(1.0);
            finding.next(format!(
                "kubectl patch probeconfig {config} --type=merge -p '{{\"spec\":{{\"budget\":{{\"cpu\":\"{milli}m\"}}}}}}'"
            ))
        }
        None => finding.next(format!("kubectl probelet doctor {}", seen.node)),
    })
}

/// What each shortcoming asks for.
fn remedy_of(seen: &Seen<'_>, reason: &str) -> String {
    let config = seen.probe.and_then(|probe| probe.config.as_deref());
    let config = config.unwrap_or(probelet_crds::DEFAULT);
    let (namespace, node) = (seen.place.0, seen.node);
    match reason {
        data_complete::LOW_COVERAGE => format!(
            "connections shorter than intervals.sockets may be missed: kubectl patch probeconfig {config} --type=merge -p '{{\"spec\":{{\"intervals\":{{\"sockets\":\"250ms\"}}}}}}'"
        ),
        data_complete::TABLE_FULL => format!("kubectl edit probeconfig {config}"),
        data_complete::UNRESOLVED => "docs/user/names.md says what is needed for a name".to_owned(),
        data_complete::REDUCED => "raise budget.cpu, as above".to_owned(),
        permissions_ok::CAPABILITIES_MISSING
        | permissions_ok::KERNEL_REFUSED
        | permissions_ok::API_REFUSED => format!("kubectl probelet doctor {node}"),
        _ => match seen.pod {
            Some(pod) => format!("kubectl -n {namespace} logs {}", pod.metadata.name),
            None => "see the agent above".to_owned(),
        },
    }
}
