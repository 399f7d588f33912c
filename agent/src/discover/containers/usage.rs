//! CPU time and memory of each container, from the files of its cgroup.
//!
//! In: the containers that passes met. Out: one reading for each that still runs. Files stay open:
//! a read of a held one costs 1 µs instead of 9, and answers ENODEV when its cgroup is gone, which
//! no reuse of a name can fool. It must not ask a runtime: that costs milliseconds per container.
//!
//! I/O: reads `/proc/self/mountinfo` once, and files of cgroups.

use std::mem::MaybeUninit;
use std::path::Path;

use probelet_core::facts::{Container, ContainerId};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};

use super::hierarchies::{Hierarchies, Mount};
use crate::discover::Error;
use crate::discover::procfs::stat::decimal;

/// Containers whose files stay open: twice as many files, a sixteenth of the usual limit.
const HELD_MAX: usize = 1024;
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
enum Text {
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
}

/// Where the hierarchies are, and the open files of containers.
#[derive(Debug)]
pub struct Usage {
    hierarchies: Hierarchies,
    slots: Vec<Slot>,
    held: usize,
    readings: Vec<(ContainerId, ContainerUsage)>,
    missing: u64,
}

impl Usage {
    /// Finds the mounted hierarchies.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::with(Hierarchies::mounted(Path::new("/proc"))?))
    }

    /// Reads below these hierarchies.
    #[must_use]
    pub fn with(hierarchies: Hierarchies) -> Self {
        Self { hierarchies, slots: Vec::new(), held: 0, readings: Vec::new(), missing: 0 }
    }

    /// Reads every container that still has a cgroup; `containers` is [`Facts::containers`], whose
    /// order never changes.
    ///
    /// [`Facts::containers`]: probelet_core::facts::Facts::containers
    pub fn read(&mut self, containers: &[Container]) -> &[(ContainerId, ContainerUsage)] {
        self.readings.clear();
        self.slots.resize_with(containers.len(), Slot::default);
        for ((number, container), index) in (0..).zip(containers).zip(0..) {
            let mut slot = std::mem::take(&mut self.slots[index]);
            let usage = self.read_one(container, &mut slot);
            self.slots[index] = slot;
            if usage != ContainerUsage::default() {
                self.readings.push((ContainerId(number), usage));
            }
        }
        &self.readings
    }

    /// Figures that a running container should have and has not, since the start.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    fn read_one(&mut self, container: &Container, slot: &mut Slot) -> ContainerUsage {
        let was_open = slot.cpu.is_some() || slot.memory.is_some();
        if !was_open {
            if slot.wait > 0 {
                slot.wait -= 1;
                return ContainerUsage::default();
            }
            slot.cpu = self.open_cpu(&container.cgroup);
            slot.memory = self.open_memory(&container.cgroup);
            self.held += usize::from(slot.cpu.is_some() || slot.memory.is_some());
        }
        let usage = ContainerUsage {
            cpu_ns: slot.cpu.as_ref().and_then(number),
            memory_bytes: slot.memory.as_ref().and_then(number),
        };
        let is_open = slot.cpu.is_some() || slot.memory.is_some();
        if usage == ContainerUsage::default() {
            // The container has ended; one with its id may be started again.
            self.held -= usize::from(is_open);
            slot.retry = (slot.retry * 2).clamp(RETRY_FIRST, RETRY_LAST);
            *slot = Slot { wait: slot.retry, retry: slot.retry, ..Slot::default() };
            return usage;
        }
        slot.retry = 0;
        let absent = [usage.cpu_ns, usage.memory_bytes].iter().filter(|n| n.is_none()).count();
        self.missing += absent as u64;
        if self.held > HELD_MAX {
            self.held -= 1;
            *slot = Slot::default();
        }
        usage
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

fn parse(text: &[u8], kind: Text) -> Option<u64> {
    match kind {
        Text::Number => decimal(text.trim_ascii_end()),
        Text::CpuStat => {
            let line = text.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"usage_usec "))?;
            decimal(line)?.checked_mul(1000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU_STAT: &[u8] = b"usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n";

    fn container(cgroup: &str) -> Container {
        Container { id: cgroup.to_owned(), cgroup: cgroup.to_owned(), ..Container::default() }
    }

    /// A tree of cgroup files, mounted where the test wants it.
    fn tree(mounts: &[(&str, &str, &str)]) -> (tempfile::TempDir, Usage) {
        let tree = tempfile::tempdir().unwrap();
        let line = |(name, root, kind): &(&str, &str, &str)| {
            let at = tree.path().join(name);
            format!("30 23 0:26 {root} {} rw,nosuid - {kind}\n", at.display())
        };
        let text: String = mounts.iter().map(line).collect();
        (tree, Usage::with(Hierarchies::parse(&text)))
    }

    fn write(tree: &tempfile::TempDir, path: &str, text: &[u8]) {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn cgroup_v2_counts_microseconds() {
        let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
        write(&tree, "u/docker/a/cpu.stat", CPU_STAT);
        write(&tree, "u/docker/a/memory.current", b"4096\n");

        let readings = usage.read(&[container("/docker/a")]);

        let expected = ContainerUsage { cpu_ns: Some(1_234_567_000), memory_bytes: Some(4096) };
        assert_eq!(readings, [(ContainerId(0), expected)]);
    }

    #[test]
    fn cgroup_v1_has_a_hierarchy_for_each() {
        let (tree, mut usage) = tree(&[
            ("c", "/", "cgroup cgroup rw,cpu,cpuacct"),
            ("m", "/", "cgroup cgroup rw,memory"),
            ("u", "/", "cgroup2 cgroup2 rw"),
        ]);
        write(&tree, "c/docker/a/cpuacct.usage", b"77\n");
        write(&tree, "m/docker/a/memory.usage_in_bytes", b"88\n");
        write(&tree, "u/docker/a/cpu.stat", CPU_STAT);

        let readings = usage.read(&[container("/docker/a")]);

        let expected = ContainerUsage { cpu_ns: Some(77), memory_bytes: Some(88) };
        assert_eq!(readings, [(ContainerId(0), expected)]);
    }

    #[test]
    fn a_container_without_files_is_no_reading_and_is_not_looked_for_each_time() {
        let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
        assert!(usage.read(&[container("/docker/a")]).is_empty());
        write(&tree, "u/docker/a/memory.current", b"4096\n");

        let passes = (1..10).find(|_| !usage.read(&[container("/docker/a")]).is_empty());

        assert_eq!(passes, Some(RETRY_FIRST + 1));
        assert_eq!(usage.missing(), 1, "the CPU time");
    }

    #[test]
    #[ignore = "needs root and cgroup v2"]
    fn a_live_cgroup_is_read_until_it_is_removed() {
        const CGROUP: &str = "/probelet-test-usage";
        let hierarchies = Hierarchies::mounted(Path::new("/proc")).unwrap();
        let Some(unified) = hierarchies.unified.as_ref() else {
            return println!("SKIP: this machine: no cgroup v2 is mounted");
        };
        let dir = unified.path_of(CGROUP).unwrap();
        std::fs::create_dir(&dir).expect("needs root: a cgroup of its own");
        let mut usage = Usage::with(hierarchies);

        let alive = usage.read(&[container(CGROUP)]).to_vec();
        std::fs::remove_dir(&dir).unwrap();

        assert!(alive[0].1.cpu_ns.is_some());
        assert!(usage.slots[0].cpu.is_some(), "the file is held");
        assert!(usage.read(&[container(CGROUP)]).is_empty());
        assert!(usage.slots[0].cpu.is_none() && usage.held == 0);
    }
}
