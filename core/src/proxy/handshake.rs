//! Opening a tunnel: what is sent to the proxy, and what its answer means.
//!
//! In: the bytes of the answer as they come. Out: whether the tunnel is open. A head longer than [`MOST`], or bytes behind
//! it (with TLS no one but the client speaks first), is a refusal. Pure: the caller sends and reads.

use super::socks::{Socks, Why};
use crate::base64::base64;

/// No proxy says more before the tunnel.
const MOST: usize = 8 << 10;

/// A tunnel that is being opened.
#[derive(Clone)]
pub struct Handshake {
    request: Vec<u8>,
    /// Instead of HTTP.
    socks: Option<Socks>,
    answer: Vec<u8>,
    proxy: String,
    target: String,
}

/// Why the proxy opens no tunnel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its answer is a refusal.
    #[error("the proxy {proxy} refuses to connect to {target}: {status}")]
    Status {
        /// The proxy.
        proxy: String,
        /// The server behind it.
        target: String,
        /// Code and words.
        status: String,
    },
    /// Its answer is none of its protocol.
    #[error("the proxy {proxy} does not speak {protocol}")]
    Odd {
        /// The proxy.
        proxy: String,
        /// What it should speak.
        protocol: &'static str,
    },
    /// It says nothing more.
    #[error("the proxy {proxy} closed the connection before it connected to {target}")]
    Closed {
        /// The proxy.
        proxy: String,
        /// The server behind it.
        target: String,
    },
}

impl Handshake {
    pub(super) fn new(target: &str, authorization: Option<&str>, proxy: &str) -> Self {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = authorization {
            request = format!("{request}Proxy-Authorization: {authorization}\r\n");
        }
        request.push_str("\r\n");
        let (proxy, target) = (proxy.to_owned(), target.to_owned());
        Self { request: request.into_bytes(), socks: None, answer: Vec::new(), proxy, target }
    }

    pub(super) fn socks(socks: Socks, target: &str, proxy: &str) -> Self {
        let (proxy, target) = (proxy.to_owned(), target.to_owned());
        Self { request: Vec::new(), socks: Some(socks), answer: Vec::new(), proxy, target }
    }

    /// What is to be sent first, and after each [`Handshake::take`] that opened nothing; often nothing.
    #[must_use]
    pub fn send(&mut self) -> Vec<u8> {
        match &mut self.socks {
            Some(socks) => socks.send(),
            None => std::mem::take(&mut self.request),
        }
    }

    /// Takes what was read, nothing at the end of the connection; whether the tunnel is open.
    pub fn take(&mut self, bytes: &[u8]) -> Result<bool, Refused> {
        let proxy = || self.proxy.clone();
        if bytes.is_empty() {
            return Err(Refused::Closed { proxy: proxy(), target: self.target.clone() });
        }
        if let Some(socks) = &mut self.socks {
            return socks.take(bytes).map_err(|why| match why {
                Why::Odd => Refused::Odd { proxy: proxy(), protocol: "SOCKS5" },
                Why::No(status) => Refused::Status {
                    proxy: proxy(),
                    target: self.target.clone(),
                    status: status.to_owned(),
                },
            });
        }
        let odd = || Refused::Odd { proxy: proxy(), protocol: "HTTP" };
        let room = MOST.saturating_sub(self.answer.len()).min(bytes.len());
        self.answer.extend_from_slice(&bytes[..room]);
        let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if room < bytes.len() { Err(odd()) } else { Ok(false) };
        };
        let head = String::from_utf8_lossy(&self.answer[..end]);
        let line = head.lines().next().unwrap_or_default();
        let status = line.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/1."));
        let Some((_, status)) = status else { return Err(odd()) };
        if !status.starts_with('2') {
            let status = status.chars().filter(|c| !c.is_control()).take(100).collect();
            return Err(Refused::Status { proxy: proxy(), target: self.target.clone(), status });
        }
        if end + 4 < self.answer.len() || room < bytes.len() {
            return Err(odd());
        }
        Ok(true)
    }
}

/// The header's value for `name:password` as a URL has it.
pub(super) fn basic(user: &str) -> String {
    let (mut plain, password) = login(user);
    plain.push(b':');
    plain.extend(password);
    format!("Basic {}", base64(&plain))
}

/// Name and password of `name:password` as a URL has them.
pub(super) fn login(user: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (decoded(name), decoded(password))
}

/// Without percent signs; one that stands for nothing stays.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let code =
            text.get(at + 1..at + 3).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if byte == b'%' => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shake() -> Handshake {
        Handshake::new("api.a:6443", None, "http://p:1 of HTTPS_PROXY")
    }

    #[test]
    fn a_tunnel_is_asked_for_with_name_and_password() {
        let mut shake = Handshake::new("api.a:6443", Some(&basic("me:pa%40ss%3a%")), "p");

        assert_eq!(
            String::from_utf8_lossy(&shake.send()),
            "CONNECT api.a:6443 HTTP/1.1\r\nHost: api.a:6443\r\n\
             Proxy-Authorization: Basic bWU6cGFAc3M6JQ==\r\n\r\n"
        );
        assert_eq!(basic("Aladdin:open%20sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a"), "Basic YTo=");
    }

    #[test]
    fn an_answer_may_come_in_pieces() {
        let mut shake = shake();

        assert_eq!(shake.take(b"HTTP/1.1 200 Connection est"), Ok(false));
        assert_eq!(shake.take(b"ablished\r\nVia: x\r\n\r"), Ok(false));
        assert_eq!(shake.take(b"\n"), Ok(true));
    }

    #[test]
    fn a_refusal_is_said_in_the_proxys_words() {
        let said = shake().take(b"HTTP/1.1 407 Proxy\x1b[2J Authentication Required\r\n\r\n<html>");

        assert_eq!(
            said.unwrap_err().to_string(),
            "the proxy http://p:1 of HTTPS_PROXY refuses to connect to api.a:6443: \
             407 Proxy[2J Authentication Required"
        );
    }

    #[test]
    fn what_is_no_answer_ends_the_attempt() {
        assert!(matches!(shake().take(b""), Err(Refused::Closed { .. })));
        assert!(matches!(shake().take(b"SSH-2.0-x\r\n\r\n"), Err(Refused::Odd { .. })));
        assert!(matches!(shake().take(b"HTTP/1.1 200 OK\r\n\r\nmore"), Err(Refused::Odd { .. })));
        assert!(matches!(shake().take(&[b'x'; 9000]), Err(Refused::Odd { .. })));
        let mut long = shake();
        assert_eq!(long.take(&[b'x'; 8192]), Ok(false));
        assert!(matches!(long.take(b"x"), Err(Refused::Odd { .. })));
    }
}
