//! Entries for the fuzzer: the parsers of this crate, with what must hold of their results.
//!
//! In: bytes of any kind. Out: nothing; a panic is a finding. Compiled for tests, and for `fuzz/`, which asks for it by a
//! feature. Pure: no I/O.

#![allow(clippy::unwrap_used, reason = "what cannot be unwrapped is a finding")]

use crate::proxy::{Environment, Server};
use crate::selector::{Expression, Selector};

/// What is fed, and what is fed to it.
pub type Target = (&'static str, fn(&[u8]));

/// Their names and functions; a folder of `fuzz/corpus` is called the same.
pub const TARGETS: &[Target] = &[("selector", selector), ("proxy", proxy)];

/// A selector's text, and behind line ends labels `key=value` that it is asked about.
fn selector(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let written = lines.next().unwrap_or_default();
    let labels: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    match Selector::parse(written) {
        Ok(selector) => {
            let canonical = selector.to_string();
            let again = Selector::parse(&canonical).unwrap();
            assert_eq!(again, selector, "{canonical}");
            assert_eq!(again.to_string(), canonical);
            let map = labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
            assert_eq!(selector.matches(&map), again.matches(&map));
        }
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
    // The same as a Service's selector, and as an object has it.
    if let Ok(selector) = Selector::from_labels(labels.iter().map(|(k, v)| (k, v))) {
        assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
    }
    let operators = ["In", "NotIn", "Exists", "DoesNotExist", written];
    let expressions =
        labels.iter().zip(operators.iter().cycle()).map(|((key, value), operator)| {
            let values = if operator.contains("In") { std::slice::from_ref(value) } else { &[] };
            Expression { key, operator, values }
        });
    match Selector::from_requirements::<&str, &str, String>([], expressions) {
        Ok(selector) => assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector),
        Err(error) => assert!(!error.to_string().contains(char::is_control), "{error:?}"),
    }
}

/// The variables of the environment and a server's name, a line each, and behind them what the proxy answers.
fn proxy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(5, '\n');
    let [named, variable, exceptions, host, answer] =
        [(); 5].map(|()| parts.next().unwrap_or_default());
    // Where the server is comes from a URL, whose parser let nothing else through.
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:[]-_".contains(c);
    let host = if host.chars().all(plain) { host } else { "api.example.com" };
    let environment = Environment::read(|name| match name {
        "HTTPS_PROXY" | "http_proxy" => Some(variable.to_owned()),
        "NO_PROXY" => Some(exceptions.to_owned()),
        _ => None,
    });
    for (named, tls) in [(Some(named), true), (None, false)] {
        let server = Server { tls, host, port: 6443 };
        let found = environment.proxy(named, server);
        if let Err(error) = &found {
            assert!(!error.to_string().contains(char::is_control), "{error:?}");
        }
        let Ok(Some(proxy)) = found else { continue };
        let mut handshake = proxy.handshake(host, 6443);
        if proxy.url().starts_with("socks5:") {
            drop((handshake.send(), handshake.take(answer.as_bytes()), handshake.send()));
            continue;
        }
        let request = String::from_utf8(handshake.send()).unwrap();
        let lines = request.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
        assert!(lines.clone().count() <= 3, "a line that the handshake did not write: {request:?}");
        assert!(!lines.into_iter().any(|line| line.contains(char::is_control)), "{request:?}");
        if let Err(refused) = handshake.take(answer.as_bytes()) {
            assert!(!refused.to_string().contains(char::is_control), "{refused:?}");
        }
    }
}
