"""Where a release comes from: an in-toto statement with SLSA's provenance (v1) about every file of it and every image.

In: the tree, what compiled, the digests. Out: JSON without clocks or names of machines, so that a second build gives the same. Who
built it is said by the signature under it. It must not read anything itself.
"""
import json

BUILD = "https://probelet.io/release/v1"


def statement(tree, subjects, toolchains, profile):
    """`subjects`: {name: sha256 in hex}. `toolchains`: {architecture: versions}."""
    used = [{"name": f"{arch}: {tool}", "annotations": {"version": version}}
            for arch, versions in sorted(toolchains.items()) for tool, version in sorted(versions.items()) if tool != "packages"]
    packages = sorted({line for versions in toolchains.values() for line in versions.get("packages", ())})
    for line in packages:
        name, version, sum_ = line.split()
        used.append({"name": f"debian: {name}", "annotations": {"version": version}, "digest": {"sha256": sum_}})
    return (json.dumps({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": value}} for name, value in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"version": tree.version, "architectures": sorted(toolchains), "profile": profile},
                "internalParameters": {"SOURCE_DATE_EPOCH": tree.epoch},
                "resolvedDependencies": [{"name": "source", "digest": {"gitCommit": tree.revision}}, *used],
            },
            "runDetails": {"builder": {"id": f"{BUILD}/tools/release/build"}, "metadata": {}, "byproducts": []},
        },
    }, indent=1, sort_keys=True) + "\n").encode()
