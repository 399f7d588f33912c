//! What a person types: flags and environment, turned into one checked value.
//!
//! In: the command line and `PROBELET_*`. Out: [`Args`], in which nothing is left to parse or to check, or [`Refused`]
//! with the text to show. What may change while the operator runs is not here but in `ProbeConfig` objects.
//!
//! I/O: reads the environment and, for the default of `--identity`, the host's name.

use std::{ffi::OsString, fs, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use crate::certify::{Holder, Wanted};
use clap::{Parser, Subcommand, builder::FalseyValueParser, error::ErrorKind};
use probelet_crds::{CpuQuantity, Interval};
use probelet_runtime::flags::{Listen, file, listen};
use probelet_runtime::logging::Log;
pub use probelet_runtime::{Exit, Refused};

mod feed;

pub use feed::Feed;

const EXAMPLES: &str = "\
Examples:
  probelet-operator                                   in a pod: by its service account
  probelet-operator --kubeconfig ~/.kube/config --no-leader-election --namespace default
  probelet-operator selftest                          check that the installation works

Exit codes:
  0  success
  1  a failure while running
  2  a wrong flag";

/// As long as a name in Kubernetes may be.
const MAX_NAME: usize = 253;
/// Bounds of `--writes-per-second`.
const WRITES: RangeInclusive<i64> = 1..=1000;

/// Everything that was asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// What to do.
    pub command: Command,
    /// Where to serve; `None` is not at all.
    pub listen: Option<SocketAddr>,
    /// Where to answer probes and nothing else; `None` is not at all.
    pub probe_listen: Option<SocketAddr>,
    /// Where the Lease is; `None` is the namespace of the pod or of the kubeconfig.
    pub namespace: Option<String>,
    /// The name of this process in the Lease and in events.
    pub identity: String,
    /// The name of the Lease; `None` is to lead without one.
    pub lease: Option<String>,
    /// Namespace and name of the Lease of the one installation that operates the cluster; `None` is not to ask.
    pub cluster_lease: Option<(String, String)>,
    /// What `default` is made from.
    pub seed: Option<PathBuf>,
    /// Whether `default` is made at all.
    pub seeds: bool,
    /// The name of the agents' `DaemonSet`.
    pub agents: Option<String>,
    /// Which certificate of the agents to keep; `None` is none.
    pub certify: Option<Wanted>,
    /// How agents get the pods of their nodes; `None` is not from here.
    pub feed: Option<Feed>,
    /// The most CPU that a configuration may give an agent.
    pub max_budget: Option<CpuQuantity>,
    /// How to reach the API server; `None` is the pod's service account, or what a person's home has.
    pub kubeconfig: Option<PathBuf>,
    /// Most API writes a second.
    pub writes_per_second: u32,
    /// How the log looks and what it holds.
    pub log: Log,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Operate until stopped (the default)
    Run,
    /// Check that the installation works: one line a check, exit code 1 if one fails
    Selftest {
        /// How long to wait for the first nodes to report: 500ms to 10m
        #[arg(long = "timeout", env = "PROBELET_TIMEOUT", value_name = "DURATION", default_value = "60s", value_parser = patience)]
        patience: Duration,
        /// File with the token that agents are shown, made for the audience that they accept; without it the token for the
        /// API server
        #[arg(long, env = "PROBELET_AGENT_TOKEN", value_name = "FILE", value_parser = file)]
        agent_token: Option<PathBuf>,
    },
}

impl Args {
    /// Reads a command line, its first word the program's name.
    ///
    /// # Errors
    /// The text to show instead.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let typed = Typed::try_parse_from(words)?;
        let identity = match typed.identity {
            Some(identity) => identity,
            None => {
                host_name().map_err(|message| Refused::new(ErrorKind::ValueValidation, message))?
            }
        };
        let feed = typed.feed.checked().map_err(|message| {
            Refused::new(ErrorKind::MissingRequiredArgument, message.to_owned())
        })?;
        Ok(Self {
            command: typed.command.unwrap_or(Command::Run),
            listen: typed.listen.0,
            probe_listen: typed.probe_listen.0,
            namespace: typed.namespace,
            identity,
            lease: (!typed.no_leader_election).then_some(typed.lease),
            cluster_lease: typed.cluster_lease.0.filter(|_| !typed.no_leader_election),
            seed: typed.seed,
            seeds: !typed.no_seed,
            agents: typed.agents,
            certify: typed.certify.zip(typed.certify_name).map(|(object, server)| Wanted {
                object,
                server,
                holder: Holder::Agents,
            }),
            feed,
            max_budget: typed.max_budget,
            kubeconfig: typed.kubeconfig,
            writes_per_second: u32::try_from(typed.writes_per_second).unwrap_or(1),
            log: typed.log,
        })
    }
}

/// Turns `ProbeConfig` objects into one effective configuration per node, and reports which nodes have applied it.
///
/// One replica is active; the others wait for its Lease with warm caches. Without a subcommand it does what `run`
/// does.
#[derive(Debug, Parser)]
#[command(name = "probelet-operator", version, after_help = EXAMPLES)]
struct Typed {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where to serve metrics and health: an address and port, or `off`
    #[arg(long, global = true, env = "PROBELET_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9467", value_parser = listen::<9467>)]
    listen: Listen,

    /// Where to answer /healthz and /readyz and nothing else, for the kubelet or another supervisor: an
    /// address and port, or `off`. No reader of metrics can take the places there
    #[arg(long, global = true, env = "PROBELET_PROBE_LISTEN", value_name = "ADDR", default_value = "off", value_parser = listen::<9467>)]
    probe_listen: Listen,

    /// Namespace of the Lease; that of the pod or of the kubeconfig if not given
    #[arg(long, global = true, env = "PROBELET_NAMESPACE", value_name = "NAME", value_parser = name)]
    namespace: Option<String>,

    /// Name of this process in the Lease and in events; the host's name if not given
    #[arg(long, global = true, env = "PROBELET_POD_NAME", value_name = "NAME", value_parser = name)]
    identity: Option<String>,

    /// Name of the Lease for leader election
    #[arg(long, global = true, env = "PROBELET_LEASE", value_name = "NAME", default_value = "probelet-operator", value_parser = name)]
    lease: String,

    /// Lease, as NAMESPACE/NAME, of the one installation that operates the cluster: a second one waits. Or `off`
    #[arg(long, global = true, env = "PROBELET_CLUSTER_LEASE", value_name = "LEASE", default_value = "default/probelet-cluster", value_parser = cluster_lease)]
    cluster_lease: ClusterLease,

    /// Work without a Lease; there must be no second operator then
    #[arg(long, global = true, env = "PROBELET_NO_LEADER_ELECTION", value_parser = FalseyValueParser::new())]
    no_leader_election: bool,

    /// YAML file with the spec of the `ProbeConfig` that is made where there is none named `default`
    #[arg(long, global = true, env = "PROBELET_SEED", value_name = "FILE", value_parser = file)]
    seed: Option<PathBuf>,

    /// Make no `ProbeConfig` named `default`; where none matches the built-in configuration is in force
    #[arg(long, global = true, env = "PROBELET_NO_SEED", value_parser = FalseyValueParser::new())]
    no_seed: bool,

    /// `DaemonSet` of the agents, in the namespace of the Lease: where it wants no pod no agent is waited for. Without it
    /// that is so on Windows, Fargate and virtual nodes only
    #[arg(long, global = true, env = "PROBELET_AGENTS", value_name = "NAME", value_parser = name)]
    agents: Option<String>,

    /// Secret and `ConfigMap`, in the namespace of the Lease, in which the agents' certificate and its authorities are kept
    /// and renewed; both must be there. Without it the operator makes no certificate
    #[arg(long, global = true, env = "PROBELET_CERTIFY", value_name = "NAME", value_parser = name, requires = "certify_name")]
    certify: Option<String>,

    /// The name that the agents' certificate is for
    #[arg(long, global = true, env = "PROBELET_CERTIFY_NAME", value_name = "NAME", value_parser = name, requires = "certify")]
    certify_name: Option<String>,

    #[command(flatten)]
    feed: feed::Flags,

    /// Maximum CPU budget that a `ProbeConfig` may set, such as `100m`; one with more is rejected
    #[arg(long, global = true, env = "PROBELET_MAX_BUDGET", value_name = "CPU", value_parser = cpu)]
    max_budget: Option<CpuQuantity>,

    /// Kubeconfig to reach the API server with, instead of the pod's service account
    #[arg(long, global = true, env = "PROBELET_KUBECONFIG", value_name = "FILE", value_parser = file)]
    kubeconfig: Option<PathBuf>,

    /// Maximum API writes per second, 1 to 1000
    #[arg(long, global = true, env = "PROBELET_WRITES_PER_SECOND", value_name = "N", default_value = "60", value_parser = clap::value_parser!(i64).range(WRITES))]
    writes_per_second: i64,

    #[command(flatten)]
    log: Log,
}

// Clap reads an `Option` as "may be left out", so that "switched off" needs a type of its own.
#[derive(Debug, Clone)]
struct ClusterLease(Option<(String, String)>);

fn cluster_lease(text: &str) -> Result<ClusterLease, String> {
    if text == "off" {
        return Ok(ClusterLease(None));
    }
    let (namespace, lease) = text.split_once('/').ok_or("give NAMESPACE/NAME, or off")?;
    Ok(ClusterLease(Some((name(namespace)?, name(lease)?))))
}

fn cpu(text: &str) -> Result<CpuQuantity, String> {
    text.parse().map_err(|error| format!("it {error}"))
}

fn patience(text: &str) -> Result<Duration, String> {
    let interval: Interval = text.parse().map_err(|error| format!("it {error}"))?;
    let duration = interval.duration();
    if (Duration::from_millis(500)..=Duration::from_mins(10)).contains(&duration) {
        Ok(duration)
    } else {
        Err("give 500ms to 10m".to_owned())
    }
}

fn name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("give 1 to {MAX_NAME} lower case letters, digits, dots or dashes"))
    }
}

fn host_name() -> Result<String, String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name(&host.trim().to_ascii_lowercase())
        .map_err(|_| "the host's name cannot be used; give --identity NAME\n".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, String> {
        let words = std::iter::once("probelet-operator").chain(words.iter().copied());
        Args::parse(words.map(OsString::from)).map_err(|refused| refused.to_string())
    }

    #[test]
    fn nothing_needs_to_be_given() {
        let args = parse(&[]).unwrap();

        assert_eq!(args.command, Command::Run);
        assert_eq!(args.listen, Some("127.0.0.1:9467".parse().unwrap()));
        assert_eq!(args.lease.as_deref(), Some("probelet-operator"));
        assert_eq!(args.writes_per_second, 60);
        assert!(!args.identity.is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_would_be_right() {
        for (words, message) in [
            (&["--listen", "9467"][..], "127.0.0.1:9467"),
            (&["--lease", "A b"], "lower case letters"),
            (&["--writes-per-second", "0"], "1..=1000"),
            (&["--seed", ""], "path of a file"),
            (&["--cluster-lease", "x"], "NAMESPACE/NAME"),
            (&["--max-budget", "5%"], "write it like 5m"),
            (&["selftest", "--timeout", "1h"], "500ms to 10m"),
            (&["--feed-listen", "[::]:9470"], "--feed-account"),
            (&["--log-level", ""], "give a level"),
        ] {
            let text = parse(words).unwrap_err();

            assert!(text.contains(message), "{words:?}: {text}");
        }
    }

    #[test]
    fn a_lone_operator_needs_no_lease() {
        let args = parse(&["--no-leader-election"]).unwrap();

        assert_eq!((args.lease, args.cluster_lease), (None, None));
    }

    #[test]
    fn the_page_of_flags_says_what_clap_takes() {
        let page = probelet_reference::flags(&<Typed as clap::CommandFactory>::command());

        probelet_reference::hold("reference/flags-operator.md", &page);
    }

    #[test]
    fn the_page_of_man_and_the_completions_say_what_clap_takes() {
        probelet_reference::hold_shell_files(<Typed as clap::CommandFactory>::command());
    }
}
