//! For tests: the status of a node on which every text is a stranger's. Pure: no I/O but a look at our own rights.

use super::conditions::Scene;
use super::memory::Memory;
use crate::config::Effective;
use crate::node_probe::follow::{Assigned, Refusal};
use crate::snapshot::Snapshot;
use probelet_core::display::ContainerNames;
use probelet_crds::NodeProbeStatus;
use std::sync::Arc;
use std::time::Duration;

/// As it would be sent.
pub(crate) fn status(snapshot: &Arc<Snapshot>, names: &Arc<ContainerNames>) -> NodeProbeStatus {
    let odd = snapshot.vitals.level_reason.clone();
    let config = Effective {
        hash: snapshot.vitals.config_hash.clone(),
        last_error: Some(odd.clone()),
        ..Effective::defaults()
    };
    let mut assigned =
        Assigned { refusal: Some(Refusal::Invalid(odd.clone())), ..Assigned::default() };
    assigned.unknown.names = vec![odd];
    assigned.unknown.count = 1;
    let scene = Scene {
        snapshot,
        names,
        config: &config,
        assigned: &assigned,
        applied: true,
        pinned: false,
        feed: None,
        lacking: &[],
        now: Duration::from_mins(10),
        unix: snapshot.vitals.verified_unix + 3.2,
    };
    let mut memory = Memory::new();
    let (mut status, _) = memory.look(&scene);
    status.top = Some(memory.tops.of(&snapshot.picture, names, 5));
    status.fit()
}
