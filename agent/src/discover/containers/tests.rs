//! Processes of an invented `/proc`, and one of the real.

use super::*;
use probelet_core::facts::Losses;

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

    tree.containers().resolve(&mut facts, HashSet::default);

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
    containers.resolve(&mut facts, HashSet::default);
    tree.cgroup(2, "0::/\n");

    containers.resolve(&mut facts, HashSet::default);

    assert_eq!(facts.processes[0].container, Some(ContainerId(0)));
}

#[test]
fn a_process_that_no_pass_refreshed_is_not_read_again() {
    let mut containers = Containers::new(Path::new("/proc")).unwrap();
    let mut facts = facts(&[std::process::id()], 1);
    containers.resolve(&mut facts, HashSet::default);
    containers.root = Root::open(tempfile::tempdir().unwrap().path()).unwrap();

    containers.resolve(&mut facts, HashSet::default);

    assert_eq!(facts.losses.get(Loss::Vanished), 0);
}

#[test]
fn a_young_process_is_read_twice_because_its_runtime_moves_it() {
    let tree = Tree::new();
    tree.cgroup(2, "0::/system.slice/docker.service\n");
    let mut containers = tree.containers();
    let mut facts = facts(&[2], since_boot_ns());
    containers.resolve(&mut facts, HashSet::default);
    assert_eq!(facts.processes[0].container, None);
    tree.cgroup(2, &docker());

    containers.resolve(&mut facts, HashSet::default);

    assert_eq!(facts.processes[0].container, Some(ContainerId(0)));
}

#[test]
fn exec_and_a_new_cgroup_ask_again() {
    let tree = Tree::new();
    tree.cgroup(2, "0::/\n");
    let mut containers = tree.containers();
    let mut facts = facts(&[2], 1);
    containers.resolve(&mut facts, HashSet::default);
    tree.cgroup(2, &docker());

    facts.processes[0].comm = Comm::new(b"nginx");
    containers.resolve(&mut facts, HashSet::default);
    assert_eq!(facts.processes[0].container, Some(ContainerId(0)));

    tree.cgroup(2, "0::/\n");
    facts.processes[0].cgroup = 77;
    facts.processes[0].container = None;
    containers.resolve(&mut facts, HashSet::default);
    assert_eq!(facts.processes[0].container, None);
}

#[test]
fn a_reused_pid_is_another_process() {
    let tree = Tree::new();
    tree.cgroup(2, &docker());
    let mut containers = tree.containers();
    containers.resolve(&mut facts(&[2], 1), HashSet::default);
    tree.cgroup(2, "0::/\n");
    let mut later = facts(&[2], 2);

    containers.resolve(&mut later, HashSet::default);

    assert_eq!(later.processes[0].container, None);
}

#[test]
fn the_cgroup_of_a_live_process_is_the_number_of_its_directory() {
    let mut containers = Containers::new(Path::new("/proc")).unwrap();
    let mut facts = facts(&[std::process::id()], 1);
    containers.resolve(&mut facts, HashSet::default);

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

    containers.resolve(&mut first, HashSet::default);
    assert_eq!(first.losses.get(Loss::Vanished), 1);

    containers.resolve(&mut facts(&[], 1), HashSet::default);
    assert!(containers.known.is_empty());
}

fn numbered(n: usize) -> String {
    format!("0::/docker/{n:064x}\n")
}

/// The next process with a container of its own, and nothing else.
fn next(tree: &Tree, containers: &mut Containers, facts: &mut Facts, n: usize) {
    let pid = u32::try_from(n + 1).unwrap();
    tree.cgroup(pid, &numbered(n));
    facts.losses = Losses::default();
    facts.processes = vec![Process { pid, start_ns: 1, ..Process::default() }];
    containers.resolve(facts, HashSet::default);
    std::fs::remove_dir_all(tree.0.path().join(pid.to_string())).unwrap();
}

#[test]
fn what_is_kept_grows_with_what_lives_and_not_with_the_age() {
    let tree = Tree::new();
    let mut containers = tree.containers();
    let mut facts = Facts::default();

    for n in 0..5000 {
        next(&tree, &mut containers, &mut facts, n);
        let id = facts.processes[0].container.unwrap();
        assert_eq!(id.of(&facts.containers).unwrap().id, format!("{n:064x}"));
        assert_eq!(facts.losses.get(Loss::ContainerUnknown), 0);
    }

    assert!(facts.containers.len() <= SWEEP_FIRST + SWEEP_PAUSE as usize);
    assert!(containers.by_key.len() <= SWEEP_FIRST + SWEEP_PAUSE as usize);
    assert!(facts.recycled > 0);
}

#[test]
fn the_id_of_a_container_that_a_flow_names_is_no_other_containers() {
    let tree = Tree::new();
    let mut containers = tree.containers();
    let mut facts = Facts::default();
    next(&tree, &mut containers, &mut facts, 0);
    let held = facts.processes[0].container.unwrap();

    for n in 1..3000 {
        let pid = u32::try_from(n + 1).unwrap();
        tree.cgroup(pid, &numbered(n));
        facts.processes = vec![Process { pid, start_ns: 1, ..Process::default() }];
        containers.resolve(&mut facts, || [held].into_iter().collect());
    }

    assert_eq!(held.of(&facts.containers).unwrap().id, format!("{:064x}", 0));
}

#[test]
fn a_container_without_room_is_unknown_and_counted_once() {
    let tree = Tree::new();
    for pid in 1..=4 {
        tree.cgroup(pid, &numbered(pid as usize));
    }
    let mut containers = Containers { max: 2, sweep_at: 2, ..tree.containers() };
    let mut facts = facts(&[1, 2, 3], 1);

    let mut lost = 0;
    for _ in 0..5 {
        facts.losses = Losses::default();
        containers.resolve(&mut facts, HashSet::default);
        lost += facts.losses.get(Loss::ContainerUnknown);
    }

    assert_eq!(facts.processes[2].container, Some(ContainerId::UNKNOWN));
    assert_eq!(lost, 1);
    facts.processes.remove(0);
    for _ in 0..=SWEEP_PAUSE + 1 {
        containers.resolve(&mut facts, HashSet::default);
    }
    let id = facts.processes[1].container.unwrap();
    assert_eq!(id.of(&facts.containers).unwrap().id, format!("{:064x}", 3));
}

#[test]
fn a_long_path_is_not_kept() {
    let tree = Tree::new();
    tree.cgroup(2, &format!("0::/{}/docker/{ID}\n", "x/".repeat(1000)));
    let mut containers = tree.containers();
    let mut facts = facts(&[2], 1);

    containers.resolve(&mut facts, HashSet::default);

    assert_eq!((&*facts.containers[0].id, &*facts.containers[0].cgroup), (ID, ""));
    assert!(containers.cgroups.is_empty());
}

fn found(texts: &[String]) -> Vec<Container> {
    let tree = Tree::new();
    let pids: Vec<u32> = (2..).take(texts.len()).collect();
    texts.iter().zip(&pids).for_each(|(text, pid)| tree.cgroup(*pid, text));
    let mut facts = facts(&pids, 1);
    tree.containers().resolve(&mut facts, HashSet::default);
    let of = |p: &Process| p.container.unwrap().of(&facts.containers).unwrap().clone();
    facts.processes.iter().map(of).collect()
}

#[test]
fn a_cgroup_called_by_the_id_of_a_pods_container_is_not_that_container() {
    let uid = "8dbc6577-d0e2-4706-8787-57d52c03ddf2";
    let pods = format!("0::/kubepods/pod{uid}/{ID}\n");
    let session = "user.slice/user-1000.slice/user@1000.service";
    let forged = format!("0::/{session}/cri-containerd-{ID}.scope\n");
    let inside = format!("0::/docker/{}/kubepods/pod{uid}/{ID}\n", "a".repeat(64));

    for texts in [[&pods, &forged, &inside], [&forged, &inside, &pods]] {
        let found = found(&texts.map(Clone::clone));

        let foreign: Vec<bool> = found.iter().map(|c| c.foreign).collect();
        assert_eq!(foreign, texts.map(|text| *text != pods));
    }
}

#[test]
fn containers_of_one_name_in_two_places_are_two() {
    let of = |path: &str| format!("0::{path}\n");
    let texts = [
        of("/lxc.payload.a/lxc.payload.web/init.scope"),
        of("/lxc.payload.b/lxc.payload.web/init.scope"),
        of("/machine.slice/systemd-nspawn@web.service/payload"),
        of("/user.slice/user-1000.slice/session-1.scope/lxc.payload.web"),
        of("/user.slice/user-1001.slice/session-2.scope/lxc.payload.web"),
        of("/lxc.payload.a/lxc.payload.web/system.slice/ssh.service"),
    ];

    let found = found(&texts);

    let cgroups: HashSet<&str> = found.iter().map(|c| &*c.cgroup).collect();
    assert_eq!((found.len(), cgroups.len()), (6, 5));
    assert_eq!(found[0].cgroup, found[5].cgroup);
}

#[test]
fn a_cgroup_whose_name_is_no_text_hides_no_container_and_makes_none() {
    let tree = Tree::new();
    let raw = |pid: u32, text: &[u8]| {
        tree.cgroup(pid, "");
        std::fs::write(tree.0.path().join(format!("{pid}/cgroup")), text).unwrap();
    };
    raw(2, format!("0::/docker/{ID}/\u{1}").as_bytes());
    raw(3, &[format!("0::/docker/{ID}/").as_bytes(), b"\xff\xfe\n"].concat());
    raw(4, b"0::/system.slice/caf\xe9.service\n");
    let mut facts = facts(&[2, 3, 4], 1);

    tree.containers().resolve(&mut facts, HashSet::default);

    let places: Vec<_> = facts.processes.iter().map(|p| p.container).collect();
    assert_eq!(places, [Some(ContainerId(0)), Some(ContainerId(0)), None]);
    assert_eq!(facts.losses.get(Loss::ContainerUnknown), 0);
}

#[test]
fn a_cgroup_that_is_made_again_under_the_same_path_is_another_one() {
    let tree = Tree::new();
    let mounted = tree.0.path().join("cgroup");
    let at = mounted.join("docker").join(ID);
    let line = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", mounted.display());
    let mut containers =
        Containers { unified: Hierarchies::parse(&line).unified, ..tree.containers() };
    let mut of = |pid: u32| {
        tree.cgroup(pid, &docker());
        let mut facts = facts(&[pid], 1);
        containers.resolve(&mut facts, HashSet::default);
        facts.processes[0].cgroup
    };
    std::fs::create_dir_all(&at).unwrap();
    let first = of(2);
    // Its number must not be free while the next one is made.
    let held = std::fs::File::open(&at).unwrap();
    std::fs::remove_dir(&at).unwrap();
    std::fs::create_dir(&at).unwrap();

    let second = of(3);

    drop(held);
    assert!(first != 0 && second != 0 && first != second, "{first} {second}");
}
