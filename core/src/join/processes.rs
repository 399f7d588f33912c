//! The processes of a pass, and whose a socket is that none of them holds.
//!
//! In: processes and containers. Out: owners. It must not guess: where the processes of a namespace or
//! of a cgroup have neither container nor pod in common, there is no owner.
//!
//! Pure: no I/O.

use crate::facts::{Comm, Container, ContainerId, Process};
use crate::hash::{HashMap, HashSet};
use crate::records::Owner;

/// Who opens sockets for others: the system's own and each user's are called so.
const ACTIVATOR: Comm = Comm(*b"systemd\0\0\0\0\0\0\0\0\0");

/// Who is in a namespace or in a cgroup, as far as all that are there have it in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Container(ContainerId),
    /// Several containers of one pod: any of them.
    PodOf(ContainerId),
    Several,
}

impl Inside {
    const fn owner(self) -> Owner {
        let (container, sibling) = match self {
            Self::Container(id) => (Some(id), None),
            Self::PodOf(id) => (None, Some(id)),
            Self::Several => (None, None),
        };
        Owner { pid: 0, comm: Comm([0; 16]), container, sibling }
    }

    /// A process whose container is not known, as it was gone before that was read, may be in any other one of the pod.
    fn joined_by(self, container: Option<ContainerId>, containers: &[Container]) -> Self {
        // A uid in a cgroup that anybody may have made is no pod's.
        let known = |id: ContainerId| id.of(containers).filter(|container| !container.foreign);
        let pod = |id: ContainerId| known(id)?.pod_uid.as_deref();
        match (self, container) {
            (Self::Container(one), Some(other)) if one == other => self,
            (Self::Container(one) | Self::PodOf(one), Some(ContainerId::UNKNOWN))
            | (Self::Container(ContainerId::UNKNOWN), Some(one))
                if pod(one).is_some() =>
            {
                Self::PodOf(one)
            }
            (Self::Container(one) | Self::PodOf(one), Some(other))
                if pod(one).is_some() && pod(one) == pod(other) =>
            {
                Self::PodOf(one)
            }
            _ => Self::Several,
        }
    }
}

/// What a pod's sandbox runs, which shares the namespace with the containers that do the work: Kubernetes' and Podman's.
const SANDBOXES: [Comm; 2] =
    [Comm(*b"pause\0\0\0\0\0\0\0\0\0\0\0"), Comm(*b"catatonit\0\0\0\0\0\0\0")];

/// The processes of a pass by pid, and whose each namespace and cgroup is.
#[derive(Debug, Default)]
pub struct Processes {
    by_pid: HashMap<u32, Process>,
    in_netns: HashMap<u32, Inside>,
    in_cgroup: HashMap<u64, Inside>,
    /// The pods that the sandboxes of each namespace are of.
    sandboxes: HashMap<u32, Inside>,
    /// Namespaces that processes of no container are in, the node's own excepted.
    entered: HashSet<u32>,
}

/// The root of the cgroup v2 hierarchy, where everybody is whom another one names.
const ROOT_CGROUP: u64 = 1;

impl Processes {
    /// Takes in the processes of a pass.
    pub(crate) fn refill(&mut self, processes: &[Process], containers: &[Container]) {
        self.by_pid.clear();
        self.in_netns.clear();
        self.in_cgroup.clear();
        self.sandboxes.clear();
        self.entered.clear();
        let node = processes.iter().find(|p| p.pid == 1).map_or(0, |p| p.netns);
        for p in processes {
            self.by_pid.insert(p.pid, *p);
            let alone = p.container.map_or(Inside::Several, Inside::Container);
            if p.cgroup > ROOT_CGROUP {
                let inside = self.in_cgroup.entry(p.cgroup).or_insert(alone);
                // All that are in a cgroup are in one container, whether that was read of each or not.
                *inside = match (*inside, p.container) {
                    (Inside::Container(ContainerId::UNKNOWN), _) => alone,
                    (_, Some(ContainerId::UNKNOWN)) => *inside,
                    _ => inside.joined_by(p.container, containers),
                };
            }
        }
        for p in processes {
            let container = self.container_of(p);
            if container.is_none() && node != 0 && ![0, node].contains(&p.netns) {
                self.entered.insert(p.netns);
            } else if SANDBOXES.contains(&p.comm) {
                let of_pod = container.map_or(Inside::Several, Inside::PodOf);
                let inside = self.sandboxes.entry(p.netns).or_insert(of_pod);
                *inside = inside.joined_by(container, containers);
            } else {
                let alone = container.map_or(Inside::Several, Inside::Container);
                let inside = self.in_netns.entry(p.netns).or_insert(alone);
                *inside = inside.joined_by(container, containers);
            }
        }
        // Where nothing else was seen yet, or nothing of which the container is known, the sandbox says whose it is.
        for (&netns, &of_pod) in &self.sandboxes {
            let inside = self.in_netns.get(&netns);
            if matches!(inside, None | Some(Inside::Container(ContainerId::UNKNOWN))) {
                self.in_netns.insert(netns, of_pod);
            }
        }
        // Who enters a pod's namespace from the node (`nsenter`) acts as that pod: its address is a pod's alone.
        for netns in &self.entered {
            let inside = self.in_netns.entry(*netns).or_insert(Inside::Several);
            if let Inside::Container(id) = *inside {
                *inside = Inside::Several;
                let of_pod = Inside::PodOf(id);
                if of_pod.joined_by(Some(id), containers) == of_pod {
                    *inside = of_pod;
                }
            }
        }
    }

    /// The process with that pid.
    #[must_use]
    pub fn get(&self, pid: u32) -> Option<&Process> {
        self.by_pid.get(&pid)
    }

    /// The owner that a holder makes; an unknown pid gives no owner.
    #[must_use]
    pub fn owner(&self, pid: u32) -> Owner {
        self.get(pid).map_or_else(Owner::default, |p| Owner {
            pid,
            comm: p.comm,
            container: self.container_of(p),
            sibling: None,
        })
    }

    /// The container of a process: where that was not read, as it was gone, the one whose cgroup it was in.
    fn container_of(&self, process: &Process) -> Option<ContainerId> {
        if process.container != Some(ContainerId::UNKNOWN) {
            return process.container;
        }
        match self.in_cgroup.get(&process.cgroup) {
            Some(Inside::Container(id)) => Some(*id),
            _ => process.container,
        }
    }

    /// The namespace of the node's first process: its addresses are the node's.
    #[must_use]
    pub(crate) fn node_netns(&self) -> Option<u32> {
        self.get(1).map(|p| p.netns).filter(|&netns| netns != 0)
    }

    /// Of two holders of a socket, the one that started first: a listener belongs to the master
    /// and not to one of its workers, and the answer does not flap from pass to pass.
    ///
    /// `systemd` only holds the sockets that it activates others with: who else holds one serves.
    #[must_use]
    pub fn older(&self, a: u32, b: u32) -> u32 {
        let last = (true, u64::MAX, u32::MAX);
        let age = |pid| self.get(pid).map_or(last, |p| (p.comm == ACTIVATOR, p.start_ns, p.pid));
        if age(b) < age(a) { b } else { a }
    }

    /// Whose a socket of this namespace must be, no matter who made it: the container that all its
    /// processes are in, or the pod of all of them.
    #[must_use]
    pub fn inside(&self, netns: u32) -> Owner {
        self.in_netns.get(&netns).map_or_else(Owner::default, |inside| inside.owner())
    }

    /// Whose a socket is that was made in this cgroup.
    #[must_use]
    pub(crate) fn made_in(&self, cgroup: u64) -> Owner {
        self.in_cgroup.get(&cgroup).map_or_else(Owner::default, |inside| inside.owner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Containers 0 and 1 are of one pod, 2 is of another one, 3 is of none.
    fn containers() -> [Container; 4] {
        [Some("a"), Some("a"), Some("b"), None].map(|pod| Container {
            id: "c".to_owned(),
            pod_uid: pod.map(str::to_owned),
            ..Container::default()
        })
    }

    fn within(pid: u32, netns: u32, cgroup: u64, container: Option<u32>) -> Process {
        let container = container.map(ContainerId);
        Process { pid, netns, cgroup, container, ..Process::default() }
    }

    fn pid_and_container(owner: Owner) -> (Option<u32>, Option<u32>) {
        (owner.container.map(|id| id.0), owner.sibling.map(|id| id.0))
    }

    #[test]
    fn a_shared_socket_belongs_to_the_process_that_started_first() {
        let mut processes = Processes::default();
        let process = |pid, start_ns| Process { pid, start_ns, ..Process::default() };
        processes.refill(&[process(10, 500), process(20, 100)], &[]);

        assert_eq!(processes.older(10, 20), 20);
        assert_eq!(processes.older(20, 10), 20);
    }

    #[test]
    fn an_activated_socket_belongs_to_who_serves_and_not_to_systemd() {
        let mut processes = Processes::default();
        let process = |pid, name: &[u8], start_ns| Process {
            pid,
            start_ns,
            comm: Comm::new(name),
            ..Process::default()
        };
        processes.refill(
            &[process(1, b"systemd", 5), process(20, b"sshd", 100), process(30, b"sshd", 200)],
            &[],
        );

        assert_eq!(processes.older(1, 20), 20);
        assert_eq!(processes.older(processes.older(30, 1), 20), 20);
        assert_eq!(processes.older(1, 0), 1);
    }

    #[test]
    fn a_pods_sandbox_does_not_make_its_namespace_ambiguous() {
        let mut processes = Processes::default();
        let process = |pid, comm: &[u8], id| Process {
            pid,
            netns: 7,
            comm: Comm::new(comm),
            container: Some(ContainerId(id)),
            ..Process::default()
        };
        processes.refill(&[process(1, b"pause", 0), process(2, b"nginx", 1)], &[]);

        assert_eq!(processes.inside(7).container, Some(ContainerId(1)));
    }

    #[test]
    fn where_the_sandbox_alone_was_seen_the_namespace_is_its_pods() {
        let node = Process { pid: 1, netns: 5, ..Process::default() };
        let sandbox = |pid, netns, id| Process {
            comm: Comm::new(b"pause"),
            ..within(pid, netns, 0, Some(id))
        };
        let mut processes = Processes::default();
        processes.refill(
            &[
                sandbox(2, 7, 0),
                sandbox(3, 8, 0),
                within(4, 8, 0, Some(ContainerId::UNKNOWN.0)),
                sandbox(5, 9, 3),
                sandbox(6, 10, 0),
                within(7, 10, 0, None),
                sandbox(9, 11, 0),
                sandbox(10, 11, 2),
                // A pod on the node's network, before anything else there was seen.
                sandbox(8, 5, 2),
                node,
            ],
            &containers(),
        );

        let inside = |netns| pid_and_container(processes.inside(netns));
        assert_eq!(inside(7), (None, Some(0)), "its containers came and went between two passes");
        assert_eq!(inside(8), (None, Some(0)), "and one was gone before its cgroup was read");
        assert_eq!(inside(9), (None, None), "of no pod");
        assert_eq!(inside(10), (None, Some(0)), "who enters it acts as the pod");
        assert_eq!(inside(11), (None, None), "of two pods");
        assert_eq!(inside(5), (None, None), "the node's");
    }

    #[test]
    fn a_process_that_was_gone_before_its_container_was_read_makes_nothing_ambiguous() {
        let gone = |pid, netns, cgroup| within(pid, netns, cgroup, Some(ContainerId::UNKNOWN.0));
        let mut processes = Processes::default();
        processes.refill(
            &[
                gone(1, 7, 70),
                within(2, 7, 70, Some(3)),
                gone(3, 7, 70),
                within(4, 8, 0, Some(0)),
                gone(5, 8, 0),
                gone(6, 9, 0),
                within(7, 9, 0, Some(0)),
                within(8, 10, 0, Some(3)),
                gone(9, 10, 0),
            ],
            &containers(),
        );

        let inside = |netns| pid_and_container(processes.inside(netns));
        assert_eq!(inside(7), (Some(3), None), "who is in a container's cgroup is in it");
        assert_eq!([inside(8), inside(9)], [(None, Some(0)); 2], "a pod has its namespace alone");
        assert_eq!(inside(10), (None, None), "others may share one");
        assert_eq!(pid_and_container(processes.made_in(70)), (Some(3), None));
    }

    #[test]
    fn what_a_process_held_that_was_gone_is_of_the_container_whose_cgroup_it_was_in() {
        let gone = |pid, cgroup| within(pid, 7, cgroup, Some(ContainerId::UNKNOWN.0));
        let mut processes = Processes::default();

        processes.refill(&[gone(2, 70), gone(3, 0), within(4, 7, 70, Some(1))], &containers());

        assert_eq!(processes.owner(2).container, Some(ContainerId(1)));
        assert_eq!(processes.owner(3).container, Some(ContainerId::UNKNOWN));
    }

    #[test]
    fn a_container_that_anybody_may_have_made_is_in_no_pod() {
        let mut processes = Processes::default();
        let mut containers = containers();
        containers[1].foreign = true;

        processes.refill(&[within(1, 7, 0, Some(0)), within(2, 7, 0, Some(1))], &containers);

        assert_eq!(pid_and_container(processes.inside(7)), (None, None));
    }

    #[test]
    fn a_namespace_of_several_containers_of_one_pod_is_that_pods() {
        let mut processes = Processes::default();
        processes.refill(
            &[
                within(1, 7, 0, Some(0)),
                within(2, 7, 0, Some(1)),
                within(3, 7, 0, Some(0)),
                within(4, 8, 0, Some(0)),
                within(5, 8, 0, Some(2)),
                within(6, 9, 0, Some(3)),
                within(7, 9, 0, None),
            ],
            &containers(),
        );

        assert_eq!(pid_and_container(processes.inside(7)), (None, Some(0)));
        assert_eq!(pid_and_container(processes.inside(8)), (None, None));
        assert_eq!(pid_and_container(processes.inside(9)), (None, None));
        assert_eq!(pid_and_container(processes.inside(10)), (None, None));
    }

    #[test]
    fn a_sandbox_of_podman_does_not_make_its_namespace_ambiguous() {
        let mut processes = Processes::default();
        let infra = Process { comm: Comm::new(b"catatonit"), ..within(1, 7, 0, Some(0)) };
        processes.refill(&[infra, within(2, 7, 0, Some(3))], &containers());

        assert_eq!(pid_and_container(processes.inside(7)), (Some(3), None));
    }

    #[test]
    fn who_enters_a_pods_namespace_from_the_node_does_not_take_it_from_the_pod() {
        let node = Process { pid: 1, netns: 5, ..Process::default() };
        let guest = within(90, 7, 0, None);
        for guest_first in [false, true] {
            let mut all = vec![
                node,
                within(2, 7, 0, Some(0)),
                within(3, 9, 0, Some(3)),
                within(91, 9, 0, None),
            ];
            all.insert(if guest_first { 1 } else { 2 }, guest);
            // A pod on the host network has it together with all of the node.
            all.extend([within(4, 5, 0, Some(2)), within(92, 5, 0, None), within(93, 6, 0, None)]);
            let mut processes = Processes::default();

            processes.refill(&all, &containers());

            assert_eq!(pid_and_container(processes.inside(7)), (None, Some(0)), "the pod's");
            assert_eq!(pid_and_container(processes.inside(9)), (None, None), "no pod's");
            assert_eq!(pid_and_container(processes.inside(5)), (None, None), "the node's");
            assert_eq!(pid_and_container(processes.inside(6)), (None, None));
        }
    }

    #[test]
    fn who_enters_a_namespace_is_no_guest_where_the_nodes_own_is_not_known() {
        let mut processes = Processes::default();

        processes.refill(&[within(2, 7, 0, Some(0)), within(90, 7, 0, None)], &containers());

        assert_eq!(pid_and_container(processes.inside(7)), (None, None));
    }

    #[test]
    fn a_cgroup_names_the_container_unless_it_is_everybodys() {
        let mut processes = Processes::default();
        processes.refill(
            &[
                within(1, 7, 50, Some(0)),
                within(2, 7, 51, Some(1)),
                within(3, 7, 1, Some(2)),
                within(4, 7, 52, None),
            ],
            &containers(),
        );

        assert_eq!(pid_and_container(processes.made_in(51)), (Some(1), None));
        assert_eq!(pid_and_container(processes.made_in(1)), (None, None));
        assert_eq!(pid_and_container(processes.made_in(52)), (None, None));
    }
}
