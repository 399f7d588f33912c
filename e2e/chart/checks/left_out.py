"""Values that others leave out: `null`, a section with all of its lines commented out, values of an older chart that
`helm upgrade --reuse-values` brings, and what a chart around this one sets for all of its charts.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

import json
import shutil
import tempfile
from pathlib import Path

import yaml

import manifests
from chart import CHART, LOADER, MONITORING, REGISTRY, Refused
from expect import same

EVERYTHING = {"metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "x"}}, "serviceMonitor": {"enabled": True},
                          "prometheusRule": {"enabled": True}},
              "dashboards": {"configMaps": {"enabled": True}, "grafanaOperator": {"enabled": True}},
              "agent": {"tls": {"mode": "cert-manager"}, "securityContextConstraints": {"create": True}},
              "networkPolicy": {"egress": True}, "image": {"registry": "localhost"}}
# Without these nothing can be made of EVERYTHING, and the message says so.
NEEDED = {"image", "metrics.podMonitor.tokenSecret", "agent", "agent.tls"}


def each_value_may_be_null(helm):
    """With everything switched on: all values that have none but the default are null at once, then each section is."""
    leaves = yaml.safe_load(yaml.safe_dump(EVERYTHING))
    for path in _paths(_defaults(), sections=False):
        _put(leaves, path, None)
    wrong = _wrong(helm, "all", leaves)
    # Once is enough for what is slow.
    wrong += manifests.against_schema(helm.template(leaves, apis=MONITORING), manifests.VERSIONS[0])
    for path in _paths(_defaults(), sections=True):
        if ".".join(path) not in NEEDED:
            values = yaml.safe_load(yaml.safe_dump(EVERYTHING))
            wrong += _wrong(helm, ".".join(path), _put(values, path, None, replace=True))
    assert not wrong, "\n  ".join(wrong[:20])


def a_section_that_is_null_is_the_default_one(helm):
    for section in ("agent", "operator", "metrics", "rbac", "crds", "networkPolicy", "plugin", "viewer", "dashboards", "tests", "flowSchema",
                    "admissionPolicy"):
        same(helm.template({section: None}), helm.template())
    same(helm.template({"agent": {"tls": None, "tokens": None, "capabilities": None}}), helm.template())


def each_template_begins_with_the_defaults(helm):
    """Helm renders templates in an order of its own: the first one fills in what is not there."""
    del helm
    for path in (CHART / "templates").rglob("*.*"):
        if path.is_file() and path.name != "_helpers.tpl":
            assert path.read_text().startswith('{{- include "probelet.defaults" . -}}\n'), path.name


def what_is_switched_off_stays_so(helm):
    off = {"agent": {"hostNetwork": False, "excludeVirtualNodes": False}, "operator": {"pdb": {"enabled": False}, "minReadySeconds": 0}}
    objects = helm.template(off)
    assert "hostNetwork" not in objects.agent() and not objects.all("PodDisruptionBudget")
    same(objects.get("Deployment")["spec"]["minReadySeconds"], 0)


def a_list_or_a_map_that_is_null_is_empty(helm):
    pod = helm.template({"agent": {"tolerations": None, "nodeSelector": None, "priorityClassName": None, "affinity": None,
                                   "resources": {"limits": None}}}).agent()
    same([key for key in ("tolerations", "nodeSelector", "priorityClassName") if key in pod], [])
    assert "memory" in pod["containers"][0]["resources"]["requests"] and not pod["containers"][0]["resources"].get("limits")
    assert "fargate" in str(pod["affinity"])


def a_key_that_is_null_in_a_map_is_taken_away(helm):
    base = {"agent": {"podLabels": {"team": "a"}, "nodeSelector": {"pool": "a"}}, "commonLabels": {"a": "b"}, "config": {"source": "Netlink", "paused": True}}
    over = {"agent": {"podLabels": {"team": None}, "nodeSelector": {"pool": None}, "resources": {"limits": {"cpu": None}},
                      "serviceAccount": {"annotations": {"x": None}}},
            "commonLabels": {"a": None}, "config": {"source": None, "paused": None}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.yaml"
        path.write_text(json.dumps(base))
        objects = helm.template(over, files=[path])
    agent = objects.agent()
    same((agent.get("nodeSelector"), sorted(agent["containers"][0]["resources"]["limits"])), ({"kubernetes.io/os": "linux"}, ["memory"]))
    text = json.dumps([each for each in objects if each["kind"] in ("DaemonSet", "ConfigMap", "ServiceAccount")])
    same([word for word in ('"team"', "Netlink", "null", '"x"') if word in text], [])


def values_of_the_chart_around_it_are_taken_where_it_has_none(helm):
    around = {"global": {"imageRegistry": "r.example/all", "imagePullSecrets": [{"name": "a"}, "b"]}, "imagePullSecrets": [{"name": "own"}]}
    objects = helm.template({**around, "image": {"registry": ""}})
    for pod in (objects.agent(), objects.operator(), objects.get("Pod")["spec"]):
        assert pod["containers"][0]["image"].startswith("r.example/all/probelet-"), pod["containers"][0]["image"]
        same(pod["imagePullSecrets"], [{"name": "own"}, {"name": "a"}, {"name": "b"}])
    assert helm.template(around).agent()["containers"][0]["image"].startswith(REGISTRY)


def nulls_of_a_chart_around_it_are_taken_as_well(helm):
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        shutil.copytree(CHART, whole / "charts" / "probelet")
        (whole / "Chart.yaml").write_text("apiVersion: v2\nname: whole\nversion: 1.0.0\ndependencies:\n"
                                          "  - {name: probelet, version: '*', alias: eyes, condition: eyes.enabled}\n")
        (whole / "values.yaml").write_text(
            "global:\neyes:\n  enabled: true\n  image: {registry: localhost}\n  agent:\n    tolerations:\n    affinity:\n    podLabels:\n"
            "  operator: {resources: {limits: }}\n  metrics:\n  config:\n  commonLabels:\n")
        text = helm.run("template", "probelet", str(whole), "--kube-version", "1.36.0")
        objects = list(yaml.load_all(text, LOADER))
        same([each["metadata"]["name"] for each in objects if each["kind"] == "DaemonSet"], ["probelet-agent"])


def _wrong(helm, name, values):
    """What is wrong with what is made of values, if anything: a refusal, or text of Go's or Helm's own."""
    try:
        objects = helm.template(values, apis=MONITORING)
    except (Refused, yaml.YAMLError) as error:
        return [f"{name}: {str(error).strip()[:300]}"]
    text = json.dumps(list(objects))
    return [f"{name}: {mark}" for mark in ("<nil>", "%!", "<no value>", "]:0") if mark in text]


def _put(values, path, value, replace=False):
    """Values with another one at a path, if there is none yet or it is to be replaced."""
    inner = values
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    if replace or path[-1] not in inner:
        inner[path[-1]] = value
    return values


def _defaults():
    return yaml.load((CHART / "values.yaml").read_text(), LOADER)


def _paths(values, sections, path=()):
    """The paths of all sections, or of all else."""
    for key, value in values.items():
        if isinstance(value, dict):
            if sections:
                yield (*path, key)
            yield from _paths(value, sections, (*path, key))
        elif not sections:
            yield (*path, key)
