"""A small node to look at: an agent, a server whose name is meant as a trap, a client of it, and a crowd on demand.

In: commands on stdin, a line each. Out: one line of JSON for each. As root it runs in a pid namespace of its own, so that the
agent sees these processes and no others; `page.py` starts it so.
I/O: the agent's port and ports of the kernel's choice, all on loopback; processes that end with this one.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

TRAP = "<img src=x>"
children = []


def named(name, work):
    """A process of this name, which dies with us; what `work` gives comes back through a pipe."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
        value, kept = work()
        os.write(write, json.dumps(value).encode())
        os.close(write)
        serve(kept)
    os.close(write)
    children.append(pid)
    with os.fdopen(read) as pipe:
        return json.load(pipe)


def serve(sockets):
    """Accepts for good: what no one has accepted has no owner."""
    accepted = []
    while True:
        ready, _, _ = select.select([s for s in sockets if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)], [], [])
        accepted += [each.accept()[0] for each in ready]


def listen(count=1):
    sockets = []
    for _ in range(count):
        sockets.append(socket.socket())
        sockets[-1].bind(("127.0.0.1", 0))
        sockets[-1].listen(64)
    return [s.getsockname()[1] for s in sockets], sockets


def connect(ports):
    sockets = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    return [s.getsockname()[1] for s in sockets], sockets


class Scene:
    def __init__(self, agent, address):
        self.program, self.address = agent, address
        self.config = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        # A debug build needs several times the CPU; the budget is tried elsewhere.
        self.config.write("{budget: {cpu: 300m}, intervals: {sockets: 500ms}}\n")
        self.config.flush()
        self.start()
        self.server = named(TRAP, listen)

    def start(self):
        command = [self.program, "--listen", self.address, "--docker", "off", "--kubernetes", "off", "--node-name", "scene", "--config", self.config.name]
        self.agent = subprocess.Popen(command, stderr=open("target/web/agent.log", "a"))

    def open(self, name, count):
        """A client of that name with so many connections to the server; its ports."""
        return named(name, lambda: connect(self.server * int(count)))

    def fail(self, count):
        """So many attempts to connect that are refused at once; the port that no one listens at."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for _ in range(int(count)):
            attempt = socket.socket()
            attempt.setblocking(False)
            attempt.connect_ex(("127.0.0.1", port))
            select.select([], [attempt], [])
            attempt.close()
        return port

    def crowd(self, services, ports):
        """Services with so many ports each; each calls all ports of the two after it."""
        services, ports = int(services), int(ports)
        offered = [named(f"svc-{n:02}", lambda: listen(ports)) for n in range(services)]
        for n in range(services):
            callers = offered[(n + 1) % services] + offered[(n + 2) % services]
            named(f"svc-{(n * 7) % services:02}", lambda: connect(callers))
        return services * ports * 2

    def stop(self):
        self.agent.send_signal(signal.SIGSTOP)

    def go(self):
        self.agent.send_signal(signal.SIGCONT)

    def restart(self):
        self.agent.kill()
        self.agent.wait()
        self.start()


def main():
    scene = Scene(*sys.argv[1:])
    time.sleep(0.2)
    print(json.dumps(scene.server), flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        print(json.dumps(getattr(scene, command)(*words)), flush=True)
    scene.agent.kill()
    for pid in children:
        os.kill(pid, signal.SIGKILL)


main()
