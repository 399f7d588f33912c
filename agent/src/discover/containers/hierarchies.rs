//! Where the cgroup hierarchies are mounted.
//!
//! In: the text of `/proc/self/mountinfo`. Out: the directory of a cgroup in a hierarchy. It must not
//! guess: a path that climbs out of what is mounted has no directory.
//!
//! I/O: reads `/proc/self/mountinfo` when asked to; the rest is pure.

use std::path::{Component, Path, PathBuf};

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
    /// Where a cgroup's directory is; the part of its path that the mount's root has is not there.
    #[must_use]
    pub fn path_of(&self, cgroup: &str) -> Option<PathBuf> {
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
}

impl Hierarchies {
    /// Those mounted where this process can see them.
    pub fn mounted(proc_root: &Path) -> Result<Self, Error> {
        let path = proc_root.join("self/mountinfo");
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
            operation: "read",
            path: path.display().to_string(),
            source,
        })?;
        Ok(Self::parse(&text))
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
        Self {
            unified: find(&|mount| mount.fs_type == "cgroup2"),
            cpuacct: find(&|mount| v1(mount, "cpuacct")),
            memory: find(&|mount| v1(mount, "memory")),
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
    fn the_hierarchies_of_this_host_are_found() {
        let found = Hierarchies::mounted(Path::new("/proc")).unwrap();

        assert!(found.unified.is_some() || found.memory.is_some());
    }
}
