//! The capabilities that matter, and what each is good for.
//!
//! In: nothing. Out: names, numbers, losses. It must not know which of them the process has.
//!
//! Pure: no I/O.

use probelet_core::facts::SourceKind;

/// A capability that a source makes use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Loading programs.
    Bpf,
    /// Letting them read kernel memory.
    Perfmon,
    /// Entering network namespaces.
    SysAdmin,
    /// Looking into other users' processes.
    SysPtrace,
    /// Passing file permissions when reading.
    DacReadSearch,
    /// Asking conntrack.
    NetAdmin,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Bpf,
        Self::Perfmon,
        Self::SysAdmin,
        Self::SysPtrace,
        Self::DacReadSearch,
        Self::NetAdmin,
    ];

    /// Its number in `include/uapi/linux/capability.h`.
    #[must_use]
    pub const fn bit(self) -> u32 {
        match self {
            Self::DacReadSearch => 2,
            Self::NetAdmin => 12,
            Self::SysPtrace => 19,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }

    /// Its name as a manifest spells it: without `CAP_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "BPF",
            Self::Perfmon => "PERFMON",
            Self::SysAdmin => "SYS_ADMIN",
            Self::SysPtrace => "SYS_PTRACE",
            Self::DacReadSearch => "DAC_READ_SEARCH",
            Self::NetAdmin => "NET_ADMIN",
        }
    }

    /// What is lost without it.
    #[must_use]
    pub const fn loss(self) -> &'static str {
        match self {
            Self::Bpf => "the sources bpf and bpf-compat cannot load their programs",
            Self::Perfmon => "the programs of bpf and bpf-compat may not read kernel memory",
            Self::SysAdmin => {
                "the source netlink cannot enter the network namespaces of containers"
            }
            Self::SysPtrace => {
                "netlink and procfs cannot find the process that holds a socket of another user"
            }
            Self::DacReadSearch => {
                "netlink and procfs cannot list the open files of other users' processes"
            }
            Self::NetAdmin => "conntrack cannot be asked for the backend behind a Service address",
        }
    }

    /// Whether a source's picture is the poorer without it.
    #[must_use]
    pub const fn serves(self, source_kind: SourceKind) -> bool {
        matches!(
            (self, source_kind),
            (Self::Bpf | Self::Perfmon, SourceKind::Bpf | SourceKind::BpfCompat)
                | (Self::SysAdmin, SourceKind::Netlink)
                | (Self::SysPtrace | Self::DacReadSearch, SourceKind::Netlink | SourceKind::Procfs)
        )
    }
}
