"""Agent cost: what do the agents cost, where, and why.

In: nothing. Out: a board.
Pure: values only.
"""

from model import BAD, CALM, CORES, FAIR, GOOD, NODE, POOR, Board, Query, bars, chosen, colour, either, everywhere, fleet, heatmap, line, narrow, stat, table, timeseries

INTERVAL = "[$__rate_interval]"
CPU = either(fleet("fleet:probelet_agent_cpu_cores:sum"), f'sum(rate({chosen("probelet_agent_cpu_seconds_total")}{INTERVAL}))')
USED = f"sum({CPU})"
BUDGET = f'sum({either(fleet("fleet:probelet_agent_cpu_budget_cores:sum"), chosen("probelet_agent_cpu_budget_cores"))})'
WATCHED = '=~"connections|listeners"'
SOCKETS = f'sum({either(fleet("fleet:probelet_agent_records:sum", kind=WATCHED), chosen("probelet_agent_records", kind=WATCHED))})'
MEMORY = f'sum({either(fleet("fleet:process_resident_memory_bytes:sum"), f"(process_resident_memory_bytes{{{NODE}}} and on (instance) probelet_agent_build_info{{{NODE}}})")})'
TOP = everywhere("fleet:probelet_agent_cpu_cores:top10")

LEVELS = [{"type": "value", "options": {"0": {"text": "Full", "color": GOOD, "index": 0}, "1": {"text": "Stretched", "color": FAIR, "index": 1},
                                        "2": {"text": "CountersOnly", "color": POOR, "index": 2}, "3": {"text": "Paused", "color": CALM, "index": 3}}}]


def by(what, of_all, raw):
    """Summed by a label, over all nodes or over those chosen."""
    return f"sum by ({what}) ({either(of_all, raw)})"


def summary():
    """What it costs, in one row."""
    counted = f'sum({either(fleet("fleet:probelet_agents:count"), chosen("probelet_agent_build_info"))})'
    over = f'sum({either(fleet("fleet:probelet_agent_over_budget:nodes"), "(" + chosen("probelet_agent_cpu_used_ratio") + " > bool 1)")})'
    less = '=~"Stretched|CountersOnly"'
    gave_up = f'sum({either(fleet("fleet:probelet_agent_level:nodes", level=less), chosen("probelet_agent_level", level=less))})'
    per_node = f"{USED} / {counted}"
    return [
        stat("CPU, all agents", "CPU that the agents use now, user and kernel time, over five minutes. 1 is one core.", Query(USED), CORES),
        stat("Of the budget", "CPU used as a share of the CPU allowed by `spec.budget.cpu` of the ProbeConfigs, added up over nodes.",
             Query(f"{USED} / {BUDGET}"), "percentunit", steps=[(None, GOOD), (0.8, FAIR), (1, BAD)], decimals=0),
        stat("CPU per agent", "CPU that one agent uses on average. 0.001 is a thousandth of a core.", Query(per_node), CORES),
        stat("Per 1,000 sockets", "CPU for each 1,000 connections and listeners that are watched: comparable between small and large nodes.",
             Query(f"1000 * {USED} / ({SOCKETS} > 0)"), CORES),
        stat("Memory, all", "Resident memory of the agents, added up.", Query(MEMORY), "bytes"),
        stat("Agents", "Agents whose metrics are here.", Query(counted), "short", decimals=0),
        stat("Over budget", "Agents that used more than their budget over its window. Should be 0: agents slow down before.", Query(over), "short",
             steps=[(None, GOOD), (1, BAD)], decimals=0),
        stat("Throttled", "Agents that scan less often, or leave out detail, to stay within their budget.", Query(gave_up), "short",
             steps=[(None, GOOD), (1, FAIR)], decimals=0),
    ]


def cost():
    """How much, against the budget, by kind of work."""
    quantile = lambda q: Query(f'max({everywhere("fleet:probelet_agent_cpu_cores:quantile", quantile=q)})', {"0.5": "median", "0.99": "p99", "1": "highest"}[q])
    task = by("task", fleet("fleet:probelet_agent_cpu_cores:sum_by_task"), f'rate({chosen("probelet_agent_cpu_seconds_total")}{INTERVAL})')
    mode = by("mode", fleet("fleet:probelet_agent_cpu_cores:sum_by_task"), f'rate({chosen("probelet_agent_cpu_seconds_total")}{INTERVAL})')
    return [
        timeseries("CPU against the budget", "CPU of the chosen agents together, and what they may use together.",
                   [Query(USED, "used"), Query(BUDGET, "budget")], CORES, overrides=[line("budget", BAD), colour("used", CALM)]),
        timeseries("CPU of one agent", "The median, the 99th percentile and the highest of all agents, against the smallest and the largest budget that any of them has. All nodes.",
                   [quantile("0.5"), quantile("0.99"), quantile("1"), Query(f'min({everywhere("fleet:probelet_agent_cpu_budget_cores:min")})', "smallest budget"),
                    Query(f'max({everywhere("fleet:probelet_agent_cpu_budget_cores:max")})', "largest budget")], CORES,
                   overrides=[line("smallest budget", POOR), line("largest budget", BAD), colour("median", GOOD), colour("p99", FAIR), colour("highest", "purple")]),
        timeseries("CPU by task", "discover reads the kernel, report joins and compares, match names pods and Services, serve answers requests and writes the status.",
                   [Query(task, "{{task}}")], CORES, stack=True, width=8),
        timeseries("User and kernel time", "CPU spent in the agent's own code, and in the kernel on its behalf. Nothing is attached to the kernel, so other processes pay nothing.",
                   [Query(mode, "{{mode}}")], CORES, stack=True, width=8, overrides=[colour("user", CALM), colour("system", POOR)]),
        timeseries("CPU for 1,000 sockets", "CPU for each 1,000 connections and listeners watched. A rise without more CPU means that connections went away.",
                   [Query(f"1000 * {USED} / ({SOCKETS} > 0)", "for 1,000 sockets")], CORES, width=8),
    ]


def where():
    """Which nodes, and which source."""
    one = lambda name: Query(f'max by (cluster, node) ({everywhere(f"top:probelet_agent_{name}:most_expensive")})')
    level = " + ".join(f'{factor} * sum by (cluster, node) ({everywhere("top:probelet_agent_level:most_expensive", level=name)})'
                       for factor, name in ((1, "Stretched"), (2, "CountersOnly"), (3, "Paused")))
    link = {"links": [{"title": "This node", "url": "/d/probelet-agent-cost?${__url_time_range}&var-datasource=${datasource}&var-node=${__value.raw}"}]}
    gauge = {"custom.width": 220, "custom.cellOptions": {"type": "gauge", "mode": "basic"}, "min": 0, "max": 1, "decimals": 2,
             "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": GOOD}, {"value": 0.8, "color": FAIR}, {"value": 1, "color": BAD}]}}
    queries = [
        Query(f"max by (cluster, node) ({TOP})"), one("cpu_budget_cores"), one("cpu_used_ratio"), Query(level),
        Query(f'max by (cluster, node, source) ({everywhere("top:probelet_agent_source_info:most_expensive")})'),
        one("sockets"), one("resident_memory_bytes"), one("effective_interval_seconds"),
    ]
    columns = [
        ("cluster", "Cluster", None, narrow(120)), ("node", "Node", None, link), ("Value #A", "CPU", CORES, narrow(130)), ("Value #B", "Budget", CORES, narrow(130)),
        ("Value #C", "Of the budget", "percentunit", gauge), ("Value #D", "Level", None, {"mappings": LEVELS, "custom.cellOptions": {"type": "color-text"}, "custom.align": "left", "custom.width": 150}),
        ("source", "Source", None, narrow(130)), ("Value #E", "", None, {"custom.hidden": True}), ("Value #F", "Sockets", "short", narrow(110, decimals=0)), ("Value #G", "Memory", "bytes", narrow(110)),
        ("Value #H", "Reads every", "s", narrow(130, decimals=1)),
    ]
    return [
        heatmap("Nodes by CPU of their agent", "How many nodes have an agent that uses so much CPU. A band that widens upwards is a group of nodes whose cost has grown. All nodes.",
                Query(f'sum by (le) ({everywhere("fleet:probelet_agent_cpu_cores:nodes_bucket")})'), CORES),
        timeseries("Most expensive agents", "The ten agents that use most CPU, at each moment. All nodes.", [Query(f"sum by (cluster, node) ({TOP})", "{{node}}")], CORES, fill=0),
        table("Ten most expensive agents now", "The ten agents that use most CPU, and what explains it: a more expensive source, more sockets, or a larger budget. Choose a node to see it alone.",
              queries, columns, width=24, height=11, sort="CPU"),
        timeseries("CPU by source", "CPU of agents by source; bpf is the cheapest, procfs the most expensive. All nodes.",
                   [Query(f'sum by (source) ({everywhere("fleet:probelet_agent_cpu_cores:sum_by_source")})', "{{source}}")], CORES, stack=True, width=8),
        timeseries("CPU of one pass", "CPU for reading the node once, by source.",
                   [Query(ratio_by("source", "pass_cpu_seconds:rate5m", "pass_cpu_seconds_sum", "passes:rate5m", "pass_cpu_seconds_count"), "{{source}}")], "s", width=8),
        bars("Nodes by source", "How many agents use which source. All nodes.",
             Query(f'sum by (source) ({everywhere("fleet:probelet_agent_source:nodes")})', "{{source}}"), "short", width=8),
    ]


def ratio_by(label, above_all, above, below_all, below):
    """A ratio of two rates by a label, over all nodes or those chosen."""
    part = lambda recorded, raw: by(label, fleet(f"fleet:probelet_agent_{recorded}"), f'rate({chosen(f"probelet_agent_{raw}")}{INTERVAL})')
    return f"{part(above_all, above)} / ({part(below_all, below)} > 0)"


def why():
    """What agents gave up, and what holds them back."""
    level = by("level", fleet("fleet:probelet_agent_level:nodes"), chosen("probelet_agent_level"))
    effective = "avg by (kind) ({})".format(either(fleet("fleet:probelet_agent_effective_interval_seconds:avg"), f'({chosen("probelet_agent_effective_interval_seconds")} > 0)'))
    desired = "avg by (kind) ({})".format(either(fleet("fleet:probelet_agent_desired_interval_seconds:avg"), f'({chosen("probelet_agent_desired_interval_seconds")} > 0)'))
    skipped = by("reason", fleet("fleet:probelet_agent_skipped:rate5m"), f'rate({chosen("probelet_agent_skipped_total")}{INTERVAL})')
    waits = by("limiter", fleet("fleet:probelet_agent_limiter_wait:rate5m"), f'rate({chosen("probelet_agent_limiter_wait_seconds_total")}{INTERVAL})')
    records = by("kind", fleet("fleet:probelet_agent_records:sum"), chosen("probelet_agent_records"))
    largest = f'max({either(fleet("fleet:process_resident_memory_bytes:max"), f"(process_resident_memory_bytes{{{NODE}}} and on (instance) probelet_agent_build_info{{{NODE}}})")})'
    return [
        timeseries("Levels", "Agents by what they gave up to stay within the budget: nothing, freshness, process detail, or everything because they are paused.",
                   [Query(level, "{{level}}")], "short", stack=True,
                   overrides=[colour("Full", GOOD), colour("Stretched", FAIR), colour("CountersOnly", POOR), colour("Paused", CALM)]),
        timeseries("Time between scans", "The configured intervals, and those that the budget allows. A gap means that the budget is too small for the intervals.",
                   [Query(effective, "{{kind}}"), Query(desired, "{{kind}}, as configured")], "s", fill=0),
        timeseries("Scans skipped", "Scans that were due and skipped: unchanged saves CPU, budget means that it is too small, failed is an error.", [Query(skipped, "{{reason}}")], "ops", width=8),
        timeseries("Work delayed by rate limits", "Work that `spec.limits` delayed, in seconds of work at the allowed rate.", [Query(waits, "{{limiter}}")], "percentunit", width=8, soft=0.01),
        timeseries("What is watched", "Records of the agents' reports: the more there is, the more it costs.", [Query(records, "{{kind}}")], "short", width=8),
        timeseries("Memory", "Resident memory of the agents together, and of the largest one.", [Query(MEMORY, "all"), Query(largest, "largest agent")], "bytes", width=24, height=7),
    ]


def board():
    """The dashboard."""
    return Board("probelet-agent-cost", "Probelet / Agent cost", "What probelet's agents cost, on which nodes, and why.",
                 [("What it costs", summary() + cost()), ("Where", where()), ("Why", why())])
