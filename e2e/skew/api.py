"""A small API server in memory, enough for operators and agents of several releases.

In: requests over plain HTTP on loopback. Out: answers as the real one gives them: lists, watches, server-side apply, merge
patches, status apart, generations that count changes of the spec. Every write is kept with its agent, so that a test can count.
I/O: one listening socket.
"""

import json
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Condition()
OBJECTS = {}  # (resource, name): object
EVENTS = []  # (resource, event)
WRITES = []  # (verb, path, who)
VERSION = [1000]


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def put(resource, new):
    """Stores an object and notifies the watches; counts its generation."""
    with LOCK:
        name = new["metadata"]["name"]
        old = OBJECTS.get((resource, name))
        VERSION[0] += 1
        meta = new["metadata"]
        meta.setdefault("uid", f"uid-{resource}-{name}")
        meta.setdefault("creationTimestamp", stamp())
        generation = old["metadata"]["generation"] if old else 0
        same = old is not None and old.get("spec") == new.get("spec")
        meta["generation"] = generation if same else generation + 1
        meta["resourceVersion"] = str(VERSION[0])
        OBJECTS[resource, name] = new
        EVENTS.append((resource, {"type": "MODIFIED" if old else "ADDED", "object": json.loads(json.dumps(new))}))
        LOCK.notify_all()
        return new


def get(resource, name):
    with LOCK:
        found = OBJECTS.get((resource, name))
        return json.loads(json.dumps(found)) if found else None


def writes(verb, resource, who):
    """Writes of `resource` (not of its status) by programs whose name begins with `who`."""
    with LOCK:
        return [path for v, path, w in WRITES if v == verb and w.startswith(who) and path.rsplit("/", 2)[-2] == resource]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, value, code=200):
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code, reason):
        self.answer({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason}, code)

    def place(self):
        """Resource, name, subresource and query of the request."""
        url = urllib.parse.urlsplit(self.path)
        words = url.path.strip("/").split("/")
        words = words[2:] if words[0] == "api" else words[3:]
        if words[:1] == ["namespaces"] and len(words) > 2:
            words = words[2:]
        words += [None] * (3 - len(words))
        return words[0], words[1], words[2], urllib.parse.parse_qs(url.query)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def do_GET(self):
        resource, name, _, query = self.place()
        if name:
            found = get(resource, name)
            return self.answer(found) if found else self.refuse(404, "NotFound")
        wanted = query.get("fieldSelector", [""])[0].partition("metadata.name=")[2]
        fits = lambda each: not wanted or each["metadata"]["name"] == wanted
        if "watch" in query:
            return self.watch(resource, fits, query)
        with LOCK:
            items = [each for (kind, _), each in sorted(OBJECTS.items()) if kind == resource and fits(each)]
            return self.answer({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": str(VERSION[0])}, "items": items})

    def line(self, event):
        text = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.flush()

    def watch(self, resource, fits, query):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = int(query.get("resourceVersion", ["0"])[0] or 0)
        with LOCK:
            at, begins = 0, VERSION[0]
            known = [each for (kind, _), each in OBJECTS.items() if kind == resource and fits(each)]
        try:
            if "sendInitialEvents" in query or since == 0:
                for each in known:
                    self.line({"type": "ADDED", "object": each})
                since = begins
            if "sendInitialEvents" in query:
                meta = {"resourceVersion": str(begins), "annotations": {"k8s.io/initial-events-end": "true"}}
                self.line({"type": "BOOKMARK", "object": {"kind": "X", "apiVersion": "v1", "metadata": meta}})
            while True:
                with LOCK:
                    while at >= len(EVENTS):
                        LOCK.wait()
                    kind, event = EVENTS[at]
                at += 1
                if kind == resource and fits(event["object"]) and int(event["object"]["metadata"]["resourceVersion"]) > since:
                    self.line(event)
        except (OSError, ValueError):
            pass

    def wrote(self):
        WRITES.append((self.command, urllib.parse.urlsplit(self.path).path, urllib.parse.parse_qs(self.path.partition("?")[2]).get("fieldManager", ["-"])[0]))

    def do_POST(self):
        resource, _, _, _ = self.place()
        new = self.body()
        self.wrote()
        if get(resource, new["metadata"].get("name", "")):
            return self.refuse(409, "AlreadyExists")
        new["metadata"].setdefault("name", f"made-{len(EVENTS)}")
        self.answer(put(resource, new), 201)

    def do_PUT(self):
        resource, _, _, _ = self.place()
        new = self.body()
        self.wrote()
        self.answer(put(resource, new))

    def do_PATCH(self):
        resource, name, part, _ = self.place()
        change = self.body()
        self.wrote()
        old = get(resource, name)
        if part == "status":
            if not old:
                return self.refuse(404, "NotFound")
            merges = "merge-patch" in (self.headers.get("Content-Type") or "")
            old["status"] = {**old.get("status", {}), **change["status"]} if merges else change["status"]
            return self.answer(put(resource, old))
        new = old or {"metadata": {"name": name}}
        meta = {**new["metadata"], **{key: value for key, value in change["metadata"].items() if key != "managedFields"}}
        new = {**new, "apiVersion": change["apiVersion"], "kind": change["kind"], "metadata": meta, "spec": change.get("spec", {})}
        self.answer(put(resource, new))

    def do_DELETE(self):
        resource, name, _, _ = self.place()
        self.wrote()
        with LOCK:
            old = OBJECTS.pop((resource, name), None)
            if old:
                VERSION[0] += 1
                old["metadata"]["resourceVersion"] = str(VERSION[0])
                EVENTS.append((resource, {"type": "DELETED", "object": old}))
                LOCK.notify_all()
        self.answer(old) if old else self.refuse(404, "NotFound")


def serve():
    """Serves from a thread of its own; the port that it got."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
