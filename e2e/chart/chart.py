"""Renders the chart with one Helm and reads the result.

In: the Helm to use, values. Out: the objects as dictionaries, or the message with which Helm refuses. It must not judge.
I/O: runs Helm; needs no cluster.
"""

import functools
import json
import pathlib
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "probelet"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
MONITORING = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/ServiceMonitor",
              "monitoring.coreos.com/v1/PrometheusRule", "grafana.integreatly.org/v1beta1/GrafanaDashboard",
              "cert-manager.io/v1/Certificate")
# The registry of the images: the chart has none of its own, and nearly all checks are about something else. Every other file wins.
BASE = ("--values", str(ROOT / "e2e" / "chart" / "base-values.yaml"))
REGISTRY = "registry.invalid/probelet"
# Helm 3.22 takes a version for the cluster's that the chart refuses, unless it is given one.
KUBERNETES = "1.36.0"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm's message."""


class Objects(list):
    """What was rendered."""

    def get(self, kind, name=None):
        """The one object of a kind, or of a kind and a name."""
        found = self.all(kind, name)
        assert len(found) == 1, f"{len(found)} objects {kind} {name or ''}, not 1"
        return found[0]

    def all(self, kind, name=None):
        """All objects of a kind."""
        return [o for o in self if o["kind"] == kind and name in (None, o["metadata"]["name"])]

    def agent(self):
        """The agent's pod spec."""
        return self.get("DaemonSet")["spec"]["template"]["spec"]

    def operator(self):
        """The operator's pod spec."""
        return self.get("Deployment")["spec"]["template"]["spec"]


def about():
    """What Chart.yaml says."""
    return yaml.load((CHART / "Chart.yaml").read_text(), LOADER)


class Helm:
    """One Helm binary."""

    def __init__(self, binary):
        self.binary = pathlib.Path(binary).resolve()
        self.name = self.binary.name

    def run(self, *words):
        """Its output, or `Refused`."""
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout

    def template(self, values=None, *, release="probelet", namespace="probelet", files=(), apis=(), chart=CHART, kubernetes=KUBERNETES):
        """The objects; `values` is a nested dictionary, laid over the chart's own and those of `files`."""
        values = dict(values or {})
        if "image" in values:  # `--set-json` replaces a map as a whole
            values["image"] = {"registry": REGISTRY, **values["image"]}
        key = (json.dumps(values), release, namespace, tuple(files), tuple(apis), chart, kubernetes)
        return Objects(list(yaml.load_all(self._template(*key), LOADER)))

    @functools.lru_cache(maxsize=None)
    def _template(self, values, release, namespace, files, apis, chart, kubernetes):
        words = ["template", release, str(chart), "--namespace", namespace, "--kube-version", kubernetes, *BASE]
        words += [word for path in files for word in ("--values", str(path))]
        words += [word for api in apis for word in ("--api-versions", api)]
        words += [word for key, value in json.loads(values).items() for word in ("--set-json", f"{key}={json.dumps(value)}")]
        return self.run(*words)

    def refusal(self, values, **more):
        """The message with which values are refused."""
        try:
            self.template(values, **more)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"{values} were not refused")
