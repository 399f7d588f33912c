//! What is looked at, and how it is to be taken.
//!
//! In: a few small files, an answer of the kernel, Docker's socket. Out: findings, in order. It
//! must not call a thing lost that the chosen source does not need.
//!
//! I/O: [`read`] only; [`judge`] is pure.

use super::kernel::Version;
use super::mounts::{self, Cgroups, Mounts};
use super::status::{self, Status};
use super::{Capability, Finding, Mark, Places, sock_diag, tiers};
use crate::rights::{self, capabilities::Set};
use crate::sys::{landlock, seccomp};
use probelet_core::facts::Tier;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;

/// Inode number of the initial pid namespace, `PROC_PID_INIT_INO` of the kernel.
const INITIAL_PID_NS: &str = "pid:[4026531836]";

/// Whether Docker can be asked for names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Docker {
    /// It accepts connections.
    Reachable,
    /// There is no socket.
    #[default]
    Absent,
    /// There is one, and it may not be opened.
    Forbidden,
    /// There is one, and no one answers.
    Silent,
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub(super) release: String,
    pub(super) btf: bool,
    pub(super) unprivileged_bpf: Option<String>,
    pub(super) lockdown: Option<String>,
    pub(super) status: Status,
    pub(super) mounts: Mounts,
    pub(super) pid_ns: Option<String>,
    pub(super) child_ehash: Option<String>,
    pub(super) sock_diag: Option<String>,
    pub(super) docker: Docker,
    /// Version of landlock; `None` where there is none.
    pub(super) landlock: Option<u32>,
    /// Why no filter of system calls can be had.
    pub(super) filter: Option<String>,
}

impl Read {
    /// The kernel's version; an unreadable one can carry nothing special.
    pub(super) fn version(&self) -> Version {
        Version::parse(&self.release).unwrap_or(Version(0, 0))
    }

    /// Whether reading kernel memory is locked down.
    pub(super) fn confidential(&self) -> bool {
        self.lockdown.as_deref() == Some("confidentiality")
    }

    /// Whether the process has a capability, or one that stands for it.
    pub(super) const fn may(&self, capability: Capability) -> bool {
        let implied = matches!(capability, Capability::Bpf | Capability::Perfmon);
        self.status.has(capability) || (implied && self.status.has(Capability::SysAdmin))
    }
}

/// Reads everything; what cannot be read is unknown.
pub(super) fn read(places: &Places) -> Read {
    let text = |path: &str| fs::read_to_string(places.proc.join(path)).unwrap_or_default();
    let value = |path: &str| Some(text(path).trim().to_owned()).filter(|v| !v.is_empty());
    let lockdown =
        fs::read_to_string(places.sys.join("kernel/security/lockdown")).unwrap_or_default();
    let pid_ns = fs::read_link(places.proc.join("self/ns/pid")).ok();
    Read {
        release: value("sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        btf: places.sys.join("kernel/btf/vmlinux").exists(),
        unprivileged_bpf: value("sys/kernel/unprivileged_bpf_disabled"),
        lockdown: chosen_word(&lockdown),
        status: status::parse(&text("self/status")),
        mounts: mounts::parse(&text("self/mountinfo")),
        pid_ns: pid_ns.map(|link| link.to_string_lossy().into_owned()),
        child_ehash: value("sys/net/ipv4/tcp_child_ehash_entries"),
        sock_diag: sock_diag::ask().err().map(|errno| std::io::Error::from(errno).to_string()),
        docker: match UnixStream::connect(&places.docker).map_err(|e| e.kind()) {
            Ok(_) => Docker::Reachable,
            Err(ErrorKind::NotFound) => Docker::Absent,
            Err(ErrorKind::PermissionDenied) => Docker::Forbidden,
            Err(_) => Docker::Silent,
        },
        landlock: landlock::version().ok(),
        filter: seccomp::probe().err().map(|error| error.to_string()),
    }
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen_word(text: &str) -> Option<String> {
    text.split_whitespace()
        .find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
}

/// How everything is to be taken, given the source that would be chosen.
pub(super) fn judge(read: &Read, chosen: Option<Tier>, places: &Places) -> Vec<Finding> {
    let mut findings = vec![kernel(read), btf(read), unprivileged(read), lockdown(read)];
    findings.extend(Capability::ALL.into_iter().map(|c| capability(read, c, chosen)));
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
    if version >= Version::needed(Tier::Bpf) {
        return finding("kernel", Mark::Good, &read.release);
    }
    let compat = Version::needed(Tier::BpfCompat);
    let meaning = if version >= compat {
        format!("older than {}: bpf-compat stands in for bpf", Version::needed(Tier::Bpf))
    } else {
        format!("older than {compat}: no program can run, netlink is the best there is")
    };
    finding("kernel", Mark::Note, &read.release).meaning(meaning)
}

fn btf(read: &Read) -> Finding {
    if read.btf {
        return finding("BTF", Mark::Good, "/sys/kernel/btf/vmlinux is there");
    }
    let matters = read.version() >= Version::needed(Tier::BpfCompat);
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

fn capability(read: &Read, capability: Capability, chosen: Option<Tier>) -> Finding {
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
    let programs = tiers::possible(read, Tier::BpfCompat) && capability.serves(Tier::Bpf);
    let lost = programs || chosen.is_none_or(|tier| capability.serves(tier));
    // The remedy stands with the source: `setcap` replaces what was set, so it needs the whole list.
    finding(topic, if lost { Mark::Lost } else { Mark::Note }, "missing").meaning(capability.loss())
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

fn diag(read: &Read, chosen: Option<Tier>) -> Finding {
    let Some(refusal) = &read.sock_diag else { return finding("sock_diag", Mark::Good, "answers") };
    let needed = chosen.is_none_or(|tier| tier >= Tier::Netlink);
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
fn kept(read: &Read, chosen: Option<Tier>) -> Finding {
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
