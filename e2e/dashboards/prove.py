"""The proof: a real Prometheus scrapes real agents and operators, every query of every panel and rule returns something,
and what is empty while all is well fills when it is provoked. Prints PASS or FAIL for each; exits with 1 on a FAIL.

In: the folder of a running dev-cluster with the images loaded. Out: lines; pictures, if there is a folder for them.
I/O: installs probelet on the cluster, breaks it and puts it back; starts a Prometheus on loopback.

    prove.py DIR [--only FAULT,...] [--pictures FOLDER]     e.g. --only none for panels alone, --only denied,refused
    prove.py DIR --situations FOLDER [--only NAME,...]      the five situations of docs/user/situations.md instead, with their pictures
"""

import json
import pathlib
import subprocess
import sys
import threading
import time

import queries
import rules
from proof import faults, situations
from proof.cluster import Cluster, until
from proof.prometheus import Prometheus, scaled

PORT = 19490
SHOWN = {"__rate_interval": "20s", "__range": "2m", "__interval": "5s"}


class Proof:
    """What was said, and whether anything failed."""

    def __init__(self, cluster, prometheus):
        self.cluster, self.prometheus, self.failed = cluster, prometheus, False
        # While a second try is to come, what does not hold is remembered here and is no failure yet.
        self.lenient, self.missed = False, False

    def says(self, check, wrong=""):
        """A check that holds if nothing is wrong."""
        if wrong and self.lenient:
            self.missed = True
            print(f"again: {check}: {wrong}", flush=True)
            return
        self.failed |= bool(wrong)
        print(f"FAIL: {check}: {wrong}" if wrong else f"PASS: {check}", flush=True)

    def found(self, query, values):
        """What a query of a panel returns."""
        # What stands there when nothing is found would always be found.
        expr = queries.fill(query.expr, {**SHOWN, **values}).replace(" or vector(-1)", "")
        return self.prometheus.instant(expr) if query.instant else self.prometheus.range(expr, 120, 5)

    def within(self, claim, check, seconds):
        """A claim that comes to hold in time."""
        began = time.monotonic()
        try:
            until(claim, check, seconds)
            self.says(f"{claim} ({time.monotonic() - began:.0f} s)")
        except (TimeoutError, ValueError) as error:
            self.says(claim, str(error))


def panels(proof):
    """Every query that must always return something does, for all nodes and for one."""
    for values, who in (({}, "all nodes"), ({"node": "node1"}, "node1")):
        for board, panel, query in queries.queries():
            if not query.fault:
                name = f"{board.title}: {panel.title}: {query.legend or query.ref or 'query'} ({who})"
                proof.within(f"{name} returns something", lambda query=query, values=values: proof.found(query, values), 30)


def recorded(proof):
    """Every recording rule records, but for those that have nothing to say while all is well; their panels name the fault."""
    late = {"fleet:probelet_agent_capability_missing:nodes", "fleet:probelet_flows_lost:top50"}
    for name in sorted({name for name, _ in rules.records()} - late):
        proof.within(f"{name} is recorded", lambda name=name: proof.prometheus.instant(name), 60)


def counters(proof):
    """A counter that goes back is taken for a restart, and all that it had counted is counted again."""
    counted = 'count by (__name__) ({__name__=~"(probelet|process)_.*(_total|_count|_sum|_bucket)", job=~"probelet-.*"})'
    names = [each["metric"]["__name__"] for each in proof.prometheus.instant(counted)]
    back = [(name, each["metric"]) for name in names for each in proof.prometheus.instant(f'resets({name}{{job=~"probelet-.*"}}[5m]) > 0')]
    proof.says("counters are found", "" if len(names) > 30 else f"only {names}")
    proof.says("no counter goes back", "; ".join(map(str, back[:5])))


def expression(alert):
    """An alert's expression, with the windows that the proof has."""
    text = dict(rules.alerts())[alert]
    return scaled(rules.expression(text))


def at_rest(proof):
    """No alert's expression holds while all is well."""
    for alert, _ in rules.alerts():
        proof.within(f"{alert} rests while all is well", lambda alert=alert: not proof.prometheus.instant(expression(alert)), 120)


def provoke(proof, fault, alerts):
    """What is to fill fills; at the second try if not at the first, for a fault may miss the moment that it is about."""
    proof.lenient, proof.missed = True, False
    once(proof, fault, alerts)
    proof.lenient = False
    if proof.missed:
        once(proof, fault, alerts)


def once(proof, fault, alerts):
    """One try."""
    name = fault.__name__
    print(f"-- {name}: {' '.join(fault.__doc__.split())}", flush=True)
    waits = 420 if name == "no_agent" else 150
    for alert in alerts:
        # What the last fault left behind must not count.
        proof.within(f"{name}: {alert} rests before", lambda alert=alert: not proof.prometheus.instant(expression(alert)), 180)
    try:
        broken(proof, fault, alerts, name, waits)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        proof.says(f"{name} can be done and undone", str(error))


def broken(proof, fault, alerts, name, waits):
    """While the fault is there, what is to see it sees it."""
    with fault(proof.cluster):
        for alert in alerts:
            proof.within(f"{name}: {alert} sees it", lambda alert=alert: proof.prometheus.instant(expression(alert)), waits)
        for board, panel, query in queries.queries():
            if query.fault == name:
                proof.within(f"{name}: {board.title}: {panel.title} shows it", lambda query=query: proof.found(query, {}), waits)


def discover(cluster, prometheus):
    """Keeps the targets up to date, as the discovery of pods would; while the API server is away they stay."""
    while True:
        for component in ("agent", "operator"):
            try:
                prometheus.targets(component, list(cluster.pods(component)))
            except (RuntimeError, subprocess.TimeoutExpired):
                pass
        time.sleep(1.5)


def annotation(proof):
    """An edit is marked."""
    expr = queries.fill(next(expr for place, expr in queries.everything_asked() if "annotation" in place), SHOWN)
    proof.within("an edit is an annotation", lambda: proof.prometheus.range(expr, 120, 5), 60)


def word(name):
    """What follows a flag on the command line."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def pictures(proof, folder, began, only=""):
    """What a person would have seen, from the beginning to now; of one dashboard if it is named."""
    minutes = min(30, int(time.time() - began) // 60 + 1)
    words = ["tools/dashboards/pictures/run", proof.prometheus.url, folder, f"minutes={minutes}&step=5&rate=20s"]
    out = proof.cluster.run("env", f"ONLY={only}", *words, quiet=True, timeout=600)
    print(out, end="", flush=True)
    proof.failed |= "FAIL" in out or not ("PASS" in out or "SKIP" in out)


def recognise(proof, situation, folder):
    """A person who has the alert, the dashboard and the status knows what is the matter."""
    print(f"-- {situation.name}: {' '.join(situation.provoke.__doc__.split())}", flush=True)
    status = lambda: proof.cluster.run(proof.cluster.binary("kubectl-probelet"), "status", quiet=True)
    proof.within(f"{situation.name}: {situation.alert} rests before", lambda: not proof.prometheus.instant(expression(situation.alert)), 240)
    proof.within(f"{situation.name}: the status is quiet before", lambda: "BAD" not in status(), 120)
    time.sleep(45)
    with situation.provoke(proof.cluster):
        proof.within(f"{situation.name}: {situation.alert} sees it", lambda: proof.prometheus.instant(expression(situation.alert)), 150)
        proof.within(f"{situation.name}: the status says it", lambda: all(each in status() for each in situation.says), 120)
        time.sleep(60)
        (folder / f"{situation.name}.txt").write_text(status())
        labels = [each["metric"] for each in proof.prometheus.instant(expression(situation.alert))]
        (folder / f"{situation.name}.alert.json").write_text(json.dumps(labels, indent=1))
        pictures(proof, folder, time.time() - 240, only=situation.board)
        drawn = folder / f"dashboard-{situation.board}.png"
        if drawn.exists():  # else a line that begins with SKIP says what is missing
            drawn.rename(folder / f"situation-{situation.name}.png")


def main():
    folder, only, began = sys.argv[1], word("--only"), time.time()
    cluster = Cluster(folder)
    cluster.install()
    with Prometheus(cluster.folder / "prometheus", PORT, cluster.token()) as prometheus:
        threading.Thread(target=discover, args=(cluster, prometheus), daemon=True).start()
        proof = Proof(cluster, prometheus)
        proof.within("Prometheus scrapes two agents and two operators", lambda: len(prometheus.instant('up{job=~"probelet-.*"} == 1')) == 4, 60)
        if word("--situations"):
            out = pathlib.Path(word("--situations"))
            out.mkdir(parents=True, exist_ok=True)
            cluster.edit(budget={"cpu": "5m"})
            for situation in situations.EVERY:
                if only is None or situation.name in only.split(","):
                    recognise(proof, situation, out)
            pictures(proof, out, began)
            return 1 if proof.failed else 0
        # What scale.py multiplies.
        for component in ("agent", "operator"):
            (cluster.folder / "prometheus" / f"{component}.prom").write_text(cluster.scraped(component))
        recorded(proof)
        panels(proof)
        at_rest(proof)
        counters(proof)
        for fault, alerts in faults.EVERY:
            if fault is faults.quiet:
                # From here on no fault waits for the pods of all agents or is about pending nodes. Silence takes five minutes.
                cluster.apply(faults.NODE_WITHOUT_AGENT)
            if only is None or fault.__name__ in only.split(","):
                provoke(proof, fault, alerts)
                if fault is faults.edit:
                    annotation(proof)
        if word("--pictures"):
            pictures(proof, word("--pictures"), began)
    return 1 if proof.failed else 0


if __name__ == "__main__":
    sys.exit(main())
