"""Whose work is in the programs, and under which terms: one text for each program, that goes into its archive and its image.

In: the packages that are linked into it (bill.py), and their sources where cargo unpacked them. Out: a text; licences that are the
same in several packages stand once. A package that brings no text is named with its expression and where it comes from. It must not
ask a registry. I/O: reads cargo's sources.
"""
import json
import pathlib
import re

import pack
from programs import run

HERE = pathlib.Path(__file__).resolve().parent
NAMES = re.compile(r"(?i)(un)?licen[cs]e|copying|notice|copyright")
HEAD = """Third-party software in {name} {version}

{name} itself is {licences}; see LICENSE.
What follows is linked into it: {count} packages, each with its terms. Packages whose text is the same share it.
"""
BESIDE = """
The Rust standard library is (MIT OR Apache-2.0): https://github.com/rust-lang/rust, COPYRIGHT there.
The GNU C Library (glibc {glibc}) is linked statically, under the GNU Lesser General Public License 2.1 or later, whose text is at the
end. Its source is at https://sourceware.org/git/glibc.git and in Debian. {name} is free software: everything that is needed to link
it again with a changed C library is its source and `tools/release/build`.
"""


def sources(tree):
    """{(name, version): folder} of everything that cargo unpacked for this tree"""
    said = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1", cwd=tree.root))
    return {(p["name"], p["version"]): pathlib.Path(p["manifest_path"]).parent for p in said["packages"] if p["source"]}


def texts(folder):
    """The texts in a package that say who owns it and under which terms: at its top, and of what it brings along in C."""
    found = []
    for path in sorted(folder.rglob("*")):
        if NAMES.match(path.name) and path.suffix.lower() not in {".rs", ".py", ".json", ".html", ".h", ".c"} and path.is_file() \
                and len(path.relative_to(folder).parts) <= 3:
            found.append(path.read_text(errors="replace").replace("\r\n", "\n").strip() + "\n")
    return found


def write(tree, program, parts, versions, folders):
    reached, packages, _ = parts
    keys = [key for key in sorted(reached[program.name]) if key in folders]
    out = [HEAD.format(name=program.name, version=tree.version, licences=program.licences, count=len(keys)),
           BESIDE.format(name=program.name, glibc=versions["glibc"])]
    shared = {}
    for key in keys:
        for text in texts(folders[key]):
            shared.setdefault(pack.sha256(text.encode()), (text, set()))[1].add(key)
    listed = {key for _, of in shared.values() for key in of}
    out.append("\n" + "-" * 100 + "\nPackages\n")
    out += [f"  {name} {version}: {packages[name, version]['licence']}; {packages[name, version]['home'] or 'pkg:cargo/' + name}"
            + ("" if (name, version) in listed else " (it brings no text)") + "\n" for name, version in keys]
    for text, of in sorted(shared.values(), key=lambda pair: sorted(pair[1])):
        out.append("\n" + "-" * 100 + "\n" + ", ".join(f"{name} {version}" for name, version in sorted(of)) + "\n\n" + text)
    out.append("\n" + "-" * 100 + "\nGNU C Library\n\n" + (HERE / "licences/LGPL-2.1.txt").read_text())
    return "".join(out).encode()
