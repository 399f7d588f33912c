//! One program for all targets: the name that it is called by says which.
//!
//! In: inputs that libFuzzer makes. Out: nothing, or a crash with the input that led to it. The name is that of a link to
//! this program, since libFuzzer starts itself again by its name when it merges. It must not know what a target does.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

static TARGET: OnceLock<Target> = OnceLock::new();

fn find() -> Target {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let all = [
        probelet_agent::fuzz::TARGETS,
        probelet_core::fuzz::TARGETS,
        probelet_crds::fuzz::TARGETS,
        kubectl_probelet::fuzz::TARGETS,
    ];
    let found = all.iter().copied().flatten().find(|(target, _)| *target == name);
    let Some((_, run)) = found else {
        let names: Vec<&str> = all.iter().copied().flatten().map(|(name, _)| *name).collect();
        panic!("there is no target {name}: there are {}", names.join(", "))
    };
    *run
}

fuzz_target!(|data: &[u8]| {
    TARGET.get_or_init(find)(data);
});
