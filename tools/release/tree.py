"""The tree that is released: is it clean, is it the version that is asked for, and what is in it.

In: a checkout and a version. Out: facts about it, or `Refused` with the reason. It must not change the checkout.
"""
import dataclasses
import datetime
import pathlib
import re
import shutil

from programs import Refused, run

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?")
# Where the version stands, and how.
PLACES = (
    ("Cargo.toml", '\nversion = "{}"\n'),
    ("charts/probelet/Chart.yaml", "\nversion: {}\n"),
    ("charts/probelet/Chart.yaml", "\nappVersion: {}\n"),
    ("Dockerfile", 'org.opencontainers.image.version="{}"'),
    ("CHANGELOG.md", "\n## [{}] - "),
)
TOOLS = {"git": "git", "cargo": "rustup, https://rustup.rs", "rustc": "rustup, https://rustup.rs", "cc": "gcc", "strip": "binutils"}


@dataclasses.dataclass(frozen=True)
class Tree:
    """One commit, ready for release."""
    root: pathlib.Path
    version: str
    revision: str
    epoch: int

    @property
    def created(self):
        return datetime.datetime.fromtimestamp(self.epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def facts(self):
        return {"version": self.version, "revision": self.revision, "epoch": self.epoch, "created": self.created}

    def files(self, below):
        """The tracked files of a folder, by their paths in it."""
        listed = run("git", "ls-files", "-z", "--", below, cwd=self.root).split("\0")[:-1]
        return {name[len(below) + 1:]: self.root / name for name in listed}


def judge(root, version):
    """The tree, if it may be released as this version. Cheap: everything that can be refused without building is refused here."""
    root = pathlib.Path(root)
    if not VERSION.fullmatch(version):
        raise Refused(f"{version!r} is no version: X.Y.Z, or X.Y.Z-rc.1")
    for tool, source in TOOLS.items():
        if not shutil.which(tool):
            raise Refused(f"no {tool}: install it ({source})")
    changed = run("git", "status", "--porcelain", cwd=root)
    if changed:
        raise Refused("the tree is not what was committed: " + ", ".join(changed.split("\n")[:-1][:5]))
    for name, form in PLACES:
        if form.format(version) not in (root / name).read_text():
            raise Refused(f"{name} does not say {version}: tools/release/bump {version} writes it, and is committed first")
    revision = run("git", "rev-parse", "HEAD", cwd=root).strip()
    tagged = run("git", "for-each-ref", "--format=%(objectname) %(*objectname)", f"refs/tags/v{version}", cwd=root).split()
    if tagged and revision not in tagged:
        raise Refused(f"v{version} exists: it is {tagged[-1][:12]}, and this is {revision[:12]}. A version that is out stays what it is")
    return Tree(root, version, revision, int(run("git", "log", "-1", "--format=%ct", cwd=root)))
