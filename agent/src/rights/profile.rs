//! The profile of system calls for container runtimes, written from the list: charts/probelet/files/seccomp.json.
//!
//! In: the list. Out: JSON as the OCI runtime specification has it, or a failed test when the file is another. A runtime's profile holds
//! from before the program starts, so it has what the start calls, whatever the arguments. `make reference` writes it.
//!
//! I/O: the file.

use super::calls::{LIMITED, RUNNING, SOMETIMES, START};
use serde_json::json;
use std::path::Path;

/// `ENOSYS`: the C library then takes `clone`.
const NOT_KNOWN: u32 = 38;

#[test]
fn the_page_of_system_calls_for_container_runtimes_is_the_list() {
    let all = [RUNNING, LIMITED, SOMETIMES, START].into_iter().flatten();
    let mut names: Vec<_> = all.map(|call| call.name).filter(|name| *name != "clone3").collect();
    names.sort_unstable();
    // Keys in order of the alphabet, whichever map serde_json has.
    let profile = json!({
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [
            {"action": "SCMP_ACT_ALLOW", "names": names},
            {"action": "SCMP_ACT_ERRNO", "errnoRet": NOT_KNOWN, "names": ["clone3"]},
        ],
    });
    let text = format!("{}\n", serde_json::to_string_pretty(&profile).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/probelet/files/seccomp.json");
    if std::env::var_os("PROBELET_WRITE_REFERENCE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }

    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == text,
        "charts/probelet/files/seccomp.json is not what agent/src/rights/calls.rs says; run `make reference`"
    );
}
