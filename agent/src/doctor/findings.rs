//! What was looked at, and how it is to be taken.
//!
//! In: what was read. Out: findings, in order. It must not call a thing lost that the chosen source does not need.
//!
//! Pure: no I/O.

use super::kernel::Version;
use super::read::{Docker, Read};
use super::{Finding, Mark, Places, sources};
use crate::capabilities::{Capability, Set};
use crate::discover::mounts::Cgroups;
use crate::rights;
use probelet_core::facts::SourceKind;

/// Inode number of the initial pid namespace, `PROC_PID_INIT_INO` of the kernel.
const INITIAL_PID_NS: &str = "pid:[4026531836]";

/// How everything is to be taken, given the source that would be chosen.
pub(super) fn judge(read: &Read, chosen: Option<SourceKind>, places: &Places) -> Vec<Finding> {
    let mut findings = vec![kernel(read), btf(read), unprivileged(read), lockdown(read)];
    findings.extend(Capability::ALL.into_iter().map(|c| capability(read, c, chosen)));
    findings.push(broadcast(read));
    findings.extend([seccomp(read), pid_namespace(read), hidepid(read), cgroups(read), hash(read)]);
    findings.extend([diag(read, chosen), docker(read, places)]);
    findings.extend([filter(read), files(read), kept(read, chosen)]);
    findings
}

fn finding(topic: &'static str, mark: Mark, found: impl Into<String>) -> Finding {
    Finding { topic, mark, found: found.into(), meaning: None, remedy: None }
}

impl Finding {
    fn meaning(self, meaning: impl Into<String>) -> Self {
        Self { meaning: Some(meaning.into()), ..self }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

fn kernel(read: &Read) -> Finding {
    let version = read.version();
    if version >= Version::needed(SourceKind::Bpf) {
        return finding("kernel", Mark::Good, &read.release);
    }
    let compat = Version::needed(SourceKind::BpfCompat);
    let meaning = if version >= compat {
        format!("older than {}: bpf-compat stands in for bpf", Version::needed(SourceKind::Bpf))
    } else {
        format!("older than {compat}: no program can run, netlink is the best there is")
    };
    finding("kernel", Mark::Note, &read.release).meaning(meaning)
}

fn btf(read: &Read) -> Finding {
    if read.btf {
        return finding("BTF", Mark::Good, "/sys/kernel/btf/vmlinux is there");
    }
    let matters = read.version() >= Version::needed(SourceKind::BpfCompat);
    finding(
        "BTF",
        if matters { Mark::Lost } else { Mark::Note },
        "/sys/kernel/btf/vmlinux is missing",
    )
    .meaning("bpf and bpf-compat cannot locate the kernel's fields")
    .remedy(
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y; in a container, mount the host's /sys",
    )
}

fn unprivileged(read: &Read) -> Finding {
    let value = read.unprivileged_bpf.as_deref().unwrap_or("unknown");
    finding("unprivileged_bpf_disabled", Mark::Good, value)
        .meaning("does not matter: CAP_BPF overrides it")
}

fn lockdown(read: &Read) -> Finding {
    match &read.lockdown {
        Some(mode) if mode == "confidentiality" => finding("lockdown", Mark::Lost, mode)
            .meaning("no program may read kernel memory: bpf and bpf-compat are refused")
            .remedy("boot with lockdown=integrity or none, if the site's rules allow it"),
        Some(mode) => finding("lockdown", Mark::Good, mode),
        None => finding("lockdown", Mark::Good, "not in force, or securityfs is not mounted"),
    }
}

fn capability(read: &Read, capability: Capability, chosen: Option<SourceKind>) -> Finding {
    let topic = match capability {
        Capability::Bpf => "CAP_BPF",
        Capability::Perfmon => "CAP_PERFMON",
        Capability::SysAdmin => "CAP_SYS_ADMIN",
        Capability::SysPtrace => "CAP_SYS_PTRACE",
        Capability::DacReadSearch => "CAP_DAC_READ_SEARCH",
        Capability::NetAdmin => "CAP_NET_ADMIN",
    };
    if read.status.has(capability) {
        return finding(topic, Mark::Good, "effective");
    }
    if read.may(capability) {
        return finding(topic, Mark::Good, "missing, but CAP_SYS_ADMIN includes it");
    }
    let programs =
        sources::possible(read, SourceKind::BpfCompat) && capability.serves(SourceKind::Bpf);
    let lost = programs || chosen.is_none_or(|source_kind| capability.serves(source_kind));
    // The remedy stands with the source: `setcap` replaces what was set, so it needs the whole list.
    finding(topic, if lost { Mark::Lost } else { Mark::Note }, "missing").meaning(capability.loss())
}

/// What no source is chosen by, and all count with.
fn broadcast(read: &Read) -> Finding {
    const TOPIC: &str = "CAP_NET_BROADCAST";
    if read.status.hears_all() {
        return finding(TOPIC, Mark::Good, "effective");
    }
    finding(TOPIC, Mark::Lost, "missing").meaning(
        "the ends of connections in containers' own network namespaces are not reported: of short ones about half of the ends are counted",
    )
}

fn seccomp(read: &Read) -> Finding {
    match read.status.seccomp {
        Some(0) => finding("seccomp", Mark::Good, "off"),
        Some(mode) => {
            finding("seccomp", Mark::Note, if mode == 1 { "strict" } else { "a filter is active" })
                .meaning(
                    "it may refuse bpf() or netlink sockets; the sources below were tried under it",
                )
        }
        None => finding("seccomp", Mark::Good, "not in this kernel"),
    }
}

fn pid_namespace(read: &Read) -> Finding {
    match &read.pid_ns {
        Some(ns) if ns == INITIAL_PID_NS => finding("pid namespace", Mark::Good, "the host's"),
        Some(ns) => finding(
            "pid namespace",
            Mark::Note,
            format!("{ns}, {} below /proc's", read.status.pid_depth.max(1) - 1),
        )
        .meaning(
            "only processes of this namespace are seen; right on a node that is itself a container",
        )
        .remedy("else run on the host, or in Kubernetes set hostPID: true"),
        None => finding("pid namespace", Mark::Lost, "unknown: /proc/self/ns/pid cannot be read")
            .meaning("/proc is not mounted here, or belongs to another pid namespace")
            .remedy("mount -t proc proc /proc"),
    }
}

fn hidepid(read: &Read) -> Finding {
    match &read.mounts.hidepid {
        None => finding("/proc hidepid", Mark::Good, "off"),
        Some(mode) if read.may(Capability::SysPtrace) => finding("/proc hidepid", Mark::Good, mode)
            .meaning("does not matter: CAP_SYS_PTRACE overrides it"),
        Some(mode) => finding("/proc hidepid", Mark::Lost, mode)
            .meaning("processes of other users are hidden")
            .remedy("grant CAP_SYS_PTRACE, or mount -o remount,hidepid=0 /proc"),
    }
}

fn cgroups(read: &Read) -> Finding {
    let cgroups = read.mounts.cgroups;
    if cgroups == Cgroups::Absent {
        return finding("cgroups", Mark::Lost, cgroups.to_string())
            .meaning("CPU and memory of containers cannot be read")
            .remedy("mount -t cgroup2 cgroup2 /sys/fs/cgroup; in a container, mount the host's /sys/fs/cgroup");
    }
    finding("cgroups", Mark::Good, cgroups.to_string())
}

fn hash(read: &Read) -> Finding {
    let entries = read.child_ehash.as_deref().unwrap_or("0");
    let meaning = if entries == "0" {
        "one table of connections for the whole machine, as usual"
    } else {
        "namespaces get tables of their own"
    };
    finding("tcp_child_ehash_entries", Mark::Good, entries).meaning(meaning)
}

fn diag(read: &Read, chosen: Option<SourceKind>) -> Finding {
    let Some(refusal) = &read.sock_diag else { return finding("sock_diag", Mark::Good, "answers") };
    let needed = chosen.is_none_or(|source_kind| source_kind >= SourceKind::Netlink);
    finding(
        "sock_diag",
        if needed { Mark::Lost } else { Mark::Note },
        format!("refused: {refusal}"),
    )
    .meaning("netlink cannot list sockets")
    .remedy("modprobe inet_diag tcp_diag udp_diag; allow netlink sockets in the seccomp profile")
}

fn filter(read: &Read) -> Finding {
    const TOPIC: &str = "filter of system calls";
    match &read.filter {
        None => finding(TOPIC, Mark::Good, "in force after the first full report"),
        Some(why) => finding(TOPIC, Mark::Note, format!("none: {why}"))
            .meaning("a running agent may make every system call"),
    }
}

fn files(read: &Read) -> Finding {
    match read.landlock {
        Some(version @ 4..) => finding("landlock", Mark::Good, format!("version {version}")),
        Some(version) => {
            finding("landlock", Mark::Note, format!("version {version}, without ports"))
                .meaning("a running agent may connect to every port")
        }
        None => finding("landlock", Mark::Note, "not in this kernel, or not switched on")
            .meaning("a running agent may open every file of its user's")
            .remedy("boot with landlock in lsm=, Linux 5.13 or newer"),
    }
}

/// The rights that an agent would begin with, and those that it would keep.
fn kept(read: &Read, chosen: Option<SourceKind>) -> Finding {
    let held = |set: Set| {
        let all = Capability::ALL.into_iter().filter(|one| set.has(*one) && read.status.has(*one));
        all.map(Capability::name).collect::<Vec<_>>().join(", ")
    };
    let mut kept = vec![held(chosen.map_or_else(Set::default, rights::keeps))];
    kept.push(held(Set::of([Capability::NetAdmin])));
    kept.retain(|names| !names.is_empty());
    let none = |names: String| if names.is_empty() { "none".to_owned() } else { names };
    let start = none(held(Set::of(Capability::ALL)));
    let kept = none(kept.join(", "));
    finding("rights while it runs", Mark::Good, format!("{start} → {kept}"))
        .meaning("what is on the left is given back after the first full report, but for what is on the right")
}

fn docker(read: &Read, places: &Places) -> Finding {
    let path = places.docker.display();
    match read.docker {
        Docker::Reachable => finding("Docker", Mark::Good, format!("answers at {path}")),
        Docker::Absent => finding("Docker", Mark::Note, format!("no socket at {path}"))
            .meaning("containers are shown by their ids"),
        Docker::Forbidden => finding("Docker", Mark::Lost, format!("{path} may not be opened"))
            .meaning("containers are shown by their ids")
            .remedy("run in the group that owns the socket (usually docker)"),
        Docker::Silent => finding("Docker", Mark::Note, format!("no answer at {path}"))
            .meaning("containers are shown by their ids until the daemon runs"),
    }
}
