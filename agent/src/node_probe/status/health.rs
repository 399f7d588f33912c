//! What is wrong with the workloads of the node, as one condition.
//!
//! In: a picture. Out: whether no flow is sick and nothing runs full; else the worst of it, with its reason, and how much
//! else there is. It must not judge: the report did, with thresholds that have some play. What was wrong stays said for a
//! minute, so that a fault that comes and goes is one turn of the condition, and not many.
//!
//! Pure: no I/O, no clock; time is an argument.

use crate::snapshot::Snapshot;
use probelet_core::budget::Level;
use probelet_core::display::{ContainerNames, ends};
use probelet_core::facts::SourceKind;
use probelet_core::records::{FlowRecord, Risk, RiskRecord};
use probelet_core::report::Picture;
use probelet_crds::condition::{Status, connections_healthy as reasons};
use std::time::Duration;

/// What was wrong is said for so long after it is over.
const LASTING: Duration = Duration::from_mins(1);

/// The last thing that was wrong, and when it was.
#[derive(Debug, Default)]
pub(super) struct Health {
    wrong: Option<(Duration, &'static str, String)>,
}

impl Health {
    /// The condition: status, reason, message.
    pub(super) fn look(
        &mut self,
        snapshot: &Snapshot,
        names: &ContainerNames,
        now: Duration,
    ) -> (Status, &'static str, String) {
        let (picture, vitals) = (&snapshot.picture, &snapshot.vitals);
        if picture.epoch == 0 || vitals.level == Level::Paused {
            self.wrong = None;
            return (Status::Unknown, reasons::NOT_READ, String::new());
        }
        if let Some((reason, message)) = worst(picture, names) {
            self.wrong = Some((now, reason, message));
        }
        self.wrong.take_if(|(at, ..)| now.saturating_sub(*at) >= LASTING);
        match &self.wrong {
            Some((_, reason, message)) => (Status::False, reason, message.clone()),
            None => (Status::True, reasons::HEALTHY, unread(vitals.source_kind).to_owned()),
        }
    }
}

/// What the source does not know, and so cannot find wrong.
const fn unread(source_kind: SourceKind) -> &'static str {
    match source_kind {
        SourceKind::Procfs => {
            "procfs knows no accept queues and ranges of ports, and segments only of short connections"
        }
        _ => "",
    }
}

/// The worst thing on the node. What fails comes before what runs full, and that before what is slow.
fn worst(picture: &Picture, names: &ContainerNames) -> Option<(&'static str, String)> {
    let flows = || picture.flows.iter();
    let failing = flows().filter(|flow| flow.health.problems.failing);
    let failing = failing.max_by_key(|flow| (flow.health.recent.failed, flow.id));
    let lossy = flows().filter(|flow| flow.health.problems.lossy);
    let lossy = lossy.max_by_key(|flow| (flow.health.recent.retransmitted, flow.id));
    let full = picture.risks.iter().max_by_key(|risk| (fill(risk), risk.id));
    let sick = flows().filter(|flow| flow.health.problems.any()).count();
    let (reason, message) = match (failing, full, lossy) {
        (Some(flow), ..) => {
            let failed = flow.health.failed;
            (
                reasons::FLOW_FAILING,
                format!("{}: {failed} attempts failed so far", edge(picture, names, flow)),
            )
        }
        (None, Some(risk), _) => (reason(risk.risk), describe(picture, names, risk)),
        (None, None, Some(flow)) => {
            let share = flow.health.recent.share().unwrap_or(0.0) * 100.0;
            (
                reasons::FLOW_LOSSY,
                format!("{}: {share:.1} % sent again", edge(picture, names, flow)),
            )
        }
        (None, None, None) => return None,
    };
    let others = sick + picture.risks.len() - 1;
    let more = if others > 0 { format!("; and {others} more") } else { String::new() };
    Some((reason, format!("{message}{more}")))
}

/// How full it is, in thousands.
fn fill(risk: &RiskRecord) -> u64 {
    risk.used.saturating_mul(1000) / risk.limit.max(1)
}

fn edge(picture: &Picture, names: &ContainerNames, flow: &FlowRecord) -> String {
    let name = |workload| ends::workload(picture, names, workload);
    let (from, to) = (name(flow.key.source), name(flow.key.destination));
    match flow.key.port {
        0 => format!("{from} to {to}"),
        port => format!("{from} to {to} port {port}"),
    }
}

const fn reason(risk: Risk) -> &'static str {
    match risk {
        Risk::AcceptQueue => reasons::ACCEPT_QUEUE_FULL,
        Risk::CloseWait => reasons::CLOSE_WAIT_LEAK,
        Risk::OpenFiles => reasons::OPEN_FILES_FULL,
        Risk::EphemeralPorts => reasons::PORTS_USED_UP,
        Risk::Conntrack => reasons::CONNTRACK_FULL,
    }
}

fn describe(picture: &Picture, names: &ContainerNames, risk: &RiskRecord) -> String {
    let whose = match risk.risk {
        Risk::Conntrack => "node".to_owned(),
        _ => ends::workload(picture, names, risk.owner.workload()),
    };
    let place = match (risk.risk, risk.port) {
        (Risk::EphemeralPorts, _) => format!(" to {}", risk.remote),
        (_, 0) => String::new(),
        (_, port) => format!(" port {port}"),
    };
    let used = match risk.limit {
        0 => risk.used.to_string(),
        limit => format!("{} of {limit}", risk.used),
    };
    format!("{whose}{place}: {used} ({})", risk.risk.name())
}
