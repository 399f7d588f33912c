"""What the chart promises, one sentence a function.

In: a Helm. Out: nothing, or an AssertionError that says what was found instead. It must not depend on the order of sentences.
I/O: renders the chart.
"""

import json
import re
import shutil
import tempfile
from pathlib import Path

import yaml

import manifests
from chart import CHART, CI_VALUES, LOADER, MONITORING, ROOT, Refused

OWN_NODE = "probelet-agent-own-node"
MONITORS = {"metrics": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}}}


class Skipped(Exception):
    """Why a sentence cannot be judged with this Helm."""


def _same(found, wanted):
    assert found == wanted, f"found {found!r}, not {wanted!r}"


def _says(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in {text.strip()!r}"


def _capabilities(objects):
    return objects.agent()["containers"][0]["securityContext"]["capabilities"]


def _rules(role):
    return sorted(
        (",".join(rule.get("apiGroups", [])) + "/" + resource, " ".join(sorted(rule["verbs"])), *rule.get("resourceNames", []))
        for rule in role["rules"] for resource in rule.get("resources", rule.get("nonResourceURLs")))


def _env(pod):
    return {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}


def _pods(objects):
    return [each["spec"]["template"] for each in objects if each["kind"] in ("DaemonSet", "Deployment")]


# What people change with kubectl, and what must not restart.

def a_changed_seed_restarts_no_pod(helm):
    plain, changed = helm.template(), helm.template({"config": {"budget": {"cpu": "9m"}}})
    _same(_pods(changed), _pods(plain))
    _same(yaml.safe_load(changed.get("ConfigMap", "probelet-seed")["data"]["spec.yaml"]), {"budget": {"cpu": "9m"}})
    _same(yaml.safe_load(plain.get("ConfigMap", "probelet-seed")["data"]["spec.yaml"]), {})


def a_new_chart_for_the_same_product_restarts_no_pod(helm):
    with tempfile.TemporaryDirectory() as folder:
        newer = shutil.copytree(CHART, Path(folder) / "probelet")
        text = (newer / "Chart.yaml").read_text()
        (newer / "Chart.yaml").write_text(re.sub(r"^version: .*$", "version: 99.0.0", text, flags=re.M))
        _same(_pods(helm.template(chart=newer)), _pods(helm.template()))


def nothing_that_people_edit_comes_from_helm(helm):
    for path in CI_VALUES:
        kinds = {each["kind"] for each in helm.template(files=[path], apis=MONITORING)}
        assert not kinds & {"ProbeConfig", "NodeProbe", "Lease", "Namespace", "Node"}, f"{path.name}: {kinds}"


def selectors_never_change_with_values(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        for kind, component in (("DaemonSet", "agent"), ("Deployment", "operator")):
            _same(objects.get(kind)["spec"]["selector"]["matchLabels"], {
                "app.kubernetes.io/name": "probelet", "app.kubernetes.io/instance": "probelet",
                "app.kubernetes.io/component": component})


# CRDs and the seed.

def crds_are_what_is_generated_and_are_structural(helm):
    files = sorted((CHART / "files" / "crds").glob("*.yaml"))
    _same([path.stem for path in files], ["nodeprobes.probelet.io", "probeconfigs.probelet.io"])
    for path in files:
        text = path.read_text()
        generated = yaml.load(text, LOADER)
        wrong = list(manifests.not_structural(generated, text))
        assert not wrong, f"{path.name}: " + "; ".join(wrong[:5])
        _same(helm.template().get("CustomResourceDefinition", path.stem)["spec"], generated["spec"])


def crds_survive_an_uninstall_unless_told_otherwise(helm):
    policy = lambda objects: [crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
                              for crd in objects.all("CustomResourceDefinition")]
    _same(policy(helm.template()), ["keep", "keep"])
    _same(policy(helm.template({"crds": {"keep": False}})), [None, None])
    _same(policy(helm.template({"crds": {"enabled": False}})), [])


def a_misspelt_field_of_the_seed_is_refused_by_name(helm):
    _says(helm.refusal({"config": {"budgte": {"cpu": "5m"}}}), "config.budgte: there is no such field; known here: ", "budget")
    _says(helm.refusal({"config": {"budget": {"cpus": "5m"}}}), "config.budget.cpus: there is no such field")
    _says(helm.refusal({"config": {"match": {"cidrGroups": [{"nam": "x"}]}}}), "config.match.cidrGroups[0].nam: there is no such")
    helm.template({"config": {"nodeSelector": {"matchLabels": {"pool": "busy"}}, "budget": {"cpu": "5m"}}})


def a_word_that_yaml_takes_for_no_is_explained(helm):
    _says(helm.refusal({"config": {"match": {"peers": False}}}), "config.match.peers: false is not one of EndpointSlices", "quotes")
    _says(helm.refusal({"config": {"budget": {"policy": "Slow"}}}), "config.budget.policy: Slow is not one of Degrade, Stretch")
    helm.template({"config": {"match": {"peers": "Off"}}})


# The agent's pod.

def the_agent_asks_for_named_capabilities_and_no_more(helm):
    _same(_capabilities(helm.template()), {
        "drop": ["ALL"], "add": ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN", "NET_ADMIN"]})


def without_fallback_capabilities_the_agent_asks_for_bpf_and_perfmon_only(helm):
    objects = helm.template({"agent": {"capabilities": {"fallback": False}}})
    _same(_capabilities(objects), {"drop": ["ALL"], "add": ["BPF", "PERFMON"]})


def without_bpf_the_agent_asks_for_the_fallbacks_only(helm):
    objects = helm.template({"agent": {"capabilities": {"bpf": False, "conntrack": False}}})
    _same(_capabilities(objects), {"drop": ["ALL"], "add": ["SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN"]})
    _says(helm.refusal({"agent": {"capabilities": {"bpf": False, "fallback": False}}}), "could read nothing")
    _says(helm.refusal({"agent": {"capabilities": {"extra": ["CAP_SYS_RESOURCE"]}}}), "write SYS_RESOURCE, not CAP_SYS_RESOURCE")


def no_container_is_privileged_or_may_become_so_or_writes_to_its_root(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        for pod in [each["spec"] for each in _pods(objects)] + [each["spec"] for each in objects.all("Pod")]:
            for container in pod["containers"]:
                context = container["securityContext"]
                assert not context.get("privileged"), container["name"]
                _same((context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]["drop"]),
                      (False, True, ["ALL"]))
                assert container["resources"]["limits"]["memory"], f'{container["name"]} has no memory limit'


def only_the_agent_is_root_or_has_capabilities(helm):
    objects = helm.template()
    for pod in (objects.operator(), objects.get("Pod")["spec"]):
        _same(pod["securityContext"], {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                                       "seccompProfile": {"type": "RuntimeDefault"}})
        assert "add" not in pod["containers"][0]["securityContext"]["capabilities"]
        assert not pod.get("hostPID") and not pod.get("hostNetwork")


def the_only_host_path_is_the_cgroup_tree_read_only(helm):
    def host_paths(objects):
        pod = objects.agent()
        volumes = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
        mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
        return [(path, mounts[name].get("readOnly")) for name, path in volumes.items()]

    _same(host_paths(helm.template()), [("/sys/fs/cgroup", True)])
    _same(host_paths(helm.template({"agent": {"hostCgroup": False}})), [])


def the_agent_has_no_cpu_limit_unless_asked_for(helm):
    resources = lambda objects: objects.agent()["containers"][0]["resources"]
    _same(resources(helm.template()), {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})
    _same(resources(helm.template({"agent": {"resources": {"limits": {"cpu": "100m"}}}}))["limits"],
          {"memory": "128Mi", "cpu": "100m"})


def agents_run_on_every_node_and_are_replaced_a_tenth_at_a_time(helm):
    objects = helm.template()
    _same(objects.agent()["tolerations"], [{"operator": "Exists"}])
    _same(objects.agent()["priorityClassName"], "system-node-critical")
    _same(objects.agent()["terminationGracePeriodSeconds"], 10)
    _same(objects.get("DaemonSet")["spec"]["updateStrategy"],
          {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}})


def probes_follow_the_certificate(helm):
    def probed(values):
        container = helm.template(values).agent()["containers"][0]
        port = container["ports"][0]
        return port["name"], port["containerPort"], [
            (container[probe]["httpGet"]["path"], container[probe]["httpGet"]["scheme"], container[probe]["httpGet"]["port"])
            for probe in ("livenessProbe", "readinessProbe")]

    _same(probed({}), ("https", 9466, [("/healthz", "HTTPS", "https"), ("/readyz", "HTTPS", "https")]))
    _same(probed({"agent": {"tls": {"mode": "none"}, "port": 1234}}),
          ("http", 1234, [("/healthz", "HTTP", "http"), ("/readyz", "HTTP", "http")]))


def a_certificate_of_ones_own_is_mounted(helm):
    objects = helm.template({"agent": {"tls": {"mode": "secret", "secretName": "mine"}}})
    mount = [each for each in objects.agent()["containers"][0]["volumeMounts"] if each["name"] == "tls"][0]
    _same(_env(objects.agent())["PROBELET_TLS"], mount["mountPath"])
    _same([each["secret"] for each in objects.agent()["volumes"] if each["name"] == "tls"], [{"secretName": "mine"}])
    _says(helm.refusal({"agent": {"tls": {"mode": "secret"}}}), "agent.tls.secretName: ")


def the_agent_is_told_its_node_its_certificate_and_whom_to_answer(helm):
    env = _env(helm.template().agent())
    _same({name: value for name, value in env.items() if value}, {
        "PROBELET_LISTEN": "[::]:9466", "PROBELET_NODE_PROBE": "true", "PROBELET_STATE_DIR": "/var/lib/probelet",
        "PROBELET_AUTH": "token", "PROBELET_TLS": "self-signed", "PROBELET_DOCKER": "off", "PROBELET_LOG_FORMAT": "json",
        "PROBELET_LOG": "info"})
    assert "PROBELET_NODE_NAME" in env
    env = _env(helm.template({"agent": {"auth": "none", "tls": {"mode": "none"}, "listenAddress": "0.0.0.0"}}).agent())
    _same((env["PROBELET_AUTH"], env["PROBELET_TLS"], env["PROBELET_LISTEN"]), ("off", "off", "0.0.0.0:9466"))


def apparmor_is_in_the_way_of_the_fallbacks_only(helm):
    profile = lambda **agent: helm.template({"agent": agent}).agent()["containers"][0]["securityContext"].get("appArmorProfile")
    _same(profile(), {"type": "Unconfined"})
    _same(profile(capabilities={"fallback": False}), None)
    _same(profile(appArmorProfile={"type": "RuntimeDefault"}), {"type": "RuntimeDefault"})


# Images and names.

def a_digest_wins_over_a_tag_and_a_tag_over_the_version(helm):
    image = lambda values: helm.template(values).agent()["containers"][0]["image"]
    digest = "sha256:" + "ab" * 32
    _same(image({}), "localhost/probelet-agent:" + _chart()["appVersion"])
    _same(image({"image": {"registry": "", "tag": "x"}}), "probelet-agent:x")
    _same(image({"image": {"tag": "x"}, "agent": {"image": {"tag": "y"}}}), "localhost/probelet-agent:y")
    _same(image({"image": {"registry": "r.example:5000/a/"}, "agent": {"image": {"tag": "y", "digest": digest}}}),
          "r.example:5000/a/probelet-agent@" + digest)


def names_begin_with_the_release_unless_told_otherwise(helm):
    name = lambda release, values=None: helm.template(values, release=release).get("DaemonSet")["metadata"]["name"]
    _same(name("probelet"), "probelet-agent")
    _same(name("my-probelet"), "my-probelet-agent")
    _same(name("node"), "node-probelet-agent")
    _same(name("node", {"fullnameOverride": "x"}), "x-agent")


def the_longest_names_are_cut_and_stay_apart(helm):
    for release in ("a" * 53, "probelet-" + "b" * 44, "c" * 37 + "-" + "d" * 15):
        objects = helm.template(MONITORS, release=release, apis=MONITORING)
        wrong = list(manifests.against_rules(objects, "probelet"))
        assert not wrong, wrong[:3]
        longest = max((each["metadata"]["name"] for each in objects), key=len)
        assert len(longest) <= 63, longest


def common_labels_are_on_every_object_and_pod(helm):
    objects = helm.template({"commonLabels": {"team": "a"}, **MONITORS}, apis=MONITORING)
    for each in objects + _pods(objects):
        _same(each["metadata"]["labels"].get("team"), "a")
        _same(each["metadata"]["labels"]["app.kubernetes.io/name"], "probelet")


def a_label_of_ours_cannot_be_replaced(helm):
    objects = helm.template({"commonLabels": {"app.kubernetes.io/component": "x"},
                             "agent": {"podLabels": {"app.kubernetes.io/name": "y"}}})
    labels = objects.get("DaemonSet")["spec"]["template"]["metadata"]["labels"]
    _same((labels["app.kubernetes.io/component"], labels["app.kubernetes.io/name"]), ("agent", "probelet"))


# Permissions.

def the_agents_role_is_the_least(helm):
    agent = [("/namespaces", "list watch"), ("/pods", "list watch"), ("/services", "list watch"),
             ("authentication.k8s.io/tokenreviews", "create"), ("authorization.k8s.io/subjectaccessreviews", "create"),
             ("discovery.k8s.io/endpointslices", "list watch"), ("probelet.io/nodeprobes", "get list watch"),
             ("probelet.io/nodeprobes/status", "patch")]
    _same(_rules(helm.template().get("ClusterRole", "probelet-agent")), agent)
    open_to_all = helm.template({"agent": {"auth": "none"}}).get("ClusterRole", "probelet-agent")
    _same(_rules(open_to_all), [rule for rule in agent if "review" not in rule[0]])


def the_operators_roles_are_the_least(helm):
    objects = helm.template()
    _same(_rules(objects.get("ClusterRole", "probelet-operator")), [
        ("/nodes", "get list watch"), ("events.k8s.io/events", "create patch"),
        ("probelet.io/nodeprobes", "create delete get list patch watch"),
        ("probelet.io/probeconfigs", "create get list watch"), ("probelet.io/probeconfigs/status", "patch")])
    _same(_rules(objects.get("Role", "probelet-operator")), [
        ("coordination.k8s.io/leases", "create"), ("coordination.k8s.io/leases", "get patch update", "probelet-operator")])
    _same(helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}}).all("Role", "probelet-operator"), [])


def every_binding_binds_an_account_that_is_there(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        accounts = {each["metadata"]["name"] for each in objects.all("ServiceAccount")} | {"existing-agent"}
        for binding in objects.all("ClusterRoleBinding") + objects.all("RoleBinding"):
            kind = binding["roleRef"]["kind"]
            assert objects.all(kind, binding["roleRef"]["name"]), f'{path.name}: no {kind} {binding["roleRef"]["name"]}'
            for subject in binding["subjects"]:
                assert subject["namespace"] != "probelet" or subject["name"] in accounts, f"{path.name}: {subject}"


def a_viewer_reads_reports_and_metrics_and_nothing_else(helm):
    objects = helm.template({"viewer": {"subjects": [{"kind": "Group", "name": "sre", "apiGroup": "rbac.authorization.k8s.io"}]}})
    _same(objects.get("ClusterRole", "probelet-viewer")["rules"], [{"nonResourceURLs": ["/metrics", "/v1/report"], "verbs": ["get"]}])
    _same([each["name"] for each in objects.get("ClusterRoleBinding", "probelet-viewer")["subjects"]], ["probelet-viewer", "sre"])


def roles_of_ones_own_take_the_place_of_ours(helm):
    objects = helm.template({"rbac": {"create": False}})
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}, kinds
    _says(helm.refusal({"agent": {"serviceAccount": {"create": False}}}), "agent.serviceAccount.name: ")


def the_admission_policy_names_the_agents_service_account(helm):
    condition = lambda objects: objects.get("ValidatingAdmissionPolicy", OWN_NODE)["spec"]["matchConditions"][0]["expression"]
    _same(condition(helm.template()), "request.userInfo.username == 'system:serviceaccount:probelet:probelet-agent'")
    other = helm.template({"agent": {"serviceAccount": {"name": "mine"}}}, namespace="there")
    _same(condition(other), "request.userInfo.username == 'system:serviceaccount:there:mine'")


def the_admission_policy_is_in_force_for_every_way_to_write_a_node_probe(helm):
    objects = helm.template()
    spec = objects.get("ValidatingAdmissionPolicy", OWN_NODE)["spec"]
    _same(spec["failurePolicy"], "Fail")
    _same(spec["matchConstraints"]["resourceRules"], [{
        "apiGroups": ["probelet.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["nodeprobes", "nodeprobes/status"]}])
    _same(objects.get("ValidatingAdmissionPolicyBinding")["spec"], {"policyName": OWN_NODE, "validationActions": ["Deny"]})


def the_flow_schema_names_the_agents_service_account(helm):
    objects = helm.template({"agent": {"serviceAccount": {"name": "mine"}}})
    flow = objects.get("FlowSchema")["spec"]
    _same(flow["rules"][0]["subjects"], [{"kind": "ServiceAccount", "serviceAccount": {"name": "mine", "namespace": "probelet"}}])
    _same(objects.get("PriorityLevelConfiguration")["metadata"]["name"], flow["priorityLevelConfiguration"]["name"])


def a_network_policy_opens_the_port_that_is_served(helm):
    objects = helm.template({"networkPolicy": {"enabled": True}, "agent": {"port": 1234}})
    ports = lambda name: [port["port"] for port in objects.get("NetworkPolicy", name)["spec"]["ingress"][0]["ports"]]
    _same((ports("probelet-agent"), ports("probelet-operator")), ([1234], [9467]))
    _same(objects.get("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"], 9467)
    _same(helm.template().all("NetworkPolicy"), [])


# The operator.

def several_operators_without_an_election_are_refused(helm):
    _says(helm.refusal({"operator": {"leaderElection": {"enabled": False}}}), "operator.replicas: ", "leaderElection")


def the_operator_leads_by_a_lease_that_it_may_write(helm):
    objects = helm.template(release="x")
    _same(_env(objects.operator())["PROBELET_LEASE"], "x-probelet-operator")
    assert ("coordination.k8s.io/leases", "get patch update", "x-probelet-operator") in _rules(objects.get("Role", "x-probelet-operator"))
    alone = _env(helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}}).operator())
    _same((alone.get("PROBELET_LEASE"), alone["PROBELET_NO_LEADER_ELECTION"]), (None, "true"))


def a_drain_takes_one_operator_at_a_time(helm):
    objects = helm.template()
    _same(objects.get("PodDisruptionBudget")["spec"]["maxUnavailable"], 1)
    _same(objects.get("PodDisruptionBudget")["spec"]["selector"], objects.get("Deployment")["spec"]["selector"])
    _same([each["topologyKey"] for each in objects.operator()["topologySpreadConstraints"]],
          ["kubernetes.io/hostname", "topology.kubernetes.io/zone"])


def the_operator_finds_the_seed_where_it_is_mounted(helm):
    pod = helm.template().operator()
    mount = pod["containers"][0]["volumeMounts"][0]
    _same(_env(pod)["PROBELET_SEED"], mount["mountPath"] + "/spec.yaml")
    _same(pod["volumes"][0], {"name": mount["name"], "configMap": {"name": "probelet-seed"}})


# Monitoring.

def monitors_without_their_kinds_are_refused_in_a_sentence(helm):
    _says(helm.refusal({"metrics": {"podMonitor": {"enabled": True}}}), "metrics.podMonitor.enabled: ", "install prometheus-operator")
    _says(helm.refusal({"metrics": {"serviceMonitor": {"enabled": True}}}), "metrics.serviceMonitor.enabled: ")


def agents_are_scraped_with_a_token_over_tls(helm):
    objects = helm.template(MONITORS, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    _same((endpoint["scheme"], endpoint["tlsConfig"]), ("https", {"insecureSkipVerify": True}))
    _same(endpoint["authorization"], {"type": "Bearer", "credentials": {"name": "probelet-viewer-token", "key": "token"}})
    secret = objects.get("Secret", "probelet-viewer-token")
    _same(secret["metadata"]["annotations"], {"kubernetes.io/service-account.name": "probelet-viewer"})
    _same(objects.get("PodMonitor")["spec"]["selector"], objects.get("DaemonSet")["spec"]["selector"])
    _same(endpoint["port"], objects.agent()["containers"][0]["ports"][0]["name"])


def a_token_of_ones_own_makes_no_secret(helm):
    objects = helm.template({"metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "mine", "key": "k"},
                             "tlsConfig": {"serverName": "agent"}}}}, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    _same(objects.all("Secret"), [])
    _same((endpoint["authorization"]["credentials"], endpoint["tlsConfig"]), ({"name": "mine", "key": "k"}, {"serverName": "agent"}))


def agents_that_answer_everybody_are_scraped_without_a_token(helm):
    objects = helm.template({**MONITORS, "agent": {"auth": "none", "tls": {"mode": "none"}}}, apis=MONITORING)
    endpoint = objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert not endpoint.keys() & {"authorization", "tlsConfig"}, endpoint
    _same((endpoint["scheme"], endpoint["port"], objects.all("Secret")), ("http", "http", []))


def the_operator_is_scraped_through_its_service(helm):
    objects = helm.template(MONITORS, apis=MONITORING)
    service, monitor = objects.get("Service"), objects.get("ServiceMonitor")
    _same(monitor["spec"]["endpoints"][0]["port"], service["spec"]["ports"][0]["name"])
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items(), service["metadata"]["labels"]


# helm test, NOTES, extras.

def helm_test_leaves_nothing_behind_when_it_passes(helm):
    for each in helm.template():
        is_test = each["metadata"]["labels"].get("app.kubernetes.io/component") == "test"
        notes = each["metadata"].get("annotations", {})
        _same(notes.get("helm.sh/hook"), "test" if is_test else None)
        if is_test:
            _same(notes["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded")
    _same(helm.template().get("Pod")["spec"]["containers"][0]["args"], ["selftest"])


def notes_have_three_commands_and_warn_of_odd_values(helm):
    plain = _notes(helm)
    _says(plain, "kubectl get nodeprobes", "kubectl edit probeconfig default", "port-forward daemonset/probelet-agent")
    assert plain.count("  * ") == 1, plain  # the registry
    _says(_notes(helm, "image.registry=r.example", "agent.auth=none", "agent.tls.mode=none", "admissionPolicy.enabled=false",
                 "operator.replicas=1", "crds.keep=false", "agent.hostPID=false", "agent.resources.limits.cpu=5m",
                 "agent.capabilities.fallback=false"),
          "agent.auth is none", "admissionPolicy.enabled is false", "operator.replicas is less than 2", "crds.keep is false",
          "agent.hostPID is false", "limits.cpu is set", "fallback is false", "http://127.0.0.1:9466")
    assert "Note:" not in _notes(helm, "image.registry=r.example")


def _notes(helm, *values):
    """What Helm says after an install; Helm 3 wants a cluster even to pretend one."""
    words = [word for value in values for word in ("--set", value)]
    try:
        text = helm.run("install", "probelet", str(CHART), "--namespace", "probelet", "--dry-run=client", *words)
    except Refused as refused:
        if "cluster unreachable" in str(refused):
            raise Skipped("it wants a cluster to show them") from refused
        raise
    return text[text.index("NOTES:"):]


def extra_objects_are_templates_as_maps_and_as_text(helm):
    objects = helm.template({"extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-a"}},
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ include "probelet.fullname" . }}-b\n']}, release="probelet-x")
    assert objects.all("ConfigMap", "probelet-x-a") and objects.all("ConfigMap", "probelet-x-b")


# Values and versions.

def an_unknown_value_is_refused_by_name(helm):
    sections = [key for key, value in _defaults().items() if isinstance(value, dict) and key not in ("config", "commonLabels")]
    # All at once: Helm names each of them.
    wrong = {"agnet": 1, **{key: {"misspelt-in-" + key: 1} for key in sections}}
    _says(helm.refusal(wrong), "'agnet' not allowed", *[f"at '/{key}': additional properties 'misspelt-in-{key}' not allowed"
                                                        for key in sections])
    _says(helm.refusal({"agent": {"capabilities": {"bfp": True}}}), "at '/agent/capabilities': additional properties 'bfp'")


def wrong_values_are_refused_with_their_place(helm):
    for values, place in [
        ({"agent": {"auth": False}}, "/agent/auth"), ({"agent": {"tls": {"mode": "on"}}}, "/agent/tls/mode"),
        ({"operator": {"replicas": "two"}}, "/operator/replicas"), ({"agent": {"port": 70000}}, "/agent/port"),
        ({"image": {"pullPolicy": "always"}}, "/image/pullPolicy"), ({"operator": {"writesPerSecond": 0}}, "/operator/writesPerSecond"),
        ({"agent": {"image": {"digest": "sha256:1"}}}, "/agent/image/digest"), ({"commonLabels": {"a": 1}}, "/commonLabels/a"),
        ({"agent": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "ten"}}}}, "maxUnavailable"),
        ({"agent": {"listenAddress": "::"}}, "/agent/listenAddress"), ({"imagePullSecrets": ["x"]}, "/imagePullSecrets/0"),
        ({"fullnameOverride": "A_b"}, "/fullnameOverride"), ({"metrics": {"podMonitor": {"interval": "1 minute"}}}, "interval"),
        ({"agent": {"resources": {"limits": {"memory": "lots"}}}}, "/agent/resources/limits/memory")]:
        _says(helm.refusal(values), place)


def the_schema_and_the_values_have_the_same_keys(helm):
    del helm
    schema = json.loads((CHART / "values.schema.json").read_text())

    def resolved(node):
        return schema["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node

    def compare(values, node, path):
        node = resolved(node)
        known = {key for key in node.get("properties", {}) if path or key not in ("global", "enabled")}
        if not known or not isinstance(values, dict):
            return
        if path not in OPTIONAL:
            assert set(values) == known, f"{path}: {sorted(set(values) ^ known)}"
        for key, value in values.items():
            compare(value, node["properties"][key], f"{path}.{key}")

    compare(_defaults(), schema, "")


# Kubernetes' own structures: the schema knows all of their fields, values.yaml those that we set.
OPTIONAL = {".agent.seccompProfile", ".agent.appArmorProfile", ".agent.seLinuxOptions", ".agent.resources", ".operator.resources",
            ".agent.updateStrategy", ".agent.updateStrategy.rollingUpdate"}


def every_value_is_used_and_every_used_value_is_there(helm):
    del helm
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    for alias, full in (("agent", "agent"), ("operator", "operator"), ("policy", "networkPolicy"), ("pods", "metrics.podMonitor"),
                        ("service", "metrics.serviceMonitor"), ("wanted", "agent.capabilities")):
        text = text.replace(f"${alias}.", f".Values.{full}.")
    used = {match.rstrip(".") for match in re.findall(r"\.Values\.([A-Za-z.]+)", text)}
    paths = {".".join(path) for path in _paths(_defaults())}
    for name in used:
        assert any(path == name or path.startswith(name + ".") or name.startswith(path + ".") for path in paths), f"{name} is no value"
    # Read through the component's name, in helpers.
    indirect = re.compile(r"(agent|operator)\.(image|serviceAccount)\.")
    for path in paths:
        assert indirect.match(path) or any(path == name or path.startswith(name + ".") for name in used), f"{path} is not used"


def the_chart_can_be_part_of_another(helm):
    helm.template({"global": {"any": 1}, "enabled": True})


def an_old_kubernetes_is_refused(helm):
    _says(helm.refusal({}, kubernetes="1.29.9"), "kubeVersion", "1.30")
    helm.template(kubernetes="1.30.0-gke.1")


def the_chart_has_the_version_and_the_licence_of_the_product(helm):
    del helm
    workspace = re.search(r"\[workspace\.package\](?:\n.+)*?\nversion = \"(.*?)\"", (ROOT / "Cargo.toml").read_text())[1]
    _same(_chart()["appVersion"], workspace)
    _same((CHART / "LICENSE").read_text(), (ROOT / "LICENSE").read_text())


def _chart():
    return yaml.load((CHART / "Chart.yaml").read_text(), LOADER)


def _defaults():
    return yaml.load((CHART / "values.yaml").read_text(), LOADER)


def _paths(values, path=()):
    """The paths of all leaves; an empty map is one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*path, key))
        else:
            yield (*path, key)
