//! Loads the programs and lets them learn the node, or says in one message why that cannot be.
//!
//! In: the embedded blobs and the running kernel. Out: programs, windows and what they learnt. It
//! must not choose a source: it is asked for one and answers.
//!
//! I/O: yes.

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use probelet_core::facts::SourceKind;
use rustix::net::{AddressFamily, SocketType, socket};

use super::{
    records::{self, Ctl},
    refusal,
};
use crate::{
    discover::Error,
    sys::{bpf, mmap::Window},
};

/// A slice ends by itself after this long, and a little later at the latest: below 1 ms.
const SLICE_NS: u64 = 700_000;
/// The verifier's words; it is asked for them only after a refusal.
const LOG_BYTES: usize = 1 << 20;

/// One of the two builds of `agent/bpf/node.bpf.c`, as a light skeleton.
struct Build {
    data: &'static [u8],
    insns: &'static [u8],
    /// Maps and programs in the order of the compiler.
    names: &'static str,
}

static CAST: Build = Build {
    data: include_bytes!("../../../bpf/cast.data"),
    insns: include_bytes!("../../../bpf/cast.insns"),
    names: include_str!("../../../bpf/cast.names"),
};

static PROBE: Build = Build {
    data: include_bytes!("../../../bpf/probe.data"),
    insns: include_bytes!("../../../bpf/probe.insns"),
    names: include_str!("../../../bpf/probe.names"),
};

/// The programs, loaded and calibrated.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) tasks: OwnedFd,
    pub(super) sockhash: OwnedFd,
    pub(super) states: OwnedFd,
    pub(super) strays: OwnedFd,
    pub(super) netns: OwnedFd,
    pub(super) ctl: Window<{ records::CTL_WORDS }>,
    pub(super) socks: Window<{ records::SOCK_WORDS }>,
    pub(super) procs: Window<{ records::PROC_WORDS }>,
    pub(super) nets: Window<{ records::NET_WORDS }>,
    pub(super) known: Window<{ records::KNOWN_WORDS }>,
    pub(super) looks: Window<{ records::LOOK_WORDS }>,
    pub(super) heads: Window<{ records::HEAD_WORDS }>,
    /// Jiffies per second.
    pub(super) hz: u64,
}

/// A step and the kernel's answer to it.
struct Failed(&'static str, io::Error);

trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Failed>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, step: &'static str) -> Result<T, Failed> {
        self.map_err(|e| Failed(step, e.into()))
    }
}

/// Loads one build; `source_kind` is [`SourceKind::Bpf`] or [`SourceKind::BpfCompat`].
pub(super) fn load(source_kind: SourceKind) -> Result<Loaded, Error> {
    let refused = |Failed(step, source): Failed, verifier: &str| {
        let hint = refusal::hint(&refusal::Kernel::read(), &source, verifier);
        Error::Refused { source_kind: source_kind.name(), step: step.to_owned(), hint, source }
    };
    own_proc().map_err(|f| refused(f, ""))?;
    let build = if source_kind == SourceKind::Bpf { &CAST } else { &PROBE };
    match make(build, &mut []) {
        Ok((maps, progs)) => prepare(build, maps, progs).map_err(|f| refused(f, "")),
        Err(first) => {
            let mut log = vec![0; LOG_BYTES];
            // only for its words: what the first try met is the answer
            let _second = make(build, &mut log);
            Err(refused(first, refusal::last_line(&log)))
        }
    }
}

/// Pids are translated to the agent's own namespace, so `/proc` has to show the same one.
fn own_proc() -> Result<(), Failed> {
    let myself = fs::read_link("/proc/self").at("look at /proc/self")?;
    if myself.to_str().and_then(|s| s.parse().ok()) == Some(std::process::id()) {
        return Ok(());
    }
    let other = io::Error::other("/proc belongs to another pid namespace than the agent");
    Err(Failed("compare /proc with the agent's pid namespace", other))
}

fn make(build: &Build, log: &mut [u8]) -> Result<(Vec<OwnedFd>, Vec<OwnedFd>), Failed> {
    let data = bpf::blob_map(build.data).at("create the loader's map")?;
    let loader = bpf::load_loader(build.insns, data.as_fd()).at("load the loader program")?;
    let count = |kind: &str| build.names.lines().filter(|l| l.starts_with(kind)).count();
    bpf::run_loader(loader.as_fd(), count("map "), count("prog "), log).at("load the programs")
}

/// Takes the descriptor of that name out of `fds`, which are in the order of `names`.
fn take(
    build: &Build,
    kind: &str,
    name: &str,
    fds: &mut [Option<OwnedFd>],
) -> Result<OwnedFd, Failed> {
    build
        .names
        .lines()
        .filter_map(|l| l.strip_prefix(kind))
        .position(|n| n.trim() == name)
        .and_then(|i| fds.get_mut(i)?.take())
        .ok_or_else(|| io::Error::other(format!("no {kind}{name} in the blob")))
        .at("name the maps and programs")
}

fn prepare(build: &Build, maps: Vec<OwnedFd>, progs: Vec<OwnedFd>) -> Result<Loaded, Failed> {
    let mut maps: Vec<_> = maps.into_iter().map(Some).collect();
    let mut progs: Vec<_> = progs.into_iter().map(Some).collect();
    let mut map = |name| take(build, "map ", name, &mut maps);
    let mut prog = |name| take(build, "prog ", name, &mut progs);
    let mut loaded = Loaded {
        ctl: Window::new(map("ctl")?, 1),
        socks: Window::new(map("socks")?, records::SOCKS),
        procs: Window::new(map("procs")?, records::PROCS),
        nets: Window::new(map("nets")?, records::NETS),
        known: Window::new(map("known")?, records::KNOWN),
        looks: Window::new(map("looks")?, records::LOOKS),
        heads: Window::new(map("heads")?, records::HEADS),
        tasks: prog("tasks")?,
        sockhash: prog("sockhash")?,
        states: prog("states")?,
        strays: prog("strays")?,
        netns: prog("netns")?,
        hz: 0,
    };
    let calibrate = prog("calibrate")?;
    loaded.ctl.reach(1).at("map the control block")?;
    loaded.ctl.set(0, Ctl::SliceNs as usize, SLICE_NS);
    learn(&mut loaded, &calibrate)?;
    Ok(loaded)
}

/// Own sockets of each kind show the program where the kernel keeps what it will read.
fn learn(loaded: &mut Loaded, calibrate: &OwnedFd) -> Result<(), Failed> {
    const STEP: &str = "learn the node";
    let kinds = [
        (AddressFamily::INET, SocketType::STREAM),
        (AddressFamily::INET6, SocketType::STREAM),
        (AddressFamily::INET, SocketType::DGRAM),
        (AddressFamily::INET6, SocketType::DGRAM),
    ];
    for (slot, (family, kind)) in (0u64..).zip(kinds) {
        let index = Ctl::InuseIdx as usize + usize::try_from(slot).unwrap_or(0);
        loaded.ctl.set(0, index, u64::MAX);
        let Ok(fd) = socket(family, kind, None) else {
            if family == AddressFamily::INET6 {
                continue; // no IPv6 here: nothing of it to count
            }
            return Err(io::Error::last_os_error()).at("open a socket of our own");
        };
        let args = [u64::from(fd.as_raw_fd().cast_unsigned()), slot];
        if bpf::run(calibrate.as_fd(), &args).at(STEP)? != 0 {
            return Err(io::Error::other("the program did not find its own socket")).at(STEP);
        }
    }
    let word = |c: Ctl| loaded.ctl.word(0, c as usize);
    if word(Ctl::Hash) == 0 || word(Ctl::InitTask) == 0 || word(Ctl::Cpus) == 0 {
        return Err(io::Error::other("no socket hash, task list or per-CPU offsets")).at(STEP);
    }
    loaded.hz = ticks_per_second(word(Ctl::FinTimeout)).at("learn the length of a jiffy")?;
    Ok(())
}

/// The kernel keeps this sysctl in jiffies and shows it in seconds.
fn ticks_per_second(in_jiffies: u64) -> io::Result<u64> {
    const PATH: &str = "/proc/sys/net/ipv4/tcp_fin_timeout";
    let seconds: u64 = fs::read_to_string(PATH)?.trim().parse().map_err(io::Error::other)?;
    match in_jiffies.checked_div(seconds) {
        Some(hz @ 24..=10_000) => Ok(hz),
        _ => Err(io::Error::other(format!("{PATH} is {seconds} s and {in_jiffies} jiffies"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bounds what a kernel has to verify, far below its own limit of a million.
    const MOST_INSNS: u32 = 40_000;

    #[test]
    #[ignore = "needs root and BPF"]
    fn the_verifier_reads_fewer_instructions_than_the_bound() {
        let builds = [("cast", &CAST), ("probe", &PROBE)];
        let made = builds.map(|(_, build)| make(build, &mut []));
        if let [Err(Failed(step, error)), Err(_)] = &made {
            return eprintln!("SKIP: no BPF: {step}: {error}");
        }
        for ((name, build), made) in builds.into_iter().zip(made) {
            let Ok((_maps, progs)) = made else { continue };
            let names = build.names.lines().filter_map(|l| l.strip_prefix("prog "));
            for (program, fd) in names.zip(&progs) {
                let insns = bpf::verified_insns(fd.as_fd()).unwrap();
                eprintln!("{name} {}: {insns} instructions verified", program.trim());
                assert!((1..=MOST_INSNS).contains(&insns), "{name} {program}: {insns}");
            }
        }
    }
}
