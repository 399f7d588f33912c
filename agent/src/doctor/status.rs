//! `/proc/self/status`: capabilities, seccomp, pid namespaces.
//!
//! In: the file's text. Out: the few lines of it that matter. It must not judge them.
//!
//! Pure: no I/O.

use crate::capabilities::Capability;

/// What was in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Bits of `CapEff`.
    pub(super) effective: u64,
    /// `Seccomp`: 0 off, 1 strict, 2 filter; `None` when the kernel does not say.
    pub(super) seccomp: Option<u8>,
    /// How many pid namespaces `NSpid` names: more than one is nested, as `/proc` sees it.
    pub(super) pid_depth: usize,
    /// Effective user id.
    pub(super) uid: Option<u32>,
}

impl Status {
    /// Whether the process has the capability.
    pub(super) const fn has(&self, capability: Capability) -> bool {
        (self.effective >> capability.bit()) & 1 == 1
    }

    /// Whether it may hear what the kernel reports of other network namespaces: `CAP_NET_BROADCAST`.
    pub(super) const fn hears_all(&self) -> bool {
        (self.effective >> 11) & 1 == 1
    }
}

/// Reads the text; lines that are missing or odd leave their field as it is by default.
pub(super) fn parse(text: &str) -> Status {
    let mut status = Status::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name {
            "CapEff" => status.effective = u64::from_str_radix(value, 16).unwrap_or(0),
            "Seccomp" => status.seccomp = value.parse().ok(),
            "NSpid" => status.pid_depth = value.split_whitespace().count(),
            "Uid" => status.uid = value.split_whitespace().nth(1).and_then(|uid| uid.parse().ok()),
            _ => {}
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Name:\tcat\nUmask:\t0022\nState:\tR (running)\nTgid:\t32284\nUid:\t0\t0\t0\t0\n\
        NSpid:\t32284\nCapInh:\t0000000000000000\nCapPrm:\t000001fffeffffff\nCapEff:\t000001fffeffffff\n\
        CapBnd:\t000001fffeffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n";

    #[test]
    fn root_has_what_the_sources_need() {
        let status = parse(ROOT);

        assert!(Capability::ALL.into_iter().all(|c| status.has(c)) && status.hears_all());
        assert_eq!((status.seccomp, status.pid_depth, status.uid), (Some(0), 1, Some(0)));
    }

    #[test]
    fn the_default_set_of_a_container_has_none_of_them() {
        let status =
            parse("Uid:\t0\t0\t0\t0\nNSpid:\t4711\t1\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n");

        assert!(!Capability::ALL.into_iter().any(|c| status.has(c)));
        assert_eq!((status.seccomp, status.pid_depth), (Some(2), 2));
    }

    #[test]
    fn bpf_and_perfmon_are_bits_39_and_38() {
        let status = parse("CapEff:\t000000c000000000\n");

        assert!(status.has(Capability::Bpf) && status.has(Capability::Perfmon));
        assert!(!status.has(Capability::SysAdmin));
    }

    #[test]
    fn text_that_makes_no_sense_grants_nothing() {
        assert_eq!(parse("CapEff:\tnonsense\nSeccomp\n"), Status::default());
    }
}
