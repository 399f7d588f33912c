"""Rollout and operator: have agents applied their configuration, and does the operator do its work.

In: nothing. Out: a board.
Pure: values only.
"""

from model import BAD, CALM, CORES, FAIR, GOOD, POOR, Board, Query, chosen, colour, either, everywhere, fleet, narrow, stat, table, timeseries

INTERVAL = "[$__rate_interval]"
ALARM = [(None, GOOD), (1, BAD)]
WATCH = [(None, GOOD), (1, FAIR)]
STATES = [colour("applied", GOOD), colour("pending", FAIR), colour("failed", BAD), colour("over_budget", POOR), colour("silent", "purple"), colour("refused", "dark-red")]


def operator(metric, **matchers):
    """A series of the operators, which are few."""
    return everywhere(f"probelet_operator_{metric}", **matchers)


def nodes(state):
    """Nodes in a state; each operator says the same."""
    return f'sum(max by (cluster, config) ({operator("nodes", state=state)}))'


def reported(title, description, expr, steps):
    """A figure that operators report. Without an operator the last value must not stand there as if it were current."""
    gone = {"type": "value", "options": {"-1": {"text": "no operator", "color": BAD, "index": 0}}}
    return stat(title, description, Query(f"{expr} or vector(-1)"), "short", decimals=0, steps=steps, mappings=[gone])


def summary():
    """Whether all is well, in one row."""
    return [
        reported("Applied", "Nodes whose agent has applied its configuration.", nodes("applied"), [(None, GOOD)]),
        reported("Pending", "Nodes whose agent has not acknowledged the newest configuration yet.", nodes("pending"), WATCH),
        reported("Failed", "Nodes whose agent refused the configuration or cannot apply it.", nodes("failed"), ALARM),
        reported("Silent", "Nodes that have had a configuration for five minutes and no report from an agent.", nodes("silent"), ALARM),
        reported("Configs rejected", "ProbeConfigs that are rejected; what was accepted before stays in force.", f'max({operator("configs_rejected")})', ALARM),
        stat("Agents down", "Agents that Prometheus cannot scrape. All nodes.", Query(f'sum({everywhere("fleet:probelet_agents_down:count")})'), "short", decimals=0, steps=ALARM),
        reported("Leaders", "Operators that write. Exactly one for each cluster.", f'sum({operator("leader")})', [(None, BAD), (1, GOOD)]),
        reported("Queue", "Nodes that wait for a write of the operator, or are being written.", f'max({operator("queue_length")})', [(None, CALM)]),
    ]


def applied():
    """Which configuration is where, and since when."""
    by_state = f'sum by (state) (max by (cluster, config, state) ({operator("nodes")}))'
    state = lambda name: Query(f'max by (cluster, config) ({operator("nodes", state=name)})')
    queries = [Query(f'max by (cluster, config) ({operator("config_generation")})'), *[state(name) for name in ("applied", "pending", "failed", "over_budget", "silent")]]
    hue = lambda colour_: {"custom.width": 80, "custom.cellOptions": {"type": "color-text"}, "decimals": 0, "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "text"}, {"value": 1, "color": colour_}]}}
    columns = [("cluster", "Cluster", None, narrow(90)), ("config", "ProbeConfig", None, None), ("Value #A", "Generation", "short", narrow(100, decimals=0)), ("Value #B", "Applied", "short", hue(GOOD)),
               ("Value #C", "Pending", "short", hue(FAIR)), ("Value #D", "Failed", "short", hue(BAD)), ("Value #E", "Over", "short", hue(POOR)), ("Value #F", "Silent", "short", hue("purple"))]
    phases = f'sum by (phase) (max by (cluster, phase) ({operator("rollouts")}))'
    versions = f'sum by (version) ({everywhere("fleet:probelet_agents:by_version")})'
    hashes = f'sum by (config, hash) ({everywhere("fleet:probelet_agents:by_config")})'
    return [
        timeseries("Nodes by state", "applied: uses its configuration. pending: has not acknowledged it yet. failed: refused it or cannot apply it. over_budget, silent and refused overlap with these.",
                   [Query(by_state, "{{state}}")], "short", fill=0, overrides=STATES),
        table("ProbeConfigs", "Each configuration, its generation, and the state of its nodes. The empty name is the built-in one, for nodes that none selects.", queries, columns, sort="Applied"),
        timeseries("Configurations in force", "Agents by the configuration that they use: its name and hash. During a rollout there are two hashes for one name.",
                   [Query(hashes, "{{config}} {{hash}}")], "short", stack=True, width=8),
        timeseries("Rollouts", "Rollouts by phase; complete means that none is under way.", [Query(phases, "{{phase}}")], "short", width=8),
        timeseries("Agents by version", "Agents by release; two during an upgrade.", [Query(versions, "{{version}}")], "short", stack=True, width=8),
    ]


def agents():
    """What agents say to the API server."""
    writes = "sum by (result) ({})".format(either(fleet("fleet:probelet_agent_status_writes:rate5m"), f'rate({chosen("probelet_agent_status_writes_total")}{INTERVAL})'))
    down = f'sum({everywhere("fleet:probelet_agents_down:count")})'
    up = f'sum({everywhere("fleet:probelet_agents:count")})'
    errors = f'sum by (node) ({everywhere("probelet_agent_config_error")} == 1)'
    return [
        timeseries("Agents", "Agents that answer Prometheus, and agents that do not. All nodes.", [Query(up, "up"), Query(down, "down")], "short", width=8,
                   overrides=[colour("up", GOOD), colour("down", BAD)]),
        timeseries("Status writes", "Writes of NodeProbe status a second, by result.", [Query(writes, "{{result}}")], "ops", width=8, overrides=[colour("written", GOOD)]),
        table("Agents that refuse their configuration", "Nodes whose agent uses an older configuration because it refuses the newest. `kubectl describe nodeprobe` has the message. All nodes.",
              [Query(errors, fault="refused")], [("node", "Node", None, None), ("Value", "", None, {"custom.hidden": True})], width=8, empty="none"),
    ]


def engine():
    """The operator's own work and cost."""
    raw = lambda metric: f'rate({operator(metric)}{INTERVAL})'
    writes = f'sum by (kind, result) ({raw("api_writes_total")})'
    slow = f'histogram_quantile(0.99, sum by (kind, le) ({raw("api_write_seconds_bucket")}))'
    plan = f'histogram_quantile(0.99, sum by (le) ({raw("reconcile_seconds_bucket")}))'
    watches = f'sum by (kind) ({raw("watch_errors_total")})'
    cpu = f'sum by (instance) ({everywhere("operator:process_cpu_cores:rate5m")})'
    memory = f'max by (instance) ({everywhere("operator:process_resident_memory_bytes:max")})'
    queue = f'max by (cluster) ({operator("queue_length")})'
    return [
        timeseries("Writes of the operator", "Writes to the API server a second, by kind and result. At most `operator.writesPerSecond`.", [Query(writes, "{{kind}} {{result}}")], "ops", width=8),
        timeseries("Time to write", "99th percentile of the time from a write to its answer: how busy the API server is.", [Query(slow, "{{kind}}", fault="edit")], "s", width=8, fill=0),
        timeseries("Queue", "Nodes that wait for a write. Falls at the speed of a rollout.", [Query(queue, "waiting")], "short", width=8),
        timeseries("Time to process and plan", "99th percentile of the time to process a batch of watch events and to plan for it.", [Query(plan, "p99")], "s", width=6, fill=0),
        timeseries("Watches that failed", "Watches of the operator that failed and were restarted, a second.", [Query(watches, "{{kind}}", fault="outage")], "ops", width=6, fill=0),
        timeseries("CPU", "CPU of each operator.", [Query(cpu, "{{instance}}")], CORES, width=6, fill=0),
        timeseries("Memory", "Resident memory of each operator.", [Query(memory, "{{instance}}")], "bytes", width=6, fill=0),
    ]


def board():
    """The dashboard."""
    return Board("probelet-rollout", "Probelet / Rollout and operator", "Whether agents have applied their configuration, and what the operator does.",
                 [("Is the configuration applied", summary() + applied()), ("Agents", agents()), ("Operator", engine())])
