"""What a dashboard is made of: targets, panels, variables, and the layout of rows.

In: what the modules of boards/ say. Out: dictionaries as Grafana's v1 schema has them, and for each query what makes it
non-empty, which the JSON cannot hold. It must not know any metric.
Pure: values only.
"""

import dataclasses
import itertools

SCHEMA = 41
TAG = "probelet"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FLEET = 'cluster=~"$cluster", job=~"$job"'
NODE = FLEET + ', node=~"$node"'
# What the variable `node` is when all nodes are chosen: the label of what is recorded of all of them, which no node can be
# called. So a panel over all nodes reads a few recorded series, never one for each node.
ALL_NODES = "fleet:all"
# CPU, with as many thousandths as there are: 0.005 is 5 mcores, as `5m` in a ProbeConfig.
CORES = "si:cores"
# Two points of a query are at least so far apart: as far as the rules' and, by default, the scrapes'. Grafana takes it for the
# time between scrapes, for $__rate_interval; without it that is what the data source says, often 15 s, whatever the targets
# do, and rates over a minute of targets that are scraped once a minute are empty.
STEP = "1m"
# Grafana's palette by name, so that one thing has one colour on all dashboards.
GOOD, FAIR, POOR, BAD, CALM = "green", "yellow", "orange", "red", "blue"


@dataclasses.dataclass
class Query:
    """One query of a panel. `fault` names what the proof has to do before it returns something; none: it always does."""

    expr: str
    legend: str = ""
    instant: bool = False
    heat: bool = False
    fault: str = ""
    ref: str = ""


@dataclasses.dataclass
class Panel:
    """One panel: Grafana's JSON without its place and number, and its queries."""

    kind: str
    title: str
    description: str
    queries: list
    unit: str
    options: dict
    custom: dict = dataclasses.field(default_factory=dict)
    defaults: dict = dataclasses.field(default_factory=dict)
    overrides: list = dataclasses.field(default_factory=list)
    transformations: list = dataclasses.field(default_factory=list)
    links: list = dataclasses.field(default_factory=list)
    width: int = 12
    height: int = 8


def fleet(metric, **matchers):
    """A recorded series of all nodes; nothing while single nodes are chosen."""
    return _selected(metric, NODE, matchers)


def everywhere(metric, **matchers):
    """A series of all nodes, whatever nodes are chosen."""
    return _selected(metric, FLEET, matchers)


def chosen(metric, **matchers):
    """The chosen nodes' own series; nothing while all are chosen."""
    return _selected(metric, NODE, matchers)


def _selected(metric, base, matchers):
    more = "".join(f', {key}{value}' if value[0] in "=!" else f', {key}="{value}"' for key, value in matchers.items())
    return f"{metric}{{{base}{more}}}"


def either(of_all, of_chosen):
    """One query for both: recorded series for all nodes, raw ones for chosen nodes."""
    return f"{of_all} or {of_chosen}"


def narrow(pixels, **more):
    """What a column of a table has besides its unit: a width, and settings as Grafana calls them."""
    return {"custom.width": pixels, **more}


def stat(title, description, query, unit, *, steps=None, width=3, decimals=None, graph=True, mappings=(), height=5):
    """A figure, with its past behind it."""
    options = {"colorMode": "value", "graphMode": "area" if graph else "none", "justifyMode": "auto", "orientation": "auto",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto", "wideLayout": True,
               "percentChangeColorMode": "standard", "showPercentChange": False}
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds(steps or [(None, CALM)]), "mappings": list(mappings)}
    if decimals is not None:
        defaults["decimals"] = decimals
    return Panel("stat", title, description, [query], unit, options, defaults=defaults, width=width, height=height)


def timeseries(title, description, queries, unit, *, stack=False, fill=10, width=12, height=8, overrides=(), least=0, most=None, soft=None):
    """Lines over time; areas on top of each other with `stack`."""
    custom = {"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 35 if stack else fill,
              "showPoints": "never", "spanNulls": 300000, "gradientMode": "none", "axisPlacement": "auto", "axisLabel": "",
              "stacking": {"mode": "normal" if stack else "none", "group": "A"}, "thresholdsStyle": {"mode": "off"}}
    if soft is not None:
        custom["axisSoftMax"] = soft
    options = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    defaults = {"color": {"mode": "palette-classic"}, "min": least}
    if most is not None:
        defaults["max"] = most
    if any(query.fault for query in queries):
        defaults["noValue"] = "none"
    return Panel("timeseries", title, description, queries, unit, options, custom, defaults, list(overrides), width=width, height=height)


def table(title, description, queries, columns, *, width=12, height=8, sort=None, empty=""):
    """A table of instant queries. Columns are (field, title, unit or None, extra); fields not named are hidden."""
    overrides, order, hidden = [], {}, {"Time": True, "job": True, "cluster": False}
    for place, (field, name, column_unit, extra) in enumerate(columns):
        order[field] = place
        properties = [{"id": "displayName", "value": name}]
        if column_unit:
            properties.append({"id": "unit", "value": column_unit})
        properties += [{"id": key, "value": value} for key, value in (extra or {}).items()]
        overrides.append({"matcher": {"id": "byName", "options": field}, "properties": properties})
    transformations = [{"id": "merge", "options": {}}] if len(queries) > 1 else []
    transformations.append({"id": "organize", "options": {"excludeByName": hidden, "indexByName": order, "renameByName": {}}})
    options = {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": ["sum"], "fields": ""},
               "sortBy": [{"displayName": sort, "desc": True}] if sort else []}
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds([(None, "text")])}
    if empty:
        defaults["noValue"] = empty
    for query in queries:
        query.instant = True
    # Else a label such as port 5432 is taken for a number, and shown as 5.43 K.
    return Panel("table", title, description, queries, "string", options, {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": False},
                 defaults, overrides, transformations, width=width, height=height)


def heatmap(title, description, query, unit, *, width=12, height=8):
    """A histogram over time: cumulative buckets with the label `le`."""
    query.heat = True
    query.legend = "{{le}}"
    options = {"calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "scale": "exponential", "reverse": False},
               "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9}, "legend": {"show": True},
               "rowsFrame": {"layout": "auto"}, "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
               "yAxis": {"axisPlacement": "left", "unit": unit, "reverse": False}, "cellValues": {"unit": "short"}}
    return Panel("heatmap", title, description, [query], unit, options, width=width, height=height)


def bars(title, description, query, unit, *, width=6, height=8, steps=None):
    """One horizontal bar for each series."""
    query.instant = True
    options = {"displayMode": "gradient", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color", "namePlacement": "auto", "sizing": "auto",
               "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 300, "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    defaults = {"color": {"mode": "thresholds"}, "thresholds": thresholds(steps or [(None, CALM)]), "min": 0}
    return Panel("bargauge", title, description, [query], unit, options, defaults=defaults, width=width, height=height)


def graph(title, description, nodes, edges, unit, *, width=24, height=16):
    """Nodes and the edges between them, from two instant queries whose labels have the names that Grafana wants."""
    nodes.ref, edges.ref = "nodes", "edges"
    nodes.instant = edges.instant = True
    # Each query's value has its reference in its name.
    transformations = [{"id": "renameByRegex", "options": {"regex": "Value #(nodes|edges)", "renamePattern": "mainstat"}}]
    options = {"nodes": {"mainStatUnit": unit}, "edges": {"mainStatUnit": unit}, "zoomMode": "cooperative", "layoutAlgorithm": "layered"}
    return Panel("nodeGraph", title, description, [nodes, edges], unit, options, transformations=transformations, width=width, height=height)


def thresholds(steps):
    """Steps as [(from, colour)], the first from None."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def colour(name, of, **more):
    """An override: the series of that name has that colour, and custom settings such as `lineStyle`."""
    properties = [{"id": "color", "value": {"mode": "fixed", "fixedColor": of}}]
    properties += [{"id": f"custom.{key}", "value": value} for key, value in more.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def line(name, of):
    """An override for a limit: dashed, not filled, on no stack."""
    return colour(name, of, lineStyle={"fill": "dash", "dash": [10, 10]}, fillOpacity=0, lineWidth=2, stacking={"mode": "none", "group": "limit"})


@dataclasses.dataclass
class Board:
    """A dashboard: its rows are (title, panels), and panels fill rows of 24 columns from the left."""

    uid: str
    title: str
    description: str
    rows: list

    def panels(self):
        """Every panel, in order."""
        return list(itertools.chain.from_iterable(panels for _, panels in self.rows))

    def json(self):
        """As Grafana reads it."""
        return {
            "annotations": {"list": [_builtin(), _edits()]},
            "description": self.description, "editable": False, "fiscalYearStartMonth": 0, "graphTooltip": 1, "id": None,
            "links": [_link()], "liveNow": False, "panels": self._placed(), "refresh": "1m", "schemaVersion": SCHEMA, "tags": [TAG],
            "templating": {"list": _variables()}, "time": {"from": "now-3h", "to": "now"}, "timepicker": {}, "timezone": "browser",
            "title": self.title, "uid": self.uid, "version": 1, "weekStart": "",
        }

    def _placed(self):
        placed, top, number = [], 0, itertools.count(1)
        for title, panels in self.rows:
            placed.append({"collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}, "id": next(number), "panels": [], "title": title, "type": "row"})
            top, left, tallest = top + 1, 0, 0
            for panel in panels:
                if left + panel.width > 24:
                    top, left, tallest = top + tallest, 0, 0
                place = {"h": panel.height, "w": panel.width, "x": left, "y": top}
                placed.append(_panel(panel, next(number), place))
                left, tallest = left + panel.width, max(tallest, panel.height)
            top += tallest
        return placed


def _panel(panel, number, place):
    made = {
        "datasource": SOURCE, "description": panel.description,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults, "custom": panel.custom}, "overrides": panel.overrides},
        "gridPos": place, "id": number, "options": panel.options, "pluginVersion": "12.0.0",
        "targets": [_target(query, at) for at, query in enumerate(panel.queries)], "title": panel.title, "type": panel.kind,
    }
    if panel.transformations:
        made["transformations"] = panel.transformations
    if panel.links:
        made["links"] = panel.links
    return made


def _target(query, at):
    as_table = query.instant and (query.legend == "")
    return {
        "datasource": SOURCE, "editorMode": "code", "expr": query.expr, "interval": STEP, "refId": query.ref or "ABCDEFGHIJKLMN"[at],
        "format": "heatmap" if query.heat else "table" if as_table else "time_series",
        "instant": query.instant, "range": not query.instant, "legendFormat": query.legend or "__auto",
    }


def _builtin():
    return {"builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard"}


def _edits():
    now = 'max by (cluster, config) (probelet_operator_config_generation{cluster=~"$cluster"})'
    then = 'max by (cluster, config) (probelet_operator_config_generation{cluster=~"$cluster"} offset 1m)'
    return {"datasource": SOURCE, "enable": True, "hide": False, "iconColor": "purple", "name": "ProbeConfig edited",
            "expr": f"{now} != {then}", "step": "60s", "titleFormat": "ProbeConfig {{config}} was edited", "textFormat": "{{cluster}}", "tagKeys": "cluster,config",
            "useValueForTime": False, "target": {"refId": "Anno"}}


def _link():
    return {"asDropdown": False, "icon": "external link", "includeVars": True, "keepTime": True, "tags": [TAG], "targetBlank": False,
            "title": "", "tooltip": "", "type": "dashboards", "url": ""}


def _variables():
    return [
        {"current": {}, "hide": 0, "includeAll": False, "label": "Data source", "multi": False, "name": "datasource", "options": [],
         "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": False, "type": "datasource"},
        _from_labels("cluster", "Cluster", "label_values(probelet_agent_build_info, cluster)", ".*"),
        _from_labels("job", "Job", 'label_values({__name__=~"probelet_(agent|operator)_build_info", cluster=~"$cluster"}, job)', ".+"),
        _from_labels("node", "Node", f"label_values(probelet_agent_build_info{{{FLEET}}}, node)", ALL_NODES),
    ]


def _from_labels(name, label, query, everything):
    return {"allValue": everything, "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "datasource": SOURCE, "definition": query,
            "hide": 0, "includeAll": True, "label": label, "multi": True, "name": name, "options": [],
            "query": {"qryType": 1, "query": query, "refId": f"{name}-values"}, "refresh": 2, "regex": "", "skipUrlSync": False, "sort": 1, "type": "query"}
