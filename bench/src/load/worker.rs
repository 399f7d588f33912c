//! One process of the load, and the coordinator that starts them all.
//!
//! In: the load, an index. Out: a process that listens, has called its callees, has accepted its callers, holds its
//! share of open files, and sleeps. The steps are in lockstep (all listen, all connect, all accept), so that no
//! connection is refused and none is missed. It must not use a CPU once it stands.
//! I/O: sockets, files and pipes of its own; lines on stdin and stdout as the lockstep.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Write as _},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, ensure};
use rustix::{
    event::{EventfdFlags, eventfd},
    process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit},
};

use super::{Load, ends::End, topology};

/// Runs process `index` of `load` until stdin ends. `say` is stdout.
pub fn run(load: &Load, index: usize, dir: &Path) -> anyhow::Result<()> {
    prepare(&format!("wl-{index}"))?;
    let place = load.place(index);
    let netns = topology::name(place.netns);
    topology::enter(&netns)?;
    let address = if place.netns.is_none() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let listener = TcpListener::bind((address, place.port))
        .with_context(|| format!("listening on {place:?}"))?;
    let mut lockstep = Lockstep::default();

    lockstep.reached()?;
    let clients = connect_all(load, index)?;
    End::write(&dir.join(format!("truth.{index}")), &netns, &clients)?;

    lockstep.reached()?;
    let servers = accept_all(&listener)?;
    End::write(&dir.join(format!("server.{index}")), &netns, &servers)?;
    let filling = fill(load.open_files(index))?;

    lockstep.reached()?; // returns when the coordinator goes away
    drop((clients, servers, filling, listener));
    Ok(())
}

/// What every process of a load does first: dies with its parent, has a name, may open many files.
pub fn prepare(name: &str) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_name(&std::ffi::CString::new(name)?)?;
    allow_many_files()
}

/// Raises the limit of open files as far as it goes: skew wants 60,000 of them in one process.
fn allow_many_files() -> anyhow::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("raising the limit of open files")
}

/// How many files a process may hold open at most.
#[must_use]
pub fn most_files() -> usize {
    getrlimit(Resource::Nofile)
        .maximum
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(usize::MAX)
}

fn connect_all(load: &Load, index: usize) -> anyhow::Result<Vec<TcpStream>> {
    let own = load.place(index).netns;
    (0..load.opens(index))
        .map(|nth| {
            let callee = load.callee(index, nth);
            let ip = callee
                .netns
                .filter(|_| callee.netns != own)
                .map_or(Ipv4Addr::LOCALHOST, topology::address);
            let to = SocketAddrV4::new(ip, callee.port);
            TcpStream::connect(to).with_context(|| format!("process {index} connecting to {to}"))
        })
        .collect()
}

fn accept_all(listener: &TcpListener) -> anyhow::Result<Vec<TcpStream>> {
    listener.set_nonblocking(true)?;
    let mut accepted = Vec::new();
    loop {
        match listener.accept() {
            Ok((stream, _)) => accepted.push(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(accepted),
            Err(error) => return Err(error).context("accepting"),
        }
    }
}

/// Opens /dev/null, eventfds and pipes in turn until the highest descriptor is `want` - 1.
fn fill(want: usize) -> anyhow::Result<Vec<OwnedFd>> {
    let mut held: Vec<OwnedFd> = Vec::new();
    for kind in (0..3).cycle() {
        let mut top = 0;
        match kind {
            0 => held.push(File::options().read(true).write(true).open("/dev/null")?.into()),
            1 => held.push(eventfd(0, EventfdFlags::CLOEXEC)?),
            _ => {
                let (reader, writer) = std::io::pipe()?;
                top = writer.as_raw_fd();
                held.push(reader.into());
                held.push(writer.into());
            }
        }
        top = top.max(held.last().map_or(0, std::os::fd::AsRawFd::as_raw_fd));
        if usize::try_from(top)? + 1 >= want {
            break;
        }
    }
    Ok(held)
}

#[derive(Default)]
struct Lockstep(String);

impl Lockstep {
    /// Says that this step is done and waits for the next; at the end of input the process is no longer wanted.
    fn reached(&mut self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(b"done\n")?;
        out.flush()?;
        drop(out);
        self.0.clear();
        std::io::stdin().lock().read_line(&mut self.0)?;
        Ok(())
    }
}

struct Worker {
    child: Child,
    orders: ChildStdin,
    replies: BufReader<ChildStdout>,
}

/// Starts every process of `load`, takes them through the steps, says `ready` on stdout, waits for the end of stdin,
/// and takes everything down.
pub fn coordinate(load: &Load, dir: &Path) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    allow_many_files()?;
    topology::up(load.netns)?;
    let outcome = stand(load, dir).and_then(|workers| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready {}", load.words().join(" "))?;
        out.flush()?;
        drop(out);
        std::io::stdin().lock().read_line(&mut String::new())?;
        Ok(workers)
    });
    let stopped = outcome.and_then(|workers| {
        for Worker { mut child, orders, replies } in workers {
            drop((orders, replies));
            child.kill()?; // it may hold 60,000 files; a kill closes them in the kernel
            child.wait()?;
        }
        Ok(())
    });
    topology::down(load.netns)?; // also when a process failed: the others die with this one
    stopped
}

fn stand(load: &Load, dir: &Path) -> anyhow::Result<Vec<Worker>> {
    let own = std::env::current_exe()?;
    let mut workers: Vec<_> =
        (0..load.procs).map(|index| spawn(&own, load, index, dir)).collect::<Result<_, _>>()?;
    for step in ["listen", "connect", "accept"] {
        for (index, worker) in workers.iter_mut().enumerate() {
            let mut line = String::new();
            worker.replies.read_line(&mut line)?;
            ensure!(line == "done\n", "process {index} failed to {step}");
        }
        if step == "accept" {
            break;
        }
        for worker in &mut workers {
            worker.orders.write_all(b"go\n")?;
        }
    }
    End::gather(dir, "truth", load.procs)?;
    End::gather(dir, "server", load.procs)?;
    Ok(workers)
}

fn spawn(program: &Path, load: &Load, index: usize, dir: &Path) -> anyhow::Result<Worker> {
    let mut child = Command::new(program)
        .args(["worker", "--index", &index.to_string(), "--dir"])
        .arg(dir)
        .args(load.words())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting process {index}"))?;
    let orders = child.stdin.take().context("a process without input")?;
    let replies = BufReader::new(child.stdout.take().context("a process without output")?);
    Ok(Worker { child, orders, replies })
}
