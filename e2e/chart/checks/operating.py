"""The operator, the monitors, helm test, notes and extra objects.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

import pathlib
import shutil
import tempfile

import yaml

from chart import BASE, CHART, KUBERNETES, MONITORING, ROOT
from expect import env_of, rules, same, says

MONITORS = {"agent": {"tls": {"mode": "cert-manager"}},
            "metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "renewed"}}, "serviceMonitor": {"enabled": True}}}


def _secrets(objects):
    """All but the one of the feed's certificate, which is made empty."""
    return [each for each in objects.all("Secret") if each["metadata"]["name"] != "probelet-operator-tls"]


def several_operators_without_an_election_are_refused(helm):
    says(helm.refusal({"operator": {"leaderElection": {"enabled": False}}}), "operator.replicas: ", "leaderElection")


def the_operator_leads_by_a_lease_that_it_may_write(helm):
    objects = helm.template(release="x")
    same(env_of(objects.operator())["PROBELET_LEASE"], "x-probelet-operator")
    assert ("coordination.k8s.io/leases", "get patch update", "x-probelet-operator") in rules(objects.get("Role", "x-probelet-operator"))
    alone = env_of(helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}}).operator())
    same((alone.get("PROBELET_LEASE"), alone["PROBELET_NO_LEADER_ELECTION"]), (None, "true"))


def an_operator_without_an_election_is_replaced_and_not_joined(helm):
    assert "strategy" not in helm.template().get("Deployment")["spec"]
    alone = helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}})
    same(alone.get("Deployment")["spec"]["strategy"], {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}})


def the_pod_of_the_test_is_admitted_wherever_the_operator_is(helm):
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
    objects = helm.template({"operator": {"resources": resources}})
    same(objects.get("Pod")["spec"]["containers"][0]["resources"], resources)
    same(helm.template().get("Pod")["spec"]["containers"][0]["resources"], helm.template().operator()["containers"][0]["resources"])


def no_mesh_stands_between_agents_and_the_operator_unless_values_say_so(helm):
    """Istio's sidecar with mutual TLS refuses who has none, as agents on the nodes' network, and keeps the pod of a test alive."""
    labels = {"sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}
    objects = helm.template()
    for pod in (objects.get("Deployment")["spec"]["template"], objects.get("DaemonSet")["spec"]["template"], objects.get("Pod")):
        found = pod["metadata"]
        same((found["labels"] | labels, found["annotations"]["linkerd.io/inject"]), (found["labels"], "disabled"))
    own = helm.template({"operator": {"podLabels": {"sidecar.istio.io/inject": "true"}, "podAnnotations": {"linkerd.io/inject": "enabled"}}})
    found = own.get("Deployment")["spec"]["template"]["metadata"]
    same((found["labels"]["sidecar.istio.io/inject"], found["annotations"]["linkerd.io/inject"]), ("true", "enabled"))
    # What finds pods does not depend on it.
    assert not labels.keys() & objects.get("Deployment")["spec"]["selector"]["matchLabels"].keys()


def a_drain_takes_one_operator_at_a_time(helm):
    objects = helm.template()
    same(objects.get("PodDisruptionBudget")["spec"]["maxUnavailable"], 1)
    same(objects.get("PodDisruptionBudget")["spec"]["selector"], objects.get("Deployment")["spec"]["selector"])
    same([each["topologyKey"] for each in objects.operator()["topologySpreadConstraints"]],
          ["kubernetes.io/hostname", "topology.kubernetes.io/zone"])


def the_operator_finds_the_seed_where_it_is_mounted(helm):
    pod = helm.template().operator()
    mount = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "seed"][0]
    same(env_of(pod)["PROBELET_SEED"], mount["mountPath"] + "/spec.yaml")
    same([each["configMap"]["name"] for each in pod["volumes"] if each["name"] == "seed"], ["probelet-seed"])


def monitors_without_their_kinds_are_refused_in_a_message(helm):
    says(helm.refusal({"metrics": {"podMonitor": {"enabled": True}}}), "metrics.podMonitor.enabled: ", "install prometheus-operator")
    says(helm.refusal({"metrics": {"serviceMonitor": {"enabled": True}}}), "metrics.serviceMonitor.enabled: ")


def agents_are_scraped_with_a_token_over_tls(helm):
    objects = helm.template(MONITORS, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    certificate = objects.get("Certificate", "probelet-agent")["spec"]
    same((endpoint["scheme"], endpoint["tlsConfig"]), ("https", {
        "ca": {"secret": {"name": certificate["secretName"], "key": "ca.crt"}}, "serverName": certificate["dnsNames"][0]}))
    same(endpoint["authorization"], {"type": "Bearer", "credentials": {"name": "renewed", "key": "token"}})
    same(_secrets(objects), [])
    same(objects.get("PodMonitor")["spec"]["selector"], objects.get("DaemonSet")["spec"]["selector"])
    same(endpoint["port"], objects.agent()["containers"][0]["ports"][0]["name"])


def the_token_that_prometheus_shows_reads_metrics_and_nothing_else(helm):
    objects = helm.template(MONITORS, apis=MONITORING)
    bound = {each["roleRef"]["name"] for each in objects.all("ClusterRoleBinding") + objects.all("RoleBinding")
             if any(subject["name"] == "probelet-metrics" for subject in each["subjects"])}
    same(bound, {"probelet-metrics"})
    same(rules(objects.get("ClusterRole", "probelet-metrics")), [("probelet.io/nodeprobes/metrics", "get")])
    own = helm.template({"metrics": {"subjects": [{"kind": "ServiceAccount", "name": "prometheus", "namespace": "monitoring"}]}})
    same([each["name"] for each in own.get("ClusterRoleBinding", "probelet-metrics")["subjects"]], ["probelet-metrics", "prometheus"])


def a_scrape_that_could_verify_nothing_or_shows_a_token_that_nothing_renews_is_refused(helm):
    def refusal(tls, monitor):
        return helm.refusal({"agent": {"tls": tls}, "metrics": {"podMonitor": {"enabled": True, **monitor}}}, apis=MONITORING)

    token = {"tokenSecret": {"name": "renewed"}}
    says(refusal({"mode": "cert-manager"}, {}), "metrics.podMonitor.tokenSecret.name: ", "nothing renews")
    says(refusal({}, token), "metrics.podMonitor.enabled: ", "self-signed", "verify")
    says(refusal({"mode": "secret", "secretName": "mine"}, token), "metrics.podMonitor.tlsConfig: ")


def cert_manager_makes_a_certificate_that_can_be_verified(helm):
    objects = helm.template({"agent": {"tls": {"mode": "cert-manager"}}}, release="x", apis=MONITORING)
    certificate = objects.get("Certificate", "x-probelet-agent")["spec"]
    same(certificate["dnsNames"], ["x-probelet-agent.probelet.svc", "localhost"])
    same([each["secret"]["secretName"] for each in objects.agent()["volumes"] if each["name"] == "tls"], [certificate["secretName"]])
    same(certificate["issuerRef"]["name"], objects.get("Issuer", "x-probelet-ca")["metadata"]["name"])
    same(objects.get("Certificate", "x-probelet-ca")["spec"]["secretName"], objects.get("Issuer", "x-probelet-ca")["spec"]["ca"]["secretName"])
    same(objects.get("Certificate", "x-probelet-ca")["spec"]["issuerRef"]["name"], objects.get("Issuer", "x-probelet-root")["metadata"]["name"])
    mine = helm.template({"agent": {"tls": {"mode": "cert-manager", "issuerRef": {"name": "corporate", "kind": "ClusterIssuer"}}}}, apis=MONITORING)
    same(mine.get("Certificate")["spec"]["issuerRef"], {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "corporate"})
    same(mine.all("Issuer"), [])
    says(helm.refusal({"agent": {"tls": {"mode": "cert-manager"}}}), "agent.tls.mode: ", "install cert-manager")


def the_operator_keeps_a_certificate_that_can_be_verified_and_no_other_secret(helm):
    values = {"agent": {"tls": {"mode": "operator"}}, "metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "renewed"}}}}
    objects = helm.template(values, release="x", apis=MONITORING)
    env = env_of(objects.operator())
    same((env["PROBELET_CERTIFY"], env["PROBELET_CERTIFY_NAME"]), ("x-probelet-agent-tls", "x-probelet-agent.probelet.svc"))
    for kind in ("Secret", "ConfigMap"):
        # What Helm does not name it leaves to the operator.
        assert not objects.get(kind, env["PROBELET_CERTIFY"]).keys() & {"data", "stringData"}
    own = [rule for rule in rules(objects.get("Role", "x-probelet-operator")) if rule[0] in ("/secrets", "/configmaps")]
    same(own, [(kind, "get patch", name) for kind in ("/configmaps", "/secrets") for name in (env["PROBELET_CERTIFY"], env["PROBELET_FEED_CERTIFY"])])
    volume = [each["secret"] for each in objects.agent()["volumes"] if each["name"] == "tls"][0]
    same((volume["secretName"], [each["key"] for each in volume["items"]]), (env["PROBELET_CERTIFY"], ["tls.crt", "tls.key"]))
    same(objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]["tlsConfig"], {
        "ca": {"configMap": {"name": env["PROBELET_CERTIFY"], "key": "ca.crt"}}, "serverName": env["PROBELET_CERTIFY_NAME"]})
    assert "PROBELET_CERTIFY" not in env_of(helm.template().operator())


def no_page_and_no_value_says_that_a_certificate_need_not_be_verified(helm):
    pages = [*ROOT.glob("docs/**/*.md"), *CHART.rglob("*.yaml"), *CHART.rglob("*.tpl"), CHART / "templates" / "NOTES.txt", ROOT / "README.md", ROOT / "demo" / "run"]
    for page in pages:
        text = page.read_text()
        # Why there is none may be said where decisions are.
        if "adr" in page.parts or page.name == "threat-model.md":
            continue
        for word in ("insecure_skip_verify", "insecureSkipVerify: true", "curl -k", "curl -sk", "--insecure"):
            assert word not in text, f"{page.relative_to(ROOT)}: {word}"


def relabellings_of_ones_own_add_to_the_label_node(helm):
    own = {"sourceLabels": ["__meta_kubernetes_namespace"], "targetLabel": "cluster", "replacement": "one"}
    objects = helm.template({**MONITORS, "metrics": {"podMonitor": {**MONITORS["metrics"]["podMonitor"], "relabelings": [own]}}}, apis=MONITORING)
    found = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"]
    same(found[0], {"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"})
    same(found[1], {**own, "action": "replace"})


def a_token_of_ones_own_makes_no_secret(helm):
    objects = helm.template({"metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "mine", "key": "k"},
                             "tlsConfig": {"serverName": "agent"}}}}, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    same(_secrets(objects), [])
    same((endpoint["authorization"]["credentials"], endpoint["tlsConfig"]), ({"name": "mine", "key": "k"}, {"serverName": "agent"}))


def agents_that_answer_everybody_are_scraped_without_a_token(helm):
    objects = helm.template({**MONITORS, "agent": {"auth": "none", "tls": {"mode": "none"}}}, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert not endpoint.keys() & {"authorization", "tlsConfig"}, endpoint
    same((endpoint["scheme"], endpoint["port"], _secrets(objects)), ("http", "http", []))


def the_operator_is_scraped_through_its_service(helm):
    objects = helm.template(MONITORS, apis=MONITORING)
    service, monitor = objects.get("Service"), objects.get("ServiceMonitor")
    same(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items(), service["metadata"]["labels"]


def helm_test_leaves_nothing_behind_when_it_passes(helm):
    for each in helm.template():
        is_test = each["metadata"]["labels"].get("app.kubernetes.io/component") == "test"
        notes = each["metadata"].get("annotations", {})
        same(notes.get("helm.sh/hook"), "test" if is_test else None)
        if is_test:
            same(notes["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded")
    same(helm.template().get("Pod")["spec"]["containers"][0]["args"], ["selftest"])


def helm_test_may_make_all_of_its_checks(helm):
    objects = helm.template(release="x", values={"nameOverride": "node-map"})
    same(rules(objects.get("ClusterRole", "x-probelet-test")), [
        ("probelet.io/nodeprobes", "get list"), ("probelet.io/nodeprobes/metrics", "get"), ("probelet.io/nodeprobes/report", "get"),
        ("probelet.io/probeconfigs", "get list")])
    same(rules(objects.get("Role", "x-probelet-test")), [
        ("/pods", "get list"), ("coordination.k8s.io/leases", "get", "x-probelet-operator")])
    pod = objects.get("Pod")
    same(env_of(pod["spec"])["PROBELET_LEASE"], "x-probelet-operator")


def helm_test_asks_an_agent_where_its_pods_come_from(helm):
    """By its metrics; that it is to ask the operator is known by the variable that selftest reads of the agent's pod."""
    for source, feeds in (("feed", True), ("api", False)):
        objects = helm.template({"agent": {"pods": {"source": source}}})
        assert ("probelet.io/nodeprobes/metrics", "get") in rules(objects.get("ClusterRole", "probelet-test"))
        same(bool(env_of(objects.agent()).get("PROBELET_FEED")), feeds)
    read = (ROOT / "operator" / "src" / "selftest" / "endpoint.rs").read_text()
    says(read, 'has("PROBELET_FEED"')


def notes_have_three_commands_and_warn_of_odd_values(helm):
    plain = _notes(helm, "image.registry=localhost")
    says(plain, "kubectl get nodeprobes", "kubectl edit probeconfig default", "create token probelet-metrics --audience probelet")
    assert plain.count("  * ") == 1, plain  # the registry
    says(_notes(helm, "image.registry=r.example", "agent.auth=none", "agent.tls.mode=none", "admissionPolicy.enabled=false",
                 "operator.replicas=1", "crds.keep=false", "agent.hostPID=false", "agent.resources.limits.cpu=5m",
                 "agent.capabilities.fallback=true", "agent.capabilities.conntrack=false", "networkPolicy.ingressFrom[0].podSelector.matchLabels.app=x"),
          "agent.auth is none", "admissionPolicy.enabled is false", "operator.replicas is less than 2", "crds.keep is false",
          "agent.hostPID is false", "limits.cpu is set", "fallback is true", "conntrack is false", "http://127.0.0.1:9466",
          "networkPolicy.ingressFrom does not hold for agents")
    says(_notes(helm, "image.registry=r.example", "agent.hostNetwork=false"), "agent.hostNetwork is false: agents start with SYS_ADMIN and SYS_PTRACE")
    # Through the loopback of a node anyone on it may come: the token is asked for there as well.
    for mode in ("operator", "none"):
        says(_notes(helm, "image.registry=r.example", f"agent.tls.mode={mode}"), 'curl', 'Authorization: Bearer $TOKEN', "create token probelet-metrics")
    assert "Note:" not in _notes(helm, "image.registry=r.example")


def notes_warn_of_metrics_that_alerts_cannot_work_with(helm):
    def warned(service, interval, disabled=()):
        values = {"agent": MONITORS["agent"],
                  "metrics": {"podMonitor": {**MONITORS["metrics"]["podMonitor"], "interval": interval}, "serviceMonitor": {"enabled": service},
                              "prometheusRule": {"enabled": True, "disabledAlerts": list(disabled)}},
                  "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "warned"},
                                    "data": {"text": '{{ include "probelet.metrics.warnings" . | toJson }}'}}]}
        return helm.template(values, apis=MONITORING).get("ConfigMap", "warned")["data"]["text"]

    says(warned(False, "5m"), "serviceMonitor.enabled is false", "interval is 3m or more")
    same({warned(True, interval).strip() for interval in ("60s", "2m", "90s", "2m30s", "500ms")}, {'""'})
    same(warned(False, "60s", ["ProbeletOperatorDown"]).strip(), '""')
    assert all("3m or more" in warned(True, interval) for interval in ("3m", "10m", "1h", "4m30s"))


def _notes(helm, *values):
    """What Helm says after an install. Helm 3 wants a cluster even to pretend one, so they are rendered as part of an object."""
    words = [word for value in values for word in ("--set", value)]
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(shutil.copytree(CHART, pathlib.Path(folder) / "probelet"))
        (copy / "templates" / "NOTES.txt").rename(copy / "notes.txt")
        (copy / "templates" / "notes.yaml").write_text('notes: |\n{{ tpl (.Files.Get "notes.txt") . | indent 2 }}\n')
        text = helm.run("template", "probelet", str(copy), "--namespace", "probelet", "--kube-version", KUBERNETES, *BASE,
                        "--show-only", "templates/notes.yaml", *words)
    return yaml.safe_load(text)["notes"]


def extra_objects_are_templates_as_maps_and_as_text(helm):
    objects = helm.template({"extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-a"}},
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "probelet.fullname" . }}-b\n']}, release="probelet-x")
    assert objects.all("ConfigMap", "probelet-x-a") and objects.all("ConfigMap", "probelet-x-b")


def a_variable_of_ones_own_takes_the_place_of_ours(helm):
    """Two of one name are refused by server-side apply, and a client-side upgrade loses one of them."""
    extra = [{"name": "PROBELET_LOG", "value": "a"}, {"name": "HTTPS_PROXY", "value": "x"}, {"name": "PROBELET_LOG", "value": "debug"}]
    objects = helm.template({"agent": {"extraEnv": extra}, "operator": {"extraEnv": extra}})
    plain = helm.template()
    for pod, before in ((objects.agent(), plain.agent()), (objects.operator(), plain.operator())):
        names = [each["name"] for each in pod["containers"][0]["env"]]
        same(len(names), len(set(names)))
        same(set(names), set(env_of(before)) | {"HTTPS_PROXY"})
        same(env_of(pod)["PROBELET_LOG"], "debug")
