"""What is broken on purpose, so that what is empty while all is well is seen to fill.

In: a cluster. Out: for each fault, what to do, what fills (alerts, and panels that name the fault), what to undo.
I/O: changes the cluster, and puts it back.
"""

import contextlib
import json
import time

from .cluster import until

NO_BPF = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}
# Opens 100 connections a second to itself in the node's network and ends each by a reset, which leaves no trace. Until its input ends.
RESETS = """
import select, socket, struct
server = socket.create_server(("127.0.0.1", 0))
while not select.select([0], [], [], 0.1)[0]:
    for _ in range(10):
        a = socket.create_connection(server.getsockname()); b, _ = server.accept()
        for each in (a, b): each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); each.close()
"""

# Sends to a port of another node until its input ends, so that what is lost on the way is sent again.
SENDER = """
import select, socket, time
while True:
    try: a = socket.create_connection(("{peer}", 4998)); break
    except OSError: time.sleep(0.2)
while not select.select([0], [], [], 0.05)[0]: a.sendall(b"x" * 20000)
"""
RECEIVER = """
import socket, time
server = socket.create_server(("", 4998)); server.settimeout(150); b, _ = server.accept()
while b.recv(65536): pass
"""
# Connects to a listener that accepts nothing, and each second to a port that never answers, until its input ends.
WAITERS = """
import select, socket
server = socket.create_server(("127.0.0.1", 0), backlog=4); held = []
def attempt(target): a = socket.socket(); a.setblocking(False); a.connect_ex(target); held.append(a)
for _ in range(5): attempt(server.getsockname())
while not select.select([0], [], [], 1)[0]: attempt(("{peer}", 4999))
"""
# Stops the thread of a process that reads the node, and no other one, until the process ends.
HOLDER = """
import ctypes, os, pathlib
thread = next(int(each.name) for each in pathlib.Path("/proc/{pid}/task").iterdir() if (each / "comm").read_text() == "probelet-engine\\n")
kernel = ctypes.CDLL(None, use_errno=True)
kernel.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
for request in (0x4206, 0x4207):  # PTRACE_SEIZE, PTRACE_INTERRUPT
    if kernel.ptrace(request, thread, None, None): raise OSError(ctypes.get_errno(), "ptrace")
while os.WIFSTOPPED(os.waitpid(thread, 0x40000000)[1]): pass  # __WALL: whatever kind of child
"""


def refusing(name, resources, who):
    """An admission policy that refuses writes of one service account, as a webhook or a quota would."""
    user = f"system:serviceaccount:probelet:probelet-{who}"
    policy = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": {
        "failurePolicy": "Fail", "matchConditions": [{"name": "who", "expression": f"request.userInfo.username == '{user}'"}],
        "matchConstraints": {"resourceRules": [{"apiGroups": ["probelet.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": resources}]},
        "validations": [{"expression": "false", "message": "not today"}]}}
    binding = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
               "spec": {"policyName": name, "validationActions": ["Deny"]}}
    return policy, binding


@contextlib.contextmanager
def edit(cluster):
    """A person edits the configuration."""
    try:
        cluster.edit(jitterPercent=11)
        yield
    finally:
        cluster.edit(jitterPercent=10)


@contextlib.contextmanager
def small_budget(cluster):
    """The budget is cut to less than what was just used. What was used is the reading: readers have a quarter of the budget, and
    of less than 12m a debug build could not pay for a scrape every two seconds."""
    try:
        cluster.edit(source="Procfs", intervals={"sockets": "100ms", "processes": "100ms"})
        time.sleep(60)
        cluster.edit(budget={"cpu": "12m"})
        yield
    finally:
        cluster.edit(source="Auto", intervals={"sockets": "1s", "processes": "1s"}, budget={"cpu": "100m"})


@contextlib.contextmanager
def hung_read(cluster):
    """One read of the agent hangs in the kernel, as on a mount that does not answer; it serves as before until the kubelet restarts it."""
    pid = cluster.agent_pid("node1")
    held = cluster.python("node1", HOLDER.format(pid=pid))
    try:
        yield
    finally:
        cluster.inside("node1", "kill", "-KILL", pid, quiet=True)
        held.wait(60)
        again = lambda: cluster.inside("node1", "pgrep", "-x", "probelet-agent", quiet=True).split() not in ([], [pid])
        until("the agent of node1 is started again", again, 120)


@contextlib.contextmanager
def few_series(cluster):
    """Fewer series are allowed than the node has to say."""
    try:
        cluster.edit(metrics={"maxSeries": 10})
        yield
    finally:
        cluster.edit(metrics={"maxSeries": 500})


@contextlib.contextmanager
def missed(cluster):
    """Connections live shorter than the time between two looks, and end without a trace, where the kernel is not asked for ends."""
    load = cluster.python("node1", RESETS)
    try:
        cluster.edit(shortLived="Counters", intervals={"sockets": "20s", "processes": "20s", "containers": "20s", "bytes": "20s"})
        yield
    finally:
        load.stdin.close()
        load.wait(30)
        cluster.edit(shortLived="Auto", intervals={"sockets": "1s", "processes": "1s", "containers": "10s", "bytes": "10s"})


@contextlib.contextmanager
def sick(cluster):
    """A flow loses segments, another one gets no answer, and a listener accepts nothing."""
    peer = cluster.kubectl("get", "node", "node2", "-o", 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
    # Where they arrive: what its own node drops a socket does not count as sent again.
    rules = [("node2", "INPUT", "--dport", "4998", "-m", "statistic", "--mode", "random", "--probability", "0.05"), ("node2", "INPUT", "--dport", "4999")]
    drop = lambda verb: [cluster.inside(member, "iptables", "-w", verb, chain, "-p", "tcp", *rule, "-j", "DROP") for member, chain, *rule in rules]
    program = lambda member, text: cluster.python(member, text.format(peer=peer))
    programs = []
    drop("-A")
    try:
        programs += [program("node2", RECEIVER), program("node1", SENDER), program("node1", WAITERS)]
        yield
    finally:
        # The receiver ends with the sender's connection.
        for each in reversed(programs):
            each.stdin.close()
        for each in programs:
            each.wait(200)
        drop("-D")


@contextlib.contextmanager
def frozen(cluster):
    """An agent hangs."""
    pid = cluster.agent_pid("node1")
    try:
        cluster.inside("node1", "kill", "-STOP", pid)
        yield
    finally:
        cluster.inside("node1", "kill", "-CONT", pid, quiet=True)


@contextlib.contextmanager
def agents_refused(cluster):
    """The API server takes no status of agents."""
    objects = refusing("proof-agents", ["nodeprobes/status"], "agent")
    try:
        cluster.apply(*objects)
        for percent in (12, 13, 14, 15):
            cluster.edit(jitterPercent=percent)
        yield
    finally:
        cluster.apply(*objects, verb="delete")
        cluster.edit(jitterPercent=10)


@contextlib.contextmanager
def operator_refused(cluster):
    """The API server takes no NodeProbe of the operator, and somebody edits."""
    objects = refusing("proof-operator", ["nodeprobes"], "operator")
    try:
        cluster.apply(*objects)
        # The API server takes a moment to take a policy up; an edit that is quicker is applied.
        attempt = ["label", "nodeprobe", "node1", "proof=x", "--overwrite", "--dry-run=server", "--as=system:serviceaccount:probelet:probelet-operator"]
        until("writes are refused", lambda: not cluster.kubectl(*attempt, quiet=True))
        cluster.edit(jitterPercent=16)
        yield
    finally:
        cluster.apply(*objects, verb="delete")
        cluster.edit(jitterPercent=10)


@contextlib.contextmanager
def refused(cluster):
    """The operator is away, and somebody edits a NodeProbe by hand: a window that is too short is admitted there, and refused by the agent."""
    try:
        cluster.scale(0)
        cluster.kubectl("patch", "nodeprobe", "node1", "--type", "merge", "-p", '{"spec":{"config":{"budget":{"window":"1s"}}}}')
        yield
    finally:
        cluster.scale(2)


@contextlib.contextmanager
def without_leader(cluster):
    """Somebody else holds the operators' Lease."""
    try:
        cluster.scale(0)
        lease = {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600}
        now = cluster.run("date", "-u", "+%Y-%m-%dT%H:%M:%S.000000Z").strip()
        cluster.kubectl("-n", "probelet", "patch", "lease", "probelet-operator", "--type", "merge", "-p", json.dumps({"spec": {**lease, "renewTime": now, "acquireTime": now}}))
        cluster.kubectl("-n", "probelet", "scale", "deployment/probelet-operator", "--replicas=2")
        yield
    finally:
        cluster.kubectl("-n", "probelet", "patch", "lease", "probelet-operator", "--type", "merge", "-p", '{"spec":{"holderIdentity":"","leaseDurationSeconds":1}}')


@contextlib.contextmanager
def rejected(cluster):
    """Definitions that check nothing, and a configuration that is wrong."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    name = "probeconfigs.probelet.io"
    before = cluster.kubectl("get", "crd", name, "-o", "jsonpath={.spec.versions[0].schema.openAPIV3Schema}")
    put = lambda schema: cluster.kubectl("patch", "crd", name, "--type", "json", "-p", json.dumps([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]))
    bad = {"apiVersion": "probelet.io/v1alpha1", "kind": "ProbeConfig", "metadata": {"name": "bad"}, "spec": {"intervals": {"sockets": "soon"}}}
    try:
        put(free)
        cluster.apply(bad)
        yield
    finally:
        cluster.apply(bad, verb="delete")
        put(json.loads(before))


@contextlib.contextmanager
def outage(cluster):
    """The API server is away for a while: connections are reset and refused."""
    away = cluster.start("outage", "110", "--refuse")
    try:
        yield
    finally:
        away.wait(150)


def capabilities(cluster, names):
    """The capabilities of the agents' container; changes them if there are names."""
    place = "/spec/template/spec/containers/0/securityContext/capabilities/add"
    if names is None:
        path = place.replace("/0/", "[0]/").replace("/", ".")
        return json.loads(cluster.kubectl("-n", "probelet", "get", "daemonset/probelet-agent", "-o", f"jsonpath={{{path}}}"))
    patch = [{"op": "replace", "path": place, "value": names}]
    cluster.kubectl("-n", "probelet", "patch", "daemonset/probelet-agent", "--type", "json", "-p", json.dumps(patch))
    return cluster.kubectl("-n", "probelet", "rollout", "status", "daemonset/probelet-agent", "--timeout=240s", timeout=270)


@contextlib.contextmanager
def denied(cluster):
    """Agents lose the capabilities for BPF, and the configuration wants it. SYS_ADMIN would stand for them."""
    before = capabilities(cluster, None)
    try:
        capabilities(cluster, ["SYS_PTRACE", "DAC_READ_SEARCH"])
        cluster.edit(source="Bpf")
        yield
    finally:
        cluster.edit(source="Auto")
        capabilities(cluster, before)


@contextlib.contextmanager
def seccomp(cluster, *members):
    """Agents run under a seccomp profile of ours, which forbids bpf() on these nodes and nothing on the others."""
    try:
        for member in ("node1", "node2"):
            profile = NO_BPF if member in members else {**NO_BPF, "syscalls": []}
            cluster.inside(member, "mkdir", "-p", "/var/lib/kubelet/seccomp")
            cluster.inside(member, "sh", "-c", "cat >/var/lib/kubelet/seccomp/bpf.json", text=json.dumps(profile))
        cluster.install(agent__seccompProfile={"type": "Localhost", "localhostProfile": "bpf.json"})
        yield
    finally:
        cluster.install()


@contextlib.contextmanager
def forbidden(cluster):
    """A seccomp profile forbids bpf()."""
    with seccomp(cluster, "node1", "node2"):
        yield


@contextlib.contextmanager
def quiet(cluster):
    """A workload goes away, and with it its flows. It comes back with `busy`."""
    cluster.kubectl("-n", "batch", "scale", "deployment/nightly", "--replicas=0")
    cluster.quiet_since = time.monotonic()
    yield


@contextlib.contextmanager
def busy(cluster):
    """A workload begins to talk, after it had been quiet for so long as is looked back."""
    if cluster.quiet_since is None:
        with quiet(cluster):
            pass
    time.sleep(max(0, cluster.quiet_since + 150 - time.monotonic()))
    cluster.quiet_since = None
    cluster.kubectl("-n", "batch", "scale", "deployment/nightly", "--replicas=1")
    yield


# A node that has no kubelet, and so no agent, although one is wanted there: it looks like any other machine.
NODE_WITHOUT_AGENT = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "no-agent", "labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}},
          "spec": {"taints": [{"key": "proof", "effect": "NoExecute"}]}}


@contextlib.contextmanager
def no_agent(cluster):
    """A node without an agent. It was made some faults ago, unless this is a second try: silence takes five minutes."""
    try:
        cluster.apply(NODE_WITHOUT_AGENT)
        yield
    finally:
        cluster.kubectl("delete", "node", "no-agent", "--ignore-not-found")


# Each fault, and the alerts that must see it. Panels name theirs in boards/.
EVERY = [
    (edit, []),
    (few_series, ["ProbeletSeriesFolded"]),
    (frozen, ["ProbeletAgentDown"]),
    (missed, ["ProbeletCoverageLow"]),
    (small_budget, ["ProbeletAgentOverBudget", "ProbeletAgentThrottled"]),
    (agents_refused, ["ProbeletStatusWriteErrors"]),
    (operator_refused, ["ProbeletOperatorWriteErrors", "ProbeletOperatorQueueStuck", "ProbeletConfigNotApplied"]),
    (rejected, ["ProbeletConfigRejected"]),
    (refused, ["ProbeletOperatorDown", "ProbeletConfigRefused"]),
    (without_leader, ["ProbeletOperatorWithoutLeader"]),
    (outage, ["ProbeletNamesStale"]),
    (denied, ["ProbeletCapabilityMissing", "ProbeletConfigNotApplied"]),
    (forbidden, ["ProbeletSourceRefused"]),
    (quiet, []),
    # These need no other agent, and pass the time until the next one.
    (sick, ["ProbeletFlowLossy", "ProbeletFlowFailing", "ProbeletAcceptQueueFull"]),
    (hung_read, ["ProbeletAgentStale"]),
    (busy, []),
    (no_agent, ["ProbeletNodesSilent"]),
]
