//! Files of invented cgroups, and one real cgroup.

use super::*;
use std::path::{Path, PathBuf};

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

/// A cgroup of this machine, made for a test; none without v2, which is said.
fn live(cgroup: &str) -> Option<(PathBuf, Usage)> {
    let hierarchies = Hierarchies::mounted(Path::new("/proc")).unwrap();
    let Some(unified) = hierarchies.unified.as_ref() else {
        println!("SKIP: this machine: no cgroup v2 is mounted");
        return None;
    };
    let dir = unified.path_of(cgroup).unwrap();
    std::fs::create_dir(&dir).expect("needs root: a cgroup of its own");
    Some((dir, Usage::with(hierarchies)))
}

#[test]
#[ignore = "needs root and cgroup v2"]
fn a_live_cgroup_is_read_until_it_is_removed() {
    const CGROUP: &str = "/probelet-test-usage";
    let Some((dir, mut usage)) = live(CGROUP) else { return };

    let alive = usage.read(&[container(CGROUP)]).to_vec();
    std::fs::remove_dir(&dir).unwrap();

    assert!(alive[0].1.cpu_ns.is_some());
    assert!(usage.slots[0].cpu.is_some(), "the file is held");
    assert!(usage.read(&[container(CGROUP)]).is_empty());
    assert!(usage.slots[0].cpu.is_none() && usage.held == 0);
}

/// A container in another one, or in none.
fn nested(cgroup: &str, outer: &str) -> Container {
    Container { outer: u32::try_from(outer.len()).unwrap(), ..container(cgroup) }
}

fn used(tree: &tempfile::TempDir, cgroup: &str, usec: u64, memory: u64) {
    write(tree, &format!("u{cgroup}/cpu.stat"), format!("usage_usec {usec}\n").as_bytes());
    write(tree, &format!("u{cgroup}/memory.current"), format!("{memory}\n").as_bytes());
}

#[test]
fn containers_in_containers_add_up_to_the_outermost_cgroup() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let (outer, inner, inmost) = ("/docker/a", "/docker/a/docker/b", "/docker/a/docker/b/docker/c");
    let all = [nested(inmost, inner), nested(outer, ""), nested(inner, outer)];
    let mut sums = Vec::new();

    for (n, [a, b, c]) in [[100, 60, 10], [200, 120, 30], [300, 120, 30]].into_iter().enumerate() {
        used(&tree, outer, a, a);
        used(&tree, inner, b, b);
        used(&tree, inmost, c, c);
        let read = usage.read(&all);
        let cpu: u64 = read.iter().filter_map(|(_, used)| used.cpu_ns).sum();
        let memory: u64 = read.iter().filter_map(|(_, used)| used.memory_bytes).sum();
        sums.push((cpu, memory));
        assert_eq!(sums[n], (a * 1000, a), "{n}");
    }

    std::fs::remove_dir_all(tree.path().join("u").join(&inner[1..])).unwrap();
    used(&tree, outer, 350, 50);
    let alone = [nested(outer, "")];
    let mut later = Usage { slots: Vec::new(), ..Usage::with(Hierarchies::default()) };
    later.hierarchies = usage.hierarchies.clone();
    assert_eq!(later.read(&alone)[0].1.cpu_ns, Some(350_000));
}

#[test]
fn containers_of_a_pod_and_what_is_in_its_own_cgroup_add_up_to_the_pods() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let node = "/docker/n";
    let [pod, in_pod, deeper] =
        ["", "/c", "/docker/d"].map(|rest| format!("{node}/kubepods/pod1{rest}"));
    let of_pod = |cgroup: &str| Container { pod_uid: Some("1".into()), ..nested(cgroup, node) };
    let all = [nested(node, ""), of_pod(&in_pod), of_pod(&pod), of_pod(&deeper)];

    for n in 1..4 {
        used(&tree, node, 1000 * n, 1000 * n);
        used(&tree, &pod, 100 * n, 100 * n);
        used(&tree, &in_pod, 30 * n, 30 * n);
        used(&tree, &deeper, 20 * n, 20 * n);
        let read = usage.read(&all).iter();

        let own: Vec<_> = read.map(|(_, used)| used.memory_bytes.zip(used.cpu_ns)).collect();
        let expected = [900, 30, 50, 20].map(|used| Some((used * n, used * n * 1000)));
        assert_eq!(own, expected, "{n}");
    }
}

#[test]
fn a_pods_own_cgroup_counts_once_where_its_containers_are_in_no_other() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let of_pod = |cgroup: &str| {
        let (id, pod_uid) = (cgroup.rsplit('/').next().unwrap().into(), Some("pod1".into()));
        Container { id, pod_uid, ..container(cgroup) }
    };
    used(&tree, "/kubepods/pod1", 100, 10);
    used(&tree, "/kubepods/pod1/c", 30, 3);

    let read = usage.read(&[of_pod("/kubepods/pod1"), of_pod("/kubepods/pod1/c")]);

    let own: Vec<_> = read.iter().map(|(_, used)| (used.cpu_ns, used.memory_bytes)).collect();
    assert_eq!(own, [(Some(70_000), Some(7)), (Some(30_000), Some(3))]);
}

#[test]
fn cpu_time_of_a_container_never_goes_back_when_one_inside_of_it_appears() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let (outer, inner) = ("/docker/a", "/docker/a/docker/b");
    used(&tree, outer, 100, 100);
    usage.read(&[nested(outer, "")]);
    used(&tree, outer, 110, 110);
    used(&tree, inner, 60, 60);

    let read = usage.read(&[nested(outer, ""), nested(inner, outer)]);

    assert_eq!(read[0].1.cpu_ns, Some(100_000));
    assert_eq!(read[1].1.cpu_ns, Some(60_000));
}

#[test]
fn a_place_that_another_container_took_is_read_fresh() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    used(&tree, "/docker/a", 100, 1);
    used(&tree, "/docker/b", 7, 2);
    usage.read(&[container("/docker/a")]);
    let second = Container { generation: 1, ..container("/docker/b") };

    let read = usage.read(std::slice::from_ref(&second));

    let expected = ContainerUsage { cpu_ns: Some(7000), memory_bytes: Some(2) };
    assert_eq!(read, [(ContainerId::new(0, 1), expected)]);
    assert!(usage.read(&[Container::default()]).is_empty() && usage.held == 0);
}

#[test]
fn a_container_that_is_started_again_is_read_at_once_however_long_it_was_away() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let (id, all) = (ContainerId(0), [container("/docker/a")]);
    used(&tree, "/docker/a", 100, 1);
    usage.running([id].into_iter());
    assert_eq!(usage.read(&all).len(), 1);
    std::fs::remove_dir_all(tree.path().join("u/docker/a")).unwrap();
    // A file of a cgroup that is gone cannot be read; an invented one can.
    (usage.slots[0].cpu, usage.slots[0].memory, usage.held) = (None, None, 0);
    for _ in 0..100 {
        usage.running([].into_iter());
        assert!(usage.read(&all).is_empty());
    }
    used(&tree, "/docker/a", 7, 2);

    usage.running([id].into_iter());

    let expected = ContainerUsage { cpu_ns: Some(7000), memory_bytes: Some(2) };
    assert_eq!(usage.read(&all), [(id, expected)]);
}

#[test]
fn a_container_that_runs_without_files_is_still_looked_for_ever_more_rarely() {
    let (_tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    let mut looked = 0;
    for _ in 0..50 {
        usage.running([ContainerId(0)].into_iter());
        usage.read(&[container("/docker/a")]);
        looked += u32::from(usage.slots[0].wait == usage.slots[0].retry);
    }

    assert!(looked < 8, "{looked} times of 50");
}

#[test]
fn with_a_low_limit_of_open_files_none_of_them_is_held() {
    let (tree, mut usage) = tree(&[("u", "/", "cgroup2 cgroup2 rw")]);
    usage.held_max = 1;
    let all = [container("/docker/a"), container("/docker/b")];
    for usec in [100, 200] {
        used(&tree, "/docker/a", usec, 1);
        used(&tree, "/docker/b", usec, 1);
        assert_eq!(usage.read(&all).len(), 2);
        assert_eq!(usage.held, 1);
    }
    // It was started again; where its file is not held nothing else shows it.
    used(&tree, "/docker/b", 3, 1);

    assert_eq!(usage.read(&all)[1].1.cpu_ns, Some(3000));
}

#[test]
#[ignore = "needs root and cgroup v2"]
fn a_live_cgroup_that_is_made_again_at_once_is_read_without_a_gap() {
    const CGROUP: &str = "/probelet-test-usage-again";
    let Some((dir, mut usage)) = live(CGROUP) else { return };
    let before = usage.read(&[container(CGROUP)]).len();
    std::fs::remove_dir(&dir).unwrap();
    std::fs::create_dir(&dir).unwrap();

    let after = usage.read(&[container(CGROUP)]).len();
    std::fs::remove_dir(&dir).unwrap();

    assert_eq!((before, after, usage.held), (1, 1, 1));
}
