"""Checks dashboards and rules without running anything but promtool. Prints PASS, FAIL or SKIP for each check.

In: the chart's dashboards and rules, the sources of agent and operator, the runbooks. Exits with 1 on a FAIL.
I/O: reads these files, runs promtool.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import boards
import edges
import lint
import queries
import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "probelet"
HERE = pathlib.Path(__file__).resolve().parent
# Standard metrics of a process, and of Prometheus itself.
FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"}
# Each alert firing and resting; what else could make them fire, or keep them from it.
TESTS = ("rules_test.yaml", "rules_faults_test.yaml", "rules_edges_test.yaml")


class Judge:
    """Prints, and remembers whether something failed."""

    def __init__(self):
        self.failed = False

    def says(self, check, wrong):
        """A check that holds if nothing is wrong."""
        wrong = list(wrong)
        self.failed |= bool(wrong)
        print(f"FAIL: {check}\n  " + "\n  ".join(wrong[:12]) if wrong else f"PASS: {check}", flush=True)


def dashboards(judge):
    """Grafana's rules for each."""
    for path in sorted((CHART / "dashboards").glob("*.json")):
        board = json.loads(path.read_text())
        for rule, wrong in lint.everything(board):
            judge.says(f"{path.name}: {rule}", wrong)
        size = len(json.dumps(board, separators=(",", ":")))
        judge.says(f"{path.name}: fits a ConfigMap", [f"{size} bytes"] if size > 900_000 else [])
    uids = [board.uid for board in boards.everything()]
    judge.says("no two dashboards have the same uid", [] if len(set(uids)) == len(uids) else uids)


def exported():
    """Every metric that the sources of agent and operator name."""
    found = set(FOREIGN)
    for path in (ROOT / "agent" / "src").rglob("*.rs"):
        found |= set(re.findall(r'"(probelet_[a-z0-9_]+)"', path.read_text()))
    text = (ROOT / "operator" / "src" / "metrics.rs").read_text()
    found |= {f"probelet_operator_{name}" for name in re.findall(r'"([a-z][a-z0-9_]+)"', text)}
    return found


def names(judge):
    """Every metric that is asked for exists, and every recorded one is used."""
    recorded, known = {name for name, _ in rules.records()}, exported()
    used = {}
    for place, expr in queries.everything_asked():
        for metric in queries.metrics(expr):
            used.setdefault(metric, place)
    base = lambda metric: re.sub(r"_(bucket|sum|count)$", "", metric)
    judge.says("every metric that a panel or rule asks for is exported or recorded",
               [f"{metric} in {place}" for metric, place in sorted(used.items()) if metric not in recorded and metric not in known and base(metric) not in known])
    judge.says("every recorded series is read by a panel or another rule", sorted(recorded - used.keys()))


def alerts(judge):
    """What a person who is woken needs."""
    tests = "".join((HERE / name).read_text() for name in TESTS)
    for alert, text in rules.alerts():
        page = re.search(r"runbook: kubectl probelet runbook ([a-z-]+)", text)
        path = ROOT / "docs" / "user" / "runbooks" / f"{page[1] if page else 'none'}.md"
        wrong = [word for word in ("severity:", "summary:", "description:", "$value") if word not in text]
        if not path.is_file() or alert not in path.read_text():
            wrong.append(f"no runbook {path.name} that names it")
        fires = len(re.findall(rf"alertname: {alert}\n\s+exp_alerts:\n", tests))
        rests = len(re.findall(rf"alertname: {alert}\n\s+exp_alerts: \[\]", tests))
        if not fires or not rests:
            wrong.append(f"unit tests: fires {fires} times, rests {rests} times")
        judge.says(f"{alert} has severity, summary, description with the value, a runbook, and tests of both", wrong)


def promtool(judge):
    """What promtool says of rules, their tests, and every query of every panel."""
    if not shutil.which("promtool"):
        print("SKIP: no promtool (Debian: prometheus): rules and queries were not parsed, rules not tested")
        return
    run = lambda *words: subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)
    said = lambda done: [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()
    judge.says("promtool takes the rules", said(run("check", "rules", CHART / "rules" / "probelet.yaml")))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "queries.yaml"
        made = [{"record": f"query:{at}", "expr": expr} for at, (_, expr) in enumerate(queries.of_panels())]
        # JSON is YAML.
        path.write_text(json.dumps({"groups": [{"name": "queries", "rules": made}]}))
        judge.says(f"promtool takes all {len(made)} queries of all panels", said(run("check", "rules", path)))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "edges_test.yaml"
        path.write_text(edges.test())
        judge.says("promtool: the rules make the edges that the plugin makes of the same cluster", said(run("test", "rules", path)))
    judge.says("promtool: every alert fires when it should, and only then", said(run("test", "rules", *(HERE / name for name in TESTS))))


def main():
    judge = Judge()
    for check in (dashboards, names, alerts, promtool):
        check(judge)
    return 1 if judge.failed else 0


sys.exit(main())
