//! `preflight` before clusters that a server in memory plays: what is asked, what is said, which values come out.
//!
//! `WRITE_GOLDEN=1` writes the page that is expected; read the difference before you commit it. I/O: reads and perhaps writes
//! a file.

#![allow(clippy::needless_pass_by_value, reason = "objects are written where they are passed")]
#![allow(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kubectl_probelet::answer::preflight::Preflight;
use kubectl_probelet::args::Format;
use kubectl_probelet::ask::Ask;
use kubectl_probelet::show::{Answer as _, show};
use probelet_fake_api::scripted;
use serde_json::{Value, json};

/// What is there, by path; what is not, is not found. A number is a refusal.
struct Playing(BTreeMap<&'static str, Value>);

const NODES: &str = "/api/v1/nodes";
const GROUPS: &str = "/apis";
const MONITORS: &str = "/apis/monitoring.coreos.com/v1";
const SPACE: &str = "/api/v1/namespaces/probelet";
const QUOTAS: &str = "/api/v1/namespaces/probelet/resourcequotas";
const RANGES: &str = "/api/v1/namespaces/probelet/limitranges";
const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const DAEMONS: &str = "/apis/apps/v1/daemonsets";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/probelet-cluster";

impl Playing {
    /// A plain one: three nodes, nothing that could be in the way.
    fn plain() -> Self {
        let nodes: Vec<Value> =
            (1..=3).map(|n| node(&format!("n{n}"), "6.8.0-45-generic", json!({}))).collect();
        Self(BTreeMap::from([
            ("/version", json!({"major": "1", "minor": "33"})),
            (NODES, list(nodes)),
            (GROUPS, groups(&["apps"])),
            (SPACE, space("privileged")),
        ]))
    }

    fn with(mut self, path: &'static str, what: Value) -> Self {
        self.0.insert(path, what);
        self
    }

    async fn judged(self) -> Preflight {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let client = scripted(move |request| {
            log.lock().unwrap().push(request.method().clone());
            let (code, body) = match self.0.get(request.uri().path()) {
                Some(Value::Number(code)) => {
                    let code = u16::try_from(code.as_u64().unwrap()).unwrap();
                    (code, json!({"kind": "Status", "message": "eve may not", "code": code}))
                }
                Some(found) => (200, found.clone()),
                None => {
                    let name = request.uri().path().rsplit('/').next().unwrap();
                    (
                        404,
                        json!({"kind": "Status", "message": "not found", "details": {"name": name}}),
                    )
                }
            };
            (code, body.to_string().into_bytes())
        });
        let ask = Ask::through(client, Duration::from_secs(5));
        let judged = Preflight::of(&ask.cluster("probelet").await.unwrap());
        assert!(
            asked.lock().unwrap().iter().all(|method| method == hyper::Method::GET),
            "it only reads"
        );
        judged
    }

    async fn page(self) -> (bool, String) {
        let judged = self.judged().await;
        (judged.is_clear(), judged.page(false).text(false))
    }

    async fn values(self) -> Value {
        serde_saphyr::from_str(&self.judged().await.values()).unwrap()
    }
}

fn list(items: Vec<Value>) -> Value {
    json!({"metadata": {}, "items": items})
}

fn groups(names: &[&str]) -> Value {
    json!({"groups": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()})
}

fn kinds(names: &[&str]) -> Value {
    json!({"resources": names.iter().map(|name| json!({"kind": name})).collect::<Vec<_>>()})
}

/// A limit of the namespace, of which containers or pods.
fn range(kind: &str, more: Value) -> Value {
    let mut limit = more;
    limit["type"] = kind.into();
    list(vec![json!({"metadata": {"name": "range"}, "spec": {"limits": [limit]}})])
}

fn space(level: &str) -> Value {
    json!({"metadata": {"name": "probelet", "labels": {"pod-security.kubernetes.io/enforce": level}}})
}

/// A node with this kernel; `more` replaces fields of its nodeInfo, its labels or its providerID.
fn node(name: &str, kernel: &str, more: Value) -> Value {
    let mut info = json!({"operatingSystem": "linux", "architecture": "amd64", "osImage": "Ubuntu 24.04.1 LTS",
        "kernelVersion": kernel, "containerRuntimeVersion": "containerd://2.0.1", "kubeletVersion": "v1.33.1"});
    for (key, value) in more["info"].as_object().into_iter().flatten() {
        info[key] = value.clone();
    }
    json!({"metadata": {"name": name, "labels": more.get("labels").unwrap_or(&json!({}))}, "spec": {"providerID": more["by"].as_str().unwrap_or("")},
        "status": {"nodeInfo": info}})
}

fn one(kernel: &str, more: Value) -> Value {
    let node = node("n1", kernel, more);
    let mut other = node.clone();
    other["metadata"]["name"] = json!("n2");
    list(vec![node, other])
}

fn webhook(policy: &str, selector: Value) -> Value {
    list(vec![
        json!({"metadata": {"name": "no-root"}, "webhooks": [{"failurePolicy": policy, "namespaceSelector": selector,
        "rules": [{"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]}]}]}),
    ])
}

#[tokio::test]
async fn a_plain_cluster_needs_no_values_and_is_clear() {
    let judged = Playing::plain().judged().await;

    assert!(judged.is_clear());
    assert_eq!(judged.values(), "{}\n");
    let page = judged.page(false).text(false);
    assert!(
        page.contains("agents run on 3 of 3 nodes")
            && page.contains("--set image.registry=REGISTRY --wait"),
        "{page}"
    );
}

#[tokio::test]
async fn everything_that_stands_in_the_way_is_named_with_what_to_do() {
    let nodes = list(vec![
        node(
            "a",
            "6.1.0-20-amd64",
            json!({"labels": {"eks.amazonaws.com/nodegroup": "x"}, "info": {"kubeletVersion": "v1.29.9-eks-1"}}),
        ),
        node("b", "5.10.200", json!({"labels": {"eks.amazonaws.com/nodegroup": "x"}})),
        node("f", "6.1.0", json!({"labels": {"eks.amazonaws.com/compute-type": "fargate"}})),
        node("w", "10.0.20348", json!({"labels": {}, "info": {"operatingSystem": "windows"}})),
    ]);
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "3", "limits.cpu": "4"}}, "status": {"used": {"pods": "1"}}});
    let range = json!({"metadata": {"name": "range"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "50m"}, "max": {"memory": "64Mi"}}]}});
    let policy = json!({"metadata": {"name": "no-host"}, "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "resources": ["*"], "operations": ["*"]}]}}});
    let cluster = Playing::plain()
        .with("/version", json!({"major": "1", "minor": "29+"}))
        .with(NODES, nodes)
        .with(
            GROUPS,
            groups(&[
                "constraints.gatekeeper.sh",
                "kyverno.io",
                "monitoring.coreos.com",
                "grafana.integreatly.org",
            ]),
        )
        .with(MONITORS, kinds(&["PodMonitor", "ServiceMonitor", "PrometheusRule"]))
        .with(SPACE, space("restricted"))
        .with(QUOTAS, list(vec![quota]))
        .with(RANGES, list(vec![range]))
        .with(WEBHOOKS, webhook("Fail", json!({})))
        .with(POLICIES, list(vec![policy]))
        .with(
            DAEMONS,
            list(vec![
                json!({"metadata": {"name": "aws-node"}}),
                json!({"metadata": {"name": "kube-proxy"}}),
            ]),
        )
        .with(LEASE, json!({"spec": {"holderIdentity": "probelet/a"}}));
    let judged = cluster.judged().await;

    assert!(!judged.is_clear());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/preflight.txt");
    let page = judged.page(false).text(false);
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(page, std::fs::read_to_string(path).unwrap_or_default());
}

#[tokio::test]
async fn monitors_are_proposed_that_the_chart_takes_and_the_cluster_knows() {
    let values = |names: &[&str]| Playing::plain().with(MONITORS, kinds(names)).values();

    // A PodMonitor is refused without a Secret that someone renews, and where no certificate can be verified.
    let all = values(&["PodMonitor", "ServiceMonitor", "PrometheusRule"]).await;
    assert_eq!(
        all["metrics"],
        json!({"serviceMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}})
    );
    assert_eq!(all["agent"]["tls"]["mode"], "operator");

    // As where the kinds are there for another collector than Prometheus.
    let some = values(&["PodMonitor", "ServiceMonitor"]).await;
    assert_eq!(some["metrics"], json!({"serviceMonitor": {"enabled": true}}));
    assert_eq!(values(&["AlertmanagerConfig"]).await, json!({}));
}

#[tokio::test]
async fn limits_of_the_namespace_that_refuse_the_pods_are_in_the_way_and_answered() {
    let judged =
        |kind: &str, more: Value| Playing::plain().with(RANGES, range(kind, more)).judged();
    let values =
        |judged: &Preflight| -> Value { serde_saphyr::from_str(&judged.values()).unwrap() };

    let fits = json!({"min": {"cpu": "5m", "memory": "16Mi"}, "max": {"cpu": "4", "memory": "1Gi"},
        "maxLimitRequestRatio": {"memory": "8"}});
    let judged_fit = judged("Container", fits).await;
    assert!(judged_fit.is_clear() && values(&judged_fit) == json!({}));

    let least = judged("Container", json!({"min": {"cpu": "50m", "memory": "200Mi"}})).await;
    let page = least.page(false).text(false);
    assert!(!least.is_clear() && page.contains("at least 50m of CPU"), "{page}");
    assert_eq!(
        values(&least),
        json!({
            "agent": {"resources": {"requests": {"cpu": "50m", "memory": "200Mi"}, "limits": {"memory": "200Mi"}}},
            "operator": {"resources": {"requests": {"cpu": "50m", "memory": "200Mi"}}},
        })
    );

    let ratio = judged("Pod", json!({"maxLimitRequestRatio": {"memory": "4", "cpu": "2"}})).await;
    assert!(!ratio.is_clear());
    assert_eq!(
        values(&ratio),
        json!({
            "agent": {"resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "100m"}}},
            "operator": {"resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "500m"}}},
        })
    );

    let most = judged("Container", json!({"max": {"memory": "200Mi"}})).await;
    let page = most.page(false).text(false);
    assert!(!most.is_clear() && page.contains("an operator's limit is 256Mi"), "{page}");

    let unlimited = judged("Pod", json!({"max": {"cpu": "2"}})).await;
    assert!(!unlimited.is_clear());
    assert_eq!(values(&unlimited)["agent"]["resources"]["limits"]["cpu"], "100m");
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_is_not_clear() {
    let (clear, page) =
        Playing::plain().with(NODES, json!(403)).with(WEBHOOKS, json!(403)).page().await;

    assert!(!clear);
    assert!(page.contains("as far as could be seen"), "{page}");
    assert!(page.contains("NOT SEEN nodes: not allowed to list nodes: eve may not"), "{page}");
    assert!(
        page.contains(
            "NOT SEEN validating webhooks: not allowed to list validatingwebhookconfigurations"
        ),
        "{page}"
    );
    assert!(!page.contains("no webhook or policy"), "{page}");
}

#[tokio::test]
async fn pod_security_of_the_namespace_is_in_the_way_if_it_is_strict() {
    let (clear, page) = Playing::plain().with(SPACE, space("baseline")).page().await;
    assert!(!clear && page.contains("enforces Pod Security baseline"), "{page}");

    let mut missing = Playing::plain();
    missing.0.remove(SPACE);
    let (clear, page) = missing.page().await;
    assert!(clear && page.contains("kubectl create namespace probelet"), "{page}");
}

#[tokio::test]
async fn a_port_that_a_daemon_set_has_on_nodes_is_in_the_way_and_another_one_is_named() {
    let daemon = |name: &str, labels: Value, network: bool, port: Value| {
        json!({"metadata": {"name": name, "namespace": "mon", "labels": labels}, "spec": {"template": {"spec": {
            "hostNetwork": network, "containers": [{"ports": [port]}]}}}})
    };
    let page = |daemons: Vec<Value>| Playing::plain().with(DAEMONS, list(daemons)).page();
    let (clear, said) = page(vec![
        daemon("a", json!({}), true, json!({"containerPort": 9466})),
        daemon("b", json!({}), false, json!({"containerPort": 80, "hostPort": 9468})),
        daemon("c", json!({}), false, json!({"containerPort": 80, "hostPort": 19466})),
    ])
    .await;
    assert!(!clear, "{said}");
    for part in
        ["mon/a has port 9466", "agent.port=19467", "mon/b has port 9468", "agent.probePort=19468"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }

    let ours =
        json!({"app.kubernetes.io/part-of": "probelet", "app.kubernetes.io/component": "agent"});
    let (clear, said) = page(vec![
        daemon("agent", ours, true, json!({"containerPort": 9466, "hostPort": 9466})),
        daemon("pods-own", json!({}), false, json!({"containerPort": 9466})),
        daemon("udp", json!({}), true, json!({"containerPort": 9466, "protocol": "UDP"})),
    ])
    .await;
    assert!(clear && said.contains("no DaemonSet has them"), "{said}");
}

#[tokio::test]
async fn a_webhook_that_exempts_the_namespace_is_not_named() {
    let exempts = |values: Value| json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": values}]});

    let (_, page) =
        Playing::plain().with(WEBHOOKS, webhook("Fail", exempts(json!(["probelet"])))).page().await;
    assert!(page.contains("no webhook or policy is about pods"), "{page}");

    let (_, page) = Playing::plain()
        .with(WEBHOOKS, webhook("Fail", exempts(json!(["kube-system"]))))
        .page()
        .await;
    assert!(
        page.contains("may refuse pods in probelet: no-root; while they do not answer"),
        "{page}"
    );

    let (_, page) = Playing::plain().with(WEBHOOKS, webhook("Ignore", json!({}))).page().await;
    assert!(page.contains("no-root") && !page.contains("while they do not answer"), "{page}");
}

#[tokio::test]
async fn each_platform_gets_the_values_that_the_chart_is_tested_with() {
    for (name, more) in [
        ("eks", json!({"labels": {"eks.amazonaws.com/nodegroup": "a"}})),
        ("bottlerocket", json!({"info": {"osImage": "Bottlerocket OS 1.20 (aws-k8s-1.33)"}})),
        ("aks", json!({"labels": {"kubernetes.azure.com/cluster": "a"}})),
        ("gke", json!({"labels": {"cloud.google.com/gke-nodepool": "a"}})),
        ("openshift", json!({"labels": {"node.openshift.io/os_id": "rhcos"}})),
        ("talos", json!({"info": {"osImage": "Talos (v1.9.1)"}})),
        ("k3s", json!({"info": {"kubeletVersion": "v1.33.1+k3s1"}})),
        ("k3s", json!({"info": {"kubeletVersion": "v1.33.1+rke2r1"}})),
        ("kind", json!({"by": "kind://docker/kind/kind-control-plane"})),
    ] {
        let path =
            format!("{}/../charts/probelet/ci/{name}-values.yaml", env!("CARGO_MANIFEST_DIR"));
        let tested: Value =
            serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();

        let values = Playing::plain().with(NODES, one("6.8.0", more.clone())).values().await;

        assert_eq!(values, tested, "{more}");
    }
}

#[tokio::test]
async fn an_old_kernel_keeps_the_fallback_even_where_the_platform_would_not() {
    let nodes = one("5.15.0", json!({"info": {"osImage": "Talos (v1.3.0)"}}));

    let values = Playing::plain().with(NODES, nodes).values().await;

    assert_eq!(values["agent"]["capabilities"], json!({"fallback": true}));
}

#[tokio::test]
async fn sizes_are_answered_by_values() {
    let values = Playing::plain()
        .with(NODES, list(vec![node("n", "6.8", json!({"labels": {}}))]))
        .values()
        .await;
    assert_eq!(values, json!({"operator": {"replicas": 1, "pdb": {"enabled": false}}}));

    let many = (0..10_001).map(|n| node(&format!("n{n}"), "6.8", json!({"labels": {}}))).collect();
    let values = Playing::plain().with(NODES, list(many)).values().await;
    assert_eq!(values["operator"]["resources"]["limits"]["memory"], json!("512Mi"));
}

#[tokio::test]
async fn a_cluster_of_autopilot_or_without_linux_is_refused_by_name() {
    let autopilot = list(vec![node(
        "gk3-pool-1",
        "6.1",
        json!({"labels": {"cloud.google.com/gke-nodepool": "p"}}),
    )]);
    let (clear, page) = Playing::plain().with(NODES, autopilot).page().await;
    assert!(!clear && page.contains("GKE Autopilot"), "{page}");

    let windows = one("10.0", json!({"info": {"operatingSystem": "windows"}}));
    let (clear, page) = Playing::plain().with(NODES, windows).page().await;
    assert!(!clear && page.contains("an agent runs on none of 2 nodes"), "{page}");
}

#[tokio::test]
async fn programs_get_the_same_as_people_and_no_control_character_gets_through() {
    let nodes = one("6.8\u{1b}[2J", json!({"info": {"osImage": "a\nb"}}));
    let judged = Playing::plain().with(NODES, nodes).judged().await;

    let json = show(&judged, Format::Json, false).unwrap();
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (value["fits"].as_bool(), value["nodes"][0]["nodes"].as_u64()),
        (Some(true), Some(2))
    );
    for format in [Format::Table, Format::Wide, Format::Json, Format::Yaml] {
        let text = show(&judged, format, false).unwrap();
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
