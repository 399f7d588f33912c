"""Every query of every panel and rule, with Grafana's variables filled in.

In: the boards, the rules, values of variables. Out: (where it is, expression).
Pure: values only, but for the rules file.
"""

import re

import boards
import rules

# What Grafana puts in when everything is chosen and three hours are shown.
EVERYTHING = {"cluster": ".*", "job": ".+", "node": "fleet:all", "__rate_interval": "4m", "__range": "3h", "__interval": "1m"}


def fill(expr, values=None):
    """The expression as it is sent."""
    for name, value in {**EVERYTHING, **(values or {})}.items():
        expr = expr.replace("${" + name + "}", value).replace("$" + name, value)
    return expr


def queries():
    """(dashboard, panel, query) of every panel."""
    for board in boards.everything():
        for panel in board.panels():
            for query in panel.queries:
                yield board, panel, query


def of_panels(values=None):
    """(place, expression) of every query of every panel."""
    for board, panel, query in queries():
        yield f"{board.title}: {panel.title}", fill(query.expr, values)


def everything_asked():
    """(place, expression) of every panel, annotation and rule."""
    yield from of_panels()
    for board in boards.everything():
        for each in board.json()["annotations"]["list"]:
            if "expr" in each:
                yield f"{board.title}: annotation {each['name']}", fill(each["expr"])
    for name, expr in rules.records():
        yield f"rule {name}", expr
    for name, text in rules.alerts():
        yield f"alert {name}", rules.expression(text)


def metrics(expr):
    """The names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"(?<![\w:])((?:(?:node|fleet|top|operator):)?(?:probelet|process)_[a-zA-Z0-9_:]+|up)(?![\w:(])", bare))
