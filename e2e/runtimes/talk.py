"""A server and a client as Python has them: a thread for each connection.

    talk.py PORT HOST:PORT...      talk.py --files PORT HOST:PORT...: prints the files that it needs, after a while
"""
import socket
import sys
import threading
import time

QUESTION = b"GET / HTTP/1.1\r\nHost: peer\r\n\r\n"


def echo(connection):
    try:
        while data := connection.recv(4096):
            connection.sendall(data)
    except OSError:
        pass
    connection.close()


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def keep(peer):
    host, port = peer.rsplit(":", 1)
    while True:
        try:
            # A Service that was dialled before its rules stood is never reached from the same port.
            with socket.create_connection((host, int(port)), timeout=3) as connection:
                connection.settimeout(None)
                while True:
                    connection.sendall(QUESTION)
                    if not connection.recv(4096):
                        break
                    time.sleep(1)
        except OSError as error:
            print(peer, error, flush=True)
        time.sleep(1)


words = sys.argv[1:]
files = words[0] == "--files"
port, *peers = words[files:]
threads = [(serve, socket.create_server(("", int(port))))] + [(keep, peer) for peer in peers]
for work, what in threads:
    threading.Thread(target=work, args=(what,), daemon=True).start()
time.sleep(2 if files else 10**9)
print(*sorted({m.__file__ for m in list(sys.modules.values()) if getattr(m, "__file__", None)} - {__file__}), sep="\n")
