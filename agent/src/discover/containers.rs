//! Which container each process is in.
//!
//! In: the processes of a pass. Out: their `container`, their `cgroup` where the source left it 0, and
//! [`Facts::containers`], which grows. One read of `/proc/PID/cgroup` per new process, not per pass.
//! It must not ask a runtime: names of pods and images come later, from those who know them.
//!
//! I/O: reads `/proc/PID/cgroup`, asks for the inode numbers of cgroup directories.

use std::path::Path;

use probelet_core::facts::{Comm, ContainerId, Facts, Loss, Process};
use rustc_hash::FxHashMap;

use self::hierarchies::{Hierarchies, Mount};
use super::Error;
use super::procfs::root::{Root, is_gone};

pub mod cgroup_path;
pub mod hierarchies;
pub mod usage;

/// Containers that one agent's life may name: 110 pods with three containers each could all be
/// replaced 49 times. Beyond, a process shows no container and the loss is counted.
const CONTAINERS_MAX: usize = 16_384;
/// runc starts a process outside of its cgroup and moves it there; a process seen this young is
/// looked at once more.
const YOUNG_NS: u64 = 2_000_000_000;
/// Cgroup paths whose id is remembered.
const CGROUPS_MAX: usize = 4_096;

/// What the text of a process told.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    container: Option<ContainerId>,
    /// Inode number of its cgroup v2 directory, 0 if that cannot be seen from here.
    cgroup: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ns: u64,
    comm: Comm,
    /// As the source told it, 0 if it did not.
    cgroup: u64,
    found: Found,
    /// It was young when it was read.
    unsure: bool,
    seen: u32,
}

/// The containers of processes that were resolved before.
#[derive(Debug)]
pub struct Containers {
    root: Root,
    known: FxHashMap<u32, Known>,
    by_id: FxHashMap<String, ContainerId>,
    unified: Option<Mount>,
    cgroups: FxHashMap<String, u64>,
    pass: u32,
    text: Vec<u8>,
}

impl Containers {
    /// Reads below `proc_root`, which is `/proc`.
    pub fn new(proc_root: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: Root::open(proc_root)?,
            known: FxHashMap::default(),
            by_id: FxHashMap::default(),
            // Without it, only sockets of other tiers' cgroup ids go without a name.
            unified: Hierarchies::mounted(proc_root).ok().and_then(|found| found.unified),
            cgroups: FxHashMap::default(),
            pass: 0,
            text: Vec::new(),
        })
    }

    /// Fills in `container` of every process, and forgets processes that are not in `facts`.
    pub fn resolve(&mut self, facts: &mut Facts) {
        self.pass = self.pass.wrapping_add(1);
        let now_ns = since_boot_ns();
        let mut processes = std::mem::take(&mut facts.processes);
        for process in &mut processes {
            let found = self.of(process, now_ns, facts);
            process.container = found.container;
            if process.cgroup == 0 {
                process.cgroup = found.cgroup;
            }
        }
        facts.processes = processes;
        let pass = self.pass;
        self.known.retain(|_, known| known.seen == pass);
    }

    fn of(&mut self, process: &Process, now_ns: u64, facts: &mut Facts) -> Found {
        let pass = self.pass;
        if let Some(known) = self.known.get_mut(&process.pid)
            && known.start_ns == process.start_ns
        {
            known.seen = pass;
            // A pass that reads no processes leaves the id that we filled in ourselves.
            let same_cgroup = [known.cgroup, known.found.cgroup].contains(&process.cgroup);
            let same = known.comm == process.comm && same_cgroup;
            if same && !known.unsure {
                return known.found;
            }
        }
        let found = match self.read(process.pid, facts) {
            Ok(found) => found,
            Err(loss) => {
                facts.losses.add(loss, 1);
                return Found::default();
            }
        };
        let first = self.known.get(&process.pid).is_none_or(|k| k.start_ns != process.start_ns);
        let young = now_ns.saturating_sub(process.start_ns) < YOUNG_NS;
        let known = Known {
            start_ns: process.start_ns,
            comm: process.comm,
            cgroup: process.cgroup,
            found,
            unsure: first && young,
            seen: pass,
        };
        self.known.insert(process.pid, known);
        found
    }

    fn read(&mut self, pid: u32, facts: &mut Facts) -> Result<Found, Loss> {
        if let Err(error) = self.root.read(pid, "cgroup", &mut self.text) {
            return Err(if is_gone(&error) { Loss::Vanished } else { Loss::ContainerUnknown });
        }
        let text = std::mem::take(&mut self.text);
        let found = match std::str::from_utf8(&text) {
            Err(_) => Err(Loss::ContainerUnknown),
            Ok(text) => {
                let cgroup = cgroup_path::unified(text).map_or(0, |path| self.cgroup_id(path));
                self.container(text, facts).map(|container| Found { container, cgroup })
            }
        };
        self.text = text;
        found
    }

    fn container(&mut self, text: &str, facts: &mut Facts) -> Result<Option<ContainerId>, Loss> {
        let Some(container) = cgroup_path::container(text) else { return Ok(None) };
        if let Some(id) = self.by_id.get(&container.id) {
            return Ok(Some(*id));
        }
        if facts.containers.len() >= CONTAINERS_MAX {
            return Err(Loss::ContainerUnknown);
        }
        let next = u32::try_from(facts.containers.len()).map_err(|_| Loss::ContainerUnknown)?;
        self.by_id.insert(container.id.clone(), ContainerId(next));
        facts.containers.push(container);
        Ok(Some(ContainerId(next)))
    }

    /// The id that sockets carry of the cgroup they were made in.
    fn cgroup_id(&mut self, path: &str) -> u64 {
        if let Some(id) = self.cgroups.get(path) {
            return *id;
        }
        let dir = self.unified.as_ref().and_then(|mount| mount.path_of(path));
        let id = dir.and_then(|dir| rustix::fs::stat(&dir).ok()).map_or(0, |stat| stat.st_ino);
        if self.cgroups.len() >= CGROUPS_MAX {
            // Cgroups come and go for ever, most of them for good.
            self.cgroups.clear();
        }
        self.cgroups.insert(path.to_owned(), id);
        id
    }
}

fn since_boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn cgroup(&self, pid: u32, text: &str) {
            let dir = self.0.path().join(pid.to_string());
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("cgroup"), text).unwrap();
        }

        fn containers(&self) -> Containers {
            Containers::new(self.0.path()).unwrap()
        }
    }

    fn facts(pids: &[u32], start_ns: u64) -> Facts {
        let process = |&pid| Process { pid, start_ns, ..Process::default() };
        Facts { processes: pids.iter().map(process).collect(), ..Facts::default() }
    }

    fn docker() -> String {
        format!("0::/docker/{ID}\n")
    }

    #[test]
    fn processes_of_one_container_share_its_number() {
        let tree = Tree::new();
        tree.cgroup(1, "0::/init.scope\n");
        tree.cgroup(2, &docker());
        tree.cgroup(3, &docker());
        let mut facts = facts(&[1, 2, 3], 1);

        tree.containers().resolve(&mut facts);

        let numbers: Vec<_> = facts.processes.iter().map(|p| p.container).collect();
        assert_eq!(numbers, [None, Some(ContainerId(0)), Some(ContainerId(0))]);
        assert_eq!(facts.containers.len(), 1);
    }

    #[test]
    fn an_old_process_is_read_once() {
        let tree = Tree::new();
        tree.cgroup(2, &docker());
        let mut containers = tree.containers();
        let mut facts = facts(&[2], 1);
        containers.resolve(&mut facts);
        tree.cgroup(2, "0::/\n");

        containers.resolve(&mut facts);

        assert_eq!(facts.processes[0].container, Some(ContainerId(0)));
    }

    #[test]
    fn a_process_that_no_pass_refreshed_is_not_read_again() {
        let mut containers = Containers::new(Path::new("/proc")).unwrap();
        let mut facts = facts(&[std::process::id()], 1);
        containers.resolve(&mut facts);
        containers.root = Root::open(tempfile::tempdir().unwrap().path()).unwrap();

        containers.resolve(&mut facts);

        assert_eq!(facts.losses.get(Loss::Vanished), 0);
    }

    #[test]
    fn a_young_process_is_read_twice_because_its_runtime_moves_it() {
        let tree = Tree::new();
        tree.cgroup(2, "0::/system.slice/docker.service\n");
        let mut containers = tree.containers();
        let mut facts = facts(&[2], since_boot_ns());
        containers.resolve(&mut facts);
        assert_eq!(facts.processes[0].container, None);
        tree.cgroup(2, &docker());

        containers.resolve(&mut facts);

        assert_eq!(facts.processes[0].container, Some(ContainerId(0)));
    }

    #[test]
    fn exec_and_a_new_cgroup_ask_again() {
        let tree = Tree::new();
        tree.cgroup(2, "0::/\n");
        let mut containers = tree.containers();
        let mut facts = facts(&[2], 1);
        containers.resolve(&mut facts);
        tree.cgroup(2, &docker());

        facts.processes[0].comm = Comm::new(b"nginx");
        containers.resolve(&mut facts);
        assert_eq!(facts.processes[0].container, Some(ContainerId(0)));

        tree.cgroup(2, "0::/\n");
        facts.processes[0].cgroup = 77;
        facts.processes[0].container = None;
        containers.resolve(&mut facts);
        assert_eq!(facts.processes[0].container, None);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let tree = Tree::new();
        tree.cgroup(2, &docker());
        let mut containers = tree.containers();
        containers.resolve(&mut facts(&[2], 1));
        tree.cgroup(2, "0::/\n");
        let mut later = facts(&[2], 2);

        containers.resolve(&mut later);

        assert_eq!(later.processes[0].container, None);
    }

    #[test]
    fn the_cgroup_of_a_live_process_is_the_number_of_its_directory() {
        let mut containers = Containers::new(Path::new("/proc")).unwrap();
        let mut facts = facts(&[std::process::id()], 1);
        containers.resolve(&mut facts);

        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let mount = Hierarchies::mounted(Path::new("/proc")).unwrap().unified;
        // Where there is no cgroup v2 there is no directory, and no number.
        let number = cgroup_path::unified(&text).zip(mount).map_or(0, |(path, mount)| {
            let directory = std::fs::metadata(mount.path_of(path).unwrap()).unwrap();
            std::os::unix::fs::MetadataExt::ino(&directory)
        });
        assert_eq!(facts.processes[0].cgroup, number);
    }

    #[test]
    fn a_vanished_process_is_counted_and_a_gone_one_forgotten() {
        let tree = Tree::new();
        tree.cgroup(2, &docker());
        let mut containers = tree.containers();
        let mut first = facts(&[2, 9], 1);

        containers.resolve(&mut first);
        assert_eq!(first.losses.get(Loss::Vanished), 1);

        containers.resolve(&mut facts(&[], 1));
        assert!(containers.known.is_empty());
    }
}
