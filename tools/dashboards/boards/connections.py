"""Connections: who talks to whom, what is new, what fails.

In: nothing. Out: a board.
Pure: values only.
"""

from model import BAD, CALM, GOOD, POOR, Board, Query, chosen, colour, either, everywhere, fleet, graph, narrow, stat, table, timeseries

INTERVAL = "[$__rate_interval]"
FLOW = "source, destination, port, protocol"


def named(expr):
    """Raw series with the names that recorded edges have: a destination is its Service, if it has one."""
    for label, value, of, pattern in (("source", "$1", "source_workload", "(.+)"), ("destination", "$1", "destination_workload", "(.+)"),
                                      ("destination", "$1/Service/$2", "destination_service", "([^/]+)/(.+)")):
        expr = f'label_replace({expr}, "{label}", "{value}", "{of}", "{pattern}")'
    return expr


def once(expr):
    """Without what a chosen node reports as the destination of another chosen one, which reports it itself."""
    return f'({expr} unless on (cluster, job, source_node) {chosen("probelet_agent_node_info")})'


def edges(metric, shift=""):
    """Flows of chosen nodes."""
    return named(once(chosen(metric) + shift))


def rates(metric, shift=""):
    """The same, a second."""
    return named(once(f"rate({chosen(metric)}{INTERVAL}{shift})"))


# Edges of all nodes, or of those chosen.
FLOWS = either(fleet("fleet:probelet_flows:sum"), f'sum by ({FLOW}) ({edges("probelet_flows")})')
OPENED = either(fleet("fleet:probelet_connections_opened:rate5m"), f'sum by ({FLOW}) ({rates("probelet_connections_opened_total")})')
# As many edges as a person can look at.
EDGES = 60


def of(recorded, raw, how="sum"):
    """Aggregated into one, over all nodes or those chosen."""
    return f"{how}({either(fleet(recorded), raw)})"


def rate(metric):
    """A raw rate of chosen nodes."""
    return f"rate({chosen(metric)}{INTERVAL})"


def rate_of_unknown():
    """What chosen nodes accept from addresses that may be another node's."""
    return f'rate({chosen("probelet_connections_opened_total", source_node="node:unknown")}{INTERVAL})'


CLOSED = of("fleet:probelet_connections_closed:rate5m", once(rate("probelet_connections_closed_total")))
FAILED = of("fleet:probelet_connections_failed:rate5m", rate("probelet_connections_failed_total"))
RESET = of("fleet:probelet_connections_reset:rate5m", rate("probelet_connections_reset_total"))
UNATTRIBUTED = of("fleet:probelet_connections_unattributed:rate5m", rate_of_unknown())
OPEN = "sum by (protocol) ({})".format(either(fleet("fleet:probelet_connections:sum"), once(chosen("probelet_flows"))))
OPENED_ALL = "sum({})".format(either(fleet("fleet:probelet_flows_opened:rate5m"), once(rate("probelet_connections_opened_total"))))
LISTENERS = "sum({})".format(either(fleet("fleet:probelet_agent_records:sum", kind="listeners"), chosen("probelet_agent_records", kind="listeners")))


def summary():
    """How much, in one row."""
    count = of("fleet:probelet_flows:count", "(" + once(chosen("probelet_flows")) + " > bool 0)")
    return [
        stat("Open", "Connections that are open now, each once: as its source reports it, or its destination where the source's node has no agent or is outside.", Query(f"sum({OPEN})"), "short", decimals=0),
        stat("Flows", "Pairs of workloads, with port and protocol, that have a connection open now.", Query(count), "short", decimals=0),
        stat("Opened", "Connections seen to open a second.", Query(OPENED_ALL), "cps", decimals=1),
        stat("Listeners", "Sockets that wait for connections.", Query(LISTENERS), "short", decimals=0),
        stat("Failed", "Attempts to connect that failed a second, as the kernels count them.", Query(FAILED), "cps", decimals=2),
        stat("Reset", "Connections that a reset ended a second, as the kernels count them.", Query(RESET), "cps", decimals=2),
        stat("New in an hour", "Flows with connections now, open or just opened, and none an hour ago. All nodes.", Query(f'sum({everywhere("fleet:probelet_flows_new:count")})'), "short", decimals=0),
        stat("Lost in an hour", "Flows with connections an hour ago, open or just opened, and none now. All nodes.", Query(f'sum({everywhere("fleet:probelet_flows_lost:count")})'), "short", decimals=0),
    ]


def over_time():
    """Rates."""
    top = either(fleet("fleet:probelet_flows:top20"), f'topk(20, sum by (source, destination, port) ({rates("probelet_connections_opened_total")}))')
    sent = 'sum by (direction) ({})'.format(either(fleet("fleet:probelet_bytes:rate5m"), once(rate("probelet_flow_bytes_total"))))
    return [
        timeseries("Open connections", "Connections that are open, by protocol.", [Query(OPEN, "{{protocol}}")], "short", stack=True, width=8),
        timeseries("Opened and closed", "Connections seen to open and to close a second. Opened above closed for long is a leak. Unattributed: accepted from private addresses that may be another node's, which then reports them; for all nodes they are in no edge.",
                   [Query(OPENED_ALL, "opened"), Query(CLOSED, "closed"), Query(UNATTRIBUTED, "unattributed")], "cps", width=8, overrides=[colour("opened", GOOD), colour("closed", CALM), colour("unattributed", POOR)]),
        timeseries("Failures", "Attempts that failed, and connections that a reset ended, a second, as the kernels count them. Not by flow: the kernel does not say whose they were.",
                   [Query(FAILED, "failed"), Query(RESET, "reset")], "cps", width=8, overrides=[colour("failed", BAD), colour("reset", POOR)]),
        timeseries("Busiest flows", "The flows with most connections opened a second.", [Query(f"sum by (source, destination, port) ({top})", "{{source}} → {{destination}}:{{port}}")], "cps", fill=0),
        timeseries("Traffic", "Bytes a second over the connections of flows: sent by the source, and received by it.",
                   [Query(sent, "{{direction}}")], "Bps", overrides=[colour("sent", CALM), colour("received", GOOD)]),
    ]


def service_graph():
    """Who talks to whom."""
    own = f'sum by (source, destination) ({edges("probelet_flows")}) > 0'
    pairs = f'topk({EDGES}, sum by (source, destination) ({either(fleet("fleet:probelet_edges:top60"), own)}))'
    name = lambda expr, label: f'sum by (id, title) (label_replace(label_replace({expr}, "id", "$1", "{label}", "(.+)"), "title", "$1", "{label}", "(.+)"))'
    nodes = f'sum by (id, title) ({name(pairs, "source")} or {name(pairs, "destination")})'
    edge = f'sum by (id, source, target) (label_replace(label_join({pairs}, "id", " → ", "source", "destination"), "target", "$1", "destination", "(.+)"))'
    return [graph("Service graph", f"The {EDGES} pairs of workloads with most open connections. The figure of an edge is its open connections, that of a workload is those of its edges.",
                  Query(nodes), Query(edge), "short")]


def who():
    """Fans, and what changed."""
    # As fleet:probelet_flows_active:sum: connections too short to be met open count as well.
    def active(shift=""):
        opened = rates("probelet_connections_opened_total", shift)
        return f'((sum by ({FLOW}) ({edges("probelet_flows", shift)}) > 0) or 0 * (sum by ({FLOW}) ({opened}) > 0))'

    pairs = f"count by (destination, source) ({active()})"
    fan_in = f'topk(20, sum by (destination) ({either(fleet("fleet:probelet_fan_in:count"), f"count by (destination) ({pairs})")}))'
    fan_out = f'topk(20, sum by (source) ({either(fleet("fleet:probelet_fan_out:count"), f"count by (source) ({pairs})")}))'
    now, then = active(), active(" offset 1h")
    new = f'topk(50, sum by ({FLOW}) ({either(fleet("fleet:probelet_flows_new:top50"), f"({now} unless {then})")}))'
    lost = f'topk(50, sum by ({FLOW}) ({either(fleet("fleet:probelet_flows_lost:top50"), f"({then} unless {now})")}))'
    flow = lambda last, unit="short", decimals=0: [("source", "From", None, None), ("destination", "To", None, None), ("port", "Port", None, narrow(80)), ("protocol", "Protocol", None, narrow(90)), ("Value", last, unit, narrow(100, decimals=decimals))]
    gauge = lambda hue: {"custom.width": 150, "custom.cellOptions": {"type": "gauge", "mode": "basic"}, "color": {"mode": "fixed", "fixedColor": hue}, "decimals": 0}
    return [
        table("Fan-in", "Workloads that most other workloads have connections to.", [Query(fan_in)], [("destination", "Workload", None, None), ("Value", "From", "short", gauge(CALM))], width=6, sort="From"),
        table("Fan-out", "Workloads that have connections to most others. A sudden one here may be a scan.", [Query(fan_out)], [("source", "Workload", None, None), ("Value", "To", "short", gauge(POOR))], width=6, sort="To"),
        table("Most connections opened", "Flows by connections opened a second.", [Query(f"topk(20, sum by ({FLOW}) ({OPENED}))")], flow("Opened", "cps", 2), sort="Opened"),
        table("New flows", "Flows with connections now, open or just opened, and none an hour ago.", [Query(new, fault="busy")], flow("Open"), sort="Open", empty="nothing new"),
        table("Lost flows", "Flows with connections an hour ago, open or just opened, and none now.", [Query(lost, fault="quiet")], flow("Open then"), sort="Open then", empty="nothing lost"),
    ]


def health():
    """Which flows are sick, and what is about to run full, on all nodes: these series are few, and none where all is well."""
    flow = lambda last, unit, decimals: [("source", "From", None, None), ("destination", "To", None, None), ("port", "Port", None, narrow(80)), ("Value", last, unit, narrow(120, decimals=decimals))]
    # Shown by the agents of both ends; the worse stands.
    worst = lambda metric, **labels: f'topk(20, max by ({FLOW}) ({everywhere(metric, **labels)}))'
    failed = f'topk(20, max by ({FLOW}) (increase({everywhere("probelet_flow_failed_attempts_total")}{INTERVAL})) > 0)'
    risk = "workload, workload_pod, port, risk"
    used = f'max by ({risk}) ({everywhere("probelet_risk_used")})'
    limit = f'max by ({risk}) ({everywhere("probelet_risk_limit")})'
    full = f"sort_desc({used} / ({limit} > 0) or {used} * 0)"
    return [
        table("Segments sent again", "Flows that lose segments: the share of what was sent lately that had to be sent again. All flows where metrics.health is All.",
              [Query(worst("probelet_flow_retransmitted_ratio"), fault="sick")], flow("Sent again", "percentunit", 2), width=12, sort="Sent again", empty="no flow is lossy"),
        table("Round-trip time", "The 99th percentile over the open connections of flows that are shown.",
              [Query(worst("probelet_flow_rtt_seconds", quantile="0.99"), fault="sick")], flow("p99", "s", 4), width=12, sort="p99", empty="no flow is sick"),
        table("Failed attempts", "Flows whose attempts to connect fail.", [Query(failed, fault="sick")], flow("Failed", "short", 0), width=12, sort="Failed", empty="none fails"),
        table("About to run full", "Accept queues, open files, ephemeral ports for one destination, connection tracking, as a share of what there may be; connections in CLOSE_WAIT, which have no limit, as 0.",
              [Query(full, fault="sick")], [("risk", "What", None, narrow(150)), ("workload", "Workload", None, None), ("workload_pod", "Pod", None, None), ("port", "Port", None, narrow(80)), ("Value", "Used", "percentunit", narrow(100, decimals=0))],
              sort="Used", empty="nothing runs full"),
    ]


def board():
    """The dashboard."""
    return Board("probelet-connections", "Probelet / Connections", "Who talks to whom, what is new, and what fails.",
                 [("How much", summary() + over_time()), ("Health of flows", health()), ("Who talks to whom", service_graph()), ("Workloads and changes", who())])
