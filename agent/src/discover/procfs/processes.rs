//! Every process of the node, from held `/proc/PID/stat` files.
//!
//! In: the listing of `/proc` and one read per process. Out: [`Facts::processes`]. It must not read
//! sockets or cgroups. A held `stat` file belongs to one process for ever: after its end it answers
//! ESRCH, so a reused pid is never taken for the old process.
//!
//! I/O: lists `/proc`, reads `stat`, `fd` (count) and `ns/net` (number) of processes.

use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use probelet_core::facts::{Facts, Loss, Losses, Process, Want};
use probelet_core::hash::HashMap;
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, RawDir, SeekFrom};

use super::root::{Root, is_gone};
use super::stat::{self, Stat, Units};
use crate::discover::shares::{Owner, Shares};
use crate::discover::{Error, Limiter, Pace, Pass};
use crate::open_files;

/// Held files at most; a node with more processes opens the rest at every pass (9 instead of 4 µs).
const HELD_MAX: u64 = 4096;
/// A `stat` line has at most 64 bytes of name and 51 numbers.
const STAT_MAX: usize = 1280;
/// A listing buffer of the C library's size.
const LISTING: usize = 32 * 1024;
/// Processes between two breaths: 64 reads of 4 µs.
const SLICE: usize = 64;
/// A kernel thread is looked at again every so many passes: its pid may have gone to a process.
const KERNEL_RECHECK: u32 = 16;
/// A process that used no CPU time in so many readings is then read every so many passes, unless
/// sockets are read too: what it did is then known within that many passes.
const REST: u32 = 4;
/// The main thread of a process rarely enters another namespace without exec.
const NETNS_RECHECK: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct Entry {
    process: Process,
    stat: Option<OwnedFd>,
    kernel: bool,
    /// The kernel did not say which namespace it is in.
    denied: bool,
    seen: u32,
    /// The thread that shows files and namespaces: the first one, whose number is the process's, while it goes on.
    thread: u32,
    /// Readings in a row in which it had used no CPU time.
    idle: u32,
}

impl Entry {
    /// Whether it need not be read in this pass.
    fn rests(&self, pass: u32, want: Want) -> bool {
        let turn = (pass ^ self.process.pid).is_multiple_of(REST);
        want == Want::Processes && self.idle >= REST && !turn && self.stat.is_some()
    }
}

/// The processes that earlier passes saw.
#[derive(Debug)]
pub struct Processes {
    entries: HashMap<u32, Entry>,
    units: Units,
    max: u32,
    held: u64,
    held_max: u64,
    sizes_count_fds: bool,
    pass: u32,
    netns_checked: Option<Instant>,
    listing: Vec<u8>,
    pids: Vec<u32>,
    shares: Shares,
}

impl Processes {
    /// Will report another number at most.
    pub(crate) fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// Knows no process yet; will report `max` at most.
    #[must_use]
    pub fn new(root: &Root, max: u32) -> Self {
        Self {
            entries: HashMap::default(),
            units: Units {
                tick_ns: 1_000_000_000 / ::procfs::ticks_per_second().max(1),
                page_bytes: ::procfs::page_size(),
            },
            max,
            held: 0,
            held_max: HELD_MAX.min(open_files::spare() / 2),
            sizes_count_fds: root.sizes_count_fds(),
            pass: 0,
            netns_checked: None,
            listing: Vec::with_capacity(LISTING),
            pids: Vec::new(),
            shares: Shares::default(),
        }
    }

    /// Refills `facts.processes`.
    pub fn refresh(
        &mut self,
        root: &Root,
        want: Want,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) -> Result<Pass, Error> {
        self.pass = self.pass.wrapping_add(1);
        self.list(root)?;
        let recheck = want == Want::Everything
            && self.netns_checked.is_none_or(|last| last.elapsed() >= NETNS_RECHECK);
        if recheck {
            self.netns_checked = Some(Instant::now());
        }
        facts.processes.clear();
        self.shares.clear();
        let pids = std::mem::take(&mut self.pids);
        let mut outcome = Pass::Complete;
        for (number, &pid) in pids.iter().enumerate() {
            if number % SLICE == SLICE - 1 && !pace.breathe() {
                outcome = Pass::Abandoned;
                break;
            }
            self.visit(root, pid, want, recheck, facts, pace);
        }
        self.pids = pids;
        if outcome == Pass::Complete {
            let (pass, held) = (self.pass, &mut self.held);
            self.entries.retain(|_, entry| {
                let stays = entry.seen == pass;
                *held -= u64::from(!stays && entry.stat.is_some());
                stays
            });
        }
        Ok(outcome)
    }

    /// The threads that stand for a process whose first one has ended, with their namespace: its number leads nowhere.
    pub fn following(&self) -> impl Iterator<Item = (u32, u32)> {
        let ended = self.entries.iter().filter(|(pid, entry)| entry.thread != **pid);
        ended.map(|(_, entry)| (entry.thread, entry.process.netns))
    }

    /// Corrects what is known of a process's namespace, after a reader found it elsewhere.
    pub fn moved(&mut self, pid: u32, netns: u32) {
        if let Some(entry) = self.entries.get_mut(&pid) {
            entry.process.netns = netns;
        }
    }

    fn list(&mut self, root: &Root) -> Result<(), Error> {
        let failed = |source: rustix::io::Errno| Error::Read {
            operation: "list",
            path: root.path().display().to_string(),
            source: source.into(),
        };
        rustix::fs::seek(root.dir(), SeekFrom::Start(0)).map_err(failed)?;
        self.pids.clear();
        self.listing.clear();
        let mut entries = RawDir::new(root.dir(), self.listing.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let name = entry.map_err(failed)?;
            if let Some(pid) = stat::decimal(name.file_name().to_bytes()) {
                self.pids.extend(u32::try_from(pid).ok());
            }
        }
        Ok(())
    }

    fn visit(
        &mut self,
        root: &Root,
        pid: u32,
        want: Want,
        recheck: bool,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) {
        let rests = self.entries.get(&pid).is_some_and(|entry| entry.rests(self.pass, want));
        if rests && let Some(entry) = self.entries.get_mut(&pid) {
            entry.seen = self.pass;
            self.shares.keep(Owner::of(&entry.process));
            facts.processes.push(entry.process);
            return;
        }
        let Some(mut entry) = self.current(root, pid, facts, pace) else { return };
        entry.seen = self.pass;
        if !entry.kernel {
            if recheck && entry.process.netns != 0 {
                read_netns(root, &mut entry, &mut facts.losses);
            }
            let at = facts.processes.len();
            if !self.shares.push_process(facts, entry.process, self.max) {
                self.held -= u64::from(entry.stat.is_some());
                return;
            }
            if entry.denied {
                facts.losses.add(Loss::Permission, 1);
            }
            self.count_fds(root, &mut entry, want, &mut facts.losses, pace);
            facts.processes[at] = entry.process;
        }
        self.entries.insert(pid, entry);
    }

    /// The entry of a pid, taken out of the table and brought up to date.
    fn current(
        &mut self,
        root: &Root,
        pid: u32,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) -> Option<Entry> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); STAT_MAX];
        let known = self.entries.remove(&pid);
        if let Some(mut entry) = known {
            let due = pid % KERNEL_RECHECK == self.pass % KERNEL_RECHECK;
            if entry.kernel && !due {
                return Some(entry);
            }
            if let Some(file) = &entry.stat {
                match rustix::io::pread(file, &mut buffer, 0) {
                    Ok((text, _)) if !text.is_empty() => {
                        let Some(stat) = stat::parse(text, self.units) else {
                            facts.losses.add(Loss::Malformed, 1);
                            return Some(entry);
                        };
                        update(root, &mut entry, &stat, self.units, &mut facts.losses);
                        return Some(entry);
                    }
                    // The process ended; another one has its pid, or the listing is too old.
                    _ => self.held -= 1,
                }
            } else {
                return self.open(root, pid, Some(entry), facts, pace);
            }
        }
        self.open(root, pid, None, facts, pace)
    }

    fn open(
        &mut self,
        root: &Root,
        pid: u32,
        known: Option<Entry>,
        facts: &mut Facts,
        pace: &mut dyn Pace,
    ) -> Option<Entry> {
        if pace.take(Limiter::ProcfsReads, 1) == 0 {
            facts.losses.add(Loss::RateLimited, 1);
            return known;
        }
        let mut buffer = [MaybeUninit::<u8>::uninit(); STAT_MAX];
        let (file, stat) = match self.open_stat(root, pid, &mut buffer) {
            Ok(Some(read)) => read,
            Ok(None) => {
                facts.losses.add(Loss::Malformed, 1);
                return None;
            }
            Err(error) => {
                facts.losses.add(loss_of(&error), 1);
                return None;
            }
        };
        if let Some(mut entry) = known
            && entry.process.start_ns == stat.start_ns
        {
            if !entry.kernel {
                update(root, &mut entry, &stat, self.units, &mut facts.losses);
            }
            return Some(entry);
        }
        let hold = !stat.kernel && self.held < self.held_max;
        self.held += u64::from(hold);
        let mut entry = Entry {
            process: Process { pid, start_ns: stat.start_ns, ..Process::default() },
            stat: hold.then_some(file),
            kernel: stat.kernel,
            denied: false,
            seen: self.pass,
            thread: pid,
            idle: 0,
        };
        if !stat.kernel {
            update(root, &mut entry, &stat, self.units, &mut facts.losses);
        }
        Some(entry)
    }

    fn open_stat(
        &self,
        root: &Root,
        pid: u32,
        buffer: &mut [MaybeUninit<u8>; STAT_MAX],
    ) -> io::Result<Option<(OwnedFd, Stat)>> {
        let file = root.file(pid, "stat", OFlags::RDONLY)?;
        let (text, _) = rustix::io::pread(&file, buffer.as_mut_slice(), 0)?;
        let stat = stat::parse(text, self.units);
        Ok(stat.map(|stat| (file, stat)))
    }

    fn count_fds(
        &mut self,
        root: &Root,
        entry: &mut Entry,
        want: Want,
        losses: &mut Losses,
        pace: &mut dyn Pace,
    ) {
        let process = &mut entry.process;
        let counted = if self.sizes_count_fds {
            root.size(entry.thread, "fd").map(Some)
        } else if process.open_fds.is_none() || want == Want::Everything {
            self.listing.clear();
            count_entries(root, entry.thread, &mut self.listing, losses, pace)
        } else {
            return; // each count costs 0.8 µs per fd on such a kernel
        };
        match counted {
            Ok(Some(count)) => process.open_fds = Some(u32::try_from(count).unwrap_or(u32::MAX)),
            Ok(None) => {}
            Err(error) => losses.add(loss_of(&error), 1),
        }
    }
}

/// Takes over what moves in a process's life.
fn update(root: &Root, entry: &mut Entry, stat: &Stat, units: Units, losses: &mut Losses) {
    let renamed = entry.process.comm != stat.comm;
    entry.idle = if entry.process.cpu_ns == stat.cpu_ns { entry.idle.saturating_add(1) } else { 0 };
    let process = &mut entry.process;
    process.ppid = stat.ppid;
    process.threads = stat.threads;
    process.cpu_ns = stat.cpu_ns;
    process.rss_bytes = stat.rss_bytes;
    process.comm = stat.comm;
    let ended = stat.state == b'Z';
    if ended && stat.threads > 1 {
        follow_another_thread(root, entry, units);
    }
    let process = &entry.process;
    // A zombie has no namespaces any more; what was read before still shows where it was.
    let unread = process.netns == 0 && !entry.denied;
    if (renamed || unread) && (!ended || entry.thread != process.pid) {
        read_netns(root, entry, losses);
    }
}

/// The first thread has ended and others go on: one of them shows what the first one no longer does.
fn follow_another_thread(root: &Root, entry: &mut Entry, units: Units) {
    let mut buffer = [MaybeUninit::<u8>::uninit(); STAT_MAX];
    let mut resident = |thread| {
        let file = root.file(thread, "stat", OFlags::RDONLY).ok()?;
        let (text, _) = rustix::io::pread(&file, &mut buffer, 0).ok()?;
        stat::parse(text, units).map(|stat| stat.rss_bytes)
    };
    let pid = entry.process.pid;
    let known = (entry.thread != pid).then(|| resident(entry.thread)).flatten();
    let bytes = known.or_else(|| {
        entry.thread = root.another_thread(pid).unwrap_or(pid);
        resident(entry.thread)
    });
    entry.process.rss_bytes = bytes.unwrap_or(0);
}

fn read_netns(root: &Root, entry: &mut Entry, losses: &mut Losses) {
    match root.link_number(entry.thread, "ns/net") {
        Ok(netns) => {
            entry.process.netns = netns;
            entry.denied = false;
        }
        Err(error) if is_gone(&error) => losses.add(Loss::Vanished, 1),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => entry.denied = true,
        Err(_) => losses.add(Loss::Malformed, 1),
    }
}

/// Counts the entries of `/proc/PID/fd`; `None` when the limit ended it.
fn count_entries(
    root: &Root,
    pid: u32,
    buffer: &mut Vec<u8>,
    losses: &mut Losses,
    pace: &mut dyn Pace,
) -> io::Result<Option<u64>> {
    const PIECE: u32 = 256;
    let dir = root.file(pid, "fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut entries = RawDir::new(&dir, buffer.spare_capacity_mut());
    let (mut count, mut granted) = (0, 0);
    while let Some(entry) = entries.next() {
        if entry?.file_name().to_bytes().first().is_none_or(|&b| b == b'.') {
            continue;
        }
        if granted == 0 {
            granted = pace.take(Limiter::Fds, PIECE);
            if granted == 0 || !pace.breathe() {
                losses.add(Loss::RateLimited, 1);
                return Ok(None);
            }
        }
        granted -= 1;
        count += 1;
    }
    Ok(Some(count))
}

/// Which loss an error of a read is.
fn loss_of(error: &io::Error) -> Loss {
    match error {
        error if is_gone(error) => Loss::Vanished,
        error if error.kind() == io::ErrorKind::PermissionDenied => Loss::Permission,
        _ => Loss::Malformed,
    }
}
