//! Where the cgroup hierarchies are mounted.
//!
//! In: the text of `/proc/self/mountinfo`. Out: the directory of a cgroup in a hierarchy. It must not
//! guess: a path that climbs out of what is mounted has no directory.
//!
//! I/O: reads `/proc/self/mountinfo` when asked to, and looks for the agent's own cgroup; the rest is pure.

use std::path::{Component, Path, PathBuf};

use super::own::Own;
use procfs::process::MountInfo;

use crate::discover::Error;

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    at: PathBuf,
    /// The cgroup that is its root, as `/proc/PID/cgroup` would spell it.
    root: String,
}

impl Mount {
    /// How many levels below its root this process's own cgroup namespace begins; 0 if it does not.
    fn levels(&self) -> usize {
        let up = self.root.split('/').skip(1);
        if up.clone().all(|part| part == "..") { up.count() } else { 0 }
    }

    /// Where a cgroup's directory is; the part of its path that the mount's root has is not there.
    #[must_use]
    pub(crate) fn path_of(&self, cgroup: &str) -> Option<PathBuf> {
        let inside = match cgroup.strip_prefix(&self.root) {
            Some(rest) if self.root != "/" => rest,
            _ => cgroup,
        };
        // A path that climbs out of our cgroup namespace leads to no directory of this mount, unless
        // the mount's own root climbs as high, as a host mount in a container does.
        let inside = Path::new(inside.trim_start_matches('/'));
        let climbs = inside.components().any(|c| c == Component::ParentDir);
        (!climbs).then(|| self.at.join(inside))
    }
}

/// The hierarchies that name and count containers; `None` for those that are not mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// cgroup v2.
    pub unified: Option<Mount>,
    /// v1 CPU time.
    pub cpuacct: Option<Mount>,
    /// v1 memory.
    pub memory: Option<Mount>,
    /// Where this process is in v2, if its own cgroup namespace hides it.
    pub own: Option<Own>,
}

impl Hierarchies {
    /// Those mounted where this process can see them.
    pub(crate) fn mounted(proc_root: &Path) -> Result<Self, Error> {
        let path = proc_root.join("self/mountinfo");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
            operation: "read",
            path: path.display().to_string(),
            source,
        })?;
        let mut found = Self::parse(&text);
        found.find_own(std::process::id());
        Ok(found)
    }

    /// If the whole hierarchy is mounted in a cgroup namespace, paths are from its root from now on.
    fn find_own(&mut self, pid: u32) {
        let Some(mount) = &mut self.unified else { return };
        let levels = mount.levels();
        if levels > 0 {
            self.own = Own::find(&mount.at, levels, pid);
            if self.own.is_some() {
                "/".clone_into(&mut mount.root);
            }
        }
    }

    /// Those that a text of `mountinfo` names; lines that make no sense are skipped.
    #[must_use]
    pub fn parse(mountinfo: &str) -> Self {
        let mounts: Vec<_> =
            mountinfo.lines().filter_map(|line| MountInfo::from_line(line).ok()).collect();
        let find = |wanted: &dyn Fn(&MountInfo) -> bool| {
            let found = mounts.iter().find(|mount| wanted(mount));
            found.map(|mount| Mount { at: mount.mount_point.clone(), root: mount.root.clone() })
        };
        let v1 = |mount: &MountInfo, controller: &str| {
            mount.fs_type == "cgroup" && mount.super_options.contains_key(controller)
        };
        // Of several the whole one: a container has one of its own, and the node's beside or above it.
        let whole = mounts
            .iter()
            .filter(|mount| mount.fs_type == "cgroup2")
            .map(|mount| Mount { at: mount.mount_point.clone(), root: mount.root.clone() });
        let unified = whole.rev().max_by_key(Mount::levels);
        Self {
            unified,
            cpuacct: find(&|mount| v1(mount, "cpuacct")),
            memory: find(&|mount| v1(mount, "memory")),
            own: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "24 23 0:22 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755\n\
        25 24 0:23 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
        26 24 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n\
        27 24 0:25 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n";

    #[test]
    fn a_hybrid_host_has_all_three() {
        let found = Hierarchies::parse(HYBRID);

        let path = |mount: Option<Mount>| mount.unwrap().path_of("/docker/a").unwrap();
        assert_eq!(path(found.unified), Path::new("/sys/fs/cgroup/unified/docker/a"));
        assert_eq!(path(found.cpuacct), Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/a"));
        assert_eq!(path(found.memory), Path::new("/sys/fs/cgroup/memory/docker/a"));
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_is_joined_where_it_begins() {
        let mount = Mount { at: "/sys/fs/cgroup".into(), root: "/docker/outer".to_owned() };

        let inner = mount.path_of("/docker/outer/docker/inner");

        assert_eq!(inner, Some("/sys/fs/cgroup/docker/inner".into()));
        assert_eq!(mount.path_of("/../other"), None);
    }

    #[test]
    fn a_host_mount_in_a_container_climbs_as_high_as_its_paths() {
        let mount = Mount { at: "/host".into(), root: "/../../..".to_owned() };

        assert_eq!(mount.path_of("/../../../burstable/podA"), Some("/host/burstable/podA".into()));
    }

    #[test]
    fn in_a_cgroup_namespace_the_directory_of_another_pod_is_found_all_the_same() {
        let host = tempfile::tempdir().unwrap();
        let own = host.path().join("kubepods/burstable/podA/agent");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("cgroup.procs"), "4217\n").unwrap();
        let at = host.path().display();
        let line = format!("30 23 0:26 /../../../.. {at} ro - cgroup2 cgroup2 rw\n");
        let mut found = Hierarchies::parse(&line);

        found.find_own(4217);

        let path = found.own.as_ref().unwrap().absolute("/../../podB/web").into_owned();
        let directory = found.unified.as_ref().unwrap().path_of(&path);
        assert_eq!(directory, Some(host.path().join("kubepods/burstable/podB/web")));
        let mut other = Hierarchies::parse(&line);
        other.find_own(9);
        assert_eq!(other, Hierarchies::parse(&line), "it is not there");
    }

    #[test]
    fn of_several_mounts_the_one_that_begins_highest_is_taken_and_else_the_first() {
        let at = |roots: &[&str]| {
            let line =
                |(n, root): (usize, &&str)| format!("30 23 0:26 {root} /{n} ro - cgroup2 c rw\n");
            let text: String = roots.iter().enumerate().map(line).collect();
            Hierarchies::parse(&text).unified.unwrap().at
        };

        assert_eq!(at(&["/", "/../../.."]), Path::new("/1"));
        assert_eq!(at(&["/../../..", "/"]), Path::new("/0"));
        assert_eq!(at(&["/", "/"]), Path::new("/0"));
    }

    #[test]
    fn a_mount_of_the_whole_hierarchy_is_above_no_namespace() {
        let levels = |root: &str| Mount { at: "/m".into(), root: root.to_owned() }.levels();

        assert_eq!(["/", "/docker/a", "/..", "/../../..", "/../a"].map(levels), [0, 0, 1, 3, 0]);
    }

    #[test]
    fn the_hierarchies_of_this_host_are_found() {
        let found = Hierarchies::mounted(Path::new("/proc")).unwrap();

        assert!(found.unified.is_some() || found.memory.is_some());
    }
}
