//! Which container each process is in.
//!
//! In: the processes of a pass. Out: their `container`, their `cgroup` where the source left it 0, and
//! [`Facts::containers`]. One read of `/proc/PID/cgroup` per new process, not per pass. Places of
//! containers that nothing speaks of any more are given to others, so what is kept grows with what
//! lives and not with the agent's age. It must not ask a runtime: names of pods and images come
//! later, from those who know them.
//!
//! I/O: reads `/proc/PID/cgroup`, asks for the inode numbers of cgroup directories.

use std::collections::VecDeque;
use std::path::Path;

use probelet_core::facts::{Comm, Container, ContainerId, Facts, Loss, Process};
use probelet_core::hash::{self, HashMap, HashSet};
use tracing::warn;

use self::cgroup_path::Node;
use self::hierarchies::{Hierarchies, Mount};
use self::own::Own;
use super::Error;
use super::procfs::root::{Root, is_gone};

pub mod cgroup_path;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
pub mod hierarchies;
mod layouts;
pub mod own;
pub mod usage;

/// Containers at a time, ended ones that something still speaks of included: fifty for each of 300
/// pods. Beyond, a process shows that its container is not known.
const CONTAINERS_MAX: usize = 16_384;
/// With fewer than this no one looks which ones have ended.
const SWEEP_FIRST: usize = 1024;
/// When all are alive, they are looked through again after so many passes.
const SWEEP_PAUSE: u32 = 64;
/// runc starts a process outside of its cgroup and moves it there; a process seen this young is
/// looked at once more.
const YOUNG_NS: u64 = 2_000_000_000;
/// Cgroup paths whose id is remembered for a pass.
const CGROUPS_MAX: usize = 4_096;
/// Longest cgroup path that is kept: a pod of kind in a pod has 400 bytes. The kernel allows 4,096.
const PATH_MAX: usize = 1024;

/// What the text of a process says.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    container: Option<ContainerId>,
    /// Inode number of its cgroup v2 directory, 0 if that cannot be seen from here.
    cgroup: u64,
}

impl Found {
    /// It may be in a container: it is not shown as the host's.
    const UNKNOWN: Self = Self { container: Some(ContainerId::UNKNOWN), cgroup: 0 };
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ns: u64,
    comm: Comm,
    /// As the source has it, 0 if it has none.
    cgroup: u64,
    found: Found,
    /// It is to be read once more.
    unsure: bool,
    seen: u32,
}

/// The containers of processes that were resolved before.
#[derive(Debug)]
pub struct Containers {
    root: Root,
    node: Node,
    known: HashMap<u32, Known>,
    /// By [`identity`].
    by_key: HashMap<u64, ContainerId>,
    /// Places that were given up, the one that is free for the longest time first.
    free: VecDeque<u32>,
    /// With so many containers it is looked which of them have ended.
    sweep_at: usize,
    swept: u32,
    max: usize,
    /// That the table is full was logged, until it has space again.
    logged: bool,
    unified: Option<Mount>,
    /// Where the agent itself is, if that does not show.
    own: Option<Own>,
    cgroups: HashMap<String, u64>,
    pass: u32,
    text: Vec<u8>,
}

impl Containers {
    /// Reads below `proc_root`, which is `/proc`.
    pub fn new(proc_root: &Path) -> Result<Self, Error> {
        // Without it, only sockets of other sources' cgroup ids go without a name.
        Self::within(proc_root, &Hierarchies::mounted(proc_root).unwrap_or_default())
    }

    /// The same, where the hierarchies are known.
    pub(crate) fn within(proc_root: &Path, hierarchies: &Hierarchies) -> Result<Self, Error> {
        let Hierarchies { unified, own, .. } = hierarchies.clone();
        let text = std::fs::read_to_string(proc_root.join("self/cgroup")).unwrap_or_default();
        let text = own.as_ref().map(|own| own.spelled(&text)).unwrap_or(text);
        Ok(Self {
            root: Root::open(proc_root)?,
            node: Node::of(&text),
            known: HashMap::default(),
            by_key: HashMap::default(),
            free: VecDeque::new(),
            sweep_at: SWEEP_FIRST,
            swept: 0,
            max: CONTAINERS_MAX,
            logged: false,
            unified,
            own,
            cgroups: HashMap::default(),
            pass: 0,
            text: Vec::new(),
        })
    }

    /// Fills in `container` of every process, and forgets processes that are not in `facts`. When
    /// there are many containers it asks for those that are `held` by something else than processes.
    pub fn resolve(&mut self, facts: &mut Facts, held: impl FnOnce() -> HashSet<ContainerId>) {
        self.pass = self.pass.wrapping_add(1);
        if self.by_key.len() >= self.sweep_at && self.pass.wrapping_sub(self.swept) >= SWEEP_PAUSE {
            self.sweep(facts, held());
        }
        // A container that is started again has another cgroup under the same path.
        self.cgroups.clear();
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
        // Each process has one entry at most, so with no more entries than processes there is none to look for.
        let pass = self.pass;
        if self.known.len() > facts.processes.len() {
            self.known.retain(|_, known| known.seen == pass);
        }
    }

    /// Gives up the places of containers that have no process and that no one holds.
    fn sweep(&mut self, facts: &mut Facts, mut held: HashSet<ContainerId>) {
        held.extend(self.known.values().filter_map(|known| known.found.container));
        let before = self.by_key.len();
        let Self { by_key, free, .. } = self;
        by_key.retain(|_, id| {
            let stays = held.contains(id);
            if !stays && let Some(container) = facts.containers.get_mut(id.place()) {
                let generation = ContainerId::next(container.generation);
                *container = Container { generation, ..Container::default() };
                free.extend(u32::try_from(id.place()));
            }
            stays
        });
        let left = self.by_key.len();
        self.sweep_at = (2 * left).max(SWEEP_FIRST).min(self.max);
        self.swept = if left < self.sweep_at { 0 } else { self.pass };
        if left < before {
            facts.recycled += 1;
            self.logged = false;
            // There is space again for those that found none.
            let unknown = |known: &&mut Known| known.found.container == Some(ContainerId::UNKNOWN);
            self.known.values_mut().filter(unknown).for_each(|known| known.unsure = true);
        }
    }

    fn of(&mut self, process: &Process, now_ns: u64, facts: &mut Facts) -> Found {
        let pass = self.pass;
        let known = self.known.get_mut(&process.pid).filter(|k| k.start_ns == process.start_ns);
        let mut before = None;
        if let Some(known) = known {
            // A pass that reads no processes leaves the id that we filled in ourselves.
            let same_cgroup = [known.cgroup, known.found.cgroup].contains(&process.cgroup);
            if known.comm == process.comm && same_cgroup && !known.unsure {
                known.seen = pass;
                return known.found;
            }
            before = Some(*known);
        }
        let read = self.read(process.pid, facts);
        let found = match read {
            Ok(found) => found,
            Err(Loss::Vanished) => {
                facts.losses.add(Loss::Vanished, 1);
                return before.map_or(Found::UNKNOWN, |known| known.found);
            }
            Err(loss) => {
                // Once for each process, not once for each pass.
                let counted = |k: Known| k.found.container == Some(ContainerId::UNKNOWN);
                facts.losses.add(loss, u64::from(!before.is_some_and(counted)));
                Found::UNKNOWN
            }
        };
        let young = now_ns.saturating_sub(process.start_ns) < YOUNG_NS;
        let known = Known {
            start_ns: process.start_ns,
            comm: process.comm,
            cgroup: process.cgroup,
            found,
            unsure: before.is_none() && young,
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
        // A cgroup may be called by any bytes but `/` and a line's end; a container's is plain text.
        let found = {
            let text = String::from_utf8_lossy(&text);
            let text = match &self.own {
                Some(own) => own.spelled(&text).into(),
                None => text,
            };
            let cgroup = cgroup_path::unified(&text).map_or(0, |path| self.cgroup_id(path));
            self.container(&text, facts).map(|container| Found { container, cgroup })
        };
        self.text = text;
        found
    }

    fn container(&mut self, text: &str, facts: &mut Facts) -> Result<Option<ContainerId>, Loss> {
        let Some(container) = cgroup_path::container(text, &self.node) else { return Ok(None) };
        let key = identity(&container);
        if let Some(id) = self.by_key.get(&key) {
            return Ok(Some(*id));
        }
        if self.by_key.len() >= self.max {
            if !std::mem::replace(&mut self.logged, true) {
                warn!(
                    containers = self.by_key.len(),
                    "container table is full: new containers stay unknown"
                );
            }
            return Err(Loss::ContainerUnknown);
        }
        let place = match self.free.pop_front() {
            Some(place) => place,
            None => u32::try_from(facts.containers.len()).map_err(|_| Loss::ContainerUnknown)?,
        };
        if facts.containers.len() <= place as usize {
            facts.containers.resize_with(place as usize + 1, Container::default);
        }
        let generation = facts.containers[place as usize].generation;
        let id = ContainerId::new(place, generation);
        self.by_key.insert(key, id);
        let long = container.cgroup.len() > PATH_MAX;
        let cgroup = if long { String::new() } else { container.cgroup };
        facts.containers[place as usize] = Container { generation, cgroup, ..container };
        Ok(Some(id))
    }

    /// The id that sockets carry of the cgroup they were made in.
    fn cgroup_id(&mut self, path: &str) -> u64 {
        if let Some(id) = self.cgroups.get(path) {
            return *id;
        }
        let dir = self.unified.as_ref().and_then(|mount| mount.path_of(path));
        let id = dir.and_then(|dir| rustix::fs::stat(&dir).ok()).map_or(0, |stat| stat.st_ino);
        if path.len() > PATH_MAX {
            return id;
        }
        if self.cgroups.len() >= CGROUPS_MAX {
            self.cgroups.clear();
        }
        self.cgroups.insert(path.to_owned(), id);
        id
    }
}

/// What two containers differ in; the hash is seeded. Who may make cgroups may call one by the id of a pod's
/// container, and runtimes that name their containers call two the same: LXC in LXC, those of two users.
fn identity(container: &Container) -> u64 {
    let Container { id, pod_uid, foreign, cgroup, .. } = container;
    if cgroup_path::is_number(id) {
        // Its processes may differ in the hierarchy that shows it.
        let outer = cgroup.get(..container.outer as usize);
        hash::of((id, pod_uid, foreign, outer))
    } else {
        hash::of(cgroup)
    }
}

fn since_boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests;
