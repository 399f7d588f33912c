"""GitOps: what an API server would add inside of lists is in the chart already, as tools compare lists as a whole.

One check a function: in, a Helm; out, nothing or an AssertionError. e2e/chart/drift.py asks a real API server the same.
I/O: renders the chart.
"""

import json

import yaml

from chart import BASE, CHART, CI_VALUES, LOADER, MONITORING, ROOT
from expect import says

CONTAINER = {"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"}
PROBE = {"timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"}


def nothing_is_left_to_be_added_inside_a_list(helm):
    for path in CI_VALUES:
        wrong = []
        for each in helm.template(files=[path], apis=MONITORING):
            where = f'{path.name}: {each["kind"]} {each["metadata"]["name"]}'
            wrong += [f"{where}: {what}" for what in _missing(each)]
        assert not wrong, "\n  ".join(wrong[:10])


def the_application_of_the_manual_renders(helm):
    page = (ROOT / "docs" / "user" / "platforms" / "gitops.md").read_text()
    block = next(part.split("```", 1)[0] for part in page.split("```yaml\n")[1:] if part.startswith("apiVersion: argoproj.io"))
    values = yaml.load(block.replace("REGISTRY", "registry.example"), LOADER)["spec"]["source"]["helm"]["valuesObject"]
    assert helm.template({"image": {"registry": ""}, **values}).agent()


def _missing(each):
    """Defaults that the API server, or a CRD of others, would write inside of lists of this object."""
    kind, spec = each["kind"], each.get("spec", {})
    if kind in ("DaemonSet", "Deployment", "Pod"):
        yield from _pod(spec if kind == "Pod" else spec["template"]["spec"])
    for subject in each.get("subjects", []):
        if subject["kind"] != "ServiceAccount" and "apiGroup" not in subject:
            yield f"subject {subject['name']}: apiGroup"
    if kind == "Service":
        yield from (f"port {port['name']}: {field}" for port in spec["ports"] for field in ("protocol", "targetPort") if field not in port)
    if kind == "NetworkPolicy":
        for rule in spec["ingress"] + spec.get("egress", []):
            yield from ("port: protocol" for port in rule.get("ports", []) if "protocol" not in port)
    if kind == "ValidatingAdmissionPolicy":
        yield from ("rule: scope" for rule in spec["matchConstraints"]["resourceRules"] if "scope" not in rule)
    if kind in ("PodMonitor", "ServiceMonitor"):
        for endpoint in spec.get("podMetricsEndpoints", spec.get("endpoints")):
            for rule in endpoint.get("relabelings", []) + endpoint.get("metricRelabelings", []):
                if "action" not in rule:
                    yield f"relabelling to {rule.get('targetLabel')}: action"


def _pod(pod):
    yield from (f"{field}: false would not be kept" for field in ("hostPID", "hostNetwork") if pod.get(field) is False)
    for container in pod["containers"]:
        yield from (f"container: {field}" for field in sorted(CONTAINER - container.keys()))
        for name in ("livenessProbe", "readinessProbe"):
            if probe := container.get(name):
                yield from (f"{name}: {field}" for field in sorted(PROBE - probe.keys()))
                if "scheme" not in probe["httpGet"]:
                    yield f"{name}: httpGet.scheme"
        yield from (f"port {port['name']}: protocol" for port in container.get("ports", []) if "protocol" not in port)
        if pod.get("hostNetwork"):
            yield from (f"port {port['name']}: hostPort" for port in container.get("ports", []) if "hostPort" not in port)
        for variable in container.get("env", []):
            if "apiVersion" not in variable.get("valueFrom", {}).get("fieldRef", {"apiVersion": 1}):
                yield f"env {variable['name']}: fieldRef.apiVersion"
    for volume in pod["volumes"]:
        for kind in ("configMap", "secret", "projected"):
            if kind in volume and "defaultMode" not in volume[kind]:
                yield f"volume {volume['name']}: defaultMode"
        if "hostPath" in volume and "type" not in volume["hostPath"]:
            yield f"volume {volume['name']}: hostPath.type"
        for source in volume.get("projected", {}).get("sources", []):
            if "expirationSeconds" not in source.get("serviceAccountToken", {"expirationSeconds": 1}):
                yield f"volume {volume['name']}: expirationSeconds"
            for item in source.get("downwardAPI", {}).get("items", []):
                if "apiVersion" not in item["fieldRef"]:
                    yield f"volume {volume['name']}: fieldRef.apiVersion"


def a_second_rendering_gives_the_same(helm):
    """No time, no random name, no look at a cluster: a tool that renders every three minutes finds nothing changed."""
    for path in CI_VALUES:
        words = ("template", "probelet", str(CHART), "--namespace", "probelet", "--kube-version", "1.36.0", *BASE, "--values", str(path))
        words += tuple(word for api in MONITORING for word in ("--api-versions", api))
        first, second = helm.run(*words), helm.run(*words)
        assert first == second, path.name
        assert "lookup " not in "".join(each.read_text() for each in (CHART / "templates").rglob("*.yaml"))


def the_test_can_be_left_out_of_what_is_applied(helm):
    text = helm.run("template", "probelet", str(CHART), "--kube-version", "1.36.0", "--skip-tests", *BASE)
    assert "helm.sh/hook" not in text
    says(text, "kind: DaemonSet", "kind: CustomResourceDefinition")


def what_is_found_by_labels_of_objects_is_found_under_the_name_of_an_application(helm):
    """Argo CD writes its application's name over app.kubernetes.io/instance of objects, not of the pods in them."""
    objects = helm.template({"metrics": {"serviceMonitor": {"enabled": True}}}, apis=MONITORING)
    service = objects.get("Service")["metadata"]["labels"] | {"app.kubernetes.io/instance": "an-application"}
    wanted = objects.get("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service.items(), f"{wanted} does not select {service}"
    assert len(wanted) > 2, wanted


def an_annotation_of_ones_own_takes_the_place_of_ours(helm):
    annotation = "kubectl.kubernetes.io/default-container"
    values = {each: {"podAnnotations": {annotation: "sidecar"}} for each in ("agent", "operator")}
    text = helm.run("template", "probelet", str(CHART), *BASE, "--kube-version", "1.36.0",
                    *[word for key, value in values.items() for word in ("--set-json", f"{key}={json.dumps(value)}")])
    # Server-side apply refuses a key that is there twice, which a parser of YAML forgives.
    assert text.count(f"{annotation}: sidecar") == 2 and text.count(annotation) == 2, text.count(annotation)
