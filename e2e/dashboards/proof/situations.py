"""Five situations that an SRE meets, each to be recognised from the alert, the dashboard and `kubectl probelet status` alone.

In: a cluster that is well. Out: for each situation, what to do, which alert sees it, which dashboard shows it, what the status
says; what to undo.
I/O: changes the cluster, and puts it back.
"""

import contextlib
import subprocess
from dataclasses import dataclass
from typing import Callable

from .faults import seccomp

CHURN = """
import os, socket, time
server = socket.create_server(("127.0.0.1", 0), backlog=512)
end = time.time() + {seconds}
while time.time() < end and os.path.exists("/run/load/on"):
    for _ in range(10):
        a = socket.create_connection(server.getsockname()); b, _ = server.accept(); a.close(); b.close()
    time.sleep(0.05)
"""


@dataclass
class Situation:
    """One of them."""

    name: str
    check: str
    provoke: Callable
    alert: str
    board: str
    # What the status must say, in any order.
    says: tuple


@contextlib.contextmanager
def loaded(cluster):
    """5,000 connections stand on node1, and 200 a second come and go."""
    words = ["e2e/dev-cluster/cluster", "exec", "node1"]
    cluster.inside("node1", "mkdir", "-p", "/run/load")
    cluster.inside("node1", "touch", "/run/load/on")
    hold = subprocess.Popen([*words, cluster.binary("probelet-load"), "run", "--dir", "/run/load", "procs=100", "fds=100", "conns=5000", "netns=20", "host=20"],
                            env=cluster.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    churn = cluster.python("node1", CHURN.format(seconds=240))
    yield
    # The end of `exec` is not the end of what it started.
    cluster.inside("node1", "rm", "/run/load/on")
    hold.stdin.close()
    hold.wait(60)
    churn.wait(60)


@contextlib.contextmanager
def pinned(cluster):
    """Another configuration gives node2 a budget of 1m, and wants sockets to be read five times a second."""
    tight = {"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig", "metadata": {"name": "tight"},
             "spec": {"priority": 10, "nodeSelector": {"matchLabels": {"kubernetes.io/hostname": "node2"}}, "budget": {"cpu": "1m"}, "intervals": {"sockets": "200ms"}}}
    try:
        cluster.apply(tight)
        yield
    finally:
        cluster.apply(tight, verb="delete")


@contextlib.contextmanager
def denied(cluster):
    """node2's seccomp profile forbids bpf()."""
    with seccomp(cluster, "node2"):
        yield


@contextlib.contextmanager
def bad_edit(cluster):
    """Somebody pins the source to Bpf, which node2 is denied."""
    with denied(cluster):
        try:
            cluster.edit(source="Bpf")
            yield
        finally:
            cluster.edit(source="Auto")


@contextlib.contextmanager
def stopped(cluster):
    """No operator runs, and somebody edits."""
    try:
        cluster.scale(0)
        cluster.edit(jitterPercent=18)
        yield
    finally:
        cluster.scale(2)
        cluster.edit(jitterPercent=10)


EVERY = [
    Situation("loaded-node", "a node is so busy that its agent cannot look as often as it should", loaded, "ProbeletAgentThrottled", "agent-cost", ("level Stretched", "node1")),
    Situation("small-budget", "an agent has a budget that is too small for what is asked of it", pinned, "ProbeletAgentThrottled", "agent-cost", ("level Stretched", "node2", "tight")),
    Situation("bpf-denied", "a node denies BPF", denied, "ProbeletSourceRefused", "agent-cost", ("netlink 1", "node2")),
    Situation("bad-edit", "an edit asks for what a node cannot do", bad_edit, "ProbeletConfigNotApplied", "rollout", ("SourceUnavailable", "node2")),
    Situation("operator-stopped", "no operator runs", stopped, "ProbeletOperatorDown", "rollout", ("no operator runs",)),
]
