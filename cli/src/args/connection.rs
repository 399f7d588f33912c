//! Connection: flags of kubectl's that say otherwise than the kubeconfig who asks, and whom.
//!
//! In: the command line. Out: [`Connection`]. They are called as kubectl calls them, so that an alias or a script that adds
//! them to every command works for `kubectl probelet` too. Pure: values only.

use std::path::PathBuf;

use clap::Args as Flags;

/// What stands above the kubeconfig.
#[derive(Clone, Debug, Default, Flags)]
#[command(next_help_heading = "Connection options, as kubectl's")]
pub struct Connection {
    /// The cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// The user of the kubeconfig to be
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<hyper::Uri>,
    /// The bearer token to show to the API server
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// The user to act as: the API server must allow it, and agents are shown no token of your own
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub act_as: Option<String>,
    /// A group to act as; may be given several times
    #[arg(long, global = true, value_name = "NAME", requires = "act_as")]
    pub as_group: Vec<String>,
    /// The UID to act as
    #[arg(long, global = true, value_name = "UID", requires = "act_as")]
    pub as_uid: Option<String>,
    /// The authority by which the API server is verified
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,
    /// The name that the API server's certificate must be for, if not that of its address
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Do not verify the API server's certificate: any server that answers reads what is sent, and can answer anything
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
}
