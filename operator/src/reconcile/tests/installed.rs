//! What an installation finds in a cluster: the agents' `DaemonSet`, nodes without agents, a seed, another installation.

use super::*;
use crate::watch::Agents;

fn agents() -> Agents {
    Agents { namespace: "probelet".into(), name: "probelet-agent".into() }
}

fn wanted_on(fake: &Fake, pool: &str) {
    fake.put("daemonsets", "probelet-agent", |daemonset| {
        let template =
            json!({"nodeSelector": {"pool": pool}, "tolerations": [{"operator": "Exists"}]});
        daemonset["spec"] = json!({"template": {"spec": template}});
    });
}

#[test]
fn only_nodes_where_the_daemonset_wants_an_agent_are_waited_for() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 3);
        fake.node("win", &json!({"pool": "w"}));
        wanted_on(&fake, "a");
        let _running = started(&fake, |parts| parts.agents = Some(agents()));

        seconds(400).await;

        assert_eq!(fake.count("nodeprobes"), 3);
        assert_eq!(fake.condition("default", "Ready"), "True AllApplied");
        assert_eq!(fake.condition("default", "Degraded"), "False AsExpected");
        assert_eq!(fake.get("probeconfigs", "default")["status"]["nodes"]["absent"], 1);
        wanted_on(&fake, "w");
        seconds(60).await;
        assert_eq!(fake.count("nodeprobes"), 1);
        assert!(!fake.get("nodeprobes", "win").is_null());
    });
}

#[test]
fn without_the_right_to_see_the_daemonset_all_goes_on() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        fake.node("win", &json!({"kubernetes.io/os": "windows"}));
        fake.forbid(Some("daemonsets"));
        let _running = started(&fake, |parts| parts.agents = Some(agents()));

        seconds(60).await;

        assert_eq!(fake.count("nodeprobes"), 2);
        assert_eq!(fake.condition("default", "Ready"), "True AllApplied");
    });
}

#[test]
fn the_default_is_applied_by_a_manager_of_its_own_and_only_where_there_is_none() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 1);
        let _running = started(&fake, |_| {});
        seconds(10).await;
        let writes = fake.writes();
        assert_eq!(count(&writes, "PATCH probeconfigs/default probelet-seed"), 1, "{writes:?}");
        assert_eq!(count(&writes, "POST probeconfigs"), 0);
    });
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 1);
        fake.config("default", &json!({"jitterPercent": 3}));
        let _running = started(&fake, |_| {});
        seconds(120).await;
        assert_eq!(count(&fake.writes(), "probelet-seed"), 0);
    });
}

#[test]
fn where_nothing_is_to_be_seeded_the_built_in_defaults_are_in_force() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = started(&fake, |parts| parts.seed = None);

        seconds(60).await;

        assert_eq!((fake.count("probeconfigs"), fake.count("nodeprobes")), (0, 2));
    });
}

#[test]
fn an_agent_that_is_gone_is_ready_no_more_and_one_that_speaks_is_left_alone() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = start(&fake);
        seconds(10).await;
        fake.writes();

        for beat in 0..10 {
            fake.refresh("n1", &beat.to_string());
            seconds(300).await;
        }

        let ready = |name: &str| fake.get("nodeprobes", name)["status"]["conditions"][0].clone();
        assert_eq!(
            (&ready("n0")["status"], &ready("n0")["reason"]),
            (&json!("Unknown"), &json!("AgentSilent"))
        );
        assert_eq!(ready("n1")["status"], "True");
        assert_eq!(fake.get("nodeprobes", "n0")["status"]["conditions"][1]["status"], "True");
        assert_eq!(count(&fake.writes(), "nodeprobes/n0/status"), 1, "said once");
        assert_eq!(fake.condition("default", "Degraded"), "True NodesSilent");
        fake.report("n0", GOOD, "1m");
        seconds(10).await;
        assert_eq!(ready("n0")["status"], "True");
        assert_eq!(fake.condition("default", "Degraded"), "False AsExpected");
    });
}

#[test]
fn a_budget_beyond_the_operators_bound_is_a_condition() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 1);
        fake.config("default", &json!({"budget": {"cpu": "8"}}));
        let most = "100m".parse().ok();
        let _running = started(&fake, |parts| parts.max_budget = most);

        seconds(10).await;

        assert_eq!(fake.condition("default", "Accepted"), "False BudgetTooLarge");
    });
}

#[test]
fn a_pause_and_a_rollout_are_reported_in_events() {
    scenario(async {
        let fake = Fake::applying();
        nodes(&fake, 2);
        let _running = start(&fake);
        seconds(10).await;
        fake.writes();

        fake.config("default", &json!({"paused": true}));
        seconds(10).await;

        // Paused, and that all were assigned.
        assert_eq!(count(&fake.writes(), "POST events"), 2);
    });
}

/// An operator of an installation in a namespace: whether it leads, and whether it waits for another installation.
fn installed(
    fake: &Fake,
    namespace: &str,
) -> (watch::Receiver<bool>, prometheus::IntGauge, JoinHandle<()>) {
    let lease = |place: &str| Api::<Lease>::namespaced(fake.client(), place);
    let own = format!("lease-{namespace}");
    let (leads, leading) = watch::channel(false);
    let waits = prometheus::IntGauge::new("waits", "w").unwrap();
    let us = format!("{namespace}/{own}");
    let cluster = Elector::new(lease("default"), "cluster".into(), us, Clock::default());
    let mut cluster = cluster.among_installations(waits.clone());
    let mut elector = Elector::new(lease(namespace), own, "pod".into(), Clock::default());
    let task = spawn_local(async move {
        let (held, is_held) = watch::channel(false);
        let (_stop, mut stopped) = watch::channel(false);
        let mut too = stopped.clone();
        tokio::join!(elector.run(&held, &mut stopped), cluster.follow(is_held, &leads, &mut too));
    });
    (leading, waits, task)
}

#[test]
fn the_second_installation_waits_until_the_first_one_is_gone() {
    scenario(async {
        let fake = Fake::default();
        let (first, first_waits, task) = installed(&fake, "one");
        seconds(5).await;
        let (second, waits, _second) = installed(&fake, "two");
        seconds(120).await;

        assert!(*first.borrow() && !*second.borrow());
        assert_eq!((first_waits.get(), waits.get()), (0, 1));
        let holder = fake.get("leases", "cluster")["spec"]["holderIdentity"].clone();
        assert_eq!(holder, "one/lease-one");

        task.abort();
        seconds(25).await;
        assert!(*second.borrow());
        assert_eq!(waits.get(), 0);
    });
}

/// One that is refused the lease of the cluster, and leads all the same.
fn leads_without_the_lease_of_the_cluster(refuse: impl FnOnce(&Fake)) {
    scenario(async {
        let fake = Fake::default();
        refuse(&fake);
        let (leading, ..) = installed(&fake, "one");

        seconds(10).await;

        assert!(*leading.borrow());
    });
}

#[test]
fn a_role_that_knows_no_lease_of_the_cluster_keeps_no_one_from_leading() {
    leads_without_the_lease_of_the_cluster(|fake| fake.forbid(Some("leases/cluster")));
}

#[test]
fn a_policy_that_allows_no_lease_of_the_cluster_keeps_no_one_from_leading() {
    // As in clusters that allow nothing in the namespace `default`.
    leads_without_the_lease_of_the_cluster(|fake| fake.deny(Some("leases/cluster")));
}

#[test]
fn a_policy_that_came_later_takes_the_lead_from_no_one_and_gives_it_to_no_other() {
    scenario(async {
        let fake = Fake::default();
        let (first, ..) = installed(&fake, "one");
        seconds(10).await;

        fake.deny(Some("leases/cluster"));
        let (second, ..) = installed(&fake, "two");
        seconds(120).await;

        assert!(*first.borrow() && !*second.borrow());
    });
}
