"""Images and the chart as OCI layouts: folders that a registry takes as they are, by digest.

In: programs, the archive of the chart. Out: a folder `oci-layout`, `index.json`, `blobs/`. One image is one index with a manifest
for each architecture. It must not speak to a registry (publish does), run a daemon, or read a clock.
"""
import dataclasses
import json
import pathlib

import pack

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What points to a blob."""
    media: str
    digest: str
    size: int

    def json(self, **more):
        return {"mediaType": self.media, "digest": self.digest, "size": self.size, **more}


class Layout:
    """One folder, written blob by blob; `finish` names what it is for."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "blobs/sha256").mkdir(parents=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, media, data):
        name = pack.sha256(data)
        (self.folder / "blobs/sha256" / name).write_bytes(data)
        return Descriptor(media, "sha256:" + name, len(data))

    def document(self, media, value):
        return self.blob(media, text(value))

    def finish(self, descriptor, tag):
        index = {"schemaVersion": 2, "mediaType": INDEX,
                 "manifests": [descriptor.json(annotations={"org.opencontainers.image.ref.name": tag})]}
        (self.folder / "index.json").write_bytes(text(index))


def text(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def image(folder, program, files, facts):
    """Writes the image of one program. `files`: {architecture: entries}. `facts`: version, revision, created (RFC 3339), epoch.
    Returns ({architecture: digest of its manifest}, digest of the index, {architecture: compressed bytes})."""
    layout = Layout(folder)
    labels = {
        "org.opencontainers.image.title": program.name, "org.opencontainers.image.version": facts["version"],
        "org.opencontainers.image.licenses": program.licences, "org.opencontainers.image.revision": facts["revision"],
    }
    manifests, digests, sizes = [], {}, {}
    for arch, entries in sorted(files.items()):
        bare = pack.tar(entries, facts["epoch"])
        layer = layout.blob(LAYER, pack.gz(bare))
        config = layout.document(CONFIG, {
            "architecture": arch, "os": "linux", "created": facts["created"],
            "config": {"Entrypoint": ["/" + program.name], "User": program.user, "Labels": labels,
                       "Env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"]},
            "rootfs": {"type": "layers", "diff_ids": [pack.digest(bare)]},
            "history": [{"created": facts["created"], "created_by": "tools/release"}],
        })
        manifest = layout.document(MANIFEST, {
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config.json(), "layers": [layer.json()], "annotations": labels,
        })
        manifests.append(manifest.json(platform={"architecture": arch, "os": "linux"}))
        digests[arch], sizes[arch] = manifest.digest, manifest.size + config.size + layer.size
    index = layout.document(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels})
    layout.finish(index, facts["version"])
    return digests, index.digest, sizes


def chart(folder, archive, metadata, facts):
    """Writes the chart as `helm push` would, but with the same bytes each time. Returns the digest of its manifest."""
    layout = Layout(folder)
    config = layout.document(CHART_CONFIG, metadata)
    layer = layout.blob(CHART_LAYER, archive)
    manifest = layout.document(MANIFEST, {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config.json(), "layers": [layer.json()],
        "annotations": {
            "org.opencontainers.image.title": metadata["name"], "org.opencontainers.image.version": facts["version"],
            "org.opencontainers.image.description": metadata["description"], "org.opencontainers.image.created": facts["created"],
            "org.opencontainers.image.revision": facts["revision"],
        },
    })
    layout.finish(manifest, facts["version"])
    return manifest.digest


def top(folder):
    """The digest that a layout is for, after every blob that it names was compared with its digest."""
    folder = pathlib.Path(folder)
    for path in (folder / "blobs/sha256").iterdir():
        if pack.sha256(path.read_bytes()) != path.name:
            raise ValueError(f"{path} is not what its name says")
    return json.loads((folder / "index.json").read_bytes())["manifests"][0]["digest"]


def blob(folder, digest):
    return (pathlib.Path(folder) / "blobs" / digest.replace(":", "/")).read_bytes()
