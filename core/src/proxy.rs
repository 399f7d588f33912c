//! Whether the way to the API server leads through a proxy: the rule of client-go, so that what works for kubectl works
//! here.
//!
//! In: the kubeconfig's `proxy-url`, the variables of the environment, the server's address. Out: the [`Proxy`] to go
//! through, none for the direct way, or why the proxy cannot be used. A `proxy-url` stands above everything else and knows
//! no exceptions. Else `HTTPS_PROXY` is for servers with TLS and `HTTP_PROXY` for those without, capitals first, and
//! `NO_PROXY` and this machine itself are excepted.
//!
//! Pure: the caller reads the environment and opens connections.

mod handshake;
mod list;
mod socks;

use std::fmt;

pub use handshake::{Handshake, Refused};
use list::Exceptions;
use socks::Socks;

/// The variables, those with capitals first, as client-go reads them.
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// What the environment says of proxies.
#[derive(Clone, Default)]
pub struct Environment {
    https: Option<(&'static str, String)>,
    http: Option<(&'static str, String)>,
    exceptions: Exceptions,
}

/// Where the API server is.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Its name or address; brackets around an IPv6 address do not matter.
    pub host: &'a str,
    /// Its port.
    pub port: u16,
}

/// A proxy that opens tunnels: by CONNECT of HTTP, in plain text or over TLS, or by SOCKS5.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    scheme: Scheme,
    host: String,
    port: u16,
    /// `name:password`, as its URL has it.
    user: Option<String>,
    origin: &'static str,
}

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
    Socks5,
}

/// Why a proxy that is named cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It speaks another protocol.
    #[error(
        "the proxy of {origin} is for {scheme}, and only http://, https:// and socks5:// proxies are supported"
    )]
    Scheme {
        /// Who names it.
        origin: &'static str,
        /// The protocol.
        scheme: String,
    },
    /// It has no host, or a port that is none.
    #[error("the proxy of {origin} is not an address such as http://proxy.example.com:3128")]
    Unreadable {
        /// Who names it.
        origin: &'static str,
    },
}

impl Environment {
    /// From the variables that `get` knows; an empty one is as good as none.
    #[must_use]
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&'static str; 2]| {
            names.into_iter().find_map(|name| Some((name, get(name).filter(|v| !v.is_empty())?)))
        };
        let exceptions =
            first(NO_PROXY).map_or_else(Exceptions::default, |(_, text)| Exceptions::parse(&text));
        // In a CGI program HTTP_PROXY is the header `Proxy:` of a stranger.
        let http = if get("REQUEST_METHOD").is_some_and(|v| !v.is_empty()) {
            get(HTTP[1]).filter(|value| !value.is_empty()).map(|value| (HTTP[1], value))
        } else {
            first(HTTP)
        };
        Self { https: first(HTTPS), http, exceptions }
    }

    /// The proxy on the way to a server; none for the direct way. `named` is the kubeconfig's `proxy-url`.
    pub fn proxy(&self, named: Option<&str>, server: Server<'_>) -> Result<Option<Proxy>, Error> {
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            return Proxy::parse(named, "the kubeconfig (proxy-url)").map(Some);
        }
        let variable = if server.tls { &self.https } else { &self.http };
        match variable {
            Some((name, value)) if !self.exceptions.hold(server.host, server.port) => {
                Proxy::parse(value, name).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Proxy {
    fn parse(text: &str, origin: &'static str) -> Result<Self, Error> {
        let text = text.trim();
        // Without a scheme it is taken for http, as curl and client-go do.
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = Scheme::parse(scheme)
            .ok_or_else(|| Error::Scheme { origin, scheme: printable(scheme) })?;
        let unreadable = || Error::Unreadable { origin };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = split(place).ok_or_else(unreadable)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(fits) {
            return Err(unreadable());
        }
        let port = match port {
            "" => scheme.port(),
            port => port.parse().ok().filter(|port| *port > 0).ok_or_else(unreadable)?,
        };
        let user = user.filter(|user| !user.is_empty()).map(str::to_owned);
        Ok(Self { scheme, host: host.to_owned(), port, user, origin })
    }

    /// Where it listens, as `http://host:port`, `https://…` or `socks5://…`, without a name or password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme.name(), authority(&self.host, self.port))
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::Https
    }

    /// What opens a tunnel through it.
    #[must_use]
    pub fn handshake(&self, host: &str, port: u16) -> Handshake {
        let (target, user) = (authority(host, port), self.user.as_deref());
        if self.scheme == Scheme::Socks5 {
            let socks = Socks::new(host, port, user.map(handshake::login));
            return Handshake::socks(socks, &target, &self.to_string());
        }
        Handshake::new(&target, user.map(handshake::basic).as_deref(), &self.to_string())
    }
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        // The last is curl's word for what Go does with both: the proxy resolves names.
        let words = [
            ("http", Self::Http),
            ("https", Self::Https),
            ("socks5", Self::Socks5),
            ("socks5h", Self::Socks5),
        ];
        words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word)).map(|(_, scheme)| *scheme)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
        }
    }

    /// The port where its URL has none.
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 => 1080,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.url(), self.origin)
    }
}

/// Without the password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// Without what may hold passwords.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

/// `host:port` with brackets where the address has colons.
fn authority(host: &str, port: u16) -> String {
    let host = bare(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Host and port; the port is empty if there is none.
fn split(place: &str) -> Option<(&str, &str)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, if port.is_empty() { "" } else { port.strip_prefix(':')? }));
    }
    match place.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some(parts) => Some(parts),
        None => Some((place, "")),
    }
}

/// A word of someone else's in a message of ours.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn url(variables: &[(&str, &str)], tls: bool, host: &str) -> Option<String> {
        let server = Server { tls, host, port: 6443 };
        environment(variables).proxy(None, server).unwrap().map(|proxy| proxy.url())
    }

    const WORLD: (&str, &str) = ("HTTPS_PROXY", "http://proxy.example.com:3128");

    #[test]
    fn a_server_with_tls_is_asked_through_https_proxy_and_one_without_through_http_proxy() {
        let both = [WORLD, ("HTTP_PROXY", "plain.example.com")];

        assert_eq!(url(&both, true, "api.a").as_deref(), Some("http://proxy.example.com:3128"));
        assert_eq!(url(&both, false, "api.a").as_deref(), Some("http://plain.example.com:80"));
        assert_eq!(url(&[WORLD], false, "api.a"), None);
    }

    #[test]
    fn small_letters_count_where_there_are_no_capitals_or_empty_ones() {
        let small = ("https_proxy", "http://small:1");

        assert_eq!(url(&[small], true, "a.b").as_deref(), Some("http://small:1"));
        assert_eq!(
            url(&[("HTTPS_PROXY", ""), small], true, "a.b").as_deref(),
            Some("http://small:1")
        );
        assert_eq!(
            url(&[("HTTPS_PROXY", "big:2"), small], true, "a.b").as_deref(),
            Some("http://big:2")
        );
        assert_eq!(url(&[WORLD, ("no_proxy", "a.b")], true, "a.b"), None);
    }

    #[test]
    fn a_proxy_that_the_kubeconfig_names_knows_no_exceptions() {
        let env = environment(&[WORLD, ("NO_PROXY", "*")]);
        let server = Server { tls: true, host: "127.0.0.1", port: 6443 };

        let proxy = env.proxy(Some("http://bastion:8080"), server).unwrap().unwrap();

        assert_eq!(proxy.to_string(), "http://bastion:8080 of the kubeconfig (proxy-url)");
        assert_eq!(env.proxy(Some(""), server), Ok(None));
    }

    #[test]
    fn the_header_of_a_stranger_is_no_proxy() {
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:1")];

        assert_eq!(url(&cgi, false, "api.a"), None);
    }

    #[test]
    fn what_cannot_be_used_names_who_asked_for_it_and_no_password() {
        let server = Server { tls: true, host: "api.a", port: 443 };
        let why = |value: &str| {
            environment(&[("HTTPS_PROXY", value)]).proxy(None, server).unwrap_err().to_string()
        };

        assert_eq!(
            why("socks4://me:secret@p:1080"),
            "the proxy of HTTPS_PROXY is for socks4, and only http://, https:// and socks5:// proxies are supported"
        );
        for odd in [
            "http://",
            "http://me:secret@:80",
            "http://p:99999",
            "http://p:0",
            "a:b:c",
            "http://p x",
        ] {
            assert_eq!(
                why(odd),
                "the proxy of HTTPS_PROXY is not an address such as http://proxy.example.com:3128",
                "{odd}"
            );
        }
    }

    #[test]
    fn addresses_of_both_families_are_proxies() {
        for (text, url) in [
            ("http://[2001:db8::1]:3128/", "http://[2001:db8::1]:3128"),
            ("http://10.1.2.3", "http://10.1.2.3:80"),
            ("HTTP://me:pw@p:1", "http://p:1"),
            ("https://proxy.example.com", "https://proxy.example.com:443"),
            ("HTTPS://me:pw@[::1]:3129/", "https://[::1]:3129"),
            ("socks5://127.0.0.1", "socks5://127.0.0.1:1080"),
            ("socks5h://me:pw@[::1]:1", "socks5://[::1]:1"),
        ] {
            assert_eq!(Proxy::parse(text, "x").unwrap().url(), url);
        }
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        let proxy = Proxy::parse("http://me:secret@p:1", "HTTPS_PROXY").unwrap();

        assert!(!format!("{proxy} {proxy:?}").contains("secret"));
    }
}
