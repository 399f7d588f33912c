//! `/proc/self/mountinfo`: which cgroup hierarchies there are, and what `/proc` hides.
//!
//! In: the file's text. Out: two facts. It must not look at the mounts themselves: one may hang.
//!
//! I/O: [`hides_processes`] reads that file; the rest is pure.

use std::fmt;

/// Which cgroup hierarchies are mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// None at all.
    #[default]
    Absent,
    /// Only version 1.
    V1,
    /// Only version 2.
    V2,
    /// Version 2 beside controllers of version 1.
    Hybrid,
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "not mounted",
            Self::V1 => "version 1",
            Self::V2 => "version 2",
            Self::Hybrid => "hybrid: version 1 controllers, version 2 beside them",
        })
    }
}

/// What was in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// The hierarchies.
    pub(crate) cgroups: Cgroups,
    /// The option `hidepid` of `/proc`, unless it is off.
    pub(crate) hidepid: Option<String>,
}

/// Whether `/proc` hides the processes of other users from those without `CAP_SYS_PTRACE`.
pub(crate) fn hides_processes() -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&text).hidepid.is_some()
}

/// Reads the text. Fields before the separator `-` vary in number; after it stand the type, the
/// device and the options of the file system itself.
pub(crate) fn parse(text: &str) -> Mounts {
    let (mut v1, mut v2) = (false, false);
    let mut hidepid = None;
    for line in text.lines() {
        let Some((mount, system)) = line.split_once(" - ") else { continue };
        let mut fields = system.split(' ');
        let (kind, options) = (fields.next().unwrap_or(""), fields.nth(1).unwrap_or(""));
        match kind {
            "cgroup" => v1 = true,
            "cgroup2" => v2 = true,
            "proc" if mount.split(' ').nth(4) == Some("/proc") => {
                // A later mount covers an earlier one.
                hidepid = options
                    .split(',')
                    .find_map(|option| option.strip_prefix("hidepid="))
                    .filter(|value| !matches!(*value, "0" | "off"))
                    .map(str::to_owned);
            }
            _ => {}
        }
    }
    let cgroups = match (v1, v2) {
        (false, false) => Cgroups::Absent,
        (true, false) => Cgroups::V1,
        (false, true) => Cgroups::V2,
        (true, true) => Cgroups::Hybrid,
    };
    Mounts { cgroups, hidepid }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROC: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n";

    #[test]
    fn one_cgroup2_mount_is_version_two() {
        let text = format!(
            "{PROC}35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
        );

        assert_eq!(parse(&text), Mounts { cgroups: Cgroups::V2, hidepid: None });
    }

    #[test]
    fn controllers_beside_a_unified_mount_are_a_hybrid() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

        assert_eq!(parse(text).cgroups, Cgroups::Hybrid);
    }

    #[test]
    fn controllers_alone_are_version_one() {
        let text = "33 26 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:11 master:4 - cgroup cgroup rw,memory\n";

        assert_eq!(parse(text).cgroups, Cgroups::V1);
    }

    #[test]
    fn hidepid_is_an_option_of_the_file_system_and_not_of_the_mount() {
        let hidden =
            "22 27 0:21 / /proc rw,nosuid shared:5 - proc proc rw,gid=30,hidepid=invisible\n";
        let elsewhere = "90 27 0:60 / /srv/chroot/proc rw - proc proc rw,hidepid=2\n";

        assert_eq!(parse(hidden).hidepid.as_deref(), Some("invisible"));
        assert_eq!(parse(&format!("{PROC}{elsewhere}")).hidepid, None);
        assert_eq!(parse("22 27 0:21 / /proc rw - proc proc rw,hidepid=0\n").hidepid, None);
    }
}
