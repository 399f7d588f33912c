//! When the agent writes its NodeProbe's status, and what it makes of refusals.

use super::store::{Agent, Store, Write, local, of, settled};
use probelet_agent::snapshot::Snapshot;
use probelet_core::budget::Level;
use probelet_crds::condition;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

fn change(agent: &Agent, change: impl FnOnce(&mut Snapshot)) {
    agent.snapshots.send_modify(|snapshot| {
        let mut next = Snapshot::clone(snapshot);
        change(&mut next);
        *snapshot = Arc::new(next);
    });
}

fn refuse(write: Write, code: u16, reason: &str, headers: &[(&str, &str)]) {
    write.asked.refuse(code, reason, headers);
}

fn count(agent: &Agent, result: &str) -> u64 {
    agent.account.results().find(|(name, _)| *name == result).map_or(0, |(_, n)| n)
}

local! {
async fn a_write_is_a_whole_status_applied_by_the_agents_own_field_manager() {
    let mut store = Store::start().await;
    let _agent = Agent::start(&store.url());
    store.watched().await;
    store.edit(json!({})).await;

    let write = store.asked().await;

    assert_eq!(write.asked.parameter("fieldManager"), Some("probelet-agent"));
    assert_eq!(write.asked.parameter("force"), Some("true"));
    assert_eq!(write.asked.headers["content-type"], "application/apply-patch+yaml");
    let body: serde_json::Value = serde_json::from_slice(&write.asked.body).unwrap();
    assert_eq!(body["metadata"], json!({"name": "node-1"}));
    assert_eq!(body["spec"], serde_json::Value::Null);
    assert_eq!(write.status.conditions.len(), 6);
    assert!(write.asked.body.len() < 2048 + 100, "{}", write.asked.body.len());
}
}

local! {
async fn nothing_changed_is_no_write_at_all() {
    let (mut store, agent) = settled().await;

    change(&agent, |snapshot| snapshot.picture.epoch += 7);

    assert!(store.quiet().await);
    assert_eq!(count(&agent, "written"), 1);
}
}

local! {
async fn a_condition_that_turns_is_written_without_waiting_for_the_refresh() {
    let (mut store, agent) = settled().await;

    change(&agent, |snapshot| snapshot.vitals.level = Level::Paused);
    let began = Instant::now();
    let status = store.written().await;

    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(of(&status, condition::READY).1, "Paused");
}
}

local! {
async fn a_429_with_retry_after_is_honoured() {
    let (mut store, _agent) = settled().await;
    store.edit(json!({"budget": {"cpu": "9m"}})).await;

    refuse(store.asked().await, 429, "TooManyRequests", &[("retry-after", "1")]);
    let began = Instant::now();
    let status = store.written().await;

    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(status.observed_generation, 2);
}
}

local! {
async fn what_was_refused_is_not_queued_and_the_newest_is_written() {
    let (mut store, agent) = settled().await;
    store.edit(json!({"budget": {"cpu": "9m"}})).await;
    let refused = store.asked().await;

    store.edit(json!({"budget": {"cpu": "11m"}})).await;
    refuse(refused, 403, "Forbidden", &[]);
    let status = store.written().await;

    assert_eq!((status.observed_generation, agent.cpu().as_str()), (3, "11m"));
    assert_eq!(count(&agent, "forbidden"), 1);
    assert!(store.quiet().await);
}
}

local! {
async fn an_object_that_is_not_there_is_waited_for() {
    let (mut store, agent) = settled().await;
    store.edit(json!({"budget": {"cpu": "9m"}})).await;

    refuse(store.asked().await, 404, "NotFound", &[]);
    assert!(store.quiet().await);
    store.edit(json!({"budget": {"cpu": "11m"}})).await;

    assert_eq!(store.written().await.observed_generation, 3);
    assert_eq!(count(&agent, "not_found"), 1);
}
}

local! {
async fn a_hand_edited_status_is_put_right() {
    let (mut store, _agent) = settled().await;
    let ours = store.status.clone();

    store.deface(json!({"observedGeneration": 99})).await;
    let status = store.written().await;

    assert_eq!(status.observed_generation, 1);
    assert_eq!(store.status["conditions"], ours["conditions"]);
    assert!(store.quiet().await, "once is enough");
}
}

local! {
async fn what_an_older_schema_drops_is_no_ones_edit() {
    let mut store = Store::start().await;
    let _agent = Agent::start(&store.url());
    store.watched().await;
    store.edit(json!({})).await;

    let mut write = store.asked().await;
    write.status.agent = None;
    store.take(write).await;

    assert!(store.quiet().await);
}
}

local! {
async fn an_outage_is_followed_by_the_newest_status_only() {
    let (mut store, agent) = settled().await;

    store.cut().await;
    store.refuse(503, "ServiceUnavailable").await;
    change(&agent, |snapshot| snapshot.vitals.level = Level::Paused);
    store.resumed().await;
    let status = store.written().await;

    assert_eq!(of(&status, condition::READY).1, "Paused");
    assert!(store.quiet().await);
    assert_eq!(count(&agent, "written"), 2);
}
}

local! {
async fn the_times_of_conditions_outlive_the_agent() {
    let mut store = Store::start().await;
    let since = "2020-01-01T00:00:00Z";
    let ready = json!({"type": "Ready", "status": "True", "reason": "Reporting", "message": "", "lastTransitionTime": since});
    store.status = json!({"observedGeneration": 1, "conditions": [ready]});
    let _agent = Agent::start(&store.url());
    store.watched().await;
    store.edit(json!({})).await;

    let status = store.written().await;

    let ready = condition::get(&status.conditions, condition::READY).unwrap();
    assert_eq!(serde_json::to_value(&ready.last_transition_time).unwrap(), since);
}
}
