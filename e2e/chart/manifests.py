"""Judges rendered manifests as an API server would, as far as that goes without one.

In: objects, and CRD files. Out: what is wrong, as messages; none if all is well. Kinds of others' CRDs have no schema here
and are said to be unchecked.
I/O: reads the JSON schemas that the Python package kubernetes-validate carries.
"""

import functools
import importlib.resources
import json
import re

import jsonschema
import referencing
import referencing.jsonschema

# The oldest that the chart wants, and the newest that there are schemas of.
VERSIONS = ("1.30.0", "1.37.0")
# Their CRDs are prometheus-operator's, grafana-operator's, OpenShift's and cert-manager's; checks look at what we write into them.
FOREIGN = ("monitoring.coreos.com/", "grafana.integreatly.org/", "security.openshift.io/", "cert-manager.io/")
NAMESPACED = {"Certificate", "ConfigMap", "DaemonSet", "Deployment", "GrafanaDashboard", "Issuer", "Lease", "NetworkPolicy", "Pod", "PodDisruptionBudget",
              "PodMonitor", "PrometheusRule", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount", "ServiceMonitor"}
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
# kubectl apply keeps the whole object in an annotation of at most this size.
CRD_BYTES = 262144


@functools.lru_cache(maxsize=None)
def _folder(version):
    root = importlib.resources.files("kubernetes_validate") / "kubernetes-json-schema"
    return root / f"v{version}-local-strict"


@functools.lru_cache(maxsize=None)
def _registry(version):
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    resource = referencing.Resource.from_contents(definitions, default_specification=referencing.jsonschema.DRAFT7)
    # Crawled once, here: else each validation would do so again.
    return referencing.Registry().with_resource("_definitions.json", resource).crawl()


@functools.lru_cache(maxsize=None)
def _validator(version, api_version, kind):
    group, _, last = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.split(".")[0], last)))
    schema = json.loads((_folder(version) / f"{name}.json").read_text())
    return jsonschema.Draft7Validator(schema, registry=_registry(version))


def against_schema(objects, version):
    """What Kubernetes' own schema of that version says."""
    for each in objects:
        if each["apiVersion"].startswith(FOREIGN):
            continue
        where = f'{each["kind"]} {each["metadata"]["name"]}'
        try:
            validator = _validator(version, each["apiVersion"], each["kind"])
        except FileNotFoundError:
            yield f'{where}: Kubernetes {version} has no {each["apiVersion"]} {each["kind"]}'
            continue
        for error in validator.iter_errors(each):
            yield f"{where}: {error.json_path}: {error.message[:200]}"


def against_rules(objects, namespace):
    """What no schema says: names, labels, namespaces, two objects of one name."""
    seen = set()
    for each in objects:
        meta = each["metadata"]
        where = f'{each["kind"]} {meta["name"]}'
        if not all(isinstance(meta.get(field, ""), str) for field in ("name", "namespace")):
            yield f"{where}: its name or its namespace is no text"
            continue
        key = (each["kind"], meta["name"])
        if key in seen:
            yield f"{where}: there are two"
        seen.add(key)
        # Events of objects without a namespace are kept in `default`, and so is what there is once in a cluster.
        shared = meta["name"].endswith(("-operator-events", "-operator-lease"))
        elsewhere = shared and meta["namespace"] == "default"
        if each["kind"] in NAMESPACED and meta.get("namespace", namespace) != namespace and not elsewhere:
            yield f"{where}: not in the release's namespace"
        if each["kind"] not in NAMESPACED and "namespace" in meta:
            yield f"{where}: has a namespace"
        if each["kind"] in ("Service", "Pod", "Deployment", "DaemonSet") and not DNS_LABEL.fullmatch(meta["name"]):
            yield f"{where}: too long for a label"
        if each["kind"] == "Service" and not meta["name"][0].isalpha():
            yield f"{where}: a Service's name begins with a letter"
        if len(meta["name"]) > 253:
            yield f"{where}: too long for a name"
        # The labels in a PrometheusRule are Prometheus' own, and take any value.
        for labels in _labels(each["metadata"] if each["kind"] == "PrometheusRule" else each):
            for name, value in labels.items():
                if not isinstance(value, str) or not LABEL_VALUE.fullmatch(value):
                    yield f"{where}: label {name} cannot be {value!r}"


def _labels(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("labels", "matchLabels") and isinstance(inner, dict):
                yield inner
            elif key != "openAPIV3Schema":
                yield from _labels(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _labels(inner)


def not_structural(crd, text):
    """Why an API server would refuse the schemas of a CRD."""
    if len(text) >= CRD_BYTES:
        yield f"{len(text)} bytes are too many for kubectl apply"
    expected = f'{crd["spec"]["names"]["plural"]}.{crd["spec"]["group"]}'
    if crd["metadata"]["name"] != expected:
        yield f"its name is not {expected}"
    if sum(version["storage"] for version in crd["spec"]["versions"]) != 1:
        yield "not exactly one version is stored"
    for version in crd["spec"]["versions"]:
        yield from _node(version["schema"]["openAPIV3Schema"], version["name"])


def _node(schema, path):
    for word in ("$ref", "definitions", "uniqueItems", "patternProperties", "dependencies", "id"):
        if word in schema:
            yield f"{path}: {word} is not allowed"
    yield from (f"{path}: {word} is null, which the API server would not keep" for word, value in schema.items() if value is None)
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if "type" not in schema and not free:
        yield f"{path}: has no type"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{path}: has both properties and additionalProperties"
    if schema.get("type") == "array" and not isinstance(schema.get("items"), dict):
        yield f"{path}: an array without items"
    for word in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(word, []):
            if set(inner) & {"type", "default", "description", "additionalProperties"} and not schema.get("x-kubernetes-int-or-string"):
                yield f"{path}: {word} has what belongs outside"
    for name, inner in (schema.get("properties") or {}).items():
        yield from _node(inner, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            yield from _node(schema[word], f"{path}.{word}")
