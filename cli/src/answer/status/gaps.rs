//! What the picture of a fleet lacks.
//!
//! In: all nodes. Out: a message for connections that were not seen, sockets that no source saw and ends without a name,
//! each beyond a share that is tolerated. Pure: values only.

use crate::seen::probe::{Level, Probe};
use crate::show;

/// One of a thousand, if no one says otherwise: what the agents themselves aim at.
pub(in crate::answer) const TOLERATED: f64 = 0.001;

/// What is missing, counted.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// The lowest coverage, and where.
    least: Option<(f64, String)>,
    /// Nodes by their coverage.
    coverage: Vec<f64>,
    connections: i64,
    unresolved: i64,
    unseen: i64,
    /// The node with the most of them.
    unseen_on: Option<(i64, String)>,
}

impl Gaps {
    pub(super) fn of(probes: &[Probe]) -> Self {
        let mut gaps = Self::default();
        for probe in probes {
            // Who is paused was asked to see nothing.
            if probe.agent.as_ref().is_some_and(|agent| agent.level == Level::Paused) {
                continue;
            }
            gaps.connections += probe.summary.map_or(0, |summary| summary.connections);
            gaps.unresolved += probe.unresolved;
            gaps.unseen += probe.unseen;
            let name = || probe.name.to_string();
            if let Some(share) = probe.coverage {
                gaps.coverage.push(share);
                if gaps.least.as_ref().is_none_or(|(least, _)| share < *least) {
                    gaps.least = Some((share, name()));
                }
            }
            if probe.unseen > gaps.unseen_on.as_ref().map_or(0, |(most, _)| *most) {
                gaps.unseen_on = Some((probe.unseen, name()));
            }
        }
        gaps
    }

    /// What is missing beyond this share.
    pub(super) fn beyond(&self, share: f64) -> Vec<String> {
        let mut all = Vec::new();
        if let Some((least, node)) = self.least.as_ref().filter(|(least, _)| *least < 1.0 - share) {
            let low = self.coverage.iter().filter(|one| **one < 1.0 - share).count();
            all.push(format!(
                "only {} of the opened connections were seen on {node}{}",
                show::percent(*least),
                match low {
                    1 => String::new(),
                    2 => ", and too few on 1 more node".to_owned(),
                    n => format!(", and too few on {} more nodes", n - 1),
                }
            ));
        }
        if self.weighs(self.unseen, share) {
            let node = self.unseen_on.as_ref().map_or("", |(_, node)| node.as_str());
            all.push(format!(
                "{} sockets that the kernel counts were seen by no source, most on {node}",
                count(self.unseen)
            ));
        }
        if self.weighs(self.unresolved, share) {
            all.push(format!(
                "{} of {} connections have an end without a name",
                count(self.unresolved),
                count(self.connections)
            ));
        }
        all
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of three digits")]
    fn weighs(&self, missing: i64, share: f64) -> bool {
        missing > 0 && missing as f64 > self.connections.max(0) as f64 * share
    }
}

fn count(n: i64) -> String {
    show::count(u64::try_from(n).unwrap_or(0))
}
