//! The flags of the feed, which hands out pods to agents: all of them or none.
//!
//! In: words. Out: [`Feed`], or the text that says what is missing. Pure: no I/O.

use std::net::SocketAddr;

use super::name;
use probelet_runtime::flags::{Listen, audience, listen};

/// What is said where the port is given and the rest is not.
pub(super) const INCOMPLETE: &str = "--feed-listen needs to know whom to serve and what to show: give --feed-account, --feed-certify and --feed-certify-name too\n";

/// How pods are handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Where.
    pub listen: SocketAddr,
    /// The agents' service account, in the namespace of the Lease.
    pub account: String,
    /// Whom their tokens are made for.
    pub audience: String,
    /// The Secret with the feed's certificate, and the `ConfigMap` with its authorities.
    pub object: String,
    /// The name that the certificate is for.
    pub server: String,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "clap names flags after them")]
pub(super) struct Flags {
    /// Where to hand out to each node's agent the pods of its node, over HTTPS: an address and port, or `off`
    #[arg(long, global = true, env = "PROBELET_FEED_LISTEN", value_name = "ADDR", default_value = "off", value_parser = listen::<9470>)]
    feed_listen: Listen,

    /// The agents' service account, in the namespace of the Lease: whose tokens are accepted there, each for the node that it is
    /// bound to
    #[arg(long, global = true, env = "PROBELET_FEED_ACCOUNT", value_name = "NAME", value_parser = name)]
    feed_account: Option<String>,

    /// The audience that agents' tokens have to be made for there
    #[arg(
        long,
        global = true,
        env = "PROBELET_FEED_AUDIENCE",
        value_name = "AUDIENCE",
        default_value = "probelet-feed",
        value_parser = audience
    )]
    feed_audience: String,

    /// Secret and `ConfigMap`, in the namespace of the Lease, in which the certificate that is shown there and its authorities are
    /// kept and renewed; both must be there
    #[arg(long, global = true, env = "PROBELET_FEED_CERTIFY", value_name = "NAME", value_parser = name)]
    feed_certify: Option<String>,

    /// The name that this certificate is for
    #[arg(long, global = true, env = "PROBELET_FEED_CERTIFY_NAME", value_name = "NAME", value_parser = name)]
    feed_certify_name: Option<String>,
}

impl Flags {
    /// What was asked for, if anything was.
    pub(super) fn checked(self) -> Result<Option<Feed>, &'static str> {
        let Some(listen) = self.feed_listen.0 else { return Ok(None) };
        let rest = self.feed_account.zip(self.feed_certify).zip(self.feed_certify_name);
        let ((account, object), server) = rest.ok_or(INCOMPLETE)?;
        Ok(Some(Feed { listen, account, audience: self.feed_audience, object, server }))
    }
}
