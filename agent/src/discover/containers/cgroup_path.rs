//! Which container a process is in, from the text of `/proc/PID/cgroup`.
//!
//! In: the whole text: one line per hierarchy. Out: the innermost container that a line names. It
//! must not ask a runtime, and must not take a helper of one (`conmon`) for a container.
//!
//! Pure: no I/O.

use probelet_core::facts::{Container, Runtime};

/// Digits of a full container id.
const ID_DIGITS: usize = 64;
/// A name with a runtime's prefix may carry a shorter id; below this it is a word, not an id.
const ID_DIGITS_MIN: usize = 12;
/// Digits of a pod uid: 32, with or without four dashes (static pods have a hash without).
const UID_DIGITS: usize = 32;

/// What runtimes put before the id, in a scope of systemd or a directory of their own. Helpers
/// such as `crio-conmon-ID` match none: what follows the prefix is no number.
const PREFIXES: [(&str, Runtime); 6] = [
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("containerd-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("docker-", Runtime::Docker),
    ("libpod-", Runtime::Podman),
];

/// The v1 hierarchies that every runtime uses, if there is no v2 one that names the container.
const V1_FIRST: [&str; 4] = ["memory", "pids", "name=systemd", "cpuacct"];

/// Reads the text of `/proc/PID/cgroup`; `None` for a process outside of any container.
#[must_use]
pub fn container(text: &str) -> Option<Container> {
    if let Some(found) = unified(text).and_then(in_path) {
        return Some(found);
    }
    let v1 = || text.lines().filter_map(line).filter(|(controllers, _)| !controllers.is_empty());
    for wanted in V1_FIRST {
        let path = v1().find(|(controllers, _)| controllers.split(',').any(|c| c == wanted));
        if let Some(found) = path.and_then(|(_, path)| in_path(path)) {
            return Some(found);
        }
    }
    v1().find_map(|(_, path)| in_path(path))
}

/// The path of the v2 hierarchy.
#[must_use]
pub fn unified(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("0::"))
}

/// `9:memory,hugetlb:/docker/…`: controllers and path.
fn line(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// The innermost container of a path, with the pod that is named between it and the next outer one.
fn in_path(path: &str) -> Option<Container> {
    let mut found: Option<Container> = None;
    let mut pod = None;
    let mut parent = "";
    let mut end = 0;
    for component in path.split('/') {
        end += component.len() + 1;
        if let Some(uid) = pod_uid(component) {
            pod = Some(uid);
        }
        if let Some((id, runtime)) = container_id(component, parent) {
            found = Some(Container {
                id: id.to_owned(),
                runtime,
                pod_uid: pod.take(),
                cgroup: path[..end - 1].to_owned(),
            });
        }
        parent = component;
    }
    found
}

/// Whether a component of a path is a container: its id, and who runs it.
fn container_id<'a>(component: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    // containerd without the systemd driver on a node with it: SLICE:cri-containerd:ID
    if let Some((before, id)) = component.rsplit_once(':') {
        let prefix = before.rsplit(':').next()?;
        let known = |(name, _): &&(&str, Runtime)| name.strip_suffix('-') == Some(prefix);
        let runtime = PREFIXES.iter().find(known).map_or(Runtime::Unknown, |(_, r)| *r);
        return is_hex(id, ID_DIGITS_MIN).then_some((id, runtime));
    }
    let name = component.strip_suffix(".scope").unwrap_or(component);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix)
            && is_hex(id, ID_DIGITS_MIN)
        {
            return Some((id, runtime));
        }
    }
    let bare = name.len() == ID_DIGITS && is_hex(name, ID_DIGITS);
    let runtime = match parent {
        "docker" | "actions_job" => Runtime::Docker,
        "libpod_parent" => Runtime::Podman,
        _ => Runtime::Unknown,
    };
    bare.then_some((name, runtime))
}

/// `podUID`, `kubepods-burstable-podUID.slice` and the same below a nested kubelet; systemd slices
/// have underscores where the uid has dashes.
fn pod_uid(component: &str) -> Option<String> {
    // SLICE:cri-containerd:ID carries its pod in the first part.
    let name = component.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let at = name.rfind("pod")?;
    if at > 0 && !name[..at].ends_with('-') {
        return None;
    }
    let uid = &name[at + 3..];
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let clean = uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'_');
    (clean && digits == UID_DIGITS).then(|| uid.replace('_', "-"))
}

fn is_hex(text: &str, at_least: usize) -> bool {
    text.len() >= at_least && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";
    const OTHER: &str = "aa1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3dff";
    const UID: &str = "8dbc6577-d0e2-4706-8787-57d52c03ddf2";
    const UID_: &str = "8dbc6577_d0e2_4706_8787_57d52c03ddf2";
    const STATIC: &str = "f5a2bb44fd4a4a86f8a1b7c4b0a8a8a1";

    /// Replaces the capital words by the constants above.
    fn text(template: &str) -> String {
        template
            .replace("OTHER", OTHER)
            .replace("STATIC", STATIC)
            .replace("UID_", UID_)
            .replace("UID", UID)
            .replace("{ID}", ID)
    }

    fn assert_is(template: &str, runtime: Runtime, pod: Option<&str>) {
        let found = container(&text(template)).unwrap_or_else(|| panic!("{template}"));
        assert_eq!(found.id, ID, "{template}");
        assert_eq!(found.runtime, runtime, "{template}");
        assert_eq!(found.pod_uid.as_deref(), pod, "{template}");
        assert!(found.cgroup.trim_end_matches(".scope").ends_with(ID), "{template}");
    }

    #[test]
    fn kubernetes_with_the_systemd_driver_and_cgroup_v2() {
        for (prefix, runtime) in [
            ("cri-containerd", Runtime::Containerd),
            ("crio", Runtime::CriO),
            ("docker", Runtime::Docker),
        ] {
            for class in ["-burstable", "-besteffort", ""] {
                let slice = if class.is_empty() {
                    String::new()
                } else {
                    format!("/kubepods{class}.slice")
                };
                let line = format!(
                    "0::/kubepods.slice{slice}/kubepods{class}-podUID_.slice/{prefix}-{{ID}}.scope\n"
                );
                assert_is(&line, runtime, Some(UID));
            }
        }
    }

    #[test]
    fn kubernetes_with_the_cgroupfs_driver_and_cgroup_v2() {
        assert_is("0::/kubepods/burstable/podUID/{ID}\n", Runtime::Unknown, Some(UID));
        assert_is("0::/kubepods/besteffort/podUID/{ID}\n", Runtime::Unknown, Some(UID));
        assert_is("0::/kubepods/podUID/{ID}\n", Runtime::Unknown, Some(UID));
        assert_is("0::/kubepods/burstable/podUID/crio-{ID}\n", Runtime::CriO, Some(UID));
    }

    #[test]
    fn kubernetes_with_cgroup_v1_has_one_line_per_hierarchy() {
        assert_is(
            "12:hugetlb:/kubepods/burstable/podUID/{ID}\n11:cpu,cpuacct:/kubepods/burstable/podUID/{ID}\n1:name=systemd:/kubepods/burstable/podUID/{ID}\n",
            Runtime::Unknown,
            Some(UID),
        );
        assert_is(
            "4:memory:/kubepods.slice/kubepods-podUID_.slice/docker-{ID}.scope\n1:name=systemd:/kubepods.slice/kubepods-podUID_.slice/docker-{ID}.scope\n0::/\n",
            Runtime::Docker,
            Some(UID),
        );
        assert_is(
            "3:pids:/system.slice/containerd.service/kubepods-burstable-podUID_.slice:cri-containerd:{ID}\n",
            Runtime::Containerd,
            Some(UID),
        );
    }

    #[test]
    fn a_hybrid_host_prefers_the_v2_line_only_if_it_names_a_container() {
        assert_is("4:memory:/docker/{ID}\n0::/docker/{ID}\n", Runtime::Docker, None);
        assert_is(
            "4:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/docker.service\n",
            Runtime::Docker,
            None,
        );
        assert_is("9:blkio:/docker/{ID}\n4:memory:/\n0::/\n", Runtime::Docker, None);
    }

    #[test]
    fn plain_docker_podman_and_nerdctl() {
        assert_is("0::/system.slice/docker-{ID}.scope\n", Runtime::Docker, None);
        assert_is("4:memory:/docker/{ID}\n", Runtime::Docker, None);
        assert_is("0::/system.slice/nerdctl-{ID}.scope\n", Runtime::Containerd, None);
        assert_is("0::/libpod_parent/libpod-{ID}\n", Runtime::Podman, None);
        assert_is("0::/default/{ID}\n", Runtime::Unknown, None);
        let rootless = text(
            "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n",
        );
        let found = container(&rootless).unwrap();
        assert_eq!((found.id.as_str(), found.runtime), (ID, Runtime::Podman));
        assert!(found.cgroup.ends_with(&text("/libpod-{ID}.scope")), "{}", found.cgroup);
    }

    #[test]
    fn the_helpers_of_a_runtime_are_not_the_container() {
        for line in [
            "0::/machine.slice/libpod-conmon-{ID}.scope\n",
            "0::/kubepods.slice/kubepods-podUID_.slice/crio-conmon-{ID}.scope\n",
            "0::/libpod_parent/conmon\n",
        ] {
            assert_eq!(container(&text(line)), None, "{line}");
        }
    }

    #[test]
    fn a_path_seen_from_inside_a_cgroup_namespace_climbs_first() {
        assert_is("0::/../../podUID/{ID}\n", Runtime::Unknown, Some(UID));
        assert_is(
            "0::/../../../kubepods-burstable-podUID_.slice/cri-containerd-{ID}.scope\n",
            Runtime::Containerd,
            Some(UID),
        );
        assert_is("0::/../cri-containerd-{ID}.scope\n", Runtime::Containerd, None);
    }

    #[test]
    fn a_container_in_a_container_is_the_inner_one_with_its_own_pod() {
        assert_is(
            "0::/docker/OTHER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podUID_.slice/cri-containerd-{ID}.scope\n",
            Runtime::Containerd,
            Some(UID),
        );
        assert_is(
            "0::/system.slice/docker-OTHER.scope/kubelet/kubepods/burstable/podUID/{ID}\n",
            Runtime::Unknown,
            Some(UID),
        );
        assert_is("0::/kubepods/podUID/OTHER/docker/{ID}\n", Runtime::Docker, None);
        assert_is("0::/docker/OTHER/docker/{ID}/init.scope\n", Runtime::Docker, None);
    }

    #[test]
    fn a_static_pod_has_a_uid_without_dashes() {
        assert_is("0::/kubepods/burstable/podSTATIC/{ID}\n", Runtime::Unknown, Some(STATIC));
    }

    #[test]
    fn a_host_process_is_in_no_container() {
        for line in [
            "0::/\n",
            "0::/init.scope\n",
            "0::/system.slice/docker.service\n",
            "0::/user.slice/user-0.slice/session-3.scope\n",
            "0::/kubepods.slice/kubepods-podUID_.slice\n",
            "4:memory:/process_api/bb38962aa0446d2f923290c4923b3207\n0::/\n",
            "",
            "nonsense",
        ] {
            assert_eq!(container(&text(line)), None, "{line}");
        }
    }
}
