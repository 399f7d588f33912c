//! What a node's agent does, what it lacks and why: `kubectl probelet explain`.

use super::*;

pub(super) fn explanation(
    probe: &Probe,
    config: Option<&Config>,
    report: Result<&Report, explain::Unreported>,
) -> String {
    shown(&Explanation::of(&explain::Seen {
        node: "node1",
        place: ("probelet", "probelet"),
        probe: Some(probe),
        pod: Some(&pod(true)),
        config,
        report,
        operated: Some(true),
    }))
}

#[test]
fn a_stretched_node_is_explained_with_what_it_would_take() {
    let probe = probe(
        "node1",
        &[
            ("/status/agent/level", "Stretched".into()),
            ("/status/agent/levelReason", "needs 9m for 1s freshness at 41200 sockets".into()),
            ("/status/agent/cpu", "4900u".into()),
        ],
    );
    let mut report = reports().swap_remove(0);
    report.agent.effective_interval_seconds.insert("sockets".to_owned(), Some(2.4));
    let config = config("default", json!({}), complete(1));

    golden("explain-stretched.txt", &explanation(&probe, Some(&config), Ok(&report)));
}

#[test]
fn what_a_node_lacks_is_explained_in_the_first_lines() {
    let explained = |report: &Report, quality: Value| {
        let quality = [("/status/quality", quality), ("/status/conditions", json!([]))];
        explanation(&probe("node1", &quality), None, Ok(report))
    };
    let whole = || {
        let mut report = reports().swap_remove(0);
        report.unresolved.clear();
        report.losses.clear();
        report
    };
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with(' ')).take(4).map(str::to_owned).collect()
    };

    let well = explained(&whole(), json!({"coverage": "100%"}));
    assert!(!well.contains("LOST"), "{well}");

    let low = lines(&explained(&whole(), json!({"coverage": "97%"})));
    assert!(low[2].starts_with("LOST") && low[2].contains("97.0%"), "{low:?}");

    let mut report = whole();
    report.unresolved.insert("unknown_address".to_owned(), 7);
    let nameless = lines(&explained(&report, json!({})));
    assert!(nameless[2].starts_with("LOST") && nameless[2].contains("7 ends"), "{nameless:?}");

    let mut report = whole();
    report.short_lived.mode = "Counters".to_owned();
    report.short_lived.reason = Some("reporting each end needs 55m at this rate".to_owned());
    report.short_lived.needed_cores = Some(0.0541);
    let text = explained(&report, json!({}));
    assert!(lines(&text)[2].contains("about half of the ends: reporting each end"), "{text}");
    assert!(text.contains(r#""cpu":"55m""#), "{text}");
}

#[test]
fn a_sick_workload_is_named_by_its_node_and_is_no_fault_of_probelet() {
    let message = "shop/Deployment/web to shop/Deployment/api port 80: 9 attempts failed so far";
    let sick = json!([
        condition("ConfigApplied", "True", "Applied", ""),
        condition("ConnectionsHealthy", "False", "FlowFailing", message)
    ]);
    let quality = ("/status/quality", json!({"coverage": "100%"}));
    let node = || probe("node1", &[("/status/conditions", sick.clone()), quality.clone()]);

    let status =
        Status::of(&seen(vec![node()], vec![config("default", json!({}), complete(1))]), 10);
    let text = shown(&status);
    assert!(text.contains("sick       1   workloads: FlowFailing"), "{text}");
    assert!(text.contains(message), "{text}");
    assert!(text.contains("kubectl probelet explain node1"), "{text}");
    assert!(status.is_whole(), "{text}");

    let look = Look { probes: vec![node()], ..Look::default() };
    let top = shown(&Top::of(Ranking::Nodes, &look, None, 10));
    assert!(top.contains("FlowFailing"), "{top}");

    let probe = node();
    let explained = |report| explanation(&probe, None, report);
    let silent = explain::Unreported { why: "timeout".to_owned(), busy: false, next: None };
    assert!(explained(Err(silent)).contains(message), "by the status");
    let mut report = reports().swap_remove(0);
    report.flows[0].problems = vec!["failing".to_owned()];
    report.flows[0].failed = 12;
    report.risks = Some(Vec::new());
    let text = explained(Ok(&report));
    assert!(text.contains("attempts to connect fail: 12") && text.contains("runbook"), "{text}");
}
