//! Every BPF source that this kernel takes, for tests that each must pass.

use probelet_agent::discover::{
    Limits,
    bpf::{Bpf, load},
};
use probelet_core::facts::SourceKind;

const LIMITS: Limits = Limits { max_sockets: 100_000, max_processes: 10_000 };

/// Runs `body` with every source that loads; SKIP means that none does.
pub(crate) fn each_source(body: impl Fn(&mut Bpf)) {
    let loaded =
        [SourceKind::Bpf, SourceKind::BpfCompat].map(|source_kind| load(source_kind, LIMITS));
    if let [Err(best), Err(compat)] = &loaded {
        return eprintln!("SKIP: no BPF: {best}; {compat}");
    }
    loaded.into_iter().flatten().for_each(|mut source| body(&mut source));
}
