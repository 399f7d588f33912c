//! probelet on a real cluster, used as its users use it: the scenarios of `e2e/cluster/run`.
//!
//! ```text
//! scenarios (what must be true) ─ act (edits, node labels) ─┬─ kube (kubectl, helm, curl, each with a deadline)
//!         └─ look (what the objects say) ─ probe, metrics ──┘
//! ```
//! In: a running dev-cluster with the images on its nodes, and the chart. Out: for each scenario, a check, that it
//! holds or why not; figures that were measured on the way. It must not ask the product whether the product is right
//! where someone else knows: the API server, the kernel. I/O: processes, the cluster, the folder for what went wrong.

pub mod act;
pub mod diagnosis;
pub mod figures;
pub mod kube;
pub mod look;
pub mod metrics;
pub mod probe;
pub mod scenarios;
pub mod wait;

use std::{fmt, path::PathBuf, time::Duration};

pub use figures::Figures;
pub use kube::Kube;

/// The namespace and the release of the chart.
pub const NAMESPACE: &str = "probelet";

/// A reason is not longer; the objects that it may quote are in the folder.
const LONGEST: usize = 1500;

/// What scenarios work with.
pub struct World {
    /// The cluster.
    pub kube: Kube,
    /// What was measured so far.
    pub figures: Figures,
    /// The folder of the chart.
    pub chart: PathBuf,
    /// The folder of this run: packages, figures, and what is known of a failure.
    pub folder: PathBuf,
    /// How long the API server is away.
    pub outage: Duration,
}

/// A check that must be true.
pub struct Scenario {
    /// What `--only` takes.
    pub group: &'static str,
    /// The check.
    pub says: String,
    /// Without it nothing that follows makes sense.
    pub vital: bool,
    /// Whether it is so.
    pub run: Run,
}

/// What finds out.
pub type Run = Box<dyn Fn(&mut World) -> anyhow::Result<()>>;

/// What became of a scenario.
pub struct Verdict<'a> {
    /// Its check.
    pub says: &'a str,
    /// How long it took.
    pub took: Duration,
    /// Why it does not hold.
    pub wrong: Option<String>,
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.wrong {
            None => write!(f, "PASS: {} ({seconds:.1} s)", self.says),
            // One line, whatever kubectl said.
            Some(why) => {
                let words: Vec<&str> = why.split_whitespace().collect();
                let why: String = words.join(" ").chars().take(LONGEST).collect();
                write!(f, "FAIL: {} ({seconds:.1} s): {why}", self.says)
            }
        }
    }
}

impl Scenario {
    /// One that the others do without.
    pub fn new(
        group: &'static str,
        says: impl Into<String>,
        run: impl Fn(&mut World) -> anyhow::Result<()> + 'static,
    ) -> Self {
        Self { group, says: says.into(), vital: false, run: Box::new(run) }
    }

    /// One that all that follow need.
    #[must_use]
    pub fn vital(mut self) -> Self {
        self.vital = true;
        self
    }
}
