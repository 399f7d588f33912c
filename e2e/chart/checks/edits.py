"""What people change with kubectl, what must not restart, CRDs and the seed.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

import re
import shutil
import tempfile
from pathlib import Path

import yaml

import manifests
from chart import CHART, CI_VALUES, LOADER, MONITORING
from expect import env_of, pods, same, says


def a_changed_seed_restarts_no_pod(helm):
    plain, changed = helm.template(), helm.template({"config": {"budget": {"cpu": "9m"}}})
    same(pods(changed), pods(plain))
    same(yaml.safe_load(changed.get("ConfigMap", "probelet-seed")["data"]["spec.yaml"]), {"budget": {"cpu": "9m"}})
    same(yaml.safe_load(plain.get("ConfigMap", "probelet-seed")["data"]["spec.yaml"]), {})


def a_new_chart_for_the_same_product_restarts_no_pod(helm):
    with tempfile.TemporaryDirectory() as folder:
        newer = shutil.copytree(CHART, Path(folder) / "probelet")
        text = (newer / "Chart.yaml").read_text()
        (newer / "Chart.yaml").write_text(re.sub(r"^version: .*$", "version: 99.0.0", text, flags=re.M))
        same(pods(helm.template(chart=newer)), pods(helm.template()))


def nothing_that_people_edit_comes_from_helm(helm):
    for path in CI_VALUES:
        kinds = {each["kind"] for each in helm.template(files=[path], apis=MONITORING)}
        assert not kinds & {"ProbeConfig", "NodeProbe", "Namespace", "Node"}, f"{path.name}: {kinds}"


def the_lease_goes_with_the_release_and_helm_writes_nothing_into_it(helm):
    lease = helm.template().get("Lease")
    same(lease["metadata"]["name"], env_of(helm.template().operator())["PROBELET_LEASE"])
    same(sorted(lease), ["apiVersion", "kind", "metadata"])
    alone = {"operator": {"replicas": 1, "leaderElection": {"enabled": False}}}
    assert "Lease" not in {each["kind"] for each in helm.template(alone)}


def selectors_never_change_with_values(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        for kind, component in (("DaemonSet", "agent"), ("Deployment", "operator")):
            same(objects.get(kind)["spec"]["selector"]["matchLabels"], {
                "app.kubernetes.io/name": "probelet", "app.kubernetes.io/instance": "probelet",
                "app.kubernetes.io/component": component})


def crds_are_what_is_generated_and_are_structural(helm):
    files = sorted((CHART / "files" / "crds").glob("*.yaml"))
    same([path.stem for path in files], ["nodeprobes.probelet.io", "probeconfigs.probelet.io"])
    for path in files:
        text = path.read_text()
        generated = yaml.load(text, LOADER)
        wrong = list(manifests.not_structural(generated, text))
        assert not wrong, f"{path.name}: " + "; ".join(wrong[:5])
        same(helm.template().get("CustomResourceDefinition", path.stem)["spec"], generated["spec"])


def crds_survive_an_uninstall_unless_set_otherwise(helm):
    policy = lambda objects: [crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
                              for crd in objects.all("CustomResourceDefinition")]
    same(policy(helm.template()), ["keep", "keep"])
    same(policy(helm.template({"crds": {"keep": False}})), [None, None])
    same(policy(helm.template({"crds": {"enabled": False}})), [])


def a_misspelt_field_of_the_seed_is_refused_by_name(helm):
    says(helm.refusal({"config": {"budgte": {"cpu": "5m"}}}), "config.budgte: there is no such field; known here: ", "budget")
    says(helm.refusal({"config": {"budget": {"cpus": "5m"}}}), "config.budget.cpus: there is no such field")
    says(helm.refusal({"config": {"match": {"cidrGroups": [{"nam": "x"}]}}}), "config.match.cidrGroups[0].nam: there is no such")
    helm.template({"config": {"nodeSelector": {"matchLabels": {"pool": "busy"}}, "budget": {"cpu": "5m"}}})


def a_word_that_yaml_takes_for_no_is_explained(helm):
    says(helm.refusal({"config": {"match": {"peers": False}}}), "config.match.peers: false is not one of EndpointSlices", "quotes")
    says(helm.refusal({"config": {"budget": {"policy": "Slow"}}}), "config.budget.policy: Slow is not one of Degrade, Stretch")
    helm.template({"config": {"match": {"peers": "Off"}}})
