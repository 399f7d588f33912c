"""Writes what follows from the chart's values.yaml, README.md and files/defaults.yaml, or checks that both are up to date.

In: values.yaml and Chart.yaml. Out: README.md, with a row for each value that has a comment beginning with `# --`, and
files/defaults.yaml, which is values.yaml where templates can read it. It must not need more than Python: what is drift checked must
not depend on what can be installed.
I/O: reads the chart, writes these two.

    readme.py            writes them
    readme.py --check    prints PASS or FAIL, exits with 1 on a difference
"""

import pathlib
import re
import sys

CHART = pathlib.Path(__file__).resolve().parents[2] / "charts" / "probelet"

HEAD = """\
# probelet

{description}

<!-- Generated from values.yaml and Chart.yaml by `make chart-readme`. -->

```
helm install probelet charts/probelet --namespace probelet --create-namespace --set image.registry=REGISTRY
kubectl get nodeprobes                   # every node, and what its agent reports
kubectl edit probeconfig default         # what all agents do, at once and without a restart
```
Needs Kubernetes {kubernetes} and Helm 3 or 4. [docs/user/install.md](../../docs/user/install.md) has installing, upgrading and
removing it, [docs/user/security.md](../../docs/user/security.md) each permission with its reason.

What agents do and how much CPU they may use is not a value of the chart but in the ProbeConfig `default`, which the operator creates from
`config` when there is none. Helm never touches it again, so `kubectl edit` and `helm upgrade` do not get in each other's way.

## Values
| value | default | what it does |
|---|---|---|
"""


def rows(text):
    """Yields (path, default, comment) of each documented value."""
    path, comment = [], None
    lines = text.split("\n")
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("# --"):
            comment = stripped.removeprefix("# --").strip()
        elif stripped.startswith("#"):
            if comment is not None:
                comment += " " + stripped.removeprefix("#").strip()
        elif found := re.match(r"^( *)([A-Za-z][A-Za-z0-9]*):(?: (.*))?$", line):
            depth = len(found[1]) // 2
            path = path[:depth] + [found[2]]
            if comment is not None:
                yield ".".join(path), found[3] or below(lines[number + 1 :], len(found[1])), comment
            comment = None
        else:
            comment = None


def below(lines, indent):
    """The lines of a nested default, on one line as YAML would have them in braces."""
    block = []
    for line in lines:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        block.append((len(line) - len(line.lstrip()), line.strip()))
    return flow(block)


def flow(block):
    """`[(indent, text)]` of maps and lists of maps, as flow style."""
    if not block:
        return "null"
    items, at = [], 0
    indent = block[0][0]
    is_list = block[0][1].startswith("- ")
    while at < len(block):
        text = block[at][1]
        inner = at + 1
        while inner < len(block) and block[inner][0] > indent:
            inner += 1
        children = block[at + 1 : inner]
        if is_list:
            items.append(flow([(indent + 2, text.removeprefix("- "))] + children))
        else:
            key, _, value = text.partition(":")
            items.append(f"{key}: {value.strip() or flow(children)}")
        at = inner
    return "[" + ", ".join(items) + "]" if is_list else "{" + ", ".join(items) + "}"


def readme():
    """The text that README.md must have."""
    chart = (CHART / "Chart.yaml").read_text()
    field = lambda name: re.search(rf"^{name}: (.*)$", chart, re.M)[1].strip('"')
    kubernetes = re.search(r"\d+\.\d+", field("kubeVersion"))[0] + " or newer"
    text = HEAD.format(description=field("description"), kubernetes=kubernetes)
    for path, default, comment in rows((CHART / "values.yaml").read_text()):
        cell = lambda content: content.replace("|", "\\|")
        text += f"| `{path}` | `{cell(default)}` | {cell(comment)} |\n"
    return text


def defaults():
    """The text that files/defaults.yaml must have: the values without comments."""
    lines = [line for line in (CHART / "values.yaml").read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "# values.yaml once more, for templates, which cannot read that (make chart-readme).\n" + "\n".join(lines) + "\n"


def main():
    written = {CHART / "README.md": readme(), CHART / "files" / "defaults.yaml": defaults()}
    if sys.argv[1:] != ["--check"]:
        for target, text in written.items():
            target.write_text(text)
        return 0
    old = [target.name for target, text in written.items() if not target.exists() or target.read_text() != text]
    if old:
        print(f"FAIL: the chart's {' and '.join(old)} out of date; run make chart-readme")
        return 1
    print("PASS: the chart's README and files/defaults.yaml say what values.yaml says")
    return 0


sys.exit(main())
