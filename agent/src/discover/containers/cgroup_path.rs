//! Which container a process is in, from the text of `/proc/PID/cgroup`.
//!
//! In: the whole text: one line per hierarchy. Out: the container that a line names. Below a pod that
//! is the outermost one, the one that the kubelet made: what runs inside of it (Docker, kind) is that
//! pod's whatever it calls itself. Anywhere else it is the innermost one. It must not ask a runtime,
//! and must not take a helper of one (`conmon`) for a container.
//!
//! Pure: no I/O.

use super::layouts::{container_at, pod_uid};
use probelet_core::facts::Container;

/// The v1 hierarchies that every runtime uses, if there is no v2 one that names the container.
const V1_FIRST: [&str; 4] = ["memory", "pids", "name=systemd", "cpuacct"];
/// What the kernel puts behind the path of a cgroup that was removed under a zombie.
const DELETED: &str = " (deleted)";
/// Longest name of a cgroup that is shown as one's container for want of a better.
const NAME_MAX: usize = 64;

/// Where this node stands, when it is itself a container in a pod of another cluster (kind).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The cgroup of that container.
    prefix: Box<str>,
    /// The node belongs to a user's session (rootless): the agent's own pod is in one.
    rootless: bool,
}

impl Node {
    /// The node of a process in these cgroups: the agent's own text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let prefix = paths(text).find_map(enclosing).unwrap_or_default();
        let rootless = paths(text).any(|path| {
            let mut parts = path.split('/');
            parts.any(is_session) && parts.any(|part| pod_uid(part).is_some())
        });
        Self { prefix: prefix.into(), rootless }
    }

    /// How much of a path leads to this node.
    fn skip(&self, path: &str) -> usize {
        let inside = path.strip_prefix(&*self.prefix).is_some_and(|rest| rest.starts_with('/'));
        if inside { self.prefix.len() } else { 0 }
    }
}

/// What one path shows.
enum Shown {
    Nothing,
    Container(Container),
    /// The cgroup of a pod, and nothing below it.
    Pod(Container),
    /// Something in a pod that is no container.
    Helper,
}

/// Reads the text of `/proc/PID/cgroup`; `None` for a process outside of any container.
#[must_use]
pub fn container(text: &str, node: &Node) -> Option<Container> {
    let mut pod = None;
    let mut helper = false;
    for path in paths(text) {
        match in_path(path, node) {
            Shown::Container(found) if found.pod_uid.is_some() || pod.is_none() => {
                return Some(found);
            }
            Shown::Pod(found) => pod = pod.or(Some(found)),
            Shown::Helper => helper = true,
            Shown::Container(_) | Shown::Nothing => {}
        }
    }
    // With cgroup v1 one hierarchy may show more of a process than another.
    pod.filter(|_| !helper)
}

/// The paths of a text, those first that are most likely to name a container.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let v1 = move || text.lines().filter_map(line).filter(|(name, _)| !name.is_empty());
    let first = V1_FIRST.iter().filter_map(move |wanted| {
        v1().find(|(controllers, _)| controllers.split(',').any(|c| c == *wanted))
    });
    let named = first.chain(v1()).map(|(_, path)| path.strip_suffix(DELETED).unwrap_or(path));
    unified(text).into_iter().chain(named)
}

/// The path of the v2 hierarchy.
#[must_use]
pub(crate) fn unified(text: &str) -> Option<&str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.strip_suffix(DELETED).unwrap_or(path))
}

/// `9:memory,hugetlb:/docker/…`: controllers and path.
fn line(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// A part of a path that a user's own service manager may have made.
fn is_session(part: &str) -> bool {
    part == "user.slice" || part.starts_with("user@")
}

/// The parts of a path with where each ends.
fn parts(path: &str) -> Vec<(&str, usize)> {
    let mut end = 0;
    path.split('/')
        .map(|part| {
            end += part.len() + 1;
            (part, end - 1)
        })
        .collect()
}

/// The container around the innermost pod of a path.
fn enclosing(path: &str) -> Option<&str> {
    let parts = parts(path);
    let names: Vec<&str> = parts.iter().map(|(part, _)| *part).collect();
    let pod = names.iter().rposition(|part| pod_uid(part).is_some())?;
    let outer = (0..pod).rev().find(|&at| container_at(&names, at).is_some())?;
    Some(&path[..parts[outer].1])
}

fn in_path(path: &str, node: &Node) -> Shown {
    let skip = node.skip(path);
    let parts = parts(&path[skip..]);
    let names: Vec<&str> = parts.iter().map(|(part, _)| *part).collect();
    let mut found: Option<Container> = None;
    // The end of the container that the found one is in.
    let mut outer = 0;
    // The uid, and where the pod's cgroup ends.
    let mut pod: Option<(String, usize)> = None;
    let mut unnamed: Option<(&str, usize)> = None;
    let mut session = false;
    for (at, &(part, end)) in parts.iter().enumerate() {
        session |= is_session(part);
        let end = skip + end;
        let first = pod.is_none().then(|| pod_uid(part)).flatten();
        let begins = first.is_some();
        if let Some(uid) = first {
            outer = found.take().map_or(outer, |c| c.cgroup.len());
            pod = Some((uid, end));
        }
        if let Some((id, runtime)) = container_at(&names, at) {
            outer = found.take().map_or(outer, |c| c.cgroup.len());
            let cgroup = path[..end].to_owned();
            found = Some(Container { id, runtime, cgroup, ..Container::default() });
            if pod.is_some() {
                break;
            }
        } else if pod.is_some() && !begins && unnamed.is_none() {
            unnamed = Some((part, end));
        }
    }
    let foreign = outer > 0 || (session && !node.rootless);
    let outer = u32::try_from(outer).unwrap_or(0);
    let whole = |container, pod_uid| Container { pod_uid, outer, foreign, ..container };
    match (found, pod) {
        (Some(found), pod) => Shown::Container(whole(found, pod.map(|(uid, _)| uid))),
        (None, None) => Shown::Nothing,
        (None, Some((uid, end))) => {
            let container = |id: &str, end: usize| {
                let (id, cgroup) = (id.to_owned(), path[..end].to_owned());
                whole(Container { id, cgroup, ..Container::default() }, Some(uid.clone()))
            };
            match unnamed.map(|(part, end)| (part.strip_suffix(".scope").unwrap_or(part), end)) {
                None => Shown::Pod(container(&uid, end)),
                Some((name, _)) if !is_name(name) || name.contains("conmon") => Shown::Helper,
                // A runtime that we have not met: its processes are the pod's all the same.
                Some((name, end)) => Shown::Container(container(name, end)),
            }
        }
    }
}

/// Whether an id is one of those that a runtime draws, and no name that a person chose.
pub(super) fn is_number(id: &str) -> bool {
    super::layouts::is_hex(id, super::layouts::ID_DIGITS_MIN)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
