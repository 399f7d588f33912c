//! Prints our CustomResourceDefinitions, one YAML document each, as `make crds` keeps them in the tree.
//!
//! I/O: stdout.

use std::io::{self, Write as _};

use kube::CustomResourceExt as _;
use probelet_crds::{NodeProbe, ProbeConfig};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for crd in [ProbeConfig::crd(), NodeProbe::crd()] {
        let yaml = serde_saphyr::to_string(&crd).map_err(io::Error::other)?;
        write!(out, "---\n{yaml}")?;
    }
    Ok(())
}
