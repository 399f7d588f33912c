"""Every query of every panel before 5,000 agents: how long the recording rules take, and how long each query.

In: one real scrape of an agent and one of an operator, as `prove` leaves them. Out: a table, and docs/benchmarks-dashboards.md
with --write. The series of one agent are multiplied into those of 5,000, each with its own pace; flows are drawn from a
pool of workloads, as they would be in a cluster. Rules are evaluated by Prometheus itself over these series, their results
are continued three hours into the past, and then each query is asked as Grafana would.
I/O: writes blocks below a folder with promtool, starts a Prometheus on loopback.

    scale.py FOLDER [--nodes 5000] [--write FILE]
"""

import json
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

import queries
import rules
from proof.prometheus import RULES, Prometheus

PORT = 19492
FLOWS_A_NODE, WORKLOADS = 20, 400
MINUTES_OF_RAW, HOURS = 6, 3
# Writing the blocks of 5,000 agents takes about so long.
SECONDS_TO_WRITE = 240
# Grafana asks for three hours in steps of 15 s on a screen of common width.
STEP, TIMES = 15, 5
GOAL_MS = 50
LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
COUNTER = re.compile(r"_(total|sum|count|bucket)$")
CONFIG = "global: {scrape_interval: 60s, evaluation_interval: 60s}\nrule_files: [rules.yaml]\n"


def scrape(path, wanted):
    """The series of one scrape that anybody asks for, as (name, labels, value)."""
    for line in path.read_text().splitlines():
        if match := LINE.match(line):
            if match[1] in wanted:
                yield match[1], dict(LABEL.findall(match[2] or "")), float(match[3])


def text(name, labels):
    """A series as text."""
    return name + "{" + ",".join(f'{key}="{value}"' for key, value in sorted(labels.items())) + "}"


def raw(folder, nodes, dice):
    """Every series that rules and panels read of agents and operators: (series, base, pace)."""
    wanted = {metric for _, expr in queries.everything_asked() for metric in queries.metrics(expr) if ":" not in metric}
    agent = list(scrape(folder / "agent.prom", wanted))
    uptime = 600.0
    own = [each for each in agent if not each[0].startswith(("probelet_flow", "probelet_connections_opened", "probelet_connections_closed"))]
    names = [f"team-{n % 40}/service-{n}" for n in range(WORKLOADS)]
    # A workload calls few others, whichever node its pods are on.
    pairs = [(a, dice.choice(names), dice.choice(("80", "443", "5432", "8080", "9092"))) for a in names for _ in range(6)]
    for node in range(nodes):
        target = {"job": "probelet-agent", "node": f"node-{node:05}", "instance": f"10.{node >> 8}.{node & 255}.7:9466"}
        factor = dice.lognormvariate(0, 0.5)
        yield text("up", target), 1, 0
        for name, labels, value in own:
            fixed = name.endswith("_info") or name in ("probelet_agent_level", "probelet_agent_cpu_budget_cores")
            counter = bool(COUNTER.search(name))
            yield text(name, {**labels, **target}), value if fixed else value * factor, value * factor / uptime if counter and not fixed else 0
        for source, destination, port in dice.sample(pairs, FLOWS_A_NODE):
            labels = {"reporter": "source", "source_workload": source, "destination_service": destination, "port": port, "protocol": "tcp", **target}
            yield text("probelet_flows", labels), dice.randint(1, 9), 0
            yield text("probelet_connections_opened_total", labels), 100, factor
            yield text("probelet_connections_closed_total", labels), 90, factor
            for direction in ("sent", "received"):
                yield text("probelet_flow_bytes_total", {**labels, "direction": direction}), 1e6, 1e4 * factor
    for replica in range(2):
        target = {"job": "probelet-operator", "instance": f"10.250.0.{replica}:9467"}
        yield text("up", target), 1, 0
        for name, labels, value in scrape(folder / "operator.prom", wanted):
            yield text(name, {**labels, **target}), value, 0.1 if COUNTER.search(name) else 0


def block(folder, name, samples):
    """Writes samples, an iterator of lines grouped by series, and makes blocks of them; returns how many lines there were."""
    path, count = folder / f"{name}.om", 0
    with path.open("w") as out:
        for line in samples:
            out.write(line)
            count += 1
        out.write("# EOF\n")
    subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", str(path), str(folder / "data")], check=True, stdout=subprocess.DEVNULL)
    path.unlink()
    return count


def minutes(series, now):
    """The samples of the raw series, up to now."""
    for name, base, pace in series:
        for minute in range(-MINUTES_OF_RAW, 1):
            yield f"{name} {base + pace * 60 * (minute + MINUTES_OF_RAW):.6g} {now + 60 * minute}\n"


def past(prometheus, now, dice):
    """What the rules recorded, continued into the past."""
    for name in sorted({name for name, _ in rules.records()}):
        for each in prometheus.instant(name):
            labels, value = {key: word for key, word in each["metric"].items() if key != "__name__"}, float(each["value"][1])
            for minute in range(-HOURS * 60, 1):
                yield f"{text(name, labels)} {value * dice.uniform(0.9, 1.1):.6g} {now + 60 * minute}\n"


def evaluated(prometheus):
    """Seconds that each group of rules took, after two rounds: the first meets nothing recorded."""
    rounds = 0
    seen = None
    while rounds < 2:
        groups = prometheus.ask("rules")["groups"]
        latest = max(group["lastEvaluation"] for group in groups)
        if all(group["evaluationTime"] > 0 for group in groups) and latest != seen:
            seen, rounds = latest, rounds + 1
        time.sleep(10)
    return {group["name"]: group["evaluationTime"] for group in prometheus.ask("rules")["groups"]}


def timed(prometheus, query, now):
    """The median of milliseconds, and how many series came back."""
    expr, took = queries.fill(query.expr), []
    for _ in range(TIMES):
        began = time.perf_counter()
        found = prometheus.instant(expr, now) if query.instant else prometheus.range(expr, HOURS * 3600, STEP, now)
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), len(found)


def panels(prometheus, now):
    """(dashboard, panel, legend, ms, series) of every query."""
    for board, panel, query in queries.queries():
        yield (board.title, panel.title, query.legend or query.ref or "", *timed(prometheus, query, now))


def report(nodes, samples, groups, rows):
    """The page."""
    worst = sorted(rows, key=lambda row: -row[3])
    over = [row for row in rows if row[3] > GOAL_MS]
    lines = [
        "# Dashboards before 5,000 agents", "", "<!-- Written by `make dashboards-scale`. -->", "",
        f"{nodes:,} agents with {FLOWS_A_NODE} flows each, {samples['series']:,} series in all; rules evaluated each minute by Prometheus, {HOURS} hours of what they record.",
        f"Each query of each panel was asked {TIMES} times for all nodes over {HOURS} hours in steps of {STEP} s, as Grafana asks, through Prometheus' HTTP API with JSON parsed;",
        "the median counts. Series were multiplied from one real scrape of an agent on the dev-cluster.", "",
        "| | |", "|---|---|", f"| queries | {len(rows)} |", f"| median of all | {statistics.median(row[3] for row in rows):.1f} ms |",
        f"| slowest | {worst[0][3]:.1f} ms (goal: {GOAL_MS} ms) |", f"| over the goal | {len(over)} |", f"| evaluating all rules, once a minute | {sum(groups.values()):.1f} s |", "",
        "## Rules", "| group | seconds |", "|---|---|", *[f"| {name} | {took:.2f} |" for name, took in groups.items()], "",
        "## Ten slowest queries", "| dashboard | panel | query | ms | series |", "|---|---|---|---|---|",
        *[f"| {board} | {panel} | {legend} | {ms:.1f} | {series} |" for board, panel, legend, ms, series in worst[:10]], "",
        "## All queries, by dashboard", "| dashboard | queries | median ms | slowest ms |", "|---|---|---|---|"]
    for board in dict.fromkeys(row[0] for row in rows):
        took = [row[3] for row in rows if row[0] == board]
        lines.append(f"| {board} | {len(took)} | {statistics.median(took):.1f} | {max(took):.1f} |")
    return "\n".join(lines) + "\n", over


def main():
    folder, nodes = pathlib.Path(sys.argv[1]).resolve(), 5000
    if "--nodes" in sys.argv:
        nodes = int(sys.argv[sys.argv.index("--nodes") + 1])
    dice, work = random.Random(1), folder / "scale"
    shutil.rmtree(work, ignore_errors=True)
    # The blocks end now, once they are written: a Prometheus records nothing before the end of its newest block.
    now = int(time.time() + SECONDS_TO_WRITE * nodes / 5000) // 60 * 60 + 60
    prometheus = Prometheus(work, PORT)
    (work / "prometheus.yaml").write_text(CONFIG)
    (work / "rules.yaml").write_text(RULES.read_text())
    series = list(raw(folder, nodes, dice))
    began = time.time()
    block(work, "raw", minutes(series, now))
    print(f"{len(series):,} series written in {time.time() - began:.0f} s", flush=True)
    time.sleep(max(0, now - time.time()))
    with prometheus:
        groups = evaluated(prometheus)
        print(f"rules: {sum(groups.values()):.1f} s a minute", flush=True)
        count = block(work, "recorded", past(prometheus, now, dice))
        print(f"{count:,} recorded samples written", flush=True)
    with prometheus:
        rows = list(panels(prometheus, now))
    text_, over = report(nodes, {"series": len(series)}, groups, rows)
    empty = [row for row in rows if row[4] == 0]
    print(f"{len(empty)} queries found nothing: " + "; ".join(f"{row[0]}: {row[1]} {row[2]}" for row in empty))
    if "--write" in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index("--write") + 1]).write_text(text_)
    print(text_)
    (work / "rows.json").write_text(json.dumps(rows))
    for board, panel, legend, ms, _ in over:
        print(f"FAIL: {board}: {panel}: {legend}: {ms:.0f} ms")
    if not over:
        print(f"PASS: every query takes at most {GOAL_MS} ms before {nodes:,} agents")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
