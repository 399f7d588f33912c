//! The source that works everywhere: `/proc/PID/net/{tcp,tcp6,udp,udp6}` of one process per network
//! namespace, and a budgeted walk over fds.
//!
//! In: `/proc`, or a copy of it in tests. Out: [`Facts`] without bytes and without cgroups. It is
//! the reference that the other sources are tested against, and the slowest: each of the two TCP
//! files walks the hash table of the whole machine.
//!
//! I/O: reads `/proc`.

use std::io;
use std::path::Path;

use probelet_core::facts::{Facts, Loss, Protocol, Tier, Want};

use self::node::{Dump, Dumped, Intake, Node, Target};
use self::root::{Root, bracketed, is_gone};
use super::netlink::enter::port_range;
use super::{Error, Limits, Pace, Pass, Source};

pub mod closed;
pub mod node;
pub mod processes;
pub mod root;
pub mod spaces;
pub mod stat;
pub mod tables;

const TABLES: [(&str, Protocol); 4] = [
    ("net/tcp", Protocol::Tcp),
    ("net/tcp6", Protocol::Tcp),
    ("net/udp", Protocol::Udp),
    ("net/udp6", Protocol::Udp),
];

/// The `procfs` source.
#[derive(Debug)]
pub struct Procfs(Node<Tables>);

/// Opens `/proc` and proves that this process's own tables can be read.
pub fn load(limits: Limits) -> Result<Procfs, Error> {
    let refused = |step: &str, source| Error::Refused {
        tier: Tier::Procfs.name(),
        step: step.to_owned(),
        hint: "/proc must be mounted and readable".to_owned(),
        source,
    };
    let source = Procfs::with_root(Path::new("/proc"), limits)?;
    std::fs::read("/proc/self/net/tcp")
        .map_err(|error| refused("read /proc/self/net/tcp", error))?;
    std::fs::read("/proc/self/stat").map_err(|error| refused("read /proc/self/stat", error))?;
    Ok(source)
}

impl Procfs {
    /// Reads another tree than `/proc`.
    pub fn with_root(path: &Path, limits: Limits) -> Result<Self, Error> {
        Ok(Self(Node::new(Root::open(path)?, limits, Tables::default())))
    }

    /// Namespaces dumped so far: stands still while their counters do.
    #[must_use]
    pub fn dumps(&self) -> u64 {
        self.0.dumps()
    }
}

impl Source for Procfs {
    fn tier(&self) -> Tier {
        Tier::Procfs
    }

    fn set_limits(&mut self, limits: Limits) {
        self.0.set_limits(limits);
    }

    fn pass(&mut self, want: Want, facts: &mut Facts, pace: &mut dyn Pace) -> Result<Pass, Error> {
        self.0.pass(want, facts, pace)
    }
}

/// The text tables of a namespace.
#[derive(Debug, Default)]
struct Tables {
    text: Vec<u8>,
}

impl Dump for Tables {
    fn dump(
        &mut self,
        root: &Root,
        target: Target,
        intake: &mut Intake<'_>,
        pace: &mut dyn Pace,
    ) -> Result<Dumped, Error> {
        // The process may have entered another namespace since it was listed.
        match root.link_number(target.pid, "ns/net") {
            Ok(now) if now != target.netns => return Ok(Dumped::Moved(now)),
            Ok(_) => {}
            Err(error) => return Ok(missing(&error)),
        }
        // Of other namespaces it is told only to who enters them.
        let own = std::fs::read_link("/proc/thread-self/ns/net").ok();
        if own.and_then(|own| bracketed(own.as_os_str().as_encoded_bytes())) == Some(target.netns) {
            intake.ports = port_range();
        }
        let wanted = if target.udp { TABLES.len() } else { 2 };
        for (number, (name, protocol)) in TABLES.into_iter().take(wanted).enumerate() {
            if number > 0 && !pace.breathe() {
                return Ok(Dumped::Abandoned);
            }
            match root.read(target.pid, name, &mut self.text) {
                Ok(()) => lines(&self.text, protocol, intake),
                // A kernel without IPv6 has no such file; a process that ended has none at all.
                Err(error) if is_gone(&error) && number > 0 && name.ends_with('6') => {}
                Err(error) => return Ok(missing(&error)),
            }
        }
        Ok(Dumped::Complete)
    }
}

fn missing(error: &io::Error) -> Dumped {
    if error.kind() == io::ErrorKind::PermissionDenied { Dumped::Denied } else { Dumped::Vanished }
}

fn lines(text: &[u8], protocol: Protocol, intake: &mut Intake<'_>) {
    let lines = text.split(|&b| b == b'\n').skip(1).filter(|line| !line.is_empty());
    for line in lines {
        match tables::parse(line, protocol) {
            Some(row) => intake.row(row),
            None => intake.losses.add(Loss::Malformed, 1),
        }
    }
}
