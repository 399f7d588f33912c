//! Where this node's pods come from: what `--feed` and what belongs to it take.
//!
//! In: words. Out: [`Feed`], or the text that says what is missing. Pure: no I/O.

use crate::kube::operator::Place;
use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use hyper::Uri;
use probelet_runtime::Refused;
use probelet_runtime::flags::file;
use std::path::PathBuf;

/// The feed is asked in the name of a pod.
const NO_TOKEN: &str =
    "--feed needs --feed-token FILE, a projected token of this pod for the audience of the feed\n";
/// Its address is asked for.
const NO_SERVER: &str = "--feed needs an API server, which knows the Service's address: run the agent in a pod, or give --kubeconfig FILE\n";

const EXAMPLE: &str = "give https://SERVICE.NAMESPACE.svc:PORT, the operator's Service";
/// Longest name of a Service or namespace.
const MAX_LABEL: usize = 63;

/// Who hands out this node's pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// Where.
    pub place: Place,
    /// Whether the API server is asked while the feed is away.
    pub fallback: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Flags {
    /// The operator's feed, which hands out this node's pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the
    /// Service's address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at
    /// the API server, which takes a right to list those of all nodes
    #[arg(long, global = true, env = "PROBELET_FEED", value_name = "URL", value_parser = place)]
    feed: Option<(String, String, u16)>,

    /// File with the token to show there: a projected one of this pod, for the audience of the feed
    #[arg(long, global = true, env = "PROBELET_FEED_TOKEN", value_name = "FILE", value_parser = file)]
    feed_token: Option<PathBuf>,

    /// While the feed has been away for a minute, watch this node's pods at the API server, if the role allows it
    #[arg(long, global = true, env = "PROBELET_FEED_FALLBACK", value_parser = FalseyValueParser::new())]
    feed_fallback: bool,
}

impl Flags {
    /// What was asked for, if anything was.
    pub(super) fn checked(self, has_server: bool) -> Result<Option<Feed>, Refused> {
        let Some((service, namespace, port)) = self.feed else { return Ok(None) };
        let missing = |what| Refused::new(ErrorKind::MissingRequiredArgument, what);
        let token = self.feed_token.ok_or_else(|| missing(NO_TOKEN))?;
        if !has_server {
            return Err(missing(NO_SERVER));
        }
        let place = Place { service, namespace, port, token };
        Ok(Some(Feed { place, fallback: self.feed_fallback }))
    }
}

fn place(text: &str) -> Result<(String, String, u16), String> {
    let label = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=MAX_LABEL).contains(&text.len()) && text.chars().all(fits)
    };
    let read = || {
        let url: Uri = text.parse().ok()?;
        let plain = url.scheme_str() == Some("https") && matches!(url.path(), "" | "/");
        let (service, namespace) = url.host()?.strip_suffix(".svc")?.split_once('.')?;
        let known = plain && url.query().is_none() && label(service) && label(namespace);
        known.then_some((service.to_owned(), namespace.to_owned(), url.port_u16()?))
    };
    read().ok_or_else(|| EXAMPLE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feed_is_a_service_and_a_port() {
        let read = |text| place(text).ok();
        let found = |port| Some(("probelet-operator".to_owned(), "probelet".to_owned(), port));

        assert_eq!(read("https://probelet-operator.probelet.svc:9470"), found(9470));
        assert_eq!(read("https://probelet-operator.probelet.svc:9470/"), found(9470));
        for text in [
            "http://probelet-operator.probelet.svc:9470",
            "https://probelet-operator.probelet.svc",
            "https://probelet-operator.probelet:9470",
            "https://probelet-operator.probelet.svc:9470/feed",
            "https://a.b.c.svc:9470",
            "https://a.b%2f.svc:9470",
            "probelet-operator.probelet.svc:9470",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
