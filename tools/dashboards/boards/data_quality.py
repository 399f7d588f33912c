"""Data quality: how complete, how fresh and how well named the picture is.

In: nothing. Out: a board.
Pure: values only.
"""

from model import BAD, CALM, FAIR, GOOD, POOR, Board, Query, bars, chosen, colour, either, everywhere, fleet, line, narrow, stat, table, timeseries

INTERVAL = "[$__rate_interval]"
OPENED = "sum({})".format(either(fleet("fleet:probelet_agent_connections_opened:rate5m"), f'rate({chosen("probelet_agent_connections_opened_by_kernel_total")}{INTERVAL})'))
SEEN = "sum({})".format(either(fleet("fleet:probelet_agent_connections_observed:rate5m"), f'rate({chosen("probelet_agent_connections_observed_total")}{INTERVAL})'))
COVERAGE = f"clamp_max({SEEN} / ({OPENED} > 0), 1)"
MISSED = f"clamp_min({OPENED} - {SEEN}, 0)"
WORST = [(None, BAD), (0.9, POOR), (0.95, FAIR), (0.99, GOOD)]
LESS_IS_WELL = [(None, GOOD), (1, FAIR)]


def by(label, recorded, raw, how="sum"):
    """Aggregated by a label, over all nodes or those chosen."""
    return f"{how} by ({label}) ({either(fleet(recorded), raw)})"


def of(recorded, raw, how="sum", **matchers):
    """Aggregated into one, over all nodes or those chosen."""
    return f"{how}({either(fleet(recorded, **matchers), raw)})"


def summary():
    """Whether to trust it, in one row."""
    fresh = of("fleet:probelet_agent_freshness_seconds:quantile", chosen("probelet_agent_freshness_seconds"), "max", quantile="0.99")
    age = of("fleet:probelet_agent_picture_age:max", chosen("node:probelet_agent_picture_age:seconds"), "max")
    unresolved = of("fleet:probelet_agent_unresolved:sum", chosen("probelet_agent_unresolved"))
    folded = of("fleet:probelet_agent_series:sum", chosen("probelet_agent_series", state="folded"), state="folded")
    lacking = of("fleet:probelet_agent_capability_missing:nodes", chosen("probelet_agent_capability_missing"), "max")
    return [
        stat("Coverage", "Connections seen as a share of those that the kernel opened. What is missing lived too short and left no trace.", Query(COVERAGE), "percentunit", steps=WORST, decimals=2),
        stat("Missed", "Connections a second that the kernel opened and no agent saw.", Query(MISSED), "cps", decimals=2),
        stat("Worst node", "The lowest coverage of all nodes. All nodes.", Query(f'min({everywhere("fleet:probelet_agent_coverage:min")})'), "percentunit", steps=WORST, decimals=2),
        stat("Freshness", "Age of connection data at the last refresh; the 99th percentile over agents.", Query(fresh), "s", decimals=1),
        stat("Stalest agent", "Time since the last complete connection scan of the agent that is furthest behind.", Query(age), "s", steps=[(None, GOOD), (30, POOR), (300, BAD)], decimals=0),
        stat("Unnamed ends", "Ends of connections that should have a name in the cluster and have none.", Query(unresolved), "short", decimals=0),
        stat("Folded series", "Series beyond `spec.metrics.maxSeries`, folded into other.", Query(folded), "short", steps=LESS_IS_WELL, decimals=0),
        stat("Missing capability", "Agents that show less, or cost more, because a capability is missing.", Query(f"{lacking} or vector(0)"), "short", steps=LESS_IS_WELL, decimals=0),
    ]


def completeness():
    """What was seen of what there was."""
    losses = by("reason", "fleet:probelet_agent_losses:rate5m", f'rate({chosen("probelet_agent_losses_total")}{INTERVAL})')
    least = lambda name: f'max by (cluster, node) ({everywhere(f"top:probelet_agent_{name}:least")})'
    gauge = {"custom.width": 110, "custom.cellOptions": {"type": "color-text"}, "decimals": 2, "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in WORST]}}
    link = {"links": [{"title": "This node", "url": "/d/probelet-data-quality?${__url_time_range}&var-datasource=${datasource}&var-node=${__value.raw}"}]}
    return [
        timeseries("Coverage", "Connections seen as a share of those opened: of all together, and of the worst node.",
                   [Query(COVERAGE, "together"), Query(f'min({everywhere("fleet:probelet_agent_coverage:min")})', "worst node"), Query("vector(0.95)", "alert")], "percentunit", most=1, fill=0,
                   overrides=[line("alert", BAD)]),
        timeseries("Opened, seen and missed", "Connections a second: opened as the kernel counts them, seen by agents, and the difference.",
                   [Query(OPENED, "opened"), Query(SEEN, "seen"), Query(MISSED, "missed")], "cps", fill=0, overrides=[colour("opened", CALM), colour("seen", GOOD), colour("missed", BAD)]),
        table("Nodes with the lowest coverage", "The ten nodes that miss the largest share of their connections. All nodes.",
              [Query(least("coverage")), Query(least("connections_opened")), Query(least("picture_age"))],
              [("cluster", "Cluster", None, narrow(120)), ("node", "Node", None, link), ("Value #A", "Coverage", "percentunit", gauge), ("Value #B", "Opened", "cps", narrow(110, decimals=1)), ("Value #C", "Picture is old", "s", narrow(130, decimals=1))],
              empty="no connection was opened"),
        timeseries("Losses by reason", "What could not be read or attributed, a second. vanished is normal: processes end while they are read; full means that a limit is too small.",
                   [Query(losses, "{{reason}}")], "ops", fill=0),
    ]


def freshness():
    """How old it is."""
    quantile = lambda q, name: Query(f'max({everywhere("fleet:probelet_agent_freshness_seconds:quantile", quantile=q)})', name)
    contact = by("kind", "fleet:probelet_agent_kubernetes_contact_age_seconds:max", chosen("probelet_agent_kubernetes_contact_age_seconds"), "max")
    age = of("fleet:probelet_agent_picture_age:max", chosen("node:probelet_agent_picture_age:seconds"), "max")
    return [
        timeseries("Freshness", "Age of connection data at the last refresh: median, 99th percentile and worst of all agents.",
                   [quantile("0.5", "median"), quantile("0.99", "p99"), quantile("1", "worst")], "s", fill=0, width=8, overrides=[colour("median", GOOD), colour("p99", FAIR), colour("worst", BAD)]),
        timeseries("Stalest agent", "Time since the last complete connection scan of the agent that is furthest behind. Keeps growing when scans fail.", [Query(age, "oldest")], "s", width=8),
        timeseries("Time since the API server responded", "The longest time without data from the API server, by kind of object. All kinds at once means that the API server is unreachable, and names become stale; a single kind may just be idle.",
                   [Query(contact, "{{kind}}")], "s", fill=0, width=8),
    ]


def names():
    """How well it is named, and what else is left out."""
    unresolved = by("reason", "fleet:probelet_agent_unresolved:sum", chosen("probelet_agent_unresolved"))
    series = by("state", "fleet:probelet_agent_series:sum", chosen("probelet_agent_series"))
    objects = by("kind", "fleet:probelet_agent_cluster_objects:max", chosen("probelet_agent_cluster_objects"), "max")
    lacking = by("capability", "fleet:probelet_agent_capability_missing:nodes", chosen("probelet_agent_capability_missing"))
    return [
        timeseries("Ends without a name", "Ends of connections that should have a name in the cluster and have none, by reason.", [Query(unresolved, "{{reason}}")], "short", stack=True),
        timeseries("Series", "Series that describe nodes: exported, or folded into other because there are more than `spec.metrics.maxSeries`.",
                   [Query(series, "{{state}}")], "short", stack=True, overrides=[colour("exported", GOOD), colour("folded", BAD)]),
        timeseries("Objects known", "Objects of the cluster that an agent knows, at most, by kind. Names come from these.", [Query(objects, "{{kind}}")], "short", fill=0, width=8),
        timeseries("Agents missing a capability", "Agents that show less, or cost more, because a capability is missing, by capability.",
                   [Query(lacking, "{{capability}}", fault="denied")], "short", stack=True, width=8),
        bars("Nodes by source", "How many agents use which source: those below bpf see less and cost more. All nodes.",
             Query(f'sum by (source) ({everywhere("fleet:probelet_agent_source:nodes")})', "{{source}}"), "short", width=8),
    ]


def board():
    """The dashboard."""
    return Board("probelet-data-quality", "Probelet / Data quality", "How complete, how fresh and how well named probelet's data is.",
                 [("Is the data complete and fresh", summary()), ("Completeness", completeness()), ("Freshness", freshness()), ("Names and limits", names())])
