//! Connection: flags of kubectl's that say otherwise than the kubeconfig who asks, and whom.
//!
//! In: the command line. Out: [`Connection`]. They are called as kubectl calls them, so that an alias or a script that adds
//! them to every command works for `kubectl probelet` too. Pure: values only.

use std::path::PathBuf;

use clap::Args as Flags;
use clap::builder::{OsStringValueParser, TypedValueParser};

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
    pub server: Option<String>,
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
    /// The certificate that says who you are
    #[arg(long, global = true, value_name = "FILE", value_parser = path())]
    pub client_certificate: Option<PathBuf>,
    /// The key of that certificate
    #[arg(long, global = true, value_name = "FILE", value_parser = path())]
    pub client_key: Option<PathBuf>,
    /// The authority by which the API server is verified
    #[arg(long, global = true, value_name = "FILE", value_parser = path())]
    pub certificate_authority: Option<PathBuf>,
    /// The name that the API server's certificate must be for, if not that of its address
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Ask for answers that are not compressed
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, hide_default_value = true, hide_possible_values = true, action = clap::ArgAction::Set)]
    pub disable_compression: bool,
}

/// A path that may be empty, which clap's own parser refuses.
pub(super) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// An empty text is none.
pub(super) fn drop_empty<T: AsRef<std::ffi::OsStr>>(value: &mut Option<T>) {
    if value.as_ref().is_some_and(|text| text.as_ref().is_empty()) {
        *value = None;
    }
}

impl Connection {
    pub(super) fn drop_empty(&mut self) {
        let Self { cluster, user, server, token, act_as, as_uid, tls_server_name, .. } = self;
        for text in [cluster, user, server, token, act_as, as_uid, tls_server_name] {
            drop_empty(text);
        }
        drop_empty(&mut self.certificate_authority);
        drop_empty(&mut self.client_certificate);
        drop_empty(&mut self.client_key);
        self.as_group.retain(|group| !group.is_empty());
    }
}
