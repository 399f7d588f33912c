"""Holds the recording rules to the edges that the plugin makes of the same cluster.

In: what two agents say of one small cluster in metrics (`edges/*.prom`, kept by agent/tests/edges.rs), and the plugin's
edges of their reports (`edges/edges.txt`, kept by cli/tests/edges.rs). Out: a test for promtool, that the rules make those
edges of those metrics and no other.
Pure: values only, but for the files.
"""

import json
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "edges"
TARGET = 'cluster="c", job="probelet-agent", node="{0}", instance="{0}:9466", pod="agent-{0}"'


def scraped():
    """Each line of each agent's metrics, as Prometheus has it, and its value."""
    for path in sorted(FOLDER.glob("*.prom")):
        for line in path.read_text().splitlines():
            name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()
            yield f"{name}{{{TARGET.format(path.stem)}, {labels}}}", value


def wanted():
    """The plugin's edges as labels, and their connections. Metrics name no address: all that is outside is one."""
    edges = {}
    for line in (FOLDER / "edges.txt").read_text().splitlines():
        source, destination, port, protocol, open_now = re.fullmatch(r"(.+) → (.+) (\d+) (\w+) (\d+)", line).groups()
        source, destination = (re.sub(r"^external .*", "external", end) for end in (source, destination))
        key = (source, destination, port, protocol)
        edges[key] = edges.get(key, 0) + int(open_now)
    return edges


def test():
    """The test for promtool; JSON is YAML."""
    record = "fleet:probelet_flows:sum"
    labels = 'cluster="c", job="probelet-agent", node="fleet:all", source="{0}", destination="{1}", port="{2}", protocol="{3}"'
    samples = [{"labels": f"{record}{{{labels.format(*edge)}}}", "value": count} for edge, count in wanted().items()]
    return json.dumps({
        "rule_files": [str(HERE.parents[1] / "charts" / "probelet" / "rules" / "probelet.yaml")],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": series, "values": f"{value}x10"} for series, value in scraped()],
            "promql_expr_test": [{"expr": record, "eval_time": "5m", "exp_samples": samples}],
        }],
    })
