"""Programs of two releases together: checks about what holds whichever of them is older.

In: the folders of the first release's programs and of this tree's. Out: one line a check; exit code 1 if one does not hold.
I/O: starts operators and agents, each with an API server in memory; everything is on loopback.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import api

NODE = "node-1"
PATIENCE = 40
CONDITIONS = ("Ready", "ConfigApplied")


class Bench:
    """The programs of both releases, the API server, and what runs."""

    def __init__(self, old, new):
        self.folders = {"old": old, "new": new}
        self.home = tempfile.TemporaryDirectory()
        self.running = {}
        self.kubeconfig = os.path.join(self.home.name, "kubeconfig")
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.serve()}"}}
        with open(self.kubeconfig, "w") as file:
            json.dump({"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "users": [{"name": "u", "user": {"token": "t"}}],
                       "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}, file)
        labels = {"kubernetes.io/os": "linux"}
        api.put("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}, "spec": {}})

    def run(self, program, release):
        """Replaces what runs of a program by that of a release."""
        self.stop(program)
        words = [f"{self.folders[release]}/probelet-{program}", "--kubeconfig", self.kubeconfig, "--log-level", "warn"]
        if program == "operator":
            words += ["--no-leader-election", "--listen", "off"]
        else:
            state = os.path.join(self.home.name, "state")
            os.makedirs(state, exist_ok=True)
            words += ["--node-probe", "--node-name", NODE, "--listen", "off", "--docker", "off", "--state-dir", state]
        self.running[program] = subprocess.Popen(words)

    def stop(self, program):
        process = self.running.pop(program, None)
        if process:
            process.terminate()
            process.wait(10)


def edit(**fields):
    config = api.get("probeconfigs", "default")
    config["spec"].update(fields)
    api.put("probeconfigs", config)


def condition(kind):
    status = (api.get("nodeprobes", NODE) or {}).get("status", {})
    return next((each for each in status.get("conditions", []) if each["type"] == kind), {})


def until(what, holds):
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        if holds():
            return
        time.sleep(0.2)
    shown = {kind: {key: condition(kind).get(key) for key in ("status", "reason", "message")} for kind in CONDITIONS}
    probe = api.get("nodeprobes", NODE) or {}
    raise AssertionError(f"not within {PATIENCE} s: {what}; {shown}; {json.dumps(probe.get('spec'))}")


def applies():
    """The agent works by what its NodeProbe says now, and says so under the operator's own word."""
    probe = api.get("nodeprobes", NODE)
    status = (probe or {}).get("status", {})
    return (condition("ConfigApplied").get("status") == "True" and status.get("observedGeneration") == probe["metadata"]["generation"]
            and status.get("appliedConfigHash") == probe["spec"]["hash"])


def assigned(cpu):
    config = api.get("nodeprobes", NODE)["spec"].get("config", {})
    return config.get("budget", {}).get("cpu") == cpu  # an operator leaves out what is the default


def rewrites(bench, release):
    """How often another operator writes NodeProbes when nothing is edited."""
    before = len(api.writes("PATCH", "nodeprobes", "probelet-operator"))
    generation = api.get("nodeprobes", NODE)["metadata"]["generation"]
    bench.run("operator", release)
    time.sleep(12)
    after = len(api.writes("PATCH", "nodeprobes", "probelet-operator"))
    return after - before, api.get("nodeprobes", NODE)["metadata"]["generation"] - generation


def the_first_release_works_by_itself(bench):
    bench.run("operator", "old")
    bench.run("agent", "old")
    until("a NodeProbe that is applied", lambda: api.get("nodeprobes", NODE) and applies())


def an_update_of_the_operator_rewrites_no_node(bench):
    assert rewrites(bench, "new") == (0, 0), "it wrote"
    until("still applied", applies)


def an_agent_of_the_first_release_follows_a_newer_operator(bench):
    edit(budget={"cpu": "9m"}, intervals={"sockets": "2s"})
    until("assigned 9m", lambda: assigned("9m"))
    until("applied", applies)


def the_kill_switch_of_a_newer_operator_reaches_it(bench):
    edit(paused=True)
    until("paused", lambda: condition("Ready").get("reason") == "Paused")
    edit(paused=False)
    until("reporting", lambda: condition("Ready").get("status") == "True")


def a_newer_agent_takes_over_where_the_old_one_was(bench):
    bench.run("agent", "new")
    until("reporting", lambda: condition("Ready").get("status") == "True" and applies())


def going_back_to_the_older_operator_rewrites_no_node(bench):
    assert rewrites(bench, "old") == (0, 0), "it wrote"
    until("still applied", applies)


def a_newer_agent_follows_an_operator_of_the_first_release(bench):
    edit(budget={"cpu": "11m"})
    until("assigned 11m", lambda: assigned("11m"))
    until("applied", applies)
    edit(paused=True)
    until("paused", lambda: condition("Ready").get("reason") == "Paused")
    edit(paused=False)
    until("applied", applies)


def of_what_a_later_release_says_the_known_part_is_in_force(bench):
    bench.stop("operator")
    probe = api.get("nodeprobes", NODE)
    probe["spec"]["config"].update(fromTheFuture={"a": 1}, paused=True)
    probe["spec"]["hash"] = "0123456789abcdef"
    api.put("nodeprobes", probe)
    until("paused", lambda: condition("Ready").get("reason") == "Paused")
    until("applied under the same word", applies)
    assert "fromTheFuture" in condition("ConfigApplied")["message"], condition("ConfigApplied")


def an_agent_that_is_stopped_says_so(bench):
    bench.stop("agent")
    until("its last words", lambda: condition("Ready").get("reason") == "Stopping")


CHECKS = [
    the_first_release_works_by_itself, an_update_of_the_operator_rewrites_no_node, an_agent_of_the_first_release_follows_a_newer_operator,
    the_kill_switch_of_a_newer_operator_reaches_it, a_newer_agent_takes_over_where_the_old_one_was,
    going_back_to_the_older_operator_rewrites_no_node, a_newer_agent_follows_an_operator_of_the_first_release,
    of_what_a_later_release_says_the_known_part_is_in_force, an_agent_that_is_stopped_says_so,
]


def main(old, new):
    bench = Bench(old, new)
    failed = 0
    try:
        for check in CHECKS:
            try:
                check(bench)
                print(f"PASS {check.__name__.replace('_', ' ')}", flush=True)
            except (AssertionError, KeyError, TypeError) as error:
                failed += 1
                print(f"FAIL {check.__name__.replace('_', ' ')}: {error!r}", flush=True)
    finally:
        for program in list(bench.running):
            bench.stop(program)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
