//! The capabilities of the calling thread: which there are, and giving back all but a few.
//!
//! In: what is kept. Out: sets, and what could not be given back. It must not decide what is kept.
//!
//! Capabilities are a thread's own: each thread calls this for itself, and threads that it starts later have what it has then.
//!
//! I/O: prctl(2), capget(2), capset(2).

mod kinds;

pub use kinds::Capability;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};
use std::io;

/// A set of capabilities, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub u64);

/// In the order of their numbers, `include/uapi/linux/capability.h`, as a manifest spells them.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

impl Set {
    /// Of those that sources make use of.
    pub fn of(list: impl IntoIterator<Item = Capability>) -> Self {
        Self(list.into_iter().fold(0, |set, capability| set | 1 << capability.bit()))
    }

    /// Their names, lowest number first; a later kernel's by number.
    pub fn names(self) -> impl Iterator<Item = String> {
        (0..64_usize).filter(move |bit| self.0 >> bit & 1 == 1).map(|bit| {
            NAMES.get(bit).map_or_else(|| format!("CAP_{bit}"), |name| (*name).to_owned())
        })
    }

    /// Whether it has one.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 >> capability.bit() & 1 == 1
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a thread has after it gave back what it could.
#[derive(Debug)]
pub struct Given {
    /// What it has now.
    pub held: Set,
    /// Why it has more than it was to keep.
    pub capabilities: io::Result<()>,
    /// Why there is more in its bounding set than nothing.
    pub bounding: io::Result<()>,
    /// Why no_new_privs is not set.
    pub no_new_privileges: io::Result<()>,
}

/// What the calling thread can make use of.
#[must_use]
pub fn usable() -> Set {
    Set(capabilities(None).map_or(0, |sets| sets.effective.bits()))
}

/// What the calling thread has.
#[must_use]
pub fn held() -> Set {
    Set(capabilities(None).map_or(0, |sets| sets.permitted.bits()))
}

/// Gives back everything but `keep`: the bounding and the ambient set whole, the other sets but for that.
#[must_use]
pub fn give_back(keep: Set) -> Given {
    // There may be none in the kernel; then no set is to be emptied.
    let _unknown = clear_ambient_capability_set();
    // First, as it takes CAP_SETPCAP.
    let bounding = empty_bounding_set();
    let kept = CapabilitySet::from_bits_retain(held().0 & keep.0);
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: none };
    let capabilities = set_capabilities(None, sets).map_err(io::Error::from);
    let no_new_privileges = set_no_new_privs(true).map_err(io::Error::from);
    Given { held: held(), capabilities, bounding, no_new_privileges }
}

fn empty_bounding_set() -> io::Result<()> {
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(one) {
            Ok(true) => remove_capability_from_bounding_set(one)?,
            Ok(false) => {}
            // The last one is behind.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_named_as_a_manifest_names_them() {
        let set = Set::of([Capability::Bpf, Capability::NetAdmin, Capability::Perfmon]);

        assert_eq!(set.names().collect::<Vec<_>>(), ["NET_ADMIN", "PERFMON", "BPF"]);
        assert_eq!(Set(1 << 50).names().collect::<Vec<_>>(), ["CAP_50"]);
        for capability in Capability::ALL {
            assert_eq!(Set::of([capability]).names().collect::<Vec<_>>(), [capability.name()]);
        }
    }

    #[test]
    fn a_thread_that_gives_all_back_has_none_and_its_neighbour_what_it_had() {
        let before = held();

        let (given, status) = std::thread::spawn(|| {
            (give_back(Set::default()), std::fs::read_to_string("/proc/thread-self/status"))
        })
        .join()
        .unwrap();

        assert!(given.held.is_empty() && given.capabilities.is_ok());
        let status = status.unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert_eq!(given.bounding.is_ok(), status.contains("CapBnd:\t0000000000000000"));
        assert_eq!(held(), before);
    }
}
