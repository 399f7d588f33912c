//! CPU time and memory of each container, from the files of its cgroup.
//!
//! In: the containers that passes met. Out: one reading for each that still runs, without what is
//! read of the containers inside of it, so that the figures add up to the node's. Files stay open:
//! a read of a held one costs 1 µs instead of 9, and answers ENODEV when its cgroup is gone, which
//! no reuse of a name can fool. It must not ask a runtime: that costs milliseconds per container.
//!
//! I/O: reads `/proc/self/mountinfo` once, and files of cgroups.

use std::mem::MaybeUninit;

use probelet_core::facts::{Container, ContainerId};
use probelet_core::hash::HashMap;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::hierarchies::{Hierarchies, Mount};
use crate::discover::procfs::stat::decimal;
use crate::open_files;

/// Containers whose files stay open: twice as many files. With a low limit of open files they are fewer, a quarter of it.
const HELD_MAX: usize = 1024;
const HELD_PART: u64 = 8;
/// A container without files is looked for again after this many readings, then twice as many.
const RETRY_FIRST: u32 = 2;
const RETRY_LAST: u32 = 64;
/// `cpu.stat` of a cgroup with all controllers is shorter.
const READ_MAX: usize = 1024;

/// What one container has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerUsage {
    /// CPU time since its start; `None` when the file is not there.
    pub cpu_ns: Option<u64>,
    /// Memory charged to it now, page cache included.
    pub memory_bytes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// The number is the whole text.
    Number,
    /// `usage_usec N` is one of the lines.
    CpuStat,
}

#[derive(Debug)]
struct File {
    fd: OwnedFd,
    text: Text,
}

#[derive(Debug, Default)]
struct Slot {
    cpu: Option<File>,
    memory: Option<File>,
    /// Readings to let pass before the files are looked for again.
    wait: u32,
    retry: u32,
    /// The last round in which it had a process.
    ran: u32,
    /// Which container of its place this is.
    generation: u32,
    /// CPU time that its cgroup showed last, with that of containers inside of it.
    whole_ns: u64,
    /// CPU time of containers inside of it, ended ones included.
    inside_ns: u64,
    /// CPU time that was given as its own.
    own_ns: u64,
}

impl Slot {
    const fn is_open(&self) -> bool {
        self.cpu.is_some() || self.memory.is_some()
    }

    fn read(&self) -> ContainerUsage {
        ContainerUsage {
            cpu_ns: self.cpu.as_ref().and_then(number),
            memory_bytes: self.memory.as_ref().and_then(number),
        }
    }
}

/// Where the hierarchies are, and the open files of containers.
#[derive(Debug)]
pub struct Usage {
    hierarchies: Hierarchies,
    slots: Vec<Slot>,
    held: usize,
    held_max: usize,
    round: u32,
    readings: Vec<(ContainerId, ContainerUsage)>,
    missing: u64,
}

impl Usage {
    /// Reads below these hierarchies.
    #[must_use]
    pub fn with(hierarchies: Hierarchies) -> Self {
        let part = usize::try_from(open_files::spare() / HELD_PART).unwrap_or(HELD_MAX);
        Self {
            hierarchies,
            slots: Vec::new(),
            held: 0,
            held_max: HELD_MAX.min(part),
            round: 0,
            readings: Vec::new(),
            missing: 0,
        }
    }

    /// The containers that have processes, each as often as it likes. One that has some again after it had none, as
    /// `docker start` does it, has its files again, and is not waited for.
    pub fn running(&mut self, containers: impl Iterator<Item = ContainerId>) {
        let before = self.round;
        self.round = self.round.wrapping_add(1);
        for id in containers {
            let Some(slot) = self.slots.get_mut(id.place()) else { continue };
            if ![before, self.round].contains(&slot.ran) {
                (slot.wait, slot.retry) = (0, 0);
            }
            slot.ran = self.round;
        }
    }

    /// Reads every container that still has a cgroup; `containers` is [`Facts::containers`].
    ///
    /// [`Facts::containers`]: probelet_core::facts::Facts::containers
    pub fn read(&mut self, containers: &[Container]) -> &[(ContainerId, ContainerUsage)] {
        self.readings.clear();
        if self.slots.len() < containers.len() {
            self.slots.resize_with(containers.len(), Slot::default);
        }
        let mut nested = false;
        for ((place, container), index) in (0..).zip(containers).zip(0..) {
            let mut slot = std::mem::take(&mut self.slots[index]);
            if slot.generation != container.generation || container.id.is_empty() {
                self.held -= usize::from(slot.is_open());
                slot = Slot { generation: container.generation, ..Slot::default() };
            }
            if !container.cgroup.is_empty() {
                let usage = self.read_one(container, &mut slot);
                if usage != ContainerUsage::default() {
                    let id = ContainerId::new(place, container.generation);
                    self.readings.push((id, usage));
                    // What is in a pod's own cgroup has the pod's files.
                    let pod = container.pod_uid.as_ref() == Some(&container.id);
                    nested |= pod || container.outer > 0;
                }
            }
            self.slots[index] = slot;
        }
        if nested {
            self.take_apart(containers);
        }
        self.own();
        &self.readings
    }

    /// Notes for each container what the containers directly inside of it have used.
    fn take_apart(&mut self, containers: &[Container]) {
        let Self { slots, readings, .. } = self;
        let read = readings.iter().zip(0..).filter_map(|((id, _), reading)| {
            Some(((&*id.of(containers)?.cgroup), (id.place(), reading)))
        });
        let places: HashMap<&str, (usize, usize)> = read.collect();
        let mut inside: Vec<(usize, u64)> = Vec::new();
        for (id, usage) in readings.iter() {
            let Some(container) = id.of(containers) else { continue };
            let Some((place, reading)) = around(container, &places) else { continue };
            let grown = usage.cpu_ns.map_or(0, |ns| ns.saturating_sub(slots[id.place()].whole_ns));
            slots[place].inside_ns += grown;
            inside.push((reading, usage.memory_bytes.unwrap_or(0)));
        }
        for (reading, bytes) in inside {
            if let Some(memory) = &mut readings[reading].1.memory_bytes {
                *memory = memory.saturating_sub(bytes);
            }
        }
    }

    /// What each has used by itself; a counter that never goes back.
    fn own(&mut self) {
        for (id, usage) in &mut self.readings {
            let slot = &mut self.slots[id.place()];
            if let Some(cpu_ns) = &mut usage.cpu_ns {
                slot.whole_ns = *cpu_ns;
                slot.own_ns = slot.own_ns.max(cpu_ns.saturating_sub(slot.inside_ns));
                *cpu_ns = slot.own_ns;
            }
        }
    }

    /// Figures that a running container should have and has not, since the start.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    fn read_one(&mut self, container: &Container, slot: &mut Slot) -> ContainerUsage {
        let was_open = slot.is_open();
        if !was_open {
            if slot.wait > 0 {
                slot.wait -= 1;
                return ContainerUsage::default();
            }
            self.open(container, slot);
        }
        let mut usage = slot.read();
        if usage == ContainerUsage::default() && was_open {
            // Its cgroup is gone; one of that name may have been made since, which counts from 0.
            self.close(slot);
            *slot = Slot { ran: slot.ran, generation: slot.generation, ..Slot::default() };
            self.open(container, slot);
            usage = slot.read();
        }
        if usage == ContainerUsage::default() {
            // The container has ended; one with its id may be started again.
            self.close(slot);
            let retry = (slot.retry * 2).clamp(RETRY_FIRST, RETRY_LAST);
            let Slot { ran, generation, .. } = *slot;
            *slot = Slot { wait: retry, retry, ran, generation, ..Slot::default() };
            return usage;
        }
        if usage.cpu_ns.is_some_and(|ns| ns < slot.whole_ns / 2) {
            // The same, where its files are not held.
            (slot.whole_ns, slot.inside_ns, slot.own_ns) = (0, 0, 0);
        }
        slot.retry = 0;
        let absent = [usage.cpu_ns, usage.memory_bytes].iter().filter(|n| n.is_none()).count();
        self.missing += absent as u64;
        if self.held > self.held_max {
            self.close(slot);
        }
        usage
    }

    fn open(&mut self, container: &Container, slot: &mut Slot) {
        slot.cpu = self.open_cpu(&container.cgroup);
        slot.memory = self.open_memory(&container.cgroup);
        self.held += usize::from(slot.is_open());
    }

    fn close(&mut self, slot: &mut Slot) {
        self.held -= usize::from(slot.is_open());
        (slot.cpu, slot.memory) = (None, None);
    }

    /// v1 first: on a hybrid host the v2 directory of a container may exist and count nothing.
    fn open_cpu(&self, cgroup: &str) -> Option<File> {
        open(self.hierarchies.cpuacct.as_ref(), cgroup, "cpuacct.usage", Text::Number)
            .or_else(|| open(self.hierarchies.unified.as_ref(), cgroup, "cpu.stat", Text::CpuStat))
    }

    fn open_memory(&self, cgroup: &str) -> Option<File> {
        open(self.hierarchies.memory.as_ref(), cgroup, "memory.usage_in_bytes", Text::Number)
            .or_else(|| {
                open(self.hierarchies.unified.as_ref(), cgroup, "memory.current", Text::Number)
            })
    }
}

/// The closest of those containers that one is in: another one's, or the cgroup of its pod.
fn around<T: Copy>(container: &Container, places: &HashMap<&str, T>) -> Option<T> {
    let least = match (container.outer as usize, &container.pod_uid) {
        (0, None) => return None,
        (outer, _) => outer.max(1),
    };
    let above = |path: &str| path.rsplit_once('/').map(|(above, _)| above.len());
    let mut end = above(&container.cgroup);
    while let Some(path) = end.filter(|end| *end >= least).map(|end| &container.cgroup[..end]) {
        if let Some(place) = places.get(path) {
            return Some(*place);
        }
        end = above(path);
    }
    None
}

fn open(mount: Option<&Mount>, cgroup: &str, name: &str, text: Text) -> Option<File> {
    let path = mount?.path_of(cgroup)?.join(name);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty()).ok()?;
    Some(File { fd, text })
}

/// Reads a held file again; `None` when its cgroup is gone.
fn number(file: &File) -> Option<u64> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); READ_MAX];
    let (text, _) = rustix::io::pread(&file.fd, &mut buffer, 0).ok()?;
    parse(text, file.text)
}

pub(super) fn parse(text: &[u8], kind: Text) -> Option<u64> {
    match kind {
        Text::Number => decimal(text.trim_ascii_end()),
        Text::CpuStat => {
            let line = text.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"usage_usec "))?;
            decimal(line)?.checked_mul(1000)
        }
    }
}

#[cfg(test)]
mod tests;
