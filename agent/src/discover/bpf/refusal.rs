//! Why the kernel refused, in one message that a user can act on.
//!
//! In: the error and what the kernel says about itself. Out: the message. It must not decide by a
//! version number or an errno alone which source comes next.
//!
//! I/O: [`Kernel::read`] reads four small files; the rest is pure.

use std::{fmt::Write as _, fs, io};

const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// What the kernel says about itself.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    /// Effective capabilities of the agent; `None` when they could not be read.
    capabilities: Option<u64>,
    /// Whether it describes its own types.
    btf: bool,
    /// `/sys/kernel/security/lockdown`, such as `none integrity [confidentiality]`.
    lockdown: String,
    /// Such as `6.1.0-50-cloud-amd64`.
    release: String,
}

impl Kernel {
    /// Reads it.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            capabilities: effective(&text("/proc/self/status")),
            btf: fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false),
            lockdown: text("/sys/kernel/security/lockdown"),
            release: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// The last line that the verifier wrote about the program, without its own statistics.
pub(super) fn last_line(log: &[u8]) -> &str {
    let end = log.iter().position(|&b| b == 0).unwrap_or(log.len());
    let text = str::from_utf8(&log[..end]).unwrap_or_default();
    text.lines().rfind(|l| !l.is_empty() && !l.starts_with("processed ")).unwrap_or_default()
}

/// The message.
pub(super) fn hint(kernel: &Kernel, error: &io::Error, verifier: &str) -> String {
    let has = |bit: u32| kernel.capabilities.is_none_or(|c| c >> bit & 1 == 1);
    let missing: Vec<_> = [(CAP_BPF, "CAP_BPF"), (CAP_PERFMON, "CAP_PERFMON")]
        .iter()
        .filter(|c| !has(c.0))
        .map(|c| c.1)
        .collect();
    if error.raw_os_error().is_none() {
        return error.to_string();
    }
    if !missing.is_empty() && !has(CAP_SYS_ADMIN) {
        return format!(
            "the agent lacks {}; CAP_BPF and CAP_PERFMON are enough",
            missing.join(" and ")
        );
    }
    if kernel.lockdown.contains("[confidentiality]") {
        return "the kernel is locked down (confidentiality), which forbids BPF to read kernel memory".into();
    }
    if !kernel.btf {
        return format!(
            "kernel {} has no BTF (/sys/kernel/btf/vmlinux), CONFIG_DEBUG_INFO_BTF",
            kernel.release
        );
    }
    let mut hint = match error.raw_os_error() {
        Some(libc::EPERM) => {
            "a seccomp profile, a security module or, before kernel 5.11, RLIMIT_MEMLOCK forbids bpf()".to_owned()
        }
        _ => format!("kernel {} is too old or too different for it", kernel.release),
    };
    if !verifier.is_empty() {
        // a String takes all that is written
        let _written = write!(hint, "; the verifier said: {verifier}");
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(capabilities: u64) -> Kernel {
        Kernel {
            capabilities: Some(capabilities),
            btf: true,
            release: "6.1.0".into(),
            ..Kernel::default()
        }
    }

    const BOTH: u64 = 1 << CAP_BPF | 1 << CAP_PERFMON;

    #[test]
    fn a_missing_capability_is_named() {
        let error = io::Error::from_raw_os_error(libc::EINVAL);

        let hint = hint(&kernel(1 << CAP_BPF), &error, "");

        assert_eq!(hint, "the agent lacks CAP_PERFMON; CAP_BPF and CAP_PERFMON are enough");
    }

    #[test]
    fn with_sys_admin_alone_it_is_not_the_capabilities() {
        let error = io::Error::from_raw_os_error(libc::E2BIG);

        assert_eq!(
            hint(&kernel(1 << CAP_SYS_ADMIN), &error, ""),
            "kernel 6.1.0 is too old or too different for it"
        );
    }

    #[test]
    fn the_verifiers_last_line_is_passed_on() {
        let log = b"0: (79) r6 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 5 insns\n\0\0rest";
        let error = io::Error::from_raw_os_error(libc::EACCES);

        let hint = hint(&kernel(BOTH), &error, last_line(log));

        assert!(hint.ends_with("the verifier said: R1 invalid mem access 'scalar'"), "{hint}");
    }

    #[test]
    fn a_kernel_without_btf_says_so() {
        let kernel = Kernel { btf: false, ..kernel(BOTH) };

        assert!(hint(&kernel, &io::Error::from_raw_os_error(libc::ENOENT), "").contains("no BTF"));
    }

    #[test]
    fn lockdown_is_named_only_when_it_is_in_force() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        let with = |lockdown: &str| Kernel { lockdown: lockdown.into(), ..kernel(BOTH) };

        assert!(
            hint(&with("none integrity [confidentiality]"), &error, "").contains("locked down")
        );
        assert!(hint(&with("none [integrity] confidentiality"), &error, "").contains("seccomp"));
    }

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective("Name:\tx\nCapPrm:\t0\nCapEff:\t000000c000000000\n"), Some(BOTH));
    }
}
