//! What a person types: flags and environment, turned into one checked value.
//!
//! In: the command line and `PROBELET_*`. Out: [`Args`], in which nothing is left to parse or to check, or [`Refused`]
//! with the text to show. What may change while the agent runs is not here but in the file of `--config`.
//!
//! I/O: reads the environment and, for the default of `--node-name`, the host's name.

mod access;
mod address;
mod feed;
mod server;

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::builder::{FalseyValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand, ValueEnum, error::ErrorKind};
use probelet_core::facts::SourceKind;
use probelet_crds::{Interval, Source};
use probelet_runtime::flags::{Listen as ProbeListen, audience, file, listen as probe_listen};
use probelet_runtime::logging::Log;
pub use probelet_runtime::{Exit, Refused};

use crate::discover::choose::pinned;
use crate::kube::{Access, Audience};
use access::Web;
pub use access::{Auth, Rights, Tls};
pub use address::Address;
pub use feed::Feed;
use server::{Kubernetes, access};

const EXAMPLES: &str = "\
Examples:
  probelet-agent                                      observe this host, serve on 127.0.0.1:9466
  probelet-agent --config /etc/probelet/config.yaml   the same by a file that is read again when it changes
  probelet-agent once --json | jq .connections        one complete look, then exit
  probelet-agent top --sort fds                       watch the host in the terminal
  probelet-agent doctor                               what this host allows, and what is lost without it

Exit codes:
  0  success
  1  a failure while running
  2  a wrong flag or configuration
  3  no way to read this kernel could be used
  4  another source is asked for, which takes rights that were given back: start it again";

/// Where Docker listens by default.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// As long as the name of a node in Kubernetes may be.
const MAX_NODE_NAME: usize = 253;

/// Everything that was asked for, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// What to do.
    pub command: Command,
    /// The file with the configuration, if not the defaults.
    pub config: Option<PathBuf>,
    /// Where to serve; `None` is not at all.
    pub listen: Option<Address>,
    /// Where to answer probes and nothing else; `None` is not at all.
    pub probe_listen: Option<SocketAddr>,
    /// Overrides `spec.source`.
    pub source: Option<Source>,
    /// What this node is called in the report.
    pub node_name: String,
    /// Docker's socket, whether or not it is there; `None` is not to look.
    pub docker: Option<PathBuf>,
    /// Where the cluster's API server is; `None` is not to ask.
    pub kubernetes: Option<Access>,
    /// Who hands out this node's pods; `None` is the API server.
    pub feed: Option<Feed>,
    /// Whether the configuration comes from this node's `NodeProbe`, and its status is written.
    pub node_probe: bool,
    /// Where the last good configuration is kept.
    pub state_dir: Option<PathBuf>,
    /// Whether rights are given back once all is loaded and opened.
    pub rights: Rights,
    /// Whom to serve.
    pub auth: Auth,
    /// Whom tokens have to be for.
    pub audience: Audience,
    /// Whom to serve instead: who shows one of this file's tokens.
    pub token_file: Option<PathBuf>,
    /// Whose certificates clients need.
    pub client_ca: Option<PathBuf>,
    /// Whether to serve HTTPS.
    pub tls: Tls,
    /// Whether to serve `/debug/pprof`.
    pub debug_pprof: bool,
    /// Whether to serve the page for browsers.
    pub web: bool,
    /// How the log looks and what it holds.
    pub log: Log,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Observe until stopped, and serve what is seen (the default)
    Run,
    /// Scan once and print the result
    Once {
        /// Print the full report as JSON instead of a short table
        #[arg(long, env = "PROBELET_JSON", value_parser = FalseyValueParser::new())]
        json: bool,
        /// Scan a second time after this long, so that rates are known: 500ms, 2s
        #[arg(long, env = "PROBELET_SETTLE", value_name = "DURATION", value_parser = settle)]
        settle: Option<Duration>,
    },
    /// Watch processes and connections in the terminal
    Top {
        /// What stands first; the screen that has it opens [default: flows by connections]
        #[arg(long, env = "PROBELET_SORT", value_name = "COLUMN")]
        sort: Option<Sort>,
        /// Show only rows that contain this text
        #[arg(long, env = "PROBELET_FILTER", value_name = "TEXT")]
        filter: Option<String>,
    },
    /// Check what this host allows, what is missing and what is lost without it
    Doctor {
        /// Print JSON instead of text
        #[arg(long, env = "PROBELET_JSON", value_parser = FalseyValueParser::new())]
        json: bool,
    },
}

/// The order of the rows of `top`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// CPU time since the last look.
    Cpu,
    /// Resident memory.
    Memory,
    /// Open file descriptors.
    Fds,
    /// Connections.
    Connections,
    /// Bytes sent and received.
    Bytes,
}

impl Args {
    /// Reads a command line, its first word the program's name.
    ///
    /// # Errors
    /// The text to show instead.
    pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let typed = Typed::try_parse_from(words)?;
        let node_name = match typed.node_name {
            Some(name) => name,
            None => {
                host_name().map_err(|message| Refused::new(ErrorKind::ValueValidation, message))?
            }
        };
        let kubernetes = access(
            typed.kubernetes,
            typed.kubeconfig,
            std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        );
        if typed.node_probe && kubernetes.is_none() {
            return Err(Refused::new(ErrorKind::MissingRequiredArgument, server::NO_SERVER));
        }
        let feed = typed.feed.checked(kubernetes.is_some())?;
        let auth = typed.auth.unwrap_or(Auth::Off);
        if auth != Auth::Off && kubernetes.is_none() {
            return Err(Refused::new(ErrorKind::MissingRequiredArgument, access::NO_ONE));
        }
        let command = typed.command.unwrap_or(Command::Run);
        if typed.client_ca.is_some() && typed.tls == Tls::Off {
            return Err(Refused::new(ErrorKind::MissingRequiredArgument, access::PLAIN));
        }
        let at_file = matches!(&typed.listen.0, Some(Address::Unix(_)));
        if at_file && typed.tls != Tls::Off {
            return Err(Refused::new(ErrorKind::ArgumentConflict, access::AT_FILE));
        }
        let guarded =
            typed.auth.is_some() || typed.token_file.is_some() || typed.client_ca.is_some();
        if !guarded && command == Command::Run && access::is_open(typed.listen.0.as_ref()) {
            return Err(Refused::new(ErrorKind::MissingRequiredArgument, access::OPEN));
        }
        Ok(Self {
            command,
            config: typed.config,
            web: typed.web.is_on(typed.listen.0.as_ref()),
            listen: typed.listen.0,
            probe_listen: typed.probe_listen.0,
            source: typed.source,
            node_name,
            docker: typed.docker.0,
            kubernetes,
            feed,
            node_probe: typed.node_probe,
            state_dir: typed.state_dir,
            rights: typed.rights,
            auth,
            audience: Audience {
                ours: typed.token_audience,
                api_server: typed.accept_api_server_tokens,
            },
            token_file: typed.token_file,
            client_ca: typed.client_ca,
            tls: typed.tls,
            debug_pprof: typed.debug_pprof,
            log: typed.log,
        })
    }
}

/// Observes this host: its processes, containers and connections, under a CPU budget.
///
/// Without a subcommand it does what `run` does. Nothing needs to be configured: containers are named through Docker if
/// its socket is there, and the report and the metrics are served on loopback.
#[derive(Debug, Parser)]
#[command(name = "probelet-agent", version, after_help = EXAMPLES)]
struct Typed {
    #[command(subcommand)]
    command: Option<Command>,

    /// YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force
    #[arg(long, global = true, env = "PROBELET_CONFIG", value_name = "FILE", value_parser = file)]
    config: Option<PathBuf>,

    /// Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may
    /// open, or `off`
    #[arg(long, global = true, env = "PROBELET_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:9466", value_parser = listen)]
    listen: Listen,

    /// Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that
    /// restarts the agent: an address and port, or `off`. No reader can take the places there
    #[arg(long, global = true, env = "PROBELET_PROBE_LISTEN", value_name = "ADDR", default_value = "off", value_parser = probe_listen::<9466>)]
    probe_listen: ProbeListen,

    /// How to read the kernel; overrides the configuration's `source`
    #[arg(long, global = true, env = "PROBELET_SOURCE", value_name = "SOURCE", value_parser = source())]
    source: Option<Source>,

    /// What this node is called in the report; the host's name if not given
    #[arg(long, global = true, env = "PROBELET_NODE_NAME", value_name = "NAME", value_parser = node_name)]
    node_name: Option<String>,

    /// Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`
    #[arg(long, global = true, env = "PROBELET_DOCKER", value_name = "SOCKET", default_value = "auto", value_parser = docker)]
    docker: Docker,

    /// Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the
    /// kubeconfig of KUBECONFIG or of the home directory if there is nothing else
    #[arg(
        long,
        global = true,
        env = "PROBELET_KUBERNETES",
        value_name = "WHEN",
        default_value = "auto"
    )]
    kubernetes: Kubernetes,

    /// Kubeconfig to reach the API server with, instead of the pod's service account
    #[arg(long, global = true, env = "PROBELET_KUBECONFIG", value_name = "FILE", value_parser = file)]
    kubeconfig: Option<PathBuf>,

    #[command(flatten)]
    feed: feed::Flags,

    /// Take the configuration from this node's `NodeProbe`, as the operator decides it, and write a summary of the node
    /// into its status
    #[arg(long, global = true, env = "PROBELET_NODE_PROBE", value_parser = FalseyValueParser::new(), conflicts_with = "config")]
    node_probe: bool,

    /// Where the last good configuration of the `NodeProbe` is kept, for starts without an API server
    #[arg(long, global = true, env = "PROBELET_STATE_DIR", value_name = "DIR", value_parser = file)]
    state_dir: Option<PathBuf>,

    /// What becomes of the agent's rights after its first full report: `drop` gives back what its source does not need and holds it to
    /// the system calls and files that it uses; `keep` leaves all as it is, to look for a fault
    #[arg(
        long,
        global = true,
        env = "PROBELET_RIGHTS",
        value_name = "WHAT",
        default_value = "drop"
    )]
    rights: Rights,

    /// Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the
    /// loopback of a pod's own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the
    /// right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the
    /// namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required
    #[arg(
        long,
        global = true,
        env = "PROBELET_AUTH",
        value_name = "WHO",
        hide_possible_values = true
    )]
    auth: Option<Auth>,

    /// The audience that clients' tokens have to be made for: such a token is of no use anywhere else
    #[arg(long, global = true, env = "PROBELET_TOKEN_AUDIENCE", value_name = "AUDIENCE", default_value = "probelet", value_parser = audience)]
    token_audience: String,

    /// Accept clients' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was
    /// taken over could use these against the API server
    #[arg(long, global = true, env = "PROBELET_ACCEPT_API_SERVER_TOKENS", value_parser = FalseyValueParser::new())]
    accept_api_server_tokens: bool,

    /// Which clients may read where there is no API server: those that send one of this file's tokens (one on each line;
    /// mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes
    #[arg(long, global = true, env = "PROBELET_TOKEN_FILE", value_name = "FILE", value_parser = file, conflicts_with = "auth")]
    token_file: Option<PathBuf>,

    /// Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use
    /// --probe-listen
    #[arg(long, global = true, env = "PROBELET_CLIENT_CA", value_name = "FILE", value_parser = file)]
    client_ca: Option<PathBuf>,

    /// Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change
    #[arg(long, global = true, env = "PROBELET_TLS", value_name = "CERTIFICATE", default_value = "off", value_parser = access::tls)]
    tls: Tls,

    /// Serve profiles of the agent itself under /debug/pprof
    #[arg(long, global = true, env = "PROBELET_DEBUG_PPROF", value_parser = FalseyValueParser::new())]
    debug_pprof: bool,

    /// Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback
    #[arg(long, global = true, env = "PROBELET_WEB", value_name = "WHEN", default_value = "auto")]
    web: Web,

    #[command(flatten)]
    log: Log,
}

/// The words of `--source`: what sources are called in the report, and `auto`.
fn source() -> impl TypedValueParser<Value = Source> {
    const ALL: [Source; 5] =
        [Source::Auto, Source::Bpf, Source::BpfCompat, Source::Netlink, Source::Procfs];
    let word = |source| pinned(source).map_or("auto", SourceKind::name);
    PossibleValuesParser::new(ALL.map(word)).try_map(move |text| {
        ALL.into_iter().find(|source| word(*source) == text).ok_or("there is no such source")
    })
}

// Clap reads an `Option` as "may be left out", so that "switched off" needs a type of its own.
#[derive(Debug, Clone)]
struct Listen(Option<Address>);
#[derive(Debug, Clone)]
struct Docker(Option<PathBuf>);

fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    text.parse().map(|address| Listen(Some(address)))
}

fn docker(text: &str) -> Result<Docker, String> {
    match (text, text.strip_prefix("unix://")) {
        ("auto", _) => Ok(Docker(Some(PathBuf::from(DOCKER_SOCKET)))),
        ("off", _) => Ok(Docker(None)),
        (_, Some(path)) if Path::new(path).is_absolute() => Ok(Docker(Some(PathBuf::from(path)))),
        _ => Err("give auto, off, or a socket such as unix:///var/run/docker.sock".to_owned()),
    }
}

fn settle(text: &str) -> Result<Duration, String> {
    let interval: Interval = text.parse().map_err(|error| format!("it {error}"))?;
    let duration = interval.duration();
    if (Duration::from_millis(100)..=Duration::from_mins(1)).contains(&duration) {
        Ok(duration)
    } else {
        Err("give 100ms to 1m".to_owned())
    }
}

fn node_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if (1..=MAX_NODE_NAME).contains(&text.len()) && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("give 1 to {MAX_NODE_NAME} letters, digits, dots, dashes or underscores"))
    }
}

fn host_name() -> Result<String, String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    node_name(name.trim())
        .map_err(|_| "the host's name cannot be used; give --node-name NAME\n".to_owned())
}

#[cfg(test)]
mod tests;
