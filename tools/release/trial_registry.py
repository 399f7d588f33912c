"""A registry on loopback takes a release: pushed, named, signed, verified; and what must not go in or must not be believed does not.

In: a checkout with a release that is made of made-up programs. Out: lines that begin with PASS, FAIL or SKIP. It must not speak to
anything but 127.0.0.1, and ends what it started.
"""
import contextlib
import dataclasses
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

from trial import say

CONFIG = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:{port}, secret: test}}
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def registry(work):
    """host:port of a registry with an empty store"""
    port = free_port()
    store = pathlib.Path(work) / f"store-{port}"
    config = pathlib.Path(work) / f"registry-{port}.yml"
    config.write_text(CONFIG.format(root=store, port=port))
    server = subprocess.Popen(["registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def refusing(upstream, refuses):
    """A registry that answers as `upstream` does, but with 403 to what `refuses` picks (method, path)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self):
            # A client that has its refusal hangs up.
            with contextlib.suppress(ConnectionError):
                super().handle()

        def forward(self):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else None
            if refuses(self.command, self.path):
                said = b'{"errors":[{"code":"DENIED","message":"quota of this project is used up"}]}'
                self.send_response(403)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in {"content-length", "connection"}}
            request = urllib.request.Request(f"http://{upstream}{self.path}", data=body, headers=headers, method=self.command)
            if self.command in {"POST", "PUT", "PATCH"} and body is None:
                request.data = b""
            try:
                answer = urllib.request.build_opener(NoRedirect).open(request, timeout=30)
            except urllib.error.HTTPError as error:
                answer = error
            data = answer.read()
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                if key.lower() not in {"content-length", "connection", "transfer-encoding"}:
                    self.send_header(key, value)
            self.send_header("Content-Length", answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def tags(place, name):
    try:
        with urllib.request.urlopen(f"http://{place}/v2/{name}/tags/list", timeout=5) as answer:
            return [tag for tag in json.load(answer)["tags"] or [] if not tag.startswith("sha256-")]
    except urllib.error.HTTPError:
        return []


NAMES = "probelet-agent", "probelet-operator", "charts/probelet"


@dataclasses.dataclass(frozen=True)
class Keys:
    """What signs, what verifies it, and the variables that both need."""
    key: pathlib.Path
    public: pathlib.Path
    env: dict


def check(tree, given, work):
    """Returns the keys by which the release of the checkout is signed, or None where it could not be."""
    missing = [tool for tool in ("cosign", "crane", "registry") if not shutil.which(tool)]
    if missing:
        print(f"FAIL: no {', '.join(missing)}: publishing was not tried (scripts/setup release installs them)", flush=True)
        say.failed = True
        return None
    env = {"COSIGN_PASSWORD": "", "DOCKER_CONFIG": str(work)}
    for name in "ours", "theirs":
        tree.run("cosign", "generate-key-pair", "--output-key-prefix", work / name, **env)
    key, public, theirs = work / "ours.key", work / "ours.pub", work / "theirs.pub"
    version, folder = tree.version, tree.dist / tree.version
    shutil.move(folder, work / "unsigned")
    done = tree.build(version, *given, "--key", key, **env)
    say(done.returncode == 0 and (folder / "SHA256SUMS.sigstore.json").exists(), "a release is signed with a key", done.stderr[-500:])
    differ = [p.name for p in (work / "unsigned").iterdir() if p.read_bytes() != (folder / p.name).read_bytes()]
    say(not differ, "a signature changes none of what is signed", differ)
    files(tree, folder, public, theirs, env, work)
    with registry(work) as place:
        published(tree, folder, place, key, public, theirs, env, version)
        stopped(tree, folder, place, key, env, work)
    return Keys(key, public, env)


def verify(tree, env, *words):
    return tree.run("tools/release/verify", *words, **env)


def files(tree, folder, public, theirs, env, work):
    done = verify(tree, env, folder, "--key", public)
    say(done.returncode == 0 and "verified image probelet-agent" in done.stdout, "the files of a release are verified", done.stderr)
    done = verify(tree, env, folder, "--key", theirs)
    say(done.returncode == 1 and "verify-blob" in done.stderr, "a signature of another key is refused", done.stderr)
    changed = work / "changed"
    for name, why in (("THIS", "is not what SHA256SUMS lists"), (next(folder.glob("*.tgz")).name, "is not what SHA256SUMS says"), ("SHA256SUMS", "verify-blob")):
        shutil.rmtree(changed, ignore_errors=True)
        shutil.copytree(folder, changed)
        with (changed / name).open("ab") as file:
            file.write(b"x")
        done = verify(tree, env, changed, "--key", public)
        say(done.returncode == 1 and why in done.stderr, f"a release in which {name} was changed is refused", done.stderr)


def publish(tree, env, *words):
    return tree.run("tools/release/publish", *words, "--insecure", **env)


def published(tree, folder, place, key, public, theirs, env, version):
    done = publish(tree, env, folder, f"{place}/team")
    say(done.returncode == 1 and "nothing is published unsigned" in done.stderr, "nothing is published unsigned", done.stderr)
    done = publish(tree, env, folder, f"{place}/team", "--key", key)
    say(done.returncode == 0 and done.stdout.count("sha256:") == 3, "a registry takes images and chart", done.stderr)
    say(all(tags(place, f"team/{name}") == [version] for name in NAMES), "each has the version as its name", [tags(place, f"team/{n}") for n in NAMES])
    again = publish(tree, env, folder, f"{place}/team", "--key", key)
    say(again.returncode == 0 and again.stdout == done.stdout, "publishing once more changes nothing", again.stderr)
    good = verify(tree, env, f"{place}/team", version, "--key", public, "--insecure")
    say(good.returncode == 0 and good.stdout.count("verified") == 3, "signatures, provenance and bills in the registry are verified", good.stderr)
    bad = verify(tree, env, f"{place}/team", version, "--key", theirs, "--insecure")
    say(bad.returncode == 1 and "cosign verify" in bad.stderr, "in the registry, too, a signature of another key is refused", bad.stderr)
    got = tree.root.parent / "pulled"
    pulled = tree.run("crane", "pull", "--insecure", "--platform", "linux/arm64", f"{place}/team/probelet-agent:{version}", got)
    say(pulled.returncode == 0, "a client that asks for arm64 gets an image", pulled.stderr)
    for helm in "helm3", "helm4":
        if shutil.which(helm):
            into = tree.root.parent / helm
            into.mkdir(exist_ok=True)
            done = tree.run(helm, "pull", f"oci://{place}/team/charts/probelet", "--version", version, "--plain-http", "--destination", into, **env)
            same = done.returncode == 0 and (into / f"probelet-{version}.tgz").read_bytes() == (folder / f"probelet-{version}.tgz").read_bytes()
            say(same, f"{helm} pulls the chart as it was made", done.stderr)


def stopped(tree, folder, place, key, env, work):
    """What has no place, or is not what is there, leaves no name behind."""
    version = tree.version
    other = work / "other"
    shutil.copytree(folder, other)
    tree.run("crane", "copy", "--insecure", f"{place}/team/probelet-operator:{version}", f"{place}/taken/charts/probelet:{version}")
    done = publish(tree, env, folder, f"{place}/taken", "--key", key)
    left = [tags(place, f"taken/{name}") for name in NAMES]
    say(done.returncode == 1 and "A version that is out stays what it is" in done.stderr and left == [[], [], [version]],
        "a version that is there with other content is refused before anything is pushed", (done.stderr, left))
    (other / "SHA256SUMS").write_text("")
    done = publish(tree, env, other, f"{place}/bad", "--key", key)
    say(done.returncode == 1 and "SHA256SUMS" in done.stderr and tags(place, "bad/probelet-agent") == [], "a folder that is not what its sums say is not published", done.stderr)

    seen = []

    def refuses(method, path):
        """The chart's manifest: the images are there by then"""
        if method == "PUT" and "/charts/probelet/manifests/" in path:
            seen.append(path)
            return True
        return False

    with refusing(place, refuses) as strict:
        done = publish(tree, env, folder, f"{strict}/quota", "--key", key)
        left = [tags(place, f"quota/{name}") for name in NAMES]
        say(done.returncode == 1 and "quota of this project is used up" in done.stderr and seen and left == [[], [], []],
            "a registry that refuses the last part leaves no name of the first ones, and its words are shown", (done.stderr, left))
    done = publish(tree, env, folder, f"{place}/quota", "--key", key)
    say(done.returncode == 0 and all(tags(place, f"quota/{name}") == [version] for name in NAMES), "a second run goes on where the first was stopped", done.stderr)
    done = publish(tree, env, folder, f"127.0.0.1:{free_port()}/team", "--key", key)
    say(done.returncode == 1 and "connection refused" in done.stderr, "a registry that is not there is refused, with why", done.stderr)
