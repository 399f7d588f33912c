//! A node with pods, made of namespaces of our own.
//!
//! In: what a pod is to do, a line each. Out: pods that did it. It must not touch a namespace that it did not make.
//!
//! I/O: namespaces, veth pairs, a bridge; Python programs as pods.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A node of its own: a pid, mount and network namespace, in which this test runs again with `NODE` set; two pods in it.
///
/// The pods are shells in namespaces of their own, joined by veth pairs with a bridge of the node.
///
/// # Panics
/// If the test failed there, or if it did not run there.
pub(crate) fn in_a_node<Work: FnOnce()>(work: Work) {
    if std::env::var_os("NODE").is_some() {
        work();
        println!("{DONE}");
        return;
    }
    // A closure has the name of the test that it is written in, after that of the program. A filter by a name that no test
    // has would run nothing, and pass.
    let closure = std::any::type_name::<Work>();
    let name = closure.split_once("::").and_then(|(_, name)| name.strip_suffix("::{{closure}}"));
    let name = name.unwrap_or(closure);
    let mut child = Command::new("unshare")
        .args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env("NODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut done = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        done += usize::from(line.ends_with(DONE));
    }
    assert!(child.wait().unwrap().success(), "{name} failed in its node");
    assert_eq!(done, 1, "{name} did not run in its node");
}

/// What a test says when it has come to its end in its node.
const DONE: &str = "the test ran to its end in its node";

pub(crate) fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// A program in a namespace of its own that does what it is asked, a line each, and answers with a line.
pub(crate) struct Pod {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: BufReader<ChildStdout>,
}

pub(crate) const PROGRAM: &str = r"
import select, socket, struct, sys, threading, os, time
LINGER = struct.pack('ii', 1, 0)
servers, held = {}, []
def serve(port, how, family):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(('', port)); s.listen(4096)
    def run():
        while True:
            a, _ = s.accept()
            if how == 'first':
                a.close()
                continue
            if how == 'reset':
                # A client that is still in connect() would forget its peer as well, and then no end says that it was reset.
                time.sleep(0.01)
                a.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER); a.close()
                continue
            if how == 'hold':
                held.append(a)
                continue
            if how == 'half':
                while a.recv(65536): pass
                a.send(b'bye'); a.close()
                continue
            while True:
                try:
                    if not a.recv(65536): break
                except ConnectionResetError:
                    break
            a.close()
    threading.Thread(target=run, daemon=True).start()
def talk(ip, port, count, how, pause):
    family = socket.AF_INET6 if ':' in ip else socket.AF_INET
    for _ in range(count):
        c = socket.socket(family, socket.SOCK_STREAM)
        try:
            c.connect((ip, port))
        except ConnectionRefusedError:
            c.close(); continue
        except ConnectionResetError: # it was connected, and its peer was quicker
            c.close(); continue
        try:
            if how == 'first':
                c.recv(1)
            elif how == 'reset':
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
            elif how == 'half':
                c.send(b'x' * 1000); c.shutdown(socket.SHUT_WR)
                while c.recv(100): pass
            elif how == 'wait':
                c.recv(1)
            elif how == 'keep':
                held.append(c); continue
            else:
                c.send(b'x' * 1000)
        except ConnectionResetError:
            pass
        c.close()
        if pause: time.sleep(pause)
def attempt(ip, port, count, wait):
    family = socket.AF_INET6 if ':' in ip else socket.AF_INET
    poll, trying = select.poll(), {}
    for _ in range(count):
        c = socket.socket(family, socket.SOCK_STREAM); c.setblocking(False)
        c.connect_ex((ip, port)); trying[c.fileno()] = c
        poll.register(c, select.POLLOUT)
    until = time.time() + wait
    while trying and time.time() < until:
        for fd, _ in poll.poll(100):
            poll.unregister(fd)
            trying[fd].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR); trying.pop(fd).close()
    for c in trying.values(): c.close()
def turns(port, count):
    l = socket.socket(); l.bind(('127.0.0.1', port)); l.listen(64)
    for n in range(count):
        c = socket.create_connection(('127.0.0.1', port)); a, _ = l.accept()
        first, second = (c, a) if n % 2 == 0 else (a, c)
        if n % 4 >= 2: first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        first.close(); second.close()
print('ready', flush=True)
for line in sys.stdin:
    w = line.split()
    if w[0] == 'serve': serve(int(w[1]), w[2], socket.AF_INET6 if w[3] == '6' else socket.AF_INET)
    elif w[0] == 'talk': talk(w[1], int(w[2]), int(w[3]), w[4], float(w[5]))
    elif w[0] == 'attempt': attempt(w[1], int(w[2]), int(w[3]), float(w[4]))
    elif w[0] == 'turns': turns(int(w[1]), int(w[2]))
    elif w[0] == 'drop':
        for h in held: h.close()
        held.clear()
    print('done', flush=True)
";

impl Pod {
    /// Number `n` of the node: 10.9.0.n, fd09::n.
    pub(crate) fn start(n: u8) -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo $$; read go; exec python3 -uc \"$0\"", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut pid = String::new();
        stdout.read_line(&mut pid).unwrap();
        let pid: u32 = pid.trim().parse().unwrap();
        sh(&format!(
            "ip link add v{n} type veth peer name eth0 netns {pid}; ip link set v{n} master br0 up
             nsenter -t {pid} -n sh -ec 'ip link set lo up; ip addr add 10.9.0.{n}/24 dev eth0
             ip addr add fd09::{n}/64 dev eth0 nodad; ip link set eth0 up'"
        ));
        stdin.write_all(b"go\n").unwrap();
        let mut pod = Self { child, stdin, stdout };
        assert_eq!(pod.answer(), "ready");
        pod
    }

    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    pub(crate) fn ask(&mut self, line: &str) {
        self.tell(line);
        assert_eq!(self.answer(), "done", "{line}");
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn bridge() {
    sh("ip link set lo up; ip link add br0 type bridge; ip link set br0 up
        ip addr add 10.9.0.254/24 dev br0; ip addr add fd09::fe/64 dev br0 nodad");
}
