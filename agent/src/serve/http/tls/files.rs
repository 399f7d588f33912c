//! A certificate and its key in files that someone else renews.
//!
//! In: a directory. Out: the pair, and a new one when the files changed. It must not look more often than asked, or
//! judge the same files twice.
//!
//! Looked at when a connection comes, not by a task: an agent that no one asks does nothing, and what no one asked for
//! needs no certificate.
//!
//! I/O: two files.

use super::super::stamp::Stamp;
use super::{Error, provider};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

/// How often the files are looked at, at most.
pub const LOOK: Duration = Duration::from_secs(10);
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// A chain of a few certificates has some 8 KiB.
const MAX_FILE: u64 = 256 << 10;

/// The files.
pub(super) struct Files {
    dir: PathBuf,
    look: Duration,
    looked: Instant,
    judged: [Stamp; 2],
}

impl Files {
    pub(super) fn open(dir: &Path, look: Duration) -> Result<(Self, CertifiedKey), Error> {
        // Before reading: what changes meanwhile is read again.
        let judged = stamps(dir);
        let pair = read(dir)?;
        Ok((Self { dir: dir.to_owned(), look, looked: Instant::now(), judged }, pair))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What came of a change, if there was one and it is time to look.
    pub(super) fn changed(&mut self) -> Option<Result<CertifiedKey, Error>> {
        if self.looked.elapsed() < self.look {
            return None;
        }
        self.looked = Instant::now();
        let stamps = stamps(&self.dir);
        if stamps == self.judged {
            return None;
        }
        self.judged = stamps;
        Some(read(&self.dir))
    }
}

fn stamps(dir: &Path) -> [Stamp; 2] {
    [CERTIFICATE, KEY].map(|name| Stamp::of(&dir.join(name)))
}

/// The certificates of a text in PEM, of which there is at least one; the path is for the error.
pub(super) fn certificates(
    text: &[u8],
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    found
        .ok()
        .filter(|all| !all.is_empty())
        .ok_or_else(|| Error::Pem { path: path.to_owned(), what: "certificate" })
}

fn read(dir: &Path) -> Result<CertifiedKey, Error> {
    let text = |name: &str| {
        let path = dir.join(name);
        let read = || {
            if fs::metadata(&path)?.len() > MAX_FILE {
                return Err(std::io::Error::other("it is too long"));
            }
            fs::read(&path)
        };
        read().map_err(|why| Error::Read { path: path.clone(), why })
    };
    let pem = |name: &str, what| Error::Pem { path: dir.join(name), what };
    let chain = certificates(&text(CERTIFICATE)?, &dir.join(CERTIFICATE))?;
    let key = PrivateKeyDer::from_pem_slice(&text(KEY)?).map_err(|_| pem(KEY, "private key"))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|why| Error::Pair { dir: dir.to_owned(), why })
}
