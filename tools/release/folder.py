"""A folder that `build` made, read with suspicion: every file is listed and is what its sum says, and every image is what it says.

In: dist/VERSION. Out: its images and chart as OCI layouts with their digests, or `Refused`. It must not trust a name or a label: the
architecture of an image is that of the program in it. I/O: reads the folder, unpacks layouts into a temporary one.
"""
import dataclasses
import gzip
import io
import json
import pathlib
import tarfile
import tempfile
import zlib

import oci
import pack
import programs
from programs import PROGRAMS, Refused

# The largest layer that is unpacked to be looked at.
LARGEST = 200 << 20


@dataclasses.dataclass
class Artifact:
    """One image, or the chart, to be pushed."""
    name: str
    layout: pathlib.Path
    digest: str
    manifests: dict
    """{architecture: digest}; empty for the chart"""


def sums(folder):
    """Refuses a folder in which a file is missing, changed or not listed."""
    folder = pathlib.Path(folder)
    if not (folder / "SHA256SUMS").is_file():
        raise Refused(f"{folder} has no SHA256SUMS: tools/release/build makes such a folder")
    listed = {}
    for line in (folder / "SHA256SUMS").read_text().splitlines():
        value, gap, name = line.partition("  ")
        if not gap:
            raise Refused(f"{folder}/SHA256SUMS has a line that is no sum: {line[:80]!r}")
        listed[name] = value
    there = {path.name for path in folder.iterdir() if not path.name.endswith(".sigstore.json")} - {"SHA256SUMS"}
    if there != set(listed):
        raise Refused(f"{folder} is not what SHA256SUMS lists: {', '.join(sorted(there ^ set(listed)))}")
    for name, value in listed.items():
        if pack.sha256((folder / name).read_bytes()) != value:
            raise Refused(f"{folder / name} is not what SHA256SUMS says")
    return listed


def version(folder):
    found = [path.name for path in pathlib.Path(folder).glob("provenance-*.intoto.json")]
    if len(found) != 1:
        raise Refused(f"{folder} has {len(found)} provenances, not one")
    return found[0].removeprefix("provenance-").removesuffix(".intoto.json")


def statement(folder):
    """What the provenance says: {name of a file or image: its sha256}, and the predicate."""
    path = pathlib.Path(folder) / f"provenance-{version(folder)}.intoto.json"
    try:
        said = json.loads(path.read_text())
        return {subject["name"]: subject["digest"]["sha256"] for subject in said["subject"]}, said["predicate"]
    except (ValueError, KeyError, TypeError) as why:
        raise Refused(f"{path.name} is no provenance: {type(why).__name__} {why}") from why


def artifacts(folder, work):
    """The images and the chart of a folder, in the order in which they are pushed: the chart last."""
    of, work = version(folder), pathlib.Path(work)
    found = []
    for name in [program.name for program in PROGRAMS if program.user] + ["probelet-chart"]:
        layout = work / name
        try:
            with tarfile.open(pathlib.Path(folder) / f"{name}-{of}.oci.tar") as archive:
                archive.extractall(layout, filter="data")
            digest = oci.top(layout)
            manifests = {} if name == "probelet-chart" else images(layout, digest, name)
        except (LookupError, TypeError, ValueError, OSError, EOFError, tarfile.TarError, zlib.error) as why:
            raise Refused(f"{name}-{of}.oci.tar is not what it should be: {type(why).__name__} {why}") from why
        found.append(Artifact(name, layout, digest, manifests))
    return found


def images(layout, digest, name):
    """{architecture: digest}, after the program in each was looked at"""
    found = {}
    for entry in json.loads(oci.blob(layout, digest))["manifests"]:
        arch = entry["platform"]["architecture"]
        manifest = json.loads(oci.blob(layout, entry["digest"]))
        config = json.loads(oci.blob(layout, manifest["config"]["digest"]))
        if config["architecture"] != arch or arch in found:
            raise Refused(f"{name}: the index says {arch}, the image {config['architecture']}")
        bare = gzip.GzipFile(fileobj=io.BytesIO(oci.blob(layout, manifest["layers"][0]["digest"]))).read(LARGEST)
        with tarfile.open(fileobj=io.BytesIO(bare)) as archive, tempfile.NamedTemporaryFile() as program:
            program.write(archive.extractfile(config["config"]["Entrypoint"][0].lstrip("/")).read())
            program.flush()
            try:
                programs.examine(program.name, arch)
            except Refused as why:
                raise Refused(f"the image {name} for {arch}: {str(why).replace(program.name, 'its program')}") from None
        found[arch] = entry["digest"]
    return found
