//! The fleet on one screen: what it says first, and when it says that all is well.

use super::*;

#[test]
fn status_of_a_fleet_that_is_well_is_one_screen() {
    let probes =
        vec![probe("node1", &[]), probe("node2", &[("/status/agent/cpu", "3100u".into())])];

    let status = Status::of(&seen(probes, vec![config("default", json!({}), complete(2))]), 10);

    golden("status-well.txt", &shown(&status));
}

#[test]
fn status_names_every_kind_of_trouble_its_nodes_and_the_next_step() {
    let bad = |kind: &str, reason: &str, why: &str| json!([condition(kind, "False", reason, why)]);
    let probes = vec![
        probe("node1", &[]),
        probe(
            "node2",
            &[(
                "/status/conditions",
                bad("ConfigApplied", "SourceUnavailable", "source Bpf needs CAP_BPF"),
            )],
        ),
        probe("node3", &[("/status", json!({}))]),
        probe(
            "node4",
            &[
                ("/status/agent/level", "Stretched".into()),
                ("/status/agent/levelReason", "needs 9m for 1s freshness at 41200 sockets".into()),
            ],
        ),
        probe("node5", &[("/status/observedGeneration", 0.into())]),
        probe(
            "node6",
            &[(
                "/status/conditions",
                json!([
                    condition("ConfigApplied", "True", "Applied", ""),
                    condition(
                        "WithinBudget",
                        "False",
                        "Exceeded",
                        "7m used of 5m for longer than the window"
                    ),
                    condition(
                        "PermissionsOK",
                        "False",
                        "CapabilitiesMissing",
                        "BPF and PERFMON are missing"
                    )
                ]),
            )],
        ),
        probe("node7", &[]),
    ];
    let status = json!({"observedGeneration": 2, "nodes": {"effective": 7, "applied": 4, "pending": 2, "failed": 1},
        "rollout": {"generation": 2, "hash": "ab", "phase": "RolledBack"},
        "conditions": [condition("Degraded", "True", "RolledBack", "node2 (SourceUnavailable)")]});
    let mut seen = seen(probes, vec![config("default", json!({"budget": {"cpu": "5m"}}), status)]);
    seen.lease = Ok(Some(lease("2026-11-23T12:50:00Z")));
    seen.nodes = Some(9);
    seen.daemons = Some(DaemonCounts { desired_number_scheduled: 9, number_ready: 8 });
    seen.down = vec![(
        "node7".to_owned(),
        "waits: CrashLoopBackOff; it ended with 137 (OOMKilled)".to_owned(),
    )];

    let status = Status::of(&seen, 20);

    golden("status-trouble.txt", &shown(&status));
    assert_eq!(status.names(), ["node/node2", "node/node3", "node/node5", "node/node6"]);
}

fn well() -> Seen {
    let whole = [
        ("/status/quality", json!({"coverage": "100%"})),
        ("/status/conditions", json!([condition("ConfigApplied", "True", "Applied", "")])),
    ];
    seen(vec![probe("node1", &whole)], vec![config("default", json!({}), complete(1))])
}

const ALL_IS_WELL: &str =
    "All nodes have applied their configuration, and nothing that counts is missing.";

#[test]
fn a_fleet_that_lacks_nothing_passes_the_check() {
    let status = Status::of(&well(), 10);

    assert!(shown(&status).contains(ALL_IS_WELL), "{}", shown(&status));
    assert!(status.is_whole() && !status.is_deserted());
}

#[test]
fn nothing_is_well_where_no_one_is_at_work() {
    let none = || DaemonCounts::default();
    let no_agents = Seen { daemons: Some(none()), probes: Vec::new(), nodes: Some(0), ..well() };
    let silent = Seen { daemons: Some(none()), ..well() };
    let no_operator = Seen { lease: Ok(None), ..well() };
    let asleep = DaemonCounts { desired_number_scheduled: 1, number_ready: 0 };
    let asleep = Seen { daemons: Some(asleep), ..well() };

    for (seen, says) in [
        (no_agents, "NO AGENT RUNS"),
        (silent, "NO AGENT RUNS"),
        (no_operator, "NO OPERATOR RUNS"),
        (asleep, "0 of 1 agents ready"),
    ] {
        let status = Status::of(&seen, 10);
        let text = shown(&status);
        assert!(text.contains(says) && !text.contains(ALL_IS_WELL), "{says}:\n{text}");
        assert!(status.is_deserted() && !status.is_whole(), "{says}");
    }
}

#[test]
fn what_may_not_be_seen_is_not_called_well() {
    let forbidden = || Err("forbidden".to_owned());
    let seen = Seen {
        lease: forbidden().map(|()| None),
        operators: forbidden().map(|()| Vec::new()),
        daemons: None,
        nodes: None,
        ..well()
    };

    let status = Status::of(&seen, 10);

    assert!(!shown(&status).contains(ALL_IS_WELL), "{}", shown(&status));
    assert!(!status.is_whole() && !status.is_deserted());
}

#[test]
fn what_is_missing_is_said_first_and_fails_the_check_beyond_what_is_tolerated() {
    let lacking = |quality: Value| {
        let seen = well();
        let probes = vec![probe(
            "node1",
            &[
                ("/status/quality", quality),
                ("/status/conditions", json!([condition("ConfigApplied", "True", "Applied", "")])),
                ("/status/summary/connections", 1000.into()),
            ],
        )];
        Status::of(&Seen { probes, ..seen }, 10)
    };
    for (quality, says) in [
        (json!({"coverage": "98.9%"}), "only 98.9% of the opened connections were seen on node1"),
        (
            json!({"unresolved": {"unknown_address": 11}}),
            "11 of 1000 connections have an end without a name",
        ),
        (
            json!({"unseen": 11}),
            "11 sockets that the kernel counts were seen by no source, most on node1",
        ),
    ] {
        let mut status = lacking(quality);
        let text = shown(&status);
        assert!(text.lines().nth(1).unwrap().contains(says), "{says}:\n{text}");
        assert!(!status.is_whole() && !status.is_deserted(), "{says}");

        status.tolerate(0.02);
        assert!(status.is_whole(), "{says}");
    }
}

#[test]
fn nodes_that_are_meant_to_have_no_agent_are_not_missed() {
    // Two nodes of another system beside the one that has an agent.
    let mut counted = complete(1);
    counted["nodes"]["absent"] = 2.into();
    let configs = || vec![config("default", json!({}), counted.clone())];
    let mixed = Seen { nodes: Some(3), configs: configs(), ..well() };
    let missed = Seen { nodes: Some(4), configs: configs(), ..well() };

    let status = Status::of(&mixed, 10);
    let text = shown(&status);
    assert!(text.contains(": 3 nodes (2 meant to have no agent), 1 agent ready"), "{text}");
    assert!(status.is_whole() && text.contains(ALL_IS_WELL), "{text}");

    let text = shown(&Status::of(&missed, 10));
    assert!(text.contains("BAD       1   nodes without a NodeProbe"), "{text}");
}

#[test]
fn an_agent_that_has_fallen_silent_is_not_called_well() {
    let message = "no report from the agent since 2026-11-23T08:00:00Z";
    let silent = || {
        let silent = condition("Ready", "Unknown", "AgentSilent", message);
        let conditions = json!([condition("ConfigApplied", "True", "Applied", ""), silent]);
        let quality = ("/status/quality", json!({"coverage": "100%"}));
        vec![probe("node1", &[("/status/conditions", conditions), quality])]
    };

    let status = Status::of(&Seen { probes: silent(), ..well() }, 10);
    let text = shown(&status);
    assert!(!text.contains(ALL_IS_WELL) && text.contains("no data: AgentSilent"), "{text}");
    assert!(text.contains(message) && !status.is_whole(), "{text}");

    let explained = explained::explanation(&silent()[0], None, Ok(&reports()[0]));
    assert!(explained.contains(message), "{explained}");

    // Why is known where its pod does not run.
    let down = vec![("node1".to_owned(), "is not scheduled".to_owned())];
    let text = shown(&Status::of(&Seen { probes: silent(), down, ..well() }, 10));
    assert!(text.contains("agent does not run") && !text.contains("AgentSilent"), "{text}");
}

#[test]
fn an_agent_that_has_just_started_is_no_trouble() {
    let starting = condition("Ready", "Unknown", "Starting", "");
    let conditions = json!([condition("ConfigApplied", "True", "Applied", ""), starting]);
    let quality = ("/status/quality", json!({"coverage": "100%"}));
    let probes = vec![probe("node1", &[("/status/conditions", conditions), quality])];

    let status = Status::of(&Seen { probes, ..well() }, 10);

    assert!(status.is_whole(), "{}", shown(&status));
}
