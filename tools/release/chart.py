"""The chart of a release: its archive as `helm package` lays it out, the definitions as one file, the images' digests as values.

In: the tracked files of charts/probelet. Out: bytes. The metadata of the OCI artifact is Chart.yaml as JSON, as Helm pushes it. It must
not change a value of the chart, and guesses at no YAML: Python has none of its own, and a form that is not known here is refused.
"""
import fnmatch
import json
import re

import pack
from programs import Refused

CHART = "charts/probelet"
KEY = re.compile(r"([A-Za-z0-9._/-]+):(?: (.*)|)$")


def ignored(path, patterns):
    """As Helm reads .helmignore, for the forms that are in ours: a name, a name with *, a folder."""
    parts = path.split("/")
    for pattern in patterns:
        within = parts[:-1] if pattern.endswith("/") else parts
        if any(fnmatch.fnmatchcase(part, pattern.rstrip("/")) for part in within):
            return True
    return False


def files(tree):
    patterns = [line for line in (tree.root / CHART / ".helmignore").read_text().split("\n") if line and not line.startswith("#")]
    return {name: path for name, path in tree.files(CHART).items() if not ignored(name, patterns)}


def archive(tree):
    """(the .tgz, its metadata)"""
    entries = [pack.read(path, f"probelet/{name}") for name, path in files(tree).items()]
    for wanted in ("probelet/Chart.yaml", "probelet/files/crds/probeconfigs.probelet.io.yaml", "probelet/dashboards/connections.json"):
        if wanted not in {entry.name for entry in entries}:
            raise Refused(f"the chart has no {wanted}")
    return pack.gz(pack.tar(entries, tree.epoch)), metadata((tree.root / CHART / "Chart.yaml").read_text())


def metadata(text):
    """Chart.yaml as JSON. Read are the forms that a Chart.yaml has: a key with a scalar, a sequence of words in one line, a mapping of
    scalars and literal blocks, a sequence of scalars or of flat mappings. Anything else is refused."""
    top, lines = {}, [line.rstrip() for line in text.split("\n")]
    at = 0
    into, key = top, ""
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent, words = len(line) - len(line.lstrip()), line.strip()
        if words.startswith("- ") and indent in (0, 2) and key:
            top[key] = top[key] or []
            if not (found := KEY.match(words[2:])):
                top[key].append(scalar(words[2:]))
                continue
            into = {}
            top[key].append(into)
            words, indent = words[2:], indent + 2
        elif indent == 0:
            into = top
        elif indent == 2 and isinstance(top.get(key), dict):
            into = top[key]
        elif not (indent in (2, 4) and isinstance(top.get(key), list)):
            raise Refused(f"Chart.yaml: {line!r} has a form that tools/release/chart.py does not read")
        found = KEY.match(words)
        value = found and (found[2] or "").strip()
        if not found or value[:1] in {">", "&", "*", "{", "!"}:
            raise Refused(f"Chart.yaml: {line!r} has a form that tools/release/chart.py does not read")
        if value == "|":
            block = []
            while at < len(lines) and (not lines[at] or lines[at].startswith(" " * (indent + 2))):
                block.append(lines[at][indent + 2:])
                at += 1
            into[found[1]] = "\n".join(block).rstrip("\n") + "\n"
        elif into is top:
            key = found[1]
            top[key] = scalar(value) if value else {}
        else:
            into[found[1]] = scalar(value)
    return top


def scalar(value):
    if value.startswith('"'):
        return json.loads(value)
    if value.startswith("'"):
        return value[1:-1].replace("''", "'")
    if value.startswith("["):
        return [word.strip() for word in value.strip("[]").split(",")]
    if value in {"true", "false"}:
        return value == "true"
    return value


def definitions(tree):
    """Both CustomResourceDefinitions, for those who install them by other means."""
    found = sorted((tree.root / CHART / "files/crds").glob("*.yaml"))
    return b"".join(b"---\n" + path.read_bytes().removeprefix(b"---\n") for path in found)


def pins(digests, archs):
    """Values that pin both images: `helm install -f`."""
    return "\n".join([
        "# The images of this release by digest: helm install … -f this file.", "image:", f"  architectures: [{', '.join(sorted(archs))}]",
        "agent:", "  image:", f"    digest: {digests['probelet-agent']}",
        "operator:", "  image:", f"    digest: {digests['probelet-operator']}", "",
    ]).encode()
