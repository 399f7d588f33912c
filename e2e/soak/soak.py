"""An hour of the default chart on a real cluster: what must hold all the while, and what must add up at the end.

In: the folder of a running dev-cluster with the images loaded and the shop running; minutes. Out: a line that begins with PASS or
FAIL for each check; exits with 1 on a FAIL. I/O: installs probelet, restarts the shop's pods, a Prometheus on loopback with the
chart's own rules as they are.

    soak.py DIR MINUTES
"""

import json
import pathlib
import subprocess
import sys
import threading
import time

from proof import prometheus as own
from proof.cluster import ROOT, Cluster, until

PORT = 19491
HERE = pathlib.Path(__file__).resolve().parent
COUNTER = "soak/DaemonSet/counter"
OPENED = 'sum(probelet_connections_opened_total{reporter="source", source_workload="soak/DaemonSet/counter"})'
OBSERVED, BY_KERNEL = "probelet_agent_connections_observed_total", "probelet_agent_connections_opened_by_kernel_total"
# Seconds between two times that the shop's pods are replaced.
CHURN = 240


class Prometheus(own.Prometheus):
    """With the rules and intervals that a cluster has."""

    def __init__(self, folder, port, token):
        super().__init__(folder, port, token)
        (self.folder / "rules.yaml").write_text(own.RULES.read_text())
        config = own.CONFIG.replace("scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s", "scrape_interval: 15s, evaluation_interval: 15s")
        (self.folder / "prometheus.yaml").write_text(config)

    def numbers(self, expr, label="node"):
        """{label: number} of an instant query."""
        return {each["metric"].get(label, ""): float(each["value"][1]) for each in self.instant(expr)}


class Soak:
    """The cluster while it runs, and what was found wrong."""

    def __init__(self, cluster, prometheus, minutes):
        self.cluster, self.prometheus, self.seconds = cluster, prometheus, int(minutes * 60)
        self.failed, self.over = False, threading.Event()
        self.churned = 0

    def says(self, check, wrong="", figure=""):
        """A check that holds if nothing is wrong; with the figure, whatever it is."""
        self.failed |= bool(wrong)
        print(f"FAIL: {check}: {wrong}" if wrong else f"PASS: {check}{f' ({figure})' if figure else ''}", flush=True)

    def discover(self):
        """Keeps the targets up to date, as the discovery of pods would."""
        while not self.over.wait(5):
            for component in ("agent", "operator"):
                try:
                    self.prometheus.targets(component, list(self.cluster.pods(component)))
                except (RuntimeError, subprocess.TimeoutExpired):
                    pass

    def churn(self):
        """Replaces the pods of the shop again and again."""
        while not self.over.wait(CHURN):
            for name in ("deployment/frontend", "deployment/api"):
                self.cluster.kubectl("-n", "shop", "rollout", "restart", name, quiet=True)
            self.churned += 1

    def start_load(self):
        """The workload that counts."""
        server, clients = (HERE / "load.yaml").read_text().split("# clients\n")
        self.cluster.kubectl("apply", "-f", "-", text=server)
        self.cluster.kubectl("-n", "soak", "rollout", "status", "deployment/web", "--timeout=120s")
        address = self.cluster.kubectl("-n", "soak", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
        self.cluster.kubectl("apply", "-f", "-", text=clients.replace("@WEB@", address).replace("@SECONDS@", str(self.seconds)))

    def own_count(self):
        """{node: (opened, failed)} as both clients say it; nothing until both have."""
        columns = "custom-columns=:.metadata.name,:.spec.nodeName"
        pods = self.cluster.kubectl("-n", "soak", "get", "pods", "-l", "app=counter", "--no-headers", "-o", columns).split()
        # Nothing, too, while a container is being made.
        said = {node: self.cluster.kubectl("-n", "soak", "logs", name, quiet=True).split() for name, node in zip(pods[::2], pods[1::2])}
        return {node: (int(words[1]), int(words[3])) for node, words in said.items()} if len(said) == 2 and all(said.values()) else None


def hold(soak):
    """Waits until the clients have counted; what agents hold is looked at each minute, in the kernel and not by what they say."""
    held, minutes = {}, 0
    end = time.monotonic() + soak.seconds + 120
    while (own_count := soak.own_count()) is None:
        if time.monotonic() > end:
            raise TimeoutError("the clients did not say what they opened")
        for node in ("node1", "node2"):
            found = soak.cluster.inside(node, "sh", "-c", f"grep -hE '^Cap(Prm|Eff|Bnd)' /proc/{soak.cluster.agent_pid(node)}/status", quiet=True)
            held.setdefault(node, set()).update(line.split()[1] for line in found.splitlines())
        minutes += 1
        time.sleep(60)
    # Until the ends of the last connections are in the picture and scraped.
    time.sleep(45)
    for node, values in sorted(held.items()):
        rights = {value for value in values if int(value, 16)}
        soak.says(f"{node}: no capability is held by the agent's process in any of {minutes} looks", ", ".join(rights) or ("" if values else "it was never looked at"))
    return own_count


def flows(soak):
    """Who counted how many of the workload's connections, and as what."""
    shown = lambda metric: " ".join(f"{name}={value}" for name, value in sorted(metric.items()) if value and name not in ("__name__", "job", "instance"))
    return {shown(each["metric"]): int(float(each["value"][1])) for each in soak.prometheus.instant('probelet_connections_opened_total{source_workload="soak/DaemonSet/counter"}')}


def counted(soak, own_count, before):
    """Every connection, once."""
    total = sum(soak.prometheus.numbers(OPENED).values())
    # One that failed may have been connected before.
    ended, failed = (sum(counts) for counts in zip(*own_count.values()))
    figure = f"{total:.0f} of {ended}, and {failed} that failed"
    wrong = "" if ended * 0.999 <= total <= ended + failed else f"{figure}; by node {own_count}; by flow {flows(soak)}"
    soak.says("the sum over the cluster is the workload's own count, within 0.1 % and not above", wrong, figure)
    for node in ("node1", "node2"):
        seen, opened = (soak.prometheus.numbers(each)[node] - before[each][node] for each in (OBSERVED, BY_KERNEL))
        share = seen / opened
        soak.says(f"{node}: coverage is at least 99.9 %", "" if share >= 0.999 else f"{share:.5f}: {seen:.0f} of {opened:.0f}", f"{share:.5f}: {seen:.0f} of {opened:.0f}")


def rights(soak, window):
    """Given back, and nothing was refused since."""
    held = {(each["metric"]["capability"], each["metric"]["thread"]) for each in soak.prometheus.instant(f"max_over_time(probelet_agent_capability_held[{window}]) == 1")}
    soak.says("what is held is NET_ADMIN, by the thread that asks connection tracking", str(held) if held - {("NET_ADMIN", "connection-tracking")} or not held else "")
    missing = [each["metric"] for each in soak.prometheus.instant(f"min_over_time(probelet_agent_protection[{window}]) == 0")]
    soak.says("every protection that the kernel has is in force", ", ".join(f"{each['node']} {each['protection']}" for each in missing))
    refused = soak.prometheus.numbers("probelet_agent_refused_system_calls_total")
    soak.says("no system call was refused", "" if len(refused) == 2 and not any(refused.values()) else str(refused))


def cost(soak, window):
    """Within the budget that the chart sets."""
    used = soak.prometheus.numbers(f"sum by (node) (rate(probelet_agent_cpu_seconds_total[{window}]))")
    budget = soak.prometheus.numbers("probelet_agent_cpu_budget_cores")
    memory = soak.prometheus.numbers(f"max_over_time(process_resident_memory_bytes{{job=~'.*agent'}}[{window}]) / 2^20")
    for node in ("node1", "node2"):
        figure = f"{used[node] * 1000:.2f}m of {budget[node] * 1000:.1f}m, at most {memory[node]:.1f} MiB"
        soak.says(f"{node}: CPU is within the budget", "" if used[node] <= budget[node] else figure, figure)
    others = soak.prometheus.instant(f'avg_over_time(probelet_agent_level{{level!="Full"}}[{window}]) > 0')
    shares = [f"{each['metric']['level']} on {each['metric']['node']} for {float(each['value'][1]):.2%} of the time" for each in others]
    soak.says("the level was Full all the while", ", ".join(sorted(shares)))


def calm(soak, window):
    """Nothing cried wolf, nothing was started again."""
    fired = soak.prometheus.instant(f'count_over_time(ALERTS{{alertstate="firing"}}[{window}])')
    soak.says("no alert fired", "; ".join(json.dumps(each["metric"]) for each in fired[:5]))
    evaluated = soak.prometheus.ask("rules", type="alert")["groups"]
    bad = [rule["name"] for group in evaluated for rule in group["rules"] if rule["health"] != "ok"]
    soak.says("every alert was evaluated", ", ".join(bad) if evaluated else "there is none")
    pods = json.loads(soak.cluster.kubectl("-n", "probelet", "get", "pods", "-o", "json"))["items"]
    restarts = sum(status["restartCount"] for pod in pods for status in pod["status"]["containerStatuses"])
    soak.says(f"nothing of probelet was started again while the shop was replaced {soak.churned} times", f"{restarts} times" if restarts else "")


def edges(soak):
    """Map and metrics have the same edges of what runs here; what comes and goes in between is asked for again."""
    plugin = soak.cluster.binary("kubectl-probelet")
    apart = None

    def same():
        nonlocal apart
        drawn = json.loads(soak.cluster.run(plugin, "map", "-o", "json"))["edges"]
        by_map = {(each["from"], each["to"], str(each["port"])) for each in drawn}
        by_metrics = {tuple(each["metric"].get(label, "") for label in ("source", "destination", "port")) for each in soak.prometheus.instant("fleet:probelet_flows:sum")}
        ours = [{each for each in edges if each[0].startswith(("shop/", "soak/", "batch/"))} for edges in (by_map, by_metrics)]
        apart = ours[0] ^ ours[1]
        return ours[0] and not apart

    try:
        until("the same edges", same, 90, 5)
        soak.says("map and recorded metrics have the same edges")
    except TimeoutError:
        soak.says("map and recorded metrics have the same edges", str(sorted(apart)[:6]))


def main():
    folder, minutes = sys.argv[1], float(sys.argv[2])
    cluster = Cluster(folder)
    # The default chart, with nothing but the images' place.
    cluster.run(cluster.folder / "bin" / "helm4", "upgrade", "--install", "probelet", "charts/probelet", "--namespace", "probelet", "--create-namespace",
                "--set", "image.registry=localhost", "--wait", "--timeout", "240s", timeout=270)
    # Prometheus is none of the cluster's: it runs on this machine, whose address is in the nodes' network, and is named as such a
    # neighbour is.
    server = json.loads(cluster.kubectl("config", "view", "-o", "json"))["clusters"][0]["cluster"]["server"]
    neighbour = server.removeprefix("https://").rsplit(":", 1)[0].removesuffix(".1") + ".254"
    cluster.edit(match={"cidrGroups": [{"name": "monitoring", "cidrs": [f"{neighbour}/32"]}]})
    with Prometheus(cluster.folder / "prometheus", PORT, cluster.token()) as prometheus:
        soak = Soak(cluster, prometheus, minutes)
        threading.Thread(target=soak.discover, daemon=True).start()
        until("two agents and two operators are scraped", lambda: len(prometheus.instant('up{job=~"probelet-.*"} == 1')) == 4, 120)
        # The first minute has the start of everything in it.
        time.sleep(60)
        before = {each: prometheus.numbers(each) for each in (OBSERVED, BY_KERNEL)}
        soak.start_load()
        threading.Thread(target=soak.churn, daemon=True).start()
        own_count = hold(soak)
        window = f"{int(minutes * 60) + 60}s"
        counted(soak, own_count, before)
        rights(soak, window)
        cost(soak, window)
        calm(soak, window)
        soak.over.set()
        edges(soak)
        said = subprocess.run([cluster.binary("kubectl-probelet"), "status", "--check"], capture_output=True, text=True, check=False, env=cluster.env, cwd=ROOT)
        print(said.stdout, flush=True)
        soak.says("kubectl probelet status --check says that all is well", f"exit code {said.returncode}: {said.stderr.strip()}" if said.returncode else "")
    return 1 if soak.failed else 0


if __name__ == "__main__":
    sys.exit(main())
