//! How runtimes name the cgroups of containers and pods.
//!
//! In: the parts of a cgroup's path. Out: the container, or the uid of the pod, that one of them
//! stands for. It must not take a helper of a runtime or an ordinary service for a container: what
//! it does not know is none.
//!
//! Pure: no I/O.

use probelet_core::facts::Runtime;

/// Digits of a full container id.
const ID_DIGITS: usize = 64;
/// A name with a runtime's prefix may carry a shorter id; below this it is a word, not an id.
pub(super) const ID_DIGITS_MIN: usize = 12;
/// Digits of a pod uid: 32, with or without four dashes (static pods have a hash without).
const UID_DIGITS: usize = 32;
/// Letters and digits of a step that BuildKit runs.
const BUILD_DIGITS: usize = 25;
/// Longest name that is taken for a container's where names are free: LXC, nspawn, Nomad.
const NAME_MAX: usize = 128;

/// What runtimes put before the id, in a scope of systemd or a directory of their own. Helpers
/// such as `crio-conmon-ID` and `libpod-monitor-ID` match none: what follows the prefix is no number.
const PREFIXES: [(&str, Runtime); 10] = [
    ("cri-containerd-", Runtime::Containerd),
    ("nerdctl-", Runtime::Containerd),
    ("containerd-", Runtime::Containerd),
    ("crio-", Runtime::CriO),
    ("docker-", Runtime::Docker),
    // `--cgroups=split`, as every Quadlet has it.
    ("libpod-payload-", Runtime::Podman),
    ("libpod-", Runtime::Podman),
    // The sandbox: the VMM, virtiofsd and the shim.
    ("kata_", Runtime::Kata),
    ("kata-", Runtime::Kata),
    ("isulad-", Runtime::Unknown),
];

/// Whether the part at `at` is a container: its id, and who runs it.
pub(super) fn container_at(parts: &[&str], at: usize) -> Option<(String, Runtime)> {
    let part = *parts.get(at)?;
    let (id, runtime) = by_id(parts, at, part).or_else(|| by_name(parts, at, part))?;
    Some((id.replace("\\x2d", "-"), runtime))
}

/// Runtimes that number their containers.
fn by_id<'a>(parts: &[&'a str], at: usize, part: &'a str) -> Option<(&'a str, Runtime)> {
    // containerd without the systemd driver on a node with it: SLICE:cri-containerd:ID
    if let Some((before, id)) = part.rsplit_once(':') {
        let prefix = before.rsplit(':').next()?;
        let known = |(name, _): &&(&str, Runtime)| name.strip_suffix('-') == Some(prefix);
        let runtime = PREFIXES.iter().find(known).map_or(Runtime::Unknown, |(_, r)| *r);
        return is_hex(id, ID_DIGITS_MIN).then_some((id, runtime));
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix)
            && is_hex(id, ID_DIGITS_MIN)
        {
            return Some((id, runtime));
        }
    }
    let parent = up(parts, at, 1);
    if let Some(id) = name.strip_prefix("docker-").or((parent == "buildkit").then_some(name))
        && is_build(id)
    {
        return Some((id, Runtime::BuildKit));
    }
    // Without systemd, Podman has its pods there: its containers are `libpod-ID`.
    let bare = name.len() == ID_DIGITS && is_hex(name, ID_DIGITS) && parent != "libpod_parent";
    let runtime = match if up(parts, at, 2) == "ecs" { "docker" } else { parent } {
        "docker" | "actions_job" => Runtime::Docker,
        "kata_overhead" => Runtime::Kata,
        _ => Runtime::Unknown,
    };
    bare.then_some((name, runtime))
}

/// Runtimes whose containers have names, each in a place of its own.
fn by_name<'a>(parts: &[&'a str], at: usize, part: &'a str) -> Option<(&'a str, Runtime)> {
    let parent = up(parts, at, 1);
    let below = parts.get(at + 1).copied().unwrap_or_default();
    let inside = |slice: &str| parts[..at].contains(&slice);
    let found = if let Some(name) = part.strip_prefix("lxc.payload.") {
        (name, Runtime::Lxc)
    } else if parent == "lxc.payload" || (parent == "lxc" && up(parts, at, 2).is_empty()) {
        (part, Runtime::Lxc)
    } else if let Some(name) = machine(part, "machine-lxc\\x2d", ".scope") {
        (name.split_once("\\x2d")?.1, Runtime::Lxc)
    } else if let Some(name) = machine(part, "systemd-nspawn@", ".service") {
        // Beside the payload there is nspawn itself.
        (name, (!matches!(below, "" | "supervisor")).then_some(Runtime::Nspawn)?)
    } else if let Some(name) = machine(part, "machine-", ".scope") {
        // Virtual machines are registered under such names as well, but nothing boots in their cgroup.
        let boots = matches!(below, "payload" | "init.scope" | "system.slice");
        (name, boots.then_some(Runtime::Nspawn)?)
    } else if let Some((allocation, _)) = part.split_once('.')
        && (inside("nomad.slice") || inside("nomad"))
    {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        (name, is_uuid(allocation).then_some(Runtime::Nomad)?)
    } else if inside("garden") && is_handle(part) {
        (part, Runtime::Garden)
    } else if parent == "mesos" && is_uuid(part) {
        (part, Runtime::Mesos)
    } else if parent == "firecracker" {
        (part, Runtime::Firecracker)
    } else if inside("ecs") && is_fargate(part) {
        (part, Runtime::Unknown)
    } else {
        return None;
    };
    let name = found.0;
    let clean = name.bytes().all(|b| b.is_ascii_graphic());
    (clean && (1..=NAME_MAX).contains(&name.len())).then_some(found)
}

/// The part so many levels up; empty above the first.
fn up<'a>(parts: &[&'a str], at: usize, levels: usize) -> &'a str {
    at.checked_sub(levels).map_or("", |at| parts[at])
}

fn machine<'a>(part: &'a str, before: &str, after: &str) -> Option<&'a str> {
    part.strip_prefix(before)?.strip_suffix(after).filter(|name| !name.is_empty())
}

/// `podUID`, `kubepods-burstable-podUID.slice` and the same below a nested kubelet; systemd slices
/// have underscores where the uid has dashes.
pub(super) fn pod_uid(part: &str) -> Option<String> {
    // SLICE:cri-containerd:ID carries its pod in the first part.
    let name = part.split(':').next()?;
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

pub(super) fn is_hex(text: &str, at_least: usize) -> bool {
    text.len() >= at_least && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_build(text: &str) -> bool {
    text.len() == BUILD_DIGITS && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(|group| is_hex(group, 1).then_some(group.len()));
    groups.eq([8, 4, 4, 4, 12].map(Some))
}

/// The handle of a Garden container: a uuid, or the shorter form of an application's instance.
fn is_handle(text: &str) -> bool {
    let groups = text.split('-').map(|group| is_hex(group, 1).then_some(group.len()));
    is_uuid(text) || groups.eq([8, 4, 4, 4, 4].map(Some))
}

/// Task and container of Fargate: 32 hexadecimal digits, a dash, ten digits.
fn is_fargate(text: &str) -> bool {
    let number = |text: &str| text.len() >= 8 && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('-').is_some_and(|(task, n)| task.len() == 32 && is_hex(task, 32) && number(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1d0c3c1b4b9e6c2d7f8a90b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e";
    const UUID: &str = "8dbc6577-d0e2-4706-8787-57d52c03ddf2";

    /// The innermost container of a path.
    fn innermost(path: &str) -> Option<(String, Runtime)> {
        let path = path.replace("{ID}", ID).replace("{UUID}", UUID);
        let parts: Vec<&str> = path.split('/').collect();
        (0..parts.len()).rev().find_map(|at| container_at(&parts, at))
    }

    #[test]
    fn runtimes_that_number_their_containers() {
        for (path, runtime) in [
            ("/system.slice/web.service/libpod-payload-{ID}", Runtime::Podman),
            ("/machine.slice/libpod-{ID}.scope/container", Runtime::Podman),
            ("/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{ID}.scope", Runtime::Podman),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope",
                Runtime::Docker,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/nerdctl-{ID}.scope",
                Runtime::Containerd,
            ),
            ("/ecs/0123456789abcdef0123456789abcdef/{ID}", Runtime::Docker),
            ("/ecstasks.slice/ecstasks-0123.slice/docker-{ID}.scope", Runtime::Docker),
            ("/nomad.slice/docker-{ID}.scope", Runtime::Docker),
            ("/kata_overhead/{ID}", Runtime::Kata),
            ("/libpod_parent/libpod-{ID}/docker/{ID}", Runtime::Docker),
            ("/system.slice/containerd.service/kubepods-burstable.slice:crio:{ID}", Runtime::CriO),
        ] {
            assert_eq!(innermost(path), Some((ID.to_owned(), runtime)), "{path}");
        }
    }

    #[test]
    fn runtimes_that_name_their_containers() {
        let build = "qm1e1kznv4e1qnq0wq5z8h2vp";
        for (path, id, runtime) in [
            ("/docker/buildkit/qm1e1kznv4e1qnq0wq5z8h2vp", build, Runtime::BuildKit),
            ("/system.slice/docker-qm1e1kznv4e1qnq0wq5z8h2vp.scope", build, Runtime::BuildKit),
            ("/lxc.payload.web/system.slice/ssh.service", "web", Runtime::Lxc),
            ("/lxc/101/ns/init.scope", "101", Runtime::Lxc),
            ("/lxc.payload/101/init.scope", "101", Runtime::Lxc),
            ("/machine.slice/machine-lxc\\x2d4217\\x2dweb.scope/libvirt", "web", Runtime::Lxc),
            (
                "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
                "web",
                Runtime::Nspawn,
            ),
            ("/machine.slice/machine-deb\\x2d12.scope/payload", "deb-12", Runtime::Nspawn),
            ("/nomad.slice/share.slice/{UUID}.web.scope", "{UUID}.web", Runtime::Nomad),
            ("/system.slice/garden.service/garden/good/{UUID}", "{UUID}", Runtime::Garden),
            (
                "/garden/8dbc6577-d0e2-4706-8787-57d5",
                "8dbc6577-d0e2-4706-8787-57d5",
                Runtime::Garden,
            ),
            ("/mesos/{UUID}", "{UUID}", Runtime::Mesos),
            ("/firecracker/vm-1", "vm-1", Runtime::Firecracker),
            (
                "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890",
                "0123456789abcdef0123456789abcdef-1234567890",
                Runtime::Unknown,
            ),
        ] {
            assert_eq!(innermost(path), Some((id.replace("{UUID}", UUID), runtime)), "{path}");
        }
    }

    #[test]
    fn helpers_machines_and_services_are_no_containers() {
        for path in [
            "/system.slice/web.service/libpod-monitor-{ID}",
            "/system.slice/web.service/supervisor",
            "/lxc.monitor.web",
            "/lxc.monitor/101",
            "/lxc.pivot",
            "/lxc",
            "/machine.slice/systemd-nspawn@web.service/supervisor",
            "/machine.slice/systemd-nspawn@web.service",
            "/machine.slice/machine-qemu\\x2d1\\x2dwin.scope/libvirt/emulator",
            "/machine.slice/libpod_pod_{ID}.slice",
            "/system.slice/snap.microk8s.daemon-containerd.service",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.gnome-12.scope",
            "/system.slice/docker-registry.service",
            "/nomad.slice/share.slice",
            "/garden/good",
            "/home/lxc/web",
            "/system/apid",
            "/libpod_parent/{ID}/conmon",
            "/user.slice/user-1000.slice/libpod_parent/{ID}",
        ] {
            assert_eq!(innermost(path), None, "{path}");
        }
    }
}
