"""Values and versions: what is refused, what belongs together.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

import json
import re

import yaml

from chart import CHART, LOADER, ROOT, about
from expect import env_of, same, says


def an_unknown_value_is_refused_by_name(helm):
    sections = [key for key, value in _defaults().items() if isinstance(value, dict) and key not in ("config", "commonLabels")]
    # All at once: Helm names each of them.
    wrong = {"agnet": 1, **{key: {"misspelt-in-" + key: 1} for key in sections}}
    says(helm.refusal(wrong), "'agnet' not allowed", *[f"at '/{key}': additional properties 'misspelt-in-{key}' not allowed"
                                                        for key in sections])
    says(helm.refusal({"agent": {"capabilities": {"bfp": True}}}), "at '/agent/capabilities': additional properties 'bfp'")


def wrong_values_are_refused_with_their_place(helm):
    for values, place in [
        ({"agent": {"auth": False}}, "/agent/auth"), ({"agent": {"tls": {"mode": "on"}}}, "/agent/tls/mode"),
        ({"operator": {"replicas": "two"}}, "/operator/replicas"), ({"agent": {"port": 70000}}, "/agent/port"),
        ({"image": {"pullPolicy": "always"}}, "/image/pullPolicy"), ({"operator": {"writesPerSecond": 0}}, "/operator/writesPerSecond"),
        ({"agent": {"image": {"digest": "sha256:1"}}}, "/agent/image/digest"), ({"commonLabels": {"a": 1}}, "/commonLabels/a"),
        ({"agent": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "ten"}}}}, "maxUnavailable"),
        ({"agent": {"listenAddress": "::"}}, "/agent/listenAddress"), ({"imagePullSecrets": ["x"]}, "/imagePullSecrets/0"),
        ({"agent": {"port": 9468}}, "agent.probePort: 9468 is agent.port as well"), ({"fullnameOverride": "A_b"}, "/fullnameOverride"), ({"metrics": {"podMonitor": {"interval": "1 minute"}}}, "interval"),
        ({"image": {"registry": "https://reg.example"}}, "/image/registry"), ({"image": {"registry": "oci://reg.example/p"}}, "/image/registry"),
        ({"image": {"registry": "reg.example/Upper"}}, "/image/registry"), ({"global": {"imageRegistry": "http://reg.example"}}, "/global/imageRegistry"),
        ({"operator": {"podSecurityContext": {"runAsUser": "1000650000"}}}, "/operator/podSecurityContext/runAsUser"),
        ({"operator": {"resources": {"requests": {"cpu": -1}}}}, "/operator/resources/requests/cpu"),
        ({"agent": {"resources": {"limits": {"memory": "lots"}}}}, "/agent/resources/limits/memory")]:
        says(helm.refusal(values), place)


def values_of_the_wrong_kind_in_the_seed_are_refused_with_their_place(helm):
    for config, message in [
        ({"paused": "perhaps"}, "config.paused: got string perhaps, want boolean"), ({"priority": "high"}, "config.priority: got string high, want integer"),
        ({"intervals": {"sockets": 1}}, "config.intervals.sockets: got number 1, want string"), ({"budget": "5m"}, "config.budget: got string 5m, want object"),
        ({"jitterPercent": 10.5}, "config.jitterPercent: got 10.5, want a whole number"), ({"nodeNames": "a"}, "config.nodeNames: got string a, want array"),
        ({"nodeNames": ["a", 7]}, "config.nodeNames[1]: got number 7, want string"),
        ({"nodeSelector": {"matchLabels": {"gpu": True}}}, "config.nodeSelector.matchLabels.gpu: got boolean true, want string")]:
        says(helm.refusal({"config": config}), message)
    right = {"paused": False, "priority": 10, "budget": {"cpu": 1}, "nodeSelector": {"matchLabels": {"gpu": "true"}}, "jitterPercent": 0, "source": "Auto"}
    helm.template({"config": right})
    helm.template({"config": right | {"budget": {"cpu": "5m"}}})


def registries_as_people_write_them_are_the_beginning_of_an_image(helm):
    for registry in ("localhost", "reg.example:5000", "reg.example/a/b_c.d/", "[2001:db8::1]:5000/p", "123456789012.dkr.ecr.eu-central-1.amazonaws.com"):
        image = helm.template({"image": {"registry": registry}}).agent()["containers"][0]["image"]
        same(image.rsplit(":", 1)[0], registry.rstrip("/") + "/probelet-agent")


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
OPTIONAL = {".operator.podSecurityContext", ".agent.seccompProfile", ".agent.appArmorProfile", ".agent.seLinuxOptions", ".agent.resources", ".operator.resources",
            ".agent.updateStrategy", ".agent.updateStrategy.rollingUpdate"}


def every_value_is_used_and_every_used_value_is_there(helm):
    del helm
    text = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    for alias, full in (("agent", "agent"), ("operator", "operator"), ("policy", "networkPolicy"), ("pods", "metrics.podMonitor"),
                        ("service", "metrics.serviceMonitor"), ("rule", "metrics.prometheusRule"), ("dashboards", "dashboards"),
                        ("wanted", "agent.capabilities")):
        text = text.replace(f"${alias}.", f".Values.{full}.")
    used = {match.rstrip(".") for match in re.findall(r"\.Values\.([A-Za-z.]+)", text)} - {"global"}  # of the chart around this one
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
    says(helm.refusal({}, kubernetes="1.29.9"), "kubeVersion", "1.30")
    helm.template(kubernetes="1.30.0-gke.1")


def the_chart_has_the_version_and_the_licence_of_the_product(helm):
    del helm
    workspace = re.search(r"\[workspace\.package\](?:\n.+)*?\nversion = \"(.*?)\"", (ROOT / "Cargo.toml").read_text())[1]
    same(about()["appVersion"], workspace)
    same((CHART / "LICENSE").read_text(), (ROOT / "LICENSE").read_text())


def _defaults():
    return yaml.load((CHART / "values.yaml").read_text(), LOADER)


def _paths(values, path=()):
    """The paths of all leaves; an empty map is one."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, (*path, key))
        else:
            yield (*path, key)


def every_variable_of_a_pod_is_one_that_its_program_reads(helm):
    for component, read in (("agent", helm.template().agent()), ("operator", helm.template().operator()),
                            ("operator", helm.template().get("Pod")["spec"])):
        # Flags that both programs have are in the crate that both use.
        sources = "".join(path.read_text() for crate in (component, "runtime") for path in (ROOT / crate / "src").rglob("*.rs"))
        unknown = [name for name in env_of(read) if f'"{name}"' not in sources]
        same(unknown, [])
