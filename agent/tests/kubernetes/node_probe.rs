//! What the agent makes of its NodeProbe: the configuration in it, its answer, and a server that is away.

use super::feed::LONG;
use super::server::{Topic, event, status};
use super::store::{Agent, Store, local, of, settled};
use probelet_agent::config::Origin;
use probelet_crds::{NodeProbeStatus, condition};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

local! {
async fn an_edit_is_in_force_and_acknowledged_within_a_second() {
    let (mut store, agent) = settled().await;

    let began = Instant::now();
    store.edit(json!({"budget": {"cpu": "9m"}, "intervals": {"sockets": "2s"}})).await;
    let status = store.written().await;

    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(agent.cpu(), "9m");
    assert_eq!(status.observed_generation, 2);
    assert_eq!(status.applied_config_hash, agent.config.borrow().hash);
    assert_eq!(of(&status, condition::CONFIG_APPLIED), ("True", "Applied", ""));
    let counted = async { while agent.account.acknowledged() != 2 { sleep(Duration::from_millis(5)).await } };
    timeout(LONG, counted).await.expect("the answer is counted");
}
}

local! {
async fn an_edit_is_not_acknowledged_before_the_engine_applies() {
    let (mut store, agent) = settled().await;
    agent.applies.send_replace(false);
    tokio::task::yield_now().await;

    store.edit(json!({"budget": {"cpu": "9m"}})).await;
    assert!(store.quiet().await);
    agent.applies.send_replace(true);

    assert_eq!(store.written().await.observed_generation, 2);
}
}

local! {
async fn an_invalid_config_keeps_the_last_good_one_and_says_which_field() {
    let (mut store, agent) = settled().await;
    let good = agent.config.borrow().hash.clone();

    store.edit(json!({"budget": {"cpu": "0"}})).await;
    let status = store.written().await;

    assert_eq!(agent.cpu(), "7m");
    assert_eq!((status.observed_generation, status.applied_config_hash), (2, good));
    let conditions = NodeProbeStatus { conditions: status.conditions, ..NodeProbeStatus::default() };
    let (applied, reason, message) = of(&conditions, condition::CONFIG_APPLIED);
    assert_eq!((applied, reason), ("False", "Invalid"));
    assert!(message.contains("spec.budget.cpu"), "{message}");
}
}

local! {
async fn of_a_config_from_the_future_the_known_part_is_in_force_and_the_rest_is_named() {
    let (mut store, agent) = settled().await;

    store.edit(json!({"budget": {"cpu": "9m", "joules": 3}})).await;
    let status = store.written().await;

    assert_eq!(agent.cpu(), "9m");
    let (applied, reason, message) = of(&status, condition::CONFIG_APPLIED);
    assert_eq!((applied, reason), ("True", "Applied"));
    assert_eq!(message, "1 field of a newer version ignored: budget.joules");
}
}

local! {
async fn an_agent_that_ends_says_so_and_the_next_one_begins_where_it_was() {
    let (mut store, agent) = settled().await;

    agent.stop.send_replace(true);
    let status = store.written().await;

    assert_eq!(of(&status, condition::READY), ("False", "Stopping", "the agent is stopping"));
    assert!(status.last_report.is_some());
    assert_eq!(status.observed_generation, 1);
    assert!(store.quiet().await, "nothing is written after that");
}
}

local! {
async fn a_deleted_node_probe_keeps_the_last_good_config_and_is_not_made_fresh() {
    let (mut store, agent) = settled().await;

    store.delete().await;

    assert!(store.quiet().await);
    assert_eq!(agent.cpu(), "7m");
}
}

local! {
async fn without_an_api_server_the_last_good_config_is_in_force() {
    let (mut store, agent) = settled().await;
    let file = agent.state.join("last-config.json");
    timeout(LONG, async { while !file.exists() { sleep(Duration::from_millis(5)).await } }).await.unwrap();
    store.cut().await;
    drop(store);

    let agent = agent.restart("http://127.0.0.1:9");

    assert_eq!(agent.cpu(), "7m");
    let origin = Origin::NodeProbe { config: "default".to_owned(), generation: 1 };
    assert_eq!(agent.config.borrow().origin, origin);
}
}

local! {
async fn a_watch_that_was_cut_goes_on_where_it_was() {
    let (mut store, mut agent) = settled().await;

    store.cut().await;
    let again = store.resumed().await;
    assert_eq!(again.from.as_deref(), Some("12"));
    store.edit(json!({"budget": {"cpu": "9m"}})).await;

    agent.until(|config| config.spec.budget.cpu.to_string() == "9m").await;
}
}

local! {
async fn a_version_that_the_server_forgot_is_not_asked_for_again() {
    let (mut store, mut agent) = settled().await;

    store.cut().await;
    store.refuse(410, "Expired").await;
    let again = store.watched().await;

    // The object's own version is as old as it was: what a server keeps begins behind it.
    assert_eq!(again.from.as_deref(), Some("0"));
    store.send("ADDED").await;
    store.edit(json!({"budget": {"cpu": "9m"}})).await;
    agent.until(|config| config.spec.budget.cpu.to_string() == "9m").await;
}
}

local! {
async fn a_cache_that_is_behind_does_not_take_the_object_back_in_time() {
    let (mut store, mut agent) = settled().await;
    let before = store.object().to_string();
    store.edit(json!({"budget": {"cpu": "9m"}})).await;
    agent.until(|config| config.spec.budget.cpu.to_string() == "9m").await;
    store.written().await;

    store.cut().await;
    store.refuse(410, "Expired").await;
    store.watched().await;
    assert!(store.watch.as_ref().unwrap().send(&event("ADDED", &before)).await);

    assert!(store.quiet().await);
    assert_eq!(agent.cpu(), "9m");
}
}

local! {
async fn a_store_that_was_restored_is_believed() {
    let (mut store, mut agent) = settled().await;
    let versions = store.version;
    store.edit(json!({"budget": {"cpu": "9m"}})).await;
    store.written().await;

    store.cut().await;
    (store.version, store.generation) = (versions - 3, 1);
    store.config = json!({"budget": {"cpu": "8m"}});
    store.refuse(410, "Expired").await;
    store.watched().await;

    agent.until(|config| config.spec.budget.cpu.to_string() == "8m").await;
}
}

local! {
async fn another_nodes_orders_are_not_taken() {
    let (mut store, agent) = settled().await;

    let other = store.object().to_string().replace("node-1", "node-2").replace("7m", "900m");
    assert!(store.watch.as_ref().unwrap().send(&event("MODIFIED", &other)).await);

    assert!(store.quiet().await);
    assert_eq!(agent.cpu(), "7m");
}
}

local! {
async fn a_node_probe_that_was_there_before_the_agent_needs_no_event() {
    let mut store = Store::start().await;
    (store.generation, store.config) = (3, json!({"budget": {"cpu": "9m"}}));
    let mut agent = Agent::start(&store.url());

    let watch = store.watched().await;

    assert_eq!(watch.from.as_deref(), Some("0"));
    agent.until(|config| config.spec.budget.cpu.to_string() == "9m").await;
}
}

local! {
async fn a_server_that_cannot_send_its_state_first_is_asked_not_to() {
    let mut store = Store::start().await;
    let agent = Agent::start(&store.url());
    store.looked().await;
    let broken = store.server.next(Topic::NodeProbe).await;
    assert_eq!(broken.parameter("sendInitialEvents"), None);
    broken.stream().send(&event("ERROR", &status(500, "InternalError"))).await;

    store.looked().await;
    let asked = store.server.next(Topic::NodeProbe).await;
    let about = ["resourceVersion", "sendInitialEvents", "resourceVersionMatch"];
    assert_eq!(about.map(|name| asked.parameter(name)), [Some("0"), Some("false"), Some("NotOlderThan")]);
    store.watch = Some(asked.stream());
    (store.generation, store.config) = (1, json!({"budget": {"cpu": "9m"}}));
    store.looked().await;
    let status = store.written().await;

    assert_eq!((status.observed_generation, agent.cpu().as_str()), (1, "9m"));
}
}
