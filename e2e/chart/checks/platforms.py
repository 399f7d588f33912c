"""Platforms: what the values of docs/user/platforms give, and that page and values say the same.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart, reads the manual.
"""

import yaml

from chart import CHART, LOADER, MONITORING, ROOT
from expect import capabilities, same

PAGES = ROOT / "docs" / "user" / "platforms"
PLATFORMS = ("openshift", "gke", "eks", "aks", "talos", "bottlerocket", "k3s", "kind")
FOUND_BY = {"app.kubernetes.io/part-of": "probelet"}


def _values(platform):
    return CHART / "ci" / f"{platform}-values.yaml"


def every_platform_has_a_page_whose_values_are_the_ones_that_are_checked(helm):
    del helm
    for platform in PLATFORMS:
        page = (PAGES / f"{platform}.md").read_text()
        block = page.split("```yaml\n", 1)[1].split("```", 1)[0]
        same(yaml.load(block, LOADER), yaml.load(_values(platform).read_text(), LOADER))
        assert "## What is lost" in page, f"{platform}.md does not say what is lost"
        assert f"platforms/{platform}.md" in (ROOT / "docs" / "user" / "install.md").read_text(), f"install.md has no link to {platform}.md"
    same(sorted(path.stem for path in PAGES.glob("*.md")), sorted((*PLATFORMS, "gitops")))


def on_openshift_no_pod_but_the_agents_asks_for_a_user(helm):
    objects = helm.template(files=[_values("openshift")])
    for pod in (objects.operator(), objects.get("Pod")["spec"]):
        same(pod["securityContext"], {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
        assert not pod["containers"][0]["securityContext"].keys() & {"runAsUser", "runAsGroup"}
    bare = {"operator": {"podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "runAsNonRoot", "seccompProfile", "fsGroup"))}}
    assert "securityContext" not in helm.template(bare).operator()


def the_scc_allows_what_the_agent_asks_for_and_no_more(helm):
    def scc(agent):
        values = {"agent": {"securityContextConstraints": {"create": True}, **agent}}
        objects = helm.template(values, files=[_values("openshift")], release="x", namespace="there")
        return objects.get("SecurityContextConstraints"), objects

    found, objects = scc({})
    same(found["allowedCapabilities"], capabilities(objects)["add"])
    same((found["allowPrivilegedContainer"], found["allowPrivilegeEscalation"], found["readOnlyRootFilesystem"]), (False, False, True))
    same((found["allowHostPID"], found["allowHostIPC"], found["allowHostNetwork"], found["allowHostPorts"], found["allowHostDirVolumePlugin"]),
         (True, False, True, True, True))
    same(found["users"], ["system:serviceaccount:there:x-probelet-agent"])
    kinds = {kind for volume in objects.agent()["volumes"] for kind in volume if kind != "name"}
    assert kinds <= set(found["volumes"]), kinds
    found, objects = scc({"capabilities": {"fallback": False}, "hostCgroup": False, "hostNetwork": False,
                          "seccompProfile": {"type": "Localhost", "localhostProfile": "a.json"}})
    same(found["allowedCapabilities"], capabilities(objects)["add"])
    same((found["allowHostNetwork"], found["allowHostPorts"], found["allowHostDirVolumePlugin"], found["seccompProfiles"]),
         (False, False, False, ["localhost/a.json"]))
    same(helm.template().all("SecurityContextConstraints"), [])


def agents_keep_away_from_nodes_that_are_no_machines_whatever_else_is_asked_for(helm):
    terms = lambda agent, **more: helm.template({"agent": agent, **more}).agent()["affinity"]["nodeAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    virtual = [{"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
               {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet", "kwok"]},
               {"key": "liqo.io/type", "operator": "NotIn", "values": ["virtual-node"]}]
    arch = {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]}
    same(terms({}), [{"matchExpressions": [*virtual, arch]}])
    same(terms({}, image={"architectures": ["amd64"]})[0]["matchExpressions"][3]["values"], ["amd64"])
    pool = {"key": "pool", "operator": "In", "values": ["a"]}
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    own = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [pool]}, {"matchFields": [field]}]},
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": [pool]}}]},
        "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    same(terms({"affinity": own}), [{"matchExpressions": [pool, *virtual, arch]}, {"matchFields": [field], "matchExpressions": [*virtual, arch]}])
    kept = helm.template({"agent": {"affinity": own}}).agent()["affinity"]
    same((kept["podAntiAffinity"], kept["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]),
         (own["podAntiAffinity"], own["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]))
    assert "affinity" not in helm.template({"agent": {"excludeVirtualNodes": False}, "image": {"architectures": []}}).agent()


def pods_are_found_by_labels_that_no_value_changes(helm):
    renamed = {"nameOverride": "node-map", "fullnameOverride": "nm", "commonLabels": {"app.kubernetes.io/part-of": "x"},
               "agent": {"podLabels": {"app.kubernetes.io/component": "y", "app.kubernetes.io/part-of": "z"}},
               "operator": {"podLabels": {"app.kubernetes.io/part-of": "z"}}}
    for values in ({}, renamed):
        objects = helm.template(values, release="r")
        for kind, component in (("DaemonSet", "agent"), ("Deployment", "operator")):
            labels = objects.get(kind)["spec"]["template"]["metadata"]["labels"]
            assert {**FOUND_BY, "app.kubernetes.io/component": component}.items() <= labels.items(), labels


def an_installation_of_another_name_has_no_object_of_the_old_one(helm):
    monitors = {"metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "renewed"}}, "serviceMonitor": {"enabled": True},
                            "prometheusRule": {"enabled": True}},
                "dashboards": {"configMaps": {"enabled": True}},
                "agent": {"securityContextConstraints": {"create": True}, "tls": {"mode": "cert-manager"}}}
    objects = helm.template({"nameOverride": "node-map", "fullnameOverride": "nm", **monitors}, release="r", namespace="ns", apis=MONITORING)
    for each in objects:
        if each["kind"] != "CustomResourceDefinition":
            assert each["metadata"]["name"].startswith("nm"), each["metadata"]["name"]
        labels = each["metadata"].get("labels", {})
        same((labels.get("app.kubernetes.io/name"), labels.get("app.kubernetes.io/part-of")), ("node-map", "probelet"))
        for selector in (each.get("spec", {}).get("selector"), each.get("spec", {}).get("podSelector")):
            found = (selector or {}).get("matchLabels", selector or {})
            assert found.get("app.kubernetes.io/name", "node-map") == "node-map", each
