"""A release on a cluster, as its users meet it: installed from a registry by digest, verified, upgraded, mixed, rolled back.

In: a cluster of two nodes, a registry that has two releases of which the newer one is signed. Out: a line PASS or FAIL for each check;
exit code 1 if one failed. It must not use a file of the checkout that a user has not: charts come from the registry.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

NAMESPACE = "probelet"
failed = False


def say(good, check, detail=""):
    global failed
    failed |= not good
    print(f"{'PASS' if good else 'FAIL'}: {check}{'' if good else f': {str(detail)[-600:]}'}", flush=True)
    return good


def run(*words, timeout=300, **more):
    return subprocess.run([str(word) for word in words], text=True, capture_output=True, timeout=timeout, **more)


def kubectl(*words, **more):
    return run("kubectl", *words, **more)


def objects(*words):
    return json.loads(kubectl("get", *words, "-o", "json").stdout or '{"items": []}')["items"]


def until(seconds, judge):
    """The first true value of `judge`, or its last one."""
    end = time.monotonic() + seconds
    while not (value := judge()) and time.monotonic() < end:
        time.sleep(1)
    return value


def acknowledged():
    """Whether every node has said that it applies the configuration that it was given"""
    nodes = objects("nodeprobes")
    return len(nodes) == 2 and all(
        n.get("status", {}).get("observedGeneration") == n["metadata"]["generation"]
        and n["status"].get("appliedConfigHash") == n["spec"]["hash"]
        and any(c["type"] == "ConfigApplied" and c["status"] == "True" for c in n["status"].get("conditions", ()))
        for n in nodes)


def edit(milli):
    """An edit as a person would make it, and whether both nodes have acknowledged it within a minute"""
    said = kubectl("patch", "probeconfig", "default", "--type=merge", "-p", json.dumps({"spec": {"budget": {"cpu": f"{milli}m"}}}))
    if said.returncode:
        return said.stderr

    def reached():
        given = [n["spec"]["config"].get("budget", {}).get("cpu") for n in objects("nodeprobes")]
        return given == [f"{milli}m"] * 2 and acknowledged()

    return True if until(60, reached) else f"{milli}m is not acknowledged by both"


def pods():
    return objects("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=probelet")


def agents():
    """Names of the agents' pods that are not about to end"""
    return [pod["metadata"]["name"] for pod in pods() if component(pod) == "agent" and "deletionTimestamp" not in pod["metadata"]]


def component(pod):
    return pod["metadata"]["labels"].get("app.kubernetes.io/component", "")


def images(of=""):
    """Digests that pods run: all, or those of one component"""
    return {status["imageID"].rpartition("@")[2] for pod in pods() if not of or component(pod) == of
            for status in pod["status"].get("containerStatuses", ())}


class Trial:
    def __init__(self, args):
        self.args = args
        self.chart = f"oci://{args.place}/charts/probelet"
        self.pins = args.dist / f"images-{args.new}.yaml"
        said = json.loads((args.dist / f"provenance-{args.new}.intoto.json").read_text())
        self.digests = {s["name"]: "sha256:" + s["digest"]["sha256"] for s in said["subject"]}
        self.ours = {self.digests[f"image {name}{of}"] for name in ("probelet-agent", "probelet-operator") for of in ("", " linux/amd64")}
        self.budget = 50

    def helm(self, helm, verb, version, *more, wait=True):
        return run(helm, verb, "probelet", self.chart, "--version", version, "--plain-http", "-n", NAMESPACE, "--set", f"image.registry={self.args.place}",
                   "-f", self.args.values, *more, *(["--wait", "--timeout", "4m"] if wait else []))

    def edit(self):
        # Below 1000m, which is written as 1 to nodes.
        self.budget = self.budget + 1 if self.budget < 500 else 50
        return edit(self.budget)

    def verified(self):
        words = [self.args.verify, self.args.place, self.args.new, "--insecure", "--key"]
        done = run(*words, f"{self.args.key}.pub")
        say(done.returncode == 0 and done.stdout.count("verified") == 3, "what is in the registry is verified before it is installed", done.stderr)
        run("cosign", "generate-key-pair", "--output-key-prefix", f"{self.args.key}-other")
        done = run(*words, f"{self.args.key}-other.pub")
        say(done.returncode == 1, "a key that did not sign it verifies nothing", done.stdout)

    def admission(self):
        """Only images that were verified run in the namespace: their digests are in a policy."""
        kubectl("create", "namespace", NAMESPACE)
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=privileged", "verified-images=required")
        allowed = sorted(d for name, d in self.digests.items() if name.startswith("image "))
        check = " || ".join(f"c.image.endsWith('@{digest}')" for digest in allowed)
        policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "verified-images"},
                  "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}],
                                                "namespaceSelector": {"matchLabels": {"verified-images": "required"}}},
                           "validations": [{"expression": f"object.spec.containers.all(c, {check})", "message": "this image was not verified"}]}}
        binding = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "verified-images"},
                   "spec": {"policyName": "verified-images", "validationActions": ["Deny"]}}
        for thing in policy, binding:
            said = kubectl("apply", "-f", "-", input=json.dumps(thing))
            if said.returncode:
                say(False, "an admission rule that lets in verified images only", said.stderr)

        def refused():
            said = kubectl("run", "stray", "-n", NAMESPACE, "--image", f"{self.args.place}/probelet-operator:{self.args.old}", "--dry-run=server")
            return "this image was not verified" in said.stderr

        say(until(30, refused), "an image without a signature is refused at admission")

    def fresh(self, helm):
        began = time.monotonic()
        done = self.helm(helm, "install", self.args.new, "-f", self.pins)
        say(done.returncode == 0, f"{helm} installs the chart from the registry, past the admission rule", done.stderr)
        seen = until(60, lambda: run(self.args.plugin, "map", "-o", "json").returncode == 0)
        took = time.monotonic() - began
        say(seen and took <= 60, f"from the registry to a map in a minute with two commands ({helm}: {took:.0f} s)", took)
        say(images() and images() <= self.ours, f"{helm}: every pod runs an image of the release, by digest", images() - self.ours)
        tested = run(helm, "test", "probelet", "-n", NAMESPACE)
        say(tested.returncode == 0, f"{helm} test passes", tested.stdout + tested.stderr)
        gone = run(helm, "uninstall", "probelet", "-n", NAMESPACE, "--wait")
        say(gone.returncode == 0, f"{helm} uninstalls it", gone.stderr)
        kubectl("delete", "probeconfigs,nodeprobes", "--all", "--wait=true")
        until(60, lambda: not pods())

    def upgraded(self, helm):
        """From the release before to this one and back, with edits in between and for a while with both."""
        # The definitions stay when a release is taken away. Who has the release before has its own: with those of this one the
        # API server would write defaults into objects that the operator of the release before refuses.
        kubectl("delete", "crd", "probeconfigs.probelet.io", "nodeprobes.probelet.io", "--ignore-not-found", "--wait=true")
        done = self.helm(helm, "install", self.args.old)
        say(done.returncode == 0 and until(60, acknowledged), f"{helm} installs the release before", done.stderr)
        say((why := self.edit()) is True, f"{helm}: an edit before the upgrade is acknowledged", why)
        # Helm 4 would wait for agents to be replaced, which with OnDelete only a person does.
        done = self.helm(helm, "upgrade", self.args.new, "-f", self.pins, "--set", "agent.updateStrategy.type=OnDelete", "--set", "agent.updateStrategy.rollingUpdate=null", wait=False)
        rolled = kubectl("rollout", "status", "deployment/probelet-operator", "-n", NAMESPACE, "--timeout=4m")
        say(done.returncode == 0 and rolled.returncode == 0, f"{helm} upgrades the operator", done.stderr + rolled.stderr)
        say(len(agents()) == 2 and not images("agent") & self.ours, f"{helm} leaves the agents", images("agent"))
        lost, mixed, end = [], None, time.monotonic() + self.args.mixed
        half = time.monotonic() + self.args.mixed / 2
        while time.monotonic() < end or mixed is None:
            if (why := self.edit()) is not True:
                lost.append(why)
            if mixed is None and time.monotonic() > half:
                kubectl("delete", "pod", "-n", NAMESPACE, *agents()[:1])
                until(60, lambda: images("agent") & self.ours)
                mixed = images("agent")
        say(bool(mixed & self.ours) and bool(mixed - self.ours), f"{helm}: one node has the agent of this release, the other one that of the release before", mixed)
        say(not lost, f"{helm}: no acknowledgement is lost while versions are mixed ({self.args.mixed} s)", lost)
        done = self.helm(helm, "upgrade", self.args.new, "-f", self.pins)
        say(done.returncode == 0 and until(90, lambda: images() <= self.ours), f"{helm}: the upgrade ends with images of the release only", (done.stderr, images()))
        say((why := self.edit()) is True, f"{helm}: an edit after the upgrade is acknowledged", why)
        kept = f"{self.budget}m"
        done = run(helm, "rollback", "probelet", "1", "-n", NAMESPACE, "--wait", "--timeout", "4m")
        say(done.returncode == 0, f"{helm} rolls back to the release before", done.stderr)
        there = [config["spec"]["budget"]["cpu"] for config in objects("probeconfigs")]
        say(there == [kept], f"{helm}: the edit stays through the rollback", there)
        say(until(90, lambda: not images() & self.ours), f"{helm}: no pod of the release is left after the rollback", images())
        say((why := self.edit()) is True, f"{helm}: an edit after the rollback is acknowledged", why)
        run(helm, "uninstall", "probelet", "-n", NAMESPACE, "--wait")
        kubectl("delete", "probeconfigs,nodeprobes", "--all", "--wait=true")
        until(60, lambda: not pods())


def main():
    parser = argparse.ArgumentParser()
    for name in "place", "old", "new", "key":
        parser.add_argument(f"--{name}", required=True)
    for name in "dist", "verify", "plugin", "values":
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    parser.add_argument("--mixed", type=int, default=60)
    trial = Trial(parser.parse_args())
    trial.verified()
    trial.admission()
    for helm in "helm3", "helm4":
        trial.fresh(helm)
    # The release before has no signature: the rule is for those who have only signed ones.
    kubectl("delete", "validatingadmissionpolicybinding", "verified-images")
    for helm in "helm3", "helm4":
        trial.upgraded(helm)
    sys.exit(failed)


if __name__ == "__main__":
    main()
