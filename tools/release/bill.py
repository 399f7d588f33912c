"""What is inside: a bill of materials for each program in the two forms that scanners read, SPDX 2.3 and CycloneDX 1.6.

In: cargo's tree of what is linked into the programs for one architecture (as they are built: together), and the checksums of
Cargo.lock. Out: JSON without random numbers or clocks, so that the same tree gives the same bytes. What only runs while building
(build scripts, procedural macros) is not in a program and not listed. It must not ask a registry. I/O: runs cargo.
"""
import json
import re
import tomllib
import uuid

import pack
from programs import PROGRAMS, TRIPLES, run

# A name space of our own for identifiers that are made from content.
SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://probelet.io/release")
LINE = re.compile(r"(\d+) (\S+) v(\S+)( \(.*\))?\|([^|]*)\|([^|]*?)( \(\*\))?")


def graph(tree, arch):
    """({name of a program: {identifiers of what is linked into it}}, {identifier: package}, {identifier: {those that it uses}}).
    An identifier is (name, version)."""
    said = run("cargo", "tree", "--locked", "--target", TRIPLES[arch], "--edges", "normal,no-proc-macro", "--prefix", "depth",
               "--format", " {p}|{l}|{r}", *(word for program in PROGRAMS for word in ("-p", program.name)), cwd=tree.root)
    lock = tomllib.loads((tree.root / "Cargo.lock").read_text())["package"]
    sums = {(p["name"], p["version"]): p["checksum"] for p in lock if "checksum" in p}
    packages, uses, stack = {}, {}, []
    for line in filter(None, said.split("\n")):
        depth, name, version, _, licence, home, _ = LINE.fullmatch(line).groups()
        key = name, version
        packages[key] = {"name": name, "version": version, "licence": expression(licence) or "Apache-2.0", "home": home,
                         "sha256": sums.get(key)}
        uses.setdefault(key, set())
        del stack[int(depth):]
        if stack:
            uses[stack[-1]].add(key)
        stack.append(key)
    reached = {}
    for program in PROGRAMS:
        queue, seen = [(program.name, tree.version)], set()
        while queue:
            key = queue.pop()
            if key not in seen:
                seen.add(key)
                queue += uses[key]
        reached[program.name] = seen
    return reached, packages, uses


def expression(licence):
    """Old crates write MIT/Apache-2.0 for what SPDX calls OR."""
    return re.sub(r"\s*/\s*", " OR ", licence)


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}" if package["sha256"] else \
        f"pkg:generic/{package['name']}@{package['version']}"


def beside(versions):
    """What the compiler and the C library add to every static program."""
    return [{"name": "rust-std", "version": versions["rustc"].split()[1], "licence": "MIT OR Apache-2.0",
             "home": "https://github.com/rust-lang/rust", "sha256": None},
            {"name": "glibc", "version": versions.get("glibc", "unknown"), "licence": "LGPL-2.1-or-later",
             "home": "https://sourceware.org/git/glibc.git", "sha256": None}]


def write(tree, program, arch, parts, versions, data):
    """(SPDX, CycloneDX) of one program for one architecture; `data` is the program itself."""
    reached, packages, uses = parts
    root = program.name, tree.version
    members = [packages[key] for key in sorted(reached[program.name]) if key != root] + beside(versions)
    own = packages[root] | {"licence": program.licences, "sha256": None}
    hashed = pack.sha256(data)
    return spdx(tree, program, arch, own, members, reached, uses, hashed), cyclone(tree, arch, own, members, reached, uses, root, hashed)


def spdx(tree, program, arch, own, members, reached, uses, hashed):
    ident = {(p["name"], p["version"]): re.sub(r"[^A-Za-z0-9.-]", "-", f"SPDXRef-{p['name']}-{p['version']}") for p in [own, *members]}

    def one(package, **more):
        checks = [{"algorithm": "SHA256", "checksumValue": package["sha256"]}] if package["sha256"] else []
        return {"SPDXID": ident[package["name"], package["version"]], "name": package["name"], "versionInfo": package["version"],
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": package["licence"],
                "copyrightText": "NOASSERTION", "checksums": checks,
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl(package)}],
                **more}

    links = [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ident[own["name"], own["version"]]}]
    for key in sorted(reached[program.name]):
        links += [{"spdxElementId": ident[key], "relationshipType": "DEPENDS_ON", "relatedSpdxElement": ident[used]} for used in sorted(uses[key])]
    links += [{"spdxElementId": ident[own["name"], own["version"]], "relationshipType": "STATIC_LINK",
               "relatedSpdxElement": ident[p["name"], p["version"]]} for p in members[-2:]]
    return document({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{program.name}-{tree.version}-linux-{arch}",
        "documentNamespace": f"https://probelet.io/spdx/{program.name}-{tree.version}-linux-{arch}-{hashed}",
        "creationInfo": {"created": tree.created, "creators": ["Organization: probelet", "Tool: probelet-tools-release"]},
        "packages": [one(own, primaryPackagePurpose="APPLICATION", checksums=[{"algorithm": "SHA256", "checksumValue": hashed}]),
                     *map(one, members)],
        "relationships": links,
    })


def cyclone(tree, arch, own, members, reached, uses, root, hashed):
    def one(package, kind="library"):
        return {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"],
                "licenses": [{"expression": package["licence"]}], "purl": purl(package),
                **({"hashes": [{"alg": "SHA-256", "content": package["sha256"]}]} if package["sha256"] else {}),
                **({"externalReferences": [{"type": "vcs", "url": package["home"]}]} if package["home"] else {})}

    refs = {(p["name"], p["version"]): purl(p) for p in [own, *members]}
    extra = [purl(p) for p in members[-2:]]
    return document({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(SPACE, arch + hashed)}",
        "metadata": {"timestamp": tree.created, "component": one(own | {"sha256": hashed}, "application") | {"purl": purl(own), "bom-ref": purl(own)}},
        "components": [one(package) for package in members],
        "dependencies": [{"ref": refs[key], "dependsOn": sorted(refs[used] for used in uses[key]) + (extra if key == root else [])}
                         for key in sorted(reached[own["name"]])] + [{"ref": ref, "dependsOn": []} for ref in extra],
    })


def document(value):
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
