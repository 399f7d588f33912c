//! `doctor`: what the kernel and the rights of an agent allow, what is lost, how to get it back.
//!
//! In: its `NodeProbe`, its pod, its report. Out: findings. What only a look from inside the pod can tell is named with
//! the command that looks. Pure: values only.

use probelet_crds::condition::PERMISSIONS_OK;
use serde::Serialize;

use super::explain::{Seen, agent, unreported};
use super::finding::{Finding, Mark, lines};
use super::losses::loss;
use super::status::TOLERATED;
use crate::seen::report::{Report, UNSEEN};
use crate::show::{self, Cell, Page};

/// Losses that are no fault: what they count is in the report in another way, or gone.
const USUAL: [&str; 4] = ["vanished", "netns_vanished", "closed_no_owner", "rate_limited"];

/// What was found.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    node: String,
    findings: Vec<Finding>,
    inside: Option<String>,
}

impl Diagnosis {
    /// From what is known.
    #[must_use]
    pub fn of(seen: &Seen<'_>) -> Self {
        let mut findings = vec![agent(seen)];
        findings.extend(release(seen));
        match &seen.report {
            Ok(report) => {
                findings.extend(source(report));
                findings.extend(permissions(seen));
                findings.extend(rights(report));
                findings.extend(cluster(report));
                findings.extend(losses(report));
            }
            Err(no) => {
                findings.push(unreported(no));
                findings.extend(permissions(seen));
            }
        }
        let inside = seen.pod.map(|pod| {
            let (namespace, name) = (seen.place.0, &pod.metadata.name);
            format!("kubectl -n {namespace} exec {name} -- /probelet-agent doctor")
        });
        Self { node: seen.node.to_owned(), findings, inside }
    }
}

fn release(seen: &Seen<'_>) -> Option<Finding> {
    let version = &seen.probe?.agent.as_ref()?.version;
    let ours = env!("CARGO_PKG_VERSION");
    Some(if **version == *ours {
        Finding::new(Mark::Ok, "release", format!("{version}, as this command"))
    } else {
        Finding::new(Mark::Note, "release", format!("{version}; this command is {ours}"))
    })
}

fn source(report: &Report) -> Vec<Finding> {
    let meaning = match report.source.as_str() {
        "bpf" => "the cheapest and most complete source",
        "bpf-compat" => "complete, several times as expensive as bpf",
        "netlink" => "more expensive than bpf; owners of new sockets come a little later",
        "procfs" => "by far the most CPU",
        _ => "no source works",
    };
    let best = report.source == "bpf";
    let mark = match report.source.as_str() {
        "none" | "" => Mark::Bad,
        _ if best => Mark::Ok,
        _ => Mark::Lost,
    };
    let mut all = vec![Finding::new(mark, "source", format!("{}: {meaning}", report.source))];
    all.extend(
        report.agent.refused.iter().map(|why| Finding::new(Mark::Lost, "refused", why.as_str())),
    );
    all
}

fn permissions(seen: &Seen<'_>) -> Option<Finding> {
    let probe = seen.probe?;
    Some(match probe.trouble(PERMISSIONS_OK).filter(|trouble| trouble.certain) {
        None => Finding::new(Mark::Ok, "permissions", "nothing is missing"),
        Some(trouble) => {
            let found = format!("{}: {}", trouble.reason, trouble.message);
            Finding::new(Mark::Lost, "permissions", found)
                .next("docs/user/security.md says what each capability is for; the chart grants them by agent.capabilities")
        }
    })
}

/// What it was started with and what it kept; an agent of 0.1.0 does not say.
fn rights(report: &Report) -> Vec<Finding> {
    let rights = &report.agent.rights;
    if rights.protections.is_empty() {
        return Vec::new();
    }
    let names = |list: &[String]| {
        if list.is_empty() { "no capability".to_owned() } else { list.join(", ") }
    };
    let kept: Vec<String> = rights
        .held
        .iter()
        .map(|one| format!("{} (thread {})", names(&one.capabilities), one.thread))
        .collect();
    let found = format!("started with {}; keeps {}", names(&rights.start), names(&kept));
    let lacking: Vec<String> = rights
        .protections
        .iter()
        .filter(|one| !one.in_force)
        .map(|one| format!("{} ({})", one.name, one.why.as_deref().unwrap_or("no reason given")))
        .collect();
    let mut all = vec![Finding::new(Mark::Ok, "rights", found)];
    if !lacking.is_empty() {
        let found = format!("not in force: {}", lacking.join(", "));
        all.push(
            Finding::new(Mark::Note, "rights", found)
                .next("docs/user/security.md#what-a-running-agent-gives-back"),
        );
    }
    all
}

fn cluster(report: &Report) -> Vec<Finding> {
    let (mut synced, mut late) = (Vec::new(), Vec::new());
    for (kind, known) in &report.cluster {
        let text = format!("{} {kind}", known.known);
        if known.synced { synced.push(text) } else { late.push(text) }
    }
    let mut all = Vec::new();
    if report.cluster.is_empty() {
        all.push(Finding::new(
            Mark::Lost,
            "names",
            "the agent has no data of the cluster: nothing is named",
        ));
    }
    if !synced.is_empty() {
        all.push(Finding::new(Mark::Ok, "names", format!("{} known", synced.join(", "))));
    }
    if !late.is_empty() {
        let found = format!("the lists are not complete: {}", late.join(", "));
        all.push(
            Finding::new(Mark::Lost, "names", found)
                .next("may its service account list and watch them? see the agent's log"),
        );
    }
    let nameless: Vec<String> = report
        .unresolved
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if !nameless.is_empty() {
        let found = format!("ends of connections without a name: {}", nameless.join(", "));
        all.push(
            Finding::new(Mark::Note, "unresolved", found)
                .next("docs/user/names.md says what each reason means"),
        );
    }
    all
}

fn losses(report: &Report) -> Vec<Finding> {
    let mut all = Vec::new();
    let coverage = report.coverage.ratio.map_or_else(
        || "no connection was opened in the last minute".to_owned(),
        |share| {
            format!(
                "{} of {} connections opened in the last minute were seen",
                show::percent(share),
                report.coverage.opened
            )
        },
    );
    let well = report.coverage.ratio.is_none_or(|share| share >= 1.0 - TOLERATED);
    all.push(Finding::new(if well { Mark::Ok } else { Mark::Lost }, "coverage", coverage));
    let reported = report.losses.iter().map(|(reason, count)| match reason.as_str() {
        UNSEEN => (reason, report.unseen()),
        _ => (reason, *count),
    });
    for (reason, count) in reported.filter(|(_, count)| *count > 0) {
        let mark = if USUAL.contains(&reason.as_str()) { Mark::Note } else { Mark::Lost };
        all.push(loss(mark, reason, count));
    }
    all
}

impl show::Answer for Diagnosis {
    fn page(&self, _: bool) -> Page {
        let mut page = Page::default();
        page.line(Cell::bold(&self.node));
        lines(&mut page, &self.findings);
        if let Some(inside) = &self.inside {
            page.gap();
            page.line("What the kernel, its mounts and its security modules allow is best seen from inside:");
            page.line(format!("  {inside}"));
        }
        page
    }

    fn names(&self) -> Vec<String> {
        vec![format!("node/{}", self.node)]
    }
}
