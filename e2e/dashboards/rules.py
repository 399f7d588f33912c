"""Reads charts/probelet/rules/probelet.yaml without a YAML parser: its records and alerts.

In: the file. Out: names and texts. Expressions are on one line or folded (`>-`), as that file writes them.
I/O: reads the file.
"""

import pathlib
import re

PATH = pathlib.Path(__file__).resolve().parents[2] / "charts" / "probelet" / "rules" / "probelet.yaml"


def rules():
    """Each rule's text."""
    text = re.sub(r"(?m)^\s*#.*$", "", PATH.read_text())
    return [part for part in re.split(r"(?m)^ {6}- (?=\{?(?:record|alert):)", text)[1:]]


def records():
    """(name, expression) of each recording rule."""
    for text in rules():
        if match := re.match(r'\{record: "([^"]+)".*expr: "([^"]+)"\}', text):
            yield match[1], match[2]
        elif match := re.match(r"record: (\S+)", text):
            yield match[1], expression(text)


def alerts():
    """(name, text) of each alert."""
    for text in rules():
        if match := re.match(r"alert: (\S+)", text):
            yield match[1], text


def expression(text):
    """The expression of a rule's text."""
    if folded := re.search(r"(?m)^ {8}expr: >-\n((?: {10}.*\n)+)", text):
        return " ".join(line.strip() for line in folded[1].splitlines())
    return re.search(r"(?m)^ {8}expr: (.*)$", text)[1].strip()
