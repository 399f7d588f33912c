"""What is not what it should be is refused with the reason and leaves no name: folders that were changed, missing tools, a key of another
password, a full disk, a registry that stops in the middle, a version that is another one's.

In: a checkout with a release of made-up programs that is signed, and its keys. Out: lines that begin with PASS or FAIL. It must not speak
to anything but 127.0.0.1, and ends what it started.
"""
import json
import shutil
import sys
import tarfile

import oci
import pack
from programs import PROGRAMS
from trial import say
from trial_registry import NAMES, publish, refusing, registry, tags, verify


def check(tree, given, keys, work):
    folder = tree.dist / tree.version
    without_tools(tree, folder, given, keys, work)
    without_space(tree, work)
    with registry(work) as place:
        damaged(tree, folder, place, keys, work)
        stopped(tree, folder, place, keys)
        renamed(tree, place, keys)


def refused(done, why, check, left=()):
    """The reason is one line for a person, and nothing is left: neither a name in a registry nor a file."""
    good = done.returncode == 1 and why in done.stderr and "Traceback" not in done.stderr and not any(left)
    say(good, check, (done.returncode, done.stderr[-400:], left))


def without_tools(tree, folder, given, keys, work):
    """Before anything is built or pushed."""
    few = tree.tools("git", "python3", "cargo", "rustc", "cc", "strip")
    env = {**keys.env, "path": few}
    place = "127.0.0.1:1/team"
    out = work / "no-tools"
    refused(tree.build(tree.version, *given, "--out", out, "--key", keys.key, **env), "no cosign: scripts/setup release", "without cosign no release is begun that is to be signed", [out.exists()])
    refused(publish(tree, env, folder, place, "--key", keys.key), "no cosign: scripts/setup release", "without cosign nothing is published")
    refused(verify(tree, env, folder, "--key", keys.public), "no cosign: scripts/setup release", "without cosign nothing is verified")
    env["path"] = tree.tools("cosign")
    refused(publish(tree, env, folder, place, "--key", keys.key), "no crane: scripts/setup release", "without crane nothing is published")
    refused(verify(tree, env, place, tree.version, "--key", keys.public, "--insecure"), "no crane: scripts/setup release", "without crane no registry is verified")
    wrong = {**keys.env, "COSIGN_PASSWORD": "another"}
    refused(tree.build(tree.version, *given, "--out", out, "--key", keys.key, **wrong), "decrypt", "a key of another password is refused before anything is built", [out.exists()])


FULL = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


def without_space(tree, work):
    """No file may have more than 4 MiB, which is like a full disk; one program has more."""
    out, large = tree.root.parent / "full", work / "large"
    shutil.copytree(work / "amd64", large)
    with (large / "probelet-operator").open("ab") as file:
        file.write(bytes(5 << 20))
    done = tree.run(sys.executable, "-c", FULL, "tools/release/build", tree.version, "--out", out, "--arch", "amd64", f"--programs=amd64={large}")
    refused(done, "File too large", "a disk that is full ends a release with the reason and leaves nothing of it", list(out.iterdir()))


def repacked(folder, name, change):
    """Changes an OCI layout in an archive of the folder: `change` gets the layout's folder."""
    path = next(folder.glob(f"{name}-*.oci.tar"))
    layout = folder.parent / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    with tarfile.open(path) as archive:
        archive.extractall(layout, filter="data")
    change(layout)
    path.write_bytes(pack.tar([pack.read(file, str(file.relative_to(layout))) for file in layout.rglob("*") if file.is_file()], 0))


def made_of(entries, facts):
    """An image that says it is for arm64, of these entries."""
    def change(layout):
        shutil.rmtree(layout)
        oci.image(layout, PROGRAMS[0], {"arm64": entries}, facts)
    return change


def damaged(tree, folder, place, keys, work):
    """Each with sums that fit, as one has them who may write into the folder."""
    amd64 = work / "amd64/probelet-agent"
    facts = {"version": tree.version, "revision": "0" * 40, "epoch": 0, "created": "1970-01-01T00:00:00Z"}
    copy = work / "damaged/copy"

    def blob(layout):
        path = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        path.write_bytes(path.read_bytes() + b"x")

    def of(change):
        return lambda: repacked(copy, "probelet-agent", change)

    def cut():
        path = next(copy.glob("probelet-operator-*.oci.tar"))
        path.write_bytes(path.read_bytes()[:700])

    def index(text):
        return of(lambda layout: (layout / "index.json").write_text(text))

    def loose(layer):
        """An image whose layer is not one."""
        def change(layout):
            made_of([pack.read(amd64, "probelet-agent", 0o755)], facts)(layout)
            top = json.loads(oci.blob(layout, oci.top(layout)))
            entry = json.loads(oci.blob(layout, top["manifests"][0]["digest"]))
            writer = object.__new__(oci.Layout)
            writer.folder = layout
            entry["layers"] = [writer.blob(oci.LAYER, layer).json()]
            top["manifests"] = [writer.document(oci.MANIFEST, entry).json(platform={"architecture": "arm64", "os": "linux"})]
            writer.finish(writer.document(oci.INDEX, top), tree.version)
        return of(change)

    cases = (
        ("an image of the wrong architecture", "is for amd64, not for arm64", of(made_of([pack.read(amd64, "probelet-agent", 0o755)], facts))),
        ("an image without its program", "probelet-agent", of(made_of([pack.Entry("other", b"")], facts))),
        ("an image whose layer is not compressed", "Not a gzipped file", loose(b"no layer")),
        ("an image whose layer ends early", "ended before", loose(pack.gz(amd64.read_bytes())[:400])),
        ("a layer that is not an archive", "probelet-agent", loose(pack.gz(amd64.read_bytes()))),
        ("a blob that is not what its name says", "is not what its name says", of(blob)),
        ("an index that is not JSON", "probelet-agent", index("{")),
        ("an index of another form", "probelet-agent", index("[]")),
        ("an archive that is cut off", "probelet-operator", cut),
        ("a provenance that is not JSON", "provenance", lambda: next(copy.glob("provenance-*.json")).write_text("{")),
        ("a provenance that says nothing", "provenance", lambda: next(copy.glob("provenance-*.json")).write_text("[]")),
    )
    for number, (what, why, change) in enumerate(cases):
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(folder, copy)
        change()
        (copy / "SHA256SUMS").write_text(pack.sums(copy, [path.name for path in copy.iterdir() if path.name != "SHA256SUMS" and not path.name.endswith(".sigstore.json")]))
        team = f"damaged-{number}"
        done = publish(tree, keys.env, copy, f"{place}/{team}", "--key", keys.key)
        refused(done, why, f"{what} is not published", [tags(place, f"{team}/{name}") for name in NAMES])
    for what, why, text in (("a file that is missing", "is not what SHA256SUMS lists", None), ("sums of another form", "SHA256SUMS has a line that is no sum", "no sum\n")):
        shutil.rmtree(copy)
        shutil.copytree(folder, copy)
        if text:
            (copy / "SHA256SUMS").write_text(text)
        else:
            next(copy.glob("*.tgz")).unlink()
        done = publish(tree, keys.env, copy, f"{place}/damaged", "--key", keys.key)
        refused(done, why, f"a folder with {what} is not published", [tags(place, f"damaged/{name}") for name in NAMES])


def stopped(tree, folder, place, keys):
    """A registry that refuses at once, and one that takes everything but the last name."""
    version = tree.version
    with refusing(place, lambda method, path: True) as closed:
        done = publish(tree, keys.env, folder, f"{closed}/closed", "--key", keys.key)
        refused(done, "quota of this project is used up", "a registry that refuses everything is refused, with its words", [tags(place, f"closed/{name}") for name in NAMES])

    def last(method, path):
        return method == "PUT" and path.endswith(f"/charts/probelet/manifests/{version}")

    with refusing(place, last) as strict:
        done = publish(tree, keys.env, folder, f"{strict}/names", "--key", keys.key)
        refused(done, "quota of this project is used up", "a registry that refuses the chart's name keeps no name of the images", [tags(place, f"names/{name}") for name in NAMES])
    with refusing(place, lambda method, path: method == "DELETE" or last(method, path)) as stricter:
        done = publish(tree, keys.env, folder, f"{stricter}/names", "--key", keys.key)
        left = [tags(place, f"names/{name}") for name in NAMES]
        say(done.returncode == 1 and "still named" in done.stderr and all(f"names/{name}:{version}" in done.stderr for name in NAMES[:2]) and left == [[version], [version], []],
            "where a name cannot be taken back, it is said which are left", (done.stderr[-400:], left))
        done = publish(tree, keys.env, folder, f"{place}/names", "--key", keys.key)
    say(done.returncode == 0 and all(tags(place, f"names/{name}") == [version] for name in NAMES), "the next run names the rest", done.stderr[-400:])


def renamed(tree, place, keys):
    """Who may write to the registry gives a new name to what was signed for another one."""
    for name in NAMES:
        tree.run("crane", "tag", "--insecure", f"{place}/names/{name}:{tree.version}", "9.9.9")
    done = verify(tree, keys.env, f"{place}/names", "9.9.9", "--key", keys.public, "--insecure")
    refused(done, f"says that it is probelet-agent {tree.version}", "a version that was signed as another one is refused")
