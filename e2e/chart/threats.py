"""Whether docs/threat-model.md names tests that are there, and has a line for each finding of the audits.

In: the page, the tree. Out: a line that begins with PASS or FAIL for each of its tables; exits with 1 on a FAIL. A test is
named `PATH#NAME`: the file must be there and hold the name; a name of a Rust or Python file that could be a function's must be one. A line without one must say `open: ...` or `accepted: ...`, in words.
I/O: reads files.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "threat-model.md"
FINDINGS = {*(f"H{n}" for n in range(1, 8)), *(f"M{n}" for n in range(1, 21)), *(f"L{n}" for n in range(1, 10)),
            *(f"A{n}" for n in range(1, 16))}
TEST = re.compile(r"`([\w./-]+)#([^`]+)`")
REASON = re.compile(r"(open|accepted): .{20,}")


def tables(text):
    """(heading, rows of cells) of each table."""
    for part in re.split(r"(?m)^## ", text)[1:]:
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in part.splitlines() if line.startswith("| ")]
        if rows:
            yield part.splitlines()[0], rows[0], rows[1:]


def holds(file, name):
    """Whether a file has the test of that name. A comment that mentions one is none."""
    text, keyword = file.read_text(), {".rs": "fn", ".py": "def"}.get(file.suffix)
    if keyword and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", name):
        return re.search(rf"\b{keyword} {name}\(", text) is not None
    return name in text or name.replace(" ", "_") in text


def wrong_tests(cell):
    """What a cell names that is not there."""
    found = TEST.findall(cell)
    for path, name in found:
        file = ROOT / path
        if not file.is_file():
            yield f"there is no file {path}"
        elif not holds(file, name):
            yield f"{path} has no {name!r}"
    if not found and not REASON.search(cell):
        yield f"neither a test nor a reason: {cell!r}"


def main():
    failed, seen = False, []
    for heading, head, rows in tables(PAGE.read_text()):
        wrong = [f"{row[0]}: {len(row)} cells, not {len(head)}" for row in rows if len(row) != len(head)]
        if head[-1] == "test":
            wrong += [f"{row[0]}: {what}" for row in rows for what in wrong_tests(row[-1])]
        if head[0] == "finding":
            seen += [row[0] for row in rows]
        failed |= bool(wrong)
        open_ones = sum("open: " in row[-1] for row in rows)
        print(f"FAIL: threat model, {heading}: " + "; ".join(wrong) if wrong else f"PASS: threat model, {heading}: {len(rows)} lines, {open_ones} open")
    missing, twice = FINDINGS - set(seen), {each for each in seen if seen.count(each) > 1}
    if missing or twice:
        print(f"FAIL: threat model: without a line: {sorted(missing)}; with several: {sorted(twice)}")
        failed = True
    return 1 if failed else 0


sys.exit(main())
