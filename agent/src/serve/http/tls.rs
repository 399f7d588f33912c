//! HTTPS: the handshake, and which certificate it shows.
//!
//! In: a socket. Out: a stream, or a reason for which there is none. It must not wait for ever for a client, or go without
//! a certificate because someone put a bad one in place of a good one. How many handshakes strangers can make the agent
//! compute is a matter of their CPU time, which the readers' share bounds.
//!
//! I/O: the socket; files of a certificate and a key, looked at no more often than connections come.

mod files;
mod own;

use crate::serve::metrics::http::Counters;
use files::Files;
pub use files::LOOK;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tracing::debug;

/// Handshakes at a time.
const HANDSHAKES: usize = 16;
/// The first byte of a handshake; no request of plain HTTP begins with it.
const HANDSHAKE: u8 = 0x16;
const PLAIN: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
    {\"error\":\"this port speaks HTTPS: ask with https://\"}\n";

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        why: io::Error,
    },
    /// A file holds something else.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The two files do not fit each other, or one cannot be used.
    #[error("the certificate and the key in {} cannot be used: {why}", dir.display())]
    Pair {
        /// Where they are.
        dir: PathBuf,
        /// Why.
        why: rustls::Error,
    },
    /// The agent cannot make a certificate of its own.
    #[error("cannot make a certificate: {0}")]
    Own(String),
    /// No client could show a certificate that is accepted.
    #[error("the authorities of clients in {} cannot be used: {why}", path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The library refuses what it is set up with.
    #[error("cannot set up TLS: {0}")]
    Setup(rustls::Error),
}

/// The certificate and key that are shown now.
struct Shown(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// All that connections need to become secure ones.
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    files: Option<Mutex<Files>>,
    slots: Semaphore,
}

impl Tls {
    /// With a certificate that is made now, for this name and these addresses. With `clients`, a file of authorities in
    /// PEM, only who shows a certificate of theirs can connect.
    pub fn self_signed(
        name: &str,
        addresses: &[IpAddr],
        clients: Option<&Path>,
    ) -> Result<Self, Error> {
        Self::new(own::make(name, addresses)?, None, clients)
    }

    /// With `tls.crt` and `tls.key` of a directory, looked at again at most so often: [`LOOK`].
    pub fn from_dir(dir: &Path, look: Duration, clients: Option<&Path>) -> Result<Self, Error> {
        let (files, pair) = Files::open(dir, look)?;
        Self::new(pair, Some(files), clients)
    }

    fn new(
        pair: CertifiedKey,
        files: Option<Files>,
        clients: Option<&Path>,
    ) -> Result<Self, Error> {
        let shown = Arc::new(Shown(RwLock::new(Arc::new(pair))));
        let verifier = match clients {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(path) => clients_of(path)?,
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::<Shown>::clone(&shown));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Anyone who scrapes comes back: what they need for that is kept by them, not by us.
        config.ticketer = ring::Ticketer::new().map_err(Error::Setup)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 1;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            shown,
            files: files.map(Mutex::new),
            slots: Semaphore::new(HANDSHAKES),
        })
    }

    /// Shakes hands; `None` if that came to nothing, which is counted.
    pub(super) async fn accept(
        &self,
        socket: TcpStream,
        limit: Duration,
        http: &Counters,
    ) -> Option<TlsStream<TcpStream>> {
        self.refresh(http);
        let reason = match timeout(limit, self.shake(socket)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(reason)) => reason,
            Err(_) => "slow_handshake",
        };
        http.closed(reason);
        None
    }

    async fn shake(&self, mut socket: TcpStream) -> Result<TlsStream<TcpStream>, &'static str> {
        let mut first = [0];
        // Before a slot is taken: who says nothing holds none.
        match socket.peek(&mut first).await {
            Ok(1) if first == [HANDSHAKE] => {}
            Ok(1) => {
                // Unread bytes would turn the answer's end into a reset. No one is left to tell if this fails.
                let _unread = socket.try_read(&mut [0; 4096]);
                let _unheard = socket.write_all(PLAIN).await;
                let _unheard = socket.shutdown().await;
                return Err("plain_http");
            }
            _ => return Err("failed_handshake"),
        }
        let _slot = self.slots.acquire().await;
        self.acceptor.accept(socket).await.map_err(|error| {
            debug!(%error, "handshake failed");
            "failed_handshake"
        })
    }

    /// Shows what is in the files, if that changed and can be shown.
    fn refresh(&self, http: &Counters) {
        let Some(files) = &self.files else { return };
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        match files.changed() {
            None => {}
            Some(Ok(pair)) => {
                http.reload("ok");
                tracing::info!(dir = %files.dir().display(), "a new certificate is in force");
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
            }
            Some(Err(error)) => {
                http.reload("failed");
                tracing::warn!(%error, "the last good certificate stays in force");
            }
        }
    }
}

/// Accepts certificates of the authorities in a file.
fn clients_of(path: &Path) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let read = |why| Error::Read { path: path.to_owned(), why };
    let unusable = |why: String| Error::Clients { path: path.to_owned(), why };
    let text = std::fs::read(path).map_err(read)?;
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(&text, path)? {
        roots.add(certificate).map_err(|why| unusable(why.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map_err(|why| unusable(why.to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
