//! What the digest holds, and what counts as a change.

use super::*;
use crate::capabilities::{Capability, Set};
use crate::config::Effective;
use crate::node_probe::follow::Assigned;
use crate::serve::testing;
use probelet_core::display::ContainerNames;
use probelet_core::facts::SourceKind;
use std::sync::Arc;
use std::time::Duration;

fn status(snapshot: &Snapshot, config: &Effective, lacking: &[Capability]) -> NodeProbeStatus {
    let scene = Scene {
        snapshot,
        names: &ContainerNames::default(),
        config,
        assigned: &Assigned::default(),
        applied: true,
        pinned: false,
        feed: None,
        lacking,
        now: Duration::from_mins(10),
        unix: snapshot.vitals.verified_unix + 3.2,
    };
    of(&scene, &Gaps::default())
}

fn healthy() -> NodeProbeStatus {
    status(&testing::big(41_237), &Effective::defaults(), &[])
}

#[test]
fn numbers_have_two_digits() {
    let status = healthy();

    let summary = status.summary.unwrap();
    assert_eq!((summary.connections, summary.processes), (41_000, 1));
    let agent = status.agent.unwrap();
    let shown = [agent.cpu.to_string(), agent.budget.to_string(), agent.memory];
    assert_eq!(shown, ["1m", "5m", "12Mi"]);
    assert_eq!(status.quality.unwrap().stalest_seconds, 3);
    assert_eq!(status.report.unwrap().digest, "18bcfd627b4-1");
}

#[test]
fn with_reporting_off_there_is_nothing_but_what_conditions_say() {
    let mut config = Effective::defaults();
    config.spec.reporting.mode = ReportingMode::Off;

    assert_eq!(status(&testing::big(3), &config, &[]), NodeProbeStatus::default());
}

#[test]
fn before_the_first_picture_there_are_no_zeros() {
    let status = status(&testing::snapshot(), &Effective::defaults(), &[]);

    assert_eq!((status.summary, status.quality, status.report), (None, None, None));
    assert!(status.agent.is_some());
}

#[test]
fn what_is_missing_is_reported_with_what_is_lost() {
    let mut snapshot = testing::big(3);
    snapshot.vitals.source_kind = SourceKind::Netlink;

    let status = status(&snapshot, &Effective::defaults(), &[Capability::Bpf]);

    let capabilities = status.capabilities.unwrap();
    assert_eq!(capabilities.missing, ["BPF"]);
    assert!(capabilities.lost[0].contains("bpf"), "{capabilities:?}");
}

#[test]
fn the_rights_of_the_start_are_named_with_what_is_kept_and_what_for() {
    let mut snapshot = testing::big(3);
    let rights = Arc::make_mut(&mut snapshot.vitals.rights);
    rights.start = Set::of([Capability::Bpf, Capability::Perfmon, Capability::NetAdmin]);
    rights.held = vec![("connection-tracking", Set::of([Capability::NetAdmin]))];
    rights.lacking = Default::default();
    rights.lacking[Protection::Connections as usize] = Some("an old kernel".to_owned());
    let written = status(&snapshot, &Effective::defaults(), &[]);

    assert_eq!(
        serde_json::to_value(&written.rights).unwrap(),
        serde_json::json!({"start": ["NET_ADMIN", "PERFMON", "BPF"],
            "kept": ["NET_ADMIN: to ask who is behind a Service's address"],
            "unprotected": ["landlock-tcp"]})
    );
    assert_eq!(written.clone().fit().rights, written.rights, "the schema takes it");

    Arc::make_mut(&mut snapshot.vitals.rights).held.clear();
    let now = status(&snapshot, &Effective::defaults(), &[]);
    assert!(changed(&written, &now, &[]));

    Arc::make_mut(&mut snapshot.vitals.rights).start = Set(u64::MAX >> 23);
    Arc::make_mut(&mut snapshot.vitals.rights).held = vec![("all", Set(u64::MAX >> 23))];
    let privileged = status(&snapshot, &Effective::defaults(), &[]);
    let fitted = privileged.clone().fit();
    assert_ne!(fitted.rights, privileged.rights, "there is too much to write");
    assert!(!changed(&fitted, &privileged, &[]), "it would be written again and again");
    let start = privileged.rights.unwrap().start;
    assert_eq!((start.len(), start[9].as_str()), (10, "and 32 more"));
}

#[test]
fn a_tenth_more_is_the_same_and_a_half_more_is_not() {
    let more = |n| status(&testing::big(n), &Effective::defaults(), &[]);

    assert!(!changed(&more(1000), &more(1100), &[]));
    assert!(changed(&more(1000), &more(1500), &[]));
    assert!(!changed(&more(4), &more(9), &[]), "a few");
}

#[test]
fn one_socket_that_nothing_met_is_reported_and_a_change() {
    let with = |unseen| {
        let mut snapshot = testing::big(1000);
        snapshot.picture.unseen = unseen;
        status(&snapshot, &Effective::defaults(), &[])
    };
    let (all, not_all) = (with(Some(0)), with(Some(1)));

    assert_eq!(not_all.quality.as_ref().unwrap().unseen, 1);
    assert!(changed(&all, &not_all, &[]) && changed(&not_all, &all, &[]));
    assert!(!changed(&all, &with(None), &[]));
    assert!(!serde_json::to_string(&all).unwrap().contains("unseen"));
}

#[test]
fn that_all_ends_have_a_name_again_is_a_change_and_that_a_few_have_none_is_not() {
    let with = |nameless: &[(&str, i64)]| {
        let mut status = healthy();
        let reasons = nameless.iter().map(|(reason, n)| ((*reason).to_owned(), *n));
        status.quality.as_mut().unwrap().unresolved = reasons.collect();
        status
    };
    let (all, few) = (with(&[]), with(&[("unknown_address", 2)]));

    assert!(changed(&few, &all, &[]));
    assert!(!changed(&all, &few, &[]));
    assert!(!changed(&few, &with(&[("not_synced", 1)]), &[]));
}

#[test]
fn epochs_ages_reasons_and_cpu_that_wavers_are_no_change() {
    let written = healthy();
    let mut now = written.clone();
    now.report.as_mut().unwrap().epoch += 1000;
    now.report.as_mut().unwrap().digest = "other".to_owned();
    now.quality.as_mut().unwrap().stalest_seconds = 20;
    let agent = now.agent.as_mut().unwrap();
    agent.level_reason = "needs 8m".to_owned();
    agent.cpu = "1700u".parse().unwrap();
    agent.memory = "17Mi".to_owned();

    assert!(!changed(&written, &now, &[]));
}

#[test]
fn another_level_source_budget_or_twice_the_cpu_is_a_change() {
    let written = healthy();
    let edits: [fn(&mut AgentStatus); 4] = [
        |agent| agent.level = "Stretched".to_owned(),
        |agent| agent.source = "procfs".to_owned(),
        |agent| agent.budget = "9m".parse().unwrap(),
        |agent| agent.cpu = "2100u".parse().unwrap(),
    ];

    for edit in edits {
        let mut now = written.clone();
        edit(now.agent.as_mut().unwrap());
        assert!(changed(&written, &now, &[]), "{:?}", now.agent);
    }
}
