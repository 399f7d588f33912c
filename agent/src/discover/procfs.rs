//! The source that works everywhere: `/proc/PID/net/{tcp,tcp6,udp,udp6}` of one process per network
//! namespace, and a budgeted walk over fds.
//!
//! In: `/proc`, or a copy of it in tests. Out: [`Facts`](probelet_core::facts::Facts) without bytes and without cgroups. It is
//! the reference that the other sources are tested against, and the slowest: each of the two TCP
//! files walks the hash table of the whole machine.
//!
//! I/O: reads `/proc`.

use std::io;
use std::path::Path;

use probelet_core::facts::{Loss, Protocol, SourceKind};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;

use self::node::{Dump, Dumped, Intake, Node, Target};
use self::root::{Root, bracketed, is_gone};
use super::netlink::enter::port_range;
use super::{Error, Limits, Pace};

pub mod closed;
pub mod node;
pub mod processes;
pub mod root;
pub mod spaces;
pub mod stat;
pub mod tables;
pub mod threads;

const TABLES: [(&str, Protocol); 4] = [
    ("net/tcp", Protocol::Tcp),
    ("net/tcp6", Protocol::Tcp),
    ("net/udp", Protocol::Udp),
    ("net/udp6", Protocol::Udp),
];

/// So much of a table is read between two breaths: 430 lines, half a millisecond.
const PIECE: usize = 64 * 1024;
/// No line of these tables is longer: 150 bytes, or 180 of IPv6.
const LINE_MAX: usize = 4096;

/// The `procfs` source.
pub type Procfs = Node<Tables>;

/// Opens `/proc` and proves that this process's own tables can be read.
pub fn load(limits: Limits) -> Result<Procfs, Error> {
    let refused = |step: &str, source| Error::Refused {
        source_kind: SourceKind::Procfs.name(),
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
    pub(crate) fn with_root(path: &Path, limits: Limits) -> Result<Self, Error> {
        Ok(Self::new(Root::open(path)?, limits, Tables::default()))
    }
}

/// The text tables of a namespace.
#[derive(Debug, Default)]
pub struct Tables {
    text: Vec<u8>,
}

impl Dump for Tables {
    const KIND: SourceKind = SourceKind::Procfs;

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
        // Of other namespaces it is reported only to who enters them.
        let own = std::fs::read_link("/proc/thread-self/ns/net").ok();
        if own.and_then(|own| bracketed(own.as_os_str().as_encoded_bytes())) == Some(target.netns) {
            intake.ports = port_range();
        }
        let wanted = if target.udp { TABLES.len() } else { 2 };
        for (number, (name, protocol)) in TABLES.into_iter().take(wanted).enumerate() {
            if number > 0 && !pace.breathe() {
                return Ok(Dumped::Abandoned);
            }
            let file = root.file(target.pid, name, OFlags::RDONLY);
            match file.and_then(|file| self.rows(&file, protocol, intake, pace)) {
                Ok(true) => {}
                Ok(false) => return Ok(Dumped::Abandoned),
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

impl Tables {
    /// Reads a table piece by piece, so that it takes no more memory than one of them however long it is;
    /// `false` when the pace said stop.
    fn rows(
        &mut self,
        file: &OwnedFd,
        protocol: Protocol,
        intake: &mut Intake<'_>,
        pace: &mut dyn Pace,
    ) -> io::Result<bool> {
        self.text.clear();
        self.text.reserve(PIECE);
        let most = intake.rows();
        let (mut rows, mut since_breath) = (0, 0);
        loop {
            let length = rustix::io::read(file, rustix::buffer::spare_capacity(&mut self.text))?;
            let end = self.text.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
            // A line goes on with the next piece, unless there is none.
            let whole = if length == 0 { self.text.len() } else { end };
            let lines = self.text[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty());
            for line in lines {
                rows += 1;
                match tables::parse(line, protocol) {
                    _ if rows == 1 => {} // the headings
                    Some(row) => intake.row(row),
                    None => intake.losses.add(Loss::Malformed, 1),
                }
            }
            self.text.drain(..whole);
            if length == 0 {
                return Ok(true);
            }
            if rows >= most {
                intake.ended_early = true;
                return Ok(true);
            }
            if self.text.len() >= LINE_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            since_breath += length;
            if since_breath >= PIECE {
                since_breath = 0;
                if !pace.breathe() {
                    return Ok(false);
                }
            }
        }
    }
}
