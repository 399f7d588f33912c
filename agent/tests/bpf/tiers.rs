//! Every BPF source that this kernel takes, for tests that each must pass.

use probelet_agent::discover::{
    Limits,
    bpf::{Bpf, load},
};
use probelet_core::facts::Tier;

const LIMITS: Limits = Limits { max_sockets: 100_000, max_processes: 10_000 };

/// Runs `body` with every tier that loads; SKIP means that none does.
pub(crate) fn each_tier(body: impl Fn(&mut Bpf)) {
    let loaded = [Tier::Bpf, Tier::BpfCompat].map(|tier| load(tier, LIMITS));
    if let [Err(best), Err(compat)] = &loaded {
        return eprintln!("SKIP: no BPF: {best}; {compat}");
    }
    loaded.into_iter().flatten().for_each(|mut source| body(&mut source));
}
