"""The cluster under proof: kubectl, Helm and what nodes run.

In: the folder of a running dev-cluster. Out: outputs of commands.
I/O: runs commands; the cluster is changed by what callers ask for.
"""

import json
import os
import pathlib
import ssl
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Cluster:
    """A running dev-cluster with probelet installed by `install`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.quiet_since = None  # when the fault `quiet` began, until `busy` ends it
        self.env = {**os.environ, "CLUSTER_DIR": str(self.folder), "KUBECONFIG": str(self.folder / "kubeconfig"), "HELM_CACHE_HOME": str(self.folder / "helm"),
                    "HELM_CONFIG_HOME": str(self.folder / "helm"), "HELM_DATA_HOME": str(self.folder / "helm")}

    def run(self, *words, text=None, quiet=False, timeout=180):
        """A command's output; dies with its words unless `quiet`."""
        done = subprocess.run([str(word) for word in words], input=text, capture_output=True, text=True, check=False, env=self.env, timeout=timeout, cwd=ROOT)
        if done.returncode and not quiet:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()[-800:]}")
        return done.stdout

    def kubectl(self, *words, **more):
        """kubectl."""
        return self.run(self.folder / "bin" / "kubectl", *words, **more)

    def apply(self, *objects, verb="apply"):
        """Applies objects, or deletes them."""
        words = ["--ignore-not-found"] if verb == "delete" else []
        return self.kubectl(verb, "-f", "-", *words, text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def edit(self, **spec):
        """Edits the ProbeConfig that all nodes have."""
        self.kubectl("patch", "probeconfig", "default", "--type", "merge", "-p", json.dumps({"spec": spec}))

    def install(self, **values):
        """Installs or upgrades the chart; values are paths with `__` for dots, given as JSON."""
        words = [word for key, value in values.items() for word in ("--set-json", f"{key.replace('__', '.')}={json.dumps(value)}")]
        self.run(self.folder / "bin" / "helm4", "upgrade", "--install", "probelet", "charts/probelet", "--namespace", "probelet", "--create-namespace",
                 "--values", "e2e/dashboards/proof/values.yaml", *words, "--wait", "--timeout", "240s", timeout=270)

    def binary(self, name):
        """One of our programs, of the release if there is one, for what is measured or shown; else of the tests."""
        built = sorted((ROOT / "target").glob(f"*/*/{name}"), key=lambda path: path.parent.name != "release")
        return built[0]

    def scale(self, replicas):
        """Operators."""
        self.kubectl("-n", "probelet", "scale", "deployment/probelet-operator", f"--replicas={replicas}")
        if replicas:
            self.kubectl("-n", "probelet", "rollout", "status", "deployment/probelet-operator", "--timeout=180s", timeout=200)

    def inside(self, member, *words, **more):
        """A command in a node's namespaces."""
        return self.run("e2e/dev-cluster/cluster", "exec", member, *words, **more)

    def python(self, member, program):
        """A Python program in a node's namespaces, in the background. Its input ends when ours is closed, or we end."""
        return subprocess.Popen(["e2e/dev-cluster/cluster", "exec", member, "python3", "-c", program], env=self.env, cwd=ROOT, stdin=subprocess.PIPE)

    def start(self, *words):
        """The cluster's tool in the background."""
        return subprocess.Popen(["e2e/dev-cluster/cluster", *words], env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def agent_pid(self, member):
        """The agent's pid, as its node counts."""
        return self.inside(member, "pgrep", "-x", "probelet-agent").split()[0]

    def pods(self, component):
        """Running pods of a component, as targets: (address, labels of PodMonitor)."""
        port = {"agent": 9466, "operator": 9467}[component]
        text = self.kubectl("-n", "probelet", "get", "pods", "-l", f"app.kubernetes.io/component={component}", "-o", "json", "--request-timeout=5s", timeout=10)
        for pod in json.loads(text)["items"]:
            if address := pod["status"].get("podIP"):
                labels = {"cluster": "dev", "pod": pod["metadata"]["name"], "namespace": "probelet"}
                yield f"{address}:{port}", {**labels, "node": pod["spec"]["nodeName"]} if component == "agent" else labels

    def scraped(self, component):
        """What a pod of a component answers Prometheus."""
        address, _ = next(self.pods(component))
        scheme = "https" if component == "agent" else "http"
        request = urllib.request.Request(f"{scheme}://{address}/metrics", headers={"Authorization": f"Bearer {self.token()}"})
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # self-signed at each start
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.read().decode()

    def token(self):
        """A token that agents accept."""
        return self.kubectl("-n", "probelet", "create", "token", "probelet-viewer", "--audience=probelet", "--duration=2h").strip()


def until(what, check, seconds=90, every=1.0):
    """Waits until a check returns something; dies with what it waited for."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)
