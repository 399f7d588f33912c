//! Whom to serve, and how it is secured: what `--auth` and `--tls` take.
//!
//! In: words. Out: what they mean. It must not look whether a directory is there: that is for who reads it.
//!
//! Pure: no I/O.

use super::Address;
use clap::ValueEnum;
use std::path::PathBuf;

/// Tokens are required, and there is no API server to review them.
pub(super) const NO_ONE: &str =
    "--auth needs an API server to ask about tokens: run in a pod, or give --kubeconfig FILE\n";

/// Clients of other machines could read everything, and that was not allowed explicitly.
pub(super) const OPEN: &str = "--listen is not loopback, so any client that reaches it could read this host's processes and connections: in a cluster choose --auth token or \
     --auth always; elsewhere give --token-file FILE, or --client-ca FILE with --tls, or listen at unix:/PATH; or allow every client with --auth off\n";

/// A certificate is for an address.
pub(super) const AT_FILE: &str =
    "--tls is for ports: who may read at unix:/PATH is whom the rights of that file let open it\n";

/// Certificates of clients are part of a handshake.
pub(super) const PLAIN: &str =
    "--client-ca needs HTTPS: give --tls self-signed, or --tls DIR with tls.crt and tls.key\n";

/// Whether others than who sits at this machine can come.
pub(super) fn is_open(listen: Option<&Address>) -> bool {
    listen.is_some_and(|address| !address.is_near())
}

/// Who needs a token that the cluster's API server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// No client.
    Off,
    /// Everybody but who comes through the loopback of a pod's own network: who forwards a port.
    Token,
    /// Everybody.
    Always,
}

/// What becomes of the agent's rights once all is loaded and opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rights {
    /// They are given back.
    Drop,
    /// They are kept.
    Keep,
}

/// How the server is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// With a certificate of the agent's own.
    SelfSigned,
    /// With the `tls.crt` and `tls.key` of this directory.
    Dir(PathBuf),
}

/// When the page for browsers is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Web {
    Auto,
    Off,
    On,
}

impl Web {
    /// Without being asked, only to who sits at this machine.
    pub(super) fn is_on(self, listen: Option<&Address>) -> bool {
        match self {
            // No browser opens a file's socket.
            Self::Auto => listen.is_some_and(|at| at.is_near() && at.of_network().is_some()),
            Self::Off => false,
            Self::On => true,
        }
    }
}

pub(super) fn tls(text: &str) -> Result<Tls, String> {
    match text {
        "off" => Ok(Tls::Off),
        "self-signed" => Ok(Tls::SelfSigned),
        "" => Err("give off, self-signed, or the path of a directory".to_owned()),
        path => Ok(Tls::Dir(PathBuf::from(path))),
    }
}
