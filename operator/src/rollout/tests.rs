use super::*;
use probelet_crds::NodeConfig;

fn edition(generation: i64, jitter_percent: i32) -> Edition {
    let config = NodeConfig { jitter_percent, ..NodeConfig::default() };
    Edition { content: Arc::new(Content::new(config)), generation }
}

fn fine() -> Said {
    Said { anything: true, within: Some(true), ready: Some(true), ..Said::default() }
}

fn over_budget() -> Said {
    Said { within: Some(false), reason: "Exceeded".into(), ..fine() }
}

/// Two canaries, 1 and 2, of a change from jitter 10 to 20.
fn watched() -> Rollout {
    let mut rollout = Rollout::new(edition(2, 20), Some(edition(1, 10)), &Rules::default(), 0);
    rollout.watch([(1, &fine()), (2, &fine())].into_iter(), 0);
    rollout
}

fn judge(rollout: &mut Rollout, now: Millis) -> Option<Verdict> {
    rollout.judge(now, |id| format!("n{id}"))
}

fn why(rollout: &Rollout) -> &str {
    match &rollout.stage {
        Stage::RolledBack { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_canaries_get_a_change_at_first() {
    let rollout = watched();

    assert_eq!(rollout.give(1, Carried::Own(None)), Give::Target);
    assert_eq!(rollout.give(3, Carried::Own(None)), Give::Previous(edition(1, 10)));
}

#[test]
fn canaries_that_stay_well_for_ten_seconds_let_the_others_follow() {
    let mut rollout = watched();
    rollout.report(1, &fine(), true, false);
    assert_eq!(judge(&mut rollout, 1000), None);
    rollout.report(2, &fine(), true, false);

    assert_eq!(judge(&mut rollout, 2000), None);
    assert_eq!(rollout.deadline(), Some(12_000));
    assert_eq!(judge(&mut rollout, 11_999), None);
    assert_eq!(judge(&mut rollout, 12_000), Some(Verdict::Passed));
    assert_eq!(rollout.give(3, Carried::Own(None)), Give::Target);
}

#[test]
fn a_canary_that_refuses_takes_the_change_back_from_all_canaries() {
    let mut rollout = watched();
    rollout.report(1, &fine(), true, false);
    let refusal = Said { applied: Some(false), reason: "Invalid".into(), ..fine() };
    rollout.report(2, &refusal, false, true);

    assert_eq!(judge(&mut rollout, 1000), Some(Verdict::Failed));
    assert_eq!(why(&rollout), "n2 (Invalid)");
    let target = rollout.target.content.hash.clone();
    assert_eq!(rollout.give(1, Carried::Own(Some(&target))), Give::Previous(edition(1, 10)));
    assert_eq!(rollout.status().phase, Phase::RolledBack);
}

#[test]
fn a_canary_that_leaves_its_budget_stops_the_change_even_during_the_soak() {
    let mut rollout = watched();
    rollout.report(1, &fine(), true, false);
    rollout.report(2, &fine(), true, false);
    judge(&mut rollout, 1000);
    rollout.report(1, &over_budget(), true, false);

    assert_eq!(judge(&mut rollout, 5000), Some(Verdict::Failed));
    assert_eq!(why(&rollout), "n1 (Exceeded)");
}

#[test]
fn a_canary_that_was_over_its_budget_before_proves_nothing() {
    let mut rollout = Rollout::new(edition(2, 20), Some(edition(1, 10)), &Rules::default(), 0);
    rollout.watch([(1, &over_budget())].into_iter(), 0);
    rollout.report(1, &over_budget(), true, false);

    assert_eq!(judge(&mut rollout, 1000), None);
    assert_eq!(judge(&mut rollout, 11_000), Some(Verdict::Passed));
}

#[test]
fn what_a_canary_says_before_it_has_the_change_is_not_held_against_it() {
    let mut rollout = watched();
    rollout.report(1, &over_budget(), false, false);

    assert_eq!(judge(&mut rollout, 1000), None);
}

#[test]
fn silence_of_all_canaries_takes_the_change_back_after_two_minutes() {
    let mut rollout = watched();

    assert_eq!(judge(&mut rollout, 119_999), None);
    assert_eq!(judge(&mut rollout, 120_000), Some(Verdict::Failed));
    assert!(why(&rollout).contains("none of 2 canaries"), "{}", why(&rollout));
}

#[test]
fn one_silent_canary_holds_the_others_up_for_two_minutes_at_most() {
    let mut rollout = watched();
    rollout.report(1, &fine(), true, false);

    assert_eq!(judge(&mut rollout, 119_999), None);
    assert_eq!(judge(&mut rollout, 120_000), None);
    assert_eq!(judge(&mut rollout, 130_000), Some(Verdict::Passed));
}

#[test]
fn the_kill_switch_waits_for_no_one() {
    let paused = NodeConfig { paused: true, ..NodeConfig::default() };
    let paused = Edition { content: Arc::new(Content::new(paused)), generation: 2 };

    let stop = Rollout::new(paused.clone(), Some(edition(1, 10)), &Rules::default(), 0);
    let go_on = Rollout::new(edition(3, 10), Some(paused), &Rules::default(), 0);

    assert!(stop.urgent);
    assert!(!go_on.urgent);
}

#[test]
fn a_configuration_without_a_past_leaves_other_nodes_to_the_next_one() {
    let mut rollout = Rollout::new(edition(1, 20), None, &Rules::default(), 0);
    rollout.watch([(1, &fine())].into_iter(), 0);

    assert_eq!(rollout.give(2, Carried::Own(Some("other"))), Give::Nothing);
    assert_eq!(rollout.give(2, Carried::Nothing), Give::Target);
    rollout.report(1, &fine(), false, true);
    judge(&mut rollout, 1);
    let target = rollout.target.content.hash.clone();
    assert_eq!(rollout.give(1, Carried::Own(Some(&target))), Give::Nothing);
    assert_eq!(rollout.give(9, Carried::Own(Some(&target))), Give::Target);
}

#[test]
fn a_canary_whose_node_is_gone_is_forgotten() {
    let mut rollout = watched();
    rollout.report(1, &fine(), true, false);
    rollout.forget(2);
    judge(&mut rollout, 0);

    assert_eq!(judge(&mut rollout, 10_000), Some(Verdict::Passed));
}
