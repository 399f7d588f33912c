"""The rules of Grafana's dashboard linter, and some of our own, for one dashboard.

In: a dashboard as Grafana reads it. Out: what is wrong, as messages. Names of rules are the linter's where it has one.
Pure: values only.
"""

import re

SELECTOR = re.compile(r"\b((?:(?:node|fleet|top|operator):)?[a-z][a-z0-9_]*(?::[a-z0-9_]+)*)\{([^}]*)\}")
# Rules that a dashboard breaks on purpose, with the reason.
EXCEPTIONS = {
    "template-instance": "nodes are distinguished by `node`; pods, and with them instances, come and go on a node",
    "target-instance": "a panel of all nodes reads recorded series, which have no node",
}
COUNTER = re.compile(r"_(total|sum|count|bucket)$")


def everything(board):
    """All rules, as (name, what is wrong)."""
    for rule in (uneditable_dashboard, fixed_identity, template_datasource, template_variables, template_on_time_change_reload, links_to_the_others,
                 panels_do_not_overlap, panel_title_description, panel_datasource, panel_units, panel_no_targets, target_job, target_instance,
                 target_rate_interval, target_step, target_counter_agg, annotations_where_a_configuration_changed):
        yield rule.__name__.replace("_", "-"), list(rule(board))


def panels(board):
    """Its panels without rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board):
    """Its queries, as (title, target)."""
    return [(panel["title"], target) for panel in panels(board) for target in panel["targets"]]


def selectors(expr):
    """Every selector of an expression, as (metric, matchers)."""
    return SELECTOR.findall(expr)


def variables(board):
    """Its variables by name."""
    return {each["name"]: each for each in board["templating"]["list"]}


def uneditable_dashboard(board):
    if board["editable"]:
        yield "it can be edited, and what is edited is lost with the next upgrade"


def fixed_identity(board):
    if not re.fullmatch(r"probelet-[a-z-]{3,31}", board["uid"]):
        yield f"uid {board['uid']}"
    if board["id"] is not None or not 39 <= board["schemaVersion"] <= 41 or board["graphTooltip"] != 1:
        yield "id, schemaVersion or graphTooltip"


def template_datasource(board):
    source = variables(board).get("datasource", {})
    if (source.get("type"), source.get("query"), source.get("label")) != ("datasource", "prometheus", "Data source"):
        yield "no variable datasource of type prometheus"


def template_variables(board):
    for name, everything_ in (("cluster", ".*"), ("job", ".+"), ("node", "fleet:all")):
        each = variables(board).get(name)
        if not each:
            yield f"no variable {name}"
        elif not (each["multi"] and each["includeAll"] and each["allValue"] == everything_ and each["datasource"]["uid"] == "${datasource}"):
            yield f"variable {name} does not allow several, all, or all as {everything_}"


def template_on_time_change_reload(board):
    for name, each in variables(board).items():
        if each["type"] == "query" and each["refresh"] != 2:
            yield f"variable {name} is not read again when the time changes"


def links_to_the_others(board):
    if not any(link["type"] == "dashboards" and set(link["tags"]) <= set(board["tags"]) and link["includeVars"] and link["keepTime"] for link in board["links"]):
        yield "no links to the other dashboards that keep time and variables"


def panels_do_not_overlap(board):
    taken, numbers = set(), set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & taken or place["x"] + place["w"] > 24 or panel["id"] in numbers:
            yield f"{panel['title']} overlaps, is too wide, or has a number twice"
        taken |= cells
        numbers.add(panel["id"])


def panel_title_description(board):
    for panel in panels(board):
        if not panel["title"] or not panel["description"].endswith(".") or len(panel["description"]) < 20:
            yield f"{panel['title']!r} has no title, or no description in words"


def panel_datasource(board):
    for title, source in [(panel["title"], panel["datasource"]) for panel in panels(board)] + [(title, target["datasource"]) for title, target in targets(board)]:
        if source != {"type": "prometheus", "uid": "${datasource}"}:
            yield f"{title}: its data source is not the variable"


def panel_units(board):
    for panel in panels(board):
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{panel['title']}: no unit"


def panel_no_targets(board):
    for panel in panels(board):
        if not panel["targets"]:
            yield f"{panel['title']}: no queries"


def target_job(board):
    for title, target in targets(board):
        for metric, matchers in selectors(target["expr"]):
            if 'job=~"$job"' not in matchers or 'cluster=~"$cluster"' not in matchers:
                yield f"{title}: {metric} is not limited to the chosen clusters and jobs"


def target_instance(board):
    """Of raw metrics of agents, what is added up over nodes is limited to the chosen ones."""
    for title, target in targets(board):
        if target["instant"]:
            continue
        for metric, matchers in selectors(target["expr"]):
            few = metric.startswith(("fleet:", "top:", "operator:", "probelet_operator_"))
            if not few and 'node=~"$node"' not in matchers:
                yield f"{title}: {metric} is read of every node over the whole time"


def target_rate_interval(board):
    for title, target in targets(board):
        for function, window in re.findall(r"\b(i?rate|increase|delta|i?deriv|changes)\([^\[\]]*\[([^\]]*)\]", target["expr"]):
            if window != "$__rate_interval":
                yield f"{title}: {function} over {window}"


def target_step(board):
    """Else $__rate_interval is made for scrapes every 15 s, and ours are a minute apart."""
    for title, target in targets(board):
        if target.get("interval") != "1m":
            yield f"{title}: no least step of a minute"


def target_counter_agg(board):
    for title, target in targets(board):
        for match in SELECTOR.finditer(target["expr"]):
            metric = match[1]
            inside = re.search(r"(rate|increase)\(\s*$", target["expr"][: match.start()])
            if COUNTER.search(metric) and ":" not in metric and not inside:
                yield f"{title}: {metric} is a counter and not in rate()"


def annotations_where_a_configuration_changed(board):
    found = [each for each in board["annotations"]["list"] if "probelet_operator_config_generation" in each.get("expr", "")]
    if len(found) != 1 or not found[0]["enable"]:
        yield "no annotation"
    for each in found:
        if "by (config)" in each["expr"]:
            yield "an edit in one cluster is hidden by the generation of another one's"
