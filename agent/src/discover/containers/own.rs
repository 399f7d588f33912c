//! Where the agent itself is in the hierarchy, if that does not show.
//!
//! In: the node's mounted hierarchy, seen from inside of a cgroup namespace. Out: paths as the hierarchy's own root has
//! them. With cgroup v2 a container has such a namespace: it finds itself at `/`, and others by way of the closest cgroup
//! above both (`/../../podB/C`). So it sees neither whose it is nor where the directory of another one is. It must not
//! guess: the agent is where the hierarchy lists its process.
//!
//! I/O: lists directories of cgroups and reads who is in those at the depth of the agent's own, once at the start.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

/// Directories that are looked at: a node with 500 pods has a few thousand.
const MOST: usize = 65_536;
/// So much is read of who is in one of them, at eight bytes a process.
const MOST_BYTES: u64 = 1 << 20;

/// The path of the agent's own cgroup, from the root of what is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own(String);

impl Own {
    /// Looks for a process in the cgroups so many levels below a directory.
    #[must_use]
    pub fn find(root: &Path, levels: usize, pid: u32) -> Option<Self> {
        let mut looked = 0;
        let mut above = vec![(String::new(), 0)];
        while let Some((path, level)) = above.pop() {
            let directory = root.join(path.trim_start_matches('/'));
            if level == levels {
                if holds(&directory, pid) {
                    return Some(Self(path));
                }
                continue;
            }
            // A cgroup that is gone meanwhile is not the agent's.
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().ok();
                let Some(name) = name.filter(|_| entry.file_type().is_ok_and(|t| t.is_dir()))
                else {
                    continue;
                };
                looked += 1;
                if looked > MOST {
                    return None;
                }
                above.push((format!("{path}/{name}"), level + 1));
            }
        }
        None
    }

    /// A path as the root of what is mounted has it; one that leads out of that stays as it is.
    #[must_use]
    pub fn absolute<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let (mut rest, mut kept) = (path, &*self.0);
        while let Some(further) =
            rest.strip_prefix("/..").filter(|r| r.is_empty() || r.starts_with('/'))
        {
            let Some((above, _)) = kept.rsplit_once('/') else { return path.into() };
            (rest, kept) = (further, above);
        }
        match (kept, rest) {
            ("", "") => "/".into(),
            (_, "/") => kept.to_owned().into(),
            _ => format!("{kept}{rest}").into(),
        }
    }

    /// The text of `/proc/PID/cgroup` with the path of the v2 hierarchy as its root has it.
    #[must_use]
    pub fn spelled(&self, text: &str) -> String {
        let line = |line: &str| match line.strip_prefix("0::") {
            Some(path) => format!("0::{}\n", self.absolute(path)),
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }
}

/// Whether a process is in a cgroup.
fn holds(directory: &Path, pid: u32) -> bool {
    let Ok(file) = File::open(directory.join("cgroup.procs")) else { return false };
    let mut lines = BufReader::new(file.take(MOST_BYTES)).lines().map_while(Result::ok);
    lines.any(|line| line.parse() == Ok(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_where_the_hierarchy_lists_its_process() {
        let root = tempfile::tempdir().unwrap();
        for (path, pids) in [
            ("system.slice/a/b", "1\n77\n"),
            ("kubepods.slice/kubepods-podA.slice/c1.scope", "5\n"),
            ("kubepods.slice/kubepods-podB.slice/c2.scope", "6\n7\n"),
            ("kubepods.slice/kubepods-podB.slice/c2.scope/inner", "70\n"),
        ] {
            fs::create_dir_all(root.path().join(path)).unwrap();
            fs::write(root.path().join(path).join("cgroup.procs"), pids).unwrap();
        }
        let found = |levels, pid| Own::find(root.path(), levels, pid).map(|own| own.0);

        let own = "/kubepods.slice/kubepods-podB.slice/c2.scope";
        assert_eq!(found(3, 7).as_deref(), Some(own));
        assert_eq!(found(3, 70), None, "it is further below");
        assert_eq!(found(3, 8), None);
        assert_eq!(Own::find(&root.path().join("none"), 3, 7), None);
    }

    #[test]
    fn a_path_goes_by_way_of_the_closest_cgroup_above_both() {
        let own = Own("/kubepods.slice/kubepods-podB.slice/c2.scope".to_owned());

        for (seen, is) in [
            ("/", "/kubepods.slice/kubepods-podB.slice/c2.scope"),
            ("/inner", "/kubepods.slice/kubepods-podB.slice/c2.scope/inner"),
            ("/../pause.scope", "/kubepods.slice/kubepods-podB.slice/pause.scope"),
            ("/../../kubepods-podA.slice/c1.scope", "/kubepods.slice/kubepods-podA.slice/c1.scope"),
            ("/../../../system.slice/a", "/system.slice/a"),
            ("/../../..", "/"),
            ("/../..x/a", "/kubepods.slice/kubepods-podB.slice/..x/a"),
            ("/../../../../a", "/../../../../a"),
        ] {
            assert_eq!(own.absolute(seen), is, "{seen}");
        }
        let text = "4:memory:/a\n0::/../pause.scope (deleted)\n";
        let spelled = "4:memory:/a\n0::/kubepods.slice/kubepods-podB.slice/pause.scope (deleted)\n";
        assert_eq!(own.spelled(text), spelled);
    }
}
