//! Opening a tunnel through a SOCKS5 proxy (RFC 1928, 1929), as `ssh -D` is one.
//!
//! In: the bytes of the proxy as they come. Out: what to send next, and whether the tunnel is open. Names are resolved by the proxy,
//! as Go has it: there is often no other way to them. Pure: the caller sends and reads.

use std::net::IpAddr;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const CONNECT: u8 = 1;
/// An answer has no more bytes: four, a name of 255 with its length, a port.
const MOST: usize = 4 + 256 + 2;

/// What the proxy is to answer next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Method,
    Login,
    Connect,
    Open,
}

/// A tunnel that is being opened.
#[derive(Clone)]
pub(super) struct Socks {
    stage: Stage,
    login: Option<(Vec<u8>, Vec<u8>)>,
    connect: Vec<u8>,
    send: Vec<u8>,
    answer: Vec<u8>,
}

/// Why there is no tunnel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// What came is no SOCKS5.
    Odd,
    /// The proxy says no, in our words.
    No(&'static str),
}

impl Socks {
    /// To a host, with or without brackets, and a port. A name or login that is longer than the protocol can say is cut, and refused
    /// by the proxy.
    pub(super) fn new(host: &str, port: u16, login: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut connect = vec![VERSION, CONNECT, 0];
        match super::bare(host).parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => {
                connect.push(1);
                connect.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                connect.push(4);
                connect.extend(address.octets());
            }
            Err(_) => {
                connect.push(3);
                put(&mut connect, host.as_bytes());
            }
        }
        connect.extend(port.to_be_bytes());
        let methods: &[u8] =
            if login.is_some() { &[VERSION, 2, NO_LOGIN, LOGIN] } else { &[VERSION, 1, NO_LOGIN] };
        Self { stage: Stage::Method, login, connect, send: methods.to_vec(), answer: Vec::new() }
    }

    /// What is to be sent now, once.
    pub(super) fn send(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.send)
    }

    /// Takes what was read; whether the tunnel is open.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<bool, Why> {
        self.answer.extend_from_slice(&bytes[..bytes.len().min(MOST)]);
        while let Some(answer) = self.complete()? {
            self.step(&answer)?;
        }
        match self.stage {
            Stage::Open if self.answer.is_empty() => Ok(true),
            // With TLS no one but the client speaks first.
            Stage::Open => Err(Why::Odd),
            _ if self.answer.len() > MOST => Err(Why::Odd),
            _ => Ok(false),
        }
    }

    /// The whole answer of this stage, once it is there.
    fn complete(&mut self) -> Result<Option<Vec<u8>>, Why> {
        let expected = match self.stage {
            Stage::Method | Stage::Connect => VERSION,
            Stage::Login => 1,
            Stage::Open => return Ok(None),
        };
        if self.answer.first().is_some_and(|version| *version != expected) {
            return Err(Why::Odd);
        }
        let length = match self.stage {
            Stage::Method | Stage::Login | Stage::Open => 2,
            // A refusal may end early.
            Stage::Connect if self.answer.get(1).is_some_and(|reply| *reply != 0) => 2,
            Stage::Connect => match (self.answer.get(3), self.answer.get(4)) {
                (Some(1), _) => 4 + 4 + 2,
                (Some(4), _) => 4 + 16 + 2,
                (Some(3), Some(length)) => 4 + 1 + usize::from(*length) + 2,
                (Some(3) | None, _) => return Ok(None),
                (Some(_), _) => return Err(Why::Odd),
            },
        };
        let there = self.answer.len() >= length;
        Ok(there.then(|| self.answer.drain(..length).collect()))
    }

    fn step(&mut self, answer: &[u8]) -> Result<(), Why> {
        let code = answer[1];
        self.stage = match (self.stage, code, &self.login) {
            (Stage::Method, LOGIN, Some((name, password))) => {
                self.send = vec![1];
                put(&mut self.send, name);
                put(&mut self.send, password);
                Stage::Login
            }
            (Stage::Method, NO_LOGIN, _) | (Stage::Login, 0, _) => {
                self.send.clone_from(&self.connect);
                Stage::Connect
            }
            (Stage::Method, _, None) => return Err(Why::No("it wants a login")),
            (Stage::Method | Stage::Login, _, _) => return Err(Why::No("the login is refused")),
            (Stage::Connect, 0, _) | (Stage::Open, _, _) => Stage::Open,
            (Stage::Connect, code, _) => {
                return Err(Why::No(match code {
                    2 => "not allowed",
                    3 => "network unreachable",
                    4 => "host unreachable",
                    5 => "connection refused",
                    6 => "timed out",
                    _ => "it failed",
                }));
            }
        };
        Ok(())
    }
}

/// Bytes with their count before them.
fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    let cut = &bytes[..bytes.len().min(255)];
    to.push(u8::try_from(cut.len()).unwrap_or(u8::MAX));
    to.extend_from_slice(cut);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_for_as_a_name() {
        let mut socks = Socks::new("api.a", 6443, None);

        assert_eq!(socks.send(), [5, 1, 0]);
        assert_eq!(socks.take(&[5, 0]), Ok(false));
        assert_eq!(socks.send(), b"\x05\x01\x00\x03\x05api.a\x19\x2b");
        assert_eq!(socks.take(&[5, 0, 0, 1, 0, 0]), Ok(false));
        assert!(socks.send().is_empty());
        assert_eq!(socks.take(&[0, 0, 0, 0]), Ok(true));
    }

    #[test]
    fn a_login_is_given_where_the_proxy_wants_one() {
        let login = Some((b"me".to_vec(), b"pw".to_vec()));
        let mut socks = Socks::new("[::1]", 443, login);

        assert_eq!(socks.send(), [5, 2, 0, 2]);
        assert_eq!(socks.take(&[5, 2]), Ok(false));
        assert_eq!(socks.send(), b"\x01\x02me\x02pw");
        assert_eq!(socks.take(&[1, 0]), Ok(false));
        assert_eq!(socks.send()[..5], [5, 1, 0, 4, 0]);
        assert_eq!(socks.take(&[5, 0, 0, 3, 1, b'x', 0, 1]), Ok(true));
    }

    #[test]
    fn what_else_comes_is_a_refusal() {
        for (bytes, why) in [
            (&b"HT"[..], Why::Odd),
            (&[5, 255], Why::No("it wants a login")),
            (&[5, 0, 5, 5, 0, 1], Why::No("connection refused")),
            (&[5, 0, 5, 0, 0, 9, 0], Why::Odd),
            (&[5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 22], Why::Odd),
        ] {
            assert_eq!(Socks::new("1.2.3.4", 1, None).take(bytes), Err(why), "{bytes:?}");
        }
        let mut socks = Socks::new("a", 1, Some((vec![], vec![])));
        assert_eq!(socks.take(&[5, 2, 1, 1]), Err(Why::No("the login is refused")));
    }
}
