//! Scenarios: the whole task against an API server in memory. Time is simulated: it passes only while nothing else can.

use super::*;
use crate::elect::Elector;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use probelet_fake_api::{Fake, Fault, GOOD};
use serde_json::json;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::sleep;

mod installed;

/// The task under test; ends with it.
struct Running {
    task: JoinHandle<()>,
    metrics: Arc<Metrics>,
    lead: watch::Sender<bool>,
    _stop: watch::Sender<bool>,
    _ask: mpsc::Sender<Question>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A leader with an empty seed, but for what a scene changes.
fn started(fake: &Fake, change: impl FnOnce(&mut Parts)) -> Running {
    let (lead, leads) = watch::channel(true);
    let (stop, stopped) = watch::channel(false);
    let (ask, questions) = mpsc::channel(1);
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut parts = Parts {
        client: fake.client(),
        leads,
        stop: stopped,
        questions,
        synced: watch::channel(false).0,
        metrics: Arc::clone(&metrics),
        seed: Some(Rc::new(|| Ok(json!({})))),
        agents: None,
        max_budget: None,
        writes_per_second: 60,
        identity: "test".into(),
        clock: Clock::default(),
    };
    change(&mut parts);
    Running { task: spawn_local(run(parts)), metrics, lead, _stop: stop, _ask: ask }
}

fn seeded(fake: &Fake, seed: Result<Value, String>) -> Running {
    started(fake, |parts| parts.seed = Some(Rc::new(move || seed.clone())))
}

fn start(fake: &Fake) -> Running {
    started(fake, |_| {})
}

fn nodes(fake: &Fake, count: usize) {
    for at in 0..count {
        fake.node(&format!("n{at}"), &json!({"pool": "a"}));
    }
}

/// Runs a scenario with simulated time.
fn scenario(story: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    LocalSet::new().block_on(&runtime.unwrap(), story);
}

async fn seconds(n: u64) {
    sleep(Duration::from_secs(n)).await;
}

fn count(writes: &[String], of: &str) -> usize {
    writes.iter().filter(|write| write.contains(of)).count()
}

#[test]
fn every_node_gets_its_node_probe_and_the_configuration_says_so() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 3);
        let _running = start(&fake);

        seconds(10).await;

        assert_eq!(fake.count("nodeprobes"), 3);
        let probe = fake.get("nodeprobes", "n1");
        assert_eq!(probe["spec"]["origin"]["name"], "default");
        assert_eq!(probe["spec"]["clusterSize"], 4);
        assert_eq!(probe["metadata"]["labels"]["probelet.io/config"], "default");
        assert_eq!(fake.condition("default", "Ready"), "True AllApplied");
        let status = fake.get("probeconfigs", "default")["status"].clone();
        assert_eq!(status["nodes"]["applied"], 3);
        assert_eq!(status["fleet"]["cpu"], "3m");
    });
}

#[test]
fn when_nothing_changed_nothing_is_called() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 30);
        let _running = start(&fake);
        seconds(30).await;
        fake.writes();

        // Agents say so every few minutes, also when nothing changed.
        for beat in 0..6 {
            (0..30).for_each(|at| fake.refresh(&format!("n{at}"), &beat.to_string()));
            seconds(600).await;
        }

        assert_eq!(fake.writes(), Vec::<String>::new());
    });
}

#[test]
fn who_does_not_lead_any_more_writes_nothing_until_it_leads_again() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 3);
        let running = start(&fake);
        seconds(10).await;
        running.lead.send_replace(false);
        seconds(1).await;
        fake.writes();

        fake.put("probeconfigs", "default", |config| {
            config["spec"]["paused"] = json!(true);
            config["metadata"]["generation"] = json!(7);
        });
        seconds(120).await;
        assert_eq!(fake.writes(), Vec::<String>::new());
        running.lead.send_replace(true);
        seconds(60).await;

        assert_eq!(fake.get("nodeprobes", "n2")["spec"]["config"]["paused"], true);
    });
}

#[test]
fn an_edit_by_hand_is_put_right_and_then_left_alone() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = start(&fake);
        seconds(10).await;
        fake.writes();

        fake.put("nodeprobes", "n0", |probe| probe["spec"]["config"]["paused"] = json!(true));
        seconds(10).await;

        assert_eq!(fake.get("nodeprobes", "n0")["spec"]["config"]["paused"], false);
        assert_eq!(count(&fake.writes(), "PATCH nodeprobes"), 1);
    });
}

#[test]
fn a_status_is_written_at_most_every_five_seconds() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 1);
        let _running = start(&fake);
        seconds(20).await;
        fake.writes();

        for at in 0..60 {
            fake.report("n0", GOOD, &format!("{}m", at % 7 + 1));
            sleep(Duration::from_millis(500)).await;
        }

        let written = count(&fake.writes(), "PATCH probeconfigs/default/status");
        assert!((5..=7).contains(&written), "{written}");
    });
}

#[test]
fn nothing_is_written_before_everything_is_listed() {
    for hidden in ["nodes", "nodeprobes", "probeconfigs"] {
        scenario(async move {
            let fake = Fake::applying();
            nodes(&fake, 2);
            fake.config("default", &json!({}));
            fake.hide(Some(hidden));
            let _running = start(&fake);

            seconds(200).await;
            assert_eq!(fake.writes(), Vec::<String>::new(), "{hidden}");

            fake.hide(None);
            seconds(60).await;
            assert_eq!(fake.count("nodeprobes"), 2, "{hidden}");
        });
    }
}

#[test]
fn a_standby_writes_nothing() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let running = start(&fake);
        running.lead.send_replace(false);

        seconds(60).await;

        assert_eq!(fake.writes(), Vec::<String>::new());
    });
}

#[test]
fn a_bad_edit_is_a_condition_and_the_nodes_keep_what_they_have() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        fake.config("default", &json!({"jitterPercent": 3}));
        let _running = start(&fake);
        seconds(10).await;
        fake.writes();

        fake.config("default", &json!({"jitterPercent": 3, "fromTheFuture": 1}));
        seconds(10).await;

        assert_eq!(fake.condition("default", "Accepted"), "False UnknownField");
        assert_eq!(fake.condition("default", "Ready"), "False NotAccepted");
        let writes = fake.writes();
        assert_eq!((count(&writes, "nodeprobes"), count(&writes, "POST events")), (0, 1));
    });
}

#[test]
fn the_default_is_made_from_its_seed_also_when_it_was_deleted() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = seeded(&fake, Ok(json!({"jitterPercent": 7})));
        seconds(10).await;
        assert_eq!(fake.get("probeconfigs", "default")["spec"]["jitterPercent"], 7);
        fake.writes();

        fake.remove("probeconfigs", "default");
        seconds(10).await;

        assert_eq!(fake.get("probeconfigs", "default")["spec"]["jitterPercent"], 7);
        // Each node once, for the new origin; never the built-in defaults in between.
        assert_eq!(count(&fake.writes(), "nodeprobes"), 2);
    });
}

#[test]
fn a_seed_that_an_upgrade_changed_counts_when_the_default_is_made_again() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let percent = Rc::new(Cell::new(7));
        let seed = Rc::clone(&percent);
        let read: Seed = Rc::new(move || Ok(json!({"jitterPercent": seed.get()})));
        let _running = started(&fake, |parts| parts.seed = Some(read));
        seconds(10).await;

        percent.set(8);
        fake.remove("probeconfigs", "default");
        seconds(10).await;

        assert_eq!(fake.get("probeconfigs", "default")["spec"]["jitterPercent"], 8);
    });
}

#[test]
fn without_a_usable_seed_the_built_in_defaults_are_in_force() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let running = seeded(&fake, Err("spec.yaml: spec.x: no".into()));

        seconds(10).await;

        assert_eq!((fake.count("probeconfigs"), fake.count("nodeprobes")), (0, 2));
        assert!(fake.get("nodeprobes", "n0")["spec"].get("origin").is_none());
        assert_eq!(running.metrics.seed_invalid.get(), 1);
        assert_eq!(count(&fake.writes(), "POST events"), 1);
    });
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 50);
        fake.fault(Some(Fault { code: 429, message: "slow down", retry_after: 20 }));
        let _running = start(&fake);

        seconds(15).await;
        let refused = fake.refused();
        assert!((1..=16).contains(&refused), "{refused}: no more than were under way");

        fake.fault(None);
        seconds(60).await;
        assert_eq!(fake.count("nodeprobes"), 50);
        assert_eq!(fake.condition("default", "Degraded"), "False AsExpected");
    });
}

#[test]
fn refused_writes_are_a_condition_with_a_back_off_and_heal() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 50);
        let message = "admission webhook \"policy\" denied the request";
        fake.fault(Some(Fault { code: 403, message, retry_after: 0 }));
        let _running = start(&fake);

        seconds(120).await;
        assert_eq!(fake.condition("default", "Degraded"), "True WritesRefused");
        fake.refused();
        seconds(600).await;
        let refused = fake.refused();
        assert!((50..700).contains(&refused), "{refused}");

        fake.fault(None);
        seconds(700).await;
        assert_eq!(fake.count("nodeprobes"), 50);
        assert_eq!(fake.condition("default", "Degraded"), "False AsExpected");
    });
}

#[test]
fn a_canary_over_its_budget_takes_the_change_back() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 40);
        fake.config("default", &json!({}));
        let _running = start(&fake);
        seconds(20).await;

        fake.config("default", &json!({"jitterPercent": 1}));
        seconds(3).await;
        let on = |fake: &Fake| -> Vec<String> {
            let names = (0..40).map(|at| format!("n{at}"));
            names
                .filter(|name| fake.get("nodeprobes", name)["spec"]["config"]["jitterPercent"] == 1)
                .collect()
        };
        let canaries = on(&fake);
        assert_eq!(canaries.len(), 2);
        let over = [GOOD[0], GOOD[1], ("WithinBudget", "False", "Exceeded")];
        fake.report(&canaries[0], &over, "9m");
        seconds(20).await;

        assert_eq!(on(&fake), Vec::<String>::new());
        assert_eq!(fake.condition("default", "Degraded"), "True RolledBack");
        assert_eq!(fake.get("probeconfigs", "default")["status"]["rollout"]["phase"], "RolledBack");
    });
}

#[test]
fn a_node_made_fresh_gets_a_node_probe_of_its_own() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = start(&fake);
        seconds(10).await;
        let before = fake.get("nodeprobes", "n0")["metadata"]["uid"].clone();

        fake.remove("nodes", "n0");
        fake.node("n0", &json!({}));
        seconds(10).await;

        let after = fake.get("nodeprobes", "n0");
        assert_ne!(after["metadata"]["uid"], before);
        let owner = after["metadata"]["ownerReferences"][0]["uid"].clone();
        assert_eq!(owner, fake.get("nodes", "n0")["metadata"]["uid"]);
    });
}

fn elector(fake: &Fake, name: &str) -> (Elector, watch::Sender<bool>, watch::Receiver<bool>) {
    let api: Api<Lease> = Api::namespaced(fake.client(), "probelet");
    let (leads, leading) = watch::channel(false);
    (Elector::new(api, "lease".into(), name.into(), Clock::default()), leads, leading)
}

#[test]
fn a_leader_that_vanishes_is_followed_after_its_lease_and_one_that_lets_go_at_once() {
    scenario(async {
        let fake = Fake::default();
        let (_stop, stopped) = watch::channel(false);
        let run = |name: &str| {
            let (mut elector, leads, leading) = elector(&fake, name);
            let mut stopped = stopped.clone();
            let task = spawn_local(async move { elector.run(&leads, &mut stopped).await });
            (task, leading)
        };
        let (first, leading) = run("a");
        seconds(1).await;
        let (second, follows) = run("b");
        seconds(60).await;
        assert!(*leading.borrow() && !*follows.borrow());

        first.abort();
        // It renewed within the last 5.5 s, and its lease is for 15.
        seconds(9).await;
        assert!(!*follows.borrow(), "the lease is not over yet");
        seconds(13).await;
        assert!(*follows.borrow());

        second.abort();
        let (elector, ..) = elector(&fake, "b");
        elector.release().await;
        let (_third, follows) = run("c");
        seconds(3).await;
        assert!(*follows.borrow());
    });
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_may_begin() {
    scenario(async {
        let fake = Fake::default();
        let (_stop, mut stopped) = watch::channel(false);
        let (mut elector, leads, leading) = elector(&fake, "a");
        let task = spawn_local(async move { elector.run(&leads, &mut stopped).await });
        seconds(1).await;
        assert!(*leading.borrow());

        fake.put("leases", "lease", |lease| lease["spec"]["holderIdentity"] = json!("thief"));
        seconds(6).await;

        assert!(!*leading.borrow());
        assert!(!task.is_finished(), "it is a candidate again");
        fake.put("leases", "lease", |lease| lease["spec"]["holderIdentity"] = json!(""));
        seconds(4).await;
        assert!(*leading.borrow());
    });
}
