//! What a person reads, and when.

use super::*;
use crate::serve::testing;
use probelet_core::display::ContainerNames;
use probelet_core::facts::{Facts, Want};
use probelet_core::join::PortRange;
use probelet_core::report::{Limits, Now, Report};
use probelet_crds::condition::connections_healthy;

/// A healthy agent, ten minutes after its start.
struct Node {
    snapshot: Snapshot,
    config: Effective,
    assigned: Assigned,
    applied: bool,
    feed: Feed,
    lacking: Vec<Capability>,
    judge: Judge,
    seconds: u64,
}

impl Node {
    fn new() -> Self {
        let mut snapshot = testing::big(1);
        snapshot.vitals.source_kind = SourceKind::Bpf;
        snapshot.vitals.refused = [].into();
        Self {
            snapshot,
            config: Effective::defaults(),
            assigned: Assigned::default(),
            applied: true,
            feed: Feed::default(),
            lacking: vec![],
            judge: Judge::default(),
            seconds: 600,
        }
    }

    fn all(&mut self) -> [Verdict; 6] {
        let scene = Scene {
            snapshot: &self.snapshot,
            names: &ContainerNames::default(),
            config: &self.config,
            assigned: &self.assigned,
            applied: self.applied,
            pinned: false,
            feed: Some(&self.feed),
            lacking: &self.lacking,
            now: Duration::from_secs(self.seconds),
            unix: 1_700_000_000.0,
        };
        self.judge.look(&scene)
    }

    /// Status and reason of one of them, after some time.
    fn after(&mut self, seconds: u64, kind: &str) -> (Status, &'static str) {
        self.seconds += seconds;
        let verdict = self.all().into_iter().find(|v| v.kind == kind).unwrap();
        (verdict.status, verdict.reason)
    }

    fn now(&mut self, kind: &str) -> (Status, &'static str) {
        self.after(0, kind)
    }
}

const NO: Status = Status::False;

#[test]
fn a_healthy_agent_has_nothing_to_say() {
    let verdicts = Node::new().all();

    for verdict in verdicts {
        assert_eq!((verdict.status, verdict.message.as_str()), (Status::True, ""), "{verdict:?}");
    }
}

#[test]
fn before_the_first_picture_no_one_can_tell() {
    let mut node = Node::new();
    node.snapshot.picture = Picture::default();

    assert_eq!(node.now(condition::READY), (Status::Unknown, node_ready::STARTING));
    assert_eq!(node.now(condition::DATA_COMPLETE), (Status::Unknown, data_complete::STARTING));
}

#[test]
fn an_old_picture_is_not_ready() {
    let mut node = Node::new();
    node.snapshot.vitals.verified_unix -= 29.0;
    assert_eq!(node.now(condition::READY).0, Status::True);

    node.snapshot.vitals.verified_unix -= 2.0;

    assert_eq!(node.now(condition::READY), (NO, node_ready::SOURCE_FAILED));
    assert_eq!(node.now(condition::DATA_COMPLETE), (NO, data_complete::STALE));
}

#[test]
fn a_pause_is_reported_as_one() {
    let mut node = Node::new();
    node.snapshot.vitals.level = Level::Paused;
    node.snapshot.vitals.verified_unix = 1.0;

    assert_eq!(node.now(condition::READY), (NO, node_ready::PAUSED));
    assert_eq!(node.now(condition::DATA_COMPLETE), (NO, data_complete::PAUSED));
    assert_eq!(node.now(condition::WITHIN_BUDGET), (Status::True, within_budget::WITHIN));
}

#[test]
fn the_budget_is_exceeded_when_it_was_for_a_whole_window() {
    let mut node = Node::new();
    node.snapshot.vitals.cpu_cores = 0.005_2;

    assert_eq!(node.now(condition::WITHIN_BUDGET).0, Status::True);
    assert_eq!(node.after(59, condition::WITHIN_BUDGET).0, Status::True);
    assert_eq!(node.after(1, condition::WITHIN_BUDGET), (NO, within_budget::EXCEEDED));

    node.snapshot.vitals.cpu_cores = 0.005_05;
    assert_eq!(node.after(1, condition::WITHIN_BUDGET).0, Status::True);
}

#[test]
fn another_budget_is_another_promise() {
    let mut node = Node::new();
    node.snapshot.vitals.cpu_cores = 0.1;
    node.now(condition::WITHIN_BUDGET);

    node.snapshot.vitals.budget_cores = 0.009;

    assert_eq!(node.after(60, condition::WITHIN_BUDGET).0, Status::True);
    assert_eq!(node.after(60, condition::WITHIN_BUDGET).0, NO);
}

#[test]
fn stretching_is_within_the_budget_and_says_what_it_would_take() {
    let mut node = Node::new();
    node.snapshot.vitals.level = Level::Stretched;
    node.snapshot.vitals.level_reason = "needs 9m for 1s freshness at 41200 sockets".to_owned();

    let verdicts = node.all();

    let budget = verdicts.iter().find(|v| v.kind == condition::WITHIN_BUDGET).unwrap();
    assert_eq!((budget.status, budget.reason), (Status::True, within_budget::STRETCHED));
    assert!(budget.message.contains("needs 9m"), "{}", budget.message);
}

#[test]
fn a_refused_configuration_is_reported_with_its_field() {
    let mut node = Node::new();
    node.assigned.refusal = Some(Refusal::Invalid("spec.budget.cpu: \"0\" is less than 1m".into()));

    let verdicts = node.all();

    assert_eq!((verdicts[1].status, verdicts[1].reason), (NO, config_applied::INVALID));
    assert!(verdicts[1].message.contains("spec.budget.cpu"));
}

#[test]
fn an_engine_that_has_not_applied_yet_is_pending() {
    let mut node = Node::new();
    node.applied = false;

    let pending = (Status::Unknown, config_applied::PENDING);
    assert_eq!(node.now(condition::CONFIG_APPLIED), pending);
}

#[test]
fn a_source_that_does_not_work_here_is_reported() {
    let mut node = Node::new();
    node.config.spec.source = probelet_crds::Source::BpfCompat;

    let refused = (NO, config_applied::SOURCE_UNAVAILABLE);
    assert_eq!(node.now(condition::CONFIG_APPLIED), refused);
}

#[test]
fn low_coverage_counts_once_it_lasts_and_until_it_is_well_again() {
    let mut node = Node::new();
    let coverage = |observed| [probelet_core::coverage::Count { opened: 1000, observed }; 2];

    node.snapshot.picture.coverage = coverage(940);
    assert_eq!(node.now(condition::DATA_COMPLETE).0, Status::True);
    assert_eq!(node.after(60, condition::DATA_COMPLETE), (NO, data_complete::LOW_COVERAGE));
    node.snapshot.picture.coverage = coverage(970);
    assert_eq!(node.after(60, condition::DATA_COMPLETE).0, NO);
    node.snapshot.picture.coverage = coverage(980);
    assert_eq!(node.after(5, condition::DATA_COMPLETE).0, Status::True);
}

#[test]
fn low_coverage_names_what_reporting_each_end_would_take() {
    let mut node = Node::new();
    node.snapshot.picture.coverage =
        [probelet_core::coverage::Count { opened: 1000, observed: 500 }; 2];
    node.snapshot.vitals.short_lived.reason = Some("reporting each end needs 16m".into());
    node.now(condition::DATA_COMPLETE);
    node.seconds += 60;

    let verdicts = node.all();

    let low = verdicts.iter().find(|v| v.reason == data_complete::LOW_COVERAGE).unwrap();
    assert!(low.message.starts_with("50% "), "{}", low.message);
    assert!(low.message.ends_with("needs 16m"), "{}", low.message);
}

#[test]
fn a_share_of_a_few_connections_says_nothing() {
    let mut node = Node::new();
    node.snapshot.picture.coverage =
        [probelet_core::coverage::Count { opened: 99, observed: 1 }; 2];

    node.now(condition::DATA_COMPLETE);

    assert_eq!(node.after(600, condition::DATA_COMPLETE).0, Status::True);
}

#[test]
fn a_full_table_is_reported_for_a_while() {
    let mut node = Node::new();
    let mut facts = Facts { fresh: Some(Want::Everything), ..Facts::default() };
    facts.losses.add(Loss::SocketsFull, 7);
    let mut report = Report::new(Limits::default(), PortRange::default());
    report.update(&facts, Now::default());
    let losses = report.picture(Now::default()).losses;

    node.snapshot.picture.losses = losses;
    assert_eq!(node.now(condition::DATA_COMPLETE), (NO, data_complete::TABLE_FULL));
    assert_eq!(node.after(299, condition::DATA_COMPLETE).0, NO);
    assert_eq!(node.after(2, condition::DATA_COMPLETE).0, Status::True);
}

#[test]
fn names_are_stale_when_the_server_was_silent_for_minutes() {
    let mut node = Node::new();
    node.feed.silent = Duration::from_secs(301);

    assert_eq!(node.now(condition::DATA_COMPLETE), (NO, data_complete::NAMES_STALE));
}

#[test]
fn a_role_that_forbids_to_watch_is_reported() {
    let mut node = Node::new();
    node.feed.forbidden.push("pods");

    assert_eq!(node.now(condition::PERMISSIONS_OK), (NO, permissions_ok::API_REFUSED));
}

#[test]
fn a_capability_is_missing_when_a_better_source_was_refused_without_it() {
    let mut node = Node::new();
    node.lacking = vec![Capability::Bpf, Capability::SysPtrace, Capability::NetAdmin];
    assert_eq!(node.now(condition::PERMISSIONS_OK).0, Status::True, "bpf was loaded all the same");

    node.snapshot.vitals.source_kind = SourceKind::Netlink;
    node.snapshot.vitals.refused = ["bpf refused at load: CAP_BPF is missing".to_owned()].into();
    let verdicts = node.all();

    assert_eq!(verdicts[4].reason, permissions_ok::CAPABILITIES_MISSING);
    assert_eq!(verdicts[4].message, "BPF, SYS_PTRACE missing; netlink is in use");
}

#[test]
fn a_kernel_that_refuses_what_is_granted_is_distinguished() {
    let mut node = Node::new();
    node.snapshot.vitals.refused =
        ["bpf refused at load: the words of whichever library (Operation not permitted)"
            .to_owned()]
        .into();
    assert_eq!(node.now(condition::PERMISSIONS_OK), (Status::True, permissions_ok::GRANTED));

    node.snapshot.vitals.denied = true;

    assert_eq!(node.now(condition::PERMISSIONS_OK), (NO, permissions_ok::KERNEL_REFUSED));
}

#[test]
fn the_worst_of_what_is_wrong_with_workloads_is_named_at_once_and_for_a_minute() {
    let mut node = Node::new();
    let well = node.snapshot.picture.clone();
    node.snapshot.picture = testing::sick().picture;
    let kind = condition::CONNECTIONS_HEALTHY;

    assert_eq!(node.now(kind), (NO, connections_healthy::ACCEPT_QUEUE_FULL));
    let verdict = node.all().into_iter().find(|v| v.kind == kind).unwrap();
    for part in ["8080", "of 128 (accept-queue)", "and 1 more"] {
        assert!(verdict.message.contains(part), "{part}: {}", verdict.message);
    }
    assert_eq!(node.now(condition::DATA_COMPLETE).0, Status::True, "nothing is missing");

    node.snapshot.picture = well;
    assert_eq!(node.after(59, kind), (NO, connections_healthy::ACCEPT_QUEUE_FULL));
    assert_eq!(node.after(1, kind), (Status::True, connections_healthy::HEALTHY));
    node.snapshot.vitals.level = Level::Paused;
    assert_eq!(node.now(kind), (Status::Unknown, connections_healthy::NOT_READ));
}

#[test]
fn a_flow_that_fails_comes_before_what_runs_full_and_each_risk_has_its_reason() {
    use probelet_core::facts::{Endpoint, Netns, Process, Role, Socket, State, Tracked};
    let failing = |attempt_fails, tracked, sockets: u16| {
        let attempt = |n| Socket {
            netns: 7,
            inode: 9 + u32::from(n),
            pid: 42,
            state: State::SynSent,
            role: Role::Dialled,
            local: Endpoint::v4([10, 0, 0, 1].into(), 40_000 + n),
            remote: Endpoint::v4([192, 0, 2, 1].into(), 5432),
            ..Socket::default()
        };
        let (netns, active_opens) = (Netns { inode: 7, attempt_fails, ..Netns::default() }, 5);
        Facts {
            fresh: Some(Want::Everything),
            processes: vec![Process { pid: 42, netns: 7, ..Process::default() }],
            netns: vec![Netns { active_opens, ..netns }],
            sockets: (0..sockets).map(attempt).collect(),
            conntrack: Some(Tracked { now: tracked, most: 1000 }),
            ..Facts::default()
        }
    };
    let mut report = Report::new(Limits::default(), PortRange::default());
    let mut node = Node::new();
    let mut look = |facts: &Facts, mono_ms| {
        let now = Now { unix_ms: mono_ms, mono_ms };
        report.update(facts, now);
        node.snapshot.picture = report.picture(now);
        let kind = condition::CONNECTIONS_HEALTHY;
        let verdict = node.all().into_iter().find(|v| v.kind == kind).unwrap();
        (verdict.reason, verdict.message)
    };

    // What is met in the first scan may be older than the counters.
    look(&failing(0, 0, 0), 500);
    assert_eq!(look(&failing(0, 0, 5), 1000).0, connections_healthy::HEALTHY);
    let (reason, message) = look(&failing(0, 900, 5), 2000);
    assert_eq!(reason, connections_healthy::CONNTRACK_FULL);
    assert_eq!(message, "node: 900 of 1000 (conntrack)");
    let (reason, message) = look(&failing(5, 900, 0), 3000);
    assert_eq!(reason, connections_healthy::FLOW_FAILING);
    assert!(message.contains("port 5432: 5 attempts failed"), "{message}");
    assert!(message.ends_with("; and 1 more"), "{message}");
}
