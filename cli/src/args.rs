//! What a person types: words and environment, turned into one checked value.
//!
//! In: the command line. Out: [`Args`], or the text that clap shows instead. The manual's table of flags and the
//! completion of shells are made from the same definition. It must not ask a cluster anything. Pure: values only.

mod connection;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args as Flags, CommandFactory, Parser, Subcommand, ValueEnum, builder::styling};

pub use connection::Connection;
use values::{config, namespace, node, patience, percent, time};

const EXAMPLES: &str = "\
Examples:
  kubectl probelet status                         agents' cost, nodes that do not follow, and why
  kubectl probelet conns deploy/api -n shop       its clients and its destinations
  kubectl probelet map shop -o svg > shop.svg     a picture of a namespace
  kubectl probelet explain node1                  why an agent is Stretched, and what it would take
  kubectl probelet config dry-run -f new.yaml     which nodes an edit changes and what it would cost

Exit codes: 0 success, 1 failure (status: no agent or no operator at work; with --check: anything missing; doctor of a pod: anything wrong; preflight: anything in the way or not to be read), 2 a wrong flag.";

/// Asks probelet what its agents cost, what they observe, and whether they follow their configuration.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl-probelet", bin_name = "kubectl probelet", version, after_help = EXAMPLES)]
#[command(styles = styling::Styles::plain(), disable_help_subcommand = true)]
pub struct Args {
    /// Where and how to ask, and how to show it.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What all subcommands take.
#[derive(Debug, Clone, Flags)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE", value_parser = connection::path())]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace of pods, Services and workloads; default: that of the context
    #[arg(short, long, global = true, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// The namespace in which probelet runs; default: where an agent is found
    #[arg(long, global = true, value_name = "NAME", env = "PROBELET_NAMESPACE", value_parser = namespace)]
    pub probelet_namespace: Option<String>,
    /// The service account of the namespace whose token agents are shown, for those who may see some namespaces only;
    /// default: that of probelet's viewer, else the own token of the kubeconfig
    #[arg(long, global = true, value_name = "NAME")]
    pub account: Option<String>,
    /// Output format
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// When to use colours; `auto` is on a terminal only, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// How long to wait for a response of the API server; a bare number is seconds, and 0 is without end
    #[arg(long, alias = "request-timeout", global = true, value_name = "TIME", default_value = "30s", value_parser = patience)]
    pub timeout: Duration,
    /// Who asks, and whom.
    #[command(flatten)]
    pub connection: Connection,
}

impl Common {
    /// An empty value is none, as for kubectl: scripts pass on variables that are not set.
    #[must_use]
    pub fn without_empty(mut self) -> Self {
        connection::drop_empty(&mut self.kubeconfig);
        for text in [
            &mut self.context,
            &mut self.namespace,
            &mut self.probelet_namespace,
            &mut self.account,
        ] {
            connection::drop_empty(text);
        }
        self.connection.drop_empty();
        self
    }
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people
    Table,
    /// The same with more columns
    Wide,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
    /// Names only, one a line, fit for xargs
    Name,
    /// `map` only: for Graphviz
    Dot,
    /// `map` only: for Markdown pages
    Mermaid,
    /// `map` only: a picture for browsers
    Svg,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The fleet on one screen: cost against budget, levels, coverage, rollouts, nodes that do not follow and why
    Status {
        /// Causes to show; further ones are counted
        #[arg(long, value_name = "N", default_value_t = 10)]
        most: usize,
        /// Exit with code 1 if anything is wrong, missing or not visible
        #[arg(long)]
        check: bool,
        /// Percent of connections that may be unseen or unresolved before that counts as missing
        #[arg(long, value_name = "PERCENT", default_value = "0.1", value_parser = percent)]
        tolerate: f64,
    },
    /// Live: nodes by the cost of their agents, flows, or processes
    Top {
        /// What to show first; on a terminal the keys n, f and p change it
        #[arg(default_value = "nodes")]
        what: Ranking,
        /// Only this node
        #[arg(long, value_name = "NAME", value_parser = node)]
        node: Option<String>,
        /// Rows to show when the output is not a terminal
        #[arg(long, value_name = "N", default_value_t = 20)]
        most: usize,
        /// Time between two refreshes
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
        interval: Duration,
        /// Show it once and exit, as always when the output is not a terminal
        #[arg(long)]
        once: bool,
    },
    /// Connections of a pod, a Service, a workload or a node
    Conns {
        /// NAME, pod/NAME, svc/NAME, deploy/NAME (sts, ds, job, cronjob), `deploy NAME`, node/NAME or NAMESPACE/KIND/NAME
        #[arg(required = true, num_args = 1..=2)]
        target: Vec<String>,
        /// Go on and show what opens (+) and closes (-)
        #[arg(short, long)]
        watch: bool,
        /// Connections that are closed as well (TIME_WAIT)
        #[arg(long)]
        closed: bool,
        /// Only those with this port at either end
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
        /// Time between two refreshes of --watch
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
        interval: Duration,
    },
    /// Processes of a pod, a workload or a node, with their CPU, memory, open files and sockets
    Procs {
        /// As for conns
        #[arg(required = true, num_args = 1..=2)]
        target: Vec<String>,
    },
    /// Who talks to whom: a namespace or the whole cluster, as text, dot, mermaid, svg or json
    Map {
        /// The namespace, NAME or ns/NAME; default: all of them
        // Not the flag's id, which it would replace.
        #[arg(id = "of", value_name = "NAMESPACE", value_parser = namespace)]
        namespace: Option<String>,
        /// All namespaces, as without one
        #[arg(short = 'A', long, conflicts_with = "of")]
        all_namespaces: bool,
        /// Flows with an end that has no name as well
        #[arg(long)]
        all: bool,
    },
    /// The configuration: what is in force and why, what changed, what a change would do
    #[command(subcommand)]
    Config(ConfigCommand),
    /// How the newest change reaches its nodes
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Stop collection on the nodes of a ProbeConfig, or on one node
    Pause(Who),
    /// Resume the collection that `pause` stopped
    Resume(Who),
    /// Why an agent is at its level or does not follow its configuration, and what it would take
    Explain {
        /// The node, NAME or node/NAME
        #[arg(value_parser = node)]
        node: String,
    },
    /// What is wrong with a pod, workload or Service; of a node: what its kernel and the rights of its agent allow
    ///
    /// Of a pod: full accept queues, leaked connections, open files, ephemeral ports and connection tracking that are
    /// nearly used up, flows that lose segments or fail to connect. Exits with code 1 if anything is wrong.
    Doctor {
        /// A node, or as for conns: pod/NAME, svc/NAME, deploy/NAME (sts, ds, job, cronjob), NAMESPACE/KIND/NAME
        #[arg(required = true, num_args = 1..=2)]
        target: Vec<String>,
    },
    /// A NetworkPolicy that allows what was observed of a workload
    Netpol {
        /// As for conns
        #[arg(required = true, num_args = 1..=2)]
        target: Vec<String>,
    },
    /// A support bundle: objects, logs and metrics of probelet in one .tar.gz
    Dump {
        /// The file to write; default: probelet-dump-TIME.tar.gz
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Full reports as well: they name every process and connection of a node
        #[arg(long)]
        reports: bool,
        /// Agents whose logs, metrics and reports are taken: those in trouble first
        #[arg(long, value_name = "N", default_value_t = 10)]
        agents: usize,
    },
    /// What the source in use costs on a node, beside the published figure; with --each, what every source costs there
    ///
    /// Without --each it reads the agent's metrics twice and changes nothing. With it the agent is moved from source to source by
    /// a ProbeConfig of the node's own, which is deleted at the end; the agent keeps its budget meanwhile. Exits with code 1 if
    /// nothing could be measured.
    Bench {
        /// The node, NAME or node/NAME
        #[arg(value_parser = node)]
        node: String,
        /// Every source in turn, not only the one in use
        #[arg(long)]
        each: bool,
        /// How long each is measured
        #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
        time: Duration,
    },
    /// Before installing: what this cluster's nodes, policies, quotas and network mean for probelet, with the values to set
    ///
    /// Reads only. The namespace is that of --probelet-namespace, or `probelet`. Exits with code 0 if nothing is in the way and
    /// all of it could be read, with 1 otherwise.
    Preflight {
        /// Only the values, as a file for `helm install -f`
        #[arg(long)]
        values: bool,
    },
    /// What an alert means and what to do; needs no cluster
    Runbook {
        /// The page or the alert; default: a list of all
        name: Option<String>,
    },
    /// Completion for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What `top` ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ranking {
    /// Nodes by the CPU of their agents
    Nodes,
    /// Flows by their connections
    Flows,
    /// Processes by their CPU
    Procs,
}

/// About configurations.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// What is in force on a node, and where each value comes from
    Effective {
        /// The node, NAME or node/NAME
        #[arg(value_parser = node)]
        node: String,
        /// Values that are not the default only
        #[arg(long)]
        changed: bool,
    },
    /// What an edit changed, or how two configurations differ
    Diff {
        /// A ProbeConfig; alone: its content before the newest change against what it is now
        #[arg(value_parser = config)]
        config: String,
        /// Another one
        #[arg(value_parser = config)]
        other: Option<String>,
        /// A file instead of the other one
        #[arg(short, long, value_name = "FILE", conflicts_with = "other")]
        file: Option<PathBuf>,
    },
    /// What would happen if a file were applied: errors, nodes that change, expected cost
    DryRun {
        /// YAML or JSON with ProbeConfigs; `-` reads standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
}

/// About rollouts.
#[derive(Debug, Clone, Subcommand)]
pub enum RolloutCommand {
    /// How far the newest change has come
    Status {
        /// The ProbeConfig; default: all of them
        #[arg(value_parser = config)]
        config: Option<String>,
        /// Wait until it is complete (exit code 0) or was rolled back (1)
        #[arg(short, long)]
        watch: bool,
    },
    /// Pause the rollout: no further node gets the change until `rollout resume`
    Pause {
        /// The ProbeConfig
        #[arg(default_value = probelet_crds::DEFAULT, value_parser = config)]
        config: String,
    },
    /// Continue a paused rollout
    Resume {
        /// The ProbeConfig
        #[arg(default_value = probelet_crds::DEFAULT, value_parser = config)]
        config: String,
    },
    /// Put the content before the newest change back into the ProbeConfig
    Undo {
        /// The ProbeConfig
        #[arg(default_value = probelet_crds::DEFAULT, value_parser = config)]
        config: String,
        /// Show what it would do
        #[arg(long)]
        dry_run: bool,
    },
}

/// What to pause or resume.
#[derive(Debug, Clone, Flags)]
pub struct Who {
    /// The ProbeConfig
    #[arg(default_value = probelet_crds::DEFAULT, value_parser = config)]
    pub config: String,
    /// This node only, by a ProbeConfig of its own with the highest priority
    #[arg(long, value_name = "NAME", conflicts_with = "config", value_parser = node)]
    pub node: Option<String>,
}

/// The definition that `--help`, the manual and completion share.
#[must_use]
pub fn command() -> clap::Command {
    Args::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between these lines of the manual stand the tables.
    const BEGIN: &str = "<!-- written by make reference -->";
    const END: &str = "<!-- end of flags -->";

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_definition_has_no_mistake() {
        command().debug_assert();
    }

    #[test]
    fn a_target_is_one_word_or_kind_and_name() {
        for (line, words) in [
            ("kubectl-probelet conns deploy web -n shop", &["deploy", "web"][..]),
            ("kubectl-probelet conns deploy/web -w", &["deploy/web"]),
            ("kubectl-probelet -n shop conns --port 80 web", &["web"]),
        ] {
            let Command::Conns { target, .. } = parse(line).command else { panic!("{line}") };
            assert_eq!(target, words, "{line}");
        }
        for line in ["kubectl-probelet netpol", "kubectl-probelet procs a b c"] {
            assert!(Args::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn common_flags_stand_before_or_after_the_subcommand() {
        for line in [
            "kubectl-probelet -n shop conns web",
            "kubectl-probelet conns web -n shop",
            "kubectl-probelet map -n shop",
            "kubectl-probelet map shop -n shop",
        ] {
            assert_eq!(parse(line).common.namespace.as_deref(), Some("shop"), "{line}");
        }
    }

    #[test]
    fn a_flag_that_is_on_or_off_may_say_so() {
        let plain = |words: &[&str]| {
            let words = ["kubectl-probelet", "status"].iter().chain(words);
            Args::try_parse_from(words).map(|args| args.common.connection.disable_compression)
        };

        assert!(!plain(&[]).unwrap() && !plain(&["--disable-compression=false"]).unwrap());
        assert!(plain(&["--disable-compression"]).unwrap());
        assert!(plain(&["--disable-compression=true"]).unwrap());
    }

    #[test]
    fn a_flag_with_an_empty_value_is_none() {
        let words = [
            "kubectl-probelet",
            "status",
            "-n",
            "",
            "--context=",
            "--as",
            "",
            "--as-group=",
            "--kubeconfig=",
        ];
        let common = Args::try_parse_from(words).unwrap().common.without_empty();

        assert_eq!((common.namespace, common.context, common.kubeconfig), (None, None, None));
        assert_eq!((common.connection.act_as, common.connection.as_group), (None, vec![]));
    }

    #[test]
    fn no_argument_of_a_subcommand_replaces_a_common_flag() {
        fn replaced(command: &clap::Command, flags: &[clap::Id]) -> Vec<String> {
            let own = command.get_arguments().filter(|arg| flags.contains(arg.get_id()));
            let own = own.map(|arg| format!("{} {}", command.get_name(), arg.get_id()));
            let below = command.get_subcommands().flat_map(|it| replaced(it, flags));
            own.chain(below).collect()
        }
        let command = command();
        let global = command.get_arguments().filter(|arg| arg.is_global_set());
        let flags: Vec<_> = global.map(|arg| arg.get_id().clone()).collect();

        let found: Vec<_> = command.get_subcommands().flat_map(|it| replaced(it, &flags)).collect();

        assert!(!flags.is_empty());
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn pause_is_about_the_default_configuration_or_about_one_node() {
        let Command::Pause(who) = parse("kubectl-probelet pause").command else { panic!() };
        assert_eq!((who.config.as_str(), who.node), ("default", None));

        assert!(
            Args::try_parse_from(["kubectl-probelet", "pause", "default", "--node", "n1"]).is_err()
        );
    }

    #[test]
    fn the_page_of_subcommands_says_what_clap_takes() {
        let tables = probelet_reference::subcommands(&command());

        probelet_reference::hold_part("kubectl-probelet.md", BEGIN, END, &tables);
    }

    #[test]
    fn the_page_of_man_and_the_completions_say_what_clap_takes() {
        probelet_reference::hold_shell_files(command());
    }
}
