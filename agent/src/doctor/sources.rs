//! The sources, best first: usable, or refused and how to get them back.
//!
//! In: what was read, and a probe that tries to load a source. Out: verdicts. It must not declare
//! a source usable that did not load.
//!
//! Pure: the probe does what I/O there is.

use super::kernel::Version;
use super::read::Read;
use super::{Places, Verdict};
use crate::capabilities::Capability;
use probelet_core::facts::SourceKind;

/// Tries every source in turn.
pub(super) fn verdicts(
    read: &Read,
    places: &Places,
    probe: &mut dyn FnMut(SourceKind) -> Result<(), String>,
) -> Vec<Verdict> {
    let mut chosen = false;
    let mut verdicts = Vec::with_capacity(SourceKind::ALL.len());
    for source_kind in SourceKind::ALL {
        let (source, possible) = (source_kind.name(), possible(read, source_kind));
        verdicts.push(match probe(source_kind) {
            Ok(()) => {
                let first = !std::mem::replace(&mut chosen, true);
                Verdict {
                    source,
                    usable: true,
                    chosen: first,
                    possible,
                    why: gives(source_kind).to_owned(),
                    // It loads, but its picture may be the poorer.
                    remedy: grant_missing(read, source_kind, places).filter(|_| first),
                }
            }
            Err(why) => Verdict {
                source,
                usable: false,
                chosen: false,
                possible,
                why,
                remedy: remedy(read, source_kind, places),
            },
        });
    }
    verdicts
}

/// Whether this kernel could carry a source if nothing were forbidden.
pub(super) fn possible(read: &Read, source_kind: SourceKind) -> bool {
    match source_kind {
        SourceKind::Bpf | SourceKind::BpfCompat => {
            read.version() >= Version::needed(source_kind) && read.btf && !read.confidential()
        }
        SourceKind::Netlink | SourceKind::Procfs => true,
    }
}

/// How to grant capabilities, on a host and in a cluster.
fn grant(capabilities: &[Capability], places: &Places) -> String {
    let names: Vec<&str> = capabilities.iter().map(|c| c.name()).collect();
    let lower: Vec<String> =
        names.iter().map(|name| format!("cap_{}", name.to_ascii_lowercase())).collect();
    format!(
        "setcap {}+ep {} or run as root; in Kubernetes: securityContext.capabilities.add: [{}]",
        lower.join(","),
        places.binary.display(),
        names.join(", ")
    )
}

const fn gives(source_kind: SourceKind) -> &'static str {
    match source_kind {
        SourceKind::Bpf => "every socket with its exact owner and traffic, for the least CPU",
        SourceKind::BpfCompat => "the same data as bpf, for several times the CPU of a pass",
        SourceKind::Netlink => {
            "every socket; owners come from a budgeted walk of open files, later than with bpf"
        }
        SourceKind::Procfs => "works everywhere, without traffic counters, for the most CPU",
    }
}

/// How to grant what a source makes use of, when any of it is missing.
fn grant_missing(read: &Read, source_kind: SourceKind, places: &Places) -> Option<String> {
    let serving = || Capability::ALL.into_iter().filter(|c| c.serves(source_kind));
    // All of it, because `setcap` replaces what was set before.
    (!serving().all(|c| read.may(c))).then(|| grant(&serving().collect::<Vec<_>>(), places))
}

/// What has to change for a source to load, as far as that can be determined.
fn remedy(read: &Read, source_kind: SourceKind, places: &Places) -> Option<String> {
    if matches!(source_kind, SourceKind::Bpf | SourceKind::BpfCompat) {
        let needed = Version::needed(source_kind);
        if read.version() < needed {
            return Some(format!("boot kernel {needed} or newer"));
        }
        if !read.btf {
            return Some("boot a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned());
        }
        if read.confidential() {
            return Some("boot with lockdown=integrity or none".to_owned());
        }
    }
    let granted = grant_missing(read, source_kind, places);
    if granted.is_some() {
        return granted;
    }
    if read.status.seccomp == Some(2) {
        let call = if source_kind >= SourceKind::Netlink {
            "netlink sockets and setns()"
        } else {
            "bpf()"
        };
        return Some(format!("use a seccomp profile that allows {call}"));
    }
    (source_kind == SourceKind::Netlink && read.sock_diag.is_some())
        .then(|| "modprobe inet_diag tcp_diag udp_diag".to_owned())
}
