"""Writes charts/probelet/dashboards/*.json from boards/, or checks that they are up to date.

In: the boards. Out: one JSON file for each. Needs nothing but Python.
I/O: reads and writes the chart's dashboards.

    generate.py            writes them
    generate.py --check    prints PASS or FAIL for each, exits with 1 on a difference
"""

import json
import pathlib
import sys

import boards

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "charts" / "probelet" / "dashboards"


def files():
    """Name and text of each file."""
    for board in boards.everything():
        name = board.uid.removeprefix("probelet-") + ".json"
        yield name, json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n"


def main():
    wanted = dict(files())
    here = {path.name: path for path in FOLDER.glob("*.json")}
    if sys.argv[1:] != ["--check"]:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in here.keys() - wanted.keys():
            here[name].unlink()
        for name, text in wanted.items():
            (FOLDER / name).write_text(text)
        return 0
    failed = False
    for name in sorted(here.keys() | wanted.keys()):
        same = name in here and here[name].read_text() == wanted.get(name)
        print(f"PASS: {name} is what boards/ says" if same else f"FAIL: {name} is not what boards/ says; run make dashboards")
        failed |= not same
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
