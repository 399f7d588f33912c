//! A snapshot for tests: vital signs of a healthy agent, an empty picture.
//!
//! Pure: no I/O.

use crate::discover::Limiter;
use crate::snapshot::{CpuTime, Histogram, Intervals, Skip, Snapshot, Task, Vitals};
use probelet_core::budget::Level;
use probelet_core::facts::Tier;
use probelet_core::report::Picture;
use std::sync::Arc;

/// The snapshot.
pub(crate) fn snapshot() -> Snapshot {
    let second = Intervals { sockets: 1.0, processes: 1.0, containers: 10.0, bytes: 10.0 };
    let vitals = Vitals {
        tier: Tier::Netlink,
        refused: ["bpf: loading was refused (EPERM): CAP_BPF is missing".to_owned()].into(),
        level: Level::Full,
        level_reason: String::new(),
        cpu_cores: 0.001,
        budget_cores: 0.005,
        window_seconds: 60.0,
        cpu: [CpuTime { user: 1.0, system: 2.0 }; Task::ALL.len()],
        rss_bytes: 12 << 20,
        desired: second,
        effective: second,
        freshness_seconds: 1.0,
        verified_unix: 1_700_000_000.0,
        pass_duration: Histogram::default(),
        pass_cpu: Histogram::default(),
        full_pass_cpu: 0.001,
        skipped: [3; Skip::ALL.len()],
        limiter_wait_seconds: [
            (Limiter::ProcfsReads, 0.0),
            (Limiter::Fds, 0.5),
            (Limiter::Netns, 0.0),
        ],
        config_generation: 1,
        config_hash: "abc".to_owned(),
        config_origin: "defaults".to_owned(),
        config_error: None,
        started_unix: 1_699_999_000.5,
    };
    Snapshot {
        node: "node-1".into(),
        boot_unix: 1_600_000_000.0,
        picture: Picture::default(),
        vitals,
    }
}
